"""Which of several records of a machine is believed, and which names are one machine's. Pure.

Owns both rules. The newest evidence wins, whatever name it stands under. RooSync kept records of one machine as
``po-2024`` and as ``myia-po-2024``: a short name is that of the long one if the long one is there and is the short one
behind one word and a hyphen, and no other is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from heartbeat_kit.roosync._reading import Evidence

__all__ = ["AHEAD_MS", "Merged", "ambiguous_names", "long_names", "merge", "resolved"]

AHEAD_MS: Final = 300_000
"""A clock may be so much ahead of the one that dates files, and of the one of the import."""


class Merged(NamedTuple):
    """What is known of one machine.

    Attributes:
        machine_id: Its name.
        newest: The evidence that is believed.
        seen_ms: When it says the machine was alive (epoch milliseconds).
        first_seen_ms: When the machine was there first, of all its records.
        files: Where all its records were, the newest first.
        is_ahead: The stamp cannot be: the time of the file is taken.
    """

    machine_id: str
    newest: Evidence
    seen_ms: int
    first_seen_ms: int
    files: tuple[str, ...]
    is_ahead: bool


def long_names(names: Iterable[str]) -> dict[str, str]:
    """The next longer name of each short one; `resolved` follows them to their end.

    >>> long_names(["po-2024", "myia-po-2024", "web1", "myia-web1", "01"])
    {'po-2024': 'myia-po-2024', 'web1': 'myia-web1'}
    """
    return {short: found[0] for short, found in _candidates(names).items() if len(found) == 1}


def ambiguous_names(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The short names that could be one of several long ones, with those.

    >>> ambiguous_names(["po-2024", "myia-po-2024", "lab-po-2024"])
    {'po-2024': ('lab-po-2024', 'myia-po-2024')}
    """
    return {short: tuple(found) for short, found in _candidates(names).items() if len(found) > 1}


def _candidates(names: Iterable[str]) -> dict[str, list[str]]:
    """The long names each short one may stand for."""
    known = sorted(set(names))
    behind: dict[str, list[str]] = {}
    for name in known:
        word, hyphen, short = name.partition("-")
        if word and hyphen and short:
            behind.setdefault(short, []).append(name)
    return {short: behind[short] for short in known if short in behind}


def resolved(other: Mapping[str, str]) -> dict[str, str]:
    """Each name's last: what it stands for may stand for another.

    Raises:
        ValueError: Names stand for each other in a circle.

    >>> resolved({"po": "web1", "web1": "myia-web1", "db": "db"})
    {'po': 'myia-web1', 'web1': 'myia-web1'}
    """
    last = {}
    for name in other:
        way = [name]
        while (following := other.get(way[-1], way[-1])) != way[-1]:
            if following in way:
                raise ValueError(" → ".join([*way, following]))
            way.append(following)
        if way[-1] != name:
            last[name] = way[-1]
    return last


def merge(evidence: Iterable[Evidence], same: Mapping[str, str], latest_ms: int) -> list[Merged]:
    """One record of each machine.

    Args:
        evidence: All records; each with a stamp or a file that is no later than `latest_ms`.
        same: The name each of these other names stands for.
        latest_ms: A stamp later than this is no time at which anybody was alive (epoch milliseconds).
    """
    found: dict[str, list[Evidence]] = {}
    for each in evidence:
        found.setdefault(same.get(each.machine_id, each.machine_id), []).append(each)
    merged = []
    for name, records in sorted(found.items()):
        ranked = sorted(records, key=lambda each: (-_seen(each, latest_ms), each.file))
        newest = ranked[0]
        seen_ms = _seen(newest, latest_ms)
        firsts = [each.first_seen_ms for each in records if each.first_seen_ms is not None]
        merged.append(
            Merged(
                machine_id=name,
                newest=newest,
                seen_ms=seen_ms,
                first_seen_ms=min([*firsts, seen_ms]),
                files=tuple(each.file for each in ranked),
                is_ahead=seen_ms != newest.stamp_ms,
            )
        )
    return merged


def _seen(each: Evidence, latest_ms: int) -> int:
    """Its stamp, if that can be. The file tells too, because in time every clock reaches what once was the future."""
    return each.stamp_ms if each.stamp_ms <= min(latest_ms, each.written_ms + AHEAD_MS) else each.written_ms

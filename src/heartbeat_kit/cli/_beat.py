"""`beat`: one heartbeat, or a service in the foreground.

Owns what is printed of it and what ends it. Standard output carries the answer (a line, JSON, events); everything
else goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from heartbeat_kit import CascadeDetected, FleetSilent, HeartbeatService, Transition, to_wire
from heartbeat_kit.cli._opening import opened
from heartbeat_kit.cli._signals import StopSignals
from heartbeat_kit.errors import HeartbeatRegistrationError, InvalidMetadataError

__all__ = ["beat"]


def beat(arguments: Namespace) -> int:
    """Beat once, or until stopped."""
    if not arguments.forever and (arguments.leave or arguments.announce):
        arguments.usage_error("--leave and --announce go with --forever")
    if arguments.forever and arguments.json:
        arguments.usage_error("--json prints a single heartbeat; with --forever use --announce")
    metadata = None if arguments.metadata is None else _metadata(arguments.metadata)
    with opened(arguments) as service:
        if arguments.forever:
            return _forever(service, metadata, arguments)
        _once(service, metadata, as_json=arguments.json)
    return 0


def _once(service: HeartbeatService, metadata: dict[str, Any] | None, *, as_json: bool) -> None:
    registration = service.register(metadata)
    if as_json:
        _put(json.dumps(to_wire(registration), ensure_ascii=False))
        return
    new = ", which is new here" if registration.is_new_machine else ""
    _put(f"stored a heartbeat of {registration.machine_id}{new}, at {to_wire(registration)['timestamp']}")


def _forever(service: HeartbeatService, metadata: dict[str, Any] | None, arguments: Namespace) -> int:
    with StopSignals() as signals, _warnings():
        announcer = _Announcer(signals)
        if arguments.announce:
            service.on_transition(announcer)
        try:
            with signals.breaking_off():  # the first heartbeat may meet a storage that hangs
                service.start()
        except KeyboardInterrupt:
            service.stop()  # should it have started at that very moment
            return signals.exit_code
        try:
            if metadata is not None:
                _send(service, metadata)
            if not arguments.announce:
                interval = service.config.heartbeat_interval.total_seconds()
                _put(f"beating as {service.machine_id} every {interval:g} s, until SIGINT or SIGTERM")
            signals.wait()
        finally:
            service.stop(leave=arguments.leave)
    if announcer.broken is not None:
        raise announcer.broken
    if not arguments.announce:
        _put(f"stopped{', said goodbye' if arguments.leave else ''}")
    return 0


def _send(service: HeartbeatService, metadata: dict[str, Any]) -> None:
    """Hand over the metadata; a storage that is away gets it with the beat that comes through."""
    try:
        service.register(metadata)
    except HeartbeatRegistrationError as error:
        sys.stderr.write(f"warning: {error}; it is tried again with every beat\n")


class _Announcer:
    """A listener that prints; without a reader there is nobody left to beat for, so it asks to stop."""

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals
        self.broken: BrokenPipeError | None = None

    def __call__(self, event: Transition | CascadeDetected | FleetSilent) -> None:
        if self.broken is None:
            try:
                _put(json.dumps(to_wire(event), ensure_ascii=False))
            except BrokenPipeError as error:
                self.broken = error
                self._signals.stop()


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """What the library logs of trouble goes to standard error meanwhile."""
    logger, handler = logging.getLogger("heartbeat_kit"), logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _metadata(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)  # what it may hold is checked where it is stored
    except (ValueError, RecursionError) as error:
        raise InvalidMetadataError(
            f'--metadata is no JSON ({error}): expected an object such as \'{{"role": "web"}}\''
        ) from error
    return found


def _put(line: str) -> None:
    """One write, so that lines of two threads do not mix."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

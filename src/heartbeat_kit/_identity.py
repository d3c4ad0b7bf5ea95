"""Who a machine is: one function makes an id, one function answers "who am I".

Owns the machine-id rule. Must not know storage; a valid id is a safe file name on every system we support.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from functools import lru_cache

from heartbeat_kit.errors import InvalidMachineIdError, MissingMachineIdError

__all__ = ["default_host", "default_machine_id", "normalize_machine_id"]

_RULE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_RESERVED = frozenset(["con", "prn", "aux", "nul"] + [f"{stem}{n}" for stem in ("com", "lpt") for n in range(10)])
"""Stems Windows keeps for devices, with or without an extension."""


def normalize_machine_id(machine_id: str) -> str:
    """Return the one spelling of a machine id: trimmed, lower-case, checked; never mangled into something else.

    Args:
        machine_id: 1 to 63 characters after trimming: ASCII letters, digits, ``.``, ``_``, ``-``, starting with
            a letter or digit, not ending with a dot, and no name that Windows reserves (``con``, ``nul``, ``com1``…).

    Raises:
        MissingMachineIdError: The text is empty.
        InvalidMachineIdError: Anything else that breaks the rule.

    >>> normalize_machine_id(" MyIA-Web1 ")
    'myia-web1'
    """
    if not isinstance(machine_id, str):
        raise InvalidMachineIdError(f"a machine id is text such as 'web-1', found {type(machine_id).__name__}")
    return _normalized(machine_id)


@lru_cache(maxsize=4096)
def _normalized(machine_id: str) -> str:
    name = machine_id.strip().lower()
    if not name:
        raise MissingMachineIdError("the machine id is empty: give one such as 'web-1', or set MACHINE_ID")
    # Lower-casing makes ASCII of the Kelvin sign: text that is not ASCII is refused as it was given.
    if not _RULE.fullmatch(name) or name.endswith(".") or not machine_id.strip().isascii():
        raise InvalidMachineIdError(
            f"{machine_id[:80]!r} cannot name a machine: use 1 to 63 ASCII letters, digits, '.', '_' or '-', "
            "starting with a letter or digit, no dot at the end"
        )
    if name.split(".", 1)[0] in _RESERVED:
        raise InvalidMachineIdError(
            f"{machine_id!r} is a device name on Windows, no file can have it: "
            f"use for example '{name.replace('.', '-')}-1'"
        )
    return name


def default_machine_id(environ: Mapping[str, str] | None = None) -> str:
    """Return this machine's id: ``MACHINE_ID``, else ``ROOSYNC_MACHINE_ID``, else the host name, normalised.

    Args:
        environ: Where to look; ``os.environ`` by default. A variable that is set but blank counts as unset.

    Raises:
        InvalidMachineIdError: The first source that has a value holds one that cannot name a machine.

    >>> default_machine_id({"MACHINE_ID": "Lab-7"})
    'lab-7'
    """
    source: Mapping[str, str] = os.environ if environ is None else environ
    for variable in ("MACHINE_ID", "ROOSYNC_MACHINE_ID"):
        value = source.get(variable, "")
        if value.strip():
            try:
                return normalize_machine_id(value)
            except InvalidMachineIdError as error:
                raise InvalidMachineIdError(f"{variable} holds no usable machine id: {error}") from error
    try:
        return normalize_machine_id(socket.gethostname())
    except InvalidMachineIdError as error:
        raise InvalidMachineIdError(f"the host name is no usable machine id, set MACHINE_ID: {error}") from error


def default_host() -> str:
    """The name of this host, as records are signed with it."""
    return socket.gethostname().encode("utf-8", "replace").decode()[:255]

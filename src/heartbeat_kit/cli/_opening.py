"""From arguments to a configuration and a service.

Owns which argument becomes which setting. Must not know what a command does with the service.
"""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from heartbeat_kit import HeartbeatConfig, HeartbeatService, open_storage
from heartbeat_kit.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from heartbeat_kit import SyncCoordinator

__all__ = ["SHARED_VARIABLE", "STORAGE_VARIABLE", "WORKSPACE_VARIABLE", "both_sides", "named", "opened"]

STORAGE_VARIABLE = "HEARTBEAT_STORAGE"
WORKSPACE_VARIABLE = "HEARTBEAT_WORKSPACE"
SHARED_VARIABLE = "HEARTBEAT_SHARED"


@contextlib.contextmanager
def opened(arguments: Namespace) -> Iterator[HeartbeatService]:
    """The service a command talks to, not started; its storage is closed at the end.

    Raises:
        InvalidConfigurationError: No storage is named, or a setting cannot be.
    """
    url = named(arguments.storage, "storage", "--storage folder:///srv/share", STORAGE_VARIABLE)
    config = _config(arguments)
    storage = open_storage(url)
    with contextlib.closing(storage):
        yield HeartbeatService(
            storage,
            config,
            machine_id=getattr(arguments, "machine_id", None),
            state_dir=getattr(arguments, "state_dir", None),
        )


def named(given: str | None, what: str, example: str, variable: str) -> str:
    """What was given, else what the environment says.

    Raises:
        InvalidConfigurationError: Neither names it.
    """
    found = given or os.environ.get(variable, "").strip()
    if not found:
        raise InvalidConfigurationError(f"no {what} is named: pass for example {example}, or set {variable}")
    return found


def _config(arguments: Namespace) -> HeartbeatConfig:
    """What is given, over what the environment says, over the defaults."""
    given = {"heartbeat_interval": arguments.interval, "offline_timeout": arguments.timeout}
    try:
        return attrs.evolve(
            HeartbeatConfig.from_env(), **{name: value for name, value in given.items() if value is not None}
        )
    except InvalidConfigurationError as error:
        raise InvalidConfigurationError(f"{error} (see --interval and --timeout)") from error


def both_sides(arguments: Namespace, service: HeartbeatService) -> SyncCoordinator | None:
    """The coordinator of the two folders that are named, or ``None`` if none is.

    Raises:
        InvalidConfigurationError: Only one of them is named, or one cannot be.
    """
    workspace = arguments.workspace or os.environ.get(WORKSPACE_VARIABLE, "").strip()
    shared = arguments.shared or os.environ.get(SHARED_VARIABLE, "").strip()
    if not workspace and not shared:
        return None
    if not workspace or not shared:
        raise InvalidConfigurationError("to sync give both --workspace and --shared, or neither")
    from heartbeat_kit import SyncCoordinator  # noqa: PLC0415 - only whoever syncs pays for it

    return SyncCoordinator(service, workspace=workspace, shared=shared, state_dir=arguments.state_dir)

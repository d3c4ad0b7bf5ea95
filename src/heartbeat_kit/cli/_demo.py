"""`demo`: a real fleet for twenty seconds, checked while it is shown.

Owns the temporary folder and the order of clearing up: whatever happens, no process and no file is left.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Final

from heartbeat_kit import HeartbeatConfig, HeartbeatService, SharedFolderStorage, SystemClock
from heartbeat_kit.cli._demo_audit import Interrupted, Pace, PlayFailed
from heartbeat_kit.cli._demo_fleet import Fleet, ProcessFleet
from heartbeat_kit.cli._demo_play import Play
from heartbeat_kit.cli._demo_site import Site
from heartbeat_kit.cli._demo_stage import Stage
from heartbeat_kit.cli._signals import StopSignals
from heartbeat_kit.cli._terminal import Terminal
from heartbeat_kit.cli._view import span
from heartbeat_kit.errors import StorageError

__all__ = ["demo", "performed"]

_STARTUP_MS: Final = 20_000
_SYNCS_MS: Final = 8_000
_RIGHT, _WRONG = 0, 1


def demo(arguments: Namespace) -> int:
    """Perform the play with real processes in a fresh folder."""
    clock = SystemClock()
    began = clock.now()
    stage = Stage(Terminal(), began)
    with StopSignals() as signals:
        folder = Path(tempfile.mkdtemp(prefix="heartbeat-kit-demo-"))
        try:
            play = _play(arguments, folder, stage, signals)
        finally:
            if not arguments.keep:
                shutil.rmtree(folder, ignore_errors=True)
        if arguments.keep:
            end = f"no process is left; the folder is kept: {folder}"
        else:
            end = "nothing is left: every process has ended, the temporary folder is removed"
            if folder.exists():
                play.problems.append(f"the temporary folder {folder} could not be removed")
        if signals.stopping:
            stage.last(f"Interrupted; {end}", good=False)
            return signals.exit_code
        took = span(clock.now().mono_ms - began.mono_ms)
    if play.problems:
        stage.verdict(play.findings, play.problems)
        stage.last(f"Not as it should be: {len(play.problems)} of what was checked, see above. ({took})", good=False)
        return _WRONG
    stage.verdict([*play.findings, end], [])
    stage.last(f"Everything was as it should be. ({took})", good=True)
    if arguments.keep:
        beat = arguments.seconds_per_beat.total_seconds()
        stage.command(f"heartbeat-kit status --storage '{Site(folder).url}' --interval {beat:g} --timeout {4 * beat:g}")
    return _RIGHT


def _play(arguments: Namespace, folder: Path, stage: Stage, signals: StopSignals) -> Play:
    pace = Pace.of(int(arguments.seconds_per_beat / timedelta(milliseconds=1)))
    machines = [f"pc-{number}" for number in range(1, arguments.machines + 1)]
    site = Site(folder)
    site.share.mkdir()
    stage.title(
        "heartbeat_kit: which of your machines are alive?",
        f"A fleet of {len(machines)} machines shares the folder {site.share}. You will see one of them die and return, "
        f"and another one leave, and what becomes of their files meanwhile; it takes some {span(_length_ms(pace))}.",
    )
    fleet = ProcessFleet(site, beat_seconds=pace.beat_ms / 1000, timeout_seconds=pace.timeout_ms / 1000)
    config = HeartbeatConfig(
        heartbeat_interval=timedelta(milliseconds=pace.beat_ms),
        offline_timeout=timedelta(milliseconds=pace.timeout_ms),
        check_interval=timedelta(milliseconds=pace.look_ms),
    )
    with contextlib.closing(SharedFolderStorage(site.share, propagation_delay=timedelta(0))) as storage:
        clock = SystemClock()
        observer = HeartbeatService(storage, config, clock=clock, machine_id="observer", state_dir=site.state)
        play = Play(
            fleet,
            observer,
            stage,
            site,
            clock=clock,
            wait=signals.wait,
            pace=pace,
            machines=machines,
            startup_ms=_STARTUP_MS,
        )
        performed(play, fleet, observer)
    return play


def performed(play: Play, fleet: Fleet, observer: HeartbeatService) -> None:
    """Perform a play, end every machine and the observer whatever happens, then audit what all of them said."""
    finished = False
    try:
        observer.start()
        play.perform()
        finished = True
    except (PlayFailed, StorageError) as failure:
        play.problems.append(str(failure))
    except Interrupted:
        pass
    finally:
        with contextlib.ExitStack() as ending:
            ending.callback(lambda: play.problems.extend(fleet.stop()))
            observer.stop()
    if finished:
        play.audit()


def _length_ms(pace: Pace) -> int:
    """How long the play takes: its waits grow with the pace, its syncs do not."""
    return 20 * pace.beat_ms + _SYNCS_MS

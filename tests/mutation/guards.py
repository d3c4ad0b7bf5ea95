"""Each guard of the observer, and a test that goes red without it.

``python tests/mutation/guards.py`` copies ``src`` to a temporary folder, takes one guard after the other away there,
runs the test that is named for it against the copy, and prints a table. It exits with 1 if a mutant survives, if a
mutation no longer fits the source, or if a test is red without any mutation. Arguments choose the guards whose name
contains one of them. Not collected by pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src/heartbeat_kit")
UNIT, PURE, FAILURES = "tests/unit", "tests/unit/observer", "tests/regressions"
ATTACKS = f"{UNIT}/test_attacks_guards.py"


class Mutant(NamedTuple):
    """A guard taken away.

    Attributes:
        guard: Its name.
        file: Where it is, below the package.
        old: The text that is it, once in that file.
        new: What stands there without it.
        test: The file of the test that goes red, and its name.
    """

    guard: str
    file: str
    old: str
    new: str
    test: tuple[str, str]


MUTANTS = (
    Mutant(
        "stall: a late look judges nobody",
        "_observer/_guard.py",
        "    if late_ms > 0:",
        "    if late_ms > 10**15:",
        (f"{FAILURES}/test_failures_clocks.py", "test_f53_the_stall_guard_covers_the_whole_pass_and_a_settle_period"),
    ),
    Mutant(
        "settle: time for what had not changed",
        "_observer/_guard.py",
        "return settled(moved, timing, now) if disruption.settle or disruption.resumed else moved",
        "return settled(moved, timing, now) if disruption.resumed else moved",
        (f"{FAILURES}/test_failures_clocks.py", "test_f20_f23_after_a_disturbance_peers_get_time_to_be_heard"),
    ),
    Mutant(
        "clock step: wall against monotonic",
        "_observer/_guard.py",
        "if abs(step) > CLOCK_STEP_MS:",
        "if abs(step) > 10**18:",
        (f"{FAILURES}/test_failures_clocks.py", "test_f20_f23_after_a_disturbance_peers_get_time_to_be_heard"),
    ),
    Mutant(
        "blind: time out of sight does not count",
        "_observer/_guard.py",
        "    if memory.blind_ms is not None:\n        return",
        "    if memory.blind_ms == -1:\n        return",
        (f"{FAILURES}/test_failures_blindness.py", "test_f22_the_first_look_after_an_outage_announces_nobody"),
    ),
    Mutant(
        "blind: a storage that cannot be seen",
        "_watcher.py",
        "        if found is None or found.order < expected.order:",
        "        if found is None or found.order < (0, 0):",
        (f"{UNIT}/test_watcher.py", "test_a_beat_that_cannot_be_read_back_blinds"),
    ),
    Mutant(
        "postponing: lost time moves the deadlines",
        "_observer/_guard.py",
        "lost = max(disruption.lost_ms, uncounted)",
        "lost = uncounted",
        (f"{PURE}/test_guard.py", "test_deadlines_move_out_by_the_time_lost_and_a_timeout_to_settle"),
    ),
    Mutant(
        "postponing: one timeout between two looks",
        "_observer/_guard.py",
        "lost = max(disruption.lost_ms, uncounted)",
        "lost = disruption.lost_ms",
        (f"{PURE}/test_look.py", "test_silence_counts_only_while_somebody_looks"),
    ),
    Mutant(
        "fleet silence: unknown while nobody is heard",
        "_observer/_silence.py",
        "    return now_ms - watermark.of_others(machine_id) > patience_ms(timing, interval_ms)",
        "    return False",
        (f"{PURE}/test_silence.py", "test_unknown_and_one_event_at_once"),
    ),
    Mutant(
        "fleet silence: only where the medium delays",
        "_observer/_silence.py",
        "if not timing.delay_ms or not timing.hold_ms:",
        "if not timing.hold_ms:",
        (f"{PURE}/test_silence.py", "test_on_a_coherent_medium_at_the_ordinary_deadline"),
    ),
    Mutant(
        "fleet silence: told once",
        "_observer/_silence.py",
        "if ledger_entry is not None and ledger_entry.event_id == self.id:",
        "if False:",
        (f"{PURE}/test_silence.py", "test_unknown_and_one_event_at_once"),
    ),
    Mutant(
        "fleet silence: told once by all processes",
        "_observer/_silence.py",
        "        return None if noted is None else noted.order",
        "        return None",
        (ATTACKS, "test_two_processes_that_share_a_ledger_announce_one_silence_once"),
    ),
    Mutant(
        "fleet silence: a stalled look does not say it",
        "_observer/_verdict.py",
        "and (held or _worse(evidence, previous)):",
        "and _worse(evidence, previous):",
        (f"{PURE}/test_silence.py", "test_nor_does_one_whose_clock_was_set"),
    ),
    Mutant(
        "silence hold: it ends",
        "_observer/_verdict.py",
        "if silent and now.mono_ms < believed_ms(known, timing):",
        "if silent:",
        (f"{PURE}/test_silence.py", "test_the_only_peer_s_death_is_found"),
    ),
    Mutant(
        "resumption: who did not rise settles",
        "_observer/_pass.py",
        "            self._disruption = self._disruption._replace(resumed=True)\n",
        "",
        (f"{PURE}/test_silence.py", "test_who_did_not_rise_with_the_first_gets_a_settle_period"),
    ),
    Mutant(
        "resumption: in a new process too",
        "_observer/_pass.py",
        "                known = settled(known, self._timing, self._started)\n",
        "                pass\n",
        (ATTACKS, "test_a_scheduled_observer_waits_for_those_who_are_late_after_a_silence"),
    ),
    Mutant(
        "settle: for no longer than a hold",
        "_observer/_guard.py",
        "until = min(now.mono_ms + timing.timeout_for(known.interval_ms), latest_ms(known, timing))",
        "until = now.mono_ms + timing.timeout_for(known.interval_ms)",
        (f"{PURE}/test_guard.py", "test_nobody_is_given_time_to_settle_for_ever"),
    ),
    Mutant(
        "stall: for no longer than a hold",
        "_observer/_pass.py",
        "stalled=self._disruption.stalled and now.mono_ms < latest_ms(known, timing),",
        "stalled=self._disruption.stalled,",
        (f"{PURE}/test_guard.py", "test_an_observer_that_is_never_in_time_finds_a_death"),
    ),
    Mutant(
        "blind: a look in between counts",
        "_observer/_guard.py",
        "passed - min(memory.blind_ms - memory.last.mono_ms, watched_ms)",
        "passed",
        (ATTACKS, "test_a_death_is_found_by_an_observer_that_sees_every_other_time"),
    ),
    Mutant(
        "watermark: the observer proves nothing",
        "_observer/_pass.py",
        "return heartbeat.machine_id != self._observer and (",
        "return (",
        (f"{PURE}/test_silence.py", "test_the_observer_s_own_beat_is_no_proof_of_the_medium"),
    ),
    Mutant(
        "watermark: its host proves nothing",
        "_observer/_pass.py",
        "(not self._host or heartbeat.host != self._host)",
        "True",
        (ATTACKS, "test_another_machine_of_the_observer_s_own_host_proves_nothing_about_the_medium"),
    ),
    Mutant(
        "watermark: nobody proves it for itself",
        "_observer/_known.py",
        "return self.other_ms if machine_id == self.machine_id else self.rose_ms",
        "return self.rose_ms",
        (f"{PURE}/test_silence.py", "test_one_s_own_rise_is_nobody_else_s"),
    ),
    Mutant(
        "watermark: lost time moves it",
        "_observer/_pass.py",
        "self.watermark = memory.watermark.postponed(disruption.lost_ms, started.mono_ms)",
        "self.watermark = memory.watermark",
        (f"{PURE}/test_silence.py", "test_a_stall_moves_the_watermark"),
    ),
    Mutant(
        "allowance: measured",
        "_observer/_allowance.py",
        "        self.in_force_ms = wanted\n",
        "        self.in_force_ms = UNMEASURED_DELAY_MS\n",
        (f"{PURE}/test_allowance.py", "test_then_it_is_measured_and_the_deadlines_move_with_it"),
    ),
    Mutant(
        "allowance: the deadlines move with it",
        "_watcher.py",
        "return attrs.evolve(timing, delay_ms=self._allowance.in_force_ms)",
        "return timing",
        (f"{PURE}/test_allowance.py", "test_then_it_is_measured_and_the_deadlines_move_with_it"),
    ),
    Mutant(
        "allowance: slower than declared",
        "_medium_state.py",
        "(self.measured_ms or 0) > (self.declared_ms or 0)",
        "(self.measured_ms or 0) < 0",
        (f"{PURE}/test_allowance.py", "test_declared_it_stays_and_slower_is_said_so"),
    ),
    Mutant(
        "cascade: it is noticed",
        "_observer/_cascade.py",
        "    if not any(_counts(move.entry) for move in moves):\n        return None",
        "    if moves is not None:\n        return None",
        (f"{PURE}/test_silence.py", "test_the_death_of_half_the_fleet_is_judged_at_once"),
    ),
    Mutant(
        "cascade: before the transitions",
        "_observer/_look.py",
        "moves.insert(0, brake)",
        "moves.append(brake)",
        (f"{PURE}/test_silence.py", "test_listeners_hear_of_the_cascade_first"),
    ),
    Mutant(
        "cascade: one a window",
        "_observer/_cascade.py",
        "if before is not None and abs(now_ms - before.since_ms) < timing.cascade_ms:",
        "if False:",
        (f"{PURE}/test_cascade.py", "test_one_a_window"),
    ),
    Mutant(
        "flapping: events are marked",
        "_observer/_marks.py",
        "return Marks(known.flapping, in_maintenance or undone)",
        "return Marks(False, in_maintenance or undone)",
        (f"{PURE}/test_flapping.py", "test_transitions_are_marked_from_the_sixth_change_on"),
    ),
    Mutant(
        "flapping: the final state is announced",
        "_observer/_marks.py",
        "return entry.flapping or entry.steady not in (None, entry.status)",
        "return entry.suppressed and entry.steady not in (None, entry.status)",
        (f"{PURE}/test_flapping.py", "test_the_final_state_is_announced_once_without_the_mark"),
    ),
    Mutant(
        "flapping: a window of slots, not of looks",
        "_observer/_flapping.py",
        "return kept if kept and kept[-1] == slot else (*kept, slot)",
        "return (*kept, slot)",
        (f"{PURE}/test_flapping.py", "test_several_changes_in_a_slot_are_one"),
    ),
    Mutant(
        "flapping: hysteresis",
        "_observer/_flapping.py",
        "if flapping else",
        "if False else",
        (f"{PURE}/test_flapping.py", "test_between_the_two_it_stays_as_it_is"),
    ),
    Mutant(
        "maintenance: events are suppressed",
        "_observer/_marks.py",
        "return Marks(known.flapping, in_maintenance or undone)",
        "return Marks(known.flapping, undone)",
        (f"{UNIT}/test_maintenance.py", "test_status_stays_true_and_events_are_marked"),
    ),
    Mutant(
        "flapping: kept across a restart",
        "_observer/_pass.py",
        "return attrs.evolve(known, flapping=True, changes=inherited(slot))",
        "return known",
        (f"{PURE}/test_flapping.py", "test_the_recovery_is_announced_by_the_next_process"),
    ),
    Mutant(
        "maintenance: no return from nowhere",
        "_observer/_marks.py",
        "return Marks(known.flapping, in_maintenance or undone)",
        "return Marks(known.flapping, in_maintenance)",
        (f"{PURE}/test_marks.py", "test_the_return_from_what_was_only_said_with_a_mark"),
    ),
    Mutant(
        "maintenance: told at the end",
        "_observer/_marks.py",
        "return entry.flapping or entry.steady not in (None, entry.status)",
        "return entry.flapping",
        (f"{UNIT}/test_maintenance.py", "test_still_offline_at_the_end_it_is_announced_once"),
    ),
    Mutant(
        "expected: listed",
        "_observer/_pass.py",
        "for machine_id in self._timing.expected:",
        "for machine_id in ():",
        (f"{PURE}/test_expected.py", "test_people_see_it"),
    ),
    Mutant(
        "identity conflict: two hosts",
        "_observer/_rivals.py",
        "return Rival(previous.host, flips, now_ms)",
        "return None",
        (f"{FAILURES}/test_failures_identity.py", "test_f02_two_hosts_under_one_id_are_reported_as_a_conflict"),
    ),
    Mutant(
        "goodbye: believed at once",
        "_observer/_verdict.py",
        "left_at_ms is not None:\n        return MachineStatus.OFFLINE, False",
        "left_at_ms == -1:\n        return MachineStatus.OFFLINE, False",
        (f"{PURE}/test_silence.py", "test_goodbyes_are_believed_at_once"),
    ),
    Mutant(
        "promise: a timeout never shorter than it",
        "_observer/_timing.py",
        "return -(-self.timeout_ms * interval_ms // self.heartbeat_ms)",
        "return self.timeout_ms",
        (f"{FAILURES}/test_failures_running.py", "test_f04_the_promise_travels_in_the_record"),
    ),
    Mutant(
        "future stamp: proves nothing",
        "_observer/_sighting.py",
        "if age > -timeout:",
        "if age > -(10**18):",
        (f"{FAILURES}/test_failures_clocks.py", "test_f19_a_stamp_from_the_future_proves_nothing"),
    ),
    Mutant(
        "confirmation: looks must agree",
        "_observer/_verdict.py",
        "if agreed < needed and",
        "if agreed < 0 and",
        (f"{PURE}/test_look.py", "test_after_a_restart_confirmation_counts_from_what_was_announced"),
    ),
)


def is_red(sources: Path, test: tuple[str, str]) -> bool:
    """Run one test against the package in `sources`.

    Raises:
        RuntimeError: It could not be run.
    """
    file, name = test
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file, "-k", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"{file} -k {name} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.returncode == 1


def outcome(mutant: Mutant, sources: Path) -> str:
    """``red`` if the guard is guarded, or what is wrong."""
    path = sources / "heartbeat_kit" / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"DOES NOT APPLY ({text.count(mutant.old)} places)"
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return "red" if is_red(sources, mutant.test) else "SURVIVES"
    finally:
        path.write_text(text, encoding="utf-8")


def main(chosen: list[str]) -> int:
    """Print the table; 1 if anything is wrong."""
    mutants = [each for each in MUTANTS if not chosen or any(word in each.guard for word in chosen)]
    if idle := [word for word in chosen if not any(word in each.guard for each in MUTANTS)]:
        print(f"no guard is called {', '.join(idle)}; there are: {', '.join(each.guard for each in MUTANTS)}")  # noqa: T201
        return 2
    width = max(len(each.guard) for each in mutants)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "src"
        shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
        where = subprocess.run(
            [sys.executable, "-c", "import heartbeat_kit; print(heartbeat_kit.__file__)"],
            env={**os.environ, "PYTHONPATH": str(sources)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if not where.startswith(folder):
            raise RuntimeError(f"the copy is not what is imported, but {where}")
        fine: dict[tuple[str, str], bool] = {}
        for mutant in mutants:
            if mutant.test not in fine:
                fine[mutant.test] = not is_red(sources, mutant.test)
            found = outcome(mutant, sources) if fine[mutant.test] else "RED BEFORE"
            failed += found != "red"
            print(f"{mutant.guard:<{width}}  {found:<10}  {mutant.test[0]} -k {mutant.test[1]}", flush=True)  # noqa: T201 - a program
    print(f"{len(mutants) - failed} of {len(mutants)} guards are guarded")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

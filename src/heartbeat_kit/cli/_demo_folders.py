"""The second thread of the demo: the machines' folders, and what becomes of them when one of the machines dies.

Owns this part of the plot and what is checked of it, byte for byte. Every step is a real `heartbeat-kit sync` of one of
the machines; the files are the only thing this module writes itself, as people would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from math import ceil
from pathlib import Path
from typing import Any, Final, Protocol

from heartbeat_kit.cli._demo_audit import PlayFailed, differences, saved_once
from heartbeat_kit.cli._demo_errands import AT_ONCE, Answer
from heartbeat_kit.cli._demo_fleet import Fleet
from heartbeat_kit.cli._demo_site import Site, contents
from heartbeat_kit.cli._demo_stage import Stage

__all__ = ["Folders", "Playing"]

_APP, _LIMITS, _MOTD, _NOTES = "app.conf", "limits.conf", "motd.txt", "notes/todo.txt"
_FIRST: Final = {
    _APP: "name = shop\nport = 8000\n",
    _LIMITS: "requests = 100\n",
    _MOTD: "Welcome.\n",
    _NOTES: "buy a bell\n",
}
_DONE, _LEFT = 0, 1


class Playing(Protocol):
    """What this part needs of the play it belongs to."""

    findings: list[str]
    problems: list[str]

    def until(self, what: str, holds: Callable[[], bool], *, rounds: int) -> None:
        """Let the play go on until something holds; it fails if that takes longer than so many starts."""
        ...

    def moment(self, text: str) -> None:
        """A line of the timeline."""
        ...

    def rest(self) -> None:
        """Time to read."""
        ...


class Folders:
    """The folders of the machines.

    Args:
        playing: The play.
        fleet: Runs the errands.
        stage: Where it is shown.
        site: Where the folders are.
        machines: Whose; the first has the files, the second is killed, the last edits meanwhile.
    """

    def __init__(self, playing: Playing, fleet: Fleet, stage: Stage, site: Site, machines: Sequence[str]) -> None:
        self._playing, self._fleet, self._stage, self._site = playing, fleet, stage, site
        self._machines = tuple(machines)
        self._first, self._victim, self._editor = machines[0], machines[1], machines[-1]
        self._theirs: Mapping[str, bytes] = {}
        self._decision = ""

    def come_into_step(self) -> None:
        """Everybody gets the first machine's files, through the baseline."""
        first, victim = self._first, self._victim
        self._stage.act(
            "Everybody keeps the same configuration",
            f"Each machine has a folder of its own. {first} makes a baseline of its files in the share, the others "
            f"receive them. Then {victim} edits three files, and publishes after the second.",
        )
        for machine_id in self._machines:
            self._site.workspace(machine_id).mkdir(parents=True)
        for path, text in _FIRST.items():
            self._write(first, path, text)
        self._send(first, "init")
        self._expect(self._send(first, "online"), "applied", len(_FIRST))
        others = [machine_id for machine_id in self._machines if machine_id != first]
        for answer in self._send_all([(machine_id, ("online",)) for machine_id in others]):
            self._expect(answer, "applied", len(_FIRST))
        wanted = {path: text.encode() for path, text in _FIRST.items()}
        found = differences("the baseline", wanted, contents(self._site.baseline))
        for machine_id in self._machines:
            found += differences(f"the folder of {machine_id}", wanted, self._folder(machine_id))
        self._note(found, f"{len(self._machines)} machines and the baseline hold the same {len(wanted)} files")
        self._edit(victim, _APP, "name = shop\nport = 9000\n")
        self._edit(victim, _LIMITS, "requests = 250\n")
        self._send(victim, "publish")
        self._edit(victim, _NOTES, "buy a bell\npublish this\n")
        self._theirs = self._folder(victim)
        self._playing.rest()

    def go_on_without(self) -> None:
        """Somebody edits the baseline through another machine's folder, one file that the dead machine edited too."""
        self._edit(self._editor, _MOTD, "Welcome. Mind the step.\n")
        self._edit(self._editor, _LIMITS, "requests = 50\n")
        self._expect(self._send(self._editor, "online", "--again"), "applied", 2)

    def preserve(self) -> None:
        """Whoever is first saves what the dead machine published; a file edited on both sides is asked about."""
        victim = self._victim
        survivors = [machine_id for machine_id in self._machines if machine_id != victim]
        self._stage.act(
            f"What {victim} published is preserved",
            f"{len(survivors)} machines try at once: one does it, and the others are told that it was done. {_LIMITS} "
            f"was edited on {victim} and on {self._editor}, so a person is asked, and neither version is touched.",
        )
        answers = self._send_all([(machine_id, ("offline", victim)) for machine_id in survivors], (_DONE, _LEFT))
        found = saved_once(answers, synced=1, decisions=1)
        wanted = {
            **{path: text.encode() for path, text in _FIRST.items()},
            _APP: self._theirs[_APP],
            **{path: self._folder(self._editor)[path] for path in (_MOTD, _LIMITS)},
        }
        found += differences("the baseline", wanted, contents(self._site.baseline))
        found += differences(f"the folder of {victim}", self._theirs, self._folder(victim))
        self._note(
            found,
            f"what {victim} published was preserved while it was gone: by one of {len(survivors)} machines that tried "
            "at once, the others were told so",
        )
        made = {each for answer in answers for each in answer.result.get("decisions", ())}
        if len(made) != 1:
            raise PlayFailed(f"{len(made)} decisions were made, expected one about {_LIMITS}")
        self._decision = made.pop()
        self._playing.rest()

    def catch_up(self) -> None:
        """The answer is given, the machine is brought up to date, and one rollback takes all of it back."""
        victim, first, short = self._victim, self._first, self._decision[:8]
        self._stage.act(
            f"{victim} is brought up to date",
            f"Somebody at {first} answers: the {_LIMITS} of {victim} is right. {victim} receives what it missed, gives "
            "what it had not published, and carries out the answer, in one sync with one backup.",
        )
        approved = self._send(first, "approve", short, "--action", "sync_to_baseline").result
        if approved.get("state") != "approved":
            self._playing.problems.append(f"the answer to {short} is {approved.get('state')}, expected approved")
        before = self._both()
        report = self._send(victim, "online")
        self._expect(report, "applied", 3, resolved=1)
        wanted = {**self._theirs, _MOTD: self._folder(self._editor)[_MOTD]}
        after = self._both()
        found = differences(f"the folder of {victim}", wanted, self._folder(victim))
        found += differences("the baseline", wanted, contents(self._site.baseline))
        self._note(
            found,
            f"{victim} was brought up to date: an edit from elsewhere came, an unpublished one of its own was not "
            f"lost, and the decision about {_LIMITS} was carried out as answered",
        )
        self._playing.rest()
        self._stage.remark("And back: every file of both sides as it was before, and then the rollback is rolled back.")
        undone, found = self._roll_back(report, before, "the rollback")
        self._note(found, f"one rollback restored all {len(before)} files of both sides, byte for byte")
        _, found = self._roll_back(undone, after, "the rollback of the rollback")
        self._note(found, "rolling back the rollback undid it, byte for byte")
        self._playing.rest()

    def _roll_back(self, report: Answer, wanted: Mapping[str, bytes], what: str) -> tuple[Answer, list[str]]:
        name = os.path.basename(report.result.get("backupPath", "no-backup"))
        answer = self._send(self._victim, "rollback", name)
        return answer, differences(what, wanted, self._both())

    def _both(self) -> dict[str, bytes]:
        sides = {self._victim: self._folder(self._victim), "baseline": contents(self._site.baseline)}
        return {f"{side}/{path}": data for side, files in sides.items() for path, data in files.items()}

    def _folder(self, machine_id: str) -> Mapping[str, bytes]:
        return contents(self._site.workspace(machine_id))

    def _edit(self, machine_id: str, path: str, text: str) -> None:
        self._write(machine_id, path, text)
        self._playing.moment(f"{machine_id:<8}  edits {path}")

    def _write(self, machine_id: str, path: str, text: str) -> None:
        file = self._site.workspace(machine_id) / Path(path)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text.encode())

    def _send(self, machine_id: str, *arguments: str, codes: Sequence[int] = (_DONE,)) -> Answer:
        return self._send_all([(machine_id, arguments)], codes)[0]

    def _send_all(
        self, errands: Iterable[tuple[str, tuple[str, ...]]], codes: Sequence[int] = (_DONE,)
    ) -> list[Answer]:
        """Run errands at once, and show each answer as it comes; one that is none ends the play."""
        open_errands: list[Future[Answer]] = [self._fleet.sync(name, *arguments) for name, arguments in errands]
        answers: list[Answer] = []

        def all_answered() -> bool:
            for errand in [each for each in open_errands if each.done()]:
                open_errands.remove(errand)
                answers.append(errand.result())
                self._show(answers[-1])
            return not open_errands

        self._playing.until("the syncs to end", all_answered, rounds=ceil(len(open_errands) / AT_ONCE))
        for answer in answers:
            if answer.code not in codes or not answer.result:
                said = answer.errors or _told(answer.result)
                raise PlayFailed(
                    f"'{answer.asked}' of {answer.machine_id} ended with exit code {answer.code}, saying: {said}"
                )
        return answers

    def _show(self, answer: Answer) -> None:
        told = self._stage.aside(f"→ {_told(answer.result)}")
        self._playing.moment(f"{answer.machine_id:<8}  {answer.asked} {told}")

    def _expect(self, answer: Answer, outcome: str, synced: int, *, resolved: int = 0) -> None:
        changes = answer.result.get("changes", {})
        came = (answer.result.get("outcome"), changes.get("filesSynced"), changes.get("conflictsResolved"))
        if came != (outcome, synced, resolved):
            self._playing.problems.append(
                f"'{answer.asked}' of {answer.machine_id} was {came[0]} with {came[1]} synced and {came[2]} resolved, "
                f"expected {outcome} with {synced} and {resolved}"
            )

    def _note(self, problems: list[str], finding: str) -> None:
        self._playing.problems += problems
        if not problems:
            self._playing.findings.append(finding)


def _told(result: Mapping[str, Any]) -> str:
    changes = result.get("changes")
    if not isinstance(changes, Mapping):
        return str(result.get("message") or result.get("state") or "no answer")
    counts = (
        ("filesSynced", "synced"),
        ("conflictsResolved", "resolved"),
        ("decisionsCreated", "asked"),
    )
    did = ", ".join(f"{changes[name]} {word}" for name, word in counts if changes.get(name))
    left = "".join(f", {path} left alone ({why})" for path, why in dict(result.get("deferred", {})).items())
    return f"{str(result.get('outcome')).replace('_', ' ')}: {did or 'nothing done'}{left}"

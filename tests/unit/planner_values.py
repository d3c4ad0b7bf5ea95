"""Trees and plans as the tests of the planner write them: a letter for a content, ``0`` for no file."""

from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._model import ABSENT, File, Side, Snapshot, SyncMode, Unknown, Unsupported
from heartbeat_kit.sync._planner import make_plan

ENTRIES = {
    "0": ABSENT,
    "x": File(sha256="aa" * 32, size=10),
    "y": File(sha256="bb" * 32, size=11),
    "z": File(sha256="cc" * 32, size=12),
    "w": File(sha256="dd" * 32, size=13),
    "e": File(sha256="ee" * 32, size=0),
    "!": File(sha256="ff" * 32, size=14, doubt="no JSON"),
    "?": Unknown("permission denied"),
    "@": Unsupported("a symbolic link"),
}
LETTERS = {entry: letter for letter, entry in ENTRIES.items()}
SIDES = {Side.BASELINE: "B", Side.MACHINE: "M", Side.CONFLICTS: "C"}
PATH = "app.conf"


def tree(letters="", path=PATH, **more):
    """A snapshot of one path, or of a mapping of paths to letters."""
    files = letters if isinstance(letters, dict) else {path: letters}
    return Snapshot(entries={p: ENTRIES[letter] for p, letter in files.items() if letter != "0"}, **more)


def plan(row, **settings):
    """The plan for one path: ``plan("x y z")`` is base, machine and baseline."""
    return plan_of(*(tree(letter) for letter in row.split()), **settings)


def plan_of(base, machine, baseline, **settings):
    """The plan for three trees, without guards unless they are given."""
    return make_plan(
        base, machine, baseline, **{"mode": SyncMode.ONLINE, "machine_id": "web-1", "guards": Guards.off()} | settings
    )


def effects(found):
    """Effects in short: ``M:x>y`` is x becoming y on the machine."""
    return " ".join(
        f"{SIDES[e.side]}:{LETTERS[e.before or ABSENT]}>{LETTERS[e.after or ABSENT]}" for e in found.effects
    )


def counts(found):
    """Counts in short: synced/resolved/decisions."""
    planned = found.planned
    return f"{planned.files_synced}/{planned.conflicts_resolved}/{planned.decisions_created}"


def agreed(found, path=PATH):
    """What the base becomes, as a letter; ``-`` if it stays."""
    return LETTERS[found.agreed[path] or ABSENT] if path in found.agreed else "-"


def outcome(found):
    """All of it in one line."""
    action = found.actions[0] if found.actions else None
    if action is None:
        return "nothing"
    return f"{action.row} {action.act}: {effects(found) or 'no effect'}, {counts(found)}, base {agreed(found)}"

"""The documents on disk: the same bytes for the same record, read back as written, refused in any other form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sync_world import canonical, has_valid_digest, sealed

from heartbeat_kit.errors import BaselineUnavailableError, DamagedBackupError, DamagedSyncStateError
from heartbeat_kit.sync import Decision, DecisionKind, File, Side, SyncChanges
from heartbeat_kit.sync._archive import Archive, read_archive
from heartbeat_kit.sync._backup import Backup, Kept, content_of, read_backup
from heartbeat_kit.sync._baseline import Manifest, announced, read_manifest, read_sentinel
from heartbeat_kit.sync._decision import decision_id
from heartbeat_kit.sync._journal import Journal, Step, read_journal
from heartbeat_kit.sync._model import ABSENT, Snapshot, Unknown
from heartbeat_kit.sync._places import ARCHIVE, JOURNAL, MANIFEST, SENTINEL, published, receipt
from heartbeat_kit.sync._published import Publication, as_snapshot, read_publication
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._receipt import Receipt, receipt_for, receipts_of
from heartbeat_kit.sync._sealed import Damaged, seal, unseal

UUID = "01234567-89ab-cdef-0123-456789abcdef"
ONE = File(sha256="6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", size=1, mode=0o640)
TWO = File(sha256="d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35", size=1, mode=None)
ENTRIES = {"a.conf": ONE, "d/é.json": TWO}

MANIFEST_OF = Manifest(baseline_id=UUID, generation=3, parent="p" * 64, entries=ENTRIES)
ARCHIVE_OF = Archive(baseline_id=UUID, entries=ENTRIES, taken=("t1", "t2"))
PUBLICATION = Publication(
    machine_id="m1", baseline_id=UUID, number=2, published_at_ms=5, entries=ENTRIES, unknown={"": "x"}, base=ENTRIES,
    taken=("t1",),
)  # fmt: skip
RECEIPT = Receipt(
    transition_id="t1", operation="offline", machine_id="m1", observer="m2", plan_id="p", backup=None,
    backup_digest=None, synced_at_ms=5, changes=SyncChanges(files_synced=1, offline_duration=7),
    agreed={**ENTRIES, "gone": None}, pending=("x",), deferred={"y": "why"},
)  # fmt: skip
SHAS = (ONE.sha256, TWO.sha256, None)
DECISION = Decision(
    id=decision_id("m1", "a", *SHAS), machine_id="m1", path="a", kind=DecisionKind.DELETE, base=SHAS[0],
    machine=SHAS[1], baseline=None, reason="é",
)  # fmt: skip
JOURNAL_OF = Journal(
    id="j", operation="online", machine_id="m1", baseline_id=UUID, plan_id="p", transition_id=None, synced_at_ms=5,
    steps=(Step(side=Side.BASELINE, path="a.conf", before=ONE, after=None),), agreed={"a.conf": None, "b": TWO},
    announce={"a.conf": None}, taken=("t1",), decisions=(DECISION,), closes={DECISION.id: "applied"}, backup="b.json",
    planned=SyncChanges(decisions_created=1), pending=("z",), deferred={"y": "why"},
)  # fmt: skip
BACKUP = Backup(
    operation="online", machine_id="m1", taken_at_ms=5, plan_id="p",
    files=(Kept(side=Side.MACHINE, path="a", before=ONE, after=None),), agreed={"a": ONE, "b": None}, manifest="m",
    decisions=("x",), inline={ONE.sha256: b"1"},
)  # fmt: skip

KINDS = {
    "manifest": (MANIFEST_OF, MANIFEST, lambda tree: read_manifest(tree, UUID)[0]),
    "archive": (ARCHIVE_OF, ARCHIVE, read_archive),
    "publication": (
        PUBLICATION,
        f"{published('m1')}/manifest.json",
        lambda tree: read_publication(tree, "m1", UUID)[0],
    ),
    "receipt": (RECEIPT, receipt("t1", "m2"), lambda tree: receipt_for(tree, "t1")),
    "journal": (JOURNAL_OF, JOURNAL, read_journal),
    "backup": (BACKUP, "b.json", lambda tree: read_backup(tree, "b.json")),
}


@pytest.fixture
def tree(tmp_path):
    return RealTree(tmp_path)


def written(tmp_path, name, data):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back_and_its_digest_is_its_own(kind, tree, tmp_path):
    document, name, read = KINDS[kind]
    path = written(tmp_path, name, document.to_bytes())
    assert has_valid_digest(path)
    found = read(tree)
    assert found == document
    assert found.to_bytes() == document.to_bytes()
    record = json.loads(path.read_bytes())
    assert record["schema"] == 1
    assert record["kind"].startswith("heartbeat_kit.")


@pytest.mark.parametrize("kind", ["archive", "journal"])
def test_what_is_not_there_is_none(kind, tree):
    assert KINDS[kind][2](tree) is None


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9) | st.lists(st.booleans())))
def test_any_record_survives_its_seal(record):
    record = {k: v for k, v in record.items() if k not in ("digest", "kind", "schema")}
    try:
        data = seal("demo", record)
    except UnicodeEncodeError:
        return  # no document can hold a lone surrogate
    assert data == sealed({**record, "kind": "demo", "schema": 1})
    assert unseal("demo", data) == {**record, "kind": "demo", "schema": 1}
    with pytest.raises(Damaged):
        unseal("other", data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.rstrip(b"\n"),
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data.replace(b",", b", ", 1),
        lambda data: data.replace(b'{"a":1', b'{"a":2', 1),
        lambda data: data.replace(b'{"a":1', b'{"a":1.0', 1),
        lambda data: data.replace(b'{"a":1', b'{"a":1,"a":1', 1),
        lambda data: data.replace(b'{"a":1', b'{"a":1,"z":1', 1),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.decode().encode("utf-16"),
    ],
)
def test_any_other_spelling_is_refused(change):
    """Strict: byte for byte as it would be written."""
    data = seal("demo", {"a": 1})
    assert unseal("demo", data)["a"] == 1
    with pytest.raises(Damaged):
        unseal("demo", change(data))


@pytest.mark.parametrize("schema", [0, 2, "1", None, [1]])
def test_a_later_schema_is_refused_and_says_so(schema):
    body = {"a": 1, "kind": "demo", "schema": schema}
    with pytest.raises(Damaged, match="schema"):
        unseal("demo", sealed(body))


def test_the_next_generation_names_its_parent_and_nothing_changes_for_nothing():
    assert MANIFEST_OF.after({"a.conf": ONE}, "d") is None
    assert MANIFEST_OF.after({"other": None}, "d") is None
    following = MANIFEST_OF.after({"a.conf": None, "new": TWO}, "d" * 64)
    assert following.generation == 4
    assert following.parent == "d" * 64
    assert set(following.entries) == {"d/é.json", "new"}


@pytest.mark.parametrize("text", ["", "short", UUID[:-1], f"{UUID}0", UUID.replace("0", "x"), "é" * 36])
def test_a_mark_that_is_no_uuid_is_refused(text, tree, tmp_path):
    written(tmp_path, SENTINEL, text.encode())
    with pytest.raises(BaselineUnavailableError):
        read_sentinel(tree, None)


def test_the_mark_must_be_the_expected_one(tree, tmp_path):
    written(tmp_path, SENTINEL, f"{UUID}\n".encode())
    assert read_sentinel(tree, None) == read_sentinel(tree, UUID) == UUID
    with pytest.raises(BaselineUnavailableError, match="another baseline"):
        read_sentinel(tree, UUID.replace("0", "1"))


def test_a_manifest_of_another_baseline_is_refused(tree, tmp_path):
    written(tmp_path, MANIFEST, MANIFEST_OF.to_bytes())
    with pytest.raises(BaselineUnavailableError, match="another baseline"):
        read_manifest(tree, UUID.replace("0", "1"))


@pytest.mark.parametrize(("generation", "parent"), [(0, ""), (-1, ""), (True, ""), (1.0, ""), ("1", ""), (1, None)])
def test_a_generation_that_cannot_be_is_refused(generation, parent, tree, tmp_path):
    record = {**json.loads(MANIFEST_OF.to_bytes()), "generation": generation, "parent": parent}
    written(tmp_path, MANIFEST, sealed(record))
    with pytest.raises(BaselineUnavailableError):
        read_manifest(tree, UUID)


class TestAnnounced:
    """What of the baseline is believed: as announced, or cut off between writing and announcing."""

    @pytest.mark.parametrize(
        ("listed", "actual", "base", "machine", "believed"),
        [
            (ONE, ONE, None, None, True),
            (ONE, TWO, None, None, False),  # by hand, or on its way
            (ONE, None, ONE, None, False),  # not here yet
            (ONE, TWO, ONE, TWO, True),  # written, not announced
            (ONE, TWO, TWO, TWO, False),  # the announcement is not the old one
            (ONE, TWO, ONE, ONE, False),
            (None, ONE, None, ONE, True),  # made, not announced
            (None, ONE, None, None, False),
            (None, ONE, ONE, ONE, False),  # announced as gone, and here
        ],
    )
    def test_by_one_path(self, listed, actual, base, machine, believed):
        def one(file):
            return {} if file is None else {"p": file}

        manifest = Manifest(baseline_id=UUID, generation=1, parent="", entries=one(listed))
        found = announced(
            manifest, Snapshot(entries=one(actual)), one(base), Snapshot(entries=one(machine)), lambda path: True
        )
        assert found.entry("p") == actual if believed else isinstance(found.entry("p"), Unknown)

    def test_what_takes_no_part_is_not_missed(self):
        found = announced(MANIFEST_OF, Snapshot(), {}, Snapshot(), lambda path: path == "a.conf")
        assert isinstance(found.entry("a.conf"), Unknown)
        assert found.entry("d/é.json") is ABSENT


def test_a_publication_is_unknown_where_its_content_is_not_here():
    found = as_snapshot(PUBLICATION, {}, lambda path: True, lambda path, file: file == ONE)
    assert found.entry("a.conf") == ONE
    assert isinstance(found.entry("d/é.json"), Unknown)
    assert isinstance(found.entry("anything"), Unknown)  # the machine could not read its root
    with_hole = Publication(
        machine_id="m1", baseline_id=UUID, number=1, published_at_ms=1, entries={}, unknown={"d": "x"}
    )
    found = as_snapshot(with_hole, {}, lambda path: True, lambda path, file: True)
    assert isinstance(found.entry("d/x"), Unknown)
    assert found.entry("e") is ABSENT


def test_a_publication_of_another_is_refused(tree, tmp_path):
    written(tmp_path, f"{published('m2')}/manifest.json", PUBLICATION.to_bytes())
    with pytest.raises(Damaged):
        read_publication(tree, "m2", UUID)
    assert read_publication(tree, "m3", UUID) is None


def test_of_several_receipts_the_first_by_observer_counts_and_a_damaged_one_for_nothing(tree, tmp_path):
    for observer in ("m3", "m2"):
        record = {**json.loads(RECEIPT.to_bytes()), "observer": observer}
        written(tmp_path, receipt("t1", observer), sealed(record))
    assert receipt_for(tree, "t1").observer == "m2"
    written(tmp_path, receipt("t1", "m2"), RECEIPT.to_bytes()[:-5])
    assert receipt_for(tree, "t1").observer == "m3"
    assert receipt_for(tree, "t2") is None
    assert receipts_of(tree, "m9") == ()


def test_a_receipt_in_the_folder_of_another_transition_counts_for_nothing(tree, tmp_path):
    written(tmp_path, receipt("t2", "m2"), RECEIPT.to_bytes())
    assert receipt_for(tree, "t2") is None


@pytest.mark.parametrize("taken", [300, 5000])
def test_the_archive_forgets_no_receipt_it_took_in(taken):
    """One that was forgotten would count anew, and bring back the base of its time."""
    archive = Archive(baseline_id=UUID)
    for number in range(0, taken, 100):
        archive = archive.after({}, [f"t{each}" for each in range(number, number + 100)])
    assert set(archive.taken) == {f"t{each}" for each in range(taken)}


def test_the_archive_after_news():
    after = ARCHIVE_OF.after({"a.conf": None, "new": ONE}, ["t2", "t3"])
    assert set(after.entries) == {"d/é.json", "new"}
    assert after.taken == ("t1", "t2", "t3")


class TestBackups:
    def test_a_content_is_checked_against_its_hash(self):
        assert content_of(BACKUP, ONE.sha256, lambda sha: None) == b"1"
        with pytest.raises(DamagedBackupError):
            content_of(BACKUP, TWO.sha256, lambda sha: None)
        assert content_of(BACKUP, TWO.sha256, lambda sha: b"2") == b"2"
        with pytest.raises(DamagedBackupError):
            content_of(BACKUP, TWO.sha256, lambda sha: b"3")

    def test_its_name_says_what_it_is_of(self):
        assert BACKUP.name == "online-sync-m1-5.json"
        assert BACKUP.contents == {ONE.sha256: 1}

    @pytest.mark.parametrize("field", ["side", "path", "before", "after"])
    @pytest.mark.parametrize(
        "value", [None, [], {}, 3, "x", "../x", [[]], [ONE.sha256, 1, 0o4777], ["x", 1, 1]], ids=str
    )
    def test_a_file_in_it_that_cannot_be_is_refused_by_type(self, field, value, tree, tmp_path):
        if (field in ("before", "after") and value is None) or (field == "path" and value == "x"):
            return
        record = json.loads(BACKUP.to_bytes())
        record["files"][0][field] = value
        written(tmp_path, "b.json", sealed(record))
        with pytest.raises(DamagedBackupError):
            read_backup(tree, "b.json")


class TestJournals:
    @pytest.mark.parametrize(
        "step",
        [
            *(None, 3, "x", [], ["machine"]),
            ["bogus", "a", None, None],
            ["machine", 3, None, None],
            [[], "a", None, None],
            ["machine", "a", [], None],
            ["machine", "../a", None, None],
        ],
        ids=str,
    )
    def test_a_step_that_cannot_be_is_refused_by_type(self, step, tree, tmp_path):
        record = {**json.loads(JOURNAL_OF.to_bytes()), "steps": [step]}
        written(tmp_path, JOURNAL, sealed(record))
        with pytest.raises(DamagedSyncStateError):
            read_journal(tree)


def test_one_canonical_form():
    """Ours and the tests' own are one, so no test is true of its own form only."""
    assert seal("demo", {"é": [1, None, "x"]}) == sealed({"é": [1, None, "x"], "kind": "demo", "schema": 1})
    assert canonical({"b": 1, "a": 2}) == b'{"a":2,"b":1}'

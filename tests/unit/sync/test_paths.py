"""Which names can be synced, which are passed over, and which cannot live side by side."""

import time
import unicodedata

import pytest

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.sync._paths import collisions, is_passed_over, path_problem, require_path

NFD = unicodedata.normalize("NFD", "résumé.txt")

REFUSED = [
    ("", "empty"),
    ("/", "absolute"),
    ("/etc/passwd", "absolute"),
    ("//server/share/a", "UNC"),
    ("\\\\server\\share\\a", "UNC"),
    ("\\\\?\\C:\\a", "UNC"),
    ("\\a", "backslash"),
    ("a\\b", "backslash"),
    ("..\\a", "backslash"),
    ("C:", "drive"),
    ("C:/a", "drive"),
    ("C:a", "drive"),
    ("c:\\a", "drive"),
    ("a/C:", "':'"),
    (".", "'.'"),
    ("./a", "'.'"),
    ("a/.", "'.'"),
    ("a/./b", "'.'"),
    ("..", "'..'"),
    ("../a", "'..'"),
    ("a/..", "'..'"),
    ("a/../../b", "'..'"),
    ("a//b", "empty part"),
    ("a/", "empty part"),
    ("a/b//", "empty part"),
    ("...", "dot"),
    ("a.", "dot"),
    ("a./b", "dot"),
    ("a ", "space"),
    ("a /b", "space"),
    (" ", "space"),
    ("a. .", "dot"),
    (NFD, "normal form C"),
    (f"{unicodedata.normalize('NFD', 'é')}/a", "normal form C"),
    ("\u212bngstrom", "normal form C"),
    ("\u212aelvin", "normal form C"),
    ("caf\udce9", "UTF-8"),
    ("\ud800", "UTF-8"),
    ("a" * 256, "256 bytes"),
    (f"x/{'a' * 256}/y", "256 bytes"),
    ("é" * 128, "256 bytes"),
    ("\u017f" * 128, "256 bytes"),
    ("/".join("a" * 33), "33 levels"),
    ("/".join(["a" * 200] * 5 + ["b" * 20]), "1025 bytes"),
    (".hbk-1-2.tmp", "keeps for itself"),
    (".hbk-", "keeps for itself"),
    ("a/.hbk-trash/b", "keeps for itself"),
    (".HBK-Trash", "keeps for itself"),
    (".h\u200bbk-trash", "keeps for itself"),
    (".heartbeat-kit-root", "keeps for itself"),
    ("a/.Heartbeat-Kit-Root", "keeps for itself"),
    ("a (X's conflicted copy 2024-01-01).json", "conflict copy"),
    ("a (X (desk)'s conflicted copy 2024-01-01 (2)).json", "conflict copy"),
    ("a (conflicted copy 2024-01-01 101112).json", "conflict copy"),
    ("a (Copie en conflit de X (bureau) 2026-01-02).json", "conflict copy"),
    ("a (In Konflikt stehende Kopie von X 2026-01-02).json", "conflict copy"),
    ("a (Copia en conflicto de X 2026-01-02).json", "conflict copy"),
    ("a.sync-conflict-20260102-101112-ABCDEFG.json", "conflict copy"),
    ("a.sync-conflict-20260102-101112.json", "conflict copy"),
    ("A.SYNC-CONFLICT-20260102-101112", "conflict copy"),
    ("a.json.conflict1", "conflict copy"),
    ("a.conflict12.json", "conflict copy"),
    ("a_conflict-20260102-101112.json", "conflict copy"),
    ("d.conflict1/a.json", "conflict copy"),
]
CONTROLS = [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
DEVICES = [
    *("con", "prn", "aux", "nul", "conin$", "conout$"),
    *(f"{stem}{digit}" for stem in ("com", "lpt") for digit in "0123456789¹²³"),
]
ACCEPTED = [
    "a",
    "etc/app.json",
    ".config/app/settings.toml",
    ".gitignore",
    "a b/c d.txt",
    " leading space",
    "résumé.txt",
    "日本語/設定.json",
    "שלום.txt",
    "👩\u200d💻.txt",
    "a.b.c..d",
    "..a",
    "...a",
    "-rf",
    "~",
    "a (1).json",
    "a - Copy.json",
    "a-LAPTOP.json",
    "conflict.json",
    "conflicts/notes.conflict",
    "conflict resolution (2024-01-01).txt",
    "sync-conflict-20240101.txt",
    "console/nullable.txt",
    "com/lpt/com10.txt",
    "auxiliary",
    "a.con",
    "a.nul.txt",
    "conin",
    "{guid}.json",
    "a&b;c'd`e^f!g$h%i#j[k]",
    ".hbk",
    ".hbkx",
    "a.hbk-x",
    ".heartbeat-kit",
    "a" * 255,
    "é" * 127,
    "/".join("a" * 32),
    "/".join(["a" * 200] * 5 + ["b" * 19]),
]


@pytest.mark.parametrize(("path", "reason"), REFUSED)
def test_a_path_that_some_system_could_not_keep_is_refused(path, reason):
    problem = path_problem(path)
    assert problem is not None
    assert reason in problem
    assert problem.isprintable()
    assert len(problem) < 250
    problem.encode()


@pytest.mark.parametrize("code", CONTROLS)
@pytest.mark.parametrize("where", ["{}", "a{}b", "a/{}b.txt", "a{}"])
def test_control_characters_line_separators_and_bidi_overrides_are_refused(code, where):
    assert f"U+{code:04X}" in path_problem(where.format(chr(code)))


@pytest.mark.parametrize("character", '<>:"|?*')
@pytest.mark.parametrize("where", ["ab{}", "ab{}c", "d/{}", "{}{}/e"])
def test_characters_windows_forbids_are_refused(character, where):
    assert "Windows forbids" in path_problem(where.format(character, character))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("where", ["{}", "{}.txt", "{}.tar.gz", "a/{}/b", "a/{}.b/c", "{} .txt"])
def test_devices_of_windows_are_refused_in_any_case(device, where):
    for name in (device, device.upper(), device.title()):
        assert "device" in path_problem(where.format(name))


@pytest.mark.parametrize("path", ACCEPTED)
def test_what_every_system_can_keep_is_accepted(path):
    assert path_problem(path) is None
    assert require_path(path) == path


def test_every_part_of_a_path_is_judged():
    for path, _ in REFUSED:
        if path and not path.startswith(("/", "\\")) and len(path) < 300:
            assert path_problem(f"good/{path}") is not None, path
            assert path_problem(f"{path}/good") is not None, path


@pytest.mark.parametrize(("path", "reason"), REFUSED)
def test_the_error_names_the_path_and_the_reason(path, reason):
    with pytest.raises(InvalidConfigurationError) as caught:
        require_path(path)
    assert reason in str(caught.value)
    assert repr(path[:80])[:-1] in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("path", [None, 7, b"etc/app.json", ["a"]])
def test_a_path_that_is_no_text_is_refused(path):
    with pytest.raises(InvalidConfigurationError, match=type(path).__name__):
        require_path(path)


@pytest.mark.parametrize(
    "name",
    [
        *(".app.json.swp", ".app.json.swo", ".app.json.swx", ".app.json.swa", ".swp", "app.json~", "4913"),
        *(".#app.json", "#app.json#", ".goutputstream-A1B2C3", ".app.json.kate-swp", "~$budget.xlsx"),
        *(".~lock.a.odt#", "app.json___jb_tmp___", "app.json___jb_old___", "app.json.tmp", "~wrl0001.tmp", "A.TMP"),
        *("a.zip.crdownload", "a.zip.part", "a.zip.partial", "a.zip.download", "a.zip.opdownload", "a.filepart"),
        *(".sync", ".stfolder", ".stversions", ".syncthing.a.json.tmp", "~syncthing~a.json.tmp"),
        *(".dropbox", ".dropbox.cache", ".dropbox.attr", "desktop.ini", "Desktop.ini", "Thumbs.db", ".DS_Store"),
        *("._a.json", "Icon\r", ".owncloudsync.log", ".nextcloudsync.log", "._sync_1a2b.db", "._sync_1a2b.db-wal"),
        *(".sync_1a2b.db", ".sync_1a2b.db-shm", ".csync_journal.db", ".a.json.~1a2b", "a.rclone_chunk.001_x1y2z3"),
        *(".tmp.drivedownload", ".tmp.driveupload", ".nfs000000000012a4b800000001", ".fuse_hidden0000000100000001"),
        *(".hbk-1-2-3.tmp", ".hbk-trash", ".hbk-x"),
        "a\nb.tmp",
    ],
)
def test_temporaries_and_the_files_of_other_programs_are_passed_over(name):
    assert is_passed_over(name)


@pytest.mark.parametrize(
    "name",
    [
        *("app.json", "a.temp", "a.bak", "a.orig", "tmp", ".tmp", "temp", "part", ".part", "download", "~", "#", "##"),
        *("4913.txt", "14913", ".git", ".gitignore", ".svn", ".hg", ".swift", "a.swp", ".a.svg", ".a.sw", ".swq"),
        *("sync", "sync.db", ".sync_me.db", ".syncrc", "dropbox", "thumbs.dbx", "desktop.ini.txt", "nfs", "_a"),
        *("#a", "a#", ".HBK-x", "hbk-x", ".heartbeat-kit-root", ".~a", "partial.json", "a.tmp.json", "a.parts"),
    ],
)
def test_names_people_give_are_not_passed_over(name):
    assert not is_passed_over(name)


@pytest.mark.parametrize(
    "group",
    [
        ("A", "a"),
        ("Straße", "strasse"),
        ("É.txt", "é.txt"),
        (NFD, "résumé.txt"),
        ("a\u200bb", "ab"),
        ("a", "a/b"),
        ("A", "a/b"),
        ("a", "a/b", "a/b/c"),
        ("A/x", "a/y"),
        ("A/x", "A/z", "a/y"),
        ("d/A/x", "d/a/b/c/y"),
        ("A/b/x", "A/c", "a/B/x"),
        ("\u200b", "\u200c"),
        ("\u200b/a", "\u200c/b"),
        ("\u03a3\u03b1\u03c2", "\u03c3\u03b1\u03c3"),  # a final sigma
    ],
)
def test_paths_that_are_one_name_to_some_file_system_collide(group):
    assert collisions(group) == dict.fromkeys(group, tuple(sorted(group)))
    assert collisions([*reversed(group), "other", "z/other"]) == dict.fromkeys(group, tuple(sorted(group)))


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["a"],
        ["a", "a"],
        ["a", "b", "ab", "a.b"],
        ["a/x", "a/y", "b/x"],
        ["a-b", "a/b"],
        ["a.txt", "a/b"],
        ["a/a", "b/a", "b/b/a"],
        ["e", "é"],
    ],
)
def test_paths_that_live_side_by_side_do_not_collide(paths):
    assert collisions(paths) == {}


def test_groups_are_apart_and_a_path_without_trouble_is_in_none():
    found = collisions(["d/A", "d/a", "d/b", "x/y", "x/Y", "x", "q/R/1", "q/r/2", "q/s"])
    assert found == {
        **dict.fromkeys(["d/A", "d/a"], ("d/A", "d/a")),
        **dict.fromkeys(["x", "x/Y", "x/y"], ("x", "x/Y", "x/y")),
        **dict.fromkeys(["q/R/1", "q/r/2"], ("q/R/1", "q/r/2")),
    }


def test_hostile_names_are_judged_at_once():
    started = time.process_time()
    for name in [
        "(" * 255,
        "(conflicted copy 2024-01-0" * 9,
        ".conflict" * 28,
        "#" * 255,
        ".~" * 127,
        "con" + " " * 200,
    ]:
        path_problem(name)
        path_problem("/".join([name] * 4))
        is_passed_over(name)
    assert time.process_time() - started < 1


def test_a_large_tree_is_judged_fast():
    """A tenth of a tree of 100,000 files, with room for a slow machine."""
    paths = [f"etc/app-{i % 97}/part_{i % 11}/settings-{i}.json" for i in range(10_000)]
    started = time.process_time()
    assert not any(map(path_problem, paths))
    assert collisions(paths) == {}
    assert time.process_time() - started < 0.5

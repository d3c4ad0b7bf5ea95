"""Imports go one way, files stay small, and nobody outside the clock reads one."""

import ast
import statistics
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_the_import_contracts_hold():
    linter = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_stay_small():
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths.values()) <= 200


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_module_says_what_it_owns(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path.name} has no docstring"


CLOCK_READERS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "monotonic_ns"),
    ("time", "sleep"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("pendulum", "now"),
    ("pendulum", "parse"),
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_the_clock_reads_a_clock_and_nobody_parses_like_a_person(path):
    found = {
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    allowed = CLOCK_READERS if path.name == "_clock.py" and path.parent.name == "heartbeat_kit" else set()
    assert not (found & CLOCK_READERS) - allowed


WRITING = {
    *(
        "chmod",
        "fchmod",
        "chown",
        "fchown",
        "fsync",
        "link",
        "makedirs",
        "mkdir",
        "open",
        "remove",
        "removedirs",
        "rename",
    ),
    *("renames", "replace", "rmdir", "symlink", "truncate", "ftruncate", "unlink", "utime", "write", "pwrite"),
}
PORT = {"_real_tree.py", "_exchange.py", "_open_directory.py"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src" / "heartbeat_kit" / "sync").glob("*.py")), ids=lambda path: path.name
)
def test_only_the_port_of_the_sync_changes_files(path):
    """What another did, no simulated disk could stop; only the local folders themselves are made by `_setup`."""
    found = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and ((node.value.id == "os" and node.attr in WRITING) or node.value.id == "shutil")
    }
    assert path.name in PORT or not found


def test_the_command_line_is_the_only_place_that_prints():
    printing = [
        path.relative_to(ROOT / "src").as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert all(name.startswith("heartbeat_kit/cli/") for name in printing)


def test_the_plugin_is_imported_by_nobody_and_imports_us_only_in_fixtures():
    plugin = ast.parse((ROOT / "src" / "_heartbeat_kit_pytest.py").read_text())
    at_import = [
        node
        for node in plugin.body
        if isinstance(node, ast.Import | ast.ImportFrom) and "heartbeat_kit" in ast.unparse(node)
    ]
    assert at_import == []
    assert "_heartbeat_kit_pytest" not in "".join(
        path.read_text() for path in SOURCES if path.name != "_heartbeat_kit_pytest.py"
    )

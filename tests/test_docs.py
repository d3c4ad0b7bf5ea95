"""The documentation says what is there: what it shows is run, what exists is listed."""

import importlib
import re
import sys
from pathlib import Path

import pytest
from sybil import Document
from sybil.parsers.myst import CodeBlockParser

import heartbeat_kit
from heartbeat_kit import aio, doctor, errors, lab, open_storage, ops, roosync, storage, sync, testing
from heartbeat_kit._explain import _REASONS
from heartbeat_kit.adapters import mcp
from heartbeat_kit.cli._parser import make_parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
FENCE = re.compile(r"^ *(?:`{3,}|~{3,}|:{3,})[ \t]*(?P<kind>[^\s`][^\n]*)$", re.MULTILINE)
RUN = {"python", "console"}
SHOWN = {
    "bash",
    "ini",
    "json",
    "text",
    "toml",
    "{eval-rst}",
    "{important}",
    "{include}",
    "{literalinclude}",
    "{toctree}",
}
"""What a fence may hold that is not run: commands with effects, settings, markup."""


def read(path):
    return path.read_text(encoding="utf-8")


def page_id(path):
    return path.relative_to(ROOT).as_posix()


def fences_of(path, language):
    return [region for _, region in Document.parse(str(path), CodeBlockParser(language, str)).regions]


@pytest.fixture
def runner(request):
    """The conftest of the project, which runs the pages."""
    plugin = request.config.pluginmanager.get_plugin(str(ROOT / "conftest.py"))
    assert plugin is not None, "conftest.py of the project is not loaded"
    return plugin


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_fence_is_run_or_cannot_be(runner, path):
    """Each kind of fence is known, and the runner finds an example in each that is to be run."""
    kinds = [found["kind"].split()[0] for found in FENCE.finditer(read(path))]
    assert set(kinds) - SHOWN - RUN == set(), "write ```python for what shall be run; add what cannot be to SHOWN"
    assert runner.pages.should_parse(path)
    found = [region.start for _, region in runner.pages.parse(path).regions]
    for language in RUN:
        fences = fences_of(path, language)
        assert len(fences) == kinds.count(language)
        for fence in fences:
            assert any(fence.start <= start < fence.end for start in found), f"not run:\n{fence.parsed}"


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_nothing_is_skipped(path):
    """No marker hides an example from the run, and no session is hidden behind a statement, where it would not run."""
    text = read(path)
    assert re.search(r"(<!--+|^%)\s*(skip|clear-namespace|invisible)", text, re.MULTILINE) is None
    assert "+SKIP" not in text
    for fence in fences_of(path, "python"):
        assert fence.parsed.startswith(">>> ") == (">>> " in fence.parsed)
    for fence in fences_of(path, "console"):
        assert fence.parsed.startswith("$ ")


def test_the_pages_run_on_one_worker_each(request):
    """The examples of a page share names, so xdist must not part them."""
    assert "--dist=loadfile" in request.config.getini("addopts")


@pytest.mark.parametrize(
    "module",
    [heartbeat_kit, aio, doctor, mcp, ops, storage, testing, errors, lab, roosync, sync],
    ids=lambda module: module.__name__,
)
def test_every_public_name_is_in_the_reference(module):
    reference = "\n".join(read(path) for path in (DOCS / "reference").glob("*.md"))
    documented = set(re.findall(r"\.\. (?:auto\w+|py:data):: (heartbeat_kit[\w.]*)", reference))
    if "heartbeat_kit.errors" in documented:
        documented |= {f"heartbeat_kit.errors.{name}" for name in errors.__all__}
    missing = [
        name for name in module.__all__ if not {f"{module.__name__}.{name}", f"heartbeat_kit.{name}"} & documented
    ]
    assert missing == []


@pytest.mark.parametrize(
    "module",
    [heartbeat_kit, aio, doctor, mcp, ops, storage, testing, lab, roosync, sync],
    ids=lambda module: module.__name__,
)
def test_no_property_is_shown_with_half_its_sentence_as_a_type(module):
    """Sphinx takes what stands before a colon in the first sentence of a property for its type."""
    classes = [getattr(module, name) for name in module.__all__ if isinstance(getattr(module, name), type)]
    torn = [
        f"{cls.__name__}.{name}"
        for cls in classes
        for name, found in vars(cls).items()
        if isinstance(found, property) and ":" in (found.__doc__ or "").split("\n\n")[0].replace("::", "")
    ]
    assert torn == []


def test_every_error_is_in_the_tree_with_its_code():
    """The tree of the module's docstring, which is what the page of errors shows."""
    tree = dict(re.findall(r"─ (\w+Error)\b.*?([A-Z_]{4,})?$", errors.__doc__, re.MULTILINE))
    named = {name for name in errors.__all__ if name != "HeartbeatKitError"}
    assert tree == {name: getattr(errors, name).code if tree.get(name) else "" for name in named}
    assert {name for name, code in tree.items() if not code} == {"StorageError", "SyncError", "ServiceError"}


def test_every_reason_of_a_state_is_in_the_table():
    table = re.findall(r"^\| `(\w+)` \|", read(DOCS / "concepts" / "status.md").split("## Reasons")[1], re.MULTILINE)
    assert sorted(table) == sorted(_REASONS)


def commands_of(parser, *names):
    """Every command that can be run, by its name: a subcommand with that of its command."""
    below = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    if not below:
        yield " ".join(names), parser
    for choices in below:
        for name, found in choices.items():
            yield from commands_of(found, *names, name)


def test_every_option_of_the_command_line_is_in_the_reference():
    """In the section of its command, or in the table of those that go with several."""
    page = read(DOCS / "reference" / "cli.md")
    sections = dict(re.findall(r"^#{2,3} ([^\n]+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    for name, parser in commands_of(make_parser()):
        command, _, below = name.partition(" ")
        text = sections[f"heartbeat-kit {name}"] + sections["Options of beat, status, watch and sync"]
        text += sections[f"heartbeat-kit {command}"] if below else ""
        for action in parser._actions:
            option = action.option_strings[-1] if action.option_strings else action.metavar
            assert option == "--help" or f"`{option}" in text, f"{name} {option}"


def test_the_readme_has_the_two_commands():
    """They are what a newcomer and the automatic checks run, word for word."""
    text = read(ROOT / "README.md")
    see, run = (
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python -m heartbeat_kit demo",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/python -m pytest -n auto",
    )
    assert re.findall(r"^```bash\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL) == [see, run]
    assert f"## See it work\n\n```bash\n{see}\n```\n" in text
    assert f"<!-- ci: test -->\n```bash\n{run}\n```\n" in text


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=page_id)
def test_links_have_words_of_their_own(path):
    """A page is read as it is, too, where nothing fills them in."""
    assert "[](" not in read(path)


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=page_id)
def test_links_outside_the_pages_lead_somewhere(path):
    """Sphinx sees to the links between pages."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", read(path)):
        assert (ROOT / target).is_file(), target


def test_the_tests_of_the_fake_clock_guide_pass(pytester):
    """The blocks that hold tests may be put into a file and run as they are."""
    fences = [fence.parsed for fence in fences_of(DOCS / "how-to" / "test-with-a-fake-clock.md", "python")]
    code = "\n".join(fence for fence in fences if "def test_" in fence)
    pytester.makepyfile(code)
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=code.count("def test_"))


def test_the_entry_point_of_the_storage_guide_works(tmp_path, monkeypatch):
    """A package with the lines of the page is found by `open_storage`."""
    [settings] = fences_of(DOCS / "how-to" / "write-a-storage.md", "toml")
    group, entry = re.fullmatch(r'\[project\.entry-points\."([\w.]+)"\]\n(\S+ = "\S+")\n', settings.parsed).groups()
    info = tmp_path / "site" / "fleet_db-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fleet-db\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(str(info.parent))
    importlib.invalidate_caches()
    opened = open_storage(f"sqlite-file://{tmp_path}/fleet.db")
    assert type(opened) is sys.modules["sqlite_storage"].SqliteStorage
    assert opened.load().heartbeats == {}
    opened.close()

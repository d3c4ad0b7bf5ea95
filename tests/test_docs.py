"""The documentation says what is there: what it shows is run, what exists is listed."""

import argparse
import importlib
import re
import sys
from pathlib import Path

import pytest

import heartbeat_kit
from heartbeat_kit import errors, storage, testing
from heartbeat_kit.cli._parser import make_parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
FENCE = re.compile(r"^ *(?:`{3,}|~{3,}|:{3,})[ \t]*(?P<kind>\S[^\n]*)$", re.MULTILINE)
SHOWN = {"bash", "ini", "json", "text", "toml", "{eval-rst}", "{important}", "{include} ../CHANGELOG.md", "{toctree}"}
"""What a fence may hold that is not run: commands with effects, files, markup."""


def read(path):
    return path.read_text(encoding="utf-8")


def page_id(path):
    return path.relative_to(ROOT).as_posix()


def reference():
    return "\n".join(read(path) for path in (DOCS / "reference").glob("*.md"))


@pytest.fixture
def runner(request):
    """The conftest of the project, which runs the pages."""
    plugin = request.config.pluginmanager.get_plugin(str(ROOT / "conftest.py"))
    assert plugin is not None, "conftest.py of the project is not loaded"
    return plugin


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_python_and_console_fence_is_run(runner, path):
    """Each kind of fence is known, and those with examples are found by the runner, none of them skipped."""
    assert runner.pages.should_parse(path)
    kinds = [found["kind"].strip() for found in FENCE.finditer(read(path))]
    strange = {kind for kind in kinds if not kind.startswith("{literalinclude}")} - SHOWN - {"python", "console"}
    assert strange == set(), "write ```python for what shall be run; add what cannot be run to SHOWN"

    parser = runner.CodeBlockParser("python", lambda example: None)
    fences = [region.parsed for region in runner.pages.parse(path).__class__.parse(str(path), parser).regions_of()] if False else [
        example.parsed for example in runner.Document.parse(str(path), parser).examples()
    ]
    assert len(fences) == kinds.count("python")
    for fence in fences:
        starts_as_session = fence.startswith(">>>")
        assert starts_as_session == (">>> " in fence), "a fence is a session from its first line on, or none"
        assert "doctest: +SKIP" not in fence

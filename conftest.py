"""Runs what the documentation shows: every Python and console block of README.md and docs/, every docstring example.

Owns where examples run (an empty folder, no settings from outside) and how a console block is compared. The blocks of
one page share a namespace, so under xdist a file is never parted (`--dist=loadfile`).
"""

from __future__ import annotations

import doctest
import os
import subprocess
import sysconfig
import tempfile
from contextlib import ExitStack
from unittest import mock

import pytest
from sybil import Example, Sybil
from sybil.evaluators.doctest import OutputChecker
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SETTINGS = (
    "MACHINE_ID",
    "ROOSYNC_MACHINE_ID",
    "HEARTBEAT_INTERVAL",
    "OFFLINE_TIMEOUT",
    "AUTO_SYNC",
    "HEARTBEAT_STORAGE",
)


def enter_an_empty_folder(namespace: dict[str, object]) -> None:
    """Give a page a working directory and a user's state directory of its own."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch.dict(os.environ))
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ["XDG_STATE_HOME"] = os.path.join(folder, ".state")
        os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
        stack.callback(os.chdir, os.getcwd())
        os.chdir(folder)
        namespace["__leave__"] = stack.pop_all().close


def leave_it(namespace: dict[str, object]) -> None:
    """Remove what the page made."""
    namespace.pop("__leave__")()


def run_console(example: Example) -> str | None:
    """Run each ``$ command`` of a console block and compare what it prints with the lines below it."""
    if os.name == "nt":
        pytest.skip("console blocks are written for a POSIX shell")
    for part in ("\n" + example.parsed).split("\n$ ")[1:]:
        command, _, wanted = part.partition("\n")
        ran = subprocess.run(  # noqa: S602 - what a page shows is what a shell is given
            command, shell=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        wanted = wanted.rstrip("\n") + "\n" if wanted.strip() else ""
        if not OutputChecker().check_output(wanted, ran.stdout, FLAGS):
            return f"$ {command}\nexpected:\n{wanted}got:\n{ran.stdout}"
    return None


pages = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS), CodeBlockParser("console", run_console)],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=enter_an_empty_folder,
    teardown=leave_it,
)
# One pattern a level: before Python 3.13 "**" matches a single one.
docstrings = Sybil(
    parsers=[DocTestParser(optionflags=FLAGS)], patterns=["src/*/*.py", "src/*/*/*.py", "src/*/*/*/*.py"]
)

pytest_collect_file = (pages + docstrings).pytest()
collect_ignore = ["docs/_build"]

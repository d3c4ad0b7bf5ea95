"""Every notebook of the documentation runs from top to bottom, and is stored as it was written: without outputs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "docs" / "notebooks").glob("*.ipynb"))
ABSOLUTE = re.compile(r"""(?:^|[\s"'`(=])(?:/[\w.-]+/|~/|file:|[A-Za-z]:[\\/])""", re.MULTILINE)
CELL_RUNNER = """
import ast, json, linecache, sys

namespace = {"__name__": "__main__"}
for name, source in json.load(sys.stdin):
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
        getattr(value, "_repr_html_", value.__repr__)()
"""
"""Does what a kernel does with plain Python: runs the cells in one namespace and renders what the last line gives."""


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source_of(cell):
    return "".join(cell["source"])


def execute(notebook, folder):
    """Run the code cells in order, in a Python of their own that starts in `folder`."""
    cells = [(f"cell {cell['id']}", source_of(cell)) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return subprocess.run(
        [sys.executable, "-c", CELL_RUNNER],
        check=False,
        input=json.dumps(cells),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", "TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8"},
        timeout=600,
    )


def notebook_of(*sources):
    return {"cells": [{"cell_type": "code", "id": str(n), "source": [text]} for n, text in enumerate(sources, 1)]}


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["choose-a-timeout.ipynb"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path):
    ran = execute(read(path), tmp_path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (("one = 1", "one / 0"), "cell 2.*ZeroDivisionError"),
        (("class Bad:\n    def _repr_html_(self):\n        raise LookupError('no table')\nBad()",), "no table"),
        (("one = 1\none +",), "SyntaxError"),
    ],
    ids=["a cell that raises", "a table that cannot be drawn", "a cell that is no Python"],
)
def test_a_broken_cell_is_noticed(sources, message, tmp_path):
    """The test above can fail."""
    ran = execute(notebook_of(*sources), tmp_path)
    assert ran.returncode == 1
    assert re.search(message, ran.stderr, re.DOTALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs(path):
    """What a cell shows is made by each build, so that it cannot be out of date."""
    notebook = read(path)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert [cell["id"] for cell in notebook["cells"] if cell["metadata"]] == []
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_has_a_name_of_its_own(path):
    names = [cell["id"] for cell in read(path)["cells"]]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if re.fullmatch(r"[a-z][a-z-]*", name) is None] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_absolute_path(path):
    """A notebook knows nothing of the machine it was written on."""
    assert [cell["id"] for cell in read(path)["cells"] if ABSOLUTE.search(source_of(cell))] == []


@pytest.mark.parametrize("text", ["open('/tmp/x')", "see /home/me/x", "C:\\x", "~/trace", "/srv/data"])
def test_an_absolute_path_is_noticed(text):
    assert ABSOLUTE.search(text)

"""The simulated tree is the port: its methods, and call by call the results and errors of a real disk."""

import inspect
import os

import pytest

from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._tree import TRASH, Tree

from .sim_disk import SimDisk
from .sim_tree import SimTree


def test_the_simulated_tree_has_the_methods_of_the_port():
    for name, wanted in vars(Tree).items():
        if name.startswith("_"):
            continue
        if isinstance(wanted, property):
            assert hasattr(SimDisk().tree("w"), name), name
        else:
            assert inspect.signature(getattr(SimTree, name)) == inspect.signature(wanted), name


CALLS = [
    ("stat", "f"), ("stat", ""), ("stat", "none"), ("stat", "none/x"), ("stat", "f/x"), ("stat", "../w"),
    ("stat", "/f"),
    ("list", ""), ("list", "d"), ("list", "none"), ("list", "f"), ("list", "d//x"),
    ("read", "f"), ("read", "d"), ("read", "none"), ("read", "f/x"), ("read", ""), ("read", "f", {"limit": 2}),
    ("read", "f", {"keep": False}), ("read", "f", {"limit": 4}),
    ("create", "n", b"new", {"mode": 0o604}), ("create", "f", b"", {"mode": 0o600}),
    ("create", "d", b"", {"mode": 0o600}),
    ("create", "none/n", b"", {"mode": 0o600}), ("create", "f/n", b"", {"mode": 0o600}),
    ("create", "n", b"", {"mode": 0o4755}), ("create", "", b"", {"mode": 0o600}),
    ("mkdir", "n"), ("mkdir", "n", {"mode": 0o700}), ("mkdir", "d"), ("mkdir", "f"), ("mkdir", "none/n"), ("mkdir", ""),
    ("exchange", "f", "d/g"), ("exchange", "f", "none"), ("exchange", "none", "f"), ("exchange", "f", "d"),
    ("move", "f", "n"), ("move", "f", "d/g"), ("move", "none", "n"), ("move", "f", "none/n"), ("move", "d", "n"),
    ("move", "f", "f"), ("move", "f", "d"), ("move", "f", "d/n"),
    ("link", "f", "n"), ("link", "f", "d/g"), ("link", "none", "n"), ("link", "d", "n"), ("link", "f", "none/n"),
    ("replace", "f", "n"), ("replace", "f", "d/g"), ("replace", "none", "n"), ("replace", "f", "none/n"),
    ("replace", "f", "d"), ("replace", "d", "f"), ("replace", "f", "f"), ("replace", "f", "h"),
    ("remove", "f"), ("remove", "none"), ("remove", "d"), ("remove", "f/x"), ("remove", ""), ("remove", "none/x"),
    ("sync", ""), ("sync", "d"), ("sync", "none"), ("sync", "f"),
    ("sync_file", "f"), ("sync_file", "none"), ("sync_file", "d"), ("sync_file", "f/x"),
]  # fmt: skip


def answer(tree, name, *arguments):
    named = arguments[-1] if isinstance(arguments[-1], dict) else {}
    try:
        result = getattr(tree, name)(*(a for a in arguments if a is not named), **named)
    except (OSError, ValueError) as error:
        return type(error), getattr(error, "errno", None)
    if name == "list":
        return [(found, stat.kind) for found, stat in result]
    if name == "read":
        return result.sha256, result.data, result.stat[:3]
    return (result.kind, result.mode) if result else None


def content(tree, directory=""):
    for name, stat in tree.list(directory):
        path = f"{directory}/{name}".removeprefix("/")
        yield path, stat.kind, stat.mode, tree.read(path).data if stat.kind == "file" else b""
        if stat.kind == "directory":
            yield from content(tree, path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="errors are those of POSIX")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(map(str, call)))
def test_each_call_ends_as_on_a_real_disk(call, tmp_path):
    real, simulated = RealTree(tmp_path), SimDisk().tree("w")
    tmp_path.chmod(0o755)
    if call[0] == "exchange":
        if not real.can_exchange:
            pytest.skip("this file system cannot exchange names")
        (tmp_path / TRASH).rmdir()  # where it was tried
    for tree in (real, simulated):
        tree.mkdir("d", mode=0o700)
        tree.create("f", b"four", mode=0o644)
        tree.create("d/g", b"in d", mode=0o600)
        tree.link("f", "h")
    assert answer(simulated, *call) == answer(real, *call)
    assert list(content(simulated)) == list(content(real))

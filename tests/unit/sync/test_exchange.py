"""The two renames `os` has not: swapped in one step, never replaced, and told apart where they cannot be done."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from heartbeat_kit.sync import _exchange
from heartbeat_kit.sync._exchange import exchange, is_supported, move_noreplace

needs_the_call = pytest.mark.skipif(not is_supported(), reason="this system has no renameat2")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").write_text("B")
    handle = os.open(tmp_path, os.O_RDONLY)
    yield tmp_path, handle
    os.close(handle)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@needs_the_call
def test_two_names_are_swapped_and_nothing_else_is_made(folder: tuple[Path, int]) -> None:
    path, handle = folder
    exchange(handle, "a", handle, "b")
    assert contents(path) == {"a": "B", "b": "A"}


@needs_the_call
def test_names_in_two_directories_are_swapped(folder: tuple[Path, int]) -> None:
    path, handle = folder
    (path / "sub").mkdir()
    (path / "sub" / "c").write_text("C")
    inner = os.open(path / "sub", os.O_RDONLY)
    try:
        exchange(handle, "a", inner, "c")
    finally:
        os.close(inner)
    assert (path / "a").read_text() == "C"
    assert (path / "sub" / "c").read_text() == "A"


@needs_the_call
def test_a_missing_name_is_the_systems_error_with_both_names_and_changes_nothing(folder: tuple[Path, int]) -> None:
    path, handle = folder
    with pytest.raises(FileNotFoundError) as found:
        exchange(handle, "a", handle, "missing")
    assert (found.value.filename, found.value.filename2) == ("a", "missing")
    assert contents(path) == {"a": "A", "b": "B"}


@needs_the_call
def test_a_name_that_is_taken_is_never_replaced(folder: tuple[Path, int]) -> None:
    path, handle = folder
    with pytest.raises(FileExistsError):
        move_noreplace(handle, "a", handle, "b")
    assert contents(path) == {"a": "A", "b": "B"}
    move_noreplace(handle, "a", handle, "c")
    assert contents(path) == {"c": "A", "b": "B"}


@needs_the_call
def test_undecodable_names_are_passed_as_they_are(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    name = os.fsdecode(b"\xff")
    try:
        (tmp_path / "a").write_text("A")
        move_noreplace(handle, "a", handle, name)
    finally:
        os.close(handle)
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff"]


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("function", [exchange, move_noreplace])
def test_a_file_system_that_cannot_is_told_apart(monkeypatch: pytest.MonkeyPatch, function, refusal: int) -> None:
    monkeypatch.setattr(_exchange, "_renameat2", lambda: lambda *_: refusal)
    with pytest.raises(OSError, match="no such rename") as found:
        function(0, "a", 0, "b")
    assert found.value.errno == errno.ENOTSUP


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.ENOSPC, errno.EIO])
def test_every_other_error_stays_what_it_is(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(_exchange, "_renameat2", lambda: lambda *_: number)
    with pytest.raises(OSError, match="'a' -> 'b'") as found:
        exchange(0, "a", 0, "b")
    assert found.value.errno == number


def test_a_system_without_the_call_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "_renameat2", lambda: None)
    assert not is_supported()
    with pytest.raises(OSError, match="no such rename") as found:
        exchange(0, "a", 0, "b")
    assert found.value.errno == errno.ENOTSUP


def test_only_linux_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _exchange._renameat2.__wrapped__() is None


@needs_the_call
@pytest.mark.skipif(os.uname().machine not in {"x86_64", "aarch64"}, reason="its number is known for these alone")
def test_an_old_c_library_is_passed_by(folder: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The system call is made by its number; it swaps and refuses as the function does."""
    path, handle = folder
    real = ctypes.CDLL(None, use_errno=True)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syscall=real.syscall))
    call = _exchange._renameat2.__wrapped__()
    assert call(handle, b"a", handle, b"b", 2) == 0
    assert contents(path) == {"a": "B", "b": "A"}
    assert call(handle, b"a", handle, b"b", 1) == errno.EEXIST


def test_an_unknown_processor_without_the_function_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="pdp11"))
    assert _exchange._renameat2.__wrapped__() is None

"""One function makes a machine id, one answers "who am I"."""

import socket

import pytest

from heartbeat_kit import default_machine_id, normalize_machine_id
from heartbeat_kit.errors import InvalidMachineIdError, MissingMachineIdError
from heartbeat_kit.testing import HOSTILE_MACHINE_IDS


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (" MyIA-Web1 ", "myia-web1"),
        ("web-1\n", "web-1"),
        ("0", "0"),
        ("a.b_c-D", "a.b_c-d"),
        ("a" * 63, "a" * 63),
        ("console", "console"),
        ("com10", "com10"),
        ("a.con", "a.con"),
        ("web-", "web-"),
    ],
)
def test_one_spelling(given, name):
    assert normalize_machine_id(given) == name
    assert normalize_machine_id(name) == name


@pytest.mark.parametrize(
    "hostile",
    [*HOSTILE_MACHINE_IDS, "a" * 64, "web.", "nul", "CON.txt", "lpt0", "com9.a.b", "\u212aelvin", "wéb", "a\u200bb"],
)
def test_anything_else_is_refused_never_mangled(hostile):
    with pytest.raises(InvalidMachineIdError):
        normalize_machine_id(hostile)


@pytest.mark.parametrize("nothing", ["", "  ", "\t\n"])
def test_an_empty_id_is_missing(nothing):
    with pytest.raises(MissingMachineIdError):
        normalize_machine_id(nothing)


@pytest.mark.parametrize("thing", [None, 7, b"web-1", ["web-1"]])
def test_only_text_is_an_id(thing):
    with pytest.raises(InvalidMachineIdError, match=type(thing).__name__):
        normalize_machine_id(thing)


def test_the_first_source_with_a_value_wins(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Host-Name")
    assert default_machine_id({"MACHINE_ID": " A ", "ROOSYNC_MACHINE_ID": "b"}) == "a"
    assert default_machine_id({"MACHINE_ID": "  ", "ROOSYNC_MACHINE_ID": "B"}) == "b"
    assert default_machine_id({}) == "host-name"


def test_the_environment_is_the_default_source(monkeypatch):
    monkeypatch.setenv("MACHINE_ID", "From-Env")
    assert default_machine_id() == "from-env"


def test_a_bad_source_is_named_not_skipped(monkeypatch):
    """Falling back to another source would let one machine live twice."""
    with pytest.raises(InvalidMachineIdError, match=r"^MACHINE_ID holds no usable"):
        default_machine_id({"MACHINE_ID": "../x", "ROOSYNC_MACHINE_ID": "b"})
    monkeypatch.setattr(socket, "gethostname", lambda: "büro")
    with pytest.raises(InvalidMachineIdError, match="set MACHINE_ID"):
        default_machine_id({})

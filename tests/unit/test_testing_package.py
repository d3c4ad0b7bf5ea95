"""`heartbeat_kit.testing`: its names, loaded when asked for, and what works without pytest."""

import subprocess
import sys

import pytest

from heartbeat_kit import testing
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import InvalidMachineIdError


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there_and_listed():
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    assert set(testing.__all__) <= set(dir(testing))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Fake'"):
        _ = testing.Fake


def test_importing_the_package_loads_nothing_of_it():
    code = (
        "import sys, heartbeat_kit.testing; print([m for m in sys.modules if m.startswith('heartbeat_kit.testing.')])"
    )
    assert run(code) == "[]"


def test_all_but_the_contract_works_without_pytest():
    code = """
import sys
sys.modules["pytest"] = None
from heartbeat_kit import testing
from heartbeat_kit.errors import MissingDependencyError
for name in testing.__all__:
    try:
        getattr(testing, name)
    except MissingDependencyError as error:
        print(name, error)
"""
    assert run(code) == "StorageContract StorageContract is a class of pytest tests: pip install pytest"


def test_contract_is_collected_in_subclasses_only():
    assert not testing.StorageContract.__name__.startswith("Test")


@pytest.mark.parametrize("machine_id", testing.HOSTILE_MACHINE_IDS, ids=lambda text: ascii(text)[:30])
def test_every_hostile_machine_id_is_refused(machine_id):
    with pytest.raises(InvalidMachineIdError):
        normalize_machine_id(machine_id)

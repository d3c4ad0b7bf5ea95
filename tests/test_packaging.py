"""What is installed is what was written: metadata, typing marker, entry points, licence."""

import re
from importlib import metadata
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_core_dependencies_are_the_five_that_were_agreed():
    required = [r for r in metadata.requires("heartbeat-kit") or [] if "extra ==" not in r]
    names = {re.split(r"[<>=!~ ;\[]", requirement, maxsplit=1)[0] for requirement in required}
    assert names == {"attrs", "cattrs", "filelock", "pendulum", "platformdirs"}


def test_filelock_is_new_enough_to_be_safe():
    (filelock,) = [r for r in metadata.requires("heartbeat-kit") or [] if r.startswith("filelock")]
    assert filelock.replace(" ", "") == "filelock>=4.2.1"


def test_the_package_is_typed_and_licensed():
    assert files("heartbeat_kit").joinpath("py.typed").is_file()
    assert metadata.metadata("heartbeat-kit")["License-Expression"] == "MIT"


def test_the_plugin_and_the_command_are_registered():
    distribution = metadata.distribution("heartbeat-kit")
    found = {(entry.group, entry.name): entry.value for entry in distribution.entry_points}
    assert found["pytest11", "heartbeat_kit"] == "_heartbeat_kit_pytest"
    assert found["console_scripts", "heartbeat-kit"] == "heartbeat_kit.__main__:main"


def test_the_changelog_names_the_version():
    assert f"[{metadata.version('heartbeat-kit')}]" in (ROOT / "CHANGELOG.md").read_text()

"""Importing the package costs what is used of it, prints nothing, starts nothing."""

import subprocess
import sys


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, threading\nassert threading.active_count() == 1\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_importing_the_package_loads_no_optional_dependency():
    optional = {"pandas", "rich", "pytest", "hypothesis", "mcp", "anyio", "numpy", "matplotlib"}
    everything = (
        "import heartbeat_kit, heartbeat_kit.testing\n[getattr(heartbeat_kit, n) for n in heartbeat_kit.__all__]"
    )
    assert not loaded_after(everything) & optional


def test_importing_the_package_loads_no_part_of_it_that_is_not_used():
    ours = {name for name in loaded_after("import heartbeat_kit") if name.startswith("heartbeat_kit")}
    assert ours == {"heartbeat_kit", "heartbeat_kit._lazy"}


def test_a_service_in_memory_loads_no_file_backend_and_no_words():
    ours = loaded_after("from heartbeat_kit import HeartbeatService, MemoryStorage")
    unused = {
        "heartbeat_kit.storage.json_file",
        "heartbeat_kit.storage.shared_folder",
        "heartbeat_kit.storage.local_ledger",
        "heartbeat_kit._explain",
        "heartbeat_kit._tables",
        "heartbeat_kit._wire",
        "heartbeat_kit.testing",
        "heartbeat_kit.cli",
    }
    assert not ours & unused

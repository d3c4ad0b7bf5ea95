"""What all tests share: pytester, for tests of the pytest plugin, and signals that are not ignored."""

import contextlib
import gc
import signal

import pytest

pytest_plugins = ["pytester"]


def pytest_configure(config):
    """Under nohup or in the background of a script signals are ignored, and children would inherit that."""
    with contextlib.suppress(ValueError):  # not the main thread: then nothing can be set
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in ("SIGTERM", "SIGHUP", "SIGQUIT"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


DEEP = {
    "test_cli",
    "test_failures_damage",
    "test_history",
    "test_json_file",
    "test_local_ledger",
    "test_record_files",
    "test_trace",
}
"""Modules that feed JSON nested to the recursion limit."""


@pytest.fixture(autouse=True)
def _no_collection_in_the_depths(request):
    """A collection that starts at the recursion limit runs finalizers of other tests there, and they fail."""
    if request.node.path.stem not in DEEP:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

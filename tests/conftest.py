"""What all tests share: pytester, for tests of the pytest plugin, and signals that are not ignored."""

import contextlib
import signal

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

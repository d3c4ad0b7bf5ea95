"""What all tests share: pytester, for tests of the pytest plugin."""

pytest_plugins = ["pytester"]

"""Fixtures of heartbeat_kit for pytest."""

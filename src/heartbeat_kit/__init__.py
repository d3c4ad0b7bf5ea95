"""heartbeat_kit."""

"""Observer."""

"""Faces of the library for other systems; each needs an extra of its own and holds no logic."""

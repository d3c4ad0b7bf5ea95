"""Names that are loaded when they are first used (PEP 562), so importing a package costs what is used of it.

Owns that and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(package: str, homes: Mapping[str, str], name: str) -> Any:
    """Resolve `name` for a package's ``__getattr__`` and keep it there.

    Args:
        package: The package's ``__name__``.
        homes: Module inside the package, by public name.
        name: The name asked for.

    Raises:
        AttributeError: The package has no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(import_module(f"{package}.{homes[name]}"), name)
    setattr(sys.modules[package], name, value)
    return value

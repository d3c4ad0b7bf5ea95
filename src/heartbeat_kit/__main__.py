"""`python -m heartbeat_kit`, and the `heartbeat-kit` command."""

import sys

from heartbeat_kit.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())

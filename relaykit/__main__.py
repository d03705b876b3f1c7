"""``python -m relaykit``: the command ``relaykit``."""

import sys

from relaykit.commands.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())

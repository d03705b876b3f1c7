"""Runs the command line of relaykit, as a client that dials again at once whatever happened.

Else the rests between its attempts would become long, as they should be, and a test could not see it
reconnect a thousand times.
"""

from __future__ import annotations

import sys

from relaykit.commands.main import main
from relaykit.sansio.control import backoff

__all__ = ["impatient_command"]


def impatient_command(*arguments: str) -> tuple[str, ...]:
    """The command line of such a program."""
    return (sys.executable, "-m", __name__, *arguments)


if __name__ == "__main__":
    backoff.AGAIN = backoff.FIRST_LOGIN = backoff.Pace(0.001, 0.001)
    sys.exit(main())

"""Runs the command line of relaykit with clocks that a test can set; see :class:`Clocks`.

``python clocks.py FILE ARGUMENTS...``: the file says by how many seconds the time of day, and the time that
the machine has been suspended, are ahead of what they are.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from attrs import frozen

__all__ = ["Clocks"]


@frozen
class Clocks:
    """The clocks of one program.  Its own process is told other times; the machine keeps the right ones."""

    path: Path

    def set(self, day_s: float = 0.0, asleep_s: float = 0.0) -> None:
        """Lets the time of day step, and the machine have been suspended, by so much in all."""
        draft = self.path.with_suffix(".new")
        draft.write_text(f"{day_s} {asleep_s}")
        draft.replace(self.path)

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The command line of a program of ours with these clocks."""
        self.set()
        return (sys.executable, __file__, str(self.path), *arguments)


def _main() -> int:
    path = Path(sys.argv.pop(1))
    day, clock = time.time, time.clock_gettime

    def ahead(which: int) -> float:
        return float(path.read_text().split()[which])

    def told_clock(number: int) -> float:
        return clock(number) + (ahead(1) if number == time.CLOCK_BOOTTIME else 0.0)

    # Before Twisted is imported: its reactor takes the function, not the module.
    time.time = lambda: day() + ahead(0)
    time.clock_gettime = told_clock
    from relaykit.commands.main import main

    return main()


if __name__ == "__main__":
    sys.exit(_main())

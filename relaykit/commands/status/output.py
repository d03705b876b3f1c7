"""Whether a stream can be written to without waiting: who shows a client must not stop its traffic."""

from __future__ import annotations

import select
from typing import TextIO

__all__ = ["takes_output"]


def takes_output(stream: TextIO) -> bool:
    """Whether a terminal or a pipe is ready for more; one that was stopped with Ctrl-S is not."""
    try:
        _, ready, _ = select.select([], [stream.fileno()], [], 0)
    except (OSError, ValueError):  # no descriptor, or a system that cannot ask
        return True
    return bool(ready)

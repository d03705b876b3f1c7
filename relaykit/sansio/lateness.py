"""What a late wake-up means: this side was held up, so the peer's silence proves nothing yet."""

from __future__ import annotations

from typing import Final

__all__ = ["LATE_S", "MERCY_S", "mercy_until"]

LATE_S: Final = 2.0
"""A wake-up that is later than this was held up on this side: a stopped process, a machine out of breath."""

MERCY_S: Final = 5.0
"""Seconds that the peer gets after such a pause: what it sent meanwhile waits to be read."""


def mercy_until(due: float | None, now: float) -> float:
    """Until when silence must be forgiven by who wanted to be woken at ``due`` and is at ``now``."""
    return now + MERCY_S if due is not None and now - due > LATE_S else now

"""What a late wake-up means: this side was held up, so the peer's silence proves nothing yet."""

from __future__ import annotations

from typing import Final

__all__ = ["GRACE_S", "LATE_WAKEUP_S", "grace_until"]

LATE_WAKEUP_S: Final = 2.0
"""A wake-up that is later than this was held up on this side: a stopped process, a machine out of breath."""

GRACE_S: Final = 5.0
"""Seconds that the peer gets after such a pause: what it sent meanwhile waits to be read."""


def grace_until(due: float | None, now: float) -> float:
    """Until when silence must be forgiven by who wanted to be woken at ``due`` and is at ``now``."""
    return now + GRACE_S if due is not None and now - due > LATE_WAKEUP_S else now

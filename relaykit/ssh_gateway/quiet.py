"""A log that says nothing, for the classes of the library that would log each channel and each packet."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

__all__ = ["QUIET"]


class _Quiet(Logger):
    def emit(self, level: Any, format: str | None = None, **kwargs: Any) -> None:
        """Nothing: the gateway itself logs what matters."""


QUIET = _Quiet()
"""For the attribute ``_log`` of such classes."""

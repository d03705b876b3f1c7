"""Where in the source an event of the log came from."""

from __future__ import annotations

import sys

__all__ = ["PLACE", "place_of_caller"]

PLACE = "log_place"
"""The field of an event that has its place, where that cannot be seen any more when it is written."""

_SKIPPED_MODULES = ("twisted.logger.", "twisted.python.log", "relaykit.logs.")
"""Modules between the place that logs and the observer."""


def place_of_caller() -> str:
    """Folder, file and line of the code that logged, as ``server/service.py:21``."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if not frame.f_globals.get("__name__", "").startswith(_SKIPPED_MODULES):
            break
        frame = frame.f_back
    path = frame.f_code.co_filename.rsplit("/", 2)
    return f"{'/'.join(path[-2:])}:{frame.f_lineno}"

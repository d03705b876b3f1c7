"""Makes a process fit for many users."""

from __future__ import annotations

import gc
import linecache

__all__ = ["COLLECT_AFTER", "prepare_process"]

COLLECT_AFTER = (10_000, 20, 20)
"""When the garbage collector runs, as ``gc.set_threshold`` has it.  Python's own 700 objects come together
with every few users; connections free their memory without it, and collecting was a tenth of their cost."""


def prepare_process() -> None:
    """Lets this process open as many descriptors as it may, and collect garbage less often.

    Every user of a proxy takes several descriptors.  Call it once everything is imported: what is there by
    then is never collected.
    """
    _raise_descriptor_limit()
    # attrs keeps the source of every method that it makes there, for debuggers: half a megabyte.
    linecache.clearcache()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _raise_descriptor_limit() -> None:
    try:
        import resource
    except ImportError:  # this system has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # some systems have "unlimited" here and do not mean it
        return

"""Finds the files that ``includes`` means."""

from __future__ import annotations

import fnmatch
import os
import re

__all__ = ["included_files"]

MOST_FILES = 10_000
"""Files that one entry may mean: a pattern that matches more is a mistake."""


def included_files(pattern: str, cwd: str) -> list[str]:
    """The regular files that ``DIRECTORY/PATTERN`` means, by name; relative to ``cwd``.

    The directory is taken as it is.  ``*``, ``?``, ``[a-z]`` and ``[^a]`` work in the last part.

    :raises OSError: the directory cannot be read.
    :raises ValueError: the pattern matches too many files.
    """
    directory, name = os.path.split(os.path.abspath(os.path.join(cwd, pattern)))
    matches = re.compile(fnmatch.translate(name.replace("[^", "[!"))).match
    with os.scandir(directory) as entries:
        found = [entry.path for entry in entries if matches(entry.name) and not entry.is_dir()]
    if len(found) > MOST_FILES:
        raise ValueError(f"matches more than {MOST_FILES} files")
    return sorted(found, key=os.fsencode)

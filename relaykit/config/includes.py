"""Finds the files that ``includes`` means."""

from __future__ import annotations

import os
import re

__all__ = ["included_files"]

MOST_FILES = 10_000
"""Files that one entry may mean: a pattern that matches more is a mistake."""


def included_files(pattern: str, cwd: str) -> list[str]:
    """The regular files that ``DIRECTORY/PATTERN`` means, by name; relative to ``cwd``.

    The directory is taken as it is.  ``*``, ``?``, ``[a-z]``, ``[^a]`` and escapes work in the last
    part; one that is malformed matches nothing.

    :raises OSError: the directory cannot be read.
    :raises ValueError: the pattern matches too many files.
    """
    directory, name = os.path.split(os.path.abspath(os.path.join(cwd, pattern)))
    with os.scandir(directory) as entries:
        compiled = _compiled(name)
        if compiled is None:
            return []
        found = [entry.path for entry in entries if compiled.match(entry.name) and not entry.is_dir()]
    if len(found) > MOST_FILES:
        raise ValueError(f"matches more than {MOST_FILES} files")
    return sorted(found, key=os.fsencode)


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The regular expression of a pattern; None if it is malformed."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            if at == len(pattern):
                return None
            parts.append(re.escape(pattern[at]))
            at += 1
        elif character == "[":
            members = re.compile(r"(\^?)((?:\\.|[^\]\\-])(?:-(?:\\.|[^\]\\-]))?)+\]", re.S).match(pattern, at)
            if members is None:
                return None
            parts.append(_character_class(members[0][:-1]))
            at = members.end()
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts) + r"\Z", re.S)


def _character_class(members: str) -> str:
    negated = members.startswith("^")
    body = ""
    for match in re.finditer(r"\\(.)|(.)", members[negated:], re.S):
        character = match[1] or match[2]
        body += "-" if match[2] == "-" else re.escape(character)
    return f"[{'^' if negated else ''}{body}]"

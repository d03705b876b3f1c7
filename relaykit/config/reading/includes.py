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


_MEMBER = r"(?:\\.|[^\]\\-])"
_MEMBERS = re.compile(rf"(?P<negated>\^?)(?P<ranges>(?:{_MEMBER}(?:-{_MEMBER})?)+)\]", re.S)
_RANGE = re.compile(rf"({_MEMBER})(?:-({_MEMBER}))?", re.S)
_NOTHING = "(?!)"


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
            members = _MEMBERS.match(pattern, at)
            if members is None:
                return None
            parts.append(_one_of(members))
            at = members.end()
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts) + r"\Z", re.S)


def _one_of(members: re.Match[str]) -> str:
    """The regular expression of what is between brackets; a range from high to low has no members."""
    ranges = ""
    for low, high in _RANGE.findall(members["ranges"]):
        first, last = low[-1], (high or low)[-1]
        if first <= last:
            ranges += f"{re.escape(first)}-{re.escape(last)}"
    if not ranges:
        return "." if members["negated"] else _NOTHING
    return f"[{members['negated']}{ranges}]"

"""What the target of a request asks for: names, from the folder on down."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from attrs import frozen

__all__ = ["Asked", "Moved", "parse_path"]

_SAFE: Final = "/!$&'()*+,;=:@~"
_ABSOLUTE = re.compile(rb"(?i:https?)://[^/?#]*")


@frozen
class Asked:
    """``names`` lead to a file or a folder; ``is_folder`` tells that a slash ends the path.

    ``path`` is what a user reads above a listing.
    """

    names: Sequence[str]
    is_folder: bool
    path: str


@frozen
class Moved:
    """The same thing has a simpler path, which ``location`` leads to."""

    location: str


def parse_path(target: bytes, prefix: str = "") -> Asked | Moved | None:
    """What is asked for; None if it is nothing below ``/prefix/``.

    Escapes are undone once.  A path with ``..``, ``.`` or several slashes in a row, however these are
    written, is moved to the path that it comes to, which leads nobody above ``/``.
    """
    if absolute := _ABSOLUTE.match(target):
        target = target[absolute.end() :] or b"/"
    written, question, query = target.partition(b"?")
    if not written.startswith(b"/"):
        return None
    path = unquote_to_bytes(written)
    cleaned = _cleaned(path)
    if cleaned != path:
        return Moved(quote(cleaned, safe=_SAFE) + (question + query).decode("latin-1"))
    begins = b"/" + b"".join(os.fsencode(each) + b"/" for each in prefix.split("/") if each)
    if not path.startswith(begins):
        return None
    rest = os.fsdecode(path[len(begins) :])
    names = rest.split("/")
    is_folder = not names[-1]
    return Asked(names[:-1] if is_folder else names, is_folder, os.fsdecode(path))


def _cleaned(path: bytes) -> bytes:
    """The path without steps that lead nowhere.  Source: RFC 3986 section 5.2.4."""
    kept: list[bytes] = []
    steps = path.split(b"/")
    for step in steps:
        if step == b"..":
            del kept[-1:]
        elif step not in (b"", b"."):
            kept.append(step)
    ends = b"/" if kept and steps[-1] in (b"", b".", b"..") else b""
    return b"/" + b"/".join(kept) + ends

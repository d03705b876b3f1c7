"""Files that are replaced as a whole: whoever reads one finds all of the old or all of the new."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
from pathlib import Path

__all__ = ["remove_drafts", "replace_file"]

_AS_IT_IS = getattr(os, "O_BINARY", 0)
"""Windows would else change line ends."""

_MODE_OF_DRAFTS = 0o600
_DRAFT_BYTES = 8
"""Random ones in the name of a draft."""


def replace_file(path: Path, content: bytes, mode: int = _MODE_OF_DRAFTS) -> None:
    """Replaces a file, or makes it, durably: it is on the disk when this returns.

    What is written until then is a file beside it, which only its owner can read.

    :param path: in a folder that is there; a symbolic link is replaced itself.
    :param mode: of the new file.
    :raises OSError: it cannot be; the former file is as it was, and nothing is left beside it.
    """
    draft = path.with_name(f"{_before_drafts(path)}{secrets.token_hex(_DRAFT_BYTES)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _AS_IT_IS, _MODE_OF_DRAFTS)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.chmod(mode)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    _flush_folder(path.parent)


def remove_drafts(path: Path) -> None:
    """Removes what programs that were killed have left beside a file, which nobody replaces at the moment.

    :raises OSError: one cannot be removed.
    """
    name = re.compile(rf"{re.escape(_before_drafts(path))}[0-9a-f]{{{2 * _DRAFT_BYTES}}}")
    for each in path.parent.glob(f"{glob.escape(_before_drafts(path))}*"):
        if name.fullmatch(each.name):
            each.unlink(missing_ok=True)


def _before_drafts(path: Path) -> str:
    return f".{path.name}."


def _flush_folder(path: Path) -> None:
    """Makes a rename in a folder last, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

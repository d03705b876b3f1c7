"""What kind of file a name promises."""

from __future__ import annotations

from mimetypes import MimeTypes
from typing import Final

__all__ = ["type_of"]

_ADDED: Final = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".js": "text/javascript",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".toml": "text/plain",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "text/plain",
    ".yml": "text/plain",
}
"""Beside those of Python, of which older versions lack some."""

_COMPRESSED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": "application/x-brotli",
    "compress": "application/x-compress",
}
_WITH_CHARSET: Final = ("application/json", "application/xml", "image/svg+xml")

# Not those of this machine: a folder is to be served alike everywhere.
_TYPES = MimeTypes()
for _ending, _type in _ADDED.items():
    _TYPES.add_type(_type, _ending)


def type_of(name: str) -> str:
    """The value of ``Content-Type``; a name that promises nothing is for saving, not for looking at."""
    kind, coding = _TYPES.guess_type(f"./{name}", strict=True)
    if coding is not None:
        return _COMPRESSED.get(coding, "application/octet-stream")
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind in _WITH_CHARSET else kind

"""The pages of a role: files that belong to the package, or those of a folder that the operator names.

They load nothing from elsewhere, and have the browser see to that.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from attrs import field, frozen

from relaykit.administration.calls import Answer, Call, text_answer
from relaykit.administration.routes import Route

__all__ = ["MOST_FILE_BYTES", "PageFile", "page_routes"]

MOST_FILE_BYTES = 8 * 1024 * 1024
"""Bytes of a file of the operator's: a page with pictures has some hundred thousand."""

_OWN = Path(__file__).with_name("static")
_INDEX = "index.html"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
}
"""What machines have different opinions of, and what is worth being compressed."""

_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""``no-cache`` has a browser ask each time whether there is something new."""


@frozen
class PageFile:
    """A file as it is answered."""

    content: bytes = field(repr=False)
    type: str
    tag: str
    compressed: bytes | None = field(repr=False)

    @classmethod
    def of(cls, name: str, content: bytes) -> PageFile:
        """A file by its name."""
        suffix = Path(name).suffix.lower()
        known = _TYPES.get(suffix)
        kind = known or mimetypes.guess_type(name)[0] or "application/octet-stream"
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        compressed = gzip.compress(content, mtime=0) if known else None
        return cls(content, kind, tag, compressed)

    def answer(self, call: Call) -> Answer:
        """It, or word that the browser has it already."""
        headers = {**_HEADERS, "ETag": self.tag, "Vary": "Accept-Encoding"}
        if self.tag in call.header("If-None-Match"):
            return Answer(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = self.content
        if self.compressed is not None and "gzip" in call.header("Accept-Encoding"):
            headers["Content-Encoding"] = "gzip"
            body = self.compressed
        return Answer(type=self.type, body=body, headers=headers)


def page_routes(role: str, folder: str = "") -> Iterator[Route]:
    """Where pages are: ``/`` leads to them.

    :param role: ``server`` or ``client``, whose pages they are.
    :param folder: what to serve in place of them; empty for them.
    """
    find = _in_folder(Path(folder)) if folder else _of_package(f"{role}.html")

    def static(call: Call) -> Answer:
        return _answer(find, call, call.names["path"] or _INDEX)

    def icon(call: Call) -> Answer:
        return _answer(find, call, "favicon.ico" if folder else "icon.svg")

    yield Route(method="", path="/", handler=_to_pages)
    yield Route(method="GET", path="/static/{path*}", handler=static)
    yield Route(method="GET", path="/favicon.ico", handler=icon)


def _to_pages(call: Call) -> Answer:
    headers = {"Location": "/static/"}
    if call.method != "GET":
        return Answer(status=HTTPStatus.MOVED_PERMANENTLY, headers=headers)
    body = b'<a href="/static/">Moved Permanently</a>.\n\n'
    kind = "text/html; charset=utf-8"
    return Answer(status=HTTPStatus.MOVED_PERMANENTLY, type=kind, body=body, headers=headers)


def _answer(find: Callable[[str], PageFile | None], call: Call, name: str) -> Answer:
    found = find(name)
    if found is None:
        return text_answer(HTTPStatus.NOT_FOUND, "404 page not found")
    return found.answer(call)


def _of_package(index: str) -> Callable[[str], PageFile | None]:
    # There are few, and they stay the same while the program runs.
    @lru_cache(maxsize=64)
    def find(name: str) -> PageFile | None:
        name = index if name == _INDEX else name
        content = _read(_OWN, name)
        return None if content is None else PageFile.of(name, content)

    return find


def _in_folder(folder: Path) -> Callable[[str], PageFile | None]:
    def find(name: str) -> PageFile | None:
        name = f"{name}{_INDEX}" if name.endswith("/") else name
        content = _read(folder, name)
        return None if content is None else PageFile.of(name, content)

    return find


def _read(folder: Path, name: str) -> bytes | None:
    """A file in a folder, wherever its name or a link would lead; None for what is not there."""
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except (OSError, ValueError):
        return None
    return content if len(content) <= MOST_FILE_BYTES else None

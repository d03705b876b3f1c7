"""Which call goes where: a table of paths, with frp's answers for what is not in it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, quote, unquote_to_bytes

from attrs import field, frozen

from relaykit.administration.calls import Answer, Call, Handler, in_capitals, text_answer

__all__ = ["BAD_REQUEST", "MOST_QUERY_KEYS", "Found", "Route", "Routes"]

MOST_QUERY_KEYS = 100
"""Keys of a query that are read; the longest list of filters has seven."""

BAD_REQUEST = Answer(status=HTTPStatus.BAD_REQUEST, type="text/plain; charset=utf-8", body=b"400 Bad Request")
"""For what is no request of HTTP."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Source: RFC 9110 section 9.2.1; TRACE is none of an API."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNESCAPED = "/:@!$&'()*+,;=~-._"


@frozen(kw_only=True)
class Route:
    """One path, or many: ``{name}`` in it stands for one part that is not empty, and ``{name*}`` at its end
    for all that follows, which may be nothing.

    :ivar method: empty for any.
    :ivar changes: whether a call changes anything although its method says that it does not.
    :ivar is_open: whether nobody is asked who they are.
    :ivar is_private: whether it shows or takes secrets, so that it is not for everybody on this machine.
    :ivar is_escaped: whether the path is compared as it was sent, so that a part may have a ``/`` in it, as
        ``%2F``; else without escapes.
    :ivar failed: makes the answer of a call that failed.
    :ivar summary: what it is for, where the API describes itself.
    :ivar told: the class of what is answered there; None for no JSON.
    :ivar asks: the keys of the query there, with what each is for.
    :ivar takes: what the body is there, which is JSON; empty for none.
    """

    method: str
    path: str
    handler: Handler
    changes: bool = False
    is_open: bool = False
    is_private: bool = False
    is_escaped: bool = False
    failed: Callable[[int, str], Answer] = in_capitals
    summary: str = ""
    told: type | None = None
    asks: Mapping[str, str] = field(factory=dict)
    takes: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether a call changes nothing."""
        return self.method in _SAFE_METHODS and not self.changes


@frozen
class Found:
    """Where a call goes."""

    route: Route
    call: Call


@frozen
class Routes:
    """All routes of a server."""

    routes: Sequence[Route]

    def find(self, method: str, target: str, body: bytes = b"") -> Found | Answer:
        """Where a call goes, or what is answered to one that goes nowhere.

        :param target: the path and the query, as they were sent.
        """
        sent, _, query = target.partition("?")
        if not sent.startswith("/") or _BAD_ESCAPE.search(sent):
            return BAD_REQUEST
        path = _unescaped(sent)
        clean = _clean(path)
        if clean != path:
            location = quote(clean, safe=_UNESCAPED) + (f"?{query}" if query else "")
            return Answer(status=HTTPStatus.MOVED_PERMANENTLY, headers={"Location": location})
        parts, sent_parts = path.split("/"), sent.split("/")
        known = False
        for route in self.routes:
            wanted = route.path.split("/")
            names = _names(wanted, sent_parts if route.is_escaped else parts)
            if names is None:
                continue
            if route.method in ("", method):
                if route.is_escaped:
                    names = {name: _unescaped(part) for name, part in names.items()}
                call = Call(method=method, path=path, query=_read_query(query), names=names, body=body)
                return Found(route, call)
            known = True
        if known:
            return Answer(status=HTTPStatus.METHOD_NOT_ALLOWED)
        return text_answer(HTTPStatus.NOT_FOUND, "404 page not found")


def _names(wanted: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    """What the parts of a path are called by a route; None if it is none of its paths."""
    if wanted[-1].endswith("*}") and len(parts) >= len(wanted):
        before = len(wanted) - 1
        found = _names(wanted[:before], parts[:before])
        return None if found is None else {**found, wanted[-1][1:-2]: "/".join(parts[before:])}
    if len(wanted) != len(parts):
        return None
    names: dict[str, str] = {}
    for each, part in zip(wanted, parts, strict=True):
        if each.startswith("{"):
            if not part:
                return None
            names[each[1:-1]] = part
        elif each != part:
            return None
    return names


def _clean(path: str) -> str:
    """Without empty parts and dots, as Go's ``path.Clean``; a slash at the end stays."""
    clean = "/" + posixpath.normpath(path).lstrip("/")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _read_query(query: str) -> dict[str, list[str]]:
    """The keys and values of a query; one with far too many is none."""
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=MOST_QUERY_KEYS)
    except ValueError:
        return {}

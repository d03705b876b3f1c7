"""A call of an API and its answer as values, which know nothing of HTTP's framing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
from attrs import field, frozen

__all__ = ["Answer", "Call", "CallFailed", "Handler", "Stream", "in_capitals", "json_answer", "text_answer"]

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

_ESCAPES = {b"&": b"\\u0026", b"<": b"\\u003c", b">": b"\\u003e"}
"""What Go writes for what would mean something in HTML; in JSON these are found in texts alone."""


@frozen(kw_only=True)
class Call:
    """What somebody asks for.

    :ivar query: the values of each key, in their order, without escapes.
    :ivar names: what the path has in the places that its route leaves open, by their names.
    :ivar header: answers the value of a header; empty if it is not there.
    """

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, Sequence[str]] = field(factory=dict, repr=False)
    names: Mapping[str, str] = field(factory=dict)
    body: bytes = field(default=b"", repr=False)
    header: Callable[[str], str] = field(default=lambda name: "", repr=False, eq=False)

    def first(self, key: str) -> str:
        """The first value of a key of the query; empty if there is none."""
        return next(iter(self.query.get(key, ())), "")


Stream: TypeAlias = Callable[[Callable[[bytes], None]], Callable[[], None]]
"""Begins to hand over parts of an answer to who is given, and answers what ends that."""


@frozen(kw_only=True)
class Answer:
    """What is answered; a body without a type says nothing of what it is.

    :ivar stream: what comes in place of a body, without an end.
    :ivar sign: a part of the stream that says nothing, to be sent where nothing else is.
    """

    status: int = HTTPStatus.OK
    type: str = ""
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(factory=dict)
    stream: Stream | None = None
    sign: bytes = b""


Handler: TypeAlias = Callable[[Call], Answer | Awaitable[Answer]]
"""Answers a call, at once or later.

:raises CallFailed: it cannot be done; any other exception is a defect, and is answered as one.
"""


class CallFailed(Exception):
    """A call was refused or has failed; the text is for who made it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def json_answer(value: Any, status: int = HTTPStatus.OK) -> Answer:
    """A value as JSON on one line, as frp's programs write it."""
    body = msgspec.json.encode(value)
    for character, escape in _ESCAPES.items():
        body = body.replace(character, escape)
    return Answer(status=status, type=_JSON, body=body + b"\n")


def text_answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """A line of text, of which no browser makes anything else."""
    headers = {"X-Content-Type-Options": "nosniff", **(headers or {})}
    return Answer(status=status, type=_TEXT, body=text.encode() + b"\n", headers=headers)


def in_capitals(status: int, text: str) -> Answer:
    """A failure in the words of frp's first API, whose keys have capitals."""
    return json_answer({"Code": int(status), "Msg": text}, status)

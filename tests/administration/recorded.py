"""Recorded calls of frp's APIs, and what relaykit does otherwise, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.administration.exchanges import Told, told

__all__ = ["OTHERWISE", "Case", "comparable", "load"]

DIRECTORY = Path(__file__).parents[1] / "captures" / "api"

_TIME = re.compile(r"\d\d-\d\d \d\d:\d\d:\d\d")
_COMPARED = ("content-type", "www-authenticate", "location", "x-content-type-options")

_NO_PAGES = "there are no pages"
_NO_METRICS = "there are no metrics"
_NO_PLUGIN = "this plugin is not there yet"
OTHERWISE: Mapping[str, str] = {
    "root": _NO_PAGES,
    "root no auth": _NO_PAGES,
    "root POST": _NO_PAGES,
    "static": _NO_PAGES,
    "favicon": _NO_PAGES,
    "metrics": _NO_METRICS,
    "metrics no auth": _NO_METRICS,
    "metrics after": _NO_METRICS,
    "proxy config plug": _NO_PLUGIN,
    "store post plugin proxy": _NO_PLUGIN,
    "store delete pl": _NO_PLUGIN,
    "effective before login": "definitions are told without a session, too",
}
"""Cases that are answered otherwise, with the reason."""


@frozen
class Case:
    """One call, and what frp answered."""

    name: str
    sent: bytes
    answer: Told


def load(name: str) -> tuple[dict[str, Any], list[Case]]:
    """The scenario of a recording, and its cases in order, but those that are answered otherwise."""
    header, *lines = (DIRECTORY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(header), list(_cases(map(json.loads, lines)))


def comparable(answer: Told) -> tuple[int, dict[str, str], Any]:
    """What of an answer is the same at any time and over any framing."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    kept = {name: headers[name] for name in _COMPARED if name in headers}
    if kept.get("content-type") != "application/json":
        return answer.status, kept, answer.body
    return answer.status, kept, json.loads(_TIME.sub("TIME", answer.body.decode()))


def _cases(records: Iterator[dict[str, Any]]) -> Iterator[Case]:
    for each in records:
        if each.get("case") in OTHERWISE:
            continue
        if "case" in each:
            (answer,) = told(_unchunked(each["recv"].encode()))
            yield Case(each["case"], each["send"].encode(), answer)


def _unchunked(data: bytes) -> bytes:
    """The same answer with a length."""
    head, _, body = data.partition(b"\r\n\r\n")
    if b"Transfer-Encoding: chunked" in head:
        parts = []
        while body:
            size, _, body = body.partition(b"\r\n")
            parts.append(body[: int(size, 16)])
            body = body[int(size, 16) + 2 :]
        body = b"".join(parts)
    lines = [line for line in head.split(b"\r\n") if not line.startswith((b"Content-Length", b"Transfer"))]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body

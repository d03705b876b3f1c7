"""Asks what an API describes of itself, and holds the answers against that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from relaykit.administration.own.openapi import PREFIX
from relaykit.administration.own.shapes import Failed
from relaykit.administration.routes import Route
from tests.administration.exchanges import Connection, Told, whole

__all__ = ["OwnApi"]


class OwnApi:
    """The API of a role in memory."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.site, self.clock = whole(routes, None)

    def ask(self, method: str, target: str, body: bytes = b"") -> Told:
        """An answer; it has the shape that is described, or that of failures."""
        connection = Connection(self.site)
        connection.ask(method, PREFIX + target, body)
        (answer,) = connection.answers()
        (route,) = [
            each
            for each in self.routes
            if each.method == method and _fits(each.path.removeprefix(PREFIX), target.partition("?")[0])
        ]
        if route.told is not None:
            shape: Any = route.told if answer.status == 200 else Failed
            msgspec.json.decode(answer.body, type=shape, strict=True)
        return answer

    def follow(self, target: str) -> Connection:
        """A connection over which a stream comes."""
        connection = Connection(self.site)
        connection.ask("GET", PREFIX + target)
        return connection


def _fits(path: str, target: str) -> bool:
    parts, given = path.split("/"), target.split("/")
    return len(parts) == len(given) and all(
        part.startswith("{") or part == each for part, each in zip(parts, given, strict=True)
    )

"""Tests for :mod:`relaykit.administration.own.openapi`; those of the roles ask every path."""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Answer, json_answer
from relaykit.administration.own.openapi import PREFIX, described, document, own_failure
from relaykit.administration.own.shapes import EndedUsers
from relaykit.administration.routes import Route
from tests.administration.exchanges import Connection, whole

ROUTES = (
    Route(
        method="DELETE",
        path=f"{PREFIX}/things/{{name}}",
        handler=lambda call: json_answer(EndedUsers(ended=1)),
        summary="Ends one.",
        told=EndedUsers,
        asks={"how": "in which way"},
        takes="why",
    ),
    Route(method="GET", path=f"{PREFIX}/things/{{name}}", handler=lambda call: Answer(), summary="A stream."),
)


class DocumentTests(SynchronousTestCase):
    """Tests for the description of an API."""

    def test_document(self) -> None:
        """It has each route with its places, its query and its answers."""
        told = document(ROUTES, "a test")
        self.assertEqual((told["openapi"], told["info"]["title"]), ("3.1.0", "a test"))
        path = told["paths"][f"{PREFIX}/things/{{name}}"]
        self.assertEqual(set(path), {"get", "delete"})
        delete = path["delete"]
        self.assertEqual(
            [(each["name"], each["in"]) for each in delete["parameters"]],
            [("name", "path"), ("how", "query")],
        )
        self.assertEqual(delete["requestBody"]["description"], "why")
        self.assertNotIn("requestBody", path["get"])
        self.assertEqual(set(delete["responses"]), {"200", "default"})
        self.assertEqual(list(path["get"]["responses"]["200"]["content"]), ["text/event-stream"])

    def test_references(self) -> None:
        """Each class that it refers to is in it."""
        told: dict[str, Any] = document(ROUTES, "a test")
        names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told))
        self.assertEqual(set(names), {"EndedUsers", "Failed"})
        self.assertEqual(set(told["components"]["schemas"]), set(names))

    def test_served(self) -> None:
        """It is served beside what it describes."""
        site, _ = whole(described(ROUTES, "a test"))
        connection = Connection(site)
        connection.ask("GET", f"{PREFIX}/openapi.json")
        (answer,) = connection.answers()
        self.assertEqual(answer.json, document(ROUTES, "a test"))

    def test_failure(self) -> None:
        """A failure has one form."""
        self.assertEqual(own_failure(404, "no").body, b'{"error":"no"}\n')

"""The reference of the own API has what the programs answer."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.api import api_lines, openapi_document
from relaykit.administration.own.openapi import PREFIX


class ApiTests(SynchronousTestCase):
    """Tests for the page of each role."""

    def test_complete(self) -> None:
        """Every call has a section, and every shape that something is answered with has one to go to."""
        for role in ("server", "client"):
            text = "\n".join(api_lines(role))
            calls = openapi_document(role)["paths"]
            self.assertIn(f"{PREFIX}/users", calls)
            for path, methods in calls.items():
                for method, call in methods.items():
                    title = f"{method.upper()} {path.removeprefix(PREFIX)}"
                    self.assertIn(f"\n\n{title}\n{'-' * len(title)}\n\n{call['summary']}\n", text)
            anchors = set(re.findall(r"^\.\. _([a-z0-9-]+):$", text, re.MULTILINE))
            for name in re.findall(r":ref:`\w+ <([^>]+)>`", text):
                self.assertIn(name, anchors)

"""Tests for :mod:`relaykit.administration.own.problems`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.problems import problem_routes
from tests.administration.own.asking import OwnApi


class ProblemsTests(SynchronousTestCase):
    """What is known of problems."""

    def test_told(self) -> None:
        """A problem is told by its id, with what to do; an id that nobody knows is none."""
        api = OwnApi(tuple(problem_routes()))
        told = api.ask("GET", "/problems/local-service").json
        self.assertEqual(told["id"], "local-service")
        self.assertEqual(told["title"], "The local service cannot be reached")
        self.assertTrue(told["remedy"].startswith("Start the service"))
        self.assertEqual(api.ask("GET", "/problems/nobody-knows").status, 404)

"""Tests of the exceptions."""

from __future__ import annotations

import inspect

from twisted.trial.unittest import SynchronousTestCase

from relaykit import errors
from relaykit.errors import LoginRefused, ProxyRefused, RefusalCode, Refused, RelaykitError, VisitRefused


class ErrorTests(SynchronousTestCase):
    """The hierarchy."""

    def test_one_root(self) -> None:
        """Every exception of the module can be caught as RelaykitError, and is listed."""
        classes = {
            name: each
            for name, each in vars(errors).items()
            if inspect.isclass(each) and issubclass(each, Exception)
        }
        self.assertTrue(all(issubclass(each, RelaykitError) for each in classes.values()))
        self.assertEqual(set(errors.__all__) - {"RefusalCode"}, set(classes))

    def test_refusals(self) -> None:
        """A refusal has a code for programs and a text for the peer."""
        for kind in (LoginRefused, ProxyRefused, VisitRefused):
            refusal = kind(RefusalCode.NAME_IN_USE, "taken")
            self.assertIsInstance(refusal, Refused)
            self.assertEqual(
                (refusal.code, refusal.text, str(refusal)), (RefusalCode.NAME_IN_USE, "taken", "taken")
            )

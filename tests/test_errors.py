"""Tests of the exceptions."""

from __future__ import annotations

import inspect

from twisted.trial.unittest import SynchronousTestCase

from relaykit import errors
from relaykit.errors import (
    ConnectionFailed,
    LoginRefusedError,
    NoWorkConnection,
    ProxyRefusedError,
    RefusalCode,
    RefusedError,
    RelaykitError,
    RemoteProtocolError,
    SessionLost,
    VisitRefusedError,
    ended_by,
)
from relaykit.values import Ended


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
        self.assertEqual(set(errors.__all__) - {"RefusalCode", "ended_by"}, set(classes))

    def test_refusals(self) -> None:
        """A refusal has a code for programs and a text for the peer."""
        for kind in (LoginRefusedError, ProxyRefusedError, VisitRefusedError):
            refusal = kind(RefusalCode.NAME_IN_USE, "taken")
            self.assertIsInstance(refusal, RefusedError)
            self.assertEqual(
                (refusal.code, refusal.text, str(refusal)), (RefusalCode.NAME_IN_USE, "taken", "taken")
            )


class EndingTests(SynchronousTestCase):
    """Tests for :func:`ended_by`."""

    def test_endings(self) -> None:
        """What an error means for what it ended."""
        for error, ended in (
            (LoginRefusedError(RefusalCode.OTHER, "no"), Ended.REFUSED),
            (RemoteProtocolError("junk"), Ended.PROTOCOL_ERROR),
            (NoWorkConnection("none"), Ended.TIMEOUT),
            (SessionLost("gone"), Ended.SESSION_ENDED),
            (ConnectionFailed("refused"), Ended.UNREACHABLE),
            (OSError(2, "no such file"), Ended.UNREACHABLE),
            (ZeroDivisionError(), Ended.INTERNAL_ERROR),
        ):
            self.assertIs(ended_by(error), ended)

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
    problem_of,
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
        self.assertEqual(
            set(errors.__all__) - {"RefusalCode", "REFUSALS", "ended_by", "problem_of"}, set(classes)
        )

    def test_refusals(self) -> None:
        """A refusal has a code for programs and a text for the peer."""
        for kind in (LoginRefusedError, ProxyRefusedError, VisitRefusedError):
            refusal = kind(RefusalCode.NAME_IN_USE, "taken")
            self.assertIsInstance(refusal, RefusedError)
            self.assertEqual(
                (refusal.code, refusal.text, str(refusal)), (RefusalCode.NAME_IN_USE, "taken", "taken")
            )


class ProblemTests(SynchronousTestCase):
    """Tests for :func:`problem_of`."""

    def test_errors(self) -> None:
        """An error has the problem that it was given, or else that of its class."""
        self.assertEqual(problem_of(ConnectionFailed("x")), "cannot-connect")
        self.assertEqual(problem_of(ConnectionFailed("x", problem="no-answer"), "other"), "no-answer")
        self.assertEqual(problem_of(RelaykitError("x"), "other"), "other")
        self.assertEqual(problem_of(None, "other"), "other")

    def test_refusals(self) -> None:
        """What a server refuses is told by its words, which are all that the wire carries."""
        for text, problem in (
            ("token in login doesn't match token from configuration", "wrong-token"),
            (
                "token in login doesn't match token from configuration, or TLS is ended in between",
                "bound-login",
            ),
            ("proxy [ssh] already exists", "name-in-use"),
            ("port already used", "port-in-use"),
            ("visitor connection of [db] auth failed", "visit-secret"),
            ("something that nobody foresaw", ""),
        ):
            self.assertEqual(problem_of(text), problem)
            self.assertEqual(problem_of(LoginRefusedError(RefusalCode.OTHER, text)), problem)

    def test_system(self) -> None:
        """An error of the system has a problem where one is known for it."""
        self.assertEqual(problem_of(FileNotFoundError(2, "no"), "other"), "file-not-found")
        self.assertEqual(problem_of(OSError(5, "odd", "a.crt")), "open-file")
        self.assertEqual(problem_of(OSError(5, "odd", "a.crt"), "other"), "other")


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

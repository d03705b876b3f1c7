"""Tests for :mod:`relaykit.local_services.socks5`; what is said is tested with its core."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILocalService, IStreamLeg
from relaykit.local_services.socks5 import STEP_S, local_service
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Ended
from tests.local_services.hosts import LocalScene

GREETING = b"\x05\x01\x00"
REQUEST = b"\x05\x01\x00\x03\x0bexample.com\x00\x50"
NOWHERE = b"\x00\x01" + bytes(6)


class Socks5Tests(SynchronousTestCase):
    """One user after the other."""

    def setUp(self) -> None:
        self.scene = LocalScene(local_service())

    def test_provides(self) -> None:
        """It is a local service, whose password nobody gets to see."""
        service = local_service("alice", "hush")
        verifyObject(ILocalService, service)
        self.assertNotIn("hush", repr(service))

    def test_connected(self) -> None:
        """A user is connected, may send before it is, and each direction ends by itself."""
        user, got = self.scene.connect(GREETING + REQUEST + b"early")
        [(where, service)] = self.scene.dialed
        there = RecordingReceiver(service)
        user.finish_writing()
        self.scene.network.flush()
        self.assertEqual((where, there.data, there.ended), ("example.com:80", b"early", True))
        service.write(b"late")
        service.finish_writing()
        self.scene.network.flush()
        self.assertEqual(got.data[:6], b"\x05\x00\x05\x00\x00\x01")
        self.assertTrue(got.data.endswith(b"late"))
        self.assertIs(got.lost, Ended.FINISHED)

    def test_password(self) -> None:
        """One or both of user and password make a user say both."""
        for user, password in (("alice", ""), ("", "hush"), ("alice", "hush")):
            self.scene = LocalScene(local_service(user, password))
            login = b"\x01%c%b%c%b" % (len(user), user.encode(), len(password), password.encode())
            _, got = self.scene.connect(b"\x05\x01\x02" + login + REQUEST)
            self.assertEqual(got.data[:6], b"\x05\x02\x01\x00\x05\x00")
            _, got = self.scene.connect(b"\x05\x01\x02\x01\x01x\x01x" + REQUEST)
            self.assertEqual((got.data, got.ended), (b"\x05\x02\x01\x01", True))
            self.assertEqual(len(self.scene.dialed), 1)

    def test_not_reached(self) -> None:
        """A user whose service cannot be reached is told the cause, then left; the log has it, too."""
        for problem, code in (("connection-refused", 5), ("unknown-host", 4)):
            self.scene.failure = ConnectionFailed("cannot connect", problem=problem)
            with capturedLogs() as logs:
                _, got = self.scene.connect(GREETING + REQUEST)
            self.assertEqual((got.data, got.ended), (b"\x05\x00\x05%c" % code + NOWHERE, True))
            [event] = logs
            self.assertEqual((event["log_level"], event["reason"]), (LogLevel.debug, "cannot connect"))

    def test_silent(self) -> None:
        """Who does not go on, at whichever step, is left after a minute."""
        for said in (b"", b"\x05", GREETING, GREETING + REQUEST[:-1]):
            _, got = self.scene.connect(said)
            self.scene.network.advance(STEP_S - 1)
            self.assertFalse(got.ended)
            self.scene.network.advance(2)
            self.assertTrue(got.ended)
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])

    def test_left(self) -> None:
        """Who leaves while it is being connected has the connection given up."""
        cancelled: list[bool] = []
        waiting: Deferred[IStreamLeg] = Deferred(lambda _: cancelled.append(True))
        self.scene.waiting = waiting
        user, _ = self.scene.connect(GREETING + REQUEST)
        user.abort()
        self.scene.network.flush()
        self.assertEqual(cancelled, [True])

    def test_looked_at(self) -> None:
        """Who only looks whether the service is there, and leaves, leaves nothing behind."""
        with capturedLogs() as logs:
            user, _ = self.scene.connect()
            user.close()
            self.scene.network.flush()
        self.assertEqual([each["log_level"] for each in logs], [LogLevel.debug])
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])

    def test_defect(self) -> None:
        """What should not happen is logged as a failure, and the user cut off."""
        self.scene.waiting = Deferred()
        _, got = self.scene.connect(GREETING + REQUEST)
        self.scene.waiting.errback(ZeroDivisionError())
        self.scene.network.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIs(got.lost, Ended.RESET)

"""Tests for :mod:`relaykit.server.access`."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.config.schema.server import ServerConfig, ServerLogConfig
from relaykit.interfaces import IServerObserver
from relaykit.logs.access import AccessEntry
from relaykit.logs.access_log import AccessLog, AccessSettings
from relaykit.server.access import AccessObserver, access_settings
from relaykit.server.events import LoginRefused, UserArrived, UserLeft, VisitRefused
from relaykit.values import Address, ClientIdentity, Ended, Origin, Traffic

CLIENT = ClientIdentity("r1", "ann", "c1")
ORIGIN = Origin(Address("192.0.2.1", 4321))


class _Noting(AccessLog):
    """Keeps entries."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.entries: list[AccessEntry] = []

    def add(self, entry: AccessEntry) -> None:
        self.entries.append(entry)


class AccessObserverTests(SynchronousTestCase):
    """Tests for what of events becomes an entry."""

    def setUp(self) -> None:
        self.log = _Noting(Clock())
        self.observer = AccessObserver(self.log, lambda: 1000.0)
        verifyObject(IServerObserver, self.observer)

    def test_users(self) -> None:
        """A user who is gone is an entry, with what was moved and why it ended; one who comes is none."""
        self.observer.on_event(UserArrived(client=CLIENT, proxy="web", origin=ORIGIN))
        traffic = Traffic(10, 20, 1.5, Ended.TIMEOUT)
        self.observer.on_event(UserLeft(client=CLIENT, proxy="web", origin=ORIGIN, traffic=traffic))
        (entry,) = self.log.entries
        self.assertEqual(
            entry,
            AccessEntry(
                time=1000.0,
                address=ORIGIN.source,
                proxy="web",
                client="ann.c1",
                bytes_in=10,
                bytes_out=20,
                seconds=1.5,
                reason="timeout",
            ),
        )

    def test_refused(self) -> None:
        """So is a visitor who was refused; a client that was is none."""
        self.observer.on_event(LoginRefused(origin=ORIGIN, reason="no"))
        self.observer.on_event(VisitRefused(proxy="web", origin=ORIGIN, reason="no"))
        (entry,) = self.log.entries
        self.assertEqual((entry.proxy, entry.client, entry.reason), ("web", "", "refused"))

    def test_follows(self) -> None:
        """Events of users are made only while the log is on."""
        self.assertFalse(self.observer.follows_users)
        self.log.change(AccessSettings(to="console"))
        self.assertTrue(self.observer.follows_users)

    def test_settings(self) -> None:
        """It is as the table says, and off by default."""
        self.assertIsNone(access_settings(ServerConfig().log))
        config = ServerLogConfig(access="users.log", max_days=9, format="json")
        self.assertEqual(access_settings(config), AccessSettings(to="users.log", max_days=9, format="json"))


class ProblemTests(SynchronousTestCase):
    """Tests for what the key may be."""

    def test_file(self) -> None:
        """The log of users is another file than the log, and no folder; both may go to the console."""
        for config, is_wrong in (
            (ServerLogConfig(to="a.log", access="a.log"), True),
            (ServerLogConfig(access="logs/"), True),
            (ServerLogConfig(access="console"), False),
            (ServerLogConfig(to="a.log", access="b.log"), False),
        ):
            self.assertEqual(bool(list(config.problems())), is_wrong, config)

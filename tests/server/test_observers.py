"""Tests of the observers of a server, of the log among them."""

from __future__ import annotations

import typing
from typing import Any

from attrs import define, evolve, field
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.errors import NoWorkConnection
from relaykit.interfaces import IServerObserver
from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.server import events
from relaykit.server.observers import LogObserver, Observers
from relaykit.values import Address, ClientIdentity, Ended, Origin, Reach, Traffic

CLIENT = ClientIdentity("r1", user="ann", client_id="c1")
ORIGIN = Origin(Address("192.0.2.1", 4321))

LINES: list[tuple[Any, LogLevel, list[str]]] = [
    (
        events.ClientConnected(
            client=CLIENT,
            origin=ORIGIN,
            version="0.70.1",
            hostname="h",
            os="linux",
            arch="arm",
            wire=2,
            proof=PeerProof.TOKEN,
            is_named_only=False,
        ),
        LogLevel.info,
        [
            "[r1] client login info: ip [192.0.2.1:4321] version [0.70.1] hostname [h] os [linux] arch [arm]",
            "[r1] the client proved itself: its login is bound to its TLS session",
        ],
    ),
    (
        events.ClientDisconnected(client=CLIENT, why=Ended.TIMEOUT, reason=""),
        LogLevel.info,
        ["[r1] client exit success"],
    ),
    (
        events.LoginRefused(origin=ORIGIN, reason="no"),
        LogLevel.warn,
        ["register control error: no (from 192.0.2.1:4321)"],
    ),
    (
        events.ProxyExposed(client=CLIENT, name="web", type="tcp", address=":6000"),
        LogLevel.info,
        ["[r1] new proxy [web] type [tcp] success"],
    ),
    (
        events.ProxyProbed(
            client=CLIENT, proxy="web", reached=Reach.SERVICE, seconds=0.25, error="", is_news=True
        ),
        LogLevel.info,
        ["[r1] [web] users would be served: a probe got to the service in 0.250 s"],
    ),
    (
        events.ProxyProbed(
            client=CLIENT, proxy="web", reached=Reach.CLIENT, seconds=0.25, error="no\n", is_news=True
        ),
        LogLevel.warn,
        ["[r1] [web] users would not be served: no\\n"],
    ),
    (
        events.ProxyProbed(
            client=CLIENT, proxy="web", reached=Reach.CLIENT, seconds=0.25, error="no", is_news=False
        ),
        LogLevel.debug,
        ["[r1] [web] a probe got to the client"],
    ),
    (
        events.ProxyRefused(client=CLIENT, name="web", type="tcp", reason="port already used", code="other"),
        LogLevel.warn,
        ["[r1] new proxy [web] type [tcp] error: port already used"],
    ),
    (
        events.ProxyClosed(client=CLIENT, name="web", type="tcp", why=Ended.SESSION_ENDED),
        LogLevel.info,
        ["[r1] [web] proxy closing"],
    ),
    (
        events.ProxyClosed(client=CLIENT, name="web", type="tcp", why=Ended.WITHDRAWN),
        LogLevel.info,
        ["[r1] [web] proxy closing", "[r1] close proxy [web] success"],
    ),
    (
        events.VisitRefused(proxy="web", origin=ORIGIN, reason="no"),
        LogLevel.warn,
        ["visit of [web] from 192.0.2.1:4321 is refused: no"],
    ),
    (
        events.UserArrived(client=CLIENT, proxy="web", origin=ORIGIN),
        LogLevel.debug,
        ["[r1] [web] get a user connection [192.0.2.1:4321]"],
    ),
    (
        events.UserServed(client=CLIENT, proxy="web", origin=ORIGIN, waited_s=0.5),
        LogLevel.debug,
        ["[r1] [web] 192.0.2.1:4321 has a work connection after 0.500 s"],
    ),
    (
        events.UserUnserved(client=CLIENT, proxy="web", origin=ORIGIN, error=NoWorkConnection("no")),
        LogLevel.warn,
        ["[r1] [web] no work connection for 192.0.2.1:4321: no"],
    ),
    (
        events.UserLeft(
            client=CLIENT, proxy="web", origin=ORIGIN, traffic=Traffic(1, 2, 3.0, Ended.FINISHED)
        ),
        LogLevel.debug,
        ["[r1] [web] flow from 192.0.2.1:4321 ended: finished"],
    ),
]
"""What the log says to each event; scripts look for frp's words."""


@implementer(IServerObserver)
@define(eq=False)
class Noting:
    """An observer that notes what it is told."""

    follows_users: bool = False
    fails: bool = False
    told: list[Any] = field(factory=list)

    def on_event(self, event: Any) -> None:
        self.told.append(event)
        if self.fails:
            raise ZeroDivisionError("a defect")


class ObserversTests(SynchronousTestCase):
    """Who is told what."""

    def setUp(self) -> None:
        self.observers = Observers()
        self.event: Any = LINES[0][0]

    def test_told(self) -> None:
        """Each is told each event, from when it was added until it is removed."""
        first, second = Noting(), Noting()
        self.observers.add(first)
        self.observers.tell(self.event)
        self.observers.add(second)
        self.observers.tell(self.event)
        self.observers.remove(first)
        self.observers.remove(first)
        self.observers.tell(self.event)
        self.assertEqual((len(first.told), len(second.told)), (2, 2))

    def test_users(self) -> None:
        """Events of users are told to who follows users; whether any does can be asked."""
        first, second = Noting(), Noting(follows_users=True)
        self.observers.add(first)
        self.assertFalse(self.observers.follow_users)
        self.observers.add(second)
        self.assertTrue(self.observers.follow_users)
        self.observers.tell(self.event, of_user=True)
        self.assertEqual((len(first.told), len(second.told)), (0, 1))
        self.observers.remove(second)
        self.assertFalse(self.observers.follow_users)

    def test_failing(self) -> None:
        """One that fails is logged, and keeps nobody from being told."""
        failing, other = Noting(fails=True), Noting()
        self.observers.add(failing)
        self.observers.add(other)
        self.observers.tell(self.event)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(other.told, [self.event])


class LogObserverTests(SynchronousTestCase):
    """The log."""

    def test_floods(self) -> None:
        """What somebody can have refused without end is told with its host, so that it can be counted."""
        client = evolve(CLIENT, address=ORIGIN.source)
        for event in (
            events.LoginRefused(origin=ORIGIN, reason="no"),
            events.ProxyRefused(client=client, name="web", type="tcp", reason="no", code="other"),
            events.VisitRefused(proxy="db", origin=ORIGIN, reason="no"),
        ):
            with capturedLogs() as logged:
                LogObserver(True).on_event(event)
            self.assertEqual([each["stranger"] for each in logged], ["192.0.2.1"])

    def test_lines(self) -> None:
        """Every event has its line, in frp's words where frp has some."""
        observer = LogObserver(True)
        verifyObject(IServerObserver, observer)
        for event, level, lines in LINES:
            with capturedLogs() as logged:
                observer.on_event(event)
            self.assertEqual([formatEvent(each) for each in logged], lines)
            self.assertEqual({each["log_level"] for each in logged}, {level})

    def test_proofs(self) -> None:
        """Whether a client proved itself is told at each login; that it did not is a warning once."""
        connected, observer = LINES[0][0], LogObserver(False)
        for proof, is_named_only, told in (
            (PeerProof.CERTIFICATE, False, [(LogLevel.info, "it has a certificate")]),
            (PeerProof.NONE, False, [(LogLevel.warn, "is not bound to its TLS session")]),
            (
                PeerProof.NONE,
                True,
                [
                    (LogLevel.info, "is not bound to its TLS session"),
                    (LogLevel.warn, "whoever learns its run id can take its users"),
                ],
            ),
            (PeerProof.NONE, True, [(LogLevel.info, "is not bound"), (LogLevel.info, "has no mux")]),
        ):
            with capturedLogs() as logged:
                observer.on_event(evolve(connected, proof=proof, is_named_only=is_named_only))
            self.assertEqual([each["log_level"] for each in logged[1:]], [level for level, _ in told])
            self.assertEqual(logged[1]["proof"], proof.value)
            for event, (_, text) in zip(logged[1:], told, strict=True):
                self.assertIn(text, formatEvent(event))

    def test_every_event(self) -> None:
        """No event is left out."""
        kinds = set(typing.get_args(events.ServerEvent))
        self.assertEqual({type(event) for event, _, _ in LINES}, kinds)

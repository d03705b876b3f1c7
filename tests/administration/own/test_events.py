"""Tests for :mod:`relaykit.administration.own.events`."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.events import MOST_REFUSALS, EventFeed, RefusalNotes, frame, told_event
from relaykit.errors import NoWorkConnection
from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.server import events
from relaykit.values import Address, ClientIdentity, Ended, Origin, Traffic

ANN = ClientIdentity("r1", "ann", "c1")
BOB = ClientIdentity("r2", "", "")
ORIGIN = Origin(source=Address("192.0.2.1", 5000))


def refused(name: str, client: ClientIdentity = ANN) -> events.ProxyRefused:
    """A proxy is not exposed."""
    return events.ProxyRefused(
        client=client, name=name, type="tcp", reason="port already used", code="port-taken"
    )


class FrameTests(SynchronousTestCase):
    """Tests for how events are told."""

    def test_frame(self) -> None:
        """An event is its kind and one line of JSON."""
        event = events.ProxyExposed(client=ANN, name="a\nb", type="tcp", address=":6000")
        head, data, *rest = frame(event, 5.0).decode().split("\n")
        self.assertEqual((head, rest), ("event: proxy-exposed", ["", ""]))
        self.assertEqual(
            json.loads(data.removeprefix("data: ")),
            {"at": 5.0, "client": "ann.c1", "name": "a\nb", "type": "tcp", "address": ":6000"},
        )

    def test_values(self) -> None:
        """Clients, origins, traffic and errors are told in words."""
        left = events.UserLeft(
            client=BOB, proxy="p", origin=ORIGIN, traffic=Traffic(1, 2, 3.0, Ended.FINISHED)
        )
        self.assertEqual(
            told_event(left),
            {
                "client": "r2",
                "proxy": "p",
                "origin": "192.0.2.1:5000",
                "traffic": {"bytesIn": 1, "bytesOut": 2, "seconds": 3.0, "ended": "finished"},
            },
        )
        unserved = events.UserUnserved(
            client=BOB, proxy="p", origin=Origin(), error=NoWorkConnection("it is busy")
        )
        told = told_event(unserved)
        self.assertEqual((told["origin"], told["error"]), ("", "it is busy"))
        closed = events.ProxyClosed(client=BOB, name="p", type="tcp", why=Ended.OPERATOR)
        self.assertEqual(told_event(closed)["why"], "operator")

    def test_all(self) -> None:
        """Whatever happens can be told; no key has an underscore."""
        connected = events.ClientConnected(
            client=ANN,
            origin=ORIGIN,
            version="1",
            hostname="h",
            os="linux",
            arch="amd64",
            wire=2,
            proof=PeerProof.TOKEN,
            is_named_only=False,
        )
        for event in (
            connected,
            events.ClientDisconnected(client=ANN, why=Ended.TIMEOUT, reason=""),
            events.LoginRefused(origin=ORIGIN, reason="no"),
            refused("p"),
            events.VisitRefused(proxy="p", origin=ORIGIN, reason="no"),
            events.UserArrived(client=ANN, proxy="p", origin=ORIGIN),
            events.UserServed(client=ANN, proxy="p", origin=ORIGIN, waited_s=0.5),
        ):
            data = frame(event, 1.0).decode().split("data: ")[1]
            self.assertNotIn("_", "".join(json.loads(data)))


class EventFeedTests(SynchronousTestCase):
    """Tests for who is told."""

    def setUp(self) -> None:
        self.observers: list[Any] = []
        server: Any = self
        self.feed = EventFeed(server, False, lambda: 1.0)

    def observe(self, observer: Any) -> None:
        """As a server's."""
        self.observers.append(observer)

    def stop_observing(self, observer: Any) -> None:
        """Likewise."""
        self.observers.remove(observer)

    def test_followed(self) -> None:
        """The server is observed while there are readers; each hears of what happens until it leaves."""
        first: list[bytes] = []
        second: list[bytes] = []
        stops = [self.feed.follow(first.append), self.feed.follow(second.append)]
        self.assertEqual(self.observers, [self.feed])
        self.feed.on_event(refused("a"))
        stops[0]()
        self.feed.on_event(refused("b"))
        self.assertEqual((len(first), len(second)), (1, 2))
        stops[1]()
        self.assertEqual(self.observers, [])

    def test_leaving_meanwhile(self) -> None:
        """A reader who leaves because of an event keeps it from nobody."""
        told: list[bytes] = []
        stops = [self.feed.follow(lambda part: stops[0]()), self.feed.follow(told.append)]
        self.feed.on_event(refused("a"))
        self.assertEqual(len(told), 1)


class RefusalNotesTests(SynchronousTestCase):
    """Tests for what is remembered of refused proxies."""

    def setUp(self) -> None:
        self.notes = RefusalNotes(lambda: 7.0)

    def names(self) -> list[str]:
        """The proxies that are not up."""
        return [each.proxy for each in self.notes]

    def test_remembered(self) -> None:
        """A refusal is remembered with its reason, the last one of a proxy."""
        for _ in range(2):
            self.notes.on_event(refused("a"))
        (told,) = self.notes
        self.assertEqual((told.client, told.problem, told.at), ("ann.c1", "port-in-use", 7.0))

    def test_forgotten(self) -> None:
        """It is forgotten once the proxy is up, or the client is gone."""
        for name in "abc":
            self.notes.on_event(refused(name))
        self.notes.on_event(refused("a", BOB))
        self.notes.on_event(events.ProxyExposed(client=ANN, name="b", type="tcp", address=""))
        self.assertEqual(self.names(), ["a", "c", "a"])
        self.notes.on_event(events.ClientDisconnected(client=ANN, why=Ended.TIMEOUT, reason=""))
        self.assertEqual(self.names(), ["a"])

    def test_bounded(self) -> None:
        """No more than so many are remembered, the latest."""
        for number in range(MOST_REFUSALS + 5):
            self.notes.on_event(refused(str(number)))
        self.assertEqual((len(self.names()), self.names()[0]), (MOST_REFUSALS, "5"))

"""Tests for local services that lead back to their proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.loops import LeadsBack, OwnConnections
from relaykit.values import Address, Origin

OWN = Address("127.0.0.1", 40000)


class Flow:
    """Ends when a test says so."""

    def __init__(self) -> None:
        self.ended: Deferred[Any] = Deferred()

    def when_ended(self) -> Deferred[Any]:
        """Its end."""
        return self.ended


class OwnConnectionsTests(SynchronousTestCase):
    """Tests for :class:`OwnConnections`."""

    def setUp(self) -> None:
        """Begins with none."""
        self.own = OwnConnections()

    def flow(self, address: Address | None) -> Flow:
        """A flow to a local service, from this address."""
        flow: Any = Flow()
        self.own.add(address, flow)
        assert isinstance(flow, Flow)
        return flow

    def test_itself(self) -> None:
        """Who comes from where a connection to a local service comes from is that connection."""
        self.flow(OWN)
        self.assertRaises(LeadsBack, self.own.check, Origin(OWN))
        self.own.check(Origin(Address("127.0.0.2", 40000)))
        self.own.check(Origin(Address("127.0.0.1", 40001)))

    def test_ended(self) -> None:
        """Once it has ended, its address may be somebody else's; two may have one, to two services."""
        first, second = self.flow(OWN), self.flow(OWN)
        first.ended.callback(None)
        self.assertRaises(LeadsBack, self.own.check, Origin(OWN))
        second.ended.callback(None)
        self.own.check(Origin(OWN))

    def test_unknown(self) -> None:
        """Unix sockets have no address, and frp may tell none of a user."""
        self.flow(None).ended.callback(None)
        self.own.check(Origin())

"""Tests for local services that lead back to their proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.loops import LeadsBack, OwnConnections
from relaykit.values import Address, Origin

OWN, SERVICE = Address("127.0.0.1", 40000), Address("127.0.0.1", 6000)


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

    def flow(self, host: Address | None, peer: Address | None) -> Flow:
        """A flow to a local service, over a connection with these ends."""
        flow: Any = Flow()
        self.own.add(host, peer, flow)
        assert isinstance(flow, Flow)
        return flow

    def test_itself(self) -> None:
        """Whose connection has both ends of one to a local service is that connection, until it has ended."""
        flow = self.flow(OWN, SERVICE)
        self.assertRaises(LeadsBack, self.own.check, Origin(OWN, SERVICE))
        flow.ended.callback(None)
        self.own.check(Origin(OWN, SERVICE))

    def test_somebody_else(self) -> None:
        """One end in common tells nothing: one machine gives one port to connections to different places."""
        self.flow(OWN, SERVICE)
        for origin in (
            Origin(OWN, Address("127.0.0.1", 6001)),
            Origin(Address("127.0.0.1", 40001), SERVICE),
            Origin(OWN),
            Origin(),
        ):
            self.own.check(origin)

    def test_unknown(self) -> None:
        """Unix sockets have no addresses."""
        self.flow(None, None).ended.callback(None)
        self.own.check(Origin())

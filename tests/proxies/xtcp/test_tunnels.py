"""Tests of direct paths and their users."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import HolePunchingError
from relaykit.proxies.xtcp.tunnels import STREAMS_S, NoGuests, Tunnel, frp_streams, open_path
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended, Origin, Secret


class _Flow:
    def __init__(self) -> None:
        self.ended: Deferred[Any] = Deferred()

    def when_ended(self) -> Deferred[Any]:
        return self.ended


class TunnelTests(SynchronousTestCase):
    """How long a path lasts."""

    def test_retired(self) -> None:
        """It is closed with its last user once nobody else may come, or at once without users."""
        path, flows, lost = mock.Mock(), [_Flow(), _Flow()], Deferred[Ended]()
        path.when_lost.return_value = lost
        tunnel = Tunnel(path)
        for each in flows:
            tunnel.carries(each)  # type: ignore[arg-type]  # all that a tunnel asks of a flow
        flows[0].ended.callback(None)
        retired = tunnel.retire()
        path.close.assert_not_called()
        flows[1].ended.callback(None)
        path.close.assert_called_once_with()
        self.assertNoResult(retired)
        lost.callback(Ended.FINISHED)
        self.successResultOf(retired)
        idle = mock.Mock()
        Tunnel(idle).retire()
        idle.close.assert_called_once_with()

    def test_stays(self) -> None:
        """A path that is wanted stays without users; what is not there yet cannot be closed."""
        path, flow = mock.Mock(), _Flow()
        tunnel = Tunnel(path)
        tunnel.carries(flow)  # type: ignore[arg-type]  # all that a tunnel asks of a flow
        flow.ended.callback(None)
        path.close.assert_not_called()
        self.successResultOf(Tunnel().retire())


class StreamsTests(SynchronousTestCase):
    """What makes streams."""

    def test_protocols(self) -> None:
        """There are two; every other name means the first."""
        host = mock.Mock()
        for protocol, expected in (("kcp", "kcp"), ("quic", "quic"), ("", "quic"), ("tcp", "quic")):
            frp_streams(host, protocol)
            host.datagram_streams.assert_called_with(expected)

    def test_not_in_time(self) -> None:
        """What is not there in time is given up."""
        streams, host, acceptor = mock.Mock(), mock.Mock(reactor=Clock()), NoGuests()
        opening: Deferred[Any] = Deferred()
        streams.open_path.return_value = opening
        datagrams: Any = object()
        opened = open_path(host, streams, datagrams, PeerRole.INITIATOR, Secret("s"), acceptor)
        streams.open_path.assert_called_once_with(datagrams, PeerRole.INITIATOR, Secret("s"), acceptor)
        host.reactor.advance(STREAMS_S)
        error = self.failureResultOf(opened, HolePunchingError).value
        self.assertIn("nothing comes through it", str(error))

    def test_no_guests(self) -> None:
        """Streams that nobody expects are dropped."""
        network = MemoryNetwork()
        near, far = network.pair()
        received = RecordingReceiver(near)
        NoGuests().leg_accepted(far, Origin())
        network.flush()
        self.assertIs(received.lost, Ended.RESET)

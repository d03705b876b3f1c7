"""The conformance suites over real sockets: every leg, both pollers, both forwarders."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.poller import ReactorPoller
from relaykit.dataplane.splicing import PipePool, SpliceForwarder, can_splice
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.dataplane.transports import _Adapter
from relaykit.interfaces import IForwarder, IStreamLeg
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests
from tests.dataplane.test_tls import signed
from tests.integration.dataplane.waiting import SocketWaiting, reactor, tcp_pair, unix_pair


class TcpPairs(SocketWaiting):
    """Makes legs over TCP."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """One that dialled, one that was accepted."""
        return await tcp_pair(self.poller)


class UnixPairs(SocketWaiting):
    """Makes legs over unix sockets."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two connected ones."""
        return unix_pair(self.poller)


class TlsPairs(SocketWaiting):
    """Makes TLS legs over TCP."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """A client and a server."""
        pair = signed()
        below = await tcp_pair(self.poller)
        near = start_tls(self.poller, below[0], client_context(), server_side=False)
        far = start_tls(self.poller, below[1], server_context(pair.certificate, pair.key), server_side=True)
        return await near, await far


class TransportPairs(SocketWaiting):
    """Makes legs on transports of Twisted; the near one is the client."""

    taken_over = False

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two legs on transports that Twisted's endpoints made."""
        accepted: Deferred[_Adapter] = Deferred()

        def build() -> _Adapter:
            adapter = _Adapter(self.poller)
            reactor.callLater(0, accepted.callback, adapter)
            return adapter

        server = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
        port = await server.listen(Factory.forProtocol(build))
        client = clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}")
        near = await client.connect(Factory.forProtocol(lambda: _Adapter(self.poller)))
        far = await accepted
        await port.stopListening()
        if self.taken_over:
            return near.to_leg(), far.to_leg()
        return near._made_leg(), far._made_leg()


class TakenPairs(TransportPairs):
    """Makes legs on sockets that were taken over from Twisted's transports."""

    taken_over = True


class TcpLegTests(TcpPairs, LegTests, TestCase):
    """TCP with the epoll set."""


class TcpLegReactorTests(TcpPairs, LegTests, TestCase):
    """TCP with the portable poller."""

    poller_class = ReactorPoller


class UnixLegTests(UnixPairs, LegTests, TestCase):
    """Unix sockets."""

    resets = False


class TlsLegTests(TlsPairs, LegTests, TestCase):
    """TLS over TCP."""


class TransportLegTests(TransportPairs, LegTests, TestCase):
    """Twisted's transports."""


class TakenLegTests(TakenPairs, LegTests, TestCase):
    """Sockets that were taken over."""


class CopyTests(ForwarderTests):
    """Forwards by copying."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()


class CopyTcpTests(TcpPairs, CopyTests, TestCase):
    """Copying between TCP legs."""


class CopyTcpReactorTests(TcpPairs, CopyTests, TestCase):
    """Copying between TCP legs with the portable poller."""

    poller_class = ReactorPoller


class CopyTlsTests(TlsPairs, CopyTests, TestCase):
    """Copying between TLS legs."""


class CopyTransportTests(TransportPairs, CopyTests, TestCase):
    """Copying between Twisted's transports."""


class SpliceTests(ForwarderTests):
    """Forwards by splicing; every pipe is back at the end."""

    if not can_splice():
        skip = "this platform has no splice"

    pool: PipePool

    def make_forwarder(self) -> IForwarder:
        """A forwarder with a pool of two pipes, so that they are taken away from each other, too."""
        self.pool = PipePool(reactor, limit=2)
        self.addCleanup(self.pool.close)
        self.addCleanup(lambda: self.assertEqual(self.pool.lent, 0))
        return SpliceForwarder(self.pool)


class SpliceTcpTests(TcpPairs, SpliceTests, TestCase):
    """Splicing between TCP legs."""


class SpliceTcpReactorTests(TcpPairs, SpliceTests, TestCase):
    """Splicing between TCP legs with the portable poller."""

    poller_class = ReactorPoller


class SpliceUnixTests(UnixPairs, SpliceTests, TestCase):
    """Splicing between unix sockets."""

    resets = False

"""UDP on the loopback: ports, local services, what nobody answers, and a flow through both."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface import implementer

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.datagram_sockets import DatagramPort, DatagramSocketLeg, listen_datagrams
from relaykit.dataplane.dialing import dial_datagram_endpoint, dial_datagrams
from relaykit.dataplane.listening import PortInUse, PortUnavailable, listen_tcp
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.poller import ReactorPoller
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg
from relaykit.testing.memory import RecordingDatagrams
from relaykit.values import MOST_DATAGRAM_BYTES, Address, Ended, Origin
from tests.integration.dataplane.test_ports import has_ipv6, has_localhost
from tests.integration.dataplane.waiting import Accepting, SocketWaiting


@implementer(IDatagramAcceptor)
class Echo:
    """Answers each datagram with itself."""

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        """Echoes."""
        received = RecordingDatagrams()
        received.datagram_received = leg.send  # type: ignore[method-assign, assignment]  # an echo
        leg.attach(received)


@implementer(IDatagramAcceptor)
class Forwarding:
    """Forwards each source to a local service."""

    def __init__(self, plane: DataPlane, service: int) -> None:
        self.plane = plane
        self.service = service
        self.origins: list[Origin] = []

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        """Forwards."""
        self.origins.append(origin)
        dialling: Deferred[IDatagramLeg] = dial_datagram_endpoint(
            self.plane._poller, f"udp:127.0.0.1:{self.service}"
        )
        dialling.addCallback(lambda far: self.plane.forward_datagrams(leg, far))


class DatagramTests(SocketWaiting, TestCase):
    """Datagrams between sockets of this machine."""

    def listen(self, acceptor: IDatagramAcceptor, host: str = "127.0.0.1", port: int = 0) -> DatagramPort:
        """An open port, closed after the test."""
        opened = listen_datagrams(self.poller, host, port, acceptor)
        self.addCleanup(opened.close)
        return opened

    def number(self, port: DatagramPort) -> int:
        """Its number."""
        assert port.address is not None
        return port.address.port

    async def test_echo(self) -> None:
        """Datagrams of every size pass both ways, by number and by name, by both versions of IP."""
        loopback = "127.0.0.1"
        ways = [(loopback, loopback), ("", loopback)]
        if has_localhost():
            ways.append(("", "localhost"))
        if has_ipv6():
            ways.append(("", "::1"))
        for host, name in ways:
            await self.converse(host, name)

    async def converse(self, host: str, name: str) -> None:
        """Sends datagrams to an echo that listens on a host and is dialled by a name."""
        port = self.listen(Echo(), host)
        leg = await dial_datagrams(self.poller, name, self.number(port))
        got = RecordingDatagrams(leg)
        sent = [b"one", b"", bytes(MOST_DATAGRAM_BYTES)]
        for data in sent:
            missing = len(got.got) + 1
            self.assertTrue(leg.send(data))
            await self.until(lambda: len(got.got) == missing)  # noqa: B023  # it is called in this turn of the loop
        self.assertEqual(got.got, sent)
        together = [b"%20d" % number for number in range(20)] + [b"shorter", b"longer again"]
        for data in together:
            self.assertTrue(leg.send(data))
        await self.until(lambda: len(got.got) == len(sent) + len(together))
        self.assertEqual(got.got[len(sent) :], together)
        self.assertFalse(leg.send(bytes(MOST_DATAGRAM_BYTES + 1000)))
        self.assertEqual((leg.peer, leg.dropped), (Address(leg.peer.host, self.number(port)), 1))
        leg.close()
        await self.until(lambda: got.lost is Ended.FINISHED)

    async def test_nobody_listens(self) -> None:
        """A service that is not there yet is no end: what is sent once it is there arrives."""
        port = self.listen(Echo())
        number = self.number(port)
        port.close()
        leg = await dial_datagrams(self.poller, "127.0.0.1", number)
        got = RecordingDatagrams(leg)
        for _ in range(3):
            leg.send(b"nobody")
            await self.rest()
        try:
            self.listen(Echo(), port=number)
            # The first one may be lost to the news that there was nobody.
            for _ in range(1000):
                leg.send(b"somebody")
                await self.rest()
                if got.got:
                    break
            self.assertEqual(set(got.got), {b"somebody"})
        except PortInUse as error:
            raise SkipTest("somebody else took the port meanwhile") from error
        finally:
            leg.close()
            await self.until(lambda: got.lost is not None)

    async def test_room_for_bursts(self) -> None:
        """The kernel keeps as much for a leg to a service as for a port."""
        port = self.listen(Echo())
        leg = await dial_datagrams(self.poller, "127.0.0.1", self.number(port))
        assert isinstance(leg, DatagramSocketLeg)
        rooms = {
            plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for plain in (port._socket, leg._socket)
        }
        self.assertEqual(len(rooms), 1)
        leg.close()

    async def test_port_in_use(self) -> None:
        """A port is opened once; the same number of TCP is another port."""
        port = self.listen(Echo())
        number = self.number(port)
        self.assertRaises(PortInUse, self.listen, Echo(), "127.0.0.1", number)
        self.assertRaises(PortUnavailable, self.listen, Echo(), "a..b")
        try:
            listen_tcp(self.poller, "127.0.0.1", number, Accepting()).close()
        except PortInUse as error:
            raise SkipTest("somebody else has this number of TCP") from error

    async def test_impossible(self) -> None:
        """What is no endpoint for datagrams fails with the reason."""
        for endpoint in ("tcp:127.0.0.1:53", "udp:127.0.0.1", "udp:a..b:53", "udp:127.0.0.1:0", "nonsense"):
            with self.assertRaises(ConnectionFailed) as caught:
                await dial_datagram_endpoint(self.poller, endpoint)
            self.assertNotIn("nknown error", str(caught.exception))

    async def test_itself(self) -> None:
        """A socket that would be its own peer is refused."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.connect(probe.getsockname())
            host, number = probe.getsockname()
        bound = socket.socket.bind

        def bind(plain: socket.socket, name: tuple[str, int]) -> None:
            bound(plain, (name[0], number))

        self.patch(socket.socket, "bind", bind)
        with self.assertRaises(ConnectionFailed):
            await dial_datagrams(self.poller, host, number, source=host)

    async def test_forwarded(self) -> None:
        """Two users of a port reach a local service by flows of their own, and get their own answers."""
        plane = DataPlane([CopyForwarder()], self.poller)
        service = self.listen(Echo())
        entrance = Forwarding(plane, self.number(service))
        port = self.listen(entrance)
        users = [await dial_datagrams(self.poller, "127.0.0.1", self.number(port)) for _ in range(2)]
        received = [RecordingDatagrams(user) for user in users]
        for number, user in enumerate(users):
            user.send(b"user %d" % number)
        await self.until(lambda: all(each.got for each in received))
        self.assertEqual([each.got for each in received], [[b"user 0"], [b"user 1"]])
        self.assertEqual({each.source for each in entrance.origins}, {user.host for user in users})
        self.assertEqual(sorted(flow.moved() for flow in plane.flows), [(6, 6)] * 2)
        plane.end_all(Ended.STOPPED)
        await plane.when_idle()
        for user in users:
            user.close()
        await self.until(lambda: all(each.lost is not None for each in received))


class ReactorDatagramTests(DatagramTests):
    """The same with the portable poller."""

    poller_class = ReactorPoller

"""Tests for :mod:`relaykit.proxies.tcp`."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import PortRange
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode
from relaykit.options import from_wire, to_wire
from relaykit.proxies import tcp
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, collecting, echoing
from relaykit.values import Ended, Origin


class TcpConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """``tcp`` is a proxy type."""

    proxy_type = tcp.proxy_type

    def options(self) -> tcp.TcpOptions:
        return tcp.TcpOptions(remote_port=6000)


class TcpOptionsTests(SynchronousTestCase):
    """Tests for what travels."""

    def test_wire(self) -> None:
        """The port travels in frp's field, and not at all when the server may pick."""
        self.assertEqual(to_wire(tcp.TcpOptions(remote_port=6000)), {"remote_port": 6000})
        self.assertEqual(to_wire(tcp.TcpOptions()), {})
        self.assertEqual(from_wire(tcp.TcpOptions, {"remote_port": 6000}).remote_port, 6000)


class TcpIngressTests(SynchronousTestCase):
    """Tests for the server half."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def test_address(self) -> None:
        """The client is told the port, also one that the server picked."""
        given = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="given")
        picked = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(), name="picked")
        self.assertEqual(given.address, ":6000")
        self.assertIn(int(picked.address.removeprefix(":")), self.relay.open_ports)

    def test_logged_port(self) -> None:
        """The server's log tells the port in frp's words."""
        with capturedLogs() as logged:
            self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="web")
        self.assertIn(
            "[web] tcp proxy listen port [6000]", "\n".join(str(formatEvent(each)) for each in logged)
        )

    def test_refused_port(self) -> None:
        """What the rules of the ports say reaches the client, and nothing stays open."""
        self.relay = MemoryRelay(allow_ports=(PortRange(start=6000, end=6100),))
        refused = self.assertRaises(
            ProxyRefusedError, self.relay.publish, tcp.proxy_type, tcp.TcpOptions(remote_port=22)
        )
        self.assertEqual((refused.code, refused.text), (RefusalCode.PORT_NOT_ALLOWED, "port not allowed"))
        self.assertEqual(self.relay.open_ports, [])

    def test_withdrawn_with_users(self) -> None:
        """Withdrawing closes the port to new users and leaves the flows of others alone."""
        published = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=echoing)
        user = self.relay.dial(6000)
        received = RecordingReceiver(user)
        published.withdraw()
        self.assertRaises(ConnectionFailed, self.relay.dial, 6000)
        user.write(b"still here")
        self.relay.settle()
        self.assertEqual(received.data, b"still here")

    def test_withdrawn_twice(self) -> None:
        """Withdrawing an exposure again does nothing."""
        published = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000))
        published.withdraw()
        again = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000))
        published.withdraw()
        self.assertEqual((self.relay.open_ports, again.address), ([6000], ":6000"))


class LocalServiceBackendTests(SynchronousTestCase):
    """Tests for the client half of every type whose users end up at the local service."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.services: list[MemoryLeg] = []
        self.published = self.relay.publish(
            tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=collecting(self.services)
        )

    def test_half_close(self) -> None:
        """The end of what a user says passes through, and the answer still comes back."""
        user = self.relay.dial(6000)
        received = RecordingReceiver(user)
        (service,) = self.services
        heard = RecordingReceiver(service)
        user.write(b"question")
        user.finish_writing()
        self.relay.settle()
        self.assertEqual((heard.data, heard.ended, received.ended), (b"question", True, False))
        service.write(b"answer")
        service.finish_writing()
        self.relay.settle()
        self.assertEqual((received.data, received.ended), (b"answer", True))
        self.assertEqual([flow.ended for flow in self.published.flows], [Ended.FINISHED])

    def test_no_half_close(self) -> None:
        """With an end that does not pass half-close through, the end of one direction ends the flow."""
        self.relay.wire_protocol = "v1"
        published = self.relay.publish(
            tcp.proxy_type, tcp.TcpOptions(remote_port=6001), name="plain", local=collecting(self.services)
        )
        user = self.relay.dial(6001)
        received = RecordingReceiver(user)
        user.finish_writing()
        self.relay.settle()
        self.assertTrue(received.ended)
        self.assertEqual(len(published.flows), 1)

    def test_users_are_apart(self) -> None:
        """Each user has a connection to the local service of their own."""
        users = [self.relay.dial(6000) for _ in range(3)]
        received = [RecordingReceiver(user) for user in users]
        for number, service in enumerate(self.services):
            service.write(b"you are %d" % number)
        self.relay.settle()
        self.assertEqual([each.data for each in received], [b"you are 0", b"you are 1", b"you are 2"])

    def test_refused(self) -> None:
        """When the local service refuses, the work leg is closed and no error is left over."""
        published = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6002), name="none")
        opened = published.proxy.open_work_leg(Origin())
        self.relay.settle()
        received = RecordingReceiver(self.successResultOf(opened))
        self.relay.settle()
        self.assertTrue(received.ended)
        self.assertEqual(self.flushLoggedErrors(), [])

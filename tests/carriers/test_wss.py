"""WebSocket within TLS as a carrier; how the server finds it is in :mod:`tests.carriers.test_websocket`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.websocket import WebSocketDialOptions
from relaykit.carriers.wss import carrier
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.errors import TransportSecurityError
from relaykit.interfaces import ISecureLeg, IStreamLeg
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address
from tests.carriers.test_tcp import DialingInMemory
from tests.dataplane.test_tls import signed


class Web(DialingInMemory):
    """Dials a site of HTTPS, whose end is kept."""

    def dial(self) -> Deferred[IStreamLeg]:
        pair = signed()
        near, far = self.network.pair()
        context = server_context(pair.certificate, pair.key)
        self.site = start_tls(self.network, far, context, server_side=True)
        return super().secure(near)

    def secure_outside(self, leg: IStreamLeg, verified: bool) -> Deferred[ISecureLeg]:
        return start_tls(self.network, leg, client_context(), server_side=False)


class WssTests(SynchronousTestCase):
    """Tests for the dialing half."""

    def test_host(self) -> None:
        """The site is asked for by the name of its certificate, an address of IPv6 in brackets."""
        for name, said in (("relay.example", b"relay.example"), ("2001:db8::1", b"[2001:db8::1]")):
            host = Web(server=Address(name, 443))
            carrier.make_dialer(WebSocketDialOptions(), host).connect().addErrback(lambda _: None)
            host.network.flush()
            received = RecordingReceiver(self.successResultOf(host.site))
            host.network.flush()
            self.assertTrue(received.data.startswith(b"GET /~!frp HTTP/1.1\r\nHost: " + said + b"\r\n"))
            self.assertIn(b"\r\nRelaykit-TLS: ", received.data)
            host.network.advance(60)

    def test_no_tls(self) -> None:
        """Where TLS fails, nothing else is tried."""

        class NoTls(Web):
            def dial(self) -> Deferred[IStreamLeg]:
                near, far = self.network.pair()
                far.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return super(Web, self).secure(near)

        host = NoTls()
        connecting = carrier.make_dialer(WebSocketDialOptions(), host).connect()
        host.network.flush()
        self.failureResultOf(connecting, TransportSecurityError)

"""Tests for :mod:`relaykit.administration.web_server`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Answer
from relaykit.administration.routes import Route
from relaykit.administration.web_server import WebServer
from relaykit.certificates.files import LOOK_S
from relaykit.config.schema.sections import WebServerConfig, WebServerTls
from relaykit.dataplane.listening import PortInUse
from relaykit.errors import TransportSecurityError
from relaykit.values import Address
from tests.administration.exchanges import Connection
from tests.certificates.made import DAY, NOW, made

ROUTES = (Route(method="GET", path="/get", handler=lambda call: Answer()),)


class WebServerTests(SynchronousTestCase):
    """Tests for the life of a web server."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.open: list[Any] = []
        self.refused = False

    def open_port(self, address: Address, factory: Any, reactor: Any) -> Any:
        """Opens a port in memory."""
        if self.refused:
            raise PortInUse(f"cannot listen on {address}: another program listens there", "taken")
        factory.doStart()
        test = self

        class Port:
            def getHost(self) -> IPv4Address:
                return IPv4Address("TCP", address.host, address.port or 7500)

            def stopListening(self) -> Deferred[None]:
                test.open.remove((address, factory))
                return succeed(None)

        self.open.append((address, factory))
        return Port()

    def make(self, config: WebServerConfig) -> WebServer:
        """A web server of these routes."""
        return WebServer(config, ROUTES, self.reactor, self.open_port)

    def test_life(self) -> None:
        """It listens from the privileged start to the stop, and can be started again."""
        server = self.make(WebServerConfig(port=7500))
        self.assertEqual((server.port, self.open), (0, []))
        for _ in range(2):
            with capturedLogs() as events:
                server.privilegedStartService()
                server.startService()
            self.assertEqual(formatEvent(events[-1]), "the web server listens on http://127.0.0.1:7500")
            self.assertEqual((server.port, len(self.open)), (7500, 1))
            connection = Connection(server.site)
            connection.ask("GET", "/get")
            connection.ask("GET", "/healthz")
            self.assertEqual([each.status for each in connection.answers()], [200, 200])
            self.successResultOf(server.stopService())
            self.successResultOf(server.stopService())
            self.assertEqual((server.port, self.open), (0, []))
            self.assertTrue(connection.transport.is_lost)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_password(self) -> None:
        """The user and the password of the table are asked for."""
        server = self.make(WebServerConfig(port=7500, user="admin"))
        server.startService()
        connection = Connection(server.site)
        connection.ask("GET", "/get", Authorization="Basic YWRtaW46")
        connection.ask("GET", "/get")
        self.reactor.advance(1)
        self.assertEqual([each.status for each in connection.answers()], [200, 401])

    def test_port_in_use(self) -> None:
        """A port that cannot be opened is told with its key."""
        self.refused = True
        error = self.assertRaises(PortInUse, self.make(WebServerConfig(port=7500)).privilegedStartService)
        self.assertEqual(
            str(error), "webServer.port: cannot listen on 127.0.0.1:7500: another program listens there"
        )
        self.assertEqual(error.problem, "cannot-listen")

    def test_tls(self) -> None:
        """With a certificate TLS is spoken, and whoever comes later sees the renewed one."""
        folder = Path(self.mktemp())
        folder.mkdir()
        certificate, key = folder / "a.crt", folder / "a.key"
        tls = WebServerTls(cert_file=str(certificate), key_file=str(key))
        server = self.make(WebServerConfig(port=7500, tls=tls))
        self.assertRaises(TransportSecurityError, server.privilegedStartService)
        contexts = []
        for number in (1, 2):
            site = made("a.example", ends=NOW + 36_500 * DAY)
            certificate.write_bytes(site.pem)
            key.write_bytes(site.key_pem)
            if number == 1:
                with capturedLogs() as events:
                    server.startService()
                self.assertIn(
                    "the web server listens on https://127.0.0.1:7500", [formatEvent(each) for each in events]
                )
            else:
                self.reactor.advance(LOOK_S)
            (_, factory), *_ = self.open
            assert isinstance(factory, TLSMemoryBIOFactory)
            connection: SSL.Connection = server._tls.serverConnectionForTLS(None)  # type: ignore[union-attr]
            contexts.append(connection.get_context())
        self.assertIsNot(contexts[0], contexts[1])
        self.successResultOf(server.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

"""Tests of the server as a service: what it does not do before it is started, how a start fails."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ServerConfig, ServerTls, ServerTransport
from relaykit.server.service import RelayServer
from relaykit.values import Secret
from tests.server.scene import TYPES


class RelayServerTests(SynchronousTestCase):
    """The life of the service."""

    def test_constructing_opens_nothing(self) -> None:
        """A server that is not started has no port."""
        reactor = MemoryReactorClock()
        server = RelayServer(ServerConfig(), Secret("t"), TYPES, reactor)
        self.assertEqual((server.port, server.fingerprint, list(reactor.readers)), (0, "", []))

    def test_start_fails(self) -> None:
        """A start that fails is told to who waits for it; stopping afterwards is harmless."""
        tls = ServerTls(cert_file="/nonexistent/cert.pem", key_file="/nonexistent/key.pem")
        config = ServerConfig(transport=ServerTransport(tls=tls))
        server = RelayServer(config, Secret("t"), TYPES, MemoryReactorClock())
        server.privilegedStartService()
        server.startService()
        failure = self.failureResultOf(server.when_ready(), FileNotFoundError)
        self.assertEqual(failure.value.filename, "/nonexistent/cert.pem")
        self.assertEqual(server.port, 0)
        self.successResultOf(server.stopService())

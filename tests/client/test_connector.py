"""Tests of getting in: which version of the wire is spoken, what is learned, what the login says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.connector import Connector
from relaykit.client.paths import Route
from relaykit.client.remembered import RememberedServers
from relaykit.client.session import Session
from relaykit.config.schema import ClientConfig, ClientTransport
from relaykit.errors import LoginRefusedError, SessionLost
from relaykit.interfaces import IStreamLeg
from relaykit.sansio.wire.framing import MAGIC
from relaykit.state import StateDirectory
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.values import Secret
from tests.server.scene import TOKEN, Scene


class Reaction:
    """A server of the test's own: notes what it gets and does something about it."""

    def __init__(self, scene: Scene, act: Any) -> None:
        self.scene = scene
        self.act = act
        self.received: list[RecordingReceiver] = []

    def connect(self) -> Deferred[IStreamLeg]:
        """What a route calls."""
        near, far = self.scene.network.pair()
        self.received.append(RecordingReceiver(far))
        self.act(far)
        return succeed(near)


class ConnectorTests(SynchronousTestCase):
    """Logging in to servers of every kind."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.servers = RememberedServers(None)

    def connector(
        self, connect: Any = None, *, wire: str = "auto", token: Secret = TOKEN, **config: Any
    ) -> Connector:
        """Connector to the server of the scene, or to one of the test's own."""
        transport = ClientTransport(wire_protocol=wire, tcp_mux=False)
        connect = connect or (lambda: succeed(self.scene.accept()))
        route = Route(connect, False, self.scene.network, self.scene.clock)
        return Connector(
            ClientConfig(transport=transport, **config),
            token,
            route,
            self.scene.clock,
            None,
            self.servers,
        )

    def log_in(self, connector: Connector, run_id: str = "") -> Deferred[Session]:
        """A login, as far as it gets without time passing."""
        result = Deferred.fromCoroutine(connector.log_in(run_id, lambda event: None))
        self.scene.flush()
        return result

    def test_who_logs_in(self) -> None:
        """The login says who the client is."""
        session = self.successResultOf(
            self.log_in(self.connector(user="u", client_id="c"), "0123456789abcdef")
        )
        self.assertEqual(session.run_id, "0123456789abcdef")
        served = self.scene.sessions.get(session.run_id)
        assert served is not None
        self.assertEqual((served.identity.user, served.identity.client_id), ("u", "c"))

    def test_versions(self) -> None:
        """The newer version is spoken unless the older one is asked for."""
        for wire, version in (("auto", 2), ("v2", 2), ("v1", 1)):
            session = self.successResultOf(self.log_in(self.connector(wire=wire)))
            self.assertEqual(session.framing.version, version)

    def test_server_without_v2(self) -> None:
        """A server that closes without a word is tried with the older version at once."""
        server = Reaction(self.scene, MemoryLeg.finish_writing)
        lost = self.failureResultOf(self.log_in(self.connector(server.connect)), SessionLost)
        self.assertIn("transport.tcpMux", str(lost.value))
        first, second = [each.data for each in server.received]
        self.assertTrue(first.startswith(MAGIC))
        self.assertTrue(second.startswith(b"o\x00"))

    def test_forced_v2_stays(self) -> None:
        """A client that must speak the newer version never speaks the older one."""
        server = Reaction(self.scene, MemoryLeg.finish_writing)
        self.failureResultOf(self.log_in(self.connector(server.connect, wire="v2")), SessionLost)
        self.assertEqual(len(server.received), 1)

    def test_no_downgrade(self) -> None:
        """A server that was seen speaking the newer version is never spoken to in the older one."""
        connector = self.connector()
        self.successResultOf(self.log_in(connector))
        server = Reaction(self.scene, MemoryLeg.finish_writing)
        connector._route = Route(server.connect, False, self.scene.network, self.scene.clock)
        self.failureResultOf(self.log_in(connector), SessionLost)
        self.assertEqual([each.data[:7] for each in server.received], [MAGIC])

    def test_forgotten_meanwhile(self) -> None:
        """A client that runs tries the older version again, once somebody had the server forgotten."""
        state = StateDirectory(Path(self.mktemp()))
        self.servers = RememberedServers(state)
        connector = self.connector()
        self.successResultOf(self.log_in(connector))
        server = Reaction(self.scene, MemoryLeg.finish_writing)
        connector._route = Route(server.connect, False, self.scene.network, self.scene.clock)
        self.failureResultOf(self.log_in(connector), SessionLost)
        self.assertEqual(RememberedServers(state).forget("0.0.0.0"), [connector.server])
        self.failureResultOf(self.log_in(connector), SessionLost)
        self.assertEqual([each.data[:2] for each in server.received], [MAGIC[:2], MAGIC[:2], b"o\x00"])

    def test_silent_server(self) -> None:
        """A server that does not answer the login is given up after its time."""
        for wire in ("v2", "auto"):
            server = Reaction(self.scene, lambda leg: None)
            lost = self.log_in(self.connector(server.connect, wire=wire))
            self.scene.advance(9)
            self.assertNoResult(lost)
            self.scene.advance(2)
            error = self.failureResultOf(lost, SessionLost)
            self.assertIn("did not answer the login", str(error.value))
            self.assertIn("transport.tls.force is on answers nobody without TLS", str(error.value))
            self.assertEqual(len(server.received), 1, "silence is no reason to try the older version")

    def test_refused(self) -> None:
        """A refusal is told with the server's words and is no reason to try the older version."""
        refused = self.failureResultOf(self.log_in(self.connector(token=Secret("x"))), LoginRefusedError)
        self.assertIn("token in login doesn't match", refused.value.text)

"""Tests for :mod:`relaykit.ssh_gateway.tunnel`: the client that the server sees."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IStreamLeg
from relaykit.sansio.control.credentials import Scope
from relaykit.ssh_gateway.asking import TunnelRequest
from relaykit.ssh_gateway.tunnel import OPEN_CHANNEL_S, Tunnel
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Origin, Secret
from tests.ssh_gateway.scene import TOKEN, GatewayScene

ORIGIN = Origin(Address("203.0.113.9", 999), Address("192.0.2.1", 2200))


class TunnelTests(SynchronousTestCase):
    """Tests for one tunnel."""

    def make(self, scene: GatewayScene, *, is_vouched: bool = False, token: Secret = TOKEN) -> Tunnel:
        """A tunnel that has started; what becomes of it is told."""
        self.told: list[str] = []
        self.local: Deferred[IStreamLeg] = Deferred()
        host = scene.gateway._host
        assert host is not None
        path = host.path(ORIGIN, lambda: None, lambda: succeed(None), is_vouched=is_vouched)
        tunnel = Tunnel(
            TunnelRequest(type="tcp", name="web", token=token, fields={"remote_port": 6000}),
            path,
            scene.clock,
            lambda: 1_700_000_000.0,
            lambda origin: self.local,
            on_registered=lambda address: self.told.append(f"open {address}"),
            on_refused=lambda text: self.told.append(f"refused {text}"),
            on_login_refused=lambda text: self.told.append(f"login refused {text}"),
            on_ended=lambda: self.told.append("ended"),
        )
        tunnel.start()
        scene.flush()
        return tunnel

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def test_users(self) -> None:
        """Users are counted, and what they move."""
        tunnel = self.make(self.scene)
        self.assertEqual(self.told, ["open :6000"])
        near, far = self.scene.network.pair()
        service = RecordingReceiver(far)
        self.local.callback(near)
        user, got = self.scene.dial(6000)
        user.write(b"question")
        far.write(b"the answer")
        self.scene.flush()
        self.assertEqual((service.data, got.data), (b"question", b"the answer"))
        self.assertEqual((tunnel.users.present, tunnel.users.total, tunnel.moved()), (1, 1, (10, 8)))
        user.abort()
        self.scene.advance(1)
        self.assertEqual((tunnel.users.present, tunnel.users.total, tunnel.moved()), (0, 1, (10, 8)))

    def test_no_local_service(self) -> None:
        """A user for whom there is no channel, or none in time, is let go; the next one may come."""
        self.make(self.scene)
        self.local = fail(ConnectionFailed("refused"))
        _, got = self.scene.dial(6000)
        self.assertTrue(got.ended)
        self.local = Deferred()
        _, got = self.scene.dial(6000)
        self.assertFalse(got.ended)
        self.scene.advance(OPEN_CHANNEL_S + 1)
        self.assertTrue(got.ended)

    def test_closed(self) -> None:
        """Closing ends it at once, with its users, those that wait included; nothing is told."""
        tunnel = self.make(self.scene)
        _, got = self.scene.dial(6000)
        tunnel.close()
        self.scene.flush()
        self.assertEqual((len(self.scene.sessions), len(self.scene.registry)), (0, 0))
        self.assertTrue(got.ended or got.lost is not None)
        self.assertEqual(self.told, ["open :6000"])

    def test_refused(self) -> None:
        """What the server says is told, once."""
        self.make(self.scene, token=Secret("other"))
        (text,) = self.told
        self.assertTrue(text.startswith("login refused token in login"))
        self.make(self.scene)
        self.make(self.scene)
        self.assertEqual(self.told, ["refused proxy [web] already exists"])

    def test_vouched(self) -> None:
        """Of whom it is known who it is needs no token."""
        self.make(self.scene, is_vouched=True, token=Secret(""))
        self.assertEqual(self.told, ["open :6000"])

    def test_more_proofs(self) -> None:
        """Where work connections and heartbeats have to prove the token, they do."""
        scene = GatewayScene(self.mktemp(), scopes=(Scope.WORK_CONNECTIONS, Scope.HEARTBEATS))
        self.make(scene)
        near, far = scene.network.pair()
        service = RecordingReceiver(far)
        self.local.callback(near)
        user, _ = scene.dial(6000)
        user.write(b"question")
        scene.flush()
        self.assertEqual(service.data, b"question")

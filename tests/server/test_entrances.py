"""Tests for :mod:`relaykit.server.entrances`: clients that entrances bring are like any other."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control import events
from relaykit.sansio.control.client_opening import WorkAssigned, open_work, work_answer
from relaykit.sansio.control.login_proofs import BoundLogin
from relaykit.sansio.control.texts import BINDING_REQUIRED, WRONG_TOKEN
from relaykit.server.entrances import EntranceHost, InsidePath
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Ended, Origin, Secret
from tests.server.scene import Client, Scene

ORIGIN = Origin(Address("203.0.113.9", 999), Address("192.0.2.1", 2200))
"""Where they come from."""


class EntranceTests(SynchronousTestCase):
    """Tests for clients that another protocol brings."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.closed = 0

    def path(self, scene: Scene | None = None, *, is_vouched: bool = False) -> InsidePath:
        """The way of a client that lives."""
        scene = scene or self.scene
        return self.host(scene).path(ORIGIN, self.close, lambda: succeed(None), is_vouched=is_vouched)

    def host(self, scene: Scene) -> EntranceHost:
        """What entrances get of a server."""
        return EntranceHost(
            reactor=scene.clock,
            turns=scene.network,
            listen=lambda port, acceptor: scene.ports.listen("192.0.2.1", port, acceptor),
            connect=scene.data_plane.connect,
            is_known=scene.sessions.is_known,
            on_opened=scene.first_messages.on_opened,
            settings=scene.sessions.rules.settings,
        )

    def close(self) -> None:
        """The server drops the client."""
        self.closed += 1

    def test_logs_in(self) -> None:
        """It logs in with the token, and is seen to come from where its own connection does."""
        path = self.path()
        client = Client(self.scene, leg=path.open_leg(), token=path.settings.token)
        session = self.scene.sessions.get(client.run_id)
        assert session is not None
        self.assertEqual(session.identity.address, ORIGIN.source)

    def test_wrong_token(self) -> None:
        """A wrong token is refused, with the words of every login."""
        client = Client(self.scene, leg=self.path().open_leg(), token=Secret("another"))
        self.assertEqual([each.text for each in client.of(events.LoginRefused)], [WRONG_TOKEN])

    def test_vouched(self) -> None:
        """Of whom it is known who it is proves nothing more."""
        path = self.path(is_vouched=True)
        client = Client(self.scene, leg=path.open_leg(), token=path.settings.token)
        client.core.close()
        refused = Client(self.scene, leg=self.path(is_vouched=True).open_leg(), token=Secret("another"))
        self.assertEqual(refused.of(events.LoginRefused), [])

    def test_bound_logins_required(self) -> None:
        """Where logins must be bound to TLS, nobody is in between here; elsewhere that counts as before."""
        scene = Scene(bound=BoundLogin.REQUIRE)
        inside = Client(scene, leg=self.path(scene).open_leg())
        self.assertEqual(len(inside.of(events.LoggedIn)), 1)
        outside = Client(scene)
        self.assertEqual([each.text for each in outside.of(events.LoginRefused)], [BINDING_REQUIRED])

    def test_serves_users(self) -> None:
        """Its proxy serves users over its own work connections, and ends with its session."""
        path = self.path()
        client = Client(self.scene, leg=path.open_leg())
        client.register("web", remote_port=6000)
        user, got = self.scene.dial(6000)
        self.assertEqual(len(client.of(events.WorkRequested)), 1)
        work = path.open_leg()
        work.write(open_work(client.framing, client.run_id))
        assigned: Deferred[WorkAssigned] = work.take(work_answer(client.framing))
        self.scene.flush()
        self.assertEqual(self.successResultOf(assigned).proxy_name, "web")
        service = RecordingReceiver(work)
        user.write(b"question")
        work.write(b"answer")
        self.scene.flush()
        self.assertEqual((service.data, got.data), (b"question", b"answer"))
        client.driver.close(Ended.STOPPED)
        self.scene.flush()
        self.assertEqual((len(self.scene.sessions), len(self.scene.registry)), (0, 0))

    def test_others_connections(self) -> None:
        """A work connection of another way is none of its session, whatever run id it names."""
        client = Client(self.scene, leg=self.path().open_leg())
        other = self.path().open_leg()
        other.write(open_work(client.framing, client.run_id))
        receiver = RecordingReceiver(other)
        self.scene.flush()
        self.assertTrue(receiver.ended)

"""Tests of one session of the client."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.paths import DirectPath
from relaykit.client.session import Session
from relaykit.errors import SessionLost
from relaykit.sansio.control import events
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.credentials import TokenProver
from relaykit.sansio.control.session import SessionSettings
from relaykit.sansio.wire.framing import V2
from relaykit.sansio.wire.messages import Login
from relaykit.values import Ended
from tests.server.scene import TOKEN, Scene


class SessionTests(SynchronousTestCase):
    """What a session tells, and how it ends."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.told: list[Any] = []
        self.leg = self.scene.open()
        core = ClientControl(
            Login(version="0.0.0"),
            V2,
            SessionSettings(token=TOKEN, entropy=self.scene.entropy),
            TokenProver(TOKEN, lambda: 0.0),
            0.0,
        )
        path = DirectPath(lambda: Deferred())
        self.session = Session(core, path, self.leg, self.scene.clock, self.told.append)

    def log_in(self) -> Deferred[str]:
        """A login with the server of the scene."""
        login = Deferred.fromCoroutine(self.session.log_in())
        self.scene.flush()
        return login

    def test_logged_in(self) -> None:
        """After the login the run id and what was agreed on are known."""
        run_id = self.successResultOf(self.log_in())
        self.assertEqual(self.session.run_id, run_id)
        self.assertTrue(self.session.half_close)
        self.assertTrue(self.session.takes_signals)
        self.assertTrue(self.session.peer_answered)

    def test_events(self) -> None:
        """What the client must act on is told; the login itself is not."""
        self.successResultOf(self.log_in())
        self.session.register("web", "tcp", {"remote_port": 6000})
        self.scene.flush()
        self.assertEqual(self.told, [events.ProxyRegistered("web", ":6000")])
        self.session.withdraw("web")
        self.scene.flush()
        self.assertEqual(self.scene.ports, {})

    def test_lost_before_the_answer(self) -> None:
        """A connection that is lost before the answer fails the login."""
        login = Deferred.fromCoroutine(self.session.log_in())
        self.leg.cut()
        self.scene.flush()
        self.failureResultOf(login, SessionLost)

    def test_over(self) -> None:
        """The end of a session is told with its reason."""
        self.successResultOf(self.log_in())
        over = Deferred.fromCoroutine(self.session.over())
        self.assertNoResult(over)
        self.session.close(Ended.STOPPED)
        self.scene.flush()
        self.assertEqual(self.successResultOf(over)[0], Ended.STOPPED)
        self.assertEqual(len(self.scene.sessions), 0)

"""Tests of one session of the client."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.authentication import TokenProver
from relaykit.client.paths import DirectPath
from relaykit.client.session import PROVE_TIMEOUT_S, Session
from relaykit.errors import CredentialError, SessionLost
from relaykit.interfaces import IProver
from relaykit.sansio.control import events
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.session import Heartbeat, SessionSettings
from relaykit.sansio.wire.framing import V2
from relaykit.sansio.wire.messages import Login
from relaykit.values import Ended
from tests.server.scene import TOKEN, Scene

PROVER = TokenProver(TOKEN, lambda: 0.0)


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
            0.0,
        )
        path = DirectPath(lambda: Deferred())
        self.session = Session(core, path, self.leg, self.scene.clock, self.told.append, PROVER)

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
        self.assertTrue(self.session.takes_visitor_users)
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


@implementer(IProver)
class SlowProver:
    """Proves when the test wants."""

    def __init__(self) -> None:
        self.scopes = frozenset(Scope)
        self.answers: list[Deferred[Proof]] = []
        self.cancelled = 0

    def prove(self, scope: Scope, bound: bool) -> Deferred[Proof]:
        self.answers.append(Deferred(self._cancelled))
        return self.answers[-1]

    def _cancelled(self, answer: Deferred[Proof]) -> None:
        self.cancelled += 1


class ProofTests(SynchronousTestCase):
    """What proves who this client is may come later, from somebody else."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.prover = SlowProver()
        self.leg = self.scene.open()
        core = ClientControl(
            Login(version="0.0.0"),
            V2,
            SessionSettings(token=TOKEN, entropy=self.scene.entropy, heartbeat=Heartbeat(interval_s=30.0)),
            0.0,
            scopes=self.prover.scopes,
        )
        path = DirectPath(lambda: Deferred())
        self.session = Session(core, path, self.leg, self.scene.clock, lambda event: None, self.prover)
        self.login = Deferred.fromCoroutine(self.session.log_in())
        self.scene.flush()

    def prove(self) -> None:
        """What the server takes is there."""
        self.prover.answers[-1].callback(PROVER.prove(Scope.LOGIN, False))
        self.scene.flush()

    def test_login(self) -> None:
        """The login waits for its proof."""
        self.assertNoResult(self.login)
        self.prove()
        self.assertEqual(self.successResultOf(self.login), self.session.run_id)

    def test_none(self) -> None:
        """Where there is none the login fails with what the prover says, and the connection ends."""
        self.prover.answers[0].errback(CredentialError("the issuer does not answer"))
        self.scene.flush()
        self.assertEqual(
            str(self.failureResultOf(self.login, CredentialError).value), "the issuer does not answer"
        )
        self.assertEqual(self.scene.network.connections, [])

    def test_defect(self) -> None:
        """A defect of the prover is logged, and fails the login as if there were none."""
        self.prover.answers[0].errback(ZeroDivisionError())
        self.failureResultOf(self.login, CredentialError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_does_not_fit(self) -> None:
        """A login that fits into no message fails with what to do about it; it is no defect."""
        self.prover.answers[0].callback(Proof("x" * 70_000))
        error = self.failureResultOf(self.login, CredentialError).value
        self.assertIn("make metadatas shorter", str(error))

    def test_too_late(self) -> None:
        """One that is not there in time is not waited for: it is cancelled."""
        self.scene.advance(PROVE_TIMEOUT_S)
        self.failureResultOf(self.login, CredentialError)
        self.assertEqual(self.prover.cancelled, 1)

    def test_lost(self) -> None:
        """A connection that ends meanwhile cancels the question."""
        self.leg.cut()
        self.scene.flush()
        self.failureResultOf(self.login, SessionLost)
        self.assertEqual(self.prover.cancelled, 1)

    def test_closed(self) -> None:
        """So does whoever closes the session."""
        self.session.close(Ended.STOPPED)
        self.scene.flush()
        self.failureResultOf(self.login, SessionLost)
        self.assertEqual(self.prover.cancelled, 1)

    def test_ping(self) -> None:
        """A ping without proof is left out, and the session goes on."""
        self.prove()
        self.scene.advance(0.0)
        self.assertEqual(len(self.prover.answers), 2)
        with capturedLogs() as logged:
            self.prover.answers[1].errback(CredentialError("the issuer does not answer"))
        self.assertEqual([line["log_format"] for line in logged], ["[{run}] no ping is sent: {reason}"])
        self.scene.advance(30.0)
        self.assertEqual(len(self.prover.answers), 3)
        self.prove()

    def test_work_connection(self) -> None:
        """So is what proves a work connection, within the same time."""
        self.prove()
        proof = self.session.prove(Scope.WORK_CONNECTIONS)
        assert isinstance(proof, Deferred)
        self.scene.advance(PROVE_TIMEOUT_S)
        self.failureResultOf(proof, CredentialError)

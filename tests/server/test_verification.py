"""Tests of verifiers that answer later: logins, pings and work connections wait for them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import RefusalCode, RefusedError
from relaykit.interfaces import IVerifier
from relaykit.sansio.control import events
from relaykit.sansio.control.client_opening import Refusal
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.login_proofs import BoundLogin, ClientProofs
from relaykit.sansio.control.server_control import VERIFY_TIMEOUT_S
from relaykit.sansio.control.session import Heartbeat
from relaykit.sansio.control.texts import FAILED, POOL_FULL, UNVERIFIED
from relaykit.sansio.wire.messages import Ping
from relaykit.server.acceptor import Link
from relaykit.server.sessions import MAX_UNVERIFIED
from relaykit.values import ClientIdentity
from tests.server.scene import EXPORTER, Client, Key, Scene, versions

BOUND = ClientProofs(exporter=EXPORTER, bound=BoundLogin.PREFER)


@implementer(IVerifier)
class SlowVerifier:
    """Answers when the test wants, except for the scopes that are well at once."""

    def __init__(self, *at_once: Scope) -> None:
        self.scopes = frozenset(Scope)
        self.at_once = set(at_once)
        self.asked: list[tuple[Scope, Proof, ClientIdentity]] = []
        self.answers: list[Deferred[None]] = []
        self.cancelled = 0

    def verify(self, scope: Scope, proof: Proof, client: ClientIdentity) -> Deferred[None] | None:
        self.asked.append((scope, proof, client))
        if scope in self.at_once:
            return None
        self.answers.append(Deferred(self._cancelled))
        return self.answers[-1]

    def _cancelled(self, answer: Deferred[None]) -> None:
        self.cancelled += 1


def no(text: str = "no") -> RefusedError:
    """A refusal."""
    return RefusedError(RefusalCode.BAD_CREDENTIALS, text)


class LoginTests(SynchronousTestCase):
    """A login waits for the verifier."""

    def setUp(self) -> None:
        self.verifier = SlowVerifier()
        self.scene = Scene(verifier=self.verifier)

    def test_accepted(self) -> None:
        """Nothing is answered before the verifier has, then the client is in; in both versions."""
        for framing in versions():
            client = Client(self.scene, framing=framing, user="ann")
            self.assertEqual(client.told, [])
            scope, proof, identity = self.verifier.asked[-1]
            self.assertEqual((scope, identity.user, identity.address), (Scope.LOGIN, "ann", client.leg.host))
            self.assertNotEqual(proof.privilege_key, "")
            self.verifier.answers[-1].callback(None)
            self.scene.flush()
            self.assertEqual(len(client.of(events.LoggedIn)), 1)

    def test_bound(self) -> None:
        """So it is with a login that is bound to its TLS session, of which the verifier is told."""
        link = Link(False, False, lambda: None, exporter=EXPORTER)
        client = Client(self.scene, proofs=BOUND, link=link)
        self.assertEqual(client.of(events.LoggedIn), [])
        ((_, proof, _),) = self.verifier.asked
        self.assertEqual((proof.bound, proof.privilege_key), (True, ""))
        self.verifier.answers[0].callback(None)
        self.scene.flush()
        self.assertEqual(len(client.of(events.LoggedIn)), 1)

    def test_identity(self) -> None:
        """The verifier learns which key the client proved to have."""
        Client(self.scene, proofs=ClientProofs(signer=Key(1)))
        self.assertEqual(self.verifier.asked[0][2].key, Key(1).public_key)

    def test_refused(self) -> None:
        """A refusal reaches the client with its text."""
        client = Client(self.scene)
        self.verifier.answers[0].errback(no("the issuer says no"))
        self.scene.flush()
        self.assertEqual(client.of(events.LoginRefused), [events.LoginRefused("the issuer says no")])
        self.assertEqual(len(self.scene.sessions), 0)

    def test_failed(self) -> None:
        """A defect of the verifier refuses the login without telling internals, and is logged."""
        client = Client(self.scene)
        self.verifier.answers[0].errback(ZeroDivisionError("hidden"))
        self.scene.flush()
        self.assertEqual(client.of(events.LoginRefused), [events.LoginRefused(FAILED)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_too_late(self) -> None:
        """A verifier that does not answer in time is not waited for: the question is cancelled."""
        client = Client(self.scene)
        self.scene.advance(VERIFY_TIMEOUT_S)
        self.assertEqual(client.of(events.LoginRefused), [events.LoginRefused(UNVERIFIED)])
        self.assertEqual(self.verifier.cancelled, 1)
        self.assertEqual(self.scene.clock.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """A client that is gone before the answer cancels the question."""
        for end in ("abort", "close"):
            client = Client(self.scene)
            getattr(client.leg, end)()
            self.scene.flush()
        self.assertEqual(self.verifier.cancelled, 2)
        self.assertEqual(len(self.scene.sessions), 0)
        self.assertEqual(self.scene.network.connections, [])


class HeartbeatTests(SynchronousTestCase):
    """A ping waits for the verifier, and what comes behind it waits for the ping."""

    def setUp(self) -> None:
        self.verifier = SlowVerifier(Scope.LOGIN)
        self.scene = Scene(verifier=self.verifier, heartbeat=Heartbeat(timeout_s=90.0))
        self.client = Client(self.scene, scopes=(Scope.HEARTBEATS,))
        self.client.core._send(Ping())
        self.client.register("web", remote_port=6000)

    def test_accepted(self) -> None:
        """Once it is answered, all goes on in order."""
        self.assertEqual(self.client.of(events.ProxyRegistered), [])
        self.verifier.answers[0].callback(None)
        self.scene.flush()
        self.assertEqual(len(self.client.of(events.ProxyRegistered)), 1)

    def test_refused(self) -> None:
        """A refused ping ends the session at the client, as with frp."""
        self.verifier.answers[0].errback(no())
        self.scene.flush()
        (ended,) = self.client.of(events.SessionEnded)
        self.assertIn("no", ended.text)

    def test_too_late(self) -> None:
        """So does one that nobody decides about."""
        self.scene.advance(VERIFY_TIMEOUT_S)
        (ended,) = self.client.of(events.SessionEnded)
        self.assertIn(UNVERIFIED, ended.text)

    def test_lost(self) -> None:
        """A client that is gone before the answer cancels the question."""
        self.client.leg.abort()
        self.scene.flush()
        self.assertEqual(self.verifier.cancelled, 1)


class WorkConnectionTests(SynchronousTestCase):
    """A work connection waits for the verifier."""

    def setUp(self) -> None:
        self.verifier = SlowVerifier(Scope.LOGIN, Scope.HEARTBEATS)
        self.scene = Scene(verifier=self.verifier)
        self.client = Client(self.scene, scopes=(Scope.WORK_CONNECTIONS,))
        self.client.register("web", remote_port=6000)
        self.scene.dial(6000)

    def refusal(self, answer: Deferred[Any]) -> str:
        """Why one was refused."""
        refusal = self.successResultOf(answer)
        assert isinstance(refusal, Refusal)
        return refusal.text

    def test_accepted(self) -> None:
        """It serves users once the verifier has said yes, and not before."""
        _, answer = self.client.offer_work()
        self.assertNoResult(answer)
        self.assertEqual(self.verifier.asked[-1][2].run_id, self.client.run_id)
        self.verifier.answers[0].callback(None)
        self.scene.flush()
        self.assertEqual(self.successResultOf(answer).proxy_name, "web")

    def test_at_once(self) -> None:
        """A verifier that knows at once costs no turn."""
        self.verifier.at_once.add(Scope.WORK_CONNECTIONS)
        _, answer = self.client.offer_work()
        self.assertEqual(self.successResultOf(answer).proxy_name, "web")

    def test_refused(self) -> None:
        """A refusal reaches the client, which ends."""
        _, answer = self.client.offer_work()
        self.verifier.answers[0].errback(no())
        self.scene.flush()
        self.assertIn("no", self.refusal(answer))

    def test_too_late(self) -> None:
        """One that nobody decides about is refused in time."""
        _, answer = self.client.offer_work()
        self.scene.advance(VERIFY_TIMEOUT_S)
        self.assertIn(UNVERIFIED, self.refusal(answer))

    def test_lost(self) -> None:
        """One that ends before the answer, or says something, cancels the question."""
        for end in ("abort", "close"):
            leg, answer = self.client.offer_work()
            answer.addErrback(lambda _: None)
            getattr(leg, end)()
            self.scene.flush()
        self.assertEqual(self.verifier.cancelled, 2)
        leg, answer = self.client.offer_work()
        answer.addErrback(lambda _: None)
        leg.write(b"too early")
        self.scene.flush()
        self.assertEqual(self.verifier.cancelled, 3)

    def test_given_up(self) -> None:
        """One about which the verifier itself gives up is dropped, for nobody else would end it."""
        _, answer = self.client.offer_work()
        self.verifier.answers[0].errback(CancelledError())
        self.scene.flush()
        self.failureResultOf(answer)

    def test_too_many(self) -> None:
        """No more than so many wait at once; the others are refused."""
        answers = [self.client.offer_work()[1] for _ in range(MAX_UNVERIFIED + 1)]
        self.assertNoResult(answers[-2])
        self.assertIn(POOL_FULL, self.refusal(answers[-1]))
        self.verifier.answers[0].callback(None)
        self.scene.flush()
        self.assertNoResult(self.client.offer_work()[1])
        self.assertEqual(len(self.verifier.answers), MAX_UNVERIFIED + 1)

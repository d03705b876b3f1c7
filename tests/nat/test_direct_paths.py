"""Tests of the client's half of rendezvous over signals: who owns what, and what is told when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import (
    LocalProtocolError,
    RefusalCode,
    RefusedError,
    RendezvousFailedError,
    RendezvousRefusedError,
)
from relaykit.interfaces import ISignalPeer
from relaykit.nat.direct_paths import OVERDUE_S, DirectPaths
from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.client_rendezvous import LIFE_S, RENDEZVOUS_MAX, REQUEST_S, RendezvousBegun
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.punching import FailureReason
from relaykit.sansio.nat.rendezvous_messages import (
    KEY,
    CandidatesPassed,
    EndReason,
    RendezvousEnd,
    RendezvousGrant,
    RendezvousInvitation,
    RendezvousMessage,
    RendezvousRefusal,
    RendezvousRequest,
    from_body,
    proof_of,
    to_body,
)
from relaykit.values import ClientIdentity, Secret

SECRET = Secret("a secret")
KEY_32 = bytes(range(32))


@implementer(ISignalPeer)
class _Server:
    """What a client says to its server."""

    def __init__(self) -> None:
        self.identity = ClientIdentity("run-1")
        self.takes_signals = True
        self.heard: list[RendezvousMessage] = []

    def signal(self, body: Mapping[str, Any]) -> None:
        """Hears."""
        if not self.takes_signals:
            raise RefusedError(RefusalCode.NOT_AVAILABLE, "there is no session")
        message = from_body(body)
        assert message is not None
        self.heard.append(message)


class _Session:
    """What punches as a test says."""

    def __init__(self, begun: RendezvousBegun, send: Any) -> None:
        self.begun = begun
        self.send = send
        self.received: list[tuple[object, str]] = []
        self.cancelled = 0
        self.result: Deferred[Any] = Deferred(self._cancel)

    def start(self) -> Deferred[Any]:
        """Begins."""
        return self.result

    def candidates_received(self, wire: object, seen_at: str = "") -> None:
        """Takes candidates, if it is one."""
        if wire == {"bad": 1}:
            Candidates.from_wire(wire)
        self.received.append((wire, seen_at))

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


class _Path:
    """A direct path that somebody may close."""

    closed = False

    def close(self) -> None:
        """Closes it."""
        self.closed = True


class DirectPathsTests(SynchronousTestCase):
    """One backend's or one visitor's rendezvous."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = _Server()
        self.punched: list[_Session] = []
        self.for_datagrams: list[bool] = []
        self.prepared: list[PeerRole] = []
        numbers = iter(range(1, 1000))
        self.rendezvous = DirectPaths(
            self.server,
            self.clock,
            self.punch,
            lambda count: next(numbers).to_bytes(count, "big"),
            self.prepared.append,
        )

    def punch(self, begun: RendezvousBegun, send: Any, for_datagrams: bool) -> _Session:
        """What the client punches with."""
        self.for_datagrams.append(for_datagrams)
        self.punched.append(_Session(begun, send))
        return self.punched[-1]

    def hear(self, message: RendezvousMessage) -> None:
        """The server says something."""
        self.assertTrue(self.rendezvous.signal_received(to_body(message)))

    def called(self) -> tuple[Deferred[Any], str]:
        """A call that went out."""
        result = self.rendezvous.call(SECRET)
        return result, self.server.heard[-1].id

    def granted(self) -> tuple[Deferred[Any], str, _Session]:
        """A call that was granted."""
        result, call = self.called()
        self.hear(RendezvousGrant(call, KEY_32))
        return result, call, self.punched[-1]

    def invited(self, call: str = "theirs") -> _Session:
        """A rendezvous that this end was invited to."""
        self.hear(RendezvousInvitation(call, KEY_32))
        return self.punched[-1]

    def test_prepared(self) -> None:
        """Who says that paths will be wanted has loaded what they need, and nobody is asked for one."""
        self.rendezvous.prepare(PeerRole.INITIATOR)
        self.assertEqual((self.prepared, self.server.heard), ([PeerRole.INITIATOR], []))

    def test_call(self) -> None:
        """A call proves the secret for this client; nothing is opened before it is granted."""
        _, call = self.called()
        proof = proof_of(SECRET.to_bytes(), "run-1", call)
        self.assertEqual((self.server.heard, self.punched), ([RendezvousRequest(call, proof)], []))

    def test_for_datagrams(self) -> None:
        """Each end says whether a path whose datagrams it uses as they are will do."""
        for wanted in (False, True):
            self.rendezvous.call(SECRET, for_datagrams=wanted)
            self.hear(RendezvousGrant(self.server.heard[-1].id, KEY_32))
            self.rendezvous.answer(lambda path: None, for_datagrams=wanted)
            self.invited(f"theirs, {wanted}")
        self.assertEqual(self.for_datagrams, [False, False, True, True])

    def test_path(self) -> None:
        """The initiator gets the path, and the server is told that this end has one."""
        result, call, punching = self.granted()
        self.assertIs(punching.begun.role, PeerRole.INITIATOR)
        punching.send({"mine": 1})
        self.hear(CandidatesPassed(call, {"theirs": 2}, "203.0.113.9"))
        self.assertEqual(punching.received, [({"theirs": 2}, "203.0.113.9")])
        path = object()
        punching.result.callback(path)
        self.assertIs(self.successResultOf(result), path)
        self.assertEqual(
            self.server.heard[1:],
            [CandidatesPassed(call, {"mine": 1}), RendezvousEnd(call, EndReason.SETTLED)],
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answering(self) -> None:
        """The responder's on_path gets each path; without an on_path an invitation is declined."""
        self.hear(RendezvousInvitation("first", KEY_32))
        self.assertEqual(self.server.heard, [RendezvousEnd("first", EndReason.GONE)])
        taken: list[Any] = []
        self.rendezvous.answer(taken.append)
        punching = self.invited()
        self.assertIs(punching.begun.role, PeerRole.RESPONDER)
        punching.result.callback("path")
        self.assertEqual(taken, ["path"])
        self.assertEqual(self.server.heard[1:], [RendezvousEnd("theirs", EndReason.SETTLED)])

    def test_taker_with_a_defect(self) -> None:
        """An ``on_path`` that raises is logged and its path closed; the next is taken all the same."""
        taken: list[Any] = []

        def take(path: Any) -> None:
            taken.append(path)
            raise ValueError("a defect")

        self.rendezvous.answer(take)
        paths = [_Path(), _Path()]
        for number, path in enumerate(paths):
            self.invited(str(number)).result.callback(path)
        self.assertEqual(taken, paths)
        self.assertEqual([path.closed for path in paths], [True, True])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_refused(self) -> None:
        """A refusal has the server's code and text."""
        result, call = self.called()
        self.hear(RendezvousRefusal(call, "user-not-allowed", "not you"))
        refusal = self.failureResultOf(result, RendezvousRefusedError).value
        self.assertEqual((refusal.code, refusal.text), (RefusalCode.USER_NOT_ALLOWED, "not you"))

    def test_not_available(self) -> None:
        """Where the server takes no signals a call fails at once."""
        self.server.takes_signals = False
        self.assertIs(
            self.failureResultOf(self.rendezvous.call(SECRET), RefusedError).value.code,
            RefusalCode.NOT_AVAILABLE,
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_punch_failed(self) -> None:
        """Both ends learn why punching failed, whichever found it out."""
        result, call, punching = self.granted()
        punching.result.errback(HolePunchingFailedError.because(FailureReason.IMPOSSIBLE))
        self.assertIs(
            self.failureResultOf(result, HolePunchingFailedError).value.reason, FailureReason.IMPOSSIBLE
        )
        self.assertEqual(self.server.heard[-1], RendezvousEnd(call, EndReason.FAILED, "impossible"))
        result, call, punching = self.granted()
        self.hear(RendezvousEnd(call, EndReason.FAILED, "impossible"))
        self.assertIs(
            self.failureResultOf(result, HolePunchingFailedError).value.reason, FailureReason.IMPOSSIBLE
        )
        self.assertEqual(punching.cancelled, 1)

    def test_defect(self) -> None:
        """A defect while punching is logged and ends the rendezvous."""
        result, call, punching = self.granted()
        punching.result.errback(LocalProtocolError("a defect"))
        self.failureResultOf(result, RendezvousFailedError)
        self.assertEqual(self.server.heard[-1], RendezvousEnd(call, EndReason.FAILED))
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)

    def test_other_end(self) -> None:
        """When the other end is gone, cancels or is busy, this one stops and says why."""
        for why in (EndReason.GONE, EndReason.CANCELLED, EndReason.BUSY, EndReason.TIMEOUT):
            result, call, punching = self.granted()
            self.hear(RendezvousEnd(call, why))
            self.assertIs(self.failureResultOf(result, RendezvousFailedError).value.reason, why)
            self.assertEqual(punching.cancelled, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_invitation_that_comes_to_nothing(self) -> None:
        """A responder whose initiator gives up stops; one that finds no path tells the initiator why."""
        self.rendezvous.answer(lambda path: None)
        punching = self.invited("one")
        self.hear(RendezvousEnd("one", EndReason.CANCELLED))
        self.assertEqual((punching.cancelled, self.server.heard), (1, []))
        self.invited("two").result.errback(HolePunchingFailedError.because(FailureReason.SILENCE))
        self.assertEqual(self.server.heard, [RendezvousEnd("two", EndReason.FAILED, "silence")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_overdue(self) -> None:
        """Who waits is told after a while, once; a path still comes.  One that came early tells nothing."""
        told: list[float] = []
        late = self.rendezvous.call(SECRET, on_overdue=lambda: told.append(self.clock.seconds()))
        early = self.rendezvous.call(SECRET, on_overdue=lambda: self.fail("there is a path"))
        cancelled = self.rendezvous.call(SECRET, on_overdue=lambda: self.fail("nobody waits"))
        paths: list[Any] = [_Path(), _Path()]
        for request in self.server.heard[:2]:
            self.hear(RendezvousGrant(request.id, KEY_32))
        self.punched[1].result.callback(paths[1])
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.clock.pump([0.1] * 100)
        self.assertEqual([round(at, 1) for at in told], [OVERDUE_S])
        self.punched[0].result.callback(paths[0])
        self.assertEqual([self.successResultOf(late), self.successResultOf(early)], paths)

    def test_cancel(self) -> None:
        """Cancelling stops the punch and tells the other end, before and after the call was granted."""
        result, call = self.called()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(self.server.heard[-1], RendezvousEnd(call, EndReason.CANCELLED))
        result, call, punching = self.granted()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(punching.cancelled, 1)
        self.assertEqual(self.server.heard[-1], RendezvousEnd(call, EndReason.CANCELLED))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """Closing ends everything on both sides, and nothing is answered any more."""
        self.rendezvous.answer(lambda path: None)
        result, _, calling = self.granted()
        invited = self.invited()
        self.rendezvous.close()
        self.failureResultOf(result, CancelledError)
        self.assertEqual((calling.cancelled, invited.cancelled), (1, 1))
        self.assertEqual([each.why for each in self.ends()], [EndReason.CANCELLED] * 2)
        self.hear(RendezvousInvitation("late", KEY_32))
        self.assertIs(self.ends()[-1].why, EndReason.GONE)

    def test_bad_candidates(self) -> None:
        """What are no candidates ends the rendezvous: whoever sends such is no peer."""
        result, call, punching = self.granted()
        self.hear(CandidatesPassed(call, {"bad": 1}))
        self.assertIs(self.failureResultOf(result, RendezvousFailedError).value.reason, EndReason.BROKEN)
        self.assertEqual((self.ends()[-1].why, punching.cancelled), (EndReason.BROKEN, 1))

    def test_deadlines(self) -> None:
        """A call that is not answered, and a rendezvous that does not end, are given up in time."""
        result, _ = self.called()
        self.clock.advance(REQUEST_S)
        self.assertIs(self.failureResultOf(result, RendezvousFailedError).value.reason, EndReason.TIMEOUT)
        result, _, punching = self.granted()
        self.clock.advance(LIFE_S)
        self.failureResultOf(result, RendezvousFailedError)
        self.assertEqual(punching.cancelled, 1)

    def test_session_is_lost(self) -> None:
        """A rendezvous whose candidates are exchanged goes on without the server."""
        result, call, punching = self.granted()
        self.hear(CandidatesPassed(call, {}))
        self.server.takes_signals = False
        punching.result.callback("path")
        self.assertEqual(self.successResultOf(result), "path")

    def test_bounded(self) -> None:
        """So many rendezvous at once, and no more."""
        for _ in range(RENDEZVOUS_MAX):
            self.granted()
        refusal = self.failureResultOf(self.rendezvous.call(SECRET), RendezvousRefusedError).value
        self.assertIs(refusal.code, RefusalCode.TOO_MANY)

    def test_other_signals(self) -> None:
        """Signals of the type's own are left to it."""
        self.assertFalse(self.rendezvous.signal_received({"mine": 1}))
        self.assertTrue(self.rendezvous.signal_received({KEY: {"do": "end", "id": "x", "why": "gone"}}))

    def ends(self) -> list[RendezvousEnd]:
        """What the server was told of ends."""
        return [each for each in self.server.heard if isinstance(each, RendezvousEnd)]

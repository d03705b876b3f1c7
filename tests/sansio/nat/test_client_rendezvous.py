"""Tests of the client's half of rendezvous, alone and against the server's."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RemoteProtocolError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.client_rendezvous import (
    LIFE_S,
    RENDEZVOUS_MAX,
    REQUEST_S,
    CandidatesReceived,
    ClientRendezvous,
    RendezvousBegun,
    RendezvousEnded,
    RendezvousRefused,
)
from relaykit.sansio.nat.punching import FailureReason
from relaykit.sansio.nat.rendezvous_messages import (
    CandidatesPassed,
    EndReason,
    RendezvousEnd,
    RendezvousGrant,
    RendezvousInvitation,
    RendezvousMessage,
    RendezvousRefusal,
    RendezvousRequest,
    proof_of,
)
from relaykit.sansio.nat.server_rendezvous import RENDEZVOUS_S, Party, ServerRendezvous
from relaykit.sansio.rates import RateLimit
from relaykit.values import Address

KEY = bytes(range(32))
SEEN = Address("198.51.100.7", 5000)


def prove(call: str) -> bytes:
    """A proof."""
    return proof_of(b"secret", "run", call)


class ClientRendezvousTests(SynchronousTestCase):
    """What a client says and hears."""

    def setUp(self) -> None:
        numbers = itertools.count(1)
        self.core = ClientRendezvous(lambda count: next(numbers).to_bytes(count, "big"))

    def request(self, now: float = 0.0) -> str:
        """A call that has gone out."""
        call = self.core.request(prove, now)
        assert call is not None
        self.core.to_send()
        return call

    def rendezvous(self, now: float = 0.0) -> str:
        """A call that was granted."""
        call = self.request(now)
        self.core.received(RendezvousGrant(call, KEY, SEEN, (7000,)), now)
        self.core.events()
        return call

    def test_request(self) -> None:
        """A call has a name that cannot be guessed, and the proof that belongs to it."""
        call = self.core.request(prove, 0.0)
        assert call is not None
        self.assertEqual(len(call), 32)
        self.assertEqual(self.core.to_send(), [RendezvousRequest(call, prove(call))])
        self.assertEqual((len(self.core), self.core.next_wakeup()), (1, REQUEST_S))

    def test_granted(self) -> None:
        """A call that is granted is a rendezvous of the initiator."""
        call = self.request()
        self.core.received(RendezvousGrant(call, KEY, SEEN, (7000,)), 1.0)
        self.assertEqual(self.core.events(), [RendezvousBegun(call, PeerRole.INITIATOR, KEY, SEEN, (7000,))])
        self.assertEqual(self.core.next_wakeup(), 1.0 + LIFE_S)
        self.assertNotIn(repr(KEY), repr(RendezvousBegun(call, PeerRole.INITIATOR, KEY)))

    def test_declined(self) -> None:
        """A call that is refused is over, with the reason; a reason of another version is still one."""
        for code, expected in (("too-many", RefusalCode.TOO_MANY), ("of the future", RefusalCode.OTHER)):
            call = self.request()
            self.core.received(RendezvousRefusal(call, code, "no"), 0.0)
            self.assertEqual(self.core.events(), [RendezvousRefused(call, expected, "no")])
            self.assertEqual(len(self.core), 0)

    def test_invited(self) -> None:
        """An invitation is a rendezvous of the responder."""
        self.core.received(RendezvousInvitation("theirs", KEY, SEEN, (7000, 7001)), 0.0)
        self.assertEqual(
            self.core.events(), [RendezvousBegun("theirs", PeerRole.RESPONDER, KEY, SEEN, (7000, 7001))]
        )
        self.assertRaises(RemoteProtocolError, self.core.received, RendezvousInvitation("theirs", KEY), 0.0)

    def test_candidates(self) -> None:
        """Offers go out and come in."""
        call = self.rendezvous()
        self.core.send_candidates(call, {"mine": 1})
        self.assertEqual(self.core.to_send(), [CandidatesPassed(call, {"mine": 1})])
        self.core.received(CandidatesPassed(call, {"theirs": 2}, "203.0.113.9"), 0.0)
        self.assertEqual(self.core.events(), [CandidatesReceived(call, {"theirs": 2}, "203.0.113.9")])

    def test_end_of_this_side(self) -> None:
        """This end says that it is done once, and why; then it hears and says nothing more."""
        call = self.rendezvous()
        self.core.end(call, EndReason.FAILED, FailureReason.SILENCE)
        self.core.end(call, EndReason.CANCELLED)
        self.core.send_candidates(call, {})
        self.assertEqual(self.core.to_send(), [RendezvousEnd(call, EndReason.FAILED, "silence")])
        self.core.received(CandidatesPassed(call, {}), 0.0)
        self.core.received(RendezvousEnd(call, EndReason.TIMEOUT), 0.0)
        self.assertEqual((self.core.events(), self.core.next_wakeup()), ([], None))

    def test_end_of_the_other_side(self) -> None:
        """The other end's reason is told; one that is not known tells nothing."""
        for failure, expected in (("silence", FailureReason.SILENCE), ("of the future", None), ("", None)):
            call = self.rendezvous()
            self.core.received(RendezvousEnd(call, EndReason.FAILED, failure), 0.0)
            self.assertEqual(self.core.events(), [RendezvousEnded(call, EndReason.FAILED, expected)])

    def test_out_of_turn(self) -> None:
        """A server that grants twice, or sends candidates before, breaks the rules."""
        calling, rendezvous = self.request(), self.rendezvous()
        for message in (
            CandidatesPassed(calling, {}),
            RendezvousGrant(rendezvous, KEY),
            RendezvousRefusal(rendezvous),
            RendezvousRequest(rendezvous),
        ):
            self.assertRaises(RemoteProtocolError, self.core.received, message, 0.0)

    def test_deadlines(self) -> None:
        """A call that nobody answers, and a rendezvous that nobody ends, are over in time."""
        call, rendezvous = self.request(5.0), self.rendezvous(5.0)
        self.core.wake(5.0 + REQUEST_S - 0.1)
        self.assertEqual(self.core.events(), [])
        self.core.wake(5.0 + REQUEST_S)
        self.assertEqual(self.core.events(), [RendezvousEnded(call, EndReason.TIMEOUT)])
        self.assertEqual(self.core.to_send(), [RendezvousEnd(call, EndReason.TIMEOUT)])
        self.core.wake(5.0 + LIFE_S)
        self.assertEqual(self.core.events(), [RendezvousEnded(rendezvous, EndReason.TIMEOUT)])
        self.assertGreater(LIFE_S, RENDEZVOUS_S)

    def test_bounded(self) -> None:
        """Beyond so many rendezvous no call is made, and invitations are answered at once."""
        for _ in range(RENDEZVOUS_MAX):
            self.rendezvous()
        self.assertIsNone(self.core.request(prove, 0.0))
        self.core.received(RendezvousInvitation("theirs", KEY), 0.0)
        self.assertEqual(self.core.to_send(), [RendezvousEnd("theirs", EndReason.BUSY)])
        self.assertEqual(self.core.events(), [])


class _World:
    """A server and two clients, with messages under way that arrive in order, when the test wants it."""

    def __init__(self) -> None:
        numbers = itertools.count(1)

        def entropy(count: int) -> bytes:
            return next(numbers).to_bytes(count, "big")

        generous = RateLimit(10_000, 1.0, 100), RateLimit(10_000, 1.0, 100)
        self.server = ServerRendezvous(entropy, tuple, *generous)
        self.ends = {role: ClientRendezvous(entropy) for role in PeerRole}
        self.parties = {role: Party(role, role.value, role.value, SEEN, role) for role in PeerRole}
        self.up: dict[PeerRole, list[RendezvousMessage]] = {role: [] for role in PeerRole}
        self.down: dict[PeerRole, list[RendezvousMessage]] = {role: [] for role in PeerRole}
        self.events: dict[PeerRole, list[Any]] = {role: [] for role in PeerRole}
        self.now = 0.0

    def settle(self) -> None:
        """Takes what all have to say."""
        for role, core in self.ends.items():
            self.up[role] += core.to_send()
            self.events[role] += core.events()
        for delivery in self.server.to_send():
            self.down[delivery.peer].append(delivery.message)

    def deliver(self, role: PeerRole, upwards: bool) -> None:
        """One message arrives."""
        queue = self.up[role] if upwards else self.down[role]
        if not queue:
            return
        message = queue.pop(0)
        if not upwards:
            self.ends[role].received(message, self.now)
        elif isinstance(message, RendezvousRequest):
            responder = self.parties[PeerRole.RESPONDER]
            self.server.requested(self.parties[role], message, responder, lambda: None, self.now)
        else:
            self.server.received(self.parties[role], message, self.now)
        self.settle()

    def run(self) -> None:
        """Everything that is under way arrives."""
        while any(self.up.values()) or any(self.down.values()):
            for role in PeerRole:
                self.deliver(role, True)
                self.deliver(role, False)


class BothHalvesTests(SynchronousTestCase):
    """Server and clients together."""

    def test_course(self) -> None:
        """Both ends meet with one key, exchange candidates, settle, and nothing is left."""
        world = _World()
        world.ends[PeerRole.INITIATOR].request(prove, 0.0)
        world.settle()
        world.run()
        begun = {role: world.events[role].pop() for role in PeerRole}
        self.assertEqual(begun[PeerRole.INITIATOR].key, begun[PeerRole.RESPONDER].key)
        for role in PeerRole:
            world.ends[role].send_candidates(begun[role].id, {"from": role.value})
            world.settle()
            world.run()
        self.assertEqual(world.events[PeerRole.INITIATOR].pop().candidates, {"from": "responder"})
        self.assertEqual(world.events[PeerRole.RESPONDER].pop().candidates, {"from": "initiator"})
        for role in PeerRole:
            world.ends[role].end(begun[role].id, EndReason.SETTLED)
        world.settle()
        world.run()
        self.assertEqual([len(world.server), *map(len, world.ends.values())], [0, 0, 0])

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(list(PeerRole)),
                st.sampled_from(["up", "down", "send", "settle", "fail", "cancel", "wait"]),
            ),
            max_size=40,
        )
    )
    def test_any_order(self, moves: list[tuple[PeerRole, str]]) -> None:
        """Ends that keep their turn never hear that they broke the rules, and in the end nothing is left."""
        world = _World()
        world.ends[PeerRole.INITIATOR].request(prove, 0.0)
        world.settle()
        mine: dict[PeerRole, str] = {}
        sent, heard = dict.fromkeys(PeerRole, 0), dict.fromkeys(PeerRole, 0)
        for role, move in moves:
            if move in ("up", "down"):
                world.deliver(role, move == "up")
            elif move == "wait":
                world.now += 4.0
                world.server.wake(world.now)
                for end in world.ends.values():
                    end.wake(world.now)
            elif role in mine:
                may_send = sent[role] == 0 if role is PeerRole.INITIATOR else sent[role] < heard[role]
                if move == "send" and may_send:
                    sent[role] += 1
                    world.ends[role].send_candidates(mine[role], {})
                elif move == "settle" and heard[PeerRole.INITIATOR] and sent[role]:
                    world.ends[role].end(mine[role], EndReason.SETTLED)
                elif move in ("fail", "cancel"):
                    reason = EndReason.FAILED if move == "fail" else EndReason.CANCELLED
                    world.ends[role].end(mine[role], reason)
            world.settle()
            for each in PeerRole:
                for event in world.events[each]:
                    if isinstance(event, RendezvousBegun):
                        mine[each] = event.id
                    elif isinstance(event, CandidatesReceived):
                        heard[each] += 1
                    elif isinstance(event, RendezvousEnded):
                        self.assertIsNot(event.why, EndReason.BROKEN)
                world.events[each].clear()
        world.run()
        world.now += LIFE_S
        world.server.wake(world.now)
        for end in world.ends.values():
            end.wake(world.now)
        world.settle()
        world.run()
        self.assertEqual([len(world.server), *map(len, world.ends.values())], [0, 0, 0])

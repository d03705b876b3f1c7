"""Tests of the client's half of meetings, alone and against the server's."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RemoteProtocolError
from relaykit.sansio.nat.knocks import Role
from relaykit.sansio.nat.meeting_messages import (
    Call,
    Declined,
    EndOfMeeting,
    EndReason,
    Granted,
    Invitation,
    MeetingMessage,
    OfferPassed,
    proof_of,
)
from relaykit.sansio.nat.meetings import (
    CALL_S,
    LIFE_S,
    MEETINGS_MAX,
    CallDeclined,
    Ended,
    Meetings,
    Met,
    OfferReceived,
)
from relaykit.sansio.nat.punching import FailureReason
from relaykit.sansio.nat.rates import RateLimit
from relaykit.sansio.nat.rendezvous import MEETING_S, Party, Rendezvous
from relaykit.values import Address

KEY = bytes(range(32))
SEEN = Address("198.51.100.7", 5000)


def prove(call: str) -> bytes:
    """A proof."""
    return proof_of(b"secret", "run", call)


class MeetingsTests(SynchronousTestCase):
    """What a client says and hears."""

    def setUp(self) -> None:
        numbers = itertools.count(1)
        self.core = Meetings(lambda count: next(numbers).to_bytes(count, "big"))

    def call(self, now: float = 0.0) -> str:
        """A call that has gone out."""
        call = self.core.call(prove, now)
        assert call is not None
        self.core.to_send()
        return call

    def meeting(self, now: float = 0.0) -> str:
        """A call that was granted."""
        call = self.call(now)
        self.core.received(Granted(call, KEY, SEEN, (7000,)), now)
        self.core.events()
        return call

    def test_call(self) -> None:
        """A call has a name that cannot be guessed, and the proof that belongs to it."""
        call = self.core.call(prove, 0.0)
        assert call is not None
        self.assertEqual(len(call), 32)
        self.assertEqual(self.core.to_send(), [Call(call, prove(call))])
        self.assertEqual((len(self.core), self.core.next_wakeup()), (1, CALL_S))

    def test_granted(self) -> None:
        """A call that is granted is a meeting of the caller."""
        call = self.call()
        self.core.received(Granted(call, KEY, SEEN, (7000,)), 1.0)
        self.assertEqual(self.core.events(), [Met(call, Role.CALLER, KEY, SEEN, (7000,))])
        self.assertEqual(self.core.next_wakeup(), 1.0 + LIFE_S)
        self.assertNotIn(repr(KEY), repr(Met(call, Role.CALLER, KEY)))

    def test_declined(self) -> None:
        """A call that is refused is over, with the reason; a reason of another version is still one."""
        for code, expected in (("too-many", RefusalCode.TOO_MANY), ("of the future", RefusalCode.OTHER)):
            call = self.call()
            self.core.received(Declined(call, code, "no"), 0.0)
            self.assertEqual(self.core.events(), [CallDeclined(call, expected, "no")])
            self.assertEqual(len(self.core), 0)

    def test_invited(self) -> None:
        """An invitation is a meeting of the callee."""
        self.core.received(Invitation("theirs", KEY, SEEN, (7000, 7001)), 0.0)
        self.assertEqual(self.core.events(), [Met("theirs", Role.CALLEE, KEY, SEEN, (7000, 7001))])
        self.assertRaises(RemoteProtocolError, self.core.received, Invitation("theirs", KEY), 0.0)

    def test_offers(self) -> None:
        """Offers go out and come in."""
        call = self.meeting()
        self.core.offer(call, {"mine": 1})
        self.assertEqual(self.core.to_send(), [OfferPassed(call, {"mine": 1})])
        self.core.received(OfferPassed(call, {"theirs": 2}, "203.0.113.9"), 0.0)
        self.assertEqual(self.core.events(), [OfferReceived(call, {"theirs": 2}, "203.0.113.9")])

    def test_end_of_this_side(self) -> None:
        """This end says that it is done once, and why; then it hears and says nothing more."""
        call = self.meeting()
        self.core.end(call, EndReason.FAILED, FailureReason.SILENCE)
        self.core.end(call, EndReason.CANCELLED)
        self.core.offer(call, {})
        self.assertEqual(self.core.to_send(), [EndOfMeeting(call, EndReason.FAILED, "silence")])
        self.core.received(OfferPassed(call, {}), 0.0)
        self.core.received(EndOfMeeting(call, EndReason.TIMEOUT), 0.0)
        self.assertEqual((self.core.events(), self.core.next_wakeup()), ([], None))

    def test_end_of_the_other_side(self) -> None:
        """The other end's reason is told; one that is not known tells nothing."""
        for failure, expected in (("silence", FailureReason.SILENCE), ("of the future", None), ("", None)):
            call = self.meeting()
            self.core.received(EndOfMeeting(call, EndReason.FAILED, failure), 0.0)
            self.assertEqual(self.core.events(), [Ended(call, EndReason.FAILED, expected)])

    def test_out_of_turn(self) -> None:
        """A server that grants twice, or sends offers before, breaks the rules."""
        calling, meeting = self.call(), self.meeting()
        for message in (
            OfferPassed(calling, {}),
            Granted(meeting, KEY),
            Declined(meeting),
            Call(meeting),
        ):
            self.assertRaises(RemoteProtocolError, self.core.received, message, 0.0)

    def test_deadlines(self) -> None:
        """A call that nobody answers, and a meeting that nobody ends, are over in time."""
        call, meeting = self.call(5.0), self.meeting(5.0)
        self.core.wake(5.0 + CALL_S - 0.1)
        self.assertEqual(self.core.events(), [])
        self.core.wake(5.0 + CALL_S)
        self.assertEqual(self.core.events(), [Ended(call, EndReason.TIMEOUT)])
        self.assertEqual(self.core.to_send(), [EndOfMeeting(call, EndReason.TIMEOUT)])
        self.core.wake(5.0 + LIFE_S)
        self.assertEqual(self.core.events(), [Ended(meeting, EndReason.TIMEOUT)])
        self.assertGreater(LIFE_S, MEETING_S)

    def test_bounded(self) -> None:
        """Beyond so many meetings no call is made, and invitations are answered at once."""
        for _ in range(MEETINGS_MAX):
            self.meeting()
        self.assertIsNone(self.core.call(prove, 0.0))
        self.core.received(Invitation("theirs", KEY), 0.0)
        self.assertEqual(self.core.to_send(), [EndOfMeeting("theirs", EndReason.BUSY)])
        self.assertEqual(self.core.events(), [])


class _World:
    """A server and two clients, with messages under way that arrive in order, when the test wants it."""

    def __init__(self) -> None:
        numbers = itertools.count(1)

        def entropy(count: int) -> bytes:
            return next(numbers).to_bytes(count, "big")

        generous = RateLimit(10_000, 1.0, 100), RateLimit(10_000, 1.0, 100)
        self.server = Rendezvous(entropy, tuple, *generous)
        self.ends = {role: Meetings(entropy) for role in Role}
        self.parties = {role: Party(role, role.value, role.value, SEEN, role) for role in Role}
        self.up: dict[Role, list[MeetingMessage]] = {role: [] for role in Role}
        self.down: dict[Role, list[MeetingMessage]] = {role: [] for role in Role}
        self.events: dict[Role, list[Any]] = {role: [] for role in Role}
        self.now = 0.0

    def settle(self) -> None:
        """Takes what all have to say."""
        for role, core in self.ends.items():
            self.up[role] += core.to_send()
            self.events[role] += core.events()
        for delivery in self.server.to_send():
            self.down[delivery.peer].append(delivery.message)

    def deliver(self, role: Role, upwards: bool) -> None:
        """One message arrives."""
        queue = self.up[role] if upwards else self.down[role]
        if not queue:
            return
        message = queue.pop(0)
        if not upwards:
            self.ends[role].received(message, self.now)
        elif isinstance(message, Call):
            callee = self.parties[Role.CALLEE]
            self.server.called(self.parties[role], message, callee, lambda: None, self.now)
        else:
            self.server.received(self.parties[role], message, self.now)
        self.settle()

    def run(self) -> None:
        """Everything that is under way arrives."""
        while any(self.up.values()) or any(self.down.values()):
            for role in Role:
                self.deliver(role, True)
                self.deliver(role, False)


class BothHalvesTests(SynchronousTestCase):
    """Server and clients together."""

    def test_course(self) -> None:
        """Both ends meet with one key, exchange offers, settle, and nothing is left."""
        world = _World()
        world.ends[Role.CALLER].call(prove, 0.0)
        world.settle()
        world.run()
        met = {role: world.events[role].pop() for role in Role}
        self.assertEqual(met[Role.CALLER].key, met[Role.CALLEE].key)
        for role in Role:
            world.ends[role].offer(met[role].call, {"from": role.value})
            world.settle()
            world.run()
        self.assertEqual(world.events[Role.CALLER].pop().offer, {"from": "callee"})
        self.assertEqual(world.events[Role.CALLEE].pop().offer, {"from": "caller"})
        for role in Role:
            world.ends[role].end(met[role].call, EndReason.SETTLED)
        world.settle()
        world.run()
        self.assertEqual([len(world.server), *map(len, world.ends.values())], [0, 0, 0])

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(list(Role)),
                st.sampled_from(["up", "down", "offer", "settle", "fail", "cancel", "wait"]),
            ),
            max_size=40,
        )
    )
    def test_any_order(self, moves: list[tuple[Role, str]]) -> None:
        """Ends that keep their turn never hear that they broke the rules, and in the end nothing is left."""
        world = _World()
        world.ends[Role.CALLER].call(prove, 0.0)
        world.settle()
        mine: dict[Role, str] = {}
        offered, heard = dict.fromkeys(Role, 0), dict.fromkeys(Role, 0)
        for role, move in moves:
            if move in ("up", "down"):
                world.deliver(role, move == "up")
            elif move == "wait":
                world.now += 4.0
                world.server.wake(world.now)
                for end in world.ends.values():
                    end.wake(world.now)
            elif role in mine:
                may_offer = offered[role] == 0 if role is Role.CALLER else offered[role] < heard[role]
                if move == "offer" and may_offer:
                    offered[role] += 1
                    world.ends[role].offer(mine[role], {})
                elif move == "settle" and heard[Role.CALLER] and offered[role]:
                    world.ends[role].end(mine[role], EndReason.SETTLED)
                elif move in ("fail", "cancel"):
                    reason = EndReason.FAILED if move == "fail" else EndReason.CANCELLED
                    world.ends[role].end(mine[role], reason)
            world.settle()
            for each in Role:
                for event in world.events[each]:
                    if isinstance(event, Met):
                        mine[each] = event.call
                    elif isinstance(event, OfferReceived):
                        heard[each] += 1
                    elif isinstance(event, Ended):
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

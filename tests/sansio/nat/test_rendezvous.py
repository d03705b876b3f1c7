"""Tests of the server's half of meetings: every order of events, bounds, rates and deadlines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.sansio.nat import rendezvous
from relaykit.sansio.nat.knocks import GENERATION_MAX, Role
from relaykit.sansio.nat.meeting_messages import (
    Call,
    Declined,
    EndOfMeeting,
    EndReason,
    Granted,
    Invitation,
    MeetingMessage,
    OfferPassed,
)
from relaykit.sansio.nat.rates import RateLimit
from relaykit.sansio.nat.rendezvous import (
    ACTORS,
    CLIENT_CALLS_AT_ONCE,
    CLIENT_CALLS_PER_S,
    DEADLINES_S,
    MEETING_S,
    OFFER_BYTES_MAX,
    TRANSITIONS,
    Delivery,
    MeetingOver,
    Party,
    Rendezvous,
    State,
    Step,
)
from relaykit.values import Address

HOSTS = {Role.CALLER: "198.51.100.7", Role.CALLEE: "203.0.113.9"}


def caller(client: str = "run-v", host: str = HOSTS[Role.CALLER]) -> Party:
    """A visitor's client."""
    return Party(Role.CALLER, client, client, Address(host, 50_000), f"visitor of {client}")


def callee(proxy: str = "p") -> Party:
    """A proxy's client."""
    return Party(Role.CALLEE, proxy, "run-p", Address(HOSTS[Role.CALLEE], 60_000), f"client of {proxy}")


def welcome() -> None:
    """Rules that let everybody in."""


class Case(SynchronousTestCase):
    """A rendezvous with enough for everybody, and what comes of it."""

    def setUp(self) -> None:
        numbers = itertools.count(1)
        self.core = Rendezvous(
            lambda count: next(numbers).to_bytes(count, "big"),
            lambda: (7000, 7001),
            RateLimit(10_000, 1.0, 10_000),
            RateLimit(10_000, 1.0, 10_000),
        )
        self.now = 100.0
        self.calls = itertools.count(1)

    def call(self, by: Party | None = None, to: Party | None = None) -> Meeting:
        """A meeting that both ends know of."""
        name = f"call-{next(self.calls)}"
        by, to = by or caller(), to or callee()
        refusal = self.core.called(by, Call(name), to, welcome, self.now)
        self.assertIsNone(refusal)
        invitation = next(d.message for d in self.core.to_send() if isinstance(d.message, Invitation))
        return Meeting(self, by, to, name, invitation.call)

    def sent(self) -> list[tuple[Any, MeetingMessage]]:
        """What went out since the last time."""
        return [(each.peer, each.message) for each in self.core.to_send()]

    def whys(self) -> list[EndReason]:
        """Why meetings have ended since the last time."""
        return [each.why for each in self.core.events()]


class Meeting:
    """What both ends do in one meeting."""

    def __init__(self, case: Case, by: Party, to: Party, call: str, invited: str) -> None:
        self.case = case
        self.parties = {Role.CALLER: by, Role.CALLEE: to}
        self.calls = {Role.CALLER: call, Role.CALLEE: invited}

    def take(self, role: Role, step: Step, why: EndReason = EndReason.CANCELLED) -> None:
        """Takes a step."""
        call = self.calls[role]
        message: MeetingMessage
        if step in (Step.OFFER, Step.ANSWER):
            message = OfferPassed(call, {"from": role.value})
        else:
            message = EndOfMeeting(call, EndReason.SETTLED if step is Step.SETTLE else why)
        self.case.core.received(self.parties[role], message, self.case.now)


class CallTests(Case):
    """Who is let in, and what both ends get."""

    def test_both_get_the_key(self) -> None:
        """The callee is invited and the caller granted: one key, each its own name and its own address."""
        self.assertIsNone(self.core.called(caller(), Call("mine"), callee(), welcome, 0.0))
        (to_callee, invitation), (to_caller, granted) = self.sent()
        assert isinstance(invitation, Invitation) and isinstance(granted, Granted)
        self.assertEqual((to_callee, to_caller), ("client of p", "visitor of run-v"))
        self.assertEqual(invitation.key, granted.key)
        self.assertEqual(granted.call, "mine")
        self.assertEqual(len(invitation.call), 32)
        self.assertEqual(granted.seen_as, Address(HOSTS[Role.CALLER], 50_000))
        self.assertEqual(invitation.seen_as, Address(HOSTS[Role.CALLEE], 60_000))
        self.assertEqual((granted.stun_ports, invitation.stun_ports), ((7000, 7001),) * 2)

    def test_keys_are_fresh(self) -> None:
        """Each meeting has a key of its own."""
        keys = set()
        for number in range(5):
            self.core.called(caller(), Call(f"{number}"), callee(), welcome, 0.0)
            keys |= {each.key for _, each in self.sent() if isinstance(each, Granted)}
        self.assertEqual(len(keys), 5)

    def test_rules_of_the_proxy(self) -> None:
        """Who is not admitted is told why, and the callee hears nothing."""

        def admit() -> None:
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, "who are you?")

        refusal = self.core.called(caller(), Call("c"), callee(), admit, 0.0)
        assert refusal is not None
        self.assertEqual(
            self.sent(), [("visitor of run-v", Declined("c", "bad-credentials", "who are you?"))]
        )
        self.assertEqual((len(self.core), self.core.next_wakeup()), (0, None))

    def test_same_name_twice(self) -> None:
        """A caller cannot use the name of a meeting that is under way; another client can."""
        self.call()
        again = self.core.called(caller(), Call("call-1"), callee(), welcome, self.now)
        self.assertIsNotNone(again)
        self.assertIsNone(self.core.called(caller("other"), Call("call-1"), callee(), welcome, self.now))

    def test_rates(self) -> None:
        """A client, and all clients of an address, call at most so often; the rules are not asked then."""
        self.core = Rendezvous(bytes)
        asked: list[float] = []

        def count(now: float, by: Callable[[int], Party], tries: int = 200) -> int:
            before = len(asked)
            for number in range(tries):
                self.core.called(by(number), Call(f"{len(asked)}"), callee(), refuse, now)
            return len(asked) - before

        def refuse() -> None:
            asked.append(0.0)
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, "no")

        self.assertEqual(count(0.0, lambda number: caller()), CLIENT_CALLS_AT_ONCE)
        self.assertEqual(count(20.0, lambda number: caller()), 20 * CLIENT_CALLS_PER_S)
        others = count(20.0, lambda number: caller(f"run-{number}", "192.0.2.1"))
        self.assertEqual(others, rendezvous.ADDRESS_CALLS_AT_ONCE)
        more = count(21.0, lambda number: caller(f"more-{number}", "192.0.2.1"))
        self.assertEqual(more, rendezvous.ADDRESS_CALLS_PER_S)

    def test_unknown_address(self) -> None:
        """Clients whose address is not known share one rate, and meet all the same."""
        nowhere = Party(Role.CALLER, "run-n", "run-n", None, "nowhere")
        meeting = self.call(nowhere)
        meeting.take(Role.CALLER, Step.OFFER)
        self.assertEqual(self.sent()[0][1], OfferPassed(meeting.calls[Role.CALLEE], {"from": "caller"}, ""))

    def test_tables_are_bounded(self) -> None:
        """A client, a proxy and a server have so many meetings at once, and room again when some end."""
        for limit, by, to in (
            (rendezvous.MEETINGS_PER_CLIENT, lambda n: caller(), lambda n: callee(f"p{n}")),
            (rendezvous.MEETINGS_PER_PROXY, lambda n: caller(f"v{n}"), lambda n: callee()),
            (rendezvous.MEETINGS_MAX, lambda n: caller(f"v{n}"), lambda n: callee(f"p{n}")),
        ):
            self.setUp()
            meetings = [self.call(by(number), to(number)) for number in range(limit)]
            refusal = self.core.called(by(limit), Call("more"), to(limit), welcome, self.now)
            assert refusal is not None
            self.assertIs(refusal.code, RefusalCode.TOO_MANY)
            meetings[0].take(Role.CALLER, Step.END)
            self.assertIsNone(self.core.called(by(0), Call("again"), to(0), welcome, self.now))
            self.assertEqual(len(self.core), limit)


class CourseTests(Case):
    """What goes from one end to the other."""

    def test_offers_cross(self) -> None:
        """Each end gets the other's offer under its own name, with the host that the other is seen at."""
        meeting = self.call()
        meeting.take(Role.CALLER, Step.OFFER)
        meeting.take(Role.CALLEE, Step.ANSWER)
        self.assertEqual(
            self.sent(),
            [
                (
                    "client of p",
                    OfferPassed(meeting.calls[Role.CALLEE], {"from": "caller"}, HOSTS[Role.CALLER]),
                ),
                (
                    "visitor of run-v",
                    OfferPassed(meeting.calls[Role.CALLER], {"from": "callee"}, HOSTS[Role.CALLEE]),
                ),
            ],
        )

    def test_settled(self) -> None:
        """Once both have their path the meeting is over, and nobody is told what they know."""
        meeting = self.call()
        meeting.take(Role.CALLER, Step.OFFER)
        meeting.take(Role.CALLEE, Step.ANSWER)
        self.sent()
        meeting.take(Role.CALLEE, Step.SETTLE)
        meeting.take(Role.CALLEE, Step.SETTLE)
        self.assertEqual(len(self.core), 1)
        self.now += 0.5
        meeting.take(Role.CALLER, Step.SETTLE)
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.core.events(), [MeetingOver("p", "run-v", EndReason.SETTLED, 0.5)])
        self.assertEqual((len(self.core), self.core.next_wakeup()), (0, None))

    def test_ends(self) -> None:
        """Either end may end it in any state; the other one is told why, unless it has its path."""
        for steps in (
            (),
            ((Role.CALLER, Step.OFFER),),
            ((Role.CALLER, Step.OFFER), (Role.CALLEE, Step.ANSWER)),
        ):
            for role, other in itertools.permutations(Role):
                meeting = self.call()
                for each in steps:
                    meeting.take(*each)
                self.sent()
                message = EndOfMeeting(meeting.calls[role], EndReason.FAILED, "silence")
                self.core.received(meeting.parties[role], message, self.now)
                told = EndOfMeeting(meeting.calls[other], EndReason.FAILED, "silence")
                self.assertEqual(self.sent(), [(meeting.parties[other].peer, told)])
                self.assertEqual((self.whys(), len(self.core)), ([EndReason.FAILED], 0))
        meeting = self.call()
        for each in steps:
            meeting.take(*each)
        meeting.take(Role.CALLEE, Step.SETTLE)
        self.sent()
        meeting.take(Role.CALLER, Step.END)
        self.assertEqual(self.sent(), [])

    def test_another_attempt(self) -> None:
        """The caller may try again; not once the callee has what it takes for a path."""
        meeting = self.call()
        for _ in range(2):
            meeting.take(Role.CALLER, Step.OFFER)
            meeting.take(Role.CALLEE, Step.ANSWER)
        self.assertEqual(len(self.sent()), 4)
        meeting.take(Role.CALLEE, Step.SETTLE)
        meeting.take(Role.CALLER, Step.OFFER)
        told = EndOfMeeting(meeting.calls[Role.CALLER], EndReason.GONE)
        self.assertEqual(self.sent(), [("visitor of run-v", told)])
        self.assertEqual((self.whys(), len(self.core)), ([EndReason.GONE], 0))

    def test_proxy_is_withdrawn(self) -> None:
        """With a proxy its meetings end, and no others."""
        self.call()
        stays = self.call(to=callee("q"))
        self.core.withdrawn("p", self.now)
        self.assertEqual([type(each) for _, each in self.sent()], [EndOfMeeting, EndOfMeeting])
        self.assertEqual((self.whys(), len(self.core)), ([EndReason.GONE], 1))
        stays.take(Role.CALLER, Step.OFFER)
        self.assertEqual(len(self.sent()), 1)

    def test_of_nobody(self) -> None:
        """What belongs to no meeting, or to somebody else's, is ignored."""
        meeting = self.call()
        for sender, call in (
            (caller("thief"), meeting.calls[Role.CALLER]),
            (caller(), meeting.calls[Role.CALLEE]),
            (callee("q"), meeting.calls[Role.CALLEE]),
            (callee(), meeting.calls[Role.CALLER]),
            (caller(), "no such call"),
        ):
            self.core.received(sender, OfferPassed(call, {}), self.now)
            self.core.received(sender, EndOfMeeting(call, EndReason.CANCELLED), self.now)
        self.assertEqual((self.sent(), len(self.core)), ([], 1))

    def test_out_of_turn(self) -> None:
        """A step that is not in the table breaks the rules: the meeting ends, and both are told."""
        meeting = self.call()
        self.assertRaises(RemoteProtocolError, meeting.take, Role.CALLEE, Step.ANSWER)
        self.assertEqual(
            [each.why for _, each in self.sent() if isinstance(each, EndOfMeeting)], [EndReason.BROKEN] * 2
        )
        self.assertEqual((self.whys(), len(self.core)), ([EndReason.BROKEN], 0))

    def test_not_for_a_server(self) -> None:
        """What only a server says breaks the rules."""
        meeting = self.call()
        granted = Granted(meeting.calls[Role.CALLER], bytes(32))
        self.assertRaises(RemoteProtocolError, self.core.received, caller(), granted, self.now)

    def test_offers_are_bounded(self) -> None:
        """An offer has so many bytes, a meeting so many attempts."""
        meeting = self.call()
        large = OfferPassed(meeting.calls[Role.CALLER], {"x": "x" * OFFER_BYTES_MAX})
        self.assertRaises(RemoteProtocolError, self.core.received, caller(), large, self.now)
        meeting = self.call()
        for _ in range(GENERATION_MAX + 1):
            meeting.take(Role.CALLER, Step.OFFER)
            meeting.take(Role.CALLEE, Step.ANSWER)
        self.assertRaises(RemoteProtocolError, meeting.take, Role.CALLER, Step.OFFER)
        self.assertEqual(len(self.core), 0)


class DeadlineTests(Case):
    """Every step has its time."""

    def test_each_state(self) -> None:
        """In each state a meeting stays so long; then both ends that have no path are told."""
        course = [(Role.CALLER, Step.OFFER), (Role.CALLEE, Step.ANSWER), (Role.CALLEE, Step.SETTLE)]
        states = [State.CALLED, State.OFFERED, State.PUNCHING, State.SETTLING]
        for count, state in enumerate(states):
            meeting = self.call()
            for each in course[:count]:
                meeting.take(*each)
            self.sent()
            due = self.core.next_wakeup()
            self.assertEqual(due, self.now + DEADLINES_S[state])
            assert due is not None
            self.core.wake(due - 0.01)
            self.assertEqual(len(self.core), 1)
            self.core.wake(due)
            told = ["visitor of run-v"] if state is State.SETTLING else ["visitor of run-v", "client of p"]
            self.assertEqual([peer for peer, _ in self.sent()], told)
            self.assertEqual((self.whys(), len(self.core)), ([EndReason.TIMEOUT], 0))

    def test_whole_life(self) -> None:
        """However often it is tried, a meeting does not live longer than it may."""
        meeting = self.call()
        began = self.now
        for step in itertools.cycle(((Role.CALLER, Step.OFFER), (Role.CALLEE, Step.ANSWER))):
            self.core.wake(self.now)
            if not len(self.core):
                break
            meeting.take(*step)
            self.now += 18.0
        self.assertLessEqual(self.now - began, MEETING_S + 18.0)
        self.assertEqual(self.whys(), [EndReason.TIMEOUT])


def _moves() -> Iterator[tuple[Role, Step]]:
    for step, actor in ACTORS.items():
        yield from ((role, step) for role in Role if actor in (role, None))


class ModelTests(SynchronousTestCase):
    """Any order of events, beside a model."""

    @settings(max_examples=150)
    @given(st.lists(st.tuples(st.sampled_from(sorted(_moves(), key=str)), st.floats(0.0, 30.0)), max_size=12))
    def test_any_order(self, moves: list[tuple[tuple[Role, Step], float]]) -> None:
        """A meeting goes where the table says, tells both ends when it ends, and leaves nothing behind."""
        case = Case()
        case.setUp()
        meeting = case.call()
        state, settled, deadline = State.CALLED, set[Role](), case.now + DEADLINES_S[State.CALLED]
        for (role, step), pause in moves:
            case.now += pause
            case.core.wake(case.now)
            if state is not State.OVER and case.now >= deadline:
                state = State.OVER
                self.assertEqual(case.whys(), [EndReason.TIMEOUT])
            before = state
            legal = (state, step) in TRANSITIONS or (step is Step.SETTLE and role in settled)
            if state is not State.OVER and not legal:
                self.assertRaises(RemoteProtocolError, meeting.take, role, step)
                state = State.OVER
            else:
                meeting.take(role, step)
                if state is not State.OVER and not (step is Step.SETTLE and role in settled):
                    state = TRANSITIONS[state, step]
                    deadline = min(case.now + DEADLINES_S.get(state, 0.0), 100.0 + MEETING_S)
                if step is Step.SETTLE and before is not State.OVER:
                    settled.add(role)
            ended = [each for _, each in case.sent() if isinstance(each, EndOfMeeting)]
            if before is not State.OVER and state is State.OVER:
                expected = 0 if step is Step.SETTLE and len(settled) == 2 else 1
                self.assertGreaterEqual(len(ended) + len(settled), expected)
            self.assertEqual(len(case.core), int(state is not State.OVER))
        self.assertEqual(case.core.next_wakeup() is None, state is State.OVER)


class DeliveryTests(SynchronousTestCase):
    """What goes out."""

    def test_peers_are_opaque(self) -> None:
        """Whoever a peer is, it is handed back as it came; a party does not show it."""
        peer = object()
        core = Rendezvous(bytes)
        core.called(Party(Role.CALLER, "v", "v", None, peer), Call("c"), callee(), welcome, 0.0)
        deliveries = core.to_send()
        self.assertIsInstance(deliveries[1], Delivery)
        self.assertIs(deliveries[1].peer, peer)
        self.assertNotIn("object", repr(Party(Role.CALLER, "v", "v", None, peer)))

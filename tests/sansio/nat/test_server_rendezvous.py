"""Tests of the server's half of rendezvous: every order of events, bounds, rates and deadlines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.sansio.nat import server_rendezvous as limits
from relaykit.sansio.nat.checks import GENERATION_MAX, PeerRole
from relaykit.sansio.nat.rendezvous_messages import (
    CandidatesPassed,
    EndReason,
    RendezvousEnd,
    RendezvousGrant,
    RendezvousInvitation,
    RendezvousMessage,
    RendezvousRefusal,
    RendezvousRequest,
)
from relaykit.sansio.nat.server_rendezvous import (
    ACTORS,
    CANDIDATES_BYTES_MAX,
    CLIENT_REQUESTS_AT_ONCE,
    CLIENT_REQUESTS_PER_S,
    DEADLINES_S,
    RENDEZVOUS_S,
    TRANSITIONS,
    Delivery,
    Party,
    RendezvousRecord,
    RendezvousState,
    RendezvousStep,
    ServerRendezvous,
)
from relaykit.sansio.rates import RateLimit
from relaykit.values import Address

HOSTS = {PeerRole.INITIATOR: "198.51.100.7", PeerRole.RESPONDER: "203.0.113.9"}


def initiator(client: str = "run-v", host: str = HOSTS[PeerRole.INITIATOR]) -> Party:
    """A visitor's client."""
    return Party(PeerRole.INITIATOR, client, client, Address(host, 50_000), f"visitor of {client}")


def responder(proxy: str = "p") -> Party:
    """A proxy's client."""
    return Party(
        PeerRole.RESPONDER, proxy, "run-p", Address(HOSTS[PeerRole.RESPONDER], 60_000), f"client of {proxy}"
    )


def welcome() -> None:
    """Rules that let everybody in."""


class Case(SynchronousTestCase):
    """A rendezvous with enough for everybody, and what comes of it."""

    def setUp(self) -> None:
        numbers = itertools.count(1)
        self.core = ServerRendezvous(
            lambda count: next(numbers).to_bytes(count, "big"),
            lambda: (7000, 7001),
            RateLimit(10_000, 1.0, 10_000),
            RateLimit(10_000, 1.0, 10_000),
        )
        self.now = 100.0
        self.ids = itertools.count(1)

    def begin(self, by: Party | None = None, to: Party | None = None) -> Rendezvous:
        """A rendezvous that both ends know of."""
        name = f"id-{next(self.ids)}"
        by, to = by or initiator(), to or responder()
        refusal = self.core.requested(by, RendezvousRequest(name), to, welcome, self.now)
        self.assertIsNone(refusal)
        invitation = next(
            d.message for d in self.core.to_send() if isinstance(d.message, RendezvousInvitation)
        )
        return Rendezvous(self, by, to, name, invitation.id)

    def sent(self) -> list[tuple[Any, RendezvousMessage]]:
        """What went out since the last time."""
        return [(each.peer, each.message) for each in self.core.to_send()]

    def whys(self) -> list[EndReason]:
        """Why rendezvous have ended since the last time."""
        return [each.why for each in self.core.events()]


class Rendezvous:
    """What both ends do in one rendezvous."""

    def __init__(self, case: Case, by: Party, to: Party, asked: str, invited: str) -> None:
        self.case = case
        self.parties = {PeerRole.INITIATOR: by, PeerRole.RESPONDER: to}
        self.ids = {PeerRole.INITIATOR: asked, PeerRole.RESPONDER: invited}

    def take(self, role: PeerRole, step: RendezvousStep, why: EndReason = EndReason.CANCELLED) -> None:
        """Takes a step."""
        id_ = self.ids[role]
        message: RendezvousMessage
        if step in (RendezvousStep.SEND, RendezvousStep.ANSWER):
            message = CandidatesPassed(id_, {"from": role.value})
        else:
            message = RendezvousEnd(id_, EndReason.SETTLED if step is RendezvousStep.SETTLE else why)
        self.case.core.received(self.parties[role], message, self.case.now)


class RequestTests(Case):
    """Who is let in, and what both ends get."""

    def test_both_get_the_key(self) -> None:
        """The responder is invited and the initiator granted: one key, each its own id and address."""
        self.assertIsNone(
            self.core.requested(initiator(), RendezvousRequest("mine"), responder(), welcome, 0.0)
        )
        (to_responder, invitation), (to_initiator, granted) = self.sent()
        assert isinstance(invitation, RendezvousInvitation) and isinstance(granted, RendezvousGrant)
        self.assertEqual((to_responder, to_initiator), ("client of p", "visitor of run-v"))
        self.assertEqual(invitation.key, granted.key)
        self.assertEqual(granted.id, "mine")
        self.assertEqual(len(invitation.id), 32)
        self.assertEqual(granted.seen_as, Address(HOSTS[PeerRole.INITIATOR], 50_000))
        self.assertEqual(invitation.seen_as, Address(HOSTS[PeerRole.RESPONDER], 60_000))
        self.assertEqual((granted.stun_ports, invitation.stun_ports), ((7000, 7001),) * 2)

    def test_keys_are_fresh(self) -> None:
        """Each rendezvous has a key of its own."""
        keys = set()
        for number in range(5):
            self.core.requested(initiator(), RendezvousRequest(f"{number}"), responder(), welcome, 0.0)
            keys |= {each.key for _, each in self.sent() if isinstance(each, RendezvousGrant)}
        self.assertEqual(len(keys), 5)

    def test_rules_of_the_proxy(self) -> None:
        """Who is not admitted is told why, and the responder hears nothing."""

        def admit() -> None:
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, "who are you?")

        refusal = self.core.requested(initiator(), RendezvousRequest("c"), responder(), admit, 0.0)
        assert refusal is not None
        self.assertEqual(
            self.sent(), [("visitor of run-v", RendezvousRefusal("c", "bad-credentials", "who are you?"))]
        )
        self.assertEqual((len(self.core), self.core.next_wakeup()), (0, None))

    def test_same_name_twice(self) -> None:
        """An initiator cannot use the name of a rendezvous that is under way; another client can."""
        self.begin()
        again = self.core.requested(initiator(), RendezvousRequest("id-1"), responder(), welcome, self.now)
        self.assertIsNotNone(again)
        self.assertIsNone(
            self.core.requested(initiator("other"), RendezvousRequest("id-1"), responder(), welcome, self.now)
        )

    def test_rates(self) -> None:
        """A client, and all clients of an address, call at most so often; the rules are not asked then."""
        self.core = ServerRendezvous(bytes)
        asked: list[float] = []

        def count(now: float, by: Callable[[int], Party], tries: int = 200) -> int:
            before = len(asked)
            for number in range(tries):
                self.core.requested(by(number), RendezvousRequest(f"{len(asked)}"), responder(), refuse, now)
            return len(asked) - before

        def refuse() -> None:
            asked.append(0.0)
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, "no")

        self.assertEqual(count(0.0, lambda number: initiator()), CLIENT_REQUESTS_AT_ONCE)
        self.assertEqual(count(20.0, lambda number: initiator()), 20 * CLIENT_REQUESTS_PER_S)
        others = count(20.0, lambda number: initiator(f"run-{number}", "192.0.2.1"))
        self.assertEqual(others, limits.ADDRESS_REQUESTS_AT_ONCE)
        more = count(21.0, lambda number: initiator(f"more-{number}", "192.0.2.1"))
        self.assertEqual(more, limits.ADDRESS_REQUESTS_PER_S)

    def test_unknown_address(self) -> None:
        """Clients whose address is not known share one rate, and meet all the same."""
        nowhere = Party(PeerRole.INITIATOR, "run-n", "run-n", None, "nowhere")
        rendezvous = self.begin(nowhere)
        rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SEND)
        self.assertEqual(
            self.sent()[0][1],
            CandidatesPassed(rendezvous.ids[PeerRole.RESPONDER], {"from": "initiator"}, ""),
        )

    def test_tables_are_bounded(self) -> None:
        """A client, a proxy and a server have so many rendezvous at once, and room again when some end."""
        for limit, by, to in (
            (limits.RENDEZVOUS_PER_CLIENT, lambda n: initiator(), lambda n: responder(f"p{n}")),
            (limits.RENDEZVOUS_PER_PROXY, lambda n: initiator(f"v{n}"), lambda n: responder()),
            (limits.RENDEZVOUS_MAX, lambda n: initiator(f"v{n}"), lambda n: responder(f"p{n}")),
        ):
            self.setUp()
            under_way = [self.begin(by(number), to(number)) for number in range(limit)]
            refusal = self.core.requested(by(limit), RendezvousRequest("more"), to(limit), welcome, self.now)
            assert refusal is not None
            self.assertIs(refusal.code, RefusalCode.TOO_MANY)
            under_way[0].take(PeerRole.INITIATOR, RendezvousStep.END)
            self.assertIsNone(
                self.core.requested(by(0), RendezvousRequest("again"), to(0), welcome, self.now)
            )
            self.assertEqual(len(self.core), limit)


class CourseTests(Case):
    """What goes from one end to the other."""

    def test_candidates_cross(self) -> None:
        """Each end gets the other's candidates under its own id, with the host that the other is seen at."""
        rendezvous = self.begin()
        rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SEND)
        rendezvous.take(PeerRole.RESPONDER, RendezvousStep.ANSWER)
        self.assertEqual(
            self.sent(),
            [
                (
                    "client of p",
                    CandidatesPassed(
                        rendezvous.ids[PeerRole.RESPONDER], {"from": "initiator"}, HOSTS[PeerRole.INITIATOR]
                    ),
                ),
                (
                    "visitor of run-v",
                    CandidatesPassed(
                        rendezvous.ids[PeerRole.INITIATOR], {"from": "responder"}, HOSTS[PeerRole.RESPONDER]
                    ),
                ),
            ],
        )

    def test_settled(self) -> None:
        """Once both have their path the rendezvous is over, and nobody is told what they know."""
        rendezvous = self.begin()
        rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SEND)
        rendezvous.take(PeerRole.RESPONDER, RendezvousStep.ANSWER)
        self.sent()
        rendezvous.take(PeerRole.RESPONDER, RendezvousStep.SETTLE)
        rendezvous.take(PeerRole.RESPONDER, RendezvousStep.SETTLE)
        self.assertEqual(len(self.core), 1)
        self.now += 0.5
        rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SETTLE)
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.core.events(), [RendezvousRecord("p", "run-v", EndReason.SETTLED, 0.5)])
        self.assertEqual((len(self.core), self.core.next_wakeup()), (0, None))

    def test_ends(self) -> None:
        """Either end may end it in any state; the other one is told why, unless it has its path."""
        for steps in (
            (),
            ((PeerRole.INITIATOR, RendezvousStep.SEND),),
            ((PeerRole.INITIATOR, RendezvousStep.SEND), (PeerRole.RESPONDER, RendezvousStep.ANSWER)),
        ):
            for role, other in itertools.permutations(PeerRole):
                rendezvous = self.begin()
                for each in steps:
                    rendezvous.take(*each)
                self.sent()
                message = RendezvousEnd(rendezvous.ids[role], EndReason.FAILED, "silence")
                self.core.received(rendezvous.parties[role], message, self.now)
                told = RendezvousEnd(rendezvous.ids[other], EndReason.FAILED, "silence")
                self.assertEqual(self.sent(), [(rendezvous.parties[other].peer, told)])
                self.assertEqual((self.whys(), len(self.core)), ([EndReason.FAILED], 0))
        rendezvous = self.begin()
        for each in steps:
            rendezvous.take(*each)
        rendezvous.take(PeerRole.RESPONDER, RendezvousStep.SETTLE)
        self.sent()
        rendezvous.take(PeerRole.INITIATOR, RendezvousStep.END)
        self.assertEqual(self.sent(), [])

    def test_another_attempt(self) -> None:
        """The initiator may try again; not once the responder has what it takes for a path."""
        rendezvous = self.begin()
        for _ in range(2):
            rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SEND)
            rendezvous.take(PeerRole.RESPONDER, RendezvousStep.ANSWER)
        self.assertEqual(len(self.sent()), 4)
        rendezvous.take(PeerRole.RESPONDER, RendezvousStep.SETTLE)
        rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SEND)
        told = RendezvousEnd(rendezvous.ids[PeerRole.INITIATOR], EndReason.GONE)
        self.assertEqual(self.sent(), [("visitor of run-v", told)])
        self.assertEqual((self.whys(), len(self.core)), ([EndReason.GONE], 0))

    def test_proxy_is_withdrawn(self) -> None:
        """With a proxy its rendezvous end, and no others."""
        self.begin()
        stays = self.begin(to=responder("q"))
        self.core.withdrawn("p", self.now)
        self.assertEqual([type(each) for _, each in self.sent()], [RendezvousEnd, RendezvousEnd])
        self.assertEqual((self.whys(), len(self.core)), ([EndReason.GONE], 1))
        stays.take(PeerRole.INITIATOR, RendezvousStep.SEND)
        self.assertEqual(len(self.sent()), 1)

    def test_of_nobody(self) -> None:
        """What belongs to no rendezvous, or to somebody else's, is ignored."""
        rendezvous = self.begin()
        for sender, id_ in (
            (initiator("thief"), rendezvous.ids[PeerRole.INITIATOR]),
            (initiator(), rendezvous.ids[PeerRole.RESPONDER]),
            (responder("q"), rendezvous.ids[PeerRole.RESPONDER]),
            (responder(), rendezvous.ids[PeerRole.INITIATOR]),
            (initiator(), "no such id"),
        ):
            self.core.received(sender, CandidatesPassed(id_, {}), self.now)
            self.core.received(sender, RendezvousEnd(id_, EndReason.CANCELLED), self.now)
        self.assertEqual((self.sent(), len(self.core)), ([], 1))

    def test_out_of_turn(self) -> None:
        """A step that is not in the table breaks the rules: the rendezvous ends, and both are told."""
        rendezvous = self.begin()
        self.assertRaises(RemoteProtocolError, rendezvous.take, PeerRole.RESPONDER, RendezvousStep.ANSWER)
        self.assertEqual(
            [each.why for _, each in self.sent() if isinstance(each, RendezvousEnd)], [EndReason.BROKEN] * 2
        )
        self.assertEqual((self.whys(), len(self.core)), ([EndReason.BROKEN], 0))

    def test_not_for_a_server(self) -> None:
        """What only a server says breaks the rules."""
        rendezvous = self.begin()
        granted = RendezvousGrant(rendezvous.ids[PeerRole.INITIATOR], bytes(32))
        self.assertRaises(RemoteProtocolError, self.core.received, initiator(), granted, self.now)

    def test_candidates_are_bounded(self) -> None:
        """Candidates has so many bytes, a rendezvous so many attempts."""
        rendezvous = self.begin()
        large = CandidatesPassed(rendezvous.ids[PeerRole.INITIATOR], {"x": "x" * CANDIDATES_BYTES_MAX})
        self.assertRaises(RemoteProtocolError, self.core.received, initiator(), large, self.now)
        rendezvous = self.begin()
        for _ in range(GENERATION_MAX + 1):
            rendezvous.take(PeerRole.INITIATOR, RendezvousStep.SEND)
            rendezvous.take(PeerRole.RESPONDER, RendezvousStep.ANSWER)
        self.assertRaises(RemoteProtocolError, rendezvous.take, PeerRole.INITIATOR, RendezvousStep.SEND)
        self.assertEqual(len(self.core), 0)


class DeadlineTests(Case):
    """Every step has its time."""

    def test_each_state(self) -> None:
        """In each state a rendezvous stays so long; then both ends that have no path are told."""
        course = [
            (PeerRole.INITIATOR, RendezvousStep.SEND),
            (PeerRole.RESPONDER, RendezvousStep.ANSWER),
            (PeerRole.RESPONDER, RendezvousStep.SETTLE),
        ]
        states = [
            RendezvousState.REQUESTED,
            RendezvousState.EXCHANGING,
            RendezvousState.PUNCHING,
            RendezvousState.SETTLING,
        ]
        for count, state in enumerate(states):
            rendezvous = self.begin()
            for each in course[:count]:
                rendezvous.take(*each)
            self.sent()
            due = self.core.next_wakeup()
            self.assertEqual(due, self.now + DEADLINES_S[state])
            assert due is not None
            self.core.wake(due - 0.01)
            self.assertEqual(len(self.core), 1)
            self.core.wake(due)
            told = (
                ["visitor of run-v"]
                if state is RendezvousState.SETTLING
                else ["visitor of run-v", "client of p"]
            )
            self.assertEqual([peer for peer, _ in self.sent()], told)
            self.assertEqual((self.whys(), len(self.core)), ([EndReason.TIMEOUT], 0))

    def test_whole_life(self) -> None:
        """However often it is tried, a rendezvous does not live longer than it may."""
        rendezvous = self.begin()
        began = self.now
        for step in itertools.cycle(
            ((PeerRole.INITIATOR, RendezvousStep.SEND), (PeerRole.RESPONDER, RendezvousStep.ANSWER))
        ):
            self.core.wake(self.now)
            if not len(self.core):
                break
            rendezvous.take(*step)
            self.now += 18.0
        self.assertLessEqual(self.now - began, RENDEZVOUS_S + 18.0)
        self.assertEqual(self.whys(), [EndReason.TIMEOUT])


def _moves() -> Iterator[tuple[PeerRole, RendezvousStep]]:
    for step, actor in ACTORS.items():
        yield from ((role, step) for role in PeerRole if actor in (role, None))


class ModelTests(SynchronousTestCase):
    """Any order of events, beside a model."""

    @settings(max_examples=150)
    @given(st.lists(st.tuples(st.sampled_from(sorted(_moves(), key=str)), st.floats(0.0, 30.0)), max_size=12))
    def test_any_order(self, moves: list[tuple[tuple[PeerRole, RendezvousStep], float]]) -> None:
        """A rendezvous goes where the table says, tells both ends when it ends, and leaves nothing behind."""
        case = Case()
        case.setUp()
        rendezvous = case.begin()
        state, settled, deadline = (
            RendezvousState.REQUESTED,
            set[PeerRole](),
            case.now + DEADLINES_S[RendezvousState.REQUESTED],
        )
        for (role, step), pause in moves:
            case.now += pause
            case.core.wake(case.now)
            if state is not RendezvousState.ENDED and case.now >= deadline:
                state = RendezvousState.ENDED
                self.assertEqual(case.whys(), [EndReason.TIMEOUT])
            before = state
            legal = (state, step) in TRANSITIONS or (step is RendezvousStep.SETTLE and role in settled)
            if state is not RendezvousState.ENDED and not legal:
                self.assertRaises(RemoteProtocolError, rendezvous.take, role, step)
                state = RendezvousState.ENDED
            else:
                rendezvous.take(role, step)
                if state is not RendezvousState.ENDED and not (
                    step is RendezvousStep.SETTLE and role in settled
                ):
                    state = TRANSITIONS[state, step]
                    deadline = min(case.now + DEADLINES_S.get(state, 0.0), 100.0 + RENDEZVOUS_S)
                if step is RendezvousStep.SETTLE and before is not RendezvousState.ENDED:
                    settled.add(role)
            ended = [each for _, each in case.sent() if isinstance(each, RendezvousEnd)]
            if before is not RendezvousState.ENDED and state is RendezvousState.ENDED:
                expected = 0 if step is RendezvousStep.SETTLE and len(settled) == 2 else 1
                self.assertGreaterEqual(len(ended) + len(settled), expected)
            self.assertEqual(len(case.core), int(state is not RendezvousState.ENDED))
        self.assertEqual(case.core.next_wakeup() is None, state is RendezvousState.ENDED)


class DeliveryTests(SynchronousTestCase):
    """What goes out."""

    def test_peers_are_opaque(self) -> None:
        """Whoever a peer is, it is handed back as it came; a party does not show it."""
        peer = object()
        core = ServerRendezvous(bytes)
        core.requested(
            Party(PeerRole.INITIATOR, "v", "v", None, peer), RendezvousRequest("c"), responder(), welcome, 0.0
        )
        deliveries = core.to_send()
        self.assertIsInstance(deliveries[1], Delivery)
        self.assertIs(deliveries[1].peer, peer)
        self.assertNotIn("object", repr(Party(PeerRole.INITIATOR, "v", "v", None, peer)))

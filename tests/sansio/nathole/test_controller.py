"""Tests for :mod:`relaykit.sansio.nathole.controller`."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.credentials import digest
from relaykit.sansio.nat.candidates import CANDIDATES_MAX
from relaykit.sansio.nathole import controller
from relaykit.sansio.nathole.controller import (
    HEAD_START_S,
    PROVIDER_S,
    REPORT_S,
    Answered,
    HoleController,
    HoleEnd,
    HoleEnded,
    HoleEvent,
    HoleInvited,
    HoleTarget,
    Party,
)
from relaykit.sansio.nathole.messages import (
    DetectBehavior,
    NatHoleClient,
    NatHoleReport,
    NatHoleResp,
    NatHoleSid,
    NatHoleVisitor,
)
from relaykit.sansio.nathole.modes import Row
from relaykit.sansio.nathole.scores import Scores
from relaykit.sansio.rates import RateLimit
from relaykit.values import Address, ClientIdentity, Secret

SECRET = Secret("k-secret")
TIME = 1_700_000_000


def party(run_id: str, user: str = "", host: str = "203.0.113.9") -> Party:
    """A client; its peer is its name."""
    return Party(ClientIdentity(run_id, user, address=Address(host, 40000)), run_id)


VISITOR = party("visitor", host="198.51.100.7")
PROVIDER = party("provider")
TARGET = HoleTarget("x", SECRET, ("",), PROVIDER)

REQUEST = NatHoleVisitor(
    transaction_id="v1",
    proxy_name="x",
    protocol="quic",
    sign_key=digest(SECRET.to_bytes(), TIME),
    timestamp=TIME,
    mapped_addrs=("198.51.100.7:5000", "198.51.100.7:5000"),
    assisted_addrs=("192.168.1.2:5000",),
)
ANSWER = NatHoleClient(
    transaction_id="p1", proxy_name="x", mapped_addrs=("203.0.113.9:4000", "203.0.113.9:4000")
)


def replaced(message: Any, **changes: Any) -> Any:
    """A message with other fields."""
    return msgspec.structs.replace(message, **changes)


class ControllerTestCase(SynchronousTestCase):
    """A controller, a visitor and a proxy's client."""

    def setUp(self) -> None:
        numbers = itertools.count(1)
        self.core = HoleController(lambda length: bytes([next(numbers)]) * length, Scores(3600.0))

    def events(self) -> list[HoleEvent]:
        """What has happened."""
        return list(self.core.events())

    def told(self) -> list[tuple[Any, NatHoleResp]]:
        """Who was told what."""
        return [(each.peer, each.message) for each in self.events() if isinstance(each, Answered)]

    def asked(self, request: NatHoleVisitor = REQUEST, now: float = 0.0, **more: Any) -> str:
        """A visitor asks and the proxy's client is invited; the id of the hole."""
        self.core.requested(more.get("visitor", VISITOR), request, TARGET, now)
        (invited,) = self.events()
        assert isinstance(invited, HoleInvited), invited
        self.assertEqual(invited.proxy, "provider")
        return invited.message.sid

    def answer(self, sid: str, now: float = 0.0, answer: NatHoleClient = ANSWER) -> None:
        """The proxy's client answers."""
        self.core.answered(PROVIDER, replaced(answer, sid=sid), now)

    def ended(self) -> HoleEnded:
        """The one hole that has ended."""
        (ended,) = [each for each in self.events() if isinstance(each, HoleEnded)]
        return ended


class ExchangeTests(ControllerTestCase):
    """Tests for two ends that are brought together."""

    def test_recorded(self) -> None:
        """Both are told what frp's server was recorded to tell two easy ends, the sender a second later."""
        sid = self.asked()
        self.answer(sid, 2.0)
        (first,) = self.told()
        self.assertEqual(
            first,
            (
                "visitor",
                NatHoleResp(
                    transaction_id="v1",
                    sid=sid,
                    protocol="quic",
                    candidate_addrs=("203.0.113.9:4000",),
                    detect_behavior=DetectBehavior(role="receiver", ttl=7, read_timeout_ms=5000),
                ),
            ),
        )
        self.assertEqual(self.core.next_wakeup(), 2.0 + HEAD_START_S)
        self.core.wake(2.0 + HEAD_START_S - 0.01)
        self.assertEqual(self.events(), [])
        self.core.wake(2.0 + HEAD_START_S)
        (second,) = self.told()
        self.assertEqual(
            second,
            (
                "provider",
                NatHoleResp(
                    transaction_id="p1",
                    sid=sid,
                    protocol="quic",
                    candidate_addrs=("198.51.100.7:5000",),
                    detect_behavior=DetectBehavior(role="sender", read_timeout_ms=5000),
                ),
            ),
        )

    def test_reported(self) -> None:
        """A report ends the hole; a success has the same row come again for such ends."""
        rows = []
        for success in (True, False, False, False):
            sid = self.asked()
            self.answer(sid)
            self.events()
            self.core.reported(PROVIDER, NatHoleReport(sid=sid, success=success), 1.0)
            ended = self.ended()
            self.assertIs(ended.why, HoleEnd.PUNCHED if success else HoleEnd.FAILED)
            self.assertEqual((ended.sid, len(self.core)), (sid, 0))
            rows.append(ended.row)
        self.assertEqual(rows, [Row(0, 0), Row(0, 0), Row(0, 0), Row(0, 1)])

    def test_same_site(self) -> None:
        """Private addresses are told where both ends are behind the same NAT."""
        neighbor = party("visitor", host="203.0.113.9")
        sid = self.asked(visitor=neighbor)
        self.answer(sid)
        self.events()
        self.core.wake(HEAD_START_S)
        ((_, told),) = self.told()
        self.assertEqual(told.assisted_addrs, ("192.168.1.2:5000",))

    def test_visitor_sends(self) -> None:
        """Where the visitor is the sender, it is told later."""
        sid = self.asked()
        self.answer(sid, answer=replaced(ANSWER, mapped_addrs=("203.0.113.9:4000", "203.0.113.9:4999")))
        ((peer, told),) = self.told()
        self.assertEqual((peer, told.detect_behavior.role), ("provider", "receiver"))
        self.core.wake(HEAD_START_S)
        ((peer, told),) = self.told()
        self.assertEqual((peer, told.detect_behavior.role), ("visitor", "sender"))

    def test_pre_check(self) -> None:
        """Whoever may ask is told so, without having shown that it knows the secret."""
        check = NatHoleVisitor(transaction_id="c", proxy_name="x", pre_check=True)
        self.core.requested(VISITOR, check, TARGET, 0.0)
        self.assertEqual(self.told(), [("visitor", NatHoleResp(transaction_id="c"))])
        self.assertEqual(len(self.core), 0)


class RefusalTests(ControllerTestCase):
    """Tests for what is refused, in frp's words."""

    def refused(self, request: NatHoleVisitor, target: HoleTarget | None, visitor: Party = VISITOR) -> str:
        """What a visitor is told that gets no hole."""
        self.core.requested(visitor, request, target, 0.0)
        answered, ended = self.events()
        assert isinstance(answered, Answered) and isinstance(ended, HoleEnded)
        self.assertEqual(
            (answered.peer, answered.message.transaction_id), ("visitor", request.transaction_id)
        )
        self.assertEqual((ended.why, ended.reason), (HoleEnd.REFUSED, answered.message.error))
        self.assertEqual(len(self.core), 0)
        return answered.message.error

    def test_refusals(self) -> None:
        """There must be such a proxy, whose secret the visitor knows, and whose users it is one of."""
        check = NatHoleVisitor(transaction_id="c", proxy_name="x", pre_check=True)
        wrong = replaced(REQUEST, sign_key=digest(b"another", TIME))
        late = replaced(REQUEST, timestamp=TIME + 1)
        others = evolve(TARGET, allowed=("ann",))
        for request, target, text in (
            (REQUEST, None, "xtcp server for [x] doesn't exist"),
            (check, None, "xtcp server for [x] doesn't exist"),
            (check, others, "xtcp visitor user [] not allowed for [x]"),
            (REQUEST, others, "xtcp visitor user [] not allowed for [x]"),
            (wrong, TARGET, "xtcp connection of [x] auth failed"),
            (late, TARGET, "xtcp connection of [x] auth failed"),
            (wrong, others, "xtcp connection of [x] auth failed"),
        ):
            self.assertEqual(self.refused(request, target), text)

    def test_users(self) -> None:
        """A user that is named is let in, and everybody where anybody is."""
        for allowed, user in ((("ann", "bob"), "bob"), (("*",), "carol"), (("*",), "")):
            self.core.requested(party("v", user), REQUEST, evolve(TARGET, allowed=allowed), 0.0)
            (invited,) = self.events()
            self.assertIsInstance(invited, HoleInvited)

    def test_visitor_of_no_use(self) -> None:
        """A visitor that says too little of where it is seen, too much, or nonsense, is refused at once."""
        many = tuple(f"198.51.100.7:{5000 + each}" for each in range(CANDIDATES_MAX + 1))
        for fields, text in (
            ({"mapped_addrs": many[:1]}, "not enough addresses"),
            ({"mapped_addrs": ("a", "b")}, "an address that is not ip:port"),
            ({"mapped_addrs": many}, f"too many addresses, {CANDIDATES_MAX} are the most"),
            ({"assisted_addrs": many}, f"too many addresses, {CANDIDATES_MAX} are the most"),
        ):
            told = self.refused(replaced(REQUEST, **fields), TARGET)
            self.assertEqual(told, f"classify visitor nat feature error: {text}")

    def test_classification(self) -> None:
        """Both ends are told if they cannot be brought together."""
        for request, answer, text in (
            (REQUEST, NatHoleClient(), "classify client nat feature error: not enough addresses"),
            (
                replaced(REQUEST, mapped_addrs=("224.0.0.1:5000", "224.0.0.1:5000")),
                ANSWER,
                "the other end has no address that may be sent to",
            ),
        ):
            sid = self.asked(request)
            self.answer(sid, answer=replaced(answer, transaction_id="p1"))
            answered = self.events()
            told = [(each.peer, each.message) for each in answered if isinstance(each, Answered)]
            self.assertEqual(
                told,
                [
                    ("provider", NatHoleResp(transaction_id="p1", sid=sid, error=text)),
                    ("visitor", NatHoleResp(transaction_id="v1", sid=sid, error=text)),
                ],
            )
            self.assertEqual(len(self.core), 0)

    def test_strangers(self) -> None:
        """Nobody but the proxy's client answers or reports, and each only once."""
        sid = self.asked()
        stranger = party("stranger")
        self.core.answered(stranger, replaced(ANSWER, sid=sid), 0.0)
        self.core.reported(stranger, NatHoleReport(sid=sid, success=True), 0.0)
        self.core.reported(PROVIDER, NatHoleReport(sid=sid, success=True), 0.0)
        self.core.answered(PROVIDER, replaced(ANSWER, sid="nobody's"), 0.0)
        self.assertEqual((self.events(), len(self.core)), ([], 1))
        for _ in range(2):
            self.answer(sid)
        self.assertEqual(len(self.events()), 1)


class TimeTests(ControllerTestCase):
    """Tests for waits that end."""

    def test_not_answered(self) -> None:
        """The visitor is told when the proxy's client does not answer in time, or cannot be reached."""
        for in_time in (False, True):
            sid = self.asked()
            self.assertEqual(self.core.next_wakeup(), PROVIDER_S)
            if in_time:
                self.core.not_invited(sid, 1.0)
            else:
                self.core.wake(PROVIDER_S)
            answered, ended = self.events()
            assert isinstance(answered, Answered) and isinstance(ended, HoleEnded)
            self.assertEqual(answered.message.error, "the proxy's client did not answer")
            self.assertEqual((ended.why, self.core.next_wakeup()), (HoleEnd.NOT_ANSWERED, None))
            self.answer(sid)
            self.assertEqual(self.events(), [])

    def test_not_reported(self) -> None:
        """A hole is forgotten when the report does not come, which nobody is told."""
        self.answer(self.asked())
        self.core.wake(HEAD_START_S)
        self.events()
        due = HEAD_START_S + 5.0 + REPORT_S
        self.assertEqual(self.core.next_wakeup(), due)
        self.core.wake(due)
        self.assertIs(self.ended().why, HoleEnd.NOT_REPORTED)
        self.assertEqual(len(self.core), 0)

    def test_withdrawn(self) -> None:
        """Who waits for the client of a proxy that is gone is told; two who were told of each other go on."""
        told, waiting = self.asked(), self.asked(replaced(REQUEST, transaction_id="v2"))
        self.answer(told)
        self.events()
        self.core.withdrawn("another", 0.0)
        self.assertEqual(self.events(), [])
        self.core.withdrawn("x", 0.0)
        answered, ended = self.events()
        assert isinstance(answered, Answered) and isinstance(ended, HoleEnded)
        self.assertEqual(
            (answered.message.transaction_id, answered.message.error),
            ("v2", "xtcp server for [x] doesn't exist"),
        )
        self.assertEqual((ended.sid, ended.why), (waiting, HoleEnd.GONE))
        self.core.wake(HEAD_START_S)
        self.assertEqual([peer for peer, _ in self.told()], ["provider"])


class BoundTests(ControllerTestCase):
    """Tests for what is too much."""

    def ask(self, visitor: Party = VISITOR, target: HoleTarget = TARGET, now: float = 0.0) -> str:
        """What a visitor is refused for, empty if it is not."""
        self.core.requested(visitor, REQUEST, target, now)
        told = self.told()
        return told[0][1].error if told else ""

    def test_most(self) -> None:
        """Holes under way are bounded: in all, of one client, and to one proxy; then there is room again."""
        for name in ("HOLES_MAX", "HOLES_PER_CLIENT", "HOLES_PER_PROXY"):
            self.setUp()
            with_bound = self.patch(controller, name, 2)
            self.assertEqual([self.ask(), self.ask()], ["", ""])
            self.assertIn("too many holes", self.ask())
            self.core.wake(PROVIDER_S)
            self.events()
            self.assertEqual(self.ask(now=PROVIDER_S), "")
            with_bound.restore()

    def test_rates(self) -> None:
        """One client, and all at one address, ask for so many in a time; wrong requests do not count."""
        self.core._clients = RateLimit(1, 1.0, 10)
        for _ in range(9):
            self.core.requested(VISITOR, replaced(REQUEST, timestamp=1), TARGET, 0.0)
        self.events()
        self.assertEqual(self.ask(), "")
        self.assertIn("too often", self.ask())
        self.assertEqual(self.ask(party("other", host="198.51.100.7")), "")
        self.assertEqual(self.ask(now=1.0), "")
        self.core._addresses = RateLimit(1, 1.0, 10)
        self.assertEqual(self.ask(party("third", host="198.51.100.7")), "")
        self.assertIn("too often", self.ask(party("fourth", host="198.51.100.7")))


class ControllerModel(RuleBasedStateMachine):
    """Whatever clients say, in whatever order: what is kept is bounded, and ends."""

    def __init__(self) -> None:
        super().__init__()
        numbers = itertools.count()
        self.core = HoleController(lambda length: next(numbers).to_bytes(length, "big"), Scores(60.0))
        self.now = 0.0
        self.sids: list[str] = [""]

    addresses = st.lists(
        st.sampled_from(["203.0.113.9:4000", "203.0.113.9:4003", "198.51.100.7:9", "x", "127.0.0.1:5000"]),
        max_size=4,
    ).map(tuple)
    parties = st.sampled_from([VISITOR, PROVIDER, party("other")])

    @rule(sender=parties, mapped=addresses, assisted=addresses, signed=st.booleans())
    def requested(self, sender: Party, mapped: Any, assisted: Any, signed: bool) -> None:
        request = replaced(REQUEST, mapped_addrs=mapped, assisted_addrs=assisted)
        if not signed:
            request = replaced(request, sign_key="")
        self.core.requested(sender, request, TARGET, self.now)

    @rule(sender=parties, mapped=addresses, data=st.data())
    def answered(self, sender: Party, mapped: Any, data: Any) -> None:
        sid = data.draw(st.sampled_from(self.sids))
        self.core.answered(sender, replaced(ANSWER, sid=sid, mapped_addrs=mapped), self.now)

    @rule(sender=parties, success=st.booleans(), data=st.data())
    def reported(self, sender: Party, success: bool, data: Any) -> None:
        sid = data.draw(st.sampled_from(self.sids))
        self.core.reported(sender, NatHoleReport(sid=sid, success=success), self.now)

    @rule(seconds=st.floats(0.0, 60.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.core.wake(self.now)
        due = self.core.next_wakeup()
        assert due is None or due > self.now

    @rule()
    def withdrawn(self) -> None:
        self.core.withdrawn("x", self.now)

    @invariant()
    def consistent(self) -> None:
        for event in self.core.events():
            if isinstance(event, HoleInvited):
                assert isinstance(event.message, NatHoleSid)
                self.sids.append(event.message.sid)
            if isinstance(event, Answered):
                for text in event.message.candidate_addrs + event.message.assisted_addrs:
                    assert not text.startswith("127.") and not text.endswith(":9")
        assert sum(self.core._of_client.values()) == sum(self.core._of_proxy.values()) == len(self.core)

    def teardown(self) -> None:
        for _ in range(3):
            self.now += 120.0
            self.core.wake(self.now)
        assert len(self.core) == 0 and self.core.next_wakeup() is None


class ControllerModelTests(SynchronousTestCase):
    """Tests for any order of messages."""

    def test_model(self) -> None:
        """What is kept is bounded, and ends."""
        run_state_machine_as_test(ControllerModel, settings=settings(max_examples=50, deadline=None))

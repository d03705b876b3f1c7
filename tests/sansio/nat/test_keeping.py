"""Tests of a path that stands: whom it believes, where it leads, and how often it asks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.check_list import CandidatePair
from relaykit.sansio.nat.checks import CheckKeys, CheckKind, PeerRole, milliseconds
from relaykit.sansio.nat.keeping import (
    AGAIN_S,
    ELSEWHERE_CHECKS,
    FRESH_S,
    KEEPALIVE_MIN_S,
    KEEPALIVE_S,
    KEEPALIVE_SYMMETRIC_S,
    SETTLING_S,
    SILENT_S,
    PathKeeper,
    PathMoved,
    keepalive_s_of,
)
from relaykit.sansio.nat.pairing import NatType
from relaykit.values import Address

KEY = bytes(range(32))
HERE, ELSEWHERE = Address("198.51.100.3", 6000), Address("198.51.100.3", 7777)


class _Kept:
    """A path that stands, and its peer by hand."""

    def __init__(self) -> None:
        self.peer = CheckKeys(KEY, PeerRole.RESPONDER, b"p" * 32)
        keys = CheckKeys(KEY, PeerRole.INITIATOR, b"k" * 32)
        self.now = 0.0
        self.keeper = PathKeeper(CandidatePair(3, HERE, CandidateKind.HOST), keys, KEEPALIVE_S, 0.0)
        self.keys = CheckKeys(KEY, PeerRole.INITIATOR, b"o" * 32)

    def hear(
        self,
        kind: CheckKind,
        source: Address = HERE,
        token: bytes = bytes(8),
        at: float | None = None,
        via: int = 3,
    ) -> None:
        """The peer says something."""
        stamp = milliseconds(self.now if at is None else at)
        check = self.keys.open(self.peer.seal(kind, token, stamp))
        assert check is not None
        self.keeper.receive(check, source, via, self.now)

    def said(self) -> list[tuple[CheckKind, Address, bytes]]:
        """What it says: kind, destination, token."""
        found = []
        for each in self.keeper.to_send():
            check = self.peer.open(each.payload)
            assert check is not None
            found.append((check.kind, each.destination, check.token))
        return found

    def run(self, seconds: float) -> list[tuple[CheckKind, Address, bytes]]:
        """Lets time pass and collects what it says."""
        end, found = self.now + seconds, self.said()
        while (wakeup := self.keeper.next_wakeup()) <= end and not self.keeper.is_lost(wakeup):
            self.now = wakeup
            self.keeper.wake(self.now)
            found += self.said()
        self.now = end
        return found

    def asked_elsewhere(self) -> bytes:
        """The peer asks from elsewhere; answers the token of the question that it is asked there."""
        self.hear(CheckKind.PROBE, ELSEWHERE)
        (answer, question) = self.said()
        assert (answer[0], answer[1]) == (CheckKind.ANSWER, ELSEWHERE)
        assert (question[0], question[1]) == (CheckKind.PROBE, ELSEWHERE)
        return question[2]


class KeepaliveTests(SynchronousTestCase):
    """How often a path is asked over."""

    def test_pause(self) -> None:
        """Symmetric NATs are asked often, and no pause is longer than half the life of a mapping."""
        for own, peer, life_s, expected in (
            (NatType.STEADY, NatType.OPEN, None, KEEPALIVE_S),
            (NatType.STEADY, NatType.STEADY, 60.0, KEEPALIVE_S),
            (NatType.STEADY, NatType.STEADY, 20.0, 10.0),
            (NatType.STEADY, NatType.STEADY, 0.0, KEEPALIVE_MIN_S),
            (NatType.RANDOM, NatType.OPEN, None, KEEPALIVE_SYMMETRIC_S),
            (NatType.OPEN, NatType.BLOCK, None, KEEPALIVE_SYMMETRIC_S),
        ):
            self.assertEqual(keepalive_s_of(own, peer, life_s), expected)
        self.assertLess(KEEPALIVE_S, 30.0)

    def test_asking(self) -> None:
        """A question that is not answered is repeated; one that the peer asks saves an own one."""
        kept = _Kept()
        self.assertEqual(kept.run(KEEPALIVE_S - 0.1), [])
        self.assertEqual([each[:2] for each in kept.run(AGAIN_S + 0.2)], [(CheckKind.PROBE, HERE)] * 2)
        kept.hear(CheckKind.PROBE, token=b"TOKEN678")
        self.assertEqual(kept.said(), [(CheckKind.ANSWER, HERE, b"TOKEN678")])
        self.assertEqual(kept.run(KEEPALIVE_S - 0.1), [])

    def test_late_nomination(self) -> None:
        """An acceptance that was lost is repeated, where the path is and nowhere else."""
        kept = _Kept()
        kept.hear(CheckKind.NOMINATION)
        kept.hear(CheckKind.NOMINATION, ELSEWHERE)
        self.assertEqual([each[:2] for each in kept.said()], [(CheckKind.ACCEPTANCE, HERE)])


class MovingTests(SynchronousTestCase):
    """A peer that is heard from elsewhere."""

    def test_moved(self) -> None:
        """An answer from there moves the path, which is asked over more often from then on."""
        kept = _Kept()
        kept.run(SETTLING_S)
        token = kept.asked_elsewhere()
        kept.hear(CheckKind.ANSWER, ELSEWHERE, token)
        self.assertEqual(list(kept.keeper.events()), [PathMoved(ELSEWHERE)])
        self.assertEqual(
            [each[:2] for each in kept.run(KEEPALIVE_SYMMETRIC_S + 0.1)], [(CheckKind.PROBE, ELSEWHERE)]
        )

    def test_left_over_from_the_punch(self) -> None:
        """Checks of other addresses that were under way when the path stood move nothing."""
        kept = _Kept()
        kept.now = SETTLING_S - 0.1
        kept.hear(CheckKind.PROBE, ELSEWHERE)
        kept.hear(CheckKind.ANSWER, ELSEWHERE)
        self.assertEqual([each[0] for each in kept.said()], [CheckKind.ANSWER])
        self.assertEqual(list(kept.keeper.events()), [])

    def test_unproven(self) -> None:
        """A kept answer, one to another question, and one by another socket prove nothing."""
        for spoil in ({"at": 0.0}, {"token": b"notthis1"}, {"source": HERE}, {"via": 4}):
            kept = _Kept()
            kept.run(SETTLING_S + FRESH_S)
            token = kept.asked_elsewhere()
            kept.hear(**{"kind": CheckKind.ANSWER, "source": ELSEWHERE, "token": token, **spoil})  # type: ignore[arg-type]
            self.assertEqual(list(kept.keeper.events()), [], spoil)

    def test_back(self) -> None:
        """A peer that is heard where it was is asked nowhere else any more."""
        kept = _Kept()
        kept.run(SETTLING_S)
        kept.asked_elsewhere()
        kept.hear(CheckKind.PROBE)
        kept.said()
        self.assertEqual(kept.run(KEEPALIVE_S - 0.1), [])

    def test_bounded(self) -> None:
        """Where nobody answers so many questions are asked, and then no more."""
        kept = _Kept()
        kept.run(SETTLING_S)
        kept.asked_elsewhere()
        asked = [each for each in kept.run(KEEPALIVE_S - 1.0) if each[1] == ELSEWHERE]
        self.assertEqual(len(asked), ELSEWHERE_CHECKS - 1)

    def test_strangers(self) -> None:
        """However many others send something, one of them a second is asked at most."""
        kept = _Kept()
        asked = []
        for place in range(200):
            kept.keeper.suspect(Address("203.0.113.66", 1024 + place), 3, kept.now)
            asked += kept.run(0.1)
        self.assertLessEqual(len([each for each in asked if each[1] != HERE]), 20.0 / AGAIN_S + 1)

    @given(
        st.lists(
            st.tuples(st.sampled_from(CheckKind), st.integers(0, 3), st.booleans(), st.floats(0, 5)),
            max_size=30,
        )
    )
    @settings(max_examples=50)
    def test_any_order(self, inputs: list[tuple[CheckKind, int, bool, float]]) -> None:
        """Whatever is heard from wherever, each datagram makes it say two at most, and silence ends it."""
        kept = _Kept()
        for kind, place, is_right, wait in inputs:
            kept.run(wait)
            source = Address(HERE.host, 6000 + place)
            token = CheckKeys(KEY, PeerRole.INITIATOR, b"k" * 32).token_of(3, source)
            kept.hear(kind, source, token if is_right else bytes(8))
            self.assertLessEqual(len(kept.said()), 2)
        kept.run(SILENT_S)
        self.assertTrue(kept.keeper.is_lost(kept.now))

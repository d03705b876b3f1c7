"""Tests of who serves the next user of a group."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.balancing import REST_S, Balancer
from relaykit.values import Balance

SOURCES = [f"192.0.2.{number}" for number in range(200)]


class BalancerTests(SynchronousTestCase):
    """Tests for :class:`Balancer`."""

    def setUp(self) -> None:
        self.loads: Counter[str] = Counter()
        self.balancer: Balancer[str] = Balancer(lambda member: self.loads[member], lambda member: member)
        for member in ("a", "b", "c"):
            self.balancer.join(member)

    def choose(
        self,
        by: Balance = Balance.ROUND_ROBIN,
        source: str = "",
        without: tuple[str, ...] = (),
        now: float = 0.0,
    ) -> str | None:
        """Who serves the next user."""
        return self.balancer.choose(by, source, without, now)

    def test_rotate(self) -> None:
        """Members take turns in the order in which they joined, the first member first."""
        self.assertEqual([self.choose() for _ in range(7)], list("abcabca"))

    def test_joining_and_leaving(self) -> None:
        """Who joins is last, and who leaves costs nobody a turn."""
        self.choose()
        self.balancer.join("d")
        self.balancer.leave("c")
        self.balancer.leave("nobody")
        self.assertEqual([self.choose() for _ in range(4)], list("badb"))
        self.assertEqual(len(self.balancer), 3)

    def test_without(self) -> None:
        """A user who was at some members gets one of the others, and at the end nobody."""
        self.assertEqual(self.choose(without=("a",)), "b")
        self.assertEqual(self.choose(without=("a", "b")), "c")
        self.assertIsNone(self.choose(without=("a", "b", "c")))

    def test_rest(self) -> None:
        """Who failed gets no users for a while, then one; who serves that one is as the others."""
        self.assertTrue(self.balancer.failed("a", 0.0))
        self.assertFalse(self.balancer.failed("a", 0.0))
        self.assertEqual([self.choose() for _ in range(4)], list("bcbc"))
        self.assertEqual([self.choose(now=REST_S) for _ in range(4)], list("abcb"))
        self.balancer.served("a")
        self.assertIn("a", [self.choose(now=REST_S) for _ in range(3)])

    def test_left_and_failed(self) -> None:
        """Who has left is not remembered for what it could not do."""
        self.balancer.leave("a")
        self.assertFalse(self.balancer.failed("a", 0.0))
        self.balancer.join("a")
        self.assertTrue(self.balancer.has_awake(("b", "c"), 0.0))

    def test_all_rest(self) -> None:
        """Where all have failed, whoever has the turn is tried all the same."""
        for member in "abc":
            self.balancer.failed(member, 0.0)
        self.assertFalse(self.balancer.has_awake((), 0.0))
        self.assertEqual([self.choose() for _ in range(3)], list("abc"))

    def test_awake(self) -> None:
        """Somebody else is awake only among those whom a user was not at."""
        self.balancer.failed("c", 0.0)
        self.assertTrue(self.balancer.has_awake(("a",), 0.0))
        self.assertFalse(self.balancer.has_awake(("a", "b"), 0.0))
        self.assertTrue(self.balancer.has_awake(("a", "b"), REST_S))

    def test_least_connections(self) -> None:
        """The member with the fewest users is next; of several, the one whose turn it is."""
        self.loads.update(a=2, b=1, c=1)
        chosen = []
        for _ in range(5):
            member = self.choose(Balance.LEAST_CONNECTIONS)
            assert member is not None
            chosen.append(member)
            self.loads[member] += 1
        self.assertEqual(chosen, list("bcabc"))

    def test_source(self) -> None:
        """Users of one address get one member, and all members get some addresses."""
        first = {source: self.choose(Balance.SOURCE_ADDRESS, source) for source in SOURCES}
        again = {source: self.choose(Balance.SOURCE_ADDRESS, source) for source in SOURCES}
        self.assertEqual(first, again)
        self.assertGreater(min(Counter(first.values()).values()), len(SOURCES) / 6)

    def test_source_stays(self) -> None:
        """When a member leaves, only its own addresses move; when it comes back, they have it again."""
        before = {source: self.choose(Balance.SOURCE_ADDRESS, source) for source in SOURCES}
        self.balancer.leave("b")
        for source in SOURCES:
            member = self.choose(Balance.SOURCE_ADDRESS, source)
            self.assertTrue(member == before[source] or before[source] == "b")
        self.balancer.join("b")
        self.assertEqual(before, {each: self.choose(Balance.SOURCE_ADDRESS, each) for each in SOURCES})

    def test_unknown_source(self) -> None:
        """Users of no address take turns."""
        self.assertEqual([self.choose(Balance.SOURCE_ADDRESS) for _ in range(3)], list("abc"))

    @given(
        st.sampled_from(Balance),
        st.text(),
        st.lists(st.tuples(st.sampled_from("jlfsc"), st.sampled_from("abcde")), max_size=40),
    )
    def test_whatever_happens(self, by: Balance, source: str, steps: list[tuple[str, str]]) -> None:
        """Who is chosen is there and was not tried; nobody is chosen only if nobody is left."""
        balancer: Balancer[str] = Balancer(lambda member: 0, lambda member: member)
        present: set[str] = set()
        for now, (step, member) in enumerate(steps):
            if step == "j" and member not in present:
                balancer.join(member)
                present.add(member)
            elif step == "l":
                balancer.leave(member)
                present.discard(member)
            elif step == "f" and member in present:
                balancer.failed(member, now)
            elif step == "s":
                balancer.served(member)
            chosen = balancer.choose(by, source, (member,), now)
            left = present - {member}
            self.assertTrue(chosen in left if left else chosen is None)

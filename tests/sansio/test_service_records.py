"""SRV records: which names ask for them, and the order of what they name."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.service_records import ServiceRecord, domain_of, in_order, is_service_name
from relaykit.values import Address


def record(name: str, priority: int = 0, weight: int = 0) -> ServiceRecord:
    """A record."""
    return ServiceRecord(priority, weight, Address(name, 1))


class NameTests(SynchronousTestCase):
    """Tests for names of services."""

    def test_names(self) -> None:
        """Two labels with an underscore and a domain behind them; nothing else is changed."""
        for name, domain in (
            ("_relaykit._tcp.example.com", "example.com"),
            ("_a._udp.example", "example"),
            ("_a._tcp._b.example", "_b.example"),
        ):
            self.assertTrue(is_service_name(name))
            self.assertEqual(domain_of(name), domain)
        for name in (
            "example.com",
            "my_host",
            "_a.example",
            "a._tcp.example",
            "_a._tcp",
            "::1",
            "192.0.2.1",
            "",
        ):
            self.assertFalse(is_service_name(name), name)
            self.assertEqual(domain_of(name), name)


class OrderTests(SynchronousTestCase):
    """Tests for :func:`in_order`."""

    def test_priorities(self) -> None:
        """Lower priorities come first, whatever the weights."""
        records = [record("c", 2, 9), record("a", 0, 1), record("b", 1, 5)]
        self.assertEqual([each.host for each in in_order(records, lambda top: top - 1)], ["a", "b", "c"])

    def test_weights(self) -> None:
        """Within one priority a part of the draws that is its weight's makes a record the first."""
        records = [record("a", weight=1), record("b", weight=2), record("c", weight=0)]
        # 0 to 3: one for those without weight, then one for each unit of weight.
        draws: list[int] = []

        def chance(top: int) -> int:
            return min(draws[0], top - 1)

        firsts = []
        for draw in range(4):
            draws[:] = [draw]
            firsts.append(in_order(records, chance)[0].host)
        self.assertEqual(firsts, ["c", "a", "b", "b"])

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65535))), st.integers())
    def test_all(self, figures: list[tuple[int, int]], seed: int) -> None:
        """Every record has its turn, once, and priorities never go back."""
        records = [record(str(number), *each) for number, each in enumerate(figures)]
        ordered = in_order(records, random.Random(seed).randrange)
        self.assertEqual(sorted(each.host for each in ordered), sorted(each.target.host for each in records))
        priorities = [figures[int(each.host)][0] for each in ordered]
        self.assertEqual(priorities, sorted(priorities))

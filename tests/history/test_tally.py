"""Tests for :mod:`relaykit.history.tally`."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.history.subjects import WHOLE, Subject, SubjectKind
from relaykit.history.tally import Tally
from relaykit.values import NOTHING, Amount, ClientIdentity, Usage

ANN = ClientIdentity("run-1", "ann", "c1")


def client_key(client: ClientIdentity) -> str:
    """The name of a client."""
    return f"{client.user}.{client.client_id}"


def proxy(name: str) -> Subject:
    """One of the proxies."""
    return Subject(SubjectKind.PROXY, name)


class TallyTests(SynchronousTestCase):
    """Tests for what was moved between two looks."""

    def setUp(self) -> None:
        self.tally = Tally(client_key)

    def look(self, **usage: Amount) -> Mapping[Subject, Amount]:
        """One look at proxies of one client."""
        for name, amount in usage.items():
            self.tally.take(Usage(name, ANN, amount))
        return self.tally.finish()

    def test_moved(self) -> None:
        """What was moved counts for the proxy, its client and the whole; who moved nothing is left out."""
        moved = self.look(a=Amount(1, 2, 1), b=Amount(10, 0, 1), c=NOTHING)
        whole, client = Amount(11, 2, 2), Subject(SubjectKind.CLIENT, "ann.c1")
        self.assertEqual(
            moved, {proxy("a"): Amount(1, 2, 1), proxy("b"): Amount(10, 0, 1), client: whole, WHOLE: whole}
        )
        self.assertEqual(self.look(a=Amount(1, 2, 1), b=Amount(11, 0, 1))[WHOLE], Amount(1, 0, 0))
        self.assertEqual(self.look(a=Amount(1, 2, 1), b=Amount(11, 0, 1)), {})

    def test_owners(self) -> None:
        """A proxy belongs to its client, and a client to its user."""
        owners = {each: each.owner for each in self.look(a=Amount(1, 0, 0))}
        self.assertEqual(owners[proxy("a")], "ann.c1")
        self.assertEqual(owners[Subject(SubjectKind.CLIENT, "ann.c1")], "ann")

    def test_of_its_own(self) -> None:
        """What is of no other client counts for the proxy and the whole."""
        self.tally.take(Usage("a", None, Amount(1, 0, 0)))
        self.assertEqual(set(self.tally.finish()), {proxy("a"), WHOLE})

    def test_forgotten(self) -> None:
        """A proxy that is gone is forgotten, and has moved all of it when it comes back."""
        self.look(a=Amount(5, 0, 0))
        self.look()
        self.assertEqual(self.look(a=Amount(6, 0, 0))[proxy("a")], Amount(6, 0, 0))

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**40), st.integers(0, 9)), max_size=30))
    def test_sums(self, moves: list[tuple[str, int, int]]) -> None:
        """However it is looked at, all that was moved is told, once."""
        tally, totals = Tally(client_key), dict.fromkeys("abc", NOTHING)
        told = dict.fromkeys("abc", NOTHING)
        whole = NOTHING
        for name, size, count in moves:
            totals[name] += Amount(size, 2 * size, count)
            for each, amount in totals.items():
                tally.take(Usage(each, ANN, amount))
            moved = tally.finish()
            whole += moved.get(WHOLE, NOTHING)
            for each in totals:
                told[each] += moved.get(proxy(each), NOTHING)
        self.assertEqual(told, totals)
        self.assertEqual(whole, totals["a"] + totals["b"] + totals["c"])

"""Tests for :mod:`relaykit.administration.paging`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Call, CallFailed
from relaykit.administration.paging import MOST_PER_PAGE, paged


def call(**query: str) -> Call:
    """A call with this query."""
    return Call(query={key: [value] for key, value in query.items()})


class PageTests(SynchronousTestCase):
    """Tests for pages of a list."""

    def test_pages(self) -> None:
        """Pages together are the list; one behind its end is empty."""
        found = list(range(7))
        pages = [paged(call(page=str(number), pageSize="3"), found) for number in (1, 2, 3, 4)]
        self.assertEqual([list(page.items) for page in pages], [[0, 1, 2], [3, 4, 5], [6], []])
        self.assertEqual({page.total for page in pages}, {7})
        self.assertEqual(paged(call(), found).size, 50)

    @given(st.text(), st.text())
    def test_anything(self, page: str, size: str) -> None:
        """Whatever is asked for, there is a page of allowed size, or it is refused in words."""
        try:
            found = paged(call(page=page, pageSize=size), range(500))
        except CallFailed as error:
            self.assertEqual(error.status, 400)
        else:
            self.assertTrue(1 <= found.size <= MOST_PER_PAGE)
            self.assertLessEqual(len(found.items), found.size)

    def test_long_numbers(self) -> None:
        """Numbers that would take long to read are none."""
        self.assertRaises(CallFailed, paged, call(page="9" * 10_000), [])
        self.assertEqual(paged(call(page="0" * 100 + "2"), []).number, 2)

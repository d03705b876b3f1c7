"""Tests for :mod:`relaykit.local_services.static_file.listing`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.static_file.folder import Entry, Listed
from relaykit.local_services.static_file.listing import link_to, listing_page, written_size


class ListingTests(SynchronousTestCase):
    """The page of a folder."""

    def test_page(self) -> None:
        """Names are escaped in text and in links, folders have no size, and there is a way up."""
        entries = (Entry("sub", True, 4096, 0), Entry('<script>"&', False, 1500, 1_700_000_000))
        page = listing_page("/x<y/", Listed(entries, False), has_parent=True).decode()
        self.assertNotIn("<script", page)
        for part in (
            "<h1>/x&lt;y/</h1>",
            '<a href="../">..</a>',
            '<a href="sub/">sub/</a></td><td class="size"></td>',
            '<a href="%3Cscript%3E%22%26">&lt;script&gt;&quot;&amp;</a></td><td class="size">1.5 KB</td>',
            "2023-11-14 22:13",
        ):
            self.assertIn(part, page)

    def test_ends(self) -> None:
        """An empty folder says so, and one that is cut too; dates that nobody can write are left out."""
        self.assertIn(b"is empty", listing_page("/", Listed((), False), has_parent=False))
        entry = Entry("a", False, 1, 1e30)
        self.assertIn(b"Only 1 names", listing_page("/", Listed((entry,), True), has_parent=False))

    def test_sizes(self) -> None:
        """Sizes have three digits or so."""
        for size, expected in (
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KB"),
            (999_999, "1.0 MB"),
            (10**22, "10000.0 EB"),
        ):
            self.assertEqual(written_size(size), expected)

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_links(self, name: str) -> None:
        """A link stays in its folder, whatever the name."""
        self.assertRegex(link_to(name), r"\A[A-Za-z0-9_.~%-]*\Z")

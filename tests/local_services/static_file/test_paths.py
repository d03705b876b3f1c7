"""Tests for :mod:`relaykit.local_services.static_file.paths`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.static_file.paths import Asked, Moved, parse_path


class PathTests(SynchronousTestCase):
    """What targets ask for."""

    def test_asked(self) -> None:
        """Escapes are undone once; the prefix is no folder."""
        for target, prefix, names, is_folder in (
            (b"/", "", [], True),
            (b"/a/b.txt?x=/../", "", ["a", "b.txt"], False),
            (b"http://h/a/", "", ["a"], True),
            (b"http://h", "", [], True),
            (b"/%252e%252e/c%3Cd", "", ["%2e%2e", "c<d"], False),
            (b"/pre/a", "/pre/", ["a"], False),
        ):
            found = parse_path(target, prefix)
            assert isinstance(found, Asked)
            self.assertEqual((list(found.names), found.is_folder), (names, is_folder), target)

    def test_moved(self) -> None:
        """What is no simple path leads to the one that it comes to, on this host."""
        for target, location in (
            (b"/../a", "/a"),
            (b"/%2e%2e/a?q", "/a?q"),
            (b"//evil.example/", "/evil.example/"),
            (b"/%2f%2fevil.example", "/evil.example"),
            (b"/a/./b/..", "/a/"),
        ):
            self.assertEqual(parse_path(target), Moved(location), target)

    def test_nothing(self) -> None:
        """What is not below the prefix is nothing."""
        for target, prefix in ((b"*", ""), (b"/a", "pre"), (b"/pre", "pre"), (b"/prefix/a", "pre")):
            self.assertIsNone(parse_path(target, prefix))

    @given(st.one_of(st.binary(), st.from_regex(rb"/(\.|%2e|/|%2f|a|%5c|%0a|\\x00){0,12}")))
    def test_whatever(self, target: bytes) -> None:
        """No name leads upwards, and nobody is moved to another host or twice."""
        found = parse_path(target)
        if isinstance(found, Asked):
            self.assertNotIn("..", found.names)
            self.assertFalse(any("/" in name for name in found.names))
        elif found is not None:
            self.assertFalse(found.location.startswith("//"))
            self.assertFalse({"\r", "\n"} & set(found.location.partition("?")[0]))
            self.assertNotIsInstance(parse_path(found.location.encode("latin-1")), Moved)

"""Tests for :mod:`relaykit.testing.cuts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.testing.cuts import MOST_CUTS, every_cut, feed_every_cut, recognize, refuse


class LineParser:
    """Recognizes one line of capital letters."""

    limit = 80

    def feed(self, data: bytes) -> tuple[Any, int] | None:
        line, end, _ = data.partition(b"\n")
        if line.upper() != line:
            raise RemoteProtocolError("a line of capital letters was expected")
        return (line, len(line) + 1) if end else None


class Broken:
    """Answers whatever it is told to."""

    limit = 80

    def __init__(self, *answers: tuple[Any, int] | RemoteProtocolError | None) -> None:
        self._answers = list(answers)

    def feed(self, data: bytes) -> tuple[Any, int] | None:
        answer = self._answers.pop(0)
        if isinstance(answer, RemoteProtocolError):
            raise answer
        return answer


class EveryCutTests(SynchronousTestCase):
    """Tests for :func:`every_cut`."""

    def test_all_portionings(self) -> None:
        """An input comes whole, byte by byte, among empty portions, and cut at each place."""
        self.assertEqual(
            list(every_cut(b"abc")),
            [
                (b"abc",),
                (b"a", b"b", b"c"),
                (b"", b"a", b"", b"b", b"", b"c"),
                (b"a", b"bc"),
                (b"ab", b"c"),
            ],
        )

    def test_bounded(self) -> None:
        """A long input is cut at a bounded number of places, each of them inside of it."""
        data = bytes(10 * MOST_CUTS)
        in_two = [portions for portions in every_cut(data) if len(portions) == 2]
        self.assertEqual(len(in_two), MOST_CUTS)
        self.assertTrue(all(head and tail and head + tail == data for head, tail in in_two))


class FeedEveryCutTests(SynchronousTestCase):
    """Tests for :func:`feed_every_cut`."""

    def test_agreement(self) -> None:
        """A reader that does not depend on cuts gets its outcome answered."""
        self.assertEqual(
            feed_every_cut(b"a,b,c", lambda portions: b"".join(portions).split(b",")), [b"a", b"b", b"c"]
        )

    def test_disagreement(self) -> None:
        """A reader that depends on cuts is found out."""

        def first_portion(portions: Sequence[bytes]) -> bytes:
            return portions[0]

        error = self.assertRaises(AssertionError, feed_every_cut, b"abc", first_portion)
        self.assertIn("1 + 1 + 1 bytes: b'a'", str(error))
        self.assertIn("fed whole: b'abc'", str(error))


class RecognizeTests(SynchronousTestCase):
    """Tests for :func:`recognize` and :func:`refuse`."""

    def test_recognized(self) -> None:
        """A parser that keeps the contract has its answer returned."""
        self.assertEqual(recognize(LineParser(), b"HELLO\n"), b"HELLO")

    def test_breaches(self) -> None:
        """Answering early, late, with another length, or by what follows, is found out."""
        for broken, complaint in (
            (Broken(("x", 1)), "after 0 of 2 bytes"),
            (Broken(None, None, None), "asks for more"),
            (Broken(None, None, ("x", 1)), "not of 2"),
            (Broken(None, None, ("x", 2), ("y", 2)), "bytes behind it"),
        ):
            error = self.assertRaises(AssertionError, recognize, broken, b"ab")
            self.assertIn(complaint, str(error))

    def test_refused(self) -> None:
        """A parser's refusal is answered."""
        self.assertIn("capital letters", str(refuse(LineParser(), b"Hello\n")))

    def test_not_refused(self) -> None:
        """Not refusing, and taking a refusal back, are found out."""
        no = RemoteProtocolError("no")
        self.assertIn("after 3 bytes", str(self.assertRaises(AssertionError, refuse, LineParser(), b"AB\n")))
        self.assertIn("asks for more", str(self.assertRaises(AssertionError, refuse, LineParser(), b"AB")))
        self.assertIn(
            "refused before", str(self.assertRaises(AssertionError, refuse, Broken(no, None), b"a"))
        )

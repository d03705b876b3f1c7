"""Who takes a stream, by its first bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.parsers.recognizing import Opening, Rank, RecognizerTable


class Longer:
    """Says yes to more than so many bytes, and never no."""

    limit = 8

    def __init__(self, count: int) -> None:
        self.count = count

    def recognizes(self, data: bytes) -> bool | None:
        return True if len(data) > self.count else None


def table() -> RecognizerTable[str]:
    """Some that compete for the same first byte."""
    made: RecognizerTable[str] = RecognizerTable()
    made.add(Opening(b"GET ", b"POST "), "stranger", Rank.STRANGER)
    made.add(Opening(b"\x16", b"\x17"), "tls", Rank.LAYER)
    made.add(Opening(b"GET /~!frp"), "websocket")
    made.add(Opening(b"GET /shared"), "shared", Rank.SHARED)
    return made


def answer(made: RecognizerTable[str], data: bytes) -> tuple[str | None, int]:
    """Who takes it, and after how many bytes that is known."""
    for count in range(1, len(data) + 1):
        found = made.feed(data[:count])
        if found is not None:
            return found[0], count
    raise AssertionError("no answer")


class RecognizerTableTests(SynchronousTestCase):
    """Tables of openings."""

    def test_takers(self) -> None:
        """Each stream is for the most special who recognizes it, as soon as nobody else can."""
        for data, expected in (
            (b"GET /~!frp HTTP/1.1\r\n", ("websocket", 10)),
            (b"GET /shared/index HTTP/1.1", ("shared", 11)),
            (b"GET / HTTP/1.1", ("stranger", 6)),
            (b"POST /~!frp", ("stranger", 5)),
            (b"\x17...", ("tls", 1)),
            (b"SSH-2.0", (None, 1)),
        ):
            self.assertEqual(answer(table(), data), expected, data)

    def test_limit(self) -> None:
        """One that has still no answer at its limit has said no."""
        made: RecognizerTable[str] = RecognizerTable()
        made.add(Longer(1000), "never")
        self.assertEqual((made.limit, answer(made, bytes(8))), (8, (None, 8)))

    def test_order(self) -> None:
        """Among those of one rank the first one is asked first."""
        made: RecognizerTable[str] = RecognizerTable()
        made.add(Opening(b"ab"), "first")
        made.add(Opening(b"a"), "second")
        self.assertEqual((answer(made, b"ab")[0], answer(made, b"ac")[0]), ("first", "second"))

    def test_removed(self) -> None:
        """What is removed takes nothing; an empty table recognizes nobody."""
        made: RecognizerTable[str] = RecognizerTable()
        opening = Opening(b"x")
        made.add(opening, "one")
        self.assertIn("x", repr(opening))
        made.remove(opening)
        self.assertEqual((len(made), made.limit, answer(made, b"x")), (0, 1, (None, 1)))

    def test_without(self) -> None:
        """Within a layer that was taken the same layer is not looked for again."""
        within = table().without({"tls"})
        self.assertEqual((answer(within, b"\x16")[0], answer(within, b"GET /~!frp")[0]), (None, "websocket"))
        self.assertEqual(answer(table(), b"\x16")[0], "tls")

    @given(st.binary(min_size=1, max_size=40))
    def test_junk(self, data: bytes) -> None:
        """Whatever comes there is an answer within the limit, and more bytes do not change it."""
        made = table()
        padded = data + bytes(made.limit)
        taker, count = answer(made, padded)
        self.assertLessEqual(count, made.limit)
        for more in range(count, len(padded)):
            self.assertEqual(made.feed(padded[:more]), (taker, 0))

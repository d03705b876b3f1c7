"""Bodies on their way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h11
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.bodies import BodyReader, ChunkedBody, LengthBody, UntilEndBody
from relaykit.sansio.http.grammar import Malformed
from relaykit.testing.cuts import every_cut, feed_every_cut
from tests.sansio.http.hostile import BODIES


def _framed() -> ChunkedBody:
    return ChunkedBody(True, lambda key: key == b"host")


def _bare() -> ChunkedBody:
    return ChunkedBody(False, lambda key: False)


def pass_through(body: BodyReader, portions: Sequence[bytes]) -> tuple[bytes, bytes, str]:
    """What goes on, what is left of the portions, and the fault that ends it."""
    passed: list[Buffer] = []
    left = b""
    fault = ""
    for portion in portions:
        if fault:
            break
        if body.is_complete:
            left += portion
            continue
        try:
            taken = body.read(portion, passed)
        except Malformed as error:
            fault = str(error)
        else:
            left += portion[taken:]
    return b"".join(passed), left, fault


def through(make: Callable[[], BodyReader], data: bytes) -> tuple[bytes, bytes, str]:
    """The same for whatever way it is cut."""
    return feed_every_cut(data, lambda portions: pass_through(make(), portions))


def read_by_h11(body: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The content and the trailers that another reader finds in chunks."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    peer.next_event()
    content = b""
    while isinstance(event := peer.next_event(), h11.Data):
        content += event.data
    assert isinstance(event, h11.EndOfMessage), event
    return content, list(event.headers)


_chunk = st.tuples(
    st.binary(min_size=1, max_size=40),
    st.sampled_from([b"%x", b"%X", b"00%x"]),
    st.sampled_from([b"", b" ; a=b;c", b";"]),
)


def _written(chunks: list[tuple[bytes, bytes, bytes]]) -> bytes:
    return b"".join(
        form % len(data) + extension + b"\r\n" + data + b"\r\n" for data, form, extension in chunks
    )


class BodyTests(SynchronousTestCase):
    """Bodies of each kind."""

    def test_length(self) -> None:
        """So many bytes go on, and not one more."""
        self.assertEqual(through(lambda: LengthBody(5), b"hellomore"), (b"hello", b"more", ""))
        self.assertTrue(LengthBody(0).is_complete)
        self.assertFalse(LengthBody(1).end([]))

    def test_until_end(self) -> None:
        """All goes on, in chunks for who cannot be shown the end."""
        for chunked, expected in ((False, b"ab"), (True, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")):
            body = UntilEndBody(chunked)
            passed: list[Buffer] = []
            self.assertEqual([body.read(portion, passed) for portion in (b"a", b"", b"b")], [1, 0, 1])
            self.assertFalse(body.is_complete)
            self.assertTrue(body.end(passed) and body.is_complete)
            self.assertEqual(b"".join(passed), expected)

    def test_chunks(self) -> None:
        """Chunks go on as they are, without extensions; or what is in them."""
        sent = b"5\r\nhello\r\n00A; a=b\r\n0123456789\r\n1;\r\n!\r\n0;x\r\n\r\n"
        expected = b"5\r\nhello\r\n00A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n"
        self.assertEqual(through(_framed, sent + b"GET"), (expected, b"GET", ""))
        self.assertEqual(through(_bare, sent + b"GET"), (b"hello0123456789!", b"GET", ""))

    def test_plain_chunks(self) -> None:
        """So do chunks without anything to leave out."""
        sent = b"5\r\nhello\r\n3\r\nyou\r\n1\r\n!\r\n0\r\n\r\n"
        self.assertEqual(through(_framed, sent), (sent, b"", ""))
        self.assertEqual(through(_bare, sent), (b"helloyou!", b"", ""))

    def test_no_copies(self) -> None:
        """A piece of plain chunks goes on as it is, in one slice and the first line."""
        passed: list[Buffer] = []
        sent = b"5\r\n" + b"hello\r\n5\r\n" * 100
        _framed().read(sent, passed)
        self.assertEqual([len(piece) for piece in passed], [3, len(sent) - 3])

    def test_trailers(self) -> None:
        """Trailers go on, but for those that mean something else in a head."""
        sent = b"1\r\na\r\n0\r\nHost: x\r\nX-Sum:  1 \r\nx-b: \r\n\r\n"
        expected = b"1\r\na\r\n0\r\nX-Sum:  1 \r\nx-b: \r\n\r\n"
        self.assertEqual(through(_framed, sent), (expected, b"", ""))
        self.assertEqual(through(_bare, sent), (b"a", b"", ""))

    def test_flush(self) -> None:
        """The end of a chunk goes on at once, whatever follows: events wait for no next one."""
        for chunks in (b"5\r\nhello\r\n", b"2\r\nab\r\n1\r\nc\r\n"):
            for portions in every_cut(chunks):
                self.assertEqual(pass_through(_framed(), portions)[0], chunks)

    def test_hostile(self) -> None:
        """Each body that is none is found out, at the same place whichever way it arrives."""
        self.assertGreater(len(BODIES), 30)
        for data in BODIES:
            passed, _, fault = pass_through(_framed(), [data])
            self.assertTrue(fault, data[:60])
            self.assertNotIn(b"0\r\n\r\n", passed)
            if len(data) < 1000:
                self.assertEqual(through(_framed, data)[2], fault)

    @given(st.lists(_chunk, max_size=8), st.integers(1, 50))
    def test_oracle(self, chunks: list[tuple[bytes, bytes, bytes]], step: int) -> None:
        """Another reader finds the same content in what goes on as was sent."""
        sent = _written(chunks) + b"0\r\nx-a: b\r\n\r\n"
        portions = [sent[at : at + step] for at in range(0, len(sent), step)]
        passed, left, fault = pass_through(_framed(), portions)
        self.assertEqual((left, fault), (b"", ""))
        content = b"".join(data for data, _, _ in chunks)
        self.assertEqual(read_by_h11(passed), (content, [(b"x-a", b"b")]))

    @given(
        st.lists(
            st.sampled_from([b"1", b"a", b"0", b"\r\n", b"\r", b"\n", b";", b" ", b":"]), max_size=14
        ).map(b"".join)
    )
    def test_junk(self, junk: bytes) -> None:
        """Junk comes to the same however it is cut; what goes on whole is read alike by another reader."""
        passed, _, fault = through(_framed, junk)
        complete = _framed()
        pass_through(complete, [junk])
        if complete.is_complete and not fault:
            read_by_h11(passed)

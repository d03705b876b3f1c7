"""What providers get, as another reader of HTTP reads it."""

from __future__ import annotations

from collections.abc import Sequence

import h11
from attrs import evolve, frozen
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.sansio.http.between import OK, Between
from tests.sansio.http.hostile import HEADS


@frozen
class Read:
    """One request as h11 reads it."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def host(self) -> bytes:
        """What its Host says."""
        return dict(self.fields).get(b"host", b"")

    def without(self, *names: bytes) -> Read:
        """The same without these fields."""
        return evolve(self, fields=tuple(pair for pair in self.fields if pair[0] not in names))


def read_by_h11(data: bytes) -> Sequence[Read]:
    """The complete requests in a stream.

    :raises h11.RemoteProtocolError: it is none.
    """
    found = []
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    peer.receive_data(data)
    while isinstance(head := peer.next_event(), h11.Request):
        body = b""
        while isinstance(event := peer.next_event(), h11.Data):
            body += event.data
        if not isinstance(event, h11.EndOfMessage):
            break
        fields = tuple(sorted((name, value) for name, value in head.headers))
        found.append(Read(head.method, head.target, fields, body, tuple(event.headers)))
        if peer.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.SEND_RESPONSE}:
            break
        peer.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        peer.send(h11.EndOfMessage())
        if peer.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            break
        peer.start_next_cycle()
    return found


def answer_all(between: Between) -> None:
    """Answers each request that has gone on whole, and those that go on then."""
    while between.finished is None and len(between.heads) > len(between.answers):
        if len(read_by_h11(between.to_provider)) < len(between.heads):
            break
        between.provider(OK[:-2] if between.heads[-1].method == b"HEAD" else OK)


_name = st.sampled_from(
    [
        b"X-A",
        b"x-b",
        b"X_C",
        b"Connection",
        b"Keep-Alive",
        b"TE",
        b"Cookie",
        b"Expect",
        b"X-Forwarded-For",
        b"Trailer",
    ]
)
_value = st.sampled_from(
    [b"", b"1", b"close", b"keep-alive, X-A", b"trailers", b"100-continue", b"a, b", b"\xfc", b"a\tb"]
)
_method = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"M-SEARCH"])
_target = st.sampled_from(
    [b"/", b"/a%20b?c=%zz&d", b"//a/./b", b"http://web.example/x", b"/|{}^", b"/\xc3\xa4"]
)
_framing = st.sampled_from([b"none", b"length", b"chunked"])


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request and the content of its body."""
    lines = [b"%b %b HTTP/1.1" % (draw(_method), draw(_target)), b"Host: web.example"]
    lines += [b"%b: %b" % (draw(_name), draw(_value)) for _ in range(draw(st.integers(0, 5)))]
    framing = draw(_framing)
    body = b"" if framing == b"none" else draw(st.binary(max_size=30))
    if framing == b"length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == b"chunked":
        lines.append(b"Transfer-Encoding: chunked")
    sent = body
    if framing == b"chunked":
        half = len(body) // 2
        chunks = [part for part in (body[:half], body[half:]) if part]
        sent = b"".join(b"%x;q\r\n%b\r\n" % (len(part), part) for part in chunks) + b"0\r\nx-t: 1\r\n\r\n"
    return b"\r\n".join((*lines, b"", b"")) + sent, body


class OracleTests(SynchronousTestCase):
    """Whatever goes on, both ends read alike."""

    @given(requests(), st.integers(1, 60))
    def test_requests(self, request: tuple[bytes, bytes], step: int) -> None:
        """A request goes on as one with the same method, target, host and body, framed by itself."""
        data, body = request
        between = Between()
        between.user(*(data[at : at + step] for at in range(0, len(data), step)))
        if not between.heads:
            self.assertTrue(between.to_user.startswith(b"HTTP/1.1 4"))
            return
        [head] = between.heads
        [read] = read_by_h11(between.to_provider)
        target = head.target if not head.scheme else b"%b://%b%b" % (head.scheme, head.authority, head.target)
        self.assertEqual((read.method, read.target, read.host), (head.method, target, b"web.example"))
        self.assertEqual(read.body, body)

    @given(
        requests(),
        st.integers(0, 400),
        st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\x00", b":", b"0", b"", b"\t"]),
    )
    def test_mutations(self, request: tuple[bytes, bytes], place: int, put: bytes) -> None:
        """With a byte changed, it is refused, or still means to both what the provider gets."""
        data = request[0]
        place %= len(data)
        between = Between()
        between.user(data[:place] + put + data[place + 1 :])
        passed = read_by_h11(between.to_provider) if between.to_provider and between.finished is None else ()
        self.assertLessEqual(len(passed), len(between.heads))
        if not passed:
            return
        try:
            [meant] = read_by_h11(data[:place] + put + data[place + 1 :])[:1]
        except (h11.RemoteProtocolError, ValueError):
            # It is stricter about targets, and waits for more where a body was made longer.
            return
        self.assertEqual((passed[0].method, passed[0].body), (meant.method, meant.body))
        self.assertEqual(passed[0].trailers, meant.trailers)

    @example([hostile.data for hostile in HEADS[:4]])
    @given(
        st.lists(st.sampled_from([hostile.data for hostile in HEADS if len(hostile.data) < 500]), max_size=4)
    )
    def test_smuggling(self, hostile: list[bytes]) -> None:
        """As many requests reach the provider as were told, however the stream goes on."""
        start = b"GET /first HTTP/1.1\r\nHost: web.example\r\n\r\n"
        between = Between()
        between.user(start + b"".join(hostile))
        answer_all(between)
        self.assertEqual([read.target for read in read_by_h11(between.to_provider)], [b"/first"])
        self.assertEqual(len(between.heads), 1)


def read_response(data: bytes, method: bytes, *, ended: bool) -> tuple[int, bytes, list[int]]:
    """What h11 reads of answers: the status, the body, and the statuses of interim ones."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(data)
    if ended:
        peer.receive_data(b"")
    interim = []
    while isinstance(head := peer.next_event(), h11.InformationalResponse):
        interim.append(head.status_code)
    assert isinstance(head, h11.Response), head
    body = b""
    while isinstance(event := peer.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage), event
    return head.status_code, body, interim


class ResponseTests(SynchronousTestCase):
    """Whatever is answered, its user reads what the provider meant."""

    @given(
        st.sampled_from([b"GET", b"HEAD", b"POST"]),
        st.sampled_from([b"1.0", b"1.1"]),
        st.sampled_from([200, 204, 304, 404, 299]),
        _framing,
        st.binary(max_size=40),
        st.integers(0, 2),
        st.integers(1, 80),
    )
    def test_responses(
        self, method: bytes, version: bytes, status: int, framing: bytes, body: bytes, hints: int, step: int
    ) -> None:
        """The status and the body arrive, with their end in themselves where the connection stays."""
        has_body = method != b"HEAD" and status not in (204, 304)
        lines = [b"HTTP/1.1 %d Reason" % status, b"Date: x"]
        if framing == b"length":
            lines.append(b"Content-Length: %d" % len(body))
        elif framing == b"chunked":
            lines.append(b"Transfer-Encoding: chunked")
        sent = (
            b"".join(b"1;x\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
            if framing == b"chunked"
            else body
        )
        data = b"HTTP/1.1 103 Hints\r\n\r\n" * hints + b"\r\n".join((*lines, b"", sent if has_body else b""))
        between = Between()
        between.user(b"%b / HTTP/%b\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % (method, version))
        between.provider(*(data[at : at + step] for at in range(0, len(data), step)))
        between.end_provider()
        read = read_response(between.to_user, method, ended=between.finished is not None)
        expected = body if has_body else b""
        self.assertEqual(read, (status, expected, [103] * (hints if version == b"1.1" else 0)))
        self.assertEqual(between.finished is None, version == b"1.1")

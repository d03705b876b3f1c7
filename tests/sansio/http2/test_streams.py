"""Tests for :mod:`relaykit.sansio.http2.streams`, within a connection."""

from __future__ import annotations

from h2.errors import ErrorCodes
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.http.answers import BAD_GATEWAY, UNAUTHORIZED, not_found
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS, MOST_REPEATS
from relaykit.sansio.http.rewriting import HeaderRules, Rules
from relaykit.sansio.http2.streams import MOST_AT_ONCE_BYTES, STREAM_WINDOW_BYTES, RequestedAgain
from relaykit.testing.cuts import every_cut
from tests.sansio.http2.between import DATE, GET, OK, POST, Between, fields

CHUNKED = b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE_BYTES = 16_384


def answer(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """What a provider answers."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 " + status, b"Date: x", *lines, length, b"", body))


class ExchangeTests(SynchronousTestCase):
    """Requests and their answers."""

    def test_get(self) -> None:
        """A request goes on in HTTP/1.1, with what a proxy tells of its user; the answer comes back."""
        between = Between()
        number = between.ask(fields((b"x-y", b"z"), path=b"/a?b"))
        self.assertEqual(
            between.asked(number),
            b"GET /a?b HTTP/1.1\r\nHost: web.example\r\nx-y: z\r\nX-Forwarded-For: 192.0.2.9\r\n"
            b"X-Forwarded-Host: web.example\r\nX-Forwarded-Proto: http\r\n\r\n",
        )
        between.provider(number, OK)
        got = between.got[number]
        self.assertEqual(
            (got.head, got.body, got.ended, got.reset),
            ({b":status": b"200", b"date": DATE, b"content-length": b"2"}, b"ok", True, None),
        )
        self.assertEqual(between.answers, [(number, 200, True)])

    def test_every_cut(self) -> None:
        """However a provider's answer is cut, the user gets the same."""
        text = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CHUNKED + b"1\r\na\r\n0\r\nT: 1\r\n\r\n"
        outcomes = set()
        for portions in every_cut(text):
            between = Between()
            number = between.ask()
            between.provider(number, *portions)
            got = between.got[number]
            interim = [tuple(tuple(each) for each in head) for head in got.interim]
            trailers = tuple(tuple(each) for each in got.trailers)
            outcomes.add((tuple(interim), got.status, got.body, trailers, got.ended))
        hint = ((b":status", b"103"), (b"link", b"</a>"))
        self.assertEqual(outcomes, {((hint,), 200, b"a", ((b"t", b"1"),), True)})

    def test_body_of_known_length(self) -> None:
        """A body with a length goes on as it is."""
        between = Between()
        number = between.ask(fields((b"content-length", b"4"), method=b"POST"), b"body")
        self.assertTrue(between.asked(number).endswith(b"Content-Length: 4\r\n\r\nbody"))

    def test_body_of_unknown_length(self) -> None:
        """One without goes on in chunks as it comes, with those trailers that mean nothing else."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, POST)
        between.send()
        self.assertTrue(between.asked(number).endswith(b"Transfer-Encoding: chunked\r\n\r\n"))
        between.data(number, b"abc")
        self.assertEqual(between.asked(number), b"3\r\nabc\r\n")
        between.client.send_headers(number, [(b"x-t", b"1"), (b"content-length", b"9")], end_stream=True)
        between.send()
        self.assertEqual(between.asked(number), b"0\r\nx-t: 1\r\n\r\n")

    def test_before_the_provider(self) -> None:
        """What comes before there is a work connection waits for it."""
        between = Between(forwards=False)
        number = between.ask(POST, b"early")
        between.streams[number].forward(Rules(), 0.0)
        between.step()
        self.assertTrue(between.asked(number).endswith(b"\r\n\r\n5\r\nearly\r\n0\r\n\r\n"))

    def test_wrong_length(self) -> None:
        """A body that is not as long as it tells is a fault of its stream alone."""
        for body in (b"abc", b"abcde"):
            between = Between()
            head = fields((b"content-length", b"4"), method=b"POST")
            number = between.ask(head, body)
            other = between.ask()
            self.assertEqual(between.got[number].reset, ErrorCodes.PROTOCOL_ERROR)
            between.provider(other, OK)
            self.assertEqual(between.answers, [(number, 499, False), (other, 200, True)])

    def test_wrong_length_by_trailers(self) -> None:
        """So is one that trailers end too early."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, fields((b"content-length", b"4"), method=b"POST"))
        between.client.send_headers(number, [(b"x", b"y")], end_stream=True)
        between.send()
        self.assertEqual(between.got[number].reset, ErrorCodes.PROTOCOL_ERROR)

    def test_no_body(self) -> None:
        """HEAD, 204 and 304 end with their heads."""
        for method, text in (
            (b"HEAD", b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 7\r\n\r\n"),
            (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        ):
            between = Between()
            number = between.ask(fields(method=method))
            between.provider(number, text)
            got = between.got[number]
            self.assertEqual((got.body, got.ended), (b"", True))
            self.assertEqual(between.answers, [(number, got.status, True)])

    def test_rules(self) -> None:
        """What the proxy has changed is changed."""
        between = Between()
        between.rules = Rules(
            b"inner.example", HeaderRules.of({"x-a": "set"}), HeaderRules.of({"x-b": "set"})
        )
        number = between.ask(fields((b"x-a", b"user's")))
        said = between.asked(number)
        self.assertIn(b"Host: inner.example\r\nX-Forwarded-For", said)
        self.assertIn(b"\r\nx-a: set\r\n", said)
        between.provider(number, answer(b"", b"X-B: service's"))
        self.assertEqual(between.got[number].head[b"x-b"], b"set")

    def test_our_answers(self) -> None:
        """An answer of ours is that of HTTP/1; HEAD is told of its body only."""
        for method, ours in ((b"GET", not_found()), (b"HEAD", not_found()), (b"GET", UNAUTHORIZED)):
            between = Between(forwards=False)
            number = between.ask(fields(method=method))
            between.streams[number].answer(ours, 0.0)
            between.step()
            between.send()
            got = between.got[number]
            self.assertEqual((got.status, got.ended), (ours.status, True))
            self.assertEqual(got.body, b"" if method == b"HEAD" else ours.body)
            self.assertEqual(int(got.head[b"content-length"]), len(ours.body))

    def test_driver_errors(self) -> None:
        """A driver that forwards or answers twice is told so."""
        between = Between()
        number = between.ask()
        stream = between.streams[number]
        with self.assertRaises(LocalProtocolError):
            stream.forward(Rules(), 0.0)
        between.provider(number, CHUNKED)
        with self.assertRaises(LocalProtocolError):
            stream.answer(BAD_GATEWAY, 0.0)

    def test_early_answer(self) -> None:
        """An answer before the end of the request is passed on, and the rest of the request refused."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, POST)
        between.data(number, b"abc")
        between.provider(number, answer(b"no", status=b"413 X"))
        got = between.got[number]
        self.assertEqual((got.status, got.body, got.ended), (413, b"no", True))
        self.assertEqual((got.reset, between.answers), (ErrorCodes.NO_ERROR, [(number, 413, False)]))
        between.raw(b"\0\0\1\0\0\0\0\0" + bytes([number]) + b"x")
        self.assertIsNone(between.goaway)


class FailureTests(SynchronousTestCase):
    """Providers that fail."""

    def test_before_the_answer(self) -> None:
        """A provider that ends without an answer, or answers with something else, is a bad gateway."""
        for said in (b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n", b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"):
            between = Between()
            number = between.ask()
            between.provider(number, said)
            between.end_provider(number)
            self.assertEqual(between.got[number].status, 502, said)

    def test_within_the_answer(self) -> None:
        """One that breaks off within its answer lets the user see what there is, and no proper end."""
        for said in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            CHUNKED + b"4\r\nhalf\r\n",
            CHUNKED + b"4\r\nhalf\r\nx",
        ):
            between = Between()
            number = between.ask()
            between.provider(number, said)
            between.end_provider(number)
            got = between.got[number]
            self.assertEqual((got.status, got.body, got.ended), (200, b"half", False))
            self.assertEqual(got.reset, ErrorCodes.INTERNAL_ERROR)

    def test_until_the_end(self) -> None:
        """Where nothing else tells the end of an answer, the end of the connection does."""
        between = Between()
        number = between.ask()
        between.provider(number, b"HTTP/1.1 200 OK\r\n\r\nall")
        between.end_provider(number)
        got = between.got[number]
        self.assertEqual((got.body, got.ended, between.answers), (b"all", True, [(number, 200, False)]))

    def test_lost_before_the_end(self) -> None:
        """Not so if the connection is lost: nobody knows whether that is all."""
        between = Between()
        number = between.ask()
        between.provider(number, b"HTTP/1.1 200 OK\r\n\r\npart")
        between.end_provider(number, in_order=False)
        got = between.got[number]
        self.assertEqual((got.body, got.ended, got.reset), (b"part", False, ErrorCodes.INTERNAL_ERROR))
        self.assertEqual(between.answers, [(number, 200, False)])

    def test_again(self) -> None:
        """A request is told again if its work connection had served others, or if others may serve it."""
        for reused, has_other, method, again in (
            (True, False, b"GET", True),
            (False, True, b"GET", True),
            (False, False, b"GET", False),
            (True, False, b"POST", False),
        ):
            between = Between(reused=reused)
            number = between.ask(fields(method=method))
            between.end_provider(number, has_other=has_other)
            told = [event for event in between.events if isinstance(event, RequestedAgain)]
            self.assertEqual(bool(told), again, (reused, has_other, method))
            if again:
                between.provider(number, OK)
            self.assertEqual(between.got[number].status, 200 if again else 502)

    def test_again_without_end(self) -> None:
        """A request that whoever gets it ends unanswered is answered in the end."""
        between = Between()
        number = between.ask()
        for _ in range(MOST_REPEATS + 1):
            between.end_provider(number, has_other=True)
        told = [event for event in between.events if isinstance(event, RequestedAgain)]
        self.assertEqual((len(told), between.got[number].status), (MOST_REPEATS, 502))

    def test_silence_of_the_provider(self) -> None:
        """A provider that does not answer in time is a gateway timeout; within an answer it may be silent."""
        between = Between()
        silent, speaking = between.ask(), between.ask()
        between.provider(speaking, CHUNKED)
        between.wait(DEFAULT_TIMEOUTS.response_s - 1)
        self.assertEqual(between.got[silent].status if silent in between.got else 0, 0)
        between.wait(1)
        self.assertEqual(between.got[silent].status, 504)
        between.wait(10 * DEFAULT_TIMEOUTS.response_s)
        between.provider(speaking, b"0\r\n\r\n")
        self.assertTrue(between.got[speaking].ended)

    def test_silence_of_the_user(self) -> None:
        """A user that does not go on with its request in time gets to know that, unless others hold it up."""
        for blocked, status in ((False, 408), (True, 504)):
            between = Between()
            number = between.client.get_next_available_stream_id()
            between.client.send_headers(number, POST)
            between.data(number, b"abc")
            between.streams[number].provider_blocks(blocked, between.now)
            between.wait(DEFAULT_TIMEOUTS.stalled_s if blocked else DEFAULT_TIMEOUTS.body_s)
            got = between.got[number]
            self.assertEqual((got.status, got.reset), (status, ErrorCodes.NO_ERROR))

    def test_slow_work_connection(self) -> None:
        """Nobody is late while a work connection still takes the request, however slowly."""
        between = Between()
        number = between.ask(POST, bytes(PIECE_BYTES))
        for blocks in (True, False, True, False):
            between.wait(DEFAULT_TIMEOUTS.response_s - 1)
            between.streams[number].provider_blocks(blocks, between.now)
        between.wait(DEFAULT_TIMEOUTS.response_s - 1)
        self.assertNotIn(number, between.got)
        between.wait(1)
        self.assertEqual(between.got[number].status, 504)

    def test_late_wakeup(self) -> None:
        """Nobody is blamed at once if it was this side that stood still."""
        between = Between()
        number = between.ask()
        between.now = DEFAULT_TIMEOUTS.response_s + 60
        between.core.wake(between.now)
        between.step()
        between.provider(number, OK)
        self.assertEqual(between.got[number].status, 200)


class FlowTests(SynchronousTestCase):
    """Windows, both ways."""

    def test_answer_waits_for_the_window(self) -> None:
        """What the user takes not yet waits, the provider is held meanwhile; then all goes on."""
        between = Between(takes=False)
        number = between.ask()
        body = bytes(range(256)) * 400
        between.provider(number, answer(body)[:-1])
        self.assertEqual(between.held, {number})
        self.assertEqual(len(between.got[number].body), 65_535)
        between.takes = True
        between.client.acknowledge_received_data(65_535, number)
        between.send()
        self.assertEqual(between.held, set())
        between.provider(number, body[-1:])
        self.assertEqual((between.got[number].body, between.got[number].ended), (body, True))

    def test_tiny_chunks(self) -> None:
        """Chunks that come together go together, in one frame."""
        between = Between()
        number = between.ask()
        between.streams[number].receive_from_provider(CHUNKED + b"1\r\na\r\n" * 100, 0.0)
        between.step()
        self.assertEqual(between.sent[-109:], b"\0\0\x64\0\0\0\0\0" + bytes([number]) + b"a" * 100)

    def test_window_of_a_stream(self) -> None:
        """A stream that may send nothing holds up no other one; a change of the setting lets it go on."""
        between = Between(window=0)
        stuck = between.ask()
        between.provider(stuck, OK)
        self.assertEqual((between.got[stuck].status, between.got[stuck].body), (200, b""))
        between.client.update_settings({4: 65_535})
        between.send()
        self.assertEqual((between.got[stuck].body, between.got[stuck].ended), (b"ok", True))

    def test_socket(self) -> None:
        """While the socket is full no stream puts out anything, and providers are held."""
        between = Between()
        number = between.ask()
        between.core.user_blocks(True)
        between.provider(number, CHUNKED + b"2\r\nok\r\n")
        self.assertEqual((between.held, number in between.got), ({number}, False))
        between.core.user_blocks(False)
        between.step()
        between.send()
        self.assertEqual((between.held, between.got[number].body), (set(), b"ok"))

    def test_turns(self) -> None:
        """Streams take turns, a frame each."""
        between = Between()
        numbers = [between.ask() for _ in range(3)]
        between.core.user_blocks(True)
        for number in numbers:
            between.provider(number, answer(bytes(2 * PIECE_BYTES)))
        between.core.user_blocks(False)
        between.step()
        found = []
        at = 0
        while at < len(between.sent):
            size = int.from_bytes(between.sent[at : at + 3], "big")
            found.append((between.sent[at + 3], between.sent[at + 8]))
            at += 9 + size
        turn = [(1, number) for number in numbers], [(0, number) for number in numbers]
        self.assertEqual(found[:6], turn[0] + turn[1])

    def test_body_waits_for_the_provider(self) -> None:
        """A window is given back only as the work connection takes the body."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, POST)
        between.send()
        between.streams[number].provider_blocks(True, between.now)
        sent = 0
        while room := between.client.local_flow_control_window(number):
            between.data(number, bytes(min(room, PIECE_BYTES)))
            sent += min(room, PIECE_BYTES)
        self.assertEqual(sent, STREAM_WINDOW_BYTES)
        between.streams[number].provider_blocks(False, between.now)
        between.step()
        between.send()
        self.assertEqual(between.client.local_flow_control_window(number), STREAM_WINDOW_BYTES)

    def test_body_waits_in_one_piece(self) -> None:
        """However small its pieces were, it goes on in large ones, while the work connection takes them."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, POST)
        between.send()
        between.asked(number)
        stream = between.streams[number]
        stream.provider_blocks(True, between.now)
        for _ in range(70_000 // 100):
            between.data(number, b"x" * 100)
        between.client.send_headers(number, [(b"x-t", b"1")], end_stream=True)
        between.send()
        self.assertEqual(between.asked(number), b"")
        stream.provider_blocks(False, between.now)
        first = b"".join(stream.to_provider())
        self.assertEqual(first, b"%x\r\n%b\r\n" % (MOST_AT_ONCE_BYTES, b"x" * MOST_AT_ONCE_BYTES))
        stream.provider_blocks(True, between.now)
        self.assertEqual(b"".join(stream.to_provider()), b"")
        stream.provider_blocks(False, between.now)
        between.step()
        left = 70_000 - MOST_AT_ONCE_BYTES
        rest = b"%x\r\n%b\r\n0\r\nx-t: 1\r\n\r\n" % (left, b"x" * left)
        self.assertEqual(between.asked(number), rest)
        between.provider(number, OK)
        self.assertEqual(between.answers, [(number, 200, True)])

    def test_answer_while_the_body_waits(self) -> None:
        """A work connection that was not given all of a request serves no other one."""
        for length in ((), ((b"content-length", b"4"),)):
            between = Between()
            number = between.client.get_next_available_stream_id()
            between.client.send_headers(number, fields(*length, method=b"POST"))
            between.send()
            between.streams[number].provider_blocks(True, between.now)
            between.data(number, b"body", ends=True)
            between.provider(number, OK)
            self.assertEqual(between.answers, [(number, 200, False)])
            self.assertTrue(between.got[number].ended)

    def test_much(self) -> None:
        """A body of many windows goes through, whole."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, fields((b"content-length", b"4194304"), method=b"POST"))
        for at in range(256):
            between.data(number, bytes([at]) * PIECE_BYTES, ends=at == 255)
        body = between.asked(number).partition(b"\r\n\r\n")[2]
        self.assertEqual(body, b"".join(bytes([at]) * PIECE_BYTES for at in range(256)))

    def test_window_exceeded(self) -> None:
        """Who sends more than it may loses the stream."""
        between = Between(forwards=False)
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, POST)
        between.send()
        frame = b"\0\x40\0\0\0\0\0\0" + bytes([number]) + bytes(PIECE_BYTES)
        between.raw(frame * (STREAM_WINDOW_BYTES // PIECE_BYTES))
        self.assertEqual(between.got, {})
        between.raw(b"\0\0\1\0\0\0\0\0" + bytes([number]) + b"x")
        self.assertEqual(between.got[number].reset, ErrorCodes.FLOW_CONTROL_ERROR)

    def test_window_after_a_fault(self) -> None:
        """What came in a stream that is reset is given back to the connection, however far the stream was."""
        between = Between(window=0)
        head = fields((b"content-length", b"1"), method=b"POST")
        for _ in range(200):
            number = between.client.get_next_available_stream_id()
            between.client.send_headers(number, head)
            between.send()
            between.provider(number, OK)
            between.data(number, bytes(PIECE_BYTES))
            self.assertEqual(between.got[number].reset, ErrorCodes.PROTOCOL_ERROR)
        self.assertIsNone(between.goaway)

    def test_slow_reader(self) -> None:
        """Who takes nothing of an answer for long loses the stream, and its provider is free."""
        between = Between(takes=False)
        number = between.ask()
        between.provider(number, answer(bytes(100_000))[:-1])
        between.wait(DEFAULT_TIMEOUTS.stalled_s - 1)
        self.assertIsNone(between.got[number].reset)
        between.wait(1)
        self.assertEqual(between.got[number].reset, ErrorCodes.CANCEL)
        self.assertEqual(between.answers, [(number, 200, False)])

    def test_window_while_the_socket_is_full(self) -> None:
        """A stream that has nothing to send does not wait for its user, whatever window it is given."""
        between = Between()
        number = between.ask()
        between.provider(number, CHUNKED)
        between.core.user_blocks(True)
        between.raw(b"\0\0\4\x08\0\0\0\0" + bytes([number]) + b"\0\0\0\1")
        between.core.user_blocks(False)
        between.wait(2 * DEFAULT_TIMEOUTS.stalled_s)
        self.assertEqual((between.got[number].status, between.got[number].reset), (200, None))

    def test_full_socket_for_long(self) -> None:
        """Where the socket itself is full for so long, the connection ends."""
        between = Between()
        number = between.ask()
        between.core.user_blocks(True)
        between.provider(number, OK)
        between.wait(DEFAULT_TIMEOUTS.stalled_s)
        self.assertEqual(between.finished and between.finished.is_cut, True)


class GoneTests(SynchronousTestCase):
    """Users that give up."""

    def test_reset(self) -> None:
        """A reset ends the exchange, wherever it is, and nothing more is sent for it."""
        for said in (b"", CHUNKED, CHUNKED + b"2\r\nok\r\n"):
            between = Between()
            number = between.ask(GET)
            between.provider(number, said)
            between.client.reset_stream(number)
            between.send()
            self.assertEqual(between.answers, [(number, 200 if said else 499, False)])
            between.provider(number, b"2\r\nok\r\n")
            between.end_provider(number)
            self.assertEqual(len(between.answers), 1)
            self.assertIsNone(between.goaway)

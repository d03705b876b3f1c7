"""Tests for :mod:`relaykit.sansio.http2.connection`."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from h2.errors import ErrorCodes
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.sansio.http.rewriting import Rules
from relaykit.sansio.http2.allowance import MOST_POINTS, RESET_COSTS
from relaykit.sansio.http2.connection import (
    MOST_CONTINUATIONS,
    MOST_HEADS_BYTES,
    MOST_STREAMS,
    MOST_UNSENT,
    Http2Connection,
)
from relaykit.sansio.http2.streams import STREAM_WINDOW_BYTES, Finished
from relaykit.sansio.parsers.http_opening import PREFACE
from relaykit.testing.cuts import every_cut
from tests.sansio.http2.between import DATE, GET, OK, POST, Between, fields

SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame, as anybody may send it."""
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def head(stream: int, flags: int = 5) -> bytes:
    """A request that needs nothing of what was sent before."""
    return frame(1, flags, stream, b"\x82\x84\x86\x01\x01a")


NUISANCE = "it sends too much that serves nothing: resets, pings, settings, windows"


def faults(core: Http2Connection) -> Sequence[str]:
    """What the user has done that ended its connection."""
    return [event.fault for event in core.events() if isinstance(event, Finished)]


class OpeningTests(SynchronousTestCase):
    """How a connection begins."""

    def test_settings(self) -> None:
        """The user is told what is not the default: streams, windows, heads; not of push, nor of CONNECT."""
        between = Between()
        settings = between.client.remote_settings
        self.assertEqual(settings.max_concurrent_streams, MOST_STREAMS)
        self.assertEqual(settings.initial_window_size, STREAM_WINDOW_BYTES)
        self.assertEqual(settings.max_header_list_size, 64 * 1024)
        self.assertEqual(settings.enable_connect_protocol, 0)

    def test_every_cut(self) -> None:
        """However what a user sends is cut, the same comes of it."""
        body = b"hello"
        said = (
            PREFACE
            + SETTINGS
            + head(1)
            + frame(1, 0, 3, b"\x83\x84")
            + frame(9, 4, 3, b"\x86\x01\x01a")
            + frame(0, 8, 3, b"\2" + body + b"\0\0")
            + frame(0, 1, 3)
            + frame(8, 0, 0, b"\0\0\0\1")
        )
        outcomes = set()
        for portions in every_cut(said):
            between = Between()
            between.core = Http2Connection(b"192.0.2.9", lambda: DATE, 0.0)
            for portion in portions:
                between.core.receive(memoryview(portion), 0.0)
                between.step()
            chunks = between.asked(3).partition(b"\r\n\r\n")[2]
            self.assertTrue(chunks.endswith(b"\r\n0\r\n\r\n"))
            outcomes.add((between.asked(1), chunks))
        [(get, chunks)] = outcomes
        self.assertTrue(get.startswith(b"GET / HTTP/1.1\r\nHost: a\r\n"))
        self.assertEqual(chunks, b"5\r\nhello\r\n0\r\n\r\n")

    @given(st.binary(max_size=400))
    def test_junk(self, junk: bytes) -> None:
        """Junk ends the connection, or is ignored, and nothing else."""
        core = Http2Connection(b"192.0.2.9", lambda: DATE, 0.0)
        core.receive(PREFACE + SETTINGS + head(1) + junk, 0.0)
        core.to_user(0.0)
        core.wake(1000.0)

    @given(
        st.lists(
            st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 6), st.binary(max_size=20)),
            max_size=12,
        )
    )
    def test_junk_in_frames(self, junk: list[tuple[int, int, int, bytes]]) -> None:
        """So do frames of any type, anywhere."""
        between = Between()
        between.core.receive(b"".join(frame(*each) for each in junk), 0.0)
        between.step()
        for stream in between.core.streams:
            stream.provider_ended(0.0)
        between.step()

    def test_silence(self) -> None:
        """Who says nothing, or no whole head, is told farewell in time."""
        for said in (b"", frame(1, 0, 1, b"\x82")):
            between = Between()
            between.raw(said)
            between.wait(DEFAULT_TIMEOUTS.head_s - 1)
            self.assertIsNone(between.finished)
            between.wait(1)
            self.assertEqual((between.is_finished, between.goaway), (True, 0))


class StreamsTests(SynchronousTestCase):
    """Many streams in one connection."""

    def test_at_once(self) -> None:
        """Requests are under way at once, and are answered in any order."""
        between = Between()
        numbers = [between.ask(fields(path=b"/%d" % at)) for at in range(MOST_STREAMS)]
        for number in reversed(numbers):
            between.provider(number, OK)
        self.assertTrue(all(between.got[number].ended for number in numbers))
        self.assertEqual(len(between.answers), MOST_STREAMS)

    def test_too_many(self) -> None:
        """One too many is refused, and may be tried again."""
        between = Between()
        for _ in range(MOST_STREAMS):
            last = between.ask()
        between.raw(head(last + 2))
        self.assertEqual(between.resets[last + 2], ErrorCodes.REFUSED_STREAM)
        between.provider(last, OK)
        between.raw(head(last + 4))
        self.assertIn(last + 4, between.streams)

    def test_refused(self) -> None:
        """A request that is refused for what it asks is answered; a malformed one is reset; others go on."""
        between = Between()
        for wrong, status, reset in (
            (fields(path=b"/../a"), 400, None),
            (fields(method=b"get"), 501, None),
            (((b":method", b"CONNECT"), (b":authority", b"a:1")), 501, None),
            (fields(*[(b"x", b"y")] * 201), 431, None),
            (fields((b"X", b"y")), 0, ErrorCodes.PROTOCOL_ERROR),
        ):
            number = between.ask(wrong)
            got = between.got[number]
            self.assertEqual((got.status, got.reset), (status, reset), wrong[0])
        between.ask(fields(method=b"OPTIONS", path=b"*"))
        self.assertEqual(between.got[max(between.got)].status, 200)
        number = between.ask()
        between.provider(number, OK)
        self.assertEqual(between.answers, [(number, 200, True)])

    def test_refused_with_a_body(self) -> None:
        """The body of a request that is refused is dropped, and its window given back."""
        between = Between()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, fields(method=b"CONNECT", path=b"/a b"))
        between.client.send_headers(number + 2, fields(path=b"/../a"))
        between.client.send_data(number + 2, b"body")
        between.client.send_headers(number + 2, [(b"a", b"b")], end_stream=True)
        between.send()
        self.assertEqual(between.got[number].reset, ErrorCodes.PROTOCOL_ERROR)
        self.assertEqual(between.got[number + 2].status, 400)
        self.assertIsNone(between.goaway)

    def test_faults_of_a_stream(self) -> None:
        """What breaks the rules within a stream costs that stream only."""
        for wrong, code in (
            (frame(8, 0, 1, b"\0\0\0\0"), ErrorCodes.PROTOCOL_ERROR),
            (frame(8, 0, 1, b"\x7f\xff\xff\xff"), ErrorCodes.FLOW_CONTROL_ERROR),
            (frame(0, 0, 1, b"x"), ErrorCodes.STREAM_CLOSED),
            (frame(1, 5, 1, b"\x82"), ErrorCodes.STREAM_CLOSED),
        ):
            between = Between()
            number = between.ask()
            between.raw(wrong)
            self.assertEqual(between.got[number].reset, code, wrong)
            self.assertIsNone(between.goaway)
        for wrong in (frame(1, 4, 1, b"\x82"), frame(1, 5, 1, b"\x82")):
            between = Between()
            between.client.send_headers(1, POST)
            between.send()
            between.raw(wrong)
            self.assertEqual(between.got[1].reset, ErrorCodes.PROTOCOL_ERROR)

    def test_faults_of_the_connection(self) -> None:
        """What breaks the rules that all streams depend on costs all, and the reason is told."""
        for wrong, code in (
            (frame(0, 0, 0, b"x"), ErrorCodes.PROTOCOL_ERROR),
            (frame(0, 0, 9, b"x"), ErrorCodes.PROTOCOL_ERROR),
            (head(2), ErrorCodes.PROTOCOL_ERROR),
            (head(0), ErrorCodes.PROTOCOL_ERROR),
            (frame(1, 0x25, 3, b"\0"), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(1, 5, 3, b"\xff\xff\xff"), ErrorCodes.COMPRESSION_ERROR),
            (frame(1, 5, 3, b"\xc5"), ErrorCodes.COMPRESSION_ERROR),
            (frame(1, 1, 3, b"\x82") + frame(6, 0, 0, bytes(8)), ErrorCodes.PROTOCOL_ERROR),
            (frame(1, 1, 3, b"\x82") + frame(9, 4, 5), ErrorCodes.PROTOCOL_ERROR),
            (frame(9, 4, 1), ErrorCodes.PROTOCOL_ERROR),
            (frame(2, 0, 0, bytes(5)), ErrorCodes.PROTOCOL_ERROR),
            (frame(2, 0, 3, bytes(4)), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(3, 0, 1, bytes(3)), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(3, 0, 9, bytes(4)), ErrorCodes.PROTOCOL_ERROR),
            (frame(4, 0, 1), ErrorCodes.PROTOCOL_ERROR),
            (frame(4, 0, 0, b"x"), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(4, 1, 0, bytes(6)), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(4, 0, 0, b"\0\2\0\0\0\2"), ErrorCodes.PROTOCOL_ERROR),
            (frame(4, 0, 0, b"\0\4\x80\0\0\0"), ErrorCodes.FLOW_CONTROL_ERROR),
            (frame(4, 0, 0, b"\0\5\0\0\0\1"), ErrorCodes.PROTOCOL_ERROR),
            (frame(8, 0, 1, b"\x40\0\0\0") + frame(4, 0, 0, b"\0\4\x7f\xff\xff\xff"), 3),
            (frame(5, 4, 1, b"\0\0\0\2\x82"), ErrorCodes.PROTOCOL_ERROR),
            (frame(6, 0, 1, bytes(8)), ErrorCodes.PROTOCOL_ERROR),
            (frame(6, 0, 0, bytes(7)), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(7, 0, 1, bytes(8)), ErrorCodes.PROTOCOL_ERROR),
            (frame(7, 0, 0, bytes(7)), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(8, 0, 0, bytes(4)), ErrorCodes.PROTOCOL_ERROR),
            (frame(8, 0, 0, b"\x7f\xff\xff\xff"), ErrorCodes.FLOW_CONTROL_ERROR),
            (frame(8, 0, 1, b"\0"), ErrorCodes.FRAME_SIZE_ERROR),
            (frame(0, 8, 1, b"\5x"), ErrorCodes.STREAM_CLOSED),
        ):
            between = Between()
            number = between.ask()
            between.raw(wrong)
            if code is ErrorCodes.STREAM_CLOSED:
                continue
            self.assertEqual(between.goaway, code, wrong)
            self.assertTrue(between.finished and between.finished.fault)
            self.assertEqual(between.answers, [(number, 499, False)])

    def test_first_frame(self) -> None:
        """The first frame tells settings."""
        core = Http2Connection(b"192.0.2.9", lambda: DATE, 0.0)
        core.receive(PREFACE + head(1), 0.0)
        self.assertEqual(list(core.events()), [Finished(fault="its first frame is not SETTINGS")])

    def test_ended_streams(self) -> None:
        """Late windows and resets are nothing; a head on a stream that has ended is a fault."""
        between = Between()
        number = between.ask()
        between.provider(number, OK)
        between.raw(frame(8, 0, number, b"\0\0\0\1") + frame(3, 0, number, bytes(4)))
        self.assertIsNone(between.goaway)
        between.raw(head(number))
        self.assertEqual(between.goaway, ErrorCodes.STREAM_CLOSED)

    def test_unknown_frames(self) -> None:
        """Frames of types that nobody knows are ignored, pings answered, priorities let be."""
        between = Between()
        between.raw(frame(77, 0, 0, b"x") + frame(2, 0, 5, bytes(5)))
        between.client.ping(b"12345678")
        between.send()
        number = between.client.get_next_available_stream_id()
        between.client.send_headers(number, GET, end_stream=True, priority_weight=7)
        between.send()
        self.assertIn(number, between.streams)


ANSWERS = (
    *(OK, b"HTTP/1.1 103 X\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n", bytes(70_000)),
    *(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"0\r\nX: y\r\n\r\n"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n",
)
"""What providers say, in any order."""


class Scene:
    """Things that may happen, each to one of the streams that are open."""

    def __init__(self) -> None:
        self.between = Between()
        self.opened = 0

    def happen(self, what: int, at: int) -> None:
        """One of them."""
        core = self.between.core
        now = self.between.now
        streams = core.streams
        if what < 2 or not streams:
            core.receive(head(2 * self.opened + 1, 4 | what & 1), now)
            self.opened += 1
            return
        stream = streams[at % len(streams)]
        number = stream.number
        if what < 4:
            core.receive(frame(0, what & 1, number, bytes(at)), now)
        elif what == 4:
            core.receive(frame(3, 0, number, bytes(4)), now)
        elif what == 5:
            core.receive(frame(8, 0, number, struct.pack(">L", at + 1)), now)
        elif what == 6:
            core.receive(frame(8, 0, 0, struct.pack(">L", at + 1)), now)
        elif what == 7:
            core.receive(frame(4, 0, 0, struct.pack(">HL", 4, at)), now)
        elif what == 8:
            core.user_blocks(at % 2 == 0)
        elif what == 9:
            stream.provider_blocks(at % 2 == 0, now)
        elif what == 10:
            stream.provider_ended(now, has_other=at % 5 == 0, in_order=at % 3 == 0)
        elif what == 11:
            self.between.now += at / 10
            core.wake(self.between.now)
        else:
            stream.receive_from_provider(ANSWERS[at % len(ANSWERS)], now)


class AnyOrderTests(SynchronousTestCase):
    """Users, providers, sockets and clocks in any order."""

    @given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 1000)), max_size=60))
    def test_every_exchange_ends(self, things: list[tuple[int, int]]) -> None:
        """Whatever happens, each exchange that was told ends once, and nothing is left."""
        scene = Scene()
        between = scene.between
        for what, at in things:
            scene.happen(what, at)
            between.step()
        between.core.end_received(between.now)
        between.step()
        ended = [number for number, *_ in between.answers]
        self.assertEqual(sorted(ended), sorted(between.streams))
        self.assertEqual((list(between.core.streams), between.core.next_wakeup()), ([], None))


class DefenceTests(SynchronousTestCase):
    """Users who want to keep a server busy."""

    def flooded(self, flood: bytes, most: int) -> None:
        """Whether this ends the connection before it was sent so often."""
        between = Between(forwards=False)
        between.ask(POST, None)
        for _ in range(most):
            between.raw(flood)
            if between.goaway is not None:
                break
        self.assertEqual(between.goaway, ErrorCodes.ENHANCE_YOUR_CALM, flood)

    def test_floods(self) -> None:
        """Frames that serve nothing end the connection after a while."""
        for flood in (
            frame(6, 0, 0, bytes(8)),
            frame(6, 1, 0, bytes(8)),
            SETTINGS,
            frame(4, 1, 0),
            frame(2, 0, 1, bytes(5)),
            frame(8, 0, 0, b"\0\0\0\1"),
            frame(8, 0, 1, b"\0\0\0\1"),
            frame(77, 0, 0),
        ):
            self.flooded(flood * 10, MOST_POINTS // 10 + 1)

    def test_many_settings(self) -> None:
        """A setting counts like a frame: each may be work for all streams."""
        between = Between()
        between.raw(frame(4, 0, 0, b"\0\4\0\0\0\0" * MOST_POINTS))
        self.assertEqual(between.goaway, ErrorCodes.ENHANCE_YOUR_CALM)

    def test_on_ended_streams(self) -> None:
        """What comes on a stream that we have reset, or do not look at, is not sent for ever."""
        for flood in (head(1), frame(0, 0, 1)):
            core = Http2Connection(b"192.0.2.9", lambda: DATE, 0.0)
            core.receive(PREFACE + SETTINGS + head(1, 4) + frame(8, 0, 1, bytes(4)), 0.0)
            self.assertFalse(core.streams)
            core.receive(flood * (MOST_POINTS - RESET_COSTS - 2), 0.0)
            self.assertEqual(faults(core), [])
            core.receive(flood, 0.0)
            self.assertEqual(faults(core), [NUISANCE])

    def test_behind_a_farewell(self) -> None:
        """So it is with farewells, and with requests behind ours."""
        for again in (True, False):
            core = Http2Connection(b"192.0.2.9", lambda: DATE, 0.0)
            core.receive(PREFACE + SETTINGS + head(1), 0.0)
            core.leave(0.0)
            for at in range(MOST_POINTS):
                self.assertEqual(faults(core), [])
                core.receive(frame(7, 0, 0, bytes(8)) if again else head(2 * at + 3), 0.0)
            self.assertEqual(faults(core), [NUISANCE])

    def test_dribble(self) -> None:
        """Who takes an answer byte by byte, by windows, is one who wants to keep a server busy."""
        core = Http2Connection(b"192.0.2.9", lambda: DATE, 0.0)
        core.receive(PREFACE + frame(4, 0, 0, b"\0\4\0\0\0\0") + head(1), 0.0)
        [stream] = core.streams
        stream.forward(Rules(), 0.0)
        stream.receive_from_provider(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000), 0.0)
        for _ in range(MOST_POINTS):
            core.to_user(0.0)
            core.receive(frame(8, 0, 1, b"\0\0\0\1"), 0.0)
        self.assertEqual(faults(core), [NUISANCE])

    def test_many_windows(self) -> None:
        """Who tells of both windows for each frame that it takes may do so for ever."""
        between = Between()
        number = between.ask()
        between.provider(number, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for size in (1, 20_000):
            for _ in range(MOST_POINTS):
                between.core.receive(
                    frame(8, 0, 0, b"\0\0\x4e\x20") + frame(8, 0, number, b"\0\0\x4e\x20"), 0.0
                )
                between.streams[number].receive_from_provider(b"%x\r\n%b\r\n" % (size, bytes(size)), 0.0)
                between.step()
                between.sent = b""
        self.assertIsNone(between.finished)

    def test_empty_data(self) -> None:
        """So does a body of nothing."""
        between = Between()
        between.client.send_headers(1, POST)
        between.send()
        for _ in range(MOST_POINTS // 10 + 1):
            between.raw(frame(0, 0, 1) * 10)
        self.assertEqual(between.goaway, ErrorCodes.ENHANCE_YOUR_CALM)

    def test_rapid_resets(self) -> None:
        """Streams that are reset as soon as they are opened end it soon."""
        between = Between()
        for at in range(MOST_POINTS // RESET_COSTS + 1):
            between.raw(head(2 * at + 1) + frame(3, 0, 2 * at + 1, b"\0\0\0\x08"))
        self.assertEqual(between.goaway, ErrorCodes.ENHANCE_YOUR_CALM)
        self.assertEqual(len(between.core.streams), 0)

    def test_unread_answers(self) -> None:
        """Who asks on and reads nothing is cut off before much is kept for it, with whatever it had."""
        between = Between()
        number = between.ask()
        between.core.user_blocks(True)
        for _ in range(MOST_UNSENT // 10):
            between.raw(frame(6, 0, 0, bytes(8)) * 10)
        self.assertIsNone(between.finished)
        between.raw(frame(6, 0, 0, bytes(8)) * 10)
        self.assertEqual(between.finished and between.finished.is_cut, True)
        self.assertEqual(between.answers, [(number, 499, False)])

    def test_provoked_resets(self) -> None:
        """So do streams that it makes us reset."""
        between = Between()
        for at in range(MOST_POINTS // RESET_COSTS + 1):
            between.core.receive(head(2 * at + 1) + frame(8, 0, 2 * at + 1, bytes(4)), 0.0)
            between.step()
        self.assertEqual(between.sent[-1], ErrorCodes.ENHANCE_YOUR_CALM)

    def test_leaving_a_page(self) -> None:
        """A user that gives up all its streams at once, and once more, is no such one."""
        between = Between()
        for _ in range(2):
            for number in [between.ask() for _ in range(100)]:
                between.client.reset_stream(number)
            between.send()
        self.assertIsNone(between.goaway)

    def test_long_sessions(self) -> None:
        """Nor is one that asks and takes for hours."""
        between = Between()
        for _ in range(MOST_POINTS):
            number = between.ask()
            between.client.ping(bytes(8))
            between.client.ping(bytes(8))
            between.provider(number, OK)
        self.assertIsNone(between.goaway)

    def test_continuations(self) -> None:
        """A head that never ends is ended, be it of empty frames or of full ones."""
        for payload, most in ((b"", MOST_CONTINUATIONS + 1), (bytes(16_384), 4)):
            between = Between()
            between.raw(frame(1, 1, 1, b"\x82") + frame(9, 0, 1, payload) * most)
            self.assertEqual(between.goaway, ErrorCodes.ENHANCE_YOUR_CALM)

    def test_bomb(self) -> None:
        """A few bytes that stand for a huge head end the connection."""
        encoder = Encoder()
        block = encoder.encode([("x", "y" * 3000)]) + b"\xbe" * 60
        between = Between()
        between.raw(frame(1, 5, 1, block))
        self.assertEqual(between.goaway, ErrorCodes.ENHANCE_YOUR_CALM)

    def test_large_heads(self) -> None:
        """A head that is too large is refused; many large ones have to wait for their turn."""
        between = Between()
        number = between.ask(fields(*[(b"x%d" % at, b"y" * 1000) for at in range(70)]))
        self.assertEqual(between.got[number].status, 431)
        large = fields(*[(b"x%d" % at, b"y" * 1000) for at in range(50)])
        refused = [
            number
            for number in [between.ask(large) for _ in range(MOST_HEADS_BYTES // 50_000 + 2)]
            if number in between.got
        ]
        self.assertTrue(refused)
        self.assertEqual({between.got[number].reset for number in refused}, {ErrorCodes.REFUSED_STREAM})
        self.assertIsNone(between.goaway)


class EndTests(SynchronousTestCase):
    """How a connection ends."""

    def test_idle(self) -> None:
        """An idle connection is told farewell; pings keep none alive."""
        between = Between()
        number = between.ask()
        between.wait(0.5 * DEFAULT_TIMEOUTS.response_s)
        between.provider(number, OK)
        between.wait(DEFAULT_TIMEOUTS.idle_s - 1)
        between.client.ping(bytes(8))
        between.send()
        self.assertIsNone(between.finished)
        between.wait(1)
        self.assertEqual((between.is_finished, between.goaway), (True, 0))

    def test_leaving(self) -> None:
        """Who leaves serves what is under way, nothing that comes later, and then is finished."""
        between = Between()
        number = between.ask()
        between.core.leave(0.0)
        between.raw(head(number + 2))
        self.assertNotIn(number + 2, between.streams)
        self.assertIsNone(between.finished)
        between.provider(number, OK)
        self.assertTrue(between.behind_goaway.endswith(b"ok"))
        self.assertEqual(between.finished, Finished())

    def test_leaving_twice(self) -> None:
        """What was not looked at is never said to have been, whatever comes later."""
        between = Between()
        number = between.ask()
        between.core.leave(0.0)
        between.raw(head(number + 2))
        between.raw(frame(0, 0, 0))
        self.assertEqual(between.behind_goaway[-8:], struct.pack(">LL", number, ErrorCodes.PROTOCOL_ERROR))

    def test_leaving_at_once(self) -> None:
        """Without a stream it is finished at once."""
        between = Between()
        between.core.leave(0.0)
        between.core.leave(0.0)
        between.step()
        self.assertEqual([event for event in between.events if isinstance(event, Finished)], [Finished()])

    def test_user_leaves(self) -> None:
        """A user that opens no more streams gets what it has asked for."""
        between = Between()
        number = between.ask()
        between.raw(frame(7, 0, 0, bytes(8)))
        between.provider(number, OK)
        self.assertEqual((between.answers, between.finished), ([(number, 200, True)], Finished()))

    def test_end(self) -> None:
        """A user that ends its stream is gone, and all exchanges are over."""
        between = Between()
        number = between.ask()
        between.core.end_received(0.0)
        between.step()
        self.assertEqual((between.answers, between.finished), ([(number, 499, False)], Finished()))
        between.raw(head(number + 2))
        self.assertEqual(between.core.next_wakeup(), None)

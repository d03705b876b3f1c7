from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.sansio.yamux.frames import ACK, FIN, GO_AWAY, RST, SYN, GoAwayCode, pack_header
from relaykit.sansio.yamux.outbox import FLUSH_BYTES, HIGH_WATER_BYTES, LOW_WATER_BYTES, PIECE_BYTES
from relaykit.sansio.yamux.session import (
    ACCEPT_BACKLOG,
    CLOSE_TIMEOUT_S,
    LATE_INPUT_TIMEOUT_S,
    LINGER_S,
    MAX_STREAMS,
    MOST_FRAMES,
    OPEN_TIMEOUT_S,
    MuxRole,
    YamuxSession,
)
from relaykit.sansio.yamux.streams import (
    INITIAL_WINDOW_BYTES,
    Stream,
    StreamLost,
    StreamOpened,
    StreamWritable,
)
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import LOST_LINGER_S, Ended
from tests import recorded
from tests.sansio.yamux.dialogue import (
    Frame,
    accepted,
    ack,
    client,
    data,
    feed,
    fin,
    frames,
    opened,
    ping,
    rst,
    sent,
    sent_frames,
    server,
    syn,
    told,
    update,
)

WINDOW_UPDATE, PING, GO_AWAY_TYPE = 1, 2, 3


class OpeningTests(SynchronousTestCase):
    """Tests for how streams begin."""

    def test_opening(self) -> None:
        """The opener announces a stream and may send at once, without waiting for the answer."""
        session = client()
        stream = session.open_stream(0.0)
        session.write(stream, b"hello")
        self.assertEqual(sent(session), syn(1) + data(1, b"hello"))

    def test_numbers(self) -> None:
        """The client counts 1, 3, 5, the server 2, 4, 6."""
        self.assertEqual([client_stream.id for client_stream in _open(client(), 3)], [1, 3, 5])
        self.assertEqual([server_stream.id for server_stream in _open(server(), 3)], [2, 4, 6])

    def test_accepting(self) -> None:
        """A stream of the peer is told, and answered once it is accepted."""
        session = server()
        session.receive(syn(1), 0.0)
        (event,) = session.events()
        assert isinstance(event, StreamOpened)
        self.assertEqual(sent(session), b"")
        session.accept(event.stream)
        session.accept(event.stream)
        self.assertEqual(sent(session), ack(1))

    def test_opening_on_data(self) -> None:
        """SYN and ACK may come on a DATA frame as well."""
        session = server()
        session.receive(data(1, b"first", SYN), 0.0)
        self.assertEqual(told(session.events()), [("StreamOpened", 1, None), ("payload", 1, b"first")])
        session = client(keepalive_s=None)
        session.open_stream(0.0)
        session.receive(data(1, b"answer", ACK), 0.0)
        session.wake(OPEN_TIMEOUT_S)
        self.assertFalse(session.over)

    def test_extra_credit_of_the_opener(self) -> None:
        """The credit that comes with SYN or ACK widens the window, as frp's 6 MiB."""
        session = server()
        session.receive(update(1, 0x5C0000, SYN), 0.0)
        (event,) = session.events()
        assert isinstance(event, StreamOpened)
        self.assertEqual(event.stream.send_window, 6 * 1024 * 1024)

    def test_backlog_of_the_peer(self) -> None:
        """The 257th stream that nobody has accepted yet is reset; the others are not touched."""
        session = server()
        numbers = range(1, 2 * ACCEPT_BACKLOG + 2, 2)
        feed(session, b"".join(map(syn, numbers)))
        events = session.events()
        self.assertEqual(len(events), ACCEPT_BACKLOG)
        self.assertEqual(sent(session), rst(numbers[-1]))
        assert isinstance(events[0], StreamOpened)
        session.accept(events[0].stream)
        session.receive(syn(2001), 0.0)
        self.assertEqual(told(session.events()), [("StreamOpened", 2001, None)])

    def test_refused_stream_is_unknown(self) -> None:
        """What the peer sent on a stream before it learned of the refusal is dropped."""
        session = server()
        session.max_streams = 0
        session.receive(syn(1) + data(1, b"lost") + fin(1), 0.0)
        self.assertEqual(told(session.events()), [])
        self.assertEqual(sent(session), rst(1))

    def test_backlog_of_this_side(self) -> None:
        """The 257th stream waits, with what was written to it, until the peer has answered one."""
        session = client()
        streams = _open(session, ACCEPT_BACKLOG + 2)
        session.write(streams[-2], b"patience")
        session.finish(streams[-1])
        self.assertEqual(len(sent_frames(session)), ACCEPT_BACKLOG)
        session.receive(ack(1) + rst(3), 0.0)
        held, ended = streams[-2].id, streams[-1].id
        self.assertEqual(
            sent_frames(session),
            [(1, SYN, held, 0), (1, SYN, ended, 0), (1, FIN, ended, 0), (0, 0, held, 8)],
        )

    def test_dropping_a_stream_that_waits(self) -> None:
        """A stream that was dropped before the peer knew of it is never heard of."""
        session = client()
        *_, last = _open(session, ACCEPT_BACKLOG + 1)
        sent(session)
        session.reset(last)
        session.receive(ack(1), 0.0)
        self.assertEqual(sent(session), b"")
        self.assertEqual(told(session.events()), [("StreamLost", last.id, Ended.CANCELLED)])

    def test_limit(self) -> None:
        """Neither side can have more streams than the session allows."""
        session = client()
        session.max_streams = 2
        _open(session, 2)
        with self.assertRaises(ConnectionFailed):
            session.open_stream(0.0)

    def test_numbers_run_out(self) -> None:
        """When all numbers are used no stream can be opened; none is used twice."""
        session = client()
        session._next_number = 0xFFFF_FFFF
        self.assertEqual(session.open_stream(0.0).id, 0xFFFF_FFFF)
        with self.assertRaises(ConnectionFailed):
            session.open_stream(0.0)

    def test_no_answer(self) -> None:
        """A stream that is neither accepted nor refused within 75 s ends the session."""
        session = client()
        session.open_stream(10.0)
        sent(session)
        self.assertEqual(session.next_wakeup(), 10.0 + OPEN_TIMEOUT_S)
        session.wake(10.0 + OPEN_TIMEOUT_S)
        self.assertEqual(
            told(session.events()),
            [("StreamLost", 1, Ended.TIMEOUT), ("SessionEnded", None, Ended.TIMEOUT)],
        )

    def test_answers(self) -> None:
        """ACK, FIN, RST and a plain window update all count as an answer."""
        for answer in (ack(1), fin(1), rst(1), update(1, 5)):
            session = client()
            session.open_stream(0.0)
            session.receive(answer, 1.0)
            session.wake(OPEN_TIMEOUT_S)
            self.assertFalse(session.over)


class PayloadTests(SynchronousTestCase):
    """Tests for what arrives."""

    def test_views(self) -> None:
        """Payload is passed on as a view of the piece that came in."""
        session = server()
        stream = accepted(session)
        piece = data(1, b"payload")
        session.receive(piece, 0.0)
        ((told_stream, view),) = session.events()  # type: ignore[misc]  # a pair: see Payload
        self.assertIs(told_stream, stream)
        self.assertIs(view.obj, piece)

    def test_in_parts(self) -> None:
        """A frame that comes in parts is passed on in parts and never assembled."""
        session = server()
        accepted(session)
        content = data(1, b"abcdef")
        session.receive(content[:5], 0.0)
        session.receive(content[5:14], 0.0)
        session.receive(content[14:17], 0.0)
        session.receive(content[17:] + ping(9), 0.0)
        parts = [bytes(event[1]) for event in session.events() if isinstance(event, tuple)]
        self.assertEqual(parts, [b"ab", b"cde", b"f"])
        self.assertEqual(sent(session), ping(9, ACK))

    def test_every_cut(self) -> None:
        """A conversation means the same however the network cuts it."""
        content = (
            update(1, 7, SYN)
            + data(1, b"one")
            + update(3, 0, SYN)
            + data(3, b"two")
            + data(1, b"")
            + ping(5)
            + data(3, b"last", FIN)
            + data(7, b"nobody")
            + rst(1)
            + pack_header(GO_AWAY, 0, 0)
        )

        def feed(portions: Sequence[bytes]) -> tuple[object, ...]:
            session = server()
            happened = []
            for portion in portions:
                session.receive(portion, 0.0)
                happened += told(session.events())
            merged: list[tuple[object, ...]] = []
            for event in happened:
                if event[0] == "payload" and merged and merged[-1][:2] == event[:2]:
                    merged[-1] = (*event[:2], bytes(merged[-1][2]) + bytes(event[2]))  # type: ignore[call-overload]
                else:
                    merged.append(event)
            return (*merged, sent(session))

        outcome = feed_every_cut(content, feed)
        self.assertEqual(
            outcome,
            (
                ("StreamOpened", 1, None),
                ("payload", 1, b"one"),
                ("StreamOpened", 3, None),
                ("payload", 3, b"twolast"),
                ("StreamEnded", 3, None),
                ("StreamLost", 1, Ended.RESET),
                ("GoingAway", None, None),
                ping(5, ACK),
            ),
        )

    def test_unknown_streams(self) -> None:
        """Frames for streams that do not exist are ignored, whatever they carry."""
        session = server()
        accepted(session)
        for kind in (data(9, b"lost"), update(9, 5), fin(9), rst(9), data(9, b"lost", FIN)):
            session.receive(kind, 0.0)
        session.receive(data(1, b"found"), 0.0)
        self.assertEqual(told(session.events()), [("payload", 1, b"found")])

    def test_whole_window(self) -> None:
        """The peer may fill the window to the last byte, in one frame or in many."""
        for size in (INITIAL_WINDOW_BYTES, 1024):
            session = server()
            accepted(session)
            for _ in range(INITIAL_WINDOW_BYTES // size):
                session.receive(data(1, bytes(size)), 0.0)
            self.assertFalse(session.over)
            self._assert_broken(session, data(1, b"x"))

    def test_exceeded_window(self) -> None:
        """One byte beyond the window ends the session when its header arrives."""
        session = server()
        accepted(session)
        session.receive(data(1, bytes(INITIAL_WINDOW_BYTES - 1)), 0.0)
        self._assert_broken(session, data(1, b"xx")[:12])

    def test_window_opens_with_reading(self) -> None:
        """Credit is returned for what was read, half a window at a time, not for what has arrived."""
        session = server()
        stream = accepted(session)
        half = INITIAL_WINDOW_BYTES // 2
        session.receive(data(1, bytes(INITIAL_WINDOW_BYTES)), 0.0)
        self.assertFalse(session.has_output)
        session.consumed(stream, half - 1)
        self.assertFalse(session.has_output)
        session.consumed(stream, 1)
        self.assertTrue(session.has_output)
        self.assertIn((WINDOW_UPDATE, 0, 1, half), sent_frames(session))

    def test_broken_frames(self) -> None:
        """Other versions, unknown types, wrong or double numbers and double ends end the session."""
        for content in (
            b"\x01" + syn(3)[1:],
            b"\x00\x04" + syn(3)[2:],
            syn(1),
            syn(0),
            syn(2),
            fin(1) + fin(1),
            data(1, b"x", FIN) + data(1, b"x", FIN),
        ):
            session = server()
            accepted(session)
            self._assert_broken(session, content)

    def test_what_came_before_the_fault(self) -> None:
        """What was right before the peer broke the rules is told; nothing of what follows is."""
        session = server()
        accepted(session)
        with self.assertRaises(RemoteProtocolError):
            session.receive(data(1, b"good") + syn(1) + data(1, b"bad"), 0.0)
        self.assertEqual(told(session.events())[0], ("payload", 1, b"good"))
        session.receive(data(1, b"bad"), 0.0)
        self.assertEqual(told(session.events()), [])

    @given(st.lists(st.binary(max_size=40), max_size=10))
    def test_junk(self, portions: list[bytes]) -> None:
        """Whatever arrives, the session goes on or says that the peer broke the rules."""
        session = client()
        session.open_stream(0.0)
        try:
            for portion in portions:
                session.receive(portion, 0.0)
        except RemoteProtocolError:
            self.assertTrue(session.over)
        self.assertLess(len(sent(session)), 4096)
        session.events()

    _HEADS = st.sampled_from([0, 0x10000, 0x20000, 0x30000, 0x40000])

    @given(
        st.lists(st.tuples(_HEADS, st.integers(0, 15), st.integers(0, 6), st.integers(0, 9)), max_size=30),
        st.integers(1, 30),
    )
    def test_likely_junk(self, wanted: list[tuple[int, int, int, int]], size: int) -> None:
        """Frames with any type, flags and numbers keep the session's account of its streams right."""
        session = server()
        _open(session, 2)
        content = b"".join(
            pack_header(type_flags | flags, number, value) + (b"" if type_flags else bytes(value))
            for type_flags, flags, number, value in wanted
        )
        lost = []
        try:
            for at in range(0, len(content), size):
                session.receive(content[at : at + size], 0.0)
                lost += [event.stream for event in session.events() if isinstance(event, StreamLost)]
        except RemoteProtocolError:
            lost += [event.stream for event in session.events() if isinstance(event, StreamLost)]
        self.assertEqual(len(lost), len(set(lost)))
        self.assertTrue(all(stream.closed for stream in lost))
        frames(sent(session))

    def _assert_broken(self, session: YamuxSession, content: bytes) -> None:
        with self.assertRaises(RemoteProtocolError):
            session.receive(content, 0.0)
        self.assertTrue(session.over)
        self.assertEqual(sent(session)[-12:], pack_header(GO_AWAY, 0, GoAwayCode.PROTOCOL_ERROR))
        self.assertIsNone(session.next_wakeup())


class PortionTests(SynchronousTestCase):
    """Tests for input that is dealt with in portions."""

    content = syn(1) + data(1, b"x") * (3 * MOST_FRAMES) + data(1, b"large" * 100) + fin(1)
    payload = b"x" * (3 * MOST_FRAMES) + b"large" * 100

    def test_portions(self) -> None:
        """So many frames are dealt with at once; the others wait, in memory of their own."""
        session = server()
        lent = bytearray(self.content)
        session.receive(lent, 0.0)
        events = list(session.events())
        self.assertEqual(len(events), MOST_FRAMES)
        self.assertTrue(session.has_input)
        lent[:] = bytes(len(lent))
        while session.has_input:
            session.receive(b"", 0.0)
            more = session.events()
            self.assertLessEqual(len(more), MOST_FRAMES + 1)
            events += more
        told_of = told(events[MOST_FRAMES:])
        rest = self.payload[MOST_FRAMES - 1 :]
        self.assertEqual(told_of, [("payload", 1, rest), ("StreamEnded", 1, None)])

    def test_every_cut(self) -> None:
        """However the bytes are cut, and whether the rest waits or not, the same comes out."""
        total = len(self.content)
        cuts = [range(0, total, size) for size in (1, 5, 13, 800, 900)] + [(0, at) for at in range(total)]
        for places in cuts:
            session = server()
            events: list[tuple[object, ...]] = []
            for begin, end in itertools.pairwise((*places, total)):
                session.receive(self.content[begin:end], 0.0)
                events += told(session.events())
            while session.has_input:
                session.receive(b"", 0.0)
                events += told(session.events())
            payload = b"".join(each[2] for each in events if each[0] == "payload")  # type: ignore[misc]  # bytes, by its tag
            self.assertEqual(payload, self.payload)
            self.assertEqual((events[0], events[-1]), (("StreamOpened", 1, None), ("StreamEnded", 1, None)))

    def test_over(self) -> None:
        """Nothing waits once the session is over, and an empty portion of nothing changes nothing."""
        session = server()
        session.receive(b"", 0.0)
        session.receive(self.content, 0.0)
        session.end(Ended.STOPPED)
        self.assertFalse(session.has_input)
        session.receive(b"", 0.0)
        self.assertEqual(len(session.events()), MOST_FRAMES + 2)


class RestrictionTests(SynchronousTestCase):
    """Tests for what a peer may do before it is let in."""

    def setUp(self) -> None:
        self.session = server()
        self.session.restrict(2, 3, 1000)

    def test_at_once(self) -> None:
        """Streams beyond those that it may have at once are reset."""
        self.session.receive(syn(1) + syn(3) + syn(5), 0.0)
        self.assertEqual(len(self.session.events()), 2)
        self.assertEqual(sent(self.session), rst(5))

    def test_one_after_the_other(self) -> None:
        """With one stream more than it may open the session is over, though none of them lives."""
        doomed = b"".join(syn(number) + rst(number) for number in (1, 3, 5))
        self.session.receive(doomed, 0.0)
        self.assertFalse(self.session.over)
        with self.assertRaises(RemoteProtocolError):
            self.session.receive(syn(7), 0.0)
        self.assertTrue(self.session.over)

    def test_bytes(self) -> None:
        """With one byte more than it may send the session is over, whatever it is sent for."""
        self.session.receive(syn(1) + data(1, bytes(1000 - 24)), 0.0)
        with self.assertRaises(RemoteProtocolError):
            self.session.receive(b"\0", 0.0)
        self.assertTrue(self.session.over)

    def test_lifted(self) -> None:
        """Who is let in may open and send what everybody may."""
        self.session.lift()
        content = b"".join(syn(number) + data(number, bytes(2000)) for number in range(1, 101, 2))
        feed(self.session, content)
        self.assertEqual(self.session.max_streams, MAX_STREAMS)
        self.assertFalse(self.session.over)
        self.assertEqual(sent(self.session), b"")


class SendingTests(SynchronousTestCase):
    """Tests for what goes out, and when."""

    def test_window_of_the_peer(self) -> None:
        """Never more is sent than the peer allowed; the rest goes when it allows more."""
        session = client()
        stream = opened(session)
        session.write(stream, bytes(INITIAL_WINDOW_BYTES + 10))
        self.assertEqual(_payload(sent_frames(session, budget_bytes=1 << 30)), INITIAL_WINDOW_BYTES)
        self.assertFalse(session.has_output)
        session.receive(update(1, 4), 0.0)
        self.assertEqual(sent_frames(session), [(0, 0, 1, 4)])
        session.receive(update(1, 100), 0.0)
        self.assertEqual(sent_frames(session), [(0, 0, 1, 6)])

    def test_budget(self) -> None:
        """A slow link leaves what does not fit in the queues of the streams."""
        session = client()
        stream = opened(session)
        session.write(stream, bytes(INITIAL_WINDOW_BYTES))
        sent(session, budget_bytes=1000)
        self.assertEqual(stream.queued_bytes, INITIAL_WINDOW_BYTES - 1000)

    def test_fairness(self) -> None:
        """Streams that all have much to say get the same share of a slow link."""
        session = client()
        streams = [opened(session) for _ in range(10)]
        for stream in streams:
            session.write(stream, bytes(INITIAL_WINDOW_BYTES))
        shares = dict.fromkeys((stream.id for stream in streams), 0)
        for _ in range(5):
            for _, _, number, value in sent_frames(session, budget_bytes=FLUSH_BYTES):
                shares[number] += value
        self.assertEqual(set(shares.values()), {5 * FLUSH_BYTES // 10})

    def test_small_among_large(self) -> None:
        """A small request waits for one piece of each other stream, not for their queues."""
        session = client()
        *large, small = (opened(session) for _ in range(4))
        for stream in large:
            session.write(stream, bytes(INITIAL_WINDOW_BYTES))
        session.write(small, b"GET / HTTP/1.1\r\n\r\n")
        numbers = [number for _, _, number, _ in sent_frames(session)]
        self.assertEqual(numbers.index(small.id), 3)

    def test_overtaking(self) -> None:
        """Ping answers, window updates and the expedited stream overtake queued payload."""
        session = client()
        bulk, control, read = (opened(session) for _ in range(3))
        session.expedite(control)
        session.write(bulk, bytes(INITIAL_WINDOW_BYTES))
        sent(session, budget_bytes=PIECE_BYTES)
        session.write(control, b"urgent")
        session.receive(data(read.id, bytes(INITIAL_WINDOW_BYTES)) + ping(4), 0.0)
        session.consumed(read, INITIAL_WINDOW_BYTES)
        session.write(bulk, b"more")
        self.assertEqual(
            sent_frames(session, budget_bytes=PIECE_BYTES),
            [
                (PING, ACK, 0, 4),
                (WINDOW_UPDATE, 0, read.id, INITIAL_WINDOW_BYTES),
                (PING, SYN, 0, 0),
                (0, 0, control.id, 6),
                (0, 0, bulk.id, PIECE_BYTES - 6),
            ],
        )

    def test_opened_urgent(self) -> None:
        """A stream that was opened as urgent overtakes from its first byte."""
        session = client()
        usual, urgent = session.open_stream(0.0), session.open_stream(0.0, urgent=True)
        session.write(usual, b"usual")
        session.write(urgent, b"urgent")
        self.assertEqual(
            [number for kind, _, number, _ in sent_frames(session) if kind == 0], [urgent.id, usual.id]
        )

    def test_congestion(self) -> None:
        """A queue above the high-water mark is congested until it falls to the low-water mark."""
        session = client()
        stream = opened(session)
        session.events()
        session.write(stream, bytes(HIGH_WATER_BYTES))
        self.assertFalse(stream.congested)
        session.write(stream, b"x")
        self.assertTrue(stream.congested)
        sent(session, budget_bytes=HIGH_WATER_BYTES - LOW_WATER_BYTES)
        self.assertEqual(told(session.events()), [])
        sent(session, budget_bytes=1)
        self.assertEqual(told(session.events()), [("StreamWritable", 1, None)])
        self.assertFalse(stream.congested)

    def test_stalled_streams(self) -> None:
        """A thousand streams that nobody reads leave the last one its speed, in bounded memory."""
        alone = _Stalling(0)
        crowded = _Stalling(1000)
        self.assertEqual(crowded.run(), alone.run())
        self.assertEqual(len(crowded.unread), 1000)
        self.assertEqual(set(crowded.unread.values()), {INITIAL_WINDOW_BYTES})
        queued = sum(stream.queued_bytes for stream in crowded.stalled)
        self.assertLessEqual(queued, 1000 * (HIGH_WATER_BYTES + PIECE_BYTES))


class _Stalling:
    """Two sessions; on the near one everybody writes, on the far one only one stream is read."""

    def __init__(self, stalled: int) -> None:
        self.near = client()
        self.far = server()
        self.stalled = _open(self.near, stalled)
        self.lively = self.near.open_stream(0.0)
        self.unread: dict[int, int] = {}
        self.read = 0

    def run(self) -> int:
        """Fills the windows of those that stall; answers what the other moves in 300 turns after it."""
        for stream in self.stalled:
            self._write(stream)
        self._write(self.lively)
        while any(number not in self.unread for number in (stream.id for stream in self.stalled)):
            self._turn()
        for _ in range(len(self.stalled) * INITIAL_WINDOW_BYTES // PIECE_BYTES):
            self._turn()
        before = self.read
        for _ in range(300):
            self._turn()
        return self.read - before

    def _turn(self) -> None:
        for piece in self.near.to_send(0.0):
            self.far.receive(piece, 0.0)
        for event in self.far.events():
            if isinstance(event, StreamOpened):
                self.far.accept(event.stream)
            elif isinstance(event, tuple):
                self._arrived(*event)
        self.near.receive(sent(self.far), 0.0)
        for event in self.near.events():
            if isinstance(event, StreamWritable):
                self._write(event.stream)

    def _arrived(self, stream: Stream, payload: memoryview) -> None:
        if stream.id == self.lively.id:
            self.read += len(payload)
            self.far.consumed(stream, len(payload))
        else:
            self.unread[stream.id] = self.unread.get(stream.id, 0) + len(payload)

    def _write(self, stream: Stream) -> None:
        while not stream.congested:
            self.near.write(stream, bytes(PIECE_BYTES))


class EndingTests(SynchronousTestCase):
    """Tests for how streams end."""

    def test_end_follows_payload(self) -> None:
        """The end goes out behind what was written before, once."""
        session = client()
        stream = opened(session)
        session.write(stream, b"last words")
        session.finish(stream)
        session.finish(stream)
        session.write(stream, b"too late")
        self.assertEqual(sent(session), data(1, b"last words") + fin(1))

    def test_half_close(self) -> None:
        """After its own end a side still receives, for as long as the peer likes."""
        session = client()
        stream = opened(session)
        session.events()
        session.finish(stream)
        self.assertEqual(sent(session), fin(1))
        session.wake(10 * CLOSE_TIMEOUT_S)
        session.receive(data(1, b"answer") + fin(1), 0.0)
        self.assertEqual(
            told(session.events()),
            [("payload", 1, b"answer"), ("StreamEnded", 1, None), ("StreamLost", 1, Ended.FINISHED)],
        )

    def test_peer_ends_first(self) -> None:
        """After the peer's end this side still sends, and the stream is gone with its own end."""
        session = server()
        stream = accepted(session)
        session.receive(fin(1), 0.0)
        session.write(stream, b"answer")
        session.finish(stream)
        self.assertEqual(sent(session), data(1, b"answer") + fin(1))
        self.assertEqual(
            told(session.events()), [("StreamEnded", 1, None), ("StreamLost", 1, Ended.FINISHED)]
        )

    def test_payload_behind_the_end(self) -> None:
        """Payload that the peer's other thread sent behind its end is dropped, within the window."""
        session = server()
        accepted(session)
        session.receive(fin(1) + data(1, b"late"), 0.0)
        session.receive(data(1, b"later")[:14], 0.0)
        self.assertEqual(told(session.events()), [("StreamEnded", 1, None)])
        self.assertFalse(session.over)

    def test_second_end_after_both(self) -> None:
        """An end for a stream that both sides have ended is for an unknown stream, and ignored."""
        session = server()
        stream = accepted(session)
        session.finish(stream)
        session.receive(fin(1) + fin(1), 0.0)
        self.assertFalse(session.over)

    def test_closing(self) -> None:
        """A closed stream sends what was written, delivers nothing, and is done with its own end."""
        session = client()
        stream = opened(session)
        session.receive(data(1, b"abc")[:13], 0.0)
        session.events()
        session.write(stream, b"bye")
        session.close(stream, 0.0)
        session.close(stream, 0.0)
        session.receive(data(1, b"abc")[13:] + data(1, b"nobody listens"), 0.0)
        self.assertEqual(told(session.events()), [])
        self.assertEqual(sent(session), data(1, b"bye") + fin(1))
        self.assertEqual(told(session.events()), [("StreamLost", 1, Ended.FINISHED)])
        session.receive(fin(1), 0.0)
        self.assertEqual(told(session.events()), [])
        self.assertIsNone(session.next_wakeup())

    def test_closing_after_finishing(self) -> None:
        """Closing after the own end has gone out sends nothing more and is done at once."""
        session = client()
        stream = opened(session)
        session.finish(stream)
        self.assertEqual(sent(session), fin(1))
        session.close(stream, 0.0)
        self.assertEqual(sent(session), b"")
        self.assertEqual(told(session.events()), [("StreamLost", 1, Ended.FINISHED)])

    def test_closing_after_the_peer(self) -> None:
        """Closing what the peer has ended leaves nothing to wait for."""
        session = server()
        stream = accepted(session)
        session.receive(fin(1), 0.0)
        session.close(stream, 0.0)
        self.assertEqual(sent(session), fin(1))
        self.assertIsNone(session.next_wakeup())

    def test_peer_never_ends(self) -> None:
        """A closed stream that the peer does not end within five minutes is reset, and not told again."""
        session = client()
        stream = opened(session)
        session.close(stream, 5.0)
        sent(session, 6.0)
        session.events()
        due = session.next_wakeup()
        assert due is not None
        self.assertTrue(5.0 + CLOSE_TIMEOUT_S <= due <= 6.0 + CLOSE_TIMEOUT_S)
        session.wake(due)
        self.assertEqual(sent(session), rst(1))
        self.assertEqual(told(session.events()), [])

    def test_peer_goes_on_sending(self) -> None:
        """A peer that sends to a closed stream for half a minute is stopped by a reset, not earlier."""
        session = client()
        stream = opened(session)
        session.close(stream, 0.0)
        self.assertEqual(sent(session), fin(1))
        session.receive(data(1, b"unwanted"), 10.0)
        session.receive(data(1, b"unwanted"), 20.0)
        self.assertEqual(session.next_wakeup(), 10.0 + LATE_INPUT_TIMEOUT_S)
        session.wake(39.9)
        self.assertEqual(sent(session), b"")
        session.wake(40.0)
        self.assertEqual(sent(session), rst(1))
        self.assertIsNone(session.next_wakeup())

    def test_peer_has_filled_the_window(self) -> None:
        """A peer that can send nothing more when the stream is closed is stopped half a minute later, too."""
        session = client()
        stream = opened(session)
        session.receive(data(1, bytes(INITIAL_WINDOW_BYTES)), 0.0)
        session.close(stream, 5.0)
        self.assertEqual(sent(session, 5.0), fin(1))
        self.assertEqual(session.next_wakeup(), 5.0 + LATE_INPUT_TIMEOUT_S)
        session.wake(5.0 + LATE_INPUT_TIMEOUT_S)
        self.assertEqual(sent(session), rst(1))

    def test_breaking_off(self) -> None:
        """A stream that is broken off sends what was written and its end, then it is reset."""
        session = client()
        stream = opened(session)
        session.write(stream, b"bye")
        session.break_off(stream, 1.0)
        session.break_off(stream, 1.0)
        session.receive(data(1, b"nobody listens"), 1.0)
        self.assertEqual(sent(session, 3.0), data(1, b"bye") + fin(1))
        self.assertEqual(told(session.events()), [("StreamLost", 1, Ended.FINISHED)])
        session.wake(3.0 + LOST_LINGER_S - 0.01)
        self.assertEqual(sent(session), b"")
        session.wake(3.0 + LOST_LINGER_S)
        self.assertEqual(sent(session), rst(1))
        self.assertEqual(told(session.events()), [])
        self.assertIsNone(session.next_wakeup())

    def test_breaking_off_after_the_ends(self) -> None:
        """After the own end nothing is sent but the reset, and after the peer's end not even that."""
        session = client()
        stream = opened(session)
        session.finish(stream)
        self.assertEqual(sent(session), fin(1))
        session.break_off(stream, 1.0)
        self.assertEqual(session.next_wakeup(), 1.0 + LOST_LINGER_S)
        session.receive(fin(1), 1.2)
        self.assertIsNone(session.next_wakeup())
        session.break_off(stream, 1.3)
        self.assertEqual(sent(session), b"")

    def test_breaking_off_what_is_closed(self) -> None:
        """A stream that was closed before its counterpart was lost is reset sooner."""
        session = client()
        stream = opened(session)
        session.close(stream, 0.0)
        self.assertEqual(sent(session), fin(1))
        session.break_off(stream, 1.0)
        session.wake(1.0 + LOST_LINGER_S)
        self.assertEqual(sent(session), rst(1))

    def test_breaking_off_towards_a_slow_peer(self) -> None:
        """What was written goes on being sent as long as the peer takes some of it."""
        session = client()
        stream = opened(session)
        session.write(stream, bytes(INITIAL_WINDOW_BYTES + 3))
        sent(session, budget_bytes=1 << 30)
        session.break_off(stream, 0.0)
        for number in (1, 2):
            session.receive(update(1, credit=1), 0.0)
            self.assertEqual(sent(session, budget_bytes=1 << 30), data(1, b"\0"))
            session.wake(number * LOST_LINGER_S)
            self.assertEqual(sent(session), b"")
        session.wake(3 * LOST_LINGER_S)
        self.assertEqual(sent(session), rst(1))
        self.assertEqual(told(session.events())[-1], ("StreamLost", 1, Ended.TIMEOUT))
        self.assertIsNone(session.next_wakeup())

    def test_linger(self) -> None:
        """A closed stream whose peer takes nothing is reset after the linger time."""
        session = client()
        stream = opened(session)
        session.write(stream, bytes(INITIAL_WINDOW_BYTES + 1))
        session.close(stream, 0.0)
        sent(session, budget_bytes=1 << 30)
        self.assertEqual(session.next_wakeup(), LINGER_S)
        session.wake(LINGER_S)
        self.assertEqual(sent(session), rst(1))
        self.assertEqual(told(session.events())[-1], ("StreamLost", 1, Ended.TIMEOUT))

    def test_reset(self) -> None:
        """A reset drops what was queued, tells the peer, and is told."""
        session = client()
        stream = opened(session)
        session.events()
        session.write(stream, b"never sent")
        session.reset(stream)
        session.reset(stream)
        session.write(stream, b"x")
        session.finish(stream)
        session.close(stream, 0.0)
        session.consumed(stream, 1 << 20)
        self.assertEqual(sent(session), rst(1))
        self.assertEqual(told(session.events()), [("StreamLost", 1, Ended.CANCELLED)])

    def test_reset_by_the_peer(self) -> None:
        """A reset by the peer drops the stream in both directions, even within a frame."""
        session = client()
        stream = opened(session)
        session.events()
        session.write(stream, b"never sent")
        session.receive(data(1, b"abc", RST) + data(1, b"abc"), 0.0)
        self.assertEqual(told(session.events()), [("StreamLost", 1, Ended.RESET)])
        self.assertEqual(sent(session), b"")

    def test_reset_before_accepting(self) -> None:
        """A stream that its opener dropped before it was accepted leaves the backlog."""
        session = server()
        for number in range(1, 2 * ACCEPT_BACKLOG, 2):
            session.receive(syn(number) + rst(number), 0.0)
        session.receive(syn(9999), 0.0)
        self.assertEqual(told(session.events())[-1], ("StreamOpened", 9999, None))


class LinkTests(SynchronousTestCase):
    """Tests for what concerns the session as a whole."""

    def test_pings_are_answered(self) -> None:
        """Every ping is answered with its value."""
        session = server()
        session.receive(ping(0) + ping(0xFFFF_FFFF), 0.0)
        self.assertEqual(sent(session), ping(0, ACK) + ping(0xFFFF_FFFF, ACK))

    def test_keepalive(self) -> None:
        """Pings go out at the agreed pace, with values that count up, and measure the round trip."""
        session = server(keepalive_s=30.0)
        self.assertEqual(session.next_wakeup(), 30.0)
        session.wake(30.0)
        self.assertEqual(sent(session, 30.0), ping(0))
        session.receive(ping(0, ACK), 30.125)
        self.assertEqual(session.round_trip_s, 0.125)
        session.wake(60.125)
        self.assertEqual(sent(session, 60.125), ping(1))

    def test_no_answer_to_a_ping(self) -> None:
        """Ten seconds of silence after a ping end the session."""
        session = server(keepalive_s=30.0)
        accepted(session)
        session.wake(30.0)
        sent(session, 30.0)
        session.wake(40.0)
        self.assertEqual(
            told(session.events()),
            [("StreamLost", 1, Ended.TIMEOUT), ("SessionEnded", None, Ended.TIMEOUT)],
        )

    def test_ping_before_a_full_queue(self) -> None:
        """A ping goes out before all payload, so that its answer does not wait for a slow link."""
        session = client(keepalive_s=30.0)
        stream = opened(session)
        session.write(stream, bytes(INITIAL_WINDOW_BYTES))
        session.wake(30.0)
        self.assertEqual(sent(session, 30.0, budget_bytes=100)[:12], ping(0))

    def test_flood(self) -> None:
        """More pings or doomed streams at once than an honest peer sends end the session."""
        for flood in (ping(0) * 2000, b"".join(syn(2 * n + 1) for n in range(2000))):
            session = server()
            session.max_streams = 10
            with self.assertRaises(RemoteProtocolError):
                feed(session, flood)

    def test_patient_pinging(self) -> None:
        """Any number of pings is fine when each is answered before the next thousand come."""
        session = server()
        for _ in range(10):
            feed(session, ping(0) * 1000)
            self.assertEqual(len(sent_frames(session)), 1000)

    def test_peer_goes_away(self) -> None:
        """After a normal go-away open streams live on and none can be opened."""
        session = client()
        stream = opened(session)
        session.events()
        session.receive(pack_header(GO_AWAY, 0, GoAwayCode.NORMAL), 0.0)
        self.assertEqual(told(session.events()), [("GoingAway", None, None)])
        session.write(stream, b"still here")
        self.assertEqual(sent(session), data(1, b"still here"))
        with self.assertRaises(ConnectionFailed):
            session.open_stream(0.0)

    def test_peer_gives_up(self) -> None:
        """A go-away with any other code ends the session."""
        for code in (GoAwayCode.PROTOCOL_ERROR, GoAwayCode.INTERNAL_ERROR, 77):
            session = client()
            session.receive(pack_header(GO_AWAY, 0, code) + ping(1), 0.0)
            self.assertEqual(told(session.events()), [("SessionEnded", None, Ended.PROTOCOL_ERROR)])
            self.assertEqual(sent(session), b"")

    def test_going_away(self) -> None:
        """After this side's go-away streams of the peer are refused and open ones live on."""
        session = server()
        accepted(session)
        session.go_away()
        session.go_away()
        session.receive(syn(3) + data(1, b"still here"), 0.0)
        self.assertEqual(told(session.events()), [("payload", 1, b"still here")])
        self.assertEqual(sent_frames(session), [(GO_AWAY_TYPE, 0, 0, 0), (WINDOW_UPDATE, RST, 3, 0)])

    def test_link_ends(self) -> None:
        """The end of the link resets the streams that were open, and is told last."""
        session = client()
        opened(session)
        session.end_received(1.0)
        session.end(Ended.STOPPED)
        self.assertEqual(
            told(session.events()),
            [("StreamLost", 1, Ended.RESET), ("SessionEnded", None, Ended.FINISHED)],
        )
        with self.assertRaises(ConnectionFailed):
            session.open_stream(2.0)

    def test_commands_after_the_end(self) -> None:
        """Commands on streams of a session that is over do nothing."""
        session = client()
        stream = opened(session)
        session.write(stream, b"never sent")
        session.end(Ended.STOPPED)
        session.events()
        session.write(stream, b"x")
        session.finish(stream)
        session.close(stream, 0.0)
        session.reset(stream)
        session.consumed(stream, 1 << 20)
        session.expedite(stream)
        session.go_away()
        session.wake(1e9)
        self.assertEqual((told(session.events()), sent(session)), ([], b""))

    def test_time_goes_back(self) -> None:
        """Time that went back counts as no time passed."""
        session = client()
        session.receive(ping(0), 100.0)
        session.open_stream(50.0)
        sent(session, 50.0)
        self.assertEqual(session.next_wakeup(), 100.0 + OPEN_TIMEOUT_S)
        session.wake(60.0)
        self.assertFalse(session.over)


class RecordingTests(SynchronousTestCase):
    """Tests against what frp's programs were seen to send."""

    def test_headers(self) -> None:
        """Every recorded frame is taken apart as the recordings say, however it is cut."""
        replayed = 0
        for connection in _muxed():
            for direction, role in _DIRECTIONS:
                content = _bytes(connection, direction)
                expected = [tuple(frame) for frame in connection.expect["frames"][direction]]
                self.assertEqual(frames(content), expected)
                answers = feed_every_cut(content[:3000], lambda portions, role=role: _replay(role, portions))  # type: ignore[misc]
                self.assertTrue(answers)
                replayed += 1
        self.assertGreaterEqual(replayed, 10)

    def test_payload(self) -> None:
        """The payload of each stream comes out as an independent reader finds it."""
        for connection in _muxed():
            for direction, role in _DIRECTIONS:
                content = _bytes(connection, direction)
                streams, _answers = _replay(role, [content])
                self.assertEqual(streams, recorded._yamux_payloads(content))

    def test_pings(self) -> None:
        """Frp's pings get the answers that frp gave, each after its question."""
        (connection,) = recorded.load("v1-mux-keepalive").connections
        for (asked, role), (answered, _) in zip(_DIRECTIONS, reversed(_DIRECTIONS), strict=True):
            _streams, answers = _replay(role, [connection.data(asked)])
            expected = [frame for frame in frames(connection.data(answered)) if frame[:2] == (PING, ACK)]
            self.assertEqual([frame for frame in answers if frame[0] == PING], expected)


_DIRECTIONS: Sequence[tuple[recorded.Direction, MuxRole]] = (("c2s", MuxRole.SERVER), ("s2c", MuxRole.CLIENT))
"""Each direction of a recording, and the role that receives it."""


def _muxed() -> list[recorded.Connection]:
    """Every recorded connection that carries yamux."""
    return [
        connection
        for name in recorded.names()
        for connection in recorded.load(name).connections
        if "frames" in connection.expect
    ]


def _bytes(connection: recorded.Connection, direction: recorded.Direction) -> bytes:
    """One direction of yamux, free of WebSocket."""
    content = connection.data(direction)
    return (
        recorded._websocket_payload(content, direction == "s2c")
        if "upgrade" in connection.expect
        else content
    )


def _replay(role: MuxRole, portions: Sequence[bytes]) -> tuple[dict[int, bytes], list[Frame]]:
    """Plays the peer's bytes to a session that has opened what they answer; payload and answers."""
    session = YamuxSession(role, 0.0, None)
    if role is MuxRole.CLIENT:
        _open(session, 12)
    sent(session)
    streams: dict[int, bytes] = {}
    for portion in portions:
        session.receive(portion, 0.0)
        for event in session.events():
            if isinstance(event, StreamOpened):
                session.accept(event.stream)
            elif isinstance(event, tuple):
                streams[event[0].id] = streams.get(event[0].id, b"") + bytes(event[1])
    return streams, sorted(sent_frames(session))


def _open(session: YamuxSession, count: int) -> list[Stream]:
    return [session.open_stream(0.0) for _ in range(count)]


def _payload(taken: list[Frame]) -> int:
    return sum(value for kind, _, _, value in taken if kind == 0)

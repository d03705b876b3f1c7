"""Tests for :mod:`relaykit.sansio.yamux.allowance`: what sessions make of what serves nobody."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.yamux.allowance import (
    BYTES_EARN_POINT,
    MOST_POINTS,
    POINTS_PER_S,
    WASTED_STREAM_COSTS,
    allowance,
)
from relaykit.sansio.yamux.frames import ACK, GO_AWAY, GoAwayCode, pack_header
from relaykit.sansio.yamux.session import YamuxSession
from relaykit.sansio.yamux.streams import StreamLost, StreamOpened
from tests.sansio.yamux.dialogue import (
    accepted,
    ack,
    client,
    data,
    feed,
    fin,
    ping,
    rst,
    sent,
    server,
    syn,
    update,
)

WASTED = int(MOST_POINTS / WASTED_STREAM_COSTS)
"""Streams that may come to nothing at once."""


def endure(session: YamuxSession, frame: bytes, count: int, now: float = 0.0) -> None:
    """Feeds a frame again and again, and takes the output, as the driver of a link does."""
    while count > 0:
        feed(session, frame * min(count, 500), now)
        count -= 500
        session.events()
        sent(session, now)


def open_for_nothing(session: YamuxSession, end: Callable[[int], bytes], numbers: range) -> None:
    """The peer opens streams and ends each, of which nobody knows what it was for: it is closed."""
    for number in numbers:
        session.receive(syn(2 * number + 1) + end(2 * number + 1), 0.0)
        for event in session.events():
            if isinstance(event, StreamOpened):
                session.close(event.stream, 0.0)
        sent(session)


class AllowanceTests(SynchronousTestCase):
    """Tests for what is counted, and what is not."""

    def test_points(self) -> None:
        """A link has so many points, and gets back so many a second."""
        points = allowance(0.0)
        self.assertTrue(points.spend(MOST_POINTS, 0.0))
        self.assertFalse(points.spend(POINTS_PER_S + 1, 1.0))

    def test_nuisances(self) -> None:
        """Frames that move nothing are borne for a while, then they end the session: each kind."""
        for kind, content in {
            "ping": ping(1),
            "answer to no ping": ping(1, ACK),
            "window update": update(1, 1),
            "empty window update": update(1, 0),
            "empty data": data(1, b""),
            "data for nobody": data(99, b"x"),
            "window update for nobody": update(99, 1),
            "end of nothing": fin(99),
            "reset of nothing": rst(99),
            "acceptance of nothing": ack(1),
            "going away": pack_header(GO_AWAY, 0, GoAwayCode.NORMAL),
        }.items():
            session = server()
            accepted(session)
            endure(session, content, MOST_POINTS - 100)
            self.assertFalse(session.over, kind)
            with self.assertRaises(RemoteProtocolError, msg=kind):
                endure(session, content, 1000)

    def test_wasted_streams(self) -> None:
        """Streams that end or are reset before it is known what for are borne for a while."""
        for kind, end in {"reset": rst, "ended": fin}.items():
            session = server()
            open_for_nothing(session, end, range(WASTED))
            self.assertFalse(session.over, kind)
            with self.assertRaises(RemoteProtocolError, msg=kind):
                open_for_nothing(session, end, range(WASTED, 2 * WASTED))

    def test_streams_that_nobody_takes(self) -> None:
        """A server that opens streams to a client, which takes none, is borne for a while only."""
        session = client()
        with self.assertRaises(RemoteProtocolError):
            for number in range(2, 4 * WASTED, 2):
                session.receive(syn(number), 0.0)
                for event in session.events():
                    assert isinstance(event, StreamOpened | StreamLost)
                    session.reset(event.stream)
                sent(session)

    def test_reset_before_the_answer(self) -> None:
        """Streams that were accepted and that the peer resets before they are answered count, too."""
        session = server()
        with self.assertRaises(RemoteProtocolError):
            for number in range(1, 4 * WASTED, 2):
                accepted(session, number)
                session.receive(rst(number), 0.0)
                session.events()
        self.assertTrue(session.over)

    def test_served_streams(self) -> None:
        """Any number of streams may come and go that were answered, however they end."""
        session = server()
        for number in range(1, 8 * WASTED, 2):
            stream = accepted(session, number)
            session.write(stream, b"answer")
            sent(session)
            session.receive(rst(number), 0.0)
            session.events()
        self.assertFalse(session.over)

    def test_streams_that_wait(self) -> None:
        """Any number of own streams may be accepted at once: nobody pays for them."""
        session = client()
        streams = [session.open_stream(0.0) for _ in range(MOST_POINTS + 1000)]
        for stream in streams:
            sent(session)
            session.receive(ack(stream.id), 0.0)
        self.assertFalse(session.over)

    def test_bulk(self) -> None:
        """Who moves much may tell of its windows often: payload of either direction earns points."""
        session = server()
        stream = accepted(session)
        for _ in range(MOST_POINTS * 2):
            feed(session, data(1, bytes(BYTES_EARN_POINT)) + update(1, 1024))
            session.consumed(stream, BYTES_EARN_POINT)
            sent(session)
        self.assertFalse(session.over)

    def test_patience(self) -> None:
        """Points come back with time."""
        session = server()
        for second in range(100):
            endure(session, ping(1), int(POINTS_PER_S), float(second))
        self.assertFalse(session.over)

"""What the tests of yamux share: frames in short, and a session's output taken apart again."""

from __future__ import annotations

from collections.abc import Iterable

from relaykit.sansio.yamux.frames import (
    ACK,
    DATA,
    FIN,
    FLAGS,
    HEADER_BYTES,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    pack_header,
    unpack_header,
)
from relaykit.sansio.yamux.session import MuxRole, YamuxSession
from relaykit.sansio.yamux.streams import Event, Stream, StreamOpened

Frame = tuple[int, int, int, int]
"""Type, flags, stream, value."""


def data(number: int, payload: bytes, flags: int = 0) -> bytes:
    """A DATA frame."""
    return pack_header(DATA | flags, number, len(payload)) + payload


def update(number: int, credit: int = 0, flags: int = 0) -> bytes:
    """A WINDOW_UPDATE frame."""
    return pack_header(WINDOW_UPDATE | flags, number, credit)


def syn(number: int) -> bytes:
    """Opens a stream."""
    return update(number, flags=SYN)


def ack(number: int) -> bytes:
    """Accepts a stream."""
    return update(number, flags=ACK)


def fin(number: int) -> bytes:
    """Ends one direction of a stream."""
    return update(number, flags=FIN)


def rst(number: int) -> bytes:
    """Drops a stream."""
    return update(number, flags=RST)


def ping(value: int, flags: int = SYN) -> bytes:
    """Asks for, or with ACK gives, a sign of life."""
    return pack_header(PING | flags, 0, value)


def frames(sent: bytes) -> list[Frame]:
    """The headers in a session's output, which must consist of whole frames."""
    found = []
    at = 0
    while at < len(sent):
        type_flags, number, value = unpack_header(sent, at)
        kind = (type_flags & ~FLAGS) >> 16
        found.append((kind, type_flags & FLAGS, number, value))
        at += HEADER_BYTES + (0 if kind else value)
    assert at == len(sent), "the output ends within a frame"
    return found


def feed(session: YamuxSession, content: bytes, now: float = 0.0) -> None:
    """Feeds bytes, and lets the session deal with all of them."""
    session.receive(content, now)
    while session.has_input:
        session.receive(b"", now)


def sent(session: YamuxSession, now: float = 0.0, budget_bytes: int | None = None) -> bytes:
    """What the session sends now."""
    pieces = session.to_send(now) if budget_bytes is None else session.to_send(now, budget_bytes)
    return b"".join(bytes(piece) for piece in pieces)


def sent_frames(session: YamuxSession, now: float = 0.0, budget_bytes: int | None = None) -> list[Frame]:
    """The headers of what the session sends now."""
    return frames(sent(session, now, budget_bytes))


def told(events: Iterable[Event]) -> list[tuple[object, ...]]:
    """Events as values that can be compared; payload that came in parts is put together."""
    found: list[tuple[object, ...]] = []
    for event in events:
        if isinstance(event, tuple):
            stream, payload = event
            last = found[-1] if found else ()
            if last[:2] == ("payload", stream.id):
                found[-1] = ("payload", stream.id, bytes(last[2]) + bytes(payload))  # type: ignore[call-overload]  # bytes, by its tag
            else:
                found.append(("payload", stream.id, bytes(payload)))
        else:
            stream_or_none = getattr(event, "stream", None)
            number = None if stream_or_none is None else stream_or_none.id
            found.append((type(event).__name__, number, getattr(event, "reason", None)))
    return found


def server(keepalive_s: float | None = None) -> YamuxSession:
    """A session whose peer opens streams 1, 3, 5."""
    return YamuxSession(MuxRole.SERVER, 0.0, keepalive_s)


def client(keepalive_s: float | None = None) -> YamuxSession:
    """A session that opens streams 1, 3, 5."""
    return YamuxSession(MuxRole.CLIENT, 0.0, keepalive_s)


def accepted(session: YamuxSession, number: int = 1) -> Stream:
    """A stream that the peer opened and that was accepted; the answer is taken."""
    session.receive(syn(number), 0.0)
    (event,) = session.events()
    assert isinstance(event, StreamOpened)
    session.accept(event.stream)
    assert sent_frames(session) == [(1, ACK, number, 0)]
    return event.stream


def opened(session: YamuxSession) -> Stream:
    """A stream that was opened and that the peer accepted."""
    stream = session.open_stream(0.0)
    sent(session)
    session.receive(ack(stream.id), 0.0)
    return stream

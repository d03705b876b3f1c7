"""One stream of a yamux session, as the session and its driver see it, and what can happen to it."""

from __future__ import annotations

import enum
from collections import deque
from typing import Any, Final, TypeAlias

from attrs import define

from relaykit.sansio.contract import Buffer
from relaykit.values import Ended

__all__ = [
    "INITIAL_WINDOW_BYTES",
    "Event",
    "GoingAway",
    "Payload",
    "SessionEnded",
    "Stream",
    "StreamEnded",
    "StreamLost",
    "StreamOpened",
    "StreamWritable",
]

INITIAL_WINDOW_BYTES: Final = 256 * 1024
"""Bytes that each side of a new stream may send before it is given more: fixed by the protocol."""


class Half(enum.Enum):
    """How far one direction of a stream has come."""

    OPEN = "open"
    ENDING = "ending"
    """The end was asked for; it waits for what was written before."""
    ENDED = "ended"


class Stream:
    """A stream; made by the session, changed only by its commands and inputs.

    ``user_data`` belongs to the driver: what stands for the stream in its world.  ``congested`` says
    that more is queued than should be, until :class:`StreamWritable`; ``closed_locally`` that this side
    has closed it; ``ignoring_input`` that payload is delivered no more, for whatever reason.
    ``is_answered`` says that this side has written to it, or opened it.
    ``unsent_bytes`` is what was queued when a stream that is broken off was last looked at.
    """

    __slots__ = (
        "announced",
        "closed",
        "closed_locally",
        "congested",
        "consumed_bytes",
        "credited_at",
        "id",
        "ignoring_input",
        "is_answered",
        "loss_told",
        "queue",
        "queued_bytes",
        "receive_window",
        "receiving",
        "scheduled",
        "send_window",
        "sending",
        "unsent_bytes",
        "urgent",
        "user_data",
        "window_bytes",
    )

    def __init__(self, number: int, now: float, urgent: bool = False) -> None:
        self.id = number
        self.user_data: Any = None
        self.urgent = urgent
        # Life.
        self.announced = True
        self.closed = False
        self.loss_told = False
        # Receiving.  What the peer may send, what the application holds unread, and what it has
        # read since the last update always add up to the size of the window.
        self.receiving = Half.OPEN
        self.is_answered = False
        self.closed_locally = False
        self.ignoring_input = False
        self.window_bytes = INITIAL_WINDOW_BYTES
        self.receive_window = INITIAL_WINDOW_BYTES
        self.consumed_bytes = 0
        self.credited_at = now
        # Sending.
        self.sending = Half.OPEN
        self.send_window = INITIAL_WINDOW_BYTES
        self.queue: deque[Buffer] = deque()
        self.queued_bytes = 0
        self.unsent_bytes = 0
        self.scheduled = False
        self.congested = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"sending {self.sending.value}, receiving {self.receiving.value}"
        return f"<Stream {self.id}: {state}, {self.queued_bytes} bytes queued>"


@define(eq=False)
class StreamOpened:
    """The peer opened a stream: accept it or reset it."""

    stream: Stream


@define(eq=False)
class StreamEnded:
    """The peer will send no more on this stream."""

    stream: Stream


@define(eq=False)
class StreamWritable:
    """The queue of a congested stream went below its low-water mark."""

    stream: Stream


@define(eq=False)
class StreamLost:
    """The stream is gone, both directions: the last event of each stream.

    After ``close`` it comes once the end has been handed to the link, without waiting for the
    peer's own end.
    """

    stream: Stream
    reason: Ended


@define(eq=False)
class GoingAway:
    """The peer takes no new streams; those that are open live on."""


@define(eq=False)
class SessionEnded:
    """The session is over, and all its streams with it, without further events: close the link."""

    reason: Ended
    text: str


Payload: TypeAlias = tuple[Stream, memoryview]
"""Payload arrived: a bare pair, because it costs a fifth of an object and there are so many."""

Event: TypeAlias = (
    Payload | StreamOpened | StreamEnded | StreamWritable | StreamLost | GoingAway | SessionEnded
)

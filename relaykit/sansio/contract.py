"""The contract that every protocol core keeps, so that one kind of driver can run them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["Buffer", "Core", "PrefixParser", "Recognizer", "StreamCore"]

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes that are lent for the duration of a call: keep a copy (``bytes(data)``) to keep them."""

EventT_co = TypeVar("EventT_co", covariant=True)


class Core(Protocol[EventT_co]):
    """What every core has that lives in time.

    Inputs are :meth:`wake`, the core's own commands, and what it receives.  After **every** input the
    driver takes :meth:`events` and acts on each of them at once, sends what the core wants sent, and
    sets one timer by :meth:`next_wakeup`.  Output is put together further below, where many cores share
    a connection: by the link, once in a turn of the reactor.

    ``now`` is in seconds of a monotonic clock, and always the last argument.  A core treats time that
    went back as no time passed.  Randomness comes in as an argument.
    """

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""

    def wake(self, now: float) -> None:
        """Lets time-outs happen; early and repeated calls are harmless."""

    def events(self) -> Sequence[EventT_co]:
        """Takes what has happened since the last call."""


class StreamCore(Core[EventT_co], Protocol[EventT_co]):
    """A core at one end of a stream of bytes."""

    @property
    def has_input(self) -> bool:
        """Whether input waits, so that who serves many can let others have their turn: an empty portion
        goes on with it, and nothing else should be fed before.
        """

    def receive(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the peer, in any portions; an empty portion is legal.  See :attr:`has_input`.

        :raises RemoteProtocolError: the peer broke the rules; close the connection after having
            taken :meth:`to_send`.
        """

    def end_received(self, now: float) -> None:
        """Tells that the peer will send no more."""

    def to_send(self, now: float) -> Sequence[Buffer]:
        """Takes what must go out, in order; the caller owns it."""


class PrefixParser(Protocol):
    """Recognizes something at the beginning of a stream; it keeps no state between calls."""

    @property
    def limit(self) -> int:
        """Most bytes that may be needed; so many without an answer are an error."""

    def feed(self, data: bytes) -> tuple[Any, int] | None:
        """Looks at all bytes so far.

        Answers what was recognized and how many bytes it consists of, or None for "need more".

        :raises RemoteProtocolError: it can never be recognized.
        """


class Recognizer(Protocol):
    """Tells by the first bytes of a stream whether it is for somebody; it keeps no state between calls."""

    @property
    def limit(self) -> int:
        """Most bytes that may be needed; so many without an answer are a no."""

    def recognizes(self, data: bytes) -> bool | None:
        """Looks at all bytes so far, at least one: whether it is; None for "need more".  Never raises."""

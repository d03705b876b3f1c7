"""A user's connection between a user and a provider that are plain bytes."""

from __future__ import annotations

from collections.abc import Sequence

from relaykit.sansio.http.connection import (
    Answered,
    Event,
    Finished,
    HttpConnection,
    Requested,
    RequestedAgain,
    Tunneled,
)
from relaykit.sansio.http.requests import RequestHead
from relaykit.sansio.http.rewriting import Rules

__all__ = ["DATE", "OK", "PLAIN", "Between"]

DATE = b"Mon, 01 Jan 2024 00:00:00 GMT"
OK = b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\nContent-Length: 2\r\n\r\nok"
PLAIN = Rules()


class Between:
    """Drives a connection, and keeps what it puts out; ``forwards`` each request at once if told to."""

    def __init__(self, user: bytes = b"192.0.2.9", *, forwards: bool = True, reused: bool = False) -> None:
        self.now = 0.0
        self.core = HttpConnection(user, lambda: DATE, self.now)
        self.forwards = forwards
        self.reused = reused
        self.rules = PLAIN
        self.to_user = b""
        self.to_provider = b""
        self.events: list[Event] = []

    def step(self) -> None:
        """What a driver does after each input."""
        while events := self.core.events():
            self.events += events
            for event in events:
                if self.forwards and isinstance(event, Requested | RequestedAgain):
                    reused = self.reused and isinstance(event, Requested)
                    self.core.forward(self.rules, self.now, reused=reused)
        self.to_user += b"".join(self.core.to_user())
        self.to_provider += b"".join(self.core.to_provider())

    def user(self, *portions: bytes) -> None:
        """The user sends these."""
        for portion in portions:
            self.core.receive(memoryview(portion), self.now)
            self.step()

    def provider(self, *portions: bytes) -> None:
        """The provider sends these."""
        for portion in portions:
            self.core.receive_from_provider(memoryview(portion), self.now)
            self.step()

    def end_user(self) -> None:
        """The user sends no more."""
        self.core.end_received(self.now)
        self.step()

    def end_provider(self, in_order: bool = True) -> None:
        """The provider sends no more, or is lost."""
        self.core.provider_ended(self.now, in_order=in_order)
        self.step()

    def wait(self, seconds: float) -> None:
        """Time passes, with a wake-up whenever one is due."""
        until = self.now + seconds
        while (due := self.core.next_wakeup()) is not None and due <= until:
            self.now = due
            self.core.wake(due)
            self.step()
        self.now = until

    def take(self) -> tuple[bytes, bytes]:
        """What went to the user and to the provider since the last time."""
        taken = self.to_user, self.to_provider
        self.to_user = self.to_provider = b""
        return taken

    @property
    def heads(self) -> Sequence[RequestHead]:
        """The requests that were told."""
        return [event.head for event in self.events if isinstance(event, Requested)]

    @property
    def answers(self) -> Sequence[tuple[int, bool]]:
        """The statuses of the exchanges that are over, and whether each work connection may be reused."""
        return [(event.status, event.is_reusable) for event in self.events if isinstance(event, Answered)]

    @property
    def finished(self) -> Finished | None:
        """How the user's connection has ended, if it has."""
        return next((event for event in self.events if isinstance(event, Finished)), None)

    @property
    def tunneled(self) -> bool:
        """Whether it has become a tunnel."""
        return any(isinstance(event, Tunneled) for event in self.events)

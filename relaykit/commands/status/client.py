"""A client that is followed: what it is at each moment, and what its users ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.commands.status.view import LastProblem, Snapshot, StatusView, UserRequest, is_solved
from relaykit.interfaces import IExchangeObserver

if TYPE_CHECKING:
    from relaykit.client.status import ClientStatus
    from relaykit.values import Exchange

__all__ = ["Client", "FollowedClient"]

MEASURE_S = 5.0
"""Pause between two measurements of the round trip while somebody watches."""

LAST_REQUESTS = 50
"""Requests that are remembered: as many as a tall terminal has rows."""

SOLVED_SHOWN_S = 60.0
"""Seconds that a problem is still shown after it was solved: whoever looks now may have missed it."""


class Client(Protocol):
    """What is asked of a client."""

    def status(self) -> ClientStatus: ...

    def measure_round_trip(self) -> None: ...

    def reconnect_now(self, reason: str) -> None: ...

    def observe(self, observer: IExchangeObserver) -> None: ...

    def stop_observing(self, observer: IExchangeObserver) -> None: ...


@implementer(IExchangeObserver)
class FollowedClient:
    """Makes snapshots of a client."""

    log = Logger()

    def __init__(self, client: Client, view: StatusView, reactor: Any) -> None:
        self._client = client
        self._view = view
        self._reactor = reactor
        self._requests: deque[UserRequest] = deque(maxlen=LAST_REQUESTS)
        self._tell_request: Callable[[UserRequest], None] = lambda request: None
        self._solved: LastProblem | None = None
        self._solved_at = 0.0
        self._measuring = LoopingCall(client.measure_round_trip)
        self._measuring.clock = reactor

    def begin(self, tell_request: Callable[[UserRequest], None], *, watched: bool) -> None:
        """Begins to look at what users ask for; and how far the server is, while somebody watches."""
        self._tell_request = tell_request
        self._client.observe(self)
        if watched:
            self._measuring.start(MEASURE_S).addErrback(
                lambda failure: self.log.failure("a defect while the round trip was measured", failure)
            )

    def end(self) -> None:
        """Looks no more."""
        self._client.stop_observing(self)
        if self._measuring.running:
            self._measuring.stop()

    def snapshot(self, problems: Sequence[LastProblem], *, ended: bool = False) -> Snapshot:
        """The client now, with the first of these problems as long as it matters."""
        now, status = self._reactor.seconds(), self._client.status()
        if self._measuring.running and status.round_trip_s is None:
            self._client.measure_round_trip()
        problem = self._problem(problems[0], status, now) if problems else None
        return self._view.snapshot(status, now, problem, tuple(self._requests), ended=ended)

    def key(self, letter: str) -> None:
        """``r`` dials now."""
        if letter == "r":
            self._client.reconnect_now("dialing was asked for at the terminal")

    def on_exchange(self, proxy: str, exchange: Exchange) -> None:
        request = UserRequest.of(proxy, exchange)
        self._requests.appendleft(request)
        self._tell_request(request)

    def _problem(self, last: LastProblem, status: ClientStatus, now: float) -> LastProblem | None:
        if last is not self._solved:
            if not is_solved(last, status):
                return last
            self._solved, self._solved_at = last, now
        return evolve(last, solved=True) if now - self._solved_at <= SOLVED_SHOWN_S else None

"""Roles that only remember what was done to them, and a reactor that runs in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.testing import MemoryReactorClock

from relaykit.client.status import ClientStatus
from relaykit.interfaces import IExchangeObserver

__all__ = ["FakeRole", "RunningReactor"]


class RunningReactor(MemoryReactorClock):
    """A reactor in memory that runs until it is told to stop.

    ``during`` is called once it runs: what a test does while the program lives.
    """

    def __init__(self, during: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._during = during

    def run(self) -> None:
        self.running = True
        for function, arguments, keywords in self.whenRunningHooks:
            function(*arguments, **keywords)
        self.advance(0)
        self._during()

    def stop(self) -> None:
        self.running = False

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        callable(*args, **kwargs)


class FakeRole(MultiService):
    """A role whose outcome a test decides."""

    def __init__(
        self,
        fails_with: Exception | None = None,
        decided: bool = True,
        refuses: Exception | None = None,
    ) -> None:
        super().__init__()
        self.done: list[str] = []
        self.measured = 0
        self.error: Exception | None = None
        self.refused: Exception | None = None
        self.observers: list[IExchangeObserver] = []
        self.now = ClientStatus()
        self.port = 7000
        self.fingerprint = "sha256:" + 32 * "ab"
        self._failure = fails_with
        self._decided = decided
        self._refuses = refuses
        """What its start raises."""
        self._waiting: list[Deferred[Any]] = []

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self.done.append("privileged")

    def startService(self) -> None:
        if self._refuses is not None:
            raise self._refuses
        super().startService()
        self.done.append("started")

    def stopService(self) -> Deferred[Any]:
        self.done.append("stopped")
        return maybeDeferred(super().stopService)

    def status(self) -> ClientStatus:
        """What a test says."""
        return self.now

    def measure_round_trip(self) -> None:
        """Is counted; fails where a test says so."""
        if self.error is not None:
            raise self.error
        self.measured += 1

    def observe(self, observer: IExchangeObserver) -> None:
        """Keeps it."""
        self.observers.append(observer)

    def stop_observing(self, observer: IExchangeObserver) -> None:
        """Forgets it."""
        self.observers.remove(observer)

    def outcome(self) -> Deferred[Any]:
        """How it went; waits until it is decided."""
        if not self._decided:
            self._waiting.append(Deferred())
            return self._waiting[-1]
        return fail(self._failure) if self._failure is not None else succeed(None)

    when_ready = when_first_login = outcome

    def when_registered(self) -> Deferred[None]:
        """As a test says: users may come, or the server refuses."""
        return fail(self.refused) if self.refused is not None else succeed(None)

    def reconnect_now(self, reason: str) -> None:
        """Keeps that it was asked for."""
        self.done.append("reconnected")

    def fail(self, error: Exception) -> None:
        """Decides that it failed."""
        self._decided, self._failure = True, error
        for waiting in self._waiting:
            waiting.errback(error)

"""Roles that only remember what was done to them."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, succeed

__all__ = ["FakeRole"]


class FakeRole(MultiService):
    """A role whose outcome a test decides."""

    def __init__(self, fails_with: Exception | None = None, decided: bool = True) -> None:
        super().__init__()
        self.done: list[str] = []
        self._failure = fails_with
        self._decided = decided
        self._waiting: list[Deferred[Any]] = []

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self.done.append("privileged")

    def startService(self) -> None:
        super().startService()
        self.done.append("started")

    def outcome(self) -> Deferred[Any]:
        """How it went; waits until it is decided."""
        if not self._decided:
            self._waiting.append(Deferred())
            return self._waiting[-1]
        return fail(self._failure) if self._failure is not None else succeed(None)

    def fail(self, error: Exception) -> None:
        """Decides that it failed."""
        self._decided, self._failure = True, error
        for waiting in self._waiting:
            waiting.errback(error)

"""A daemon whose role cannot start ends, with the reason in its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from relaykit.assembly import ClientAssembly, ServerAssembly
from relaykit.clock import tick_monotonically
from relaykit.errors import problem_of
from relaykit.tuning import prepare_process

__all__ = ["EndingProgram"]


class EndingProgram(MultiService):
    """Holds a role; ends the program when the role fails to start.

    What fails before ``twistd`` has become a daemon is raised, so that whoever started it sees it.

    :param role: the service.
    :param outcome: asks the role; its Deferred fails when the role has failed.
    :param reactor: is stopped after a failure.
    """

    log = Logger()

    def __init__(self, role: IService, outcome: Callable[[], Deferred[Any]], reactor: Any) -> None:
        super().__init__()
        self._outcome = outcome
        self._reactor = reactor
        role.setServiceParent(self)

    @classmethod
    def of(cls, assembly: ServerAssembly | ClientAssembly, outcome: Callable[[Any], Deferred[Any]]) -> Self:
        """The program of a role, with the installed reactor."""
        from twisted.internet import reactor

        tick_monotonically(reactor)
        role = assembly.make(reactor)
        return cls(role, lambda: outcome(role), reactor)

    def privilegedStartService(self) -> None:
        prepare_process()
        super().privilegedStartService()
        self._raise_failure()

    def startService(self) -> None:
        prepare_process()
        super().startService()
        self._raise_failure()
        self._outcome().addErrback(self._failed)

    def _raise_failure(self) -> None:
        """Raises what the role has failed with so far."""
        failures: list[Failure] = []
        self._outcome().addErrback(failures.append)
        for failure in failures:
            failure.raiseException()

    def _failed(self, failure: Failure) -> None:
        if not self.running:
            # It is being stopped, and what has not come yet will not come any more.
            return
        self.log.error(
            "the program ends: {reason}",
            reason=failure.getErrorMessage(),
            problem=problem_of(failure.value, "cannot-start"),
        )
        self._reactor.stop()

"""A daemon whose role cannot start ends, with the reason in its log."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.usage import Options

from relaykit.administration.steering import Steering
from relaykit.clock import tick_monotonically
from relaykit.errors import problem_of
from relaykit.logs.floods import limited
from relaykit.logs.observers import LogWriter
from relaykit.reloading import Reloading
from relaykit.tuning import prepare_process
from relaykit.verifying import Verifying

__all__ = ["EndingProgram"]

_REOPENING = ("SIGHUP", "SIGUSR1")


class EndingProgram(MultiService):
    """Holds a role; ends the program when the role fails to start.

    What fails before ``twistd`` has become a daemon is raised, so that whoever started it sees it.  SIGHUP,
    and SIGUSR1 as with any program of ``twistd``, open the log file again; SIGHUP has the configuration read
    again, too.

    :param role: the service.
    :param outcome: asks the role; its Deferred fails when the role has failed.
    :param reactor: is stopped after a failure.
    :param writer: writes the log of the program; None for ``twistd`` to do it.
    :ivar reload: has the role go on with what its files say now.
    """

    log = Logger()

    def __init__(
        self,
        role: IService,
        outcome: Callable[[], Deferred[Any]],
        reactor: Any,
        writer: LogWriter | None = None,
    ) -> None:
        super().__init__()
        self._outcome = outcome
        self._reactor = reactor
        self._writer = writer
        self.reload: Callable[[], None] = lambda: None
        role.setServiceParent(self)

    @classmethod
    def of(cls, options: Options, outcome: Callable[[Any], Deferred[Any]]) -> Self:
        """The program of the role that these options have read, with the installed reactor."""
        from twisted.internet import reactor

        tick_monotonically(reactor)
        steering = Steering(stop=reactor.stop, verify=Verifying(reactor, options["files"]))
        role = options["assembly"].make(reactor, steering)
        program = cls(role, lambda: outcome(role), reactor, options["log"])
        reloading = Reloading(reactor, options["read"], role, options["change_log"])
        steering.reload, program.reload = reloading.reload, reloading.reload_soon
        return program

    def setServiceParent(self, parent: Any) -> None:
        if self._writer is not None and isinstance(parent, Componentized):
            # The application of twistd, which looks there for what is to write its log.
            parent.setComponent(ILogObserver, limited(self._writer, self._reactor))
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        prepare_process()
        super().privilegedStartService()
        self._raise_failure()

    def startService(self) -> None:
        prepare_process()
        super().startService()
        self._raise_failure()
        self._reopen_on_signals()
        self._outcome().addErrback(self._failed)

    def _raise_failure(self) -> None:
        """Raises what the role has failed with so far."""
        failures: list[Failure] = []
        self._outcome().addErrback(failures.append)
        for failure in failures:
            failure.raiseException()

    def _reopen_on_signals(self) -> None:
        """Has the signals do what is asked of them, that would else end the program."""
        for name in _REOPENING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._signaled)

    def _signaled(self, number: int, frame: FrameType | None) -> None:
        if self._writer is not None:
            self._reactor.callFromThread(self._writer.reopen)
        if number == getattr(signal, "SIGHUP", None):
            self._reactor.callFromThread(self.reload)

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

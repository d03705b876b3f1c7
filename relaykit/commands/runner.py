"""The life of a program that serves: its log, its process, its signals, how it ends."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from relaykit.commands.context import CommandContext
from relaykit.errors import RelaykitError
from relaykit.logs.floods import limited
from relaykit.logs.observers import CONSOLE, LogSettings, LogWriter, log_writer
from relaykit.tuning import prepare_process

if TYPE_CHECKING:
    from relaykit.config.schema.sections import LogConfig
    from relaykit.supervision import Supervisor

__all__ = [
    "DRAIN_LIMIT_S",
    "ExitReason",
    "Hangup",
    "ProcessRunner",
    "begin_logging",
    "begin_serving",
    "change_writer",
    "exit_status",
    "explanation",
    "log_observer",
    "log_settings",
]

log = Logger()

DRAIN_LIMIT_S = 9.5
"""The longest that stopping may take: Docker kills after 10 s.  Services bound their draining themselves,
below this."""


def _signals(*names: str) -> tuple[signal.Signals, ...]:
    """Those of these signals that the system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


_STOPPING = _signals("SIGINT", "SIGTERM")
_HANGUP = _signals("SIGHUP")
_STANDARD = (0, 1, 2)
"""Descriptors that a program is started with."""

_IGNORED = _signals("SIGUSR1", "SIGUSR2", "SIGALRM")
"""Signals that frp's programs live on through, where Python's default would be death."""

_DUMPING = _signals("SIGQUIT")
_DUMPED_STATUS = 2


def begin_serving(config: LogConfig, context: CommandContext, color: bool) -> LogWriter:
    """Prepares this process for a role; its log goes where the configuration says."""
    prepare_process()
    return begin_logging(config, color, context)


def begin_logging(config: LogConfig, color: bool, context: CommandContext) -> LogWriter:
    """Sends the log of this process where its configuration says."""
    writer = log_observer(config, context, lambda text: context.explain(text, "log-full"), color=color)
    observer = limited(writer, context.choose_reactor())
    globalLogBeginner.beginLoggingTo([observer], discardBuffer=True, redirectStandardIO=False)
    return writer


def log_observer(
    config: LogConfig, context: CommandContext, complain: Callable[[str], None], *, color: bool = False
) -> LogWriter:
    """What writes the log where its configuration says.

    A file that cannot be opened does not stop the program: it says so, and the log goes to the console.

    :param complain: is told when a file cannot be written any more.
    """
    settings = log_settings(config, color=color)
    try:
        return log_writer(settings, context.stdout, complain)
    except OSError as error:
        context.explain(f"cannot log to {config.to}: {error.strerror}; logging to the console", "log-file")
        return log_writer(_to_console(settings), context.stdout)


def change_writer(writer: LogWriter, color: bool, config: LogConfig) -> None:
    """Has the log go on as another configuration says.

    :raises OSError: its file cannot be opened.
    """
    writer.change(log_settings(config, color=color))


def log_settings(config: LogConfig, *, color: bool) -> LogSettings:
    """What a configuration says of the log; ``color`` is whether its lines may be colored at all."""
    return LogSettings(
        to=config.to,
        level=config.level,
        max_days=config.max_days,
        color=color and not config.disable_print_color,
        format=config.format,
    )


def _to_console(settings: LogSettings) -> LogSettings:
    return LogSettings(
        to=CONSOLE, level=settings.level, max_days=0, color=settings.color, format=settings.format
    )


@define
class Hangup:
    """What a program does at SIGHUP: opens its log file again, and has its configuration read again.

    ``reloads`` fire once that is done, or fail where it cannot be used, which the log has.
    """

    writer: LogWriter | None
    supervisor: Supervisor
    reloads: list[Callable[[], Deferred[Any]]] = field(factory=list)

    def __call__(self) -> None:
        self.supervisor.reloading()
        if self.writer is not None:
            self.writer.reopen()
        done = DeferredList([reload() for reload in self.reloads], consumeErrors=True)
        done.addCallback(lambda _: self.supervisor.ready())


@define
class ExitReason:
    """Why a program ended: a failure, a signal, or neither when its work was done."""

    failure: BaseException | None = None
    signal: int | None = None


class ProcessRunner:
    """Runs a service under a reactor until it fails, is done, or a signal comes.

    The first SIGINT or SIGTERM drains the service; a second one ends the program at once.  SIGHUP does so
    only where it says that the terminal is gone that the program was started on: nobody could end it there
    any more, or see that it still publishes something.  It stays ignored where it was (``nohup``).

    :param begin: starts the service.  When its Deferred fails the program ends with that failure;
        when it fires with True the program is done.
    :param stop: stops it; its Deferred fires when it has been drained.
    :param on_hangup: is called at any other SIGHUP.
    :param on_stop: is called when it begins to stop.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        begin: Callable[[], Deferred[Any]],
        stop: Callable[[], Any],
        on_hangup: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_stop = on_stop
        self._reactor = reactor
        self._begin = begin
        self._stop_service = stop
        self._on_hangup = on_hangup
        self._terminals = [number for number in _STANDARD if os.isatty(number)]
        self._stopping = False
        self._stopped = False
        self._reason = ExitReason()

    def run(self) -> ExitReason:
        """Runs the reactor; returns when everything has stopped."""
        self._reactor.callWhenRunning(self._run)
        self._reactor.run()
        return self._reason

    def stop(self) -> None:
        """Ends the program in order, because somebody asked it to."""
        if not self._stopping:
            self._drain()

    def end(self, number: int) -> None:
        """Ends the program because of a signal: the first time in order, the second time at once."""
        if self._stopping:
            self._stop_reactor(None)
            return
        self._reason.signal = number
        self._drain()

    def _run(self) -> None:
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signaled)
        for number in _HANGUP:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hung_up)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        for number in _DUMPING:
            signal.signal(number, _dump)
        maybeDeferred(self._begin).addCallbacks(self._begun, self._failed)

    def _signaled(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.end, number)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        if all(map(os.isatty, self._terminals)):
            self._reactor.callFromThread(self._on_hangup)
        else:
            self._signaled(number, frame)

    def _begun(self, done: object) -> None:
        if done is True and not self._stopping:
            self._drain()

    def _failed(self, failure: Failure) -> None:
        if not self._stopping:
            self._reason.failure = failure.value
            self._drain()

    def _drain(self) -> None:
        self._stopping = True
        self._on_stop()
        stopped = maybeDeferred(self._stop_service)
        stopped.addTimeout(DRAIN_LIMIT_S, self._reactor)
        stopped.addErrback(self._not_drained)
        stopped.addBoth(self._stop_reactor)

    def _not_drained(self, failure: Failure) -> None:
        if failure.check(DeadlinePassed):
            # A peer that does not take its goodbye is no defect here.
            self.log.warn(
                "what had not ended within {seconds:g} s is cut",
                seconds=DRAIN_LIMIT_S,
                problem="stopped-late",
            )
            return
        self._reason.failure = self._reason.failure or failure.value

    def _stop_reactor(self, result: object) -> None:
        # The reactor still runs for a moment after it was stopped, and may not be stopped twice.
        if self._reactor.running and not self._stopped:
            self._stopped = True
            self._reactor.stop()


def _dump(number: int, frame: FrameType | None) -> None:
    faulthandler.dump_traceback(sys.stderr)
    os._exit(_DUMPED_STATUS)


def explanation(context: CommandContext, writer: LogWriter) -> Callable[[BaseException], None]:
    """What explains a failure: once to who sees the log at the same terminal, where it has been said."""

    def explain(error: BaseException) -> None:
        shown = context.stdout.isatty() and writer.has_shown(str(error))
        context.explain(error, shown=shown)

    return explain


def exit_status(reason: ExitReason, report: Callable[[BaseException], None]) -> int:
    """The exit status for an end that a signal makes a success; a failure is reported.

    :raises BrokenPipeError: that is it: whoever read the output is gone.
    """
    if reason.failure is None:
        return 0
    if isinstance(reason.failure, BrokenPipeError):
        raise reason.failure
    if not isinstance(reason.failure, (RelaykitError, OSError)):
        log.failure("the program ended because of a defect", Failure(reason.failure))
    report(reason.failure)
    return 1

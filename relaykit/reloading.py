"""The configuration of a role that runs, read again: what changes at once, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.blocking import BlockingCall
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import RelaykitError, problem_of
from relaykit.options import Effect

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.config.load import LoadedClient, LoadedServer
    from relaykit.config.rules.changing import Changes
    from relaykit.config.schema.sections import LogConfig
    from relaykit.values import Secret

__all__ = ["NOT_READ", "READ_S", "Read", "Reloading", "summary"]

READ_S = 30.0
"""Seconds for reading files again: a pipe, or a disk of another machine, may never answer."""

NOT_READ = ConfigurationProblem(
    what=f"the files of the configuration could not be read within {READ_S:g} seconds",
    hint="none of them may be a pipe, or on a disk that does not answer",
)
"""What is wrong with files that never come."""


class Read(Protocol):
    """What a role was read as."""

    @property
    def loaded(self) -> LoadedServer | LoadedClient: ...

    @property
    def token(self) -> Secret: ...

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]: ...


class Role(Protocol):
    """A role that runs."""

    def reload(self, loaded: Any, token: Secret) -> Deferred[Changes[Any]]: ...


class Reloading:
    """Has a role go on with what its files say now, whenever it is asked to; wrong ones change nothing.

    The files are read in a thread, beside the users.  However many ask while that is under way, they are read
    once more for all who want the same.

    :param read: reads the files, and is told whether keys that are not known are refused, None for what was
        said at the start; raises :class:`relaykit.errors.RelaykitError` when they cannot be used.
    :param change_log: has the log go on as the configuration says; raises OSError when its file cannot be
        opened.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        read: Callable[[bool | None], Read],
        role: Role,
        change_log: Callable[[LogConfig], None] = lambda config: None,
    ) -> None:
        self._reactor = reactor
        self._read = read
        self._role = role
        self._change_log = change_log
        self._asking: dict[bool | None, list[Deferred[Changes[Any]]]] = {}
        self._is_busy = False
        self._call = BlockingCall(reactor, READ_S)

    def reload(self, strict: bool | None = None) -> Deferred[Changes[Any]]:
        """Reads the files again, and fires with what changes.

        Fails with :class:`relaykit.errors.RelaykitError`, and with what the role's own reload fails with.
        Whatever becomes of it is in the log.
        """
        asking: Deferred[Changes[Any]] = Deferred()
        self._asking.setdefault(strict, []).append(asking)
        self._begin()
        return asking

    def reload_soon(self) -> None:
        """The same, for who waits for no answer."""
        self.reload().addErrback(lambda _: None)

    def _begin(self) -> None:
        if self._is_busy or not self._asking:
            return
        self._is_busy = True
        strict = next(iter(self._asking))
        asking = self._asking.pop(strict)
        reloading: Deferred[Any] = Deferred.fromCoroutine(self._reload(strict)).addErrback(self._refused)
        reloading.addBoth(self._tell, asking)

    def _tell(self, result: Changes[Any] | Failure, asking: list[Deferred[Changes[Any]]]) -> None:
        self._is_busy = False
        for each in asking:
            each.callback(result)
        self._begin()

    async def _reload(self, strict: bool | None) -> Changes[Any]:
        try:
            read = await self._call(partial(self._read, strict))
        except DeadlinePassed:
            raise ConfigurationProblems([NOT_READ]) from None
        for warning in read.warnings:
            self.log.warn("{what}", what=str(warning), problem="configuration-warning")
        changes = await self._role.reload(read.loaded, read.token)
        try:
            self._change_log(read.loaded.config.log)
        except OSError as error:
            self.log.warn(
                "the log cannot go where log.to says, and goes on where it went: {reason}",
                reason=error.strerror,
                problem="log-file",
            )
        self.log.info("the configuration was read again: {what}", what=summary(changes))
        if waiting := changes.keys[Effect.AFTER_RESTART]:
            self.log.warn(
                "the program has to be restarted before these count: {keys}",
                keys=", ".join(waiting),
                problem="needs-restart",
            )
        return changes

    def _refused(self, failure: Failure) -> Failure:
        error = failure.value
        if not isinstance(error, RelaykitError):
            self.log.failure("a defect while the configuration was read again", failure)
            return failure
        problems = error.problems if isinstance(error, ConfigurationProblems) else (error,)
        for each in problems:
            self.log.warn("{reason}", reason=str(each), problem=problem_of(error, "reload-refused"))
        self.log.warn(
            "the configuration was read again, and cannot be used: nothing has changed",
            problem="reload-refused",
        )
        return failure


def summary(changes: Changes[Any]) -> str:
    """What changes of the keys beside proxies and visitors, in words."""
    parts = [
        f"{', '.join(changes.keys[when])} {what}"
        for when, what in (
            (Effect.AT_ONCE, "from now on"),
            (Effect.AT_LOGIN, "in new sessions"),
            (Effect.AFTER_RESTART, "after a restart only"),
        )
        if changes.keys[when]
    ]
    return "; ".join(parts) or "no key beside proxies and visitors is different"

"""What a program lets itself be told: to read its configuration again, to keep another one, and to end."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, frozen

from relaykit.administration.calls import Answer, Call, CallFailed
from relaykit.administration.routes import Route
from relaykit.config.problems import ConfigurationProblems
from relaykit.errors import RelaykitError
from relaykit.replacing import replace_file

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.problems import ConfigurationProblem
    from relaykit.config.rules.changing import Changes

__all__ = ["STOP_S", "Steering", "Verified", "is_true", "reloaded", "steering_routes"]

STOP_S = 0.1
"""Seconds from the answer to who has a program end until it does, so that it gets there; frp's figure."""

NO_FILE = "frpc has no config file path"
"""frp's words for a program that was started by flags alone, or whose role cannot go on with another file."""

_FILE_MODE = 0o600

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
"""Source: Go's ``strconv.ParseBool``."""


class Verified(Protocol):
    """What is wrong with a configuration."""

    @property
    def problems(self) -> tuple[ConfigurationProblem, ...]: ...

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]: ...


@define
class Steering:
    """What a program can do for whoever may tell it; None until it can.

    :ivar reload: has it read its configuration again; whether keys that are not known are refused then, None
        for what was said at its start.  Fails with :class:`relaykit.errors.RelaykitError`.
    :ivar verify: looks what is wrong with a text as the content of its file.
    :ivar stop: has it end, in order.
    """

    reload: Callable[[bool | None], Awaitable[Changes[Any]]] | None = None
    verify: Callable[[str], Awaitable[Verified]] | None = None
    stop: Callable[[], None] | None = None


def steering_routes(steering: Steering, path: str, clock: IReactorTime) -> Iterator[Route]:
    """What frp's client can be told.

    :param path: of the configuration file; empty if there is none.
    """
    api = _SteeringApi(steering, path, clock)
    yield Route(method="GET", path="/api/reload", handler=api.reload, changes=True)
    yield Route(method="PUT", path="/api/config", handler=api.write, is_private=True)
    yield Route(method="POST", path="/api/stop", handler=api.stop)


async def reloaded(steering: Steering, strict: bool | None) -> Changes[Any]:
    """What has changed, as an API tells it.

    :raises CallFailed: nothing has.
    """
    if steering.reload is None:
        raise CallFailed(HTTPStatus.BAD_REQUEST, f"invalid argument: {NO_FILE}")
    try:
        return await steering.reload(strict)
    except ConfigurationProblems as error:
        raise CallFailed(HTTPStatus.BAD_REQUEST, f"invalid argument: {error}") from error
    except RelaykitError as error:
        raise CallFailed(HTTPStatus.INTERNAL_SERVER_ERROR, f"apply config failed: {error}") from error


def is_true(word: str) -> bool:
    """Whether a word of a query means yes; whatever makes no sense does not."""
    return word in _TRUE


@frozen
class _SteeringApi:
    _steering: Steering
    _path: str
    _clock: IReactorTime

    async def reload(self, call: Call) -> Answer:
        """Has the file read again."""
        await reloaded(self._steering, is_true(call.first("strictConfig")))
        return Answer()

    def write(self, call: Call) -> Answer:
        """Puts another text in the place of the main file; nobody looks at it before the next reload."""
        if not call.body:
            raise CallFailed(HTTPStatus.BAD_REQUEST, "body can't be empty")
        if not self._path:
            raise CallFailed(HTTPStatus.BAD_REQUEST, f"invalid argument: {NO_FILE}")
        try:
            # What a link leads to is replaced, not the link.
            path = Path(self._path).resolve()
            replace_file(path, call.body, stat.S_IMODE(path.stat().st_mode) if path.exists() else _FILE_MODE)
        except OSError as error:
            text = f"open {self._path}: {(error.strerror or str(error)).lower()}"
            raise CallFailed(HTTPStatus.INTERNAL_SERVER_ERROR, text) from error
        return Answer()

    def stop(self, call: Call) -> Answer:
        """Has the program end."""
        stop = self._steering.stop
        if stop is None:
            raise CallFailed(HTTPStatus.SERVICE_UNAVAILABLE, "the program does not run yet")
        self._clock.callLater(STOP_S, stop)
        return Answer()

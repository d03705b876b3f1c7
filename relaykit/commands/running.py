"""Finding a program that runs by its control socket, and asking it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.administration.report import STATUS
from relaykit.commands.loading import chosen_file
from relaykit.config.reading.files import read_text
from relaykit.config.template.rendering import render
from relaykit.config.text.formats import parse_document
from relaykit.control_sockets import (
    LOOPBACK,
    LoopbackDoor,
    control_folders,
    is_at_loopback,
    is_socket_of,
    reachable_path,
    socket_name,
)
from relaykit.errors import ConfigurationError, RelaykitError
from relaykit.state import StateDirectory

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["ANSWER_S", "RunningProgram", "running_program"]

ANSWER_S = 60.0
"""Seconds that a program gets to answer: a reload may wait for a login, which is given up after ten or so.  A
stream has a sign of life far more often."""

_MOST_DOOR_BYTES = 4096
"""Bytes of a file that tells of a port; it has a hundred."""

_ROLES = ("server", "client")
_DATA = b"data: "


@frozen
class RunningProgram:
    """A program that runs, by its control socket."""

    path: Path
    role: str

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """What it answers.

        :raises RelaykitError: it cannot, or does not.
        """
        with self._answer(method, path) as answer:
            return _read(answer)

    def follow(self, path: str) -> Iterator[dict[str, Any]]:
        """What comes on a stream of server-sent events, until it ends with the program.

        :raises RelaykitError: it cannot, or does not.
        """
        with self._answer("GET", path) as answer:
            if answer.status != http.client.OK:
                _read(answer)
            for line in answer:
                if line.startswith(_DATA):
                    yield json.loads(line.removeprefix(_DATA))

    def is_there(self) -> bool:
        """Whether it listens.

        :raises PermissionError: that is for others to know.
        """
        try:
            with contextlib.closing(_Connection(self.path)) as connection:
                # A port of the loopback may be somebody else's by now.
                return not is_at_loopback(self.path) or connection.answer("GET", STATUS).status == 200
        except PermissionError:
            raise
        except (OSError, ValueError, http.client.HTTPException):
            return False

    @contextlib.contextmanager
    def _answer(self, method: str, path: str) -> Iterator[http.client.HTTPResponse]:
        try:
            with contextlib.closing(_Connection(self.path)) as connection:
                yield connection.answer(method, path)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RelaykitError(
                f"the program at {self.path} does not answer: {error}", problem="not-running"
            ) from error


def _read(answer: http.client.HTTPResponse) -> dict[str, Any]:
    body = json.loads(answer.read())
    if answer.status != http.client.OK:
        told = body.get("Msg") or body.get("error") or "it refuses"
        raise RelaykitError(str(told).removeprefix("invalid argument: "))
    assert isinstance(body, dict)
    return body


class _Connection(http.client.HTTPConnection):
    """HTTP over a control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._headers: dict[str, str] = {}
        if is_at_loopback(path):
            with path.open("rb") as file:
                door = LoopbackDoor.parse(file.read(_MOST_DOOR_BYTES))
            self._headers["Authorization"] = door.authorization
            self.sock = socket.create_connection((LOOPBACK, door.port), ANSWER_S)
        else:
            self.sock = _dialed(path)

    def answer(self, method: str, path: str) -> http.client.HTTPResponse:
        """The head of what is answered."""
        self.request(method, path, headers=self._headers)
        return self.getresponse()


def _dialed(path: Path) -> socket.socket:
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(ANSWER_S)
    try:
        with reachable_path(path.parent, path.name) as reachable:
            plain.connect(reachable)
    except OSError:
        plain.close()
        raise
    return plain


def running_program(
    context: CommandContext,
    *,
    config: str,
    file: str,
    state_dir: str,
    role: str | None,
    process: int | None = None,
) -> RunningProgram | None:
    """The program that is meant; None, and said so, if there is not exactly one.

    :param process: its number, for one that has no file of its own; None for any.
    """
    config = chosen_file(config, file)
    roles = (role,) if role else _ROLES
    state = StateDirectory.find(state_dir or _state_dir_in(config, context.environ), context.environ)
    denied: list[str] = []
    programs = dict.fromkeys(_programs(context, roles, state, config))
    live = [each for each in programs if _lives(each, denied)]
    if process is not None:
        live = [each for each in live if each.ask("GET", STATUS)["pid"] == process]
    if len(live) == 1:
        return live[0]
    what = f"with {config}" if config else "with a control socket"
    if process is not None:
        what += f" as process {process}"
    if denied and not live:
        context.explain(f"{denied[0]} is somebody else's: ask as the user that it belongs to", "not-running")
    elif not live:
        context.explain(
            f"no {' or '.join(roles)} runs {what}, as far as can be seen from here", "not-running"
        )
    else:
        context.explain(
            "several run, name one with -c FILE, --process, or --role:\n"
            + "\n".join(f"  {_named(each.ask('GET', STATUS))}" for each in live),
            "not-running",
        )
    return None


def _state_dir_in(config: str, environ: Mapping[str, str]) -> str:
    """The state directory that a configuration file names; empty if it names none, or cannot be read."""
    if not config:
        return ""
    with contextlib.suppress(ConfigurationError):
        text = render(read_text(config), environ).text
        table = parse_document(text, os.path.splitext(config)[1], strict=False).value
        if isinstance(table, dict):
            folded = {str(key).casefold(): value for key, value in table.items()}
            return str(folded.get("statedir") or "")
    return ""


def _named(report: dict[str, Any]) -> str:
    """How one of several can be told from the others."""
    return f"process {report['pid']}, {report['role']}, {report['config'] or 'without a file'}"


def _programs(
    context: CommandContext, roles: Iterable[str], state: StateDirectory | None, config: str
) -> Iterator[RunningProgram]:
    for role in roles:
        for folder in control_folders(context.environ, state, role):
            if config:
                yield RunningProgram(folder / socket_name(role, config), role)
                continue
            with contextlib.suppress(OSError):
                for name in sorted(os.listdir(folder)):
                    if is_socket_of(role, name):
                        yield RunningProgram(folder / name, role)


def _lives(program: RunningProgram, denied: list[str]) -> bool:
    """Whether a program listens; takes down what may not be asked."""
    try:
        return program.is_there()
    except PermissionError:
        denied.append(str(program.path))
        return False

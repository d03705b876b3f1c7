"""``relaykit status``, ``reload`` and ``stop``: what a program that runs is asked over its control socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.administration.report import RELOAD, STATUS, STOP
from relaykit.commands.loading import chosen_file
from relaykit.commands.status.parts import duration
from relaykit.commands.status.view import users_text
from relaykit.control_sockets import control_folders, is_socket_of, reachable_path, socket_name
from relaykit.errors import RelaykitError
from relaykit.options import Effect
from relaykit.state import StateDirectory

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["ANSWER_S", "WATCH_S", "run_reload", "run_status", "run_stop"]

ANSWER_S = 60.0
"""Seconds that a program gets to answer: a reload may wait for a login, which is given up after ten or so."""

WATCH_S = 2.0
"""Seconds between two looks."""

_CLEAR = "\x1b[H\x1b[2J"
_ROLES = ("server", "client")
_EFFECTS = {
    Effect.AT_ONCE: "From now on",
    Effect.AT_LOGIN: "In new sessions",
    Effect.AFTER_RESTART: "Only after a restart",
}


def run_status(context: CommandContext, *, as_json: bool, watch: bool, **where: Any) -> int:
    """Shows how a program stands, once or again and again."""
    program = _program(context, **where)
    if program is None:
        return 1
    while True:
        try:
            report = program.ask("GET", STATUS)
        except RelaykitError as error:
            context.explain(error)
            return 1
        if watch and not as_json and context.stdout.isatty():
            context.write(_CLEAR)
        context.say(json.dumps(report) if as_json else "\n".join(_lines(report)))
        if not watch:
            return 0
        time.sleep(WATCH_S)


def run_reload(context: CommandContext, **where: Any) -> int:
    """Has a program read its configuration again, and says what has changed."""
    program = _program(context, **where)
    if program is None:
        return 1
    try:
        changed = program.ask("POST", RELOAD)
    except RelaykitError as error:
        context.complain(str(error))
        context.complain("Nothing has changed.")
        return 1
    context.say("Read again: proxies and visitors are as the file says.")
    for when, words in _EFFECTS.items():
        if keys := changed.get(when.value):
            context.say(f"{words}: {', '.join(keys)}")
    return 0


def run_stop(context: CommandContext, **where: Any) -> int:
    """Has a program end, in order."""
    program = _program(context, **where)
    if program is None:
        return 1
    try:
        program.ask("POST", STOP)
    except RelaykitError as error:
        context.explain(error)
        return 1
    context.say("It ends once its users have had their seconds.")
    return 0


@frozen
class _Program:
    """A program that runs, by its socket."""

    path: Path

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """What it answers.

        :raises RelaykitError: it cannot, or does not.
        """
        connection = _Connection(self.path)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RelaykitError(
                f"the program at {self.path} does not answer: {error}", problem="not-running"
            ) from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RelaykitError(str(body.get("Msg", "it refuses")).removeprefix("invalid argument: "))
        assert isinstance(body, dict)
        return body


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = _dialed(self._path)


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


def _program(
    context: CommandContext, *, config: str, file: str, state_dir: str, role: str | None
) -> _Program | None:
    """The program that is meant; None, and said so, if there is not exactly one."""
    config = chosen_file(config, file)
    roles = (role,) if role else _ROLES
    state = StateDirectory.find(state_dir, context.environ)
    if not hasattr(socket, "AF_UNIX"):
        context.explain("this system has no sockets for that", "not-running")
        return None
    denied: list[str] = []
    live = [each for each in dict.fromkeys(_sockets(context, roles, state, config)) if _lives(each, denied)]
    if len(live) == 1:
        return _Program(live[0])
    what = f"with {config}" if config else "with a control socket"
    if denied and not live:
        context.explain(f"{denied[0]} is somebody else's: ask as the user that it belongs to", "not-running")
    elif not live:
        context.explain(
            f"no {' or '.join(roles)} runs {what}, as far as can be seen from here", "not-running"
        )
    else:
        context.explain(
            "several run, name one with -c FILE, or --role:\n"
            + "\n".join(f"  {_Program(each).ask('GET', STATUS)['config'] or each}" for each in live),
            "not-running",
        )
    return None


def _sockets(
    context: CommandContext, roles: Iterable[str], state: StateDirectory | None, config: str
) -> Iterator[Path]:
    for role in roles:
        for folder in control_folders(context.environ, state, role):
            if config:
                yield folder / socket_name(role, config)
                continue
            with contextlib.suppress(OSError):
                yield from (folder / name for name in sorted(os.listdir(folder)) if is_socket_of(role, name))


def _lives(path: Path, denied: list[str]) -> bool:
    """Whether a program listens; takes down what may not be asked."""
    try:
        _dialed(path).close()
    except PermissionError:
        denied.append(str(path))
        return False
    except OSError:
        return False
    return True


def _lines(report: dict[str, Any]) -> Iterator[str]:
    named = f", {report['config']}" if report["config"] else ""
    yield f"relaykit {report['role']} {report['version']}, process {report['pid']}{named}"
    if report["role"] == "client":
        yield f"{_connection(report)}; {users_text(report['users'])}"
        rows = [
            (each["name"], each["type"], each["state"], users_text(each["users"]), _where(each))
            for each in report["proxies"]
        ]
        rows += [
            (
                each["name"],
                "visitor",
                "listening" if each["address"] else "closed",
                users_text(each["users"]),
                _where(each),
            )
            for each in report["visitors"]
        ]
    else:
        yield f"{report['state']}, port {report['port']}; {users_text(report['users'])}"
        rows = [
            (each["hostname"] or each["client_id"], "client", each["version"], each["address"], "")
            for each in report["clients"]
        ]
        rows += [
            (
                each["name"],
                each["type"],
                each["address"],
                users_text(each["users"]),
                f"of {each['client_id']}{_probed(each.get('probe'))}",
            )
            for each in report["proxies"]
        ]
    if rows:
        yield ""
        yield from _columns(rows)
    entries = [*report["proxies"], *report.get("visitors", ())]
    if wrong := [line for each in entries for line in _wrong(each)]:
        yield ""
        yield from wrong


def _connection(report: dict[str, Any]) -> str:
    if report["stopping"]:
        return "being stopped"
    if report["connected"]:
        return f"connected to {report['server']} for {report['for_seconds']:.0f} s"
    again = report["next_try_seconds"]
    return f"not connected to {report['server']}" + (
        "" if again is None else f", the next try is in {again:.0f} s"
    )


def _where(entry: dict[str, Any]) -> str:
    return " ".join(filter(None, (entry["address"], entry["reason"], entry["way"])))


def _probed(probe: dict[str, Any] | None) -> str:
    """What came of the last look, and how old that is."""
    if probe is None:
        return ""
    how = f"online, {1000 * probe['seconds']:.0f} ms" if probe["online"] else "NOT SERVED"
    return f"; {how}, looked at {duration(probe['seconds_ago'])} ago"


def _wrong(entry: dict[str, Any]) -> Iterator[str]:
    """What has gone wrong there last, of what is not told beside it."""
    probe = entry.get("probe")
    if probe is not None and probe["error"]:
        yield f"{entry['name']}: users would not be served: {probe['error']}"
    if entry.get("last_error"):
        ago = duration(entry["last_error_seconds"])
        yield f"{entry['name']}: {ago} ago a user was not served: {entry['last_error']}"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()

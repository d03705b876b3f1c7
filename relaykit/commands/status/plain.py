"""Tells in lines what happens to a client: for pipes, logs, and whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relaykit.commands.status.output import takes_output
from relaykit.commands.status.view import ConnectionState, EntryPoint, Snapshot, UserRequest

if TYPE_CHECKING:
    from twisted.logger import LogLevel

    from relaykit.commands.context import CommandContext
    from relaykit.commands.status.view import LastProblem

__all__ = ["PlainRenderer"]


class PlainRenderer:
    """Prints a line for whatever is new in a snapshot, and for each request; problems go to standard error.

    Requests are left out while nobody takes the lines, and counted.
    """

    period_s: float | None = None
    """Only changes are told, so there is nothing to do at regular times."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._state: ConnectionState | None = None
        self._was_connected = False
        self._nothing_open = False
        self._open: set[str] = set()
        self._ways: dict[str, str] = {}
        self._problem = ""
        self._left_out = 0

    def begin(self, on_key: Callable[[str], None]) -> None:
        """Lines are told from the first snapshot on; there are no keys."""

    def show(self, snapshot: Snapshot) -> None:
        """Tells what is new."""
        problem = snapshot.problem
        if problem is not None and problem.text != self._problem:
            self._problem = problem.text
            self._context.complain(_problem_text(problem))
        self._tell_state(snapshot)
        for each in snapshot.entry_points:
            if each.open and each.name not in self._open:
                self._context.say(_opened(each))
            if each.way and each.way != self._ways.get(each.name):
                self._context.say(f"[{each.name}] {each.way}")
        self._open = {each.name for each in snapshot.entry_points if each.open}
        self._ways = {each.name: each.way for each in snapshot.entry_points}

    def _tell_state(self, snapshot: Snapshot) -> None:
        state, is_new = snapshot.state, snapshot.state is not self._state
        nothing_open, was_open = snapshot.nothing_open, not self._nothing_open
        self._state, self._nothing_open = state, nothing_open
        self._was_connected |= state is ConnectionState.CONNECTED
        is_end = state in (ConnectionState.STOPPING, ConnectionState.ENDED)
        if nothing_open and was_open:
            self._context.say(f"{snapshot.state_text}{_again(snapshot)}")
        elif is_new and (self._was_connected or not is_end):
            self._context.say(snapshot.state_text)

    def tell(self, text: str) -> None:
        """Prints what is no part of a snapshot."""
        self._context.complain(text)

    def tell_log(self, line: str, level: LogLevel) -> None:
        """Nothing: whatever is worth a line has one."""

    def tell_request(self, request: UserRequest) -> None:
        """Prints what a user has asked for."""
        if not takes_output(self._context.stdout):
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        before = f"({left_out} requests are left out)\n" if left_out else ""
        self._context.say(before + _asked(request))

    def close(self) -> None:
        """Nothing is held."""


def _problem_text(problem: LastProblem) -> str:
    known = problem.known
    hint = "" if known is None else f"\n  {known.cause}\n  {known.remedy}"
    return f"problem: {problem.text}{hint}"


def _again(snapshot: Snapshot) -> str:
    waits = [each.asks_again_s for each in snapshot.entry_points if each.asks_again_s is not None]
    return f"; asks again in {min(waits):.0f} s" if waits else ""


def _opened(entry_point: EntryPoint) -> str:
    to = f" -> {entry_point.leads_to}" if entry_point.leads_to else ""
    where = f"on the other machine: {entry_point.line}" if entry_point.line else entry_point.where
    return f"[{entry_point.name}] open: {where}{to}"


def _asked(request: UserRequest) -> str:
    return (
        f"[{request.proxy}] {request.method} {request.target} -> {request.answer} "
        f"({request.took}, {request.size})"
    )

"""Tells in lines what happens to a client: for pipes, logs, and whoever asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.commands.status.view import ConnectionState, EntryPoint, Snapshot, state_text

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.commands.status.view import Problem

__all__ = ["PlainRenderer", "advice_lines"]


class PlainRenderer:
    """Prints a line for whatever is new in a picture; problems go to standard error."""

    period_s: float | None = None
    """Only changes are told, so there is nothing to do at regular times."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._standing: ConnectionState | None = None
        self._open: set[str] = set()
        self._problem: Problem | None = None

    def show(self, picture: Snapshot) -> None:
        """Tells what is new."""
        problem = picture.problem
        if problem is not None and problem is not self._problem:
            if self._problem is None or self._problem.text != problem.text:
                self._context.complain("\n".join((f"problem: {problem.text}", *advice_lines(problem))))
            self._problem = problem
        if picture.standing is not self._standing:
            before, self._standing = self._standing, picture.standing
            if picture.standing is not ConnectionState.STOPPING or before is ConnectionState.CONNECTED:
                self._context.say(state_text(picture))
        for entry_point in picture.entry_points:
            if entry_point.open and entry_point.name not in self._open:
                self._open.add(entry_point.name)
                self._context.say(_opened(entry_point))
            elif not entry_point.open:
                self._open.discard(entry_point.name)

    def tell(self, text: str) -> None:
        """Prints what is no part of a picture."""
        self._context.complain(text)

    def close(self) -> None:
        """Nothing is held."""


def advice_lines(problem: Problem) -> list[str]:
    """What a problem means and what to do, indented; nothing where that is not known."""
    known = problem.known
    return [] if known is None else [f"  {known.cause}", f"  {known.remedy}"]


def _opened(entry_point: EntryPoint) -> str:
    where = entry_point.url or entry_point.address or entry_point.hint
    to = f" -> {entry_point.leads_to}" if entry_point.leads_to else ""
    return f"[{entry_point.name}] open: {where}{to}"

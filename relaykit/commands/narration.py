"""Tells in lines what happens to a client: for pipes, logs, and whoever asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.commands.picture import Entrance, Picture, Standing, standing_text

if TYPE_CHECKING:
    from relaykit.commands.picture import Problem
    from relaykit.commands.surroundings import Surroundings

__all__ = ["Narrator", "advice_lines"]


class Narrator:
    """Prints a line for whatever is new in a picture; problems go to standard error."""

    period_s: float | None = None
    """Only changes are told, so there is nothing to do at regular times."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._standing: Standing | None = None
        self._open: set[str] = set()
        self._problem: Problem | None = None

    def show(self, picture: Picture) -> None:
        """Tells what is new."""
        problem = picture.problem
        if problem is not None and problem is not self._problem:
            if self._problem is None or self._problem.text != problem.text:
                self._around.complain("\n".join((f"problem: {problem.text}", *advice_lines(problem))))
            self._problem = problem
        if picture.standing is not self._standing:
            before, self._standing = self._standing, picture.standing
            if picture.standing is not Standing.STOPPING or before is Standing.CONNECTED:
                self._around.say(standing_text(picture))
        for entrance in picture.entrances:
            if entrance.open and entrance.name not in self._open:
                self._open.add(entrance.name)
                self._around.say(_opened(entrance))
            elif not entrance.open:
                self._open.discard(entrance.name)

    def tell(self, text: str) -> None:
        """Prints what is no part of a picture."""
        self._around.complain(text)

    def close(self) -> None:
        """Nothing is held."""


def advice_lines(problem: Problem) -> list[str]:
    """What a problem means and what to do, indented; nothing where that is not known."""
    known = problem.known
    return [] if known is None else [f"  {known.cause}", f"  {known.remedy}"]


def _opened(entrance: Entrance) -> str:
    where = entrance.url or entrance.address or entrance.hint
    to = f" -> {entrance.leads_to}" if entrance.leads_to else ""
    return f"[{entrance.name}] open: {where}{to}"

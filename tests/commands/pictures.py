"""Pictures for the tests of what shows them."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from relaykit.commands.known_problems import KNOWN_PROBLEMS
from relaykit.commands.picture import Entrance, Picture, Problem, Standing
from relaykit.errors import problem_of

__all__ = ["CONNECTED", "CONNECTING", "OPEN", "problem", "with_entrances"]

CONNECTING = Picture(at=10.0, server="relay.example:7000", standing=Standing.CONNECTING, seconds=0.0)
CONNECTED = evolve(CONNECTING, standing=Standing.CONNECTED, seconds=3723.0)
OPEN = Entrance(name="ssh", leads_to="127.0.0.1:22", open=True, address="relay.example:6000")


def with_entrances(*entrances: Entrance, **changes: Any) -> Picture:
    """A client that is connected, and where its users come in."""
    return evolve(CONNECTED, entrances=entrances, **changes)


def problem(text: str, at: float = 9.0) -> Problem:
    """Something that went wrong."""
    return Problem(text=text, known=KNOWN_PROBLEMS.get(problem_of(text)), at=at)

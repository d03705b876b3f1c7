"""Snapshots for the tests of what shows them."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from relaykit.commands.status.view import ConnectionState, EntryPoint, LastProblem, Snapshot, UserRequest
from relaykit.errors import problem_of
from relaykit.known_problems.table import KNOWN_PROBLEMS

__all__ = ["CONNECTED", "CONNECTING", "OPEN", "asked", "problem", "with_entry_points"]

CONNECTING = Snapshot(at=10.0, server="relay.example:7000", state=ConnectionState.CONNECTING, seconds=0.0)
CONNECTED = evolve(CONNECTING, state=ConnectionState.CONNECTED, seconds=3723.0)
OPEN = EntryPoint(name="ssh", leads_to="127.0.0.1:22", open=True, where="relay.example:6000")


def with_entry_points(*entry_points: EntryPoint, **changes: Any) -> Snapshot:
    """A client that is connected, and where its users come in."""
    return evolve(CONNECTED, entry_points=entry_points, **changes)


def problem(text: str, at: float = 9.0) -> LastProblem:
    """Something that went wrong."""
    return LastProblem(text=text, known=KNOWN_PROBLEMS.get(problem_of(text)), at=at)


def asked(target: str = "/", status: int | None = 200, took: str = "12 ms") -> UserRequest:
    """A request of a user."""
    return UserRequest(proxy="web", method="GET", target=target, status=status, took=took, size="1.2 kB")

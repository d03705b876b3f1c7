"""What is behind the ids of known problems, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import KnownProblem
from relaykit.administration.routes import Route
from relaykit.known_problems.table import KNOWN_PROBLEMS

__all__ = ["problem_routes"]


def problem_routes() -> Iterator[Route]:
    """Asking what a problem is."""
    yield Route(
        method="GET",
        path=f"{PREFIX}/problems/{{id}}",
        handler=_problem,
        failed=own_failure,
        summary="What is behind the id of a problem, and what to do about it.",
        told=KnownProblem,
    )


def _problem(call: Call) -> Answer:
    known = KNOWN_PROBLEMS.get(call.names["id"])
    if known is None:
        raise CallFailed(HTTPStatus.NOT_FOUND, "no such problem is known")
    told = KnownProblem(
        id=call.names["id"],
        title=known.title,
        cause=known.cause,
        remedy=known.remedy,
        is_for_client=known.is_for_client,
    )
    return json_answer(told)

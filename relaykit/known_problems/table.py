"""The table of known problems: what is behind a message, and what to do.

A message is not recognized by its words: the error or the log event that it comes from carries the id of
its problem (:func:`relaykit.errors.problem_of`).  The page of the documentation is made of this table, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.direct import DIRECT
from relaykit.known_problems.problem import KnownProblem
from relaykit.known_problems.programs import PROGRAMS
from relaykit.known_problems.proxies import PROXIES
from relaykit.known_problems.services import SERVICES
from relaykit.known_problems.sessions import SESSIONS
from relaykit.known_problems.trust import TRUST

__all__ = ["KNOWN_PROBLEMS", "with_hint"]

KNOWN_PROBLEMS: Final[Mapping[str, KnownProblem]] = {
    **SERVICES,
    **TRUST,
    **SESSIONS,
    **PROXIES,
    **DIRECT,
    **PROGRAMS,
}
"""All of them, by id."""


def with_hint(text: str, problem: str) -> str:
    """A message with what its problem means and what to do, each on a line of its own."""
    known = KNOWN_PROBLEMS.get(problem)
    return text if known is None else f"{text}\n  {known.cause}\n  {known.remedy}"

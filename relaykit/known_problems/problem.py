"""What is known of one kind of problem."""

from __future__ import annotations

from attrs import frozen

__all__ = ["KnownProblem"]


@frozen
class KnownProblem:
    """One kind of problem.

    :ivar cause: what happened, in a sentence or two.
    :ivar remedy: what to do about it.
    :ivar is_for_client: whether that is done where the client runs, also if the server told of it.
    """

    title: str
    cause: str
    remedy: str
    is_for_client: bool = False

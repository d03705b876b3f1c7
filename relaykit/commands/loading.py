"""Loads configurations for commands: what is wrong is said, line by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import RelaykitError
from relaykit.values import Secret

__all__ = ["LARGEST_TOKEN_FILE", "loaded_or_said", "read_token_file"]

LARGEST_TOKEN_FILE = 64 * 1024
"""Octets of a token file; a token has a few dozen.  Guards against a wrong path."""


class Loaded(Protocol):
    """What a loader answers: at least its warnings."""

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]: ...


LoadedT = TypeVar("LoadedT", bound=Loaded)


def loaded_or_said(load: Callable[[], LoadedT], say: Callable[[str], None]) -> LoadedT | None:
    """What ``load`` answers; None after having said every problem.  Warnings are said in any case."""
    try:
        loaded = load()
    except ConfigurationProblems as error:
        _warn(error.warnings, say)
        for problem in error.problems:
            say(str(problem))
        return None
    except RelaykitError as error:
        say(str(error))
        return None
    _warn(loaded.warnings, say)
    return loaded


def read_token_file(path: str) -> Secret:
    """The token in a file, without white space around it.

    :raises RelaykitError: the file cannot be read, or is empty.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
            token = file.read(LARGEST_TOKEN_FILE + 1)
    except OSError as error:
        raise RelaykitError(f"cannot read the token file {path}: {error.strerror}") from error
    if len(token) > LARGEST_TOKEN_FILE:
        raise RelaykitError(
            f"cannot use the token file {path}: it is larger than {LARGEST_TOKEN_FILE} octets"
        )
    if not token.strip():
        raise RelaykitError(f"cannot use the token file {path}: it is empty")
    return Secret(token.strip())


def _warn(warnings: tuple[ConfigurationProblem, ...], say: Callable[[str], None]) -> None:
    for warning in warnings:
        say(f"WARNING: {warning}")

"""Loads configurations for commands: what is wrong is said, line by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import RelaykitError
from relaykit.values import Secret

__all__ = ["LARGEST_SECRET_FILE", "loaded_or_said", "read_secret_file"]

LARGEST_SECRET_FILE = 64 * 1024
"""Bytes of a file with a secret; one has a few dozen.  Guards against a wrong path."""


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


def read_secret_file(path: str, what: str = "token") -> Secret:
    """The token, or another secret, in a file, without white space around it.

    :raises RelaykitError: the file cannot be read, or is empty.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
            secret = file.read(LARGEST_SECRET_FILE + 1)
    except OSError as error:
        raise RelaykitError(f"cannot read the {what} file {path}: {error.strerror}") from error
    if len(secret) > LARGEST_SECRET_FILE:
        raise RelaykitError(
            f"cannot use the {what} file {path}: it is larger than {LARGEST_SECRET_FILE} bytes"
        )
    if not secret.strip():
        raise RelaykitError(f"cannot use the {what} file {path}: it is empty")
    return Secret(secret.strip())


def _warn(warnings: tuple[ConfigurationProblem, ...], say: Callable[[str], None]) -> None:
    for warning in warnings:
        say(f"WARNING: {warning}")

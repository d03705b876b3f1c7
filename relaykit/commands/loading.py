"""Loading for a command: every problem and every warning is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import click

from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import RelaykitError

__all__ = ["chosen_file", "loaded_or_said"]


def chosen_file(config: str, file: str) -> str:
    """The file of ``-c FILE``, or of ``FILE`` alone; empty if there is none.

    :raises click.UsageError: two are named.
    """
    if config and file:
        raise click.UsageError(f"two configuration files are named, {config} and {file}")
    return config or file


class Loaded(Protocol):
    """What a loader answers: at least its warnings."""

    @property
    def warnings(self) -> tuple[ConfigurationProblem, ...]: ...


LoadedT = TypeVar("LoadedT", bound=Loaded)


def loaded_or_said(
    load: Callable[[], LoadedT],
    say: Callable[[str], None],
    told: Callable[[ConfigurationProblem], ConfigurationProblem] = lambda problem: problem,
) -> LoadedT | None:
    """What ``load`` answers; None after having said every problem.  Warnings are said in any case.

    :param told: answers how a problem is told to who has written no file.
    """
    try:
        loaded = load()
    except ConfigurationProblems as error:
        _warn(map(told, error.warnings), say)
        for problem in error.problems:
            say(str(told(problem)))
        return None
    except RelaykitError as error:
        say(str(error))
        return None
    _warn(map(told, loaded.warnings), say)
    return loaded


def _warn(warnings: Iterable[ConfigurationProblem], say: Callable[[str], None]) -> None:
    for warning in warnings:
        say(f"WARNING: {warning}")

"""What is wrong with a configuration: each problem with its place, and all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, field, frozen

from relaykit.errors import ConfigurationError
from relaykit.options import Problem

__all__ = ["ConfigurationProblem", "ConfigurationProblems", "Findings", "Report"]


@frozen(kw_only=True)
class ConfigurationProblem:
    """One problem: where it is, what it is, and what to do about it.

    ``file`` is the path as it was given, empty where the value came from a command line.  Lines and
    columns count from 1.  ``key`` is the path of the key, such as ``proxies[0].localPort``; lists
    count from 0.  ``subject`` names the proxy or visitor in question.
    """

    what: str
    key: str = ""
    hint: str = ""
    subject: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """Where it is, as far as that is known, such as ``frpc.toml:12``."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part not in ("", None))

    def __str__(self) -> str:
        key = f"{self.key} ({self.subject})" if self.subject else self.key
        text = ": ".join(part for part in (self.place, key, self.what) if part)
        return f"{text} ({self.hint})" if self.hint else text


class ConfigurationProblems(ConfigurationError):
    """The configuration cannot be used; ``problems`` holds every reason, in the order of the files.

    ``warnings`` holds what would have been warned about.
    """

    def __init__(
        self,
        problems: Iterable[ConfigurationProblem],
        warnings: Iterable[ConfigurationProblem] = (),
    ) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@define
class Findings:
    """What a check of options found, by key from the table that was checked."""

    problems: list[Problem] = field(factory=list)
    warnings: list[Problem] = field(factory=list)

    def add(self, found: Iterable[Problem], prefix: str = "") -> None:
        """Adds problems of a table below this one."""
        self.problems.extend(_prefixed(found, prefix))

    def warn(self, found: Iterable[Problem], prefix: str = "") -> None:
        """Adds warnings of a table below this one."""
        self.warnings.extend(_prefixed(found, prefix))


@define
class Report:
    """Collects the problems and the warnings of one configuration, over all its files."""

    problems: list[ConfigurationProblem] = field(factory=list)
    warnings: list[ConfigurationProblem] = field(factory=list)

    def raise_problems(self) -> None:
        """Ends the reading of a configuration that has problems.

        :raises ConfigurationProblems: there is at least one.
        """
        if self.problems:
            raise self.to_error()

    def to_error(self) -> ConfigurationProblems:
        """Everything that was collected, file by file, each in the order of its lines."""
        files = list(dict.fromkeys(problem.file for problem in self.problems))
        return ConfigurationProblems(
            sorted(self.problems, key=lambda each: (files.index(each.file), each.line or 0)), self.warnings
        )


def _prefixed(found: Iterable[Problem], prefix: str) -> Iterator[Problem]:
    if not prefix:
        return iter(found)
    return (Problem(f"{prefix}.{each.key}" if each.key else prefix, each.reason) for each in found)

"""Tests for what a command says of what it loads."""

from __future__ import annotations

from attrs import evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.loading import loaded_or_said
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import BrokenProxyType

ODD = ConfigurationProblem(what="is odd", key="a")
BAD = ConfigurationProblem(what="is bad", key="b")


@frozen
class Loaded:
    """Something that was loaded."""

    warnings: tuple[ConfigurationProblem, ...] = (ODD,)


class LoadedOrSaidTests(SynchronousTestCase):
    """Tests for :func:`loaded_or_said`."""

    def test_loaded(self) -> None:
        """What was loaded is answered after its warnings were said."""
        said: list[str] = []
        self.assertEqual(loaded_or_said(Loaded, said.append), Loaded())
        self.assertEqual(said, ["WARNING: a: is odd"])

    def test_problems(self) -> None:
        """Every problem is said, after the warnings."""
        said: list[str] = []

        def load() -> Loaded:
            raise ConfigurationProblems([BAD, ODD], [ODD])

        self.assertIsNone(loaded_or_said(load, said.append))
        self.assertEqual(said, ["WARNING: a: is odd", "b: is bad", "a: is odd"])

    def test_told(self) -> None:
        """Problems and warnings can be told in other words."""
        said: list[str] = []

        def load() -> Loaded:
            raise ConfigurationProblems([BAD], [ODD])

        self.assertIsNone(loaded_or_said(load, said.append, lambda problem: evolve(problem, key="--flag")))
        self.assertEqual(said, ["WARNING: --flag: is odd", "--flag: is bad"])

    def test_other_errors(self) -> None:
        """Any other error that is raised on purpose is said too."""
        said: list[str] = []

        def load() -> Loaded:
            raise BrokenProxyType("cannot be used")

        self.assertIsNone(loaded_or_said(load, said.append))
        self.assertEqual(said, ["cannot be used"])

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems, Findings, Report
from relaykit.options import Problem


class ProblemTests(SynchronousTestCase):
    """Tests for how problems read."""

    def test_rendered(self) -> None:
        """A problem says as much as is known of its place, then key, subject, words and hint."""
        for problem, text in (
            (ConfigurationProblem(what="w"), "w"),
            (ConfigurationProblem(what="w", file="f"), "f: w"),
            (ConfigurationProblem(what="w", file="f", line=3, column=4), "f:3:4: w"),
            (ConfigurationProblem(what="w", key="k"), "k: w"),
            (
                ConfigurationProblem(what="w", key="k", subject='proxy "a"', file="f", line=3, hint="h"),
                'f:3: k (proxy "a"): w (h)',
            ),
        ):
            self.assertEqual(str(problem), text)


class ReportTests(SynchronousTestCase):
    """Tests for the collection of problems."""

    def test_order(self) -> None:
        """Problems are sorted by line, file by file, in the order in which files came up."""
        report = Report()
        report.raise_problems()
        for file, line in (("b", 2), ("a", 9), ("b", 1), ("a", None)):
            report.problems.append(ConfigurationProblem(what="w", file=file, line=line))
        report.warnings.append(ConfigurationProblem(what="careful"))
        error = self.assertRaises(ConfigurationProblems, report.raise_problems)
        self.assertEqual([problem.place for problem in error.problems], ["b:1", "b:2", "a", "a:9"])
        self.assertEqual(str(error), "b:1: w\nb:2: w\na: w\na:9: w")
        self.assertEqual([str(warning) for warning in error.warnings], ["careful"])


class FindingsTests(SynchronousTestCase):
    """Tests for what checks find."""

    def test_prefix(self) -> None:
        """Findings of an inner table get the path of that table."""
        found = Findings()
        found.add([Problem("a", "x"), Problem("", "y")], "t")
        found.warn([Problem("b", "z")])
        self.assertEqual(found.problems, [Problem("t.a", "x"), Problem("t", "y")])
        self.assertEqual(found.warnings, [Problem("b", "z")])

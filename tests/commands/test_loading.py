"""Tests for how commands load configurations."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.loading import LARGEST_SECRET_FILE, loaded_or_said, read_secret_file
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.errors import BrokenProxyType, RelaykitError

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

    def test_other_errors(self) -> None:
        """Any other error that is raised on purpose is said too."""
        said: list[str] = []

        def load() -> Loaded:
            raise BrokenProxyType("cannot be used")

        self.assertIsNone(loaded_or_said(load, said.append))
        self.assertEqual(said, ["cannot be used"])


class ReadTokenFileTests(SynchronousTestCase):
    """Tests for :func:`read_secret_file`."""

    def file(self, content: bytes) -> str:
        """The path of a file with this content."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)

    def test_token(self) -> None:
        """White space around a token does not count; bytes that are no text are kept."""
        self.assertEqual(read_secret_file(self.file(b" s3cret\xff \r\n")).to_bytes(), b"s3cret\xff")

    def test_refused(self) -> None:
        """A file that is not there, is empty or far too large is told with its path."""
        for path, reason in (
            ("nosuch", "cannot read the token file nosuch: No such file or directory"),
            (self.file(b" \n"), "it is empty"),
            (self.file(b"x" * (LARGEST_SECRET_FILE + 1)), "it is larger"),
        ):
            with self.assertRaises(RelaykitError) as caught:
                read_secret_file(path)
            self.assertIn(reason, str(caught.exception))

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.reading import includes
from relaykit.config.reading.includes import included_files


class IncludedFilesTests(SynchronousTestCase):
    """Tests for the files that a pattern means."""

    def setUp(self) -> None:
        """Makes a directory with files."""
        self.cwd = os.path.abspath(self.mktemp())
        for name in ("confd/b.toml", "confd/a.toml", "confd/a.yaml", "confd/.hidden", "confd/sub/c.toml"):
            path = Path(self.cwd, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def found(self, pattern: str) -> list[str]:
        """The names of the files that a pattern means."""
        return [os.path.basename(path) for path in included_files(pattern, self.cwd)]

    def test_patterns(self) -> None:
        """Files are found by name, in order; directories are not, and dot files are."""
        for pattern, names in (
            ("confd/*.toml", ["a.toml", "b.toml"]),
            ("./confd/*", [".hidden", "a.toml", "a.yaml", "b.toml"]),
            ("confd/[ab].toml", ["a.toml", "b.toml"]),
            ("confd/[^a].toml", ["b.toml"]),
            ("confd/[a-b].*", ["a.toml", "a.yaml", "b.toml"]),
            ("confd/?.yaml", ["a.yaml"]),
            ("confd/a.toml", ["a.toml"]),
            ("confd/c.toml", []),
            ("confd/[b-a].toml", []),
            ("confd/[^b-a].toml", ["a.toml", "b.toml"]),
            ("confd/A.toml", []),
        ):
            self.assertEqual(self.found(pattern), names, pattern)

    def test_nothing(self) -> None:
        """Patterns that are not closed, directories and nothing at all mean no file."""
        for pattern in ("confd/[a.toml", "confd/a\\", "confd/[]a]", "confd", "confd/", ""):
            self.assertEqual(self.found(pattern), [], pattern)

    def test_absolute(self) -> None:
        """Paths are absolute, relative patterns are resolved against the working directory."""
        expected = [os.path.join(self.cwd, "confd", "b.toml")]
        self.assertEqual(included_files("confd/b*", self.cwd), expected)
        self.assertEqual(included_files(os.path.join(self.cwd, "confd/b*"), "/"), expected)

    def test_no_directory(self) -> None:
        """A directory that is not there is an error, also where its name looks like a pattern."""
        self.assertRaises(FileNotFoundError, included_files, "nodir/*.toml", self.cwd)
        self.assertRaises(FileNotFoundError, included_files, "*/a.toml", self.cwd)

    def test_bounded(self) -> None:
        """A pattern that means too many files is refused."""
        self.patch(includes, "MOST_FILES", 1)
        self.assertRaisesRegex(ValueError, "more than 1 files", included_files, "confd/*.toml", self.cwd)

    @given(st.text(alphabet="ab.*?[]^-\\toml", max_size=12))
    def test_junk(self, pattern: str) -> None:
        """Any pattern means some of the files that are there."""
        for path in included_files(f"confd/{pattern}", self.cwd):
            self.assertTrue(os.path.isfile(path))

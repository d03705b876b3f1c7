"""The documentation keeps its own rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.layering import ROOT

DOCS = ROOT / "docs"
_INCLUDE = re.compile(r"^\s*\.\. literalinclude:: (\S+)$", re.MULTILINE)


def _pages() -> dict[Path, str]:
    pages = sorted(path for path in DOCS.rglob("*.rst") if "_build" not in path.parts)
    return {path.relative_to(DOCS): path.read_text("utf-8") for path in pages}


class PagesTests(SynchronousTestCase):
    """Tests for the sources of the pages."""

    def test_no_code_in_pages(self) -> None:
        """Whatever a reader may copy is a file in ``docs/listings/``, where it can be tested."""
        for path, text in _pages().items():
            found = re.findall(
                r"^\s*\.\. (?:code|code-block|sourcecode|parsed-literal)::", text, re.MULTILINE
            )
            found += re.findall(r"^\s*[^.\s].*::$", text, re.MULTILINE)
            self.assertEqual(found, [], str(path))

    def test_listings_are_shown(self) -> None:
        """Every listing is shown on a page, and every listing that is shown exists."""
        shown = {
            (DOCS / path.parent / target).resolve()
            for path, text in _pages().items()
            for target in _INCLUDE.findall(text)
        }
        there = {path for path in (DOCS / "listings").rglob("*") if path.is_file() and path.suffix != ".pyc"}
        self.assertEqual({path for path in shown if not path.is_file()}, set())
        self.assertEqual(there - shown, set())

    def test_line_length(self) -> None:
        """Pages are as wide as the code, so that a change is easy to review."""
        long = [
            f"{path}:{number}"
            for path, text in _pages().items()
            for number, line in enumerate(text.splitlines(), 1)
            if len(line) > 120
        ]
        self.assertEqual(long, [])


class ShellListingTests(SynchronousTestCase):
    """Tests for the commands that are shown."""

    def test_syntax(self) -> None:
        """Every shell listing can be parsed by a shell."""
        listings = sorted((DOCS / "listings").rglob("*.sh"))
        self.assertNotEqual(listings, [])
        for path in listings:
            done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path.name)

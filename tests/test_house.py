"""The files around the code agree with each other."""

from __future__ import annotations

import configparser
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.layering import ROOT

_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")


class HouseTests(SynchronousTestCase):
    """Tests for the configuration of the project."""

    def test_lowest_versions(self) -> None:
        """``mindeps.txt`` pins exactly the minimums that ``setup.cfg`` declares."""
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        declared = dict(_REQUIREMENT.findall(setup["options"]["install_requires"]))
        pinned = dict(
            line.split("==")
            for line in (ROOT / "mindeps.txt").read_text().splitlines()
            if not line.startswith("#")
        )
        self.assertEqual(pinned, declared)

    def test_commands_of_the_readme(self) -> None:
        """The README has two commands, and the second one runs the tests: ``.ci/run`` runs both."""
        commands = re.findall(r"^```sh\n(.*)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE)
        self.assertEqual(len(commands), 2)
        self.assertIn("relaykit demo --once", commands[0])
        self.assertIn("twisted.trial", commands[1])

    def test_news_fragments(self) -> None:
        """Each news fragment names an issue and a kind that the changelog knows."""
        for path in (ROOT / "newsfragments").iterdir():
            if path.name not in ("README.rst", ".gitignore"):
                self.assertRegex(path.name, r"^\d+\.(feature|bugfix|doc|removal|misc)(\.\d+)?\.rst$")
                self.assertTrue(path.read_text().strip().endswith("."), path.name)

"""The container file: what it builds, as far as that can be told without building it."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.program import RELAYKIT
from tests.layering import ROOT


class ContainerTests(SynchronousTestCase):
    """Tests for ``Containerfile``."""

    def setUp(self) -> None:
        """Reads the instructions, each on one line, stage by stage."""
        text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.stages: list[list[tuple[str, str]]] = [[]]
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "FROM":
                self.stages.append([])
            self.stages[-1].append((word, rest.strip()))

    def values(self, word: str) -> list[str]:
        """What an instruction says in the last stage."""
        return [rest for name, rest in self.stages[-1] if name == word]

    def test_stages(self) -> None:
        """What builds is not in the image: it takes the installed programs from the first stage."""
        self.assertEqual(len(self.stages), 3)
        self.assertEqual(self.values("COPY"), ["--from=build /opt/relaykit /opt/relaykit"])

    def test_user(self) -> None:
        """The program does not run as root, and its state outlives it."""
        (user,) = self.values("USER")
        self.assertGreater(int(user), 0)
        self.assertTrue(any(f"--uid {user}" in run for run in self.values("RUN")))
        self.assertIn("STATE_DIRECTORY=/var/lib/relaykit", self.values("ENV")[0])
        self.assertEqual(self.values("VOLUME"), ["/var/lib/relaykit"])

    def test_command(self) -> None:
        """What it runs is a command line that relaykit takes."""
        words = re.findall(r'"([^"]+)"', self.values("ENTRYPOINT")[0] + self.values("CMD")[0])
        self.assertEqual(words[0], "relaykit")
        command = RELAYKIT.commands[words[1]]
        self.assertTrue(command.make_context(words[1], words[2:]).params["quick"])

    def test_context(self) -> None:
        """What the build needs is not kept from it."""
        ignored = (ROOT / ".containerignore").read_text().split()
        needed = {"relaykit", "twisted", "man", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"}
        self.assertEqual(needed & set(ignored), set())

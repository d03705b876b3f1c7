"""Tests for ``relaykit completion``: the scripts are run by the shells, where these are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.commands.completion import SHELLS, bash_script, fish_script, zsh_script
from relaykit.commands.frpflags import FRPC, FRPS
from relaykit.commands.grammar import Command, Flag
from relaykit.commands.kinds import BOOLEAN, TEXT
from tests.commands.terminal import run_printed

ROOT_COMMAND = Command(
    "prog",
    "A program",
    action="x:y",
    flags=(Flag("version", BOOLEAN, "say it's the version", short="v"),),
    children=(
        Command(
            "serve",
            "Serve: it's all",
            action="x:y",
            flags=(
                Flag("config", TEXT, "a file", short="c"),
                Flag("state_dir", TEXT, "a folder"),
                Flag("name", TEXT, "a name"),
            ),
        ),
        Command("send", "Send", children=(Command("now", "Send at once", action="x:y"),)),
    ),
)

IN_BASH = """
source {script}
compopt() {{ :; }}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_prog
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

IN_ZSH = """
compdef() {{ : }}
_describe() {{ print -l -- ${{(P)@[-1]}} }}
_files() {{ print files $@ }}
source {script}
words=({words})
CURRENT=$#words
_prog
"""

IN_FISH = """
source {script}
complete -C {words}
"""


class ShellTestCase(SynchronousTestCase):
    """Completes words of :data:`ROOT_COMMAND` in a shell."""

    shell: str
    arguments: tuple[str, ...] = ()
    template: str

    def setUp(self) -> None:
        """Writes the script."""
        if shutil.which(self.shell) is None:
            raise SkipTest(f"there is no {self.shell} on this machine")
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "sub").mkdir(parents=True)
        (self.folder / "some.toml").touch()
        (self.folder / "script").write_text(SHELLS[self.shell](ROOT_COMMAND, True))

    def completed(self, *words: str) -> list[str]:
        """What the shell suggests for the last of these words."""
        typed = " ".join(f"'{word}'" for word in words)
        if self.shell == "fish":
            typed = f'"{" ".join(words)}"'
        done = subprocess.run(
            [self.shell, *self.arguments, "-c", self.template.format(script="./script", words=typed)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "TERM": "dumb"},
        )
        self.assertEqual(done.stderr, "")
        return done.stdout.split("\n")[:-1]


class BashTests(ShellTestCase):
    """Tests with bash."""

    shell = "bash"
    template = IN_BASH

    def test_commands(self) -> None:
        """Commands are completed at each level, flags beside them."""
        self.assertEqual(self.completed("prog", "se"), ["serve", "send"])
        self.assertEqual(self.completed("prog", "send", "n"), ["now"])
        self.assertEqual(self.completed("prog", "serve", "--s"), ["--state-dir"])

    def test_values(self) -> None:
        """Files and folders are completed where a flag takes them, nothing where it takes a word."""
        self.assertEqual(self.completed("prog", "serve", "--config", "so"), ["some.toml"])
        self.assertEqual(self.completed("prog", "serve", "-c", "so"), ["some.toml"])
        self.assertEqual(self.completed("prog", "serve", "--state-dir", "s"), ["sub"])
        self.assertEqual(self.completed("prog", "serve", "--name", "s"), [""])


class ZshTests(ShellTestCase):
    """Tests with zsh."""

    shell = "zsh"
    arguments = ("-f",)
    template = IN_ZSH

    def test_commands(self) -> None:
        """Commands and flags are offered with what they are for; zsh itself picks those that fit."""
        offered = self.completed("prog", "se")
        self.assertEqual(offered[:2], ["serve:Serve: it's all", "send:Send"])
        self.assertIn("--version:say it's the version", offered)
        self.assertIn("now:Send at once", self.completed("prog", "send", ""))

    def test_values(self) -> None:
        """Files and folders are completed where a flag takes them, nothing where it takes a word."""
        self.assertEqual(self.completed("prog", "serve", "-c", "so"), ["files"])
        self.assertEqual(self.completed("prog", "serve", "--state-dir", "s"), ["files -/"])
        self.assertEqual(self.completed("prog", "serve", "--name", "s"), [])


class FishTests(ShellTestCase):
    """Tests with fish."""

    shell = "fish"
    arguments = ("--no-config",)
    template = IN_FISH

    def test_commands(self) -> None:
        """Commands are completed at each level, with what they are for."""
        self.assertEqual(self.completed("prog", "se"), ["send\tSend", "serve\tServe: it's all"])
        self.assertEqual(self.completed("prog", "send", "n"), ["now\tSend at once"])
        self.assertEqual(self.completed("prog", "serve", "--st"), ["--state-dir\ta folder"])

    def test_values(self) -> None:
        """Files and folders are completed where a flag takes them, nothing where it takes a word."""
        self.assertEqual(self.completed("prog", "serve", "--config", "so"), ["some.toml"])
        self.assertIn("sub/", self.completed("prog", "serve", "--state-dir", "s")[0])
        self.assertEqual(self.completed("prog", "serve", "--name", "s"), [])


class ScriptTests(SynchronousTestCase):
    """Tests for what is in the scripts."""

    def test_every_command(self) -> None:
        """The scripts of relaykit know every command, those of proxy types and of frp's programs too."""
        for shell in SHELLS:
            printed = run_printed(["completion", shell])
            self.assertEqual((printed.status, printed.stderr), (0, ""))
            for words in ("relaykit systemd server", "relaykit visit", "relaykit frpc stcp visitor"):
                self.assertIn(words, printed.stdout, shell)

    def test_frp(self) -> None:
        """Frp's programs have scripts for their own names; PowerShell's is not there yet."""
        for program, make in ((FRPC, bash_script), (FRPS, zsh_script), (FRPC, fish_script)):
            shell = make.__name__.partition("_")[0]
            self.assertEqual(run_printed([program.name, "completion", shell]).stdout, make(program))
        self.assertEqual(run_printed(["frpc", "completion", "powershell"]).status, 1)

    def test_without_descriptions(self) -> None:
        """Descriptions can be left out."""
        for shell, described in (("zsh", "server:Run"), ("fish", "-d '")):
            self.assertIn(described, run_printed(["completion", shell]).stdout)
            script = run_printed(["completion", shell, "--no-descriptions"]).stdout
            self.assertFalse(described in script, shell)

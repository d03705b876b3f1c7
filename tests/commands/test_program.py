"""Tests for the commands of ``relaykit``: which there are."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.program import EXAMPLES, RELAYKIT
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from tests.commands.terminal import run_printed


class ProgramTests(SynchronousTestCase):
    """Tests for which commands there are."""

    def install(self, *references: ProxyTypeReference) -> None:
        """Has these types installed, and no others."""
        types = ProxyTypes.from_references(references)
        self.patch(ProxyTypes, "installed", lambda: types)

    def test_own_come_first(self) -> None:
        """A type cannot take the place of a command of relaykit."""
        self.install(ProxyTypeReference("token", "relaykit.proxies.tcp", commands=("token",)))
        self.assertEqual(run_printed(["token"]).status, 0)

    def test_listed(self) -> None:
        """Help lists the commands of the types, and shows each."""
        self.assertIn("\n  secret ", run_printed([]).stdout)
        self.assertIn("\n  visit ", run_printed(["--help"]).stdout)
        for words in (["help", "tcp"], ["tcp", "--help"], ["tcp", "-h"]):
            printed = run_printed(words)
            self.assertEqual((printed.status, printed.stderr), (0, ""))
            self.assertIn("relaykit tcp [OPTIONS] SERVICE", printed.stdout)
            self.assertIn("--remote-port PORT", printed.stdout)

    def test_examples(self) -> None:
        """The first lines that somebody may want to try are shown, and are ones that can be run."""
        self.assertIn("\n    relaykit demo ", run_printed([]).stdout)
        for words, _ in EXAMPLES:
            _, *rest = words.split()
            with RELAYKIT.make_context("relaykit", rest) as ctx:
                name, command, arguments = RELAYKIT.resolve_command(ctx, [*ctx.protected_args, *ctx.args])
                assert command is not None
                command.make_context(name, arguments, parent=ctx)

    def test_suggested(self) -> None:
        """A mistyped command of a type is suggested as any other."""
        printed = run_printed(["secert"])
        self.assertEqual(printed.status, 2)
        self.assertIn("Did you mean secret", printed.stderr)

    def test_line_break(self) -> None:
        """A list with a line break in it is a mistake like any other."""
        printed = run_printed(["verify", "-c", "x", "--allow-unsafe", "a\nb"])
        self.assertEqual(printed.status, 2)
        self.assertIn("has a line break", printed.stderr)

    def test_broken(self) -> None:
        """A command whose type cannot be used says why; help goes on without it."""
        self.install(ProxyTypeReference("odd", "tests.commands.no_such_module", commands=("odd",)))
        printed = run_printed(["odd", "22", "--remote-port", "1"])
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertIn("no_such_module", printed.stderr)
        printed = run_printed(["help"])
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertNotIn("\n  odd", printed.stdout)

    def test_duplicate(self) -> None:
        """Two packages with one type do not hide the commands of relaykit."""

        def twice() -> ProxyTypes:
            return ProxyTypes.from_references(
                [ProxyTypeReference("x", module, commands=("odd",)) for module in ("a", "b")]
            )

        self.patch(ProxyTypes, "installed", twice)
        self.assertIn("\n  server ", run_printed(["help"]).stdout)
        printed = run_printed(["odd", "22"])
        self.assertEqual(printed.status, 1)
        self.assertIn("is provided twice", printed.stderr)

    def test_unknown_topic(self) -> None:
        """Help for a command that does not exist fails."""
        printed = run_printed(["help", "systemd", "nosuch"])
        self.assertEqual((printed.status, printed.stdout), (2, ""))
        self.assertIn("no command 'systemd nosuch'", printed.stderr)

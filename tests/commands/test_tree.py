"""Tests for :mod:`relaykit.commands.tree`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.grammar import Call, Command, parse
from relaykit.commands.main import RELAYKIT
from relaykit.commands.tree import tree_for, tree_with, whole_tree
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from tests.commands.terminal import run_printed
from tests.commands.test_forms import BUILT_IN

OWN = {child.name for child in RELAYKIT.children}


def added(root: Command) -> set[str]:
    """The commands that are not relaykit's own."""
    return {child.name for child in root.children} - OWN


class TreeTests(SynchronousTestCase):
    """Tests for which commands there are."""

    def install(self, *references: ProxyTypeReference) -> None:
        """Has these types installed, and no others."""
        types = ProxyTypes.from_references(references)
        self.patch(ProxyTypes, "installed", lambda: types)

    def test_one(self) -> None:
        """A command of a type brings this one only; any other word brings all."""
        self.patch(ProxyTypes, "installed", lambda: BUILT_IN)
        self.assertEqual(added(tree_for(RELAYKIT, "secret")), {"secret"})
        self.assertEqual(added(tree_for(RELAYKIT, "help")), {"tcp", "secret", "visit"})
        self.assertEqual(added(whole_tree(RELAYKIT)), {"tcp", "secret", "visit"})

    def test_own_come_first(self) -> None:
        """A type cannot take the place of a command of relaykit."""
        self.install(ProxyTypeReference("tcp", "relaykit.proxies.tcp", commands=("tcp",)))
        (form,) = [child for child in tree_for(RELAYKIT, "tcp").children if child.name == "tcp"]
        mine = Command("tcp", "mine")
        self.assertEqual(tree_with(Command("relaykit", "", children=(mine,)), []).children, (mine,))
        self.assertNotEqual(form, mine)

    def test_listed(self) -> None:
        """Help lists the commands of the types, and shows each."""
        self.assertIn("\n  secret ", run_printed([]).stdout)
        self.assertIn("\n  visit ", run_printed(["--help"]).stdout)
        self.assertIn("relaykit tcp SERVICE [flags]", run_printed(["help", "tcp"]).stdout)
        self.assertIn("--remote-port int", run_printed(["tcp", "--help"]).stdout)

    def test_examples(self) -> None:
        """The first lines that somebody may want to try are shown, and are ones that can be run."""
        self.assertIn("\n  relaykit demo ", run_printed([]).stdout)
        for words, _ in RELAYKIT.examples:
            command, *rest = words.split()[1:]
            self.assertIsInstance(parse(tree_for(RELAYKIT, command), [command, *rest]), Call)

    def test_suggested(self) -> None:
        """A mistyped command of a type is suggested as any other."""
        printed = run_printed(["secert"])
        self.assertEqual(printed.status, 2)
        self.assertIn("\tsecret\n", printed.stderr)

    def test_later(self) -> None:
        """A type of frp that is not there yet says so."""
        self.install()
        printed = run_printed(["http", "8080", "--domain", "app.example"])
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertIn("the proxy type http is not available yet", printed.stderr)

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
            return ProxyTypes.from_references([ProxyTypeReference("x", "a"), ProxyTypeReference("x", "b")])

        self.patch(ProxyTypes, "installed", twice)
        self.assertIn("\n  server ", run_printed(["help"]).stdout)
        printed = run_printed(["tcp", "22"])
        self.assertEqual(printed.status, 1)
        self.assertIn("is provided twice", printed.stderr)

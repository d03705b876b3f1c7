"""Tests for network namespaces; those that need root are skipped elsewhere."""

from __future__ import annotations

import os

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.commands.demo.laboratory import check_machine
from relaykit.commands.demo.namespaces import Namespace, configure, entered, run
from relaykit.errors import RelaykitError

OWN = "/proc/thread-self/ns/net"


class ToolTests(SynchronousTestCase):
    """Tests for programs that are run to their end."""

    def test_printed(self) -> None:
        """What a program prints of what it reads is the answer."""
        self.assertEqual(run(["cat"], "a text"), "a text")

    def test_failed(self) -> None:
        """A program that fails is named, with what it said, unless that is of no interest."""
        command = ["sh", "-c", "echo no >&2; exit 3"]
        error = self.assertRaises(RelaykitError, run, command)
        self.assertEqual((str(error)[-10:], error.problem), ("failed: no", "laboratory"))
        self.assertEqual(run(command, check=False), "")


class NamespaceTests(SynchronousTestCase):
    """Tests with real ones."""

    def setUp(self) -> None:
        """Makes one, where there can be any."""
        try:
            check_machine()
        except RelaykitError as error:
            raise SkipTest(str(error)) from error
        self.own = os.readlink(OWN)
        self.namespace = Namespace()
        self.addCleanup(self.namespace.close)

    def test_entered(self) -> None:
        """The thread and the programs it starts are there, and it comes back, after an error, too."""
        self.assertEqual(os.readlink(OWN), self.own)
        with entered(self.namespace.path):
            there = os.readlink(OWN)
            self.assertEqual(run(["readlink", "/proc/self/ns/net"]).strip(), there)
        self.assertNotEqual(there, self.own)
        with self.assertRaises(ZeroDivisionError), entered(self.namespace.path):
            _ = 1 // 0
        self.assertEqual(os.readlink(OWN), self.own)

    def test_nowhere(self) -> None:
        """Where there is no namespace, the thread stays."""
        self.assertRaises(OSError, entered("/dev/null").__enter__)
        self.assertEqual(os.readlink(OWN), self.own)

    def test_configured(self) -> None:
        """Parameters are those of the namespace; what this kernel lacks is left."""
        with entered(self.namespace.path):
            configure({"ipv4/ip_default_ttl": "77", "ipv4/no_such_parameter": "1"})
            self.assertEqual(run(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]).strip(), "77")
        self.assertNotEqual(run(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]).strip(), "77")

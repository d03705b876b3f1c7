"""Tests for ``relaykit forget``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.remembered import Remembered, RememberedServers
from relaykit.commands.tunnels.logins import Login, RememberedLogins, ServerName
from relaykit.state import StateDirectory
from relaykit.values import Secret
from tests.commands.terminal import Printed, run_printed


class ForgetTests(SynchronousTestCase):
    """Tests for what is forgotten."""

    def setUp(self) -> None:
        """Makes a state directory that knows two ports of one host, and another host."""
        self.folder = Path(self.mktemp()).absolute()
        state = StateDirectory(self.folder)
        self.servers, self.logins = RememberedServers(state), RememberedLogins(state)
        for name in ("relay.example:7000", "other.example:7000"):
            self.servers.learn(name, Remembered(speaks_v2=True))
        for name in ("relay.example:7000", "relay.example:7001"):
            self.logins.remember(Login(server=ServerName.parse(name), token=Secret("t")))

    def forget(self, *words: str) -> Printed:
        """Runs the command."""
        return run_printed(["forget", *words, "--state-dir", str(self.folder)])

    def test_host(self) -> None:
        """All of a host is forgotten, what it proved and how to log in; nothing else is."""
        self.assertEqual(
            self.forget("relay.example"),
            Printed(0, "relay.example:7000 is forgotten\nrelay.example:7001 is forgotten\n"),
        )
        again = RememberedServers(StateDirectory(self.folder))
        self.assertEqual(again.get("relay.example:7000"), Remembered())
        self.assertTrue(again.get("other.example:7000").speaks_v2)
        self.assertIsNone(self.logins.latest())

    def test_port(self) -> None:
        """With a port, one server is forgotten."""
        self.assertEqual(self.forget("relay.example:7001"), Printed(0, "relay.example:7001 is forgotten\n"))
        self.assertIsNotNone(self.logins.find(ServerName("relay.example")))

    def test_nothing(self) -> None:
        """Where nothing is known, that is told; and what makes no sense is."""
        printed = self.forget("nobody.example")
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertIn("nothing is remembered of nobody.example", printed.stderr)
        self.assertIn("names no server", self.forget("a b").stderr)
        self.assertEqual(self.forget().status, 2)

"""Tests for ``relaykit demo``; that it works is shown in ``tests/integration``."""

from __future__ import annotations

from relaykit.commands.demo.relay import PATIENCE_S
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode
from tests.commands.fakes import FakeRole, RunningReactor
from tests.commands.serving import ServingTestCase
from tests.commands.terminal import run_printed


class DemoTests(ServingTestCase):
    """Tests for what is said when something does not work."""

    def test_server_fails(self) -> None:
        """A server that cannot start ends the demonstration with the reason."""
        self.role = FakeRole(ConnectionFailed("the port is taken"))
        printed = self.serve("demo", "--once", during=lambda: None)
        self.assertEqual((printed.status, printed.stderr.splitlines()[0]), (1, "the port is taken"))
        self.assertIn("a web page listens on 127.0.0.1:", printed.stdout)
        self.assertEqual(self.role.done[-1], "stopped")

    def test_refused(self) -> None:
        """A page that the server does not publish ends the demonstration with the reason."""
        self.role.refused = ProxyRefusedError(RefusalCode.OTHER, "[page] start error: no")
        printed = self.serve("demo", "--once", during=lambda: None)
        self.assertEqual(printed.stderr.splitlines()[0], "[page] start error: no")

    def test_too_slow(self) -> None:
        """A demonstration that gets nowhere ends, too."""
        self.role = FakeRole(decided=False)
        reactor = RunningReactor(lambda: reactor.advance(PATIENCE_S))
        printed = run_printed(["demo"], {}, lambda: reactor)
        self.assertEqual(printed.status, 1)
        self.assertEqual(
            printed.stderr.splitlines()[0], f"the page was not there after {PATIENCE_S:.0f} seconds"
        )

    def test_stopped(self) -> None:
        """A signal ends it, whatever it waits for."""
        self.role = FakeRole(decided=False)
        self.assertEqual(self.serve("demo").status, 0)
        self.assertEqual(self.role.done[-1], "stopped")

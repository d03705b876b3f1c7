"""Tests for ``relaykit plugins``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.known_problems import with_hint
from relaykit.errors import DuplicateProxyType
from relaykit.plugins import ProxyTypes
from tests.commands.terminal import Printed, run_printed, run_python


class PluginsTests(SynchronousTestCase):
    """Tests for the list of proxy types."""

    def test_list(self) -> None:
        """Every type is listed with its module."""
        printed = run_printed(["plugins"])
        rows = dict(line.split() for line in printed.stdout.splitlines())
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertEqual(rows["tcp"], "relaykit.proxies.tcp")
        self.assertEqual(rows["stcp"], "relaykit.proxies.stcp")

    def test_duplicates(self) -> None:
        """Two packages with a type of one name are told."""

        def refuse() -> ProxyTypes:
            raise DuplicateProxyType("provided twice")

        self.patch(ProxyTypes, "installed", refuse)
        self.assertEqual(
            run_printed(["plugins"]), Printed(1, "", with_hint("provided twice", "broken-type") + "\n")
        )

    def test_nothing_imported(self) -> None:
        """Listing imports no module of a type."""
        script = (
            "import sys; from relaykit.commands.main import main; main(['plugins']);"
            "print(*[name for name in sys.modules if name.startswith('relaykit.proxies')])"
        )
        self.assertEqual(run_python(script)[-1], "")

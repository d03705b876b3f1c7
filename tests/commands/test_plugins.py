"""Tests for ``relaykit plugins``."""

from __future__ import annotations

from importlib import metadata

from twisted.trial.unittest import SynchronousTestCase

from relaykit.plugins import ProxyTypeReference, ProxyTypes
from tests.commands.terminal import run_printed


class PluginsTests(SynchronousTestCase):
    """Tests for the list of proxy types."""

    def test_list(self) -> None:
        """Every type has its package with the version, its module, its commands, and what it is."""
        self.patch(metadata, "packages_distributions", lambda: {"relaykit": ["relaykit"]})
        self.patch(metadata, "version", lambda name: "1.2.3")
        printed = run_printed(["plugins"])
        rows = {line.split()[0]: line for line in printed.stdout.splitlines()}
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertRegex(
            rows["stcp"], "^stcp +relaykit 1.2.3 +relaykit.proxies.stcp +secret, visit +a service without"
        )
        self.assertRegex(rows["tcpmux"], "^tcpmux +relaykit 1.2.3 +relaykit.proxies.tcpmux +- +[a-z]")

    def test_not_installed(self) -> None:
        """A package that is run from where it is has no version."""
        self.patch(metadata, "packages_distributions", dict)
        self.assertRegex(run_printed(["plugins"]).stdout, r"(?m)^tcp +- +relaykit\.proxies\.tcp +tcp +a port")

    def test_unusable(self) -> None:
        """Types that cannot be used are marked, with the reason, beside those that can."""

        def installed() -> ProxyTypes:
            return ProxyTypes.from_references(
                [
                    ProxyTypeReference("twice", "a"),
                    ProxyTypeReference("twice", "b"),
                    ProxyTypeReference("broken", "tests.nosuch"),
                    ProxyTypeReference("tcp", "relaykit.proxies.tcp"),
                ]
            )

        self.patch(ProxyTypes, "installed", installed)
        printed = run_printed(["plugins"])
        self.assertEqual((printed.status, printed.stderr), (1, ""))
        broken, tcp, twice = printed.stdout.splitlines()
        self.assertIn('CANNOT BE USED: proxy type "twice" is provided twice, by a and by b', twice)
        self.assertIn("CANNOT BE USED: ", broken)
        self.assertNotIn("CANNOT", tcp)

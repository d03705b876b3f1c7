"""Every configuration that the documentation shows is one that relaykit accepts."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.load import load_client, load_server
from relaykit.plugins import ProxyTypes
from tests.layering import ROOT

LISTINGS = ROOT / "docs" / "listings"
_OF_SERVERS = ("server", "frps")
"""How the names of files begin that are for a server."""

_SUFFIXES = {".toml", ".yaml", ".yml", ".json"}

_OF_OTHERS = {"prometheus.yml", "kubernetes.yml"}
"""Files for other programs."""


def _configurations() -> list[Path]:
    found = sorted(path for path in LISTINGS.rglob("*") if path.suffix in _SUFFIXES)
    return [path for path in found if path.name not in _OF_OTHERS]


class ConfigurationListingTests(SynchronousTestCase):
    """Tests for the configuration files that are shown."""

    def test_accepted(self) -> None:
        """The real loader takes each of them, strictly and without a warning."""
        types = ProxyTypes.installed()
        shown = _configurations()
        self.assertNotEqual(shown, [])
        for path in shown:
            load = load_server if path.stem.startswith(_OF_SERVERS) else load_client
            token_given = any("--token-file" in line.read_text() for line in path.parent.glob("*.sh"))
            loaded = load(str(path), types=types, environ={}, token_given=token_given)
            self.assertEqual([str(warning) for warning in loaded.warnings], [])

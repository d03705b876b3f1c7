"""Tests for :mod:`relaykit.config.reading.type_keys`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.reading.type_keys import CLIENT_HALVES, SERVER_HALVES, type_keys
from relaykit.plugins import ProxyTypes
from tests.config.cases import builtin_types
from tests.config.test_load import Reference


class TypeKeysTests(SynchronousTestCase):
    """Tests for the keys that proxy types have at the top of a file."""

    def owners(self, types: ProxyTypes, *path: str) -> list[str]:
        """Whose key it is in the server's file."""
        return [each.type_name for each in type_keys(types, SERVER_HALVES).get(path, ())]

    def test_shared(self) -> None:
        """A key has every type that declares it, of those that are installed if one is; case is no matter."""
        self.assertEqual(self.owners(builtin_types(), "subdomainhost"), ["http", "https", "tcpmux"])
        self.assertEqual(self.owners(builtin_types(), "natholeanalysisdatareservehours"), ["xtcp"])

    def test_installed(self) -> None:
        """An installed type has a key for itself, whatever types that are not implemented say."""
        types = ProxyTypes.from_references([Reference("knock", "acme_knock")])
        self.assertEqual(self.owners(types, "subdomainhost"), ["knock"])
        self.assertEqual(self.owners(types, "knock", "timing", "wait"), ["knock"])

    def test_broken(self) -> None:
        """A type that cannot be used has no keys, and disturbs no other."""
        types = ProxyTypes.from_references([Reference("broken", "acme_broken")])
        self.assertEqual(self.owners(types, "natholeanalysisdatareservehours"), [])

    def test_halves(self) -> None:
        """The client's file has the keys of proxies and visitors, the server's those of ingresses."""
        self.assertIn(("udppacketsize",), type_keys(builtin_types(), CLIENT_HALVES))
        self.assertNotIn(("vhosthttpport",), type_keys(builtin_types(), CLIENT_HALVES))

"""The foreign package of ``tests/third_party/`` has no privileges, and relaykit does not know it.

Its own tests are in it; what it does in real programs is in :mod:`tests.integration.test_third_party`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.layering import LAYERS, ROOT, imports_of, layer_of, modules

PACKAGE = ROOT / "tests" / "third_party"

MAY_IMPORT = frozenset({"proxies", "local_services", "plugins", *LAYERS["proxies"].may_import})
"""What a foreign proxy type may use: what a built-in one may, and those to build on."""


class ForeignPackageTests(SynchronousTestCase):
    """Tests for the package's place."""

    def test_imports(self) -> None:
        """It imports what a built-in type may import; its tests use the test kit, too."""
        sources = [path for path in sorted(PACKAGE.rglob("*.py")) if "build" not in path.parts]
        self.assertNotEqual(sources, [])
        for path in sources:
            allowed = MAY_IMPORT | {"testing"} if path.name.startswith("test_") else MAY_IMPORT
            used = {layer_of(name) for name in imports_of(path) if name.split(".")[0] == "relaykit"}
            self.assertEqual(used - allowed, set(), path.name)

    def test_nobody_knows_it(self) -> None:
        """No module of relaykit names the package or its endpoint."""
        for path in modules():
            text = (ROOT / path).read_text("utf-8")
            for name in ("relaykit_knock", "shout"):
                self.assertNotIn(name, text, str(path))

    def test_plugins(self) -> None:
        """Its plugins stand beside those of Twisted: an ``__init__.py`` there would hide them."""
        self.assertEqual(list((PACKAGE / "twisted").rglob("__init__.py")), [])
        self.assertEqual(len(list((PACKAGE / "twisted" / "plugins").glob("*.py"))), 1)

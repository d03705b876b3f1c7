"""The arrows of :mod:`tests.layering` are kept."""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.layering import (
    CORE_LIBRARIES,
    FORBIDDEN_IN_CORES,
    LAYERS,
    ROOT,
    imports_of,
    layer_of,
    modules,
)


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


class LayeringTests(SynchronousTestCase):
    """Tests for the imports of every module."""

    def test_every_module_has_a_layer(self) -> None:
        """No part of the package stands outside of the table."""
        layers = {layer_of(_dotted(path)) for path in modules()} - {"", "__main__"}
        self.assertEqual(layers - set(LAYERS), set())

    def test_arrows(self) -> None:
        """A module imports only itself and what its layer may import."""
        wrong = []
        for path in modules():
            layer = layer_of(_dotted(path))
            if layer not in LAYERS:
                continue
            allowed = {layer, "", *LAYERS[layer].may_import}
            wrong += [
                f"{path} imports {name}"
                for name in sorted(imports_of(path))
                if name.split(".")[0] == "relaykit" and layer_of(name) not in allowed
            ]
        self.assertEqual(wrong, [])

    def test_no_circles(self) -> None:
        """The table itself has no two layers that import each other, not even around corners."""
        graph = {
            name: [name for name in layer.may_import if name != "sansio"] for name, layer in LAYERS.items()
        }
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            self.fail(f"a circle: {error.args[1]}")
        self.assertEqual(order[0], "values")

    def test_order_of_the_table(self) -> None:
        """The table lists each layer above those that it imports."""
        names = list(LAYERS)
        for name, layer in LAYERS.items():
            above = [other for other in layer.may_import if names.index(other) < names.index(name)]
            self.assertEqual(above, [], f"{name} stands below what it imports")

    def test_roles_are_strangers(self) -> None:
        """The server and the client never import each other, nor a proxy type."""
        for path in modules():
            if layer_of(_dotted(path)) in ("server", "client"):
                other = {"server": "client", "client": "server"}[layer_of(_dotted(path))]
                met = {layer_of(name) for name in imports_of(path) if name.startswith("relaykit.")}
                self.assertEqual(met & {other, "proxies"}, set(), str(path))

    def test_cores_are_pure(self) -> None:
        """A core imports no framework, and of the standard library no I/O, no clock, no chance."""
        wrong = []
        for path in modules():
            if layer_of(_dotted(path)) != "sansio":
                continue
            for name in sorted(imports_of(path)):
                top = name.split(".")[0]
                pure = top in sys.stdlib_module_names and top not in FORBIDDEN_IN_CORES
                if not (pure or top == "relaykit" or top in CORE_LIBRARIES):
                    wrong.append(f"{path} imports {name}")
        self.assertEqual(wrong, [])

    def test_initializers(self) -> None:
        """``twisted/`` and ``twisted/plugins/`` have no ``__init__.py``: Twisted would look past them."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

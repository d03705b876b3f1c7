from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template import nodes


class NodeTests(SynchronousTestCase):
    """Tests for the tree of a template."""

    def test_all(self) -> None:
        """Every node that a module may ask for is listed, and is frozen."""
        for name in nodes.__all__:
            node = getattr(nodes, name)
            if isinstance(node, type) and node.__module__ == nodes.__name__:
                self.assertTrue(attrs.has(node), name)
                self.assertRaises(AttributeError, setattr, object.__new__(node), "start", 1)

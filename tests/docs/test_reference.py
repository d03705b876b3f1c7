"""The configuration reference is complete."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.reference import reference
from relaykit.options import option_fields
from relaykit.plugins import ProxyTypes


class ReferenceTests(SynchronousTestCase):
    """Tests for what the reference is generated from."""

    def test_everything_is_described(self) -> None:
        """Every key that a file may have says what it means, and every table what it is for."""
        silent = [f"{entry.program} {entry.table} {entry.key}" for entry in reference() if not entry.doc]
        self.assertEqual(silent, [])
        self.assertEqual([entry.table for entry in reference() if not entry.table_doc], [])

    def test_proxy_types_are_described(self) -> None:
        """Every key of an installed proxy type says what it means."""
        for found in ProxyTypes.installed():
            proxy_type = found.load()
            for cls in (proxy_type.proxy_options, proxy_type.ingress_options):
                self.assertEqual([field.key for field in option_fields(cls) if not field.description], [])

"""Tests for the flags of proxies."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.flags.proxies import ANNOTATIONS, METADATAS, PROXY_NAME, TYPE_FLAGS
from relaykit.options import ProxyCommon, option_fields
from relaykit.plugins import ProxyTypes


class ProxyFlagsTests(SynchronousTestCase):
    """What the flags set is there."""

    def test_keys_of_types(self) -> None:
        """The flags of a type set keys of its own options."""
        types = ProxyTypes.installed()
        for name, flags in TYPE_FLAGS.items():
            keys = {field.key for field in option_fields(types.get(name).proxy_options)}
            self.assertLessEqual({flag.key for flag in flags}, keys, name)

    def test_keys_of_all(self) -> None:
        """The flags of every proxy set keys that all proxies have."""
        keys = {field.key for field in option_fields(ProxyCommon)}
        self.assertLessEqual({PROXY_NAME.key, METADATAS.key, ANNOTATIONS.key}, keys)

"""Tests for :mod:`relaykit.proxies.sudp.options`."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import from_wire, to_wire
from relaykit.proxies.sudp.options import SudpOptions, SudpVisitorOptions
from tests.proxies.sudp.scene import KEY


class SudpOptionsTests(SynchronousTestCase):
    """Tests for what travels."""

    def test_wire(self) -> None:
        """Secret and users travel in frp's fields, the size of datagrams not at all."""
        options = SudpOptions(secret_key=KEY, allow_users=("bob",), udp_packet_size=9000)
        travelled = msgspec.json.decode(msgspec.json.encode(to_wire(options)))
        self.assertEqual(travelled, {"sk": "s3cret", "allow_users": ["bob"]})
        self.assertEqual(from_wire(SudpOptions, travelled).udp_packet_size, 1500)

    def test_direct(self) -> None:
        """Whether a proxy is direct travels among relaykit's own fields; it is off, as with frp."""
        options = SudpOptions(secret_key=KEY, direct=True)
        travelled = msgspec.json.decode(msgspec.json.encode(to_wire(options)))
        self.assertEqual(travelled, {"sk": "s3cret", "relaykit": {"direct": True}})
        self.assertTrue(from_wire(SudpOptions, travelled).direct)
        self.assertFalse(SudpOptions().direct or SudpVisitorOptions().direct)

    def test_direct_needs_secret(self) -> None:
        """Without a secret nothing can be proven inside a direct path."""
        for cls in (SudpOptions, SudpVisitorOptions):
            (problem,) = cls(direct=True).problems()
            self.assertEqual(problem.key, "direct")
            self.assertEqual(list(cls(direct=True, secret_key=KEY).problems()), [])
            self.assertEqual(list(cls().problems()), [])

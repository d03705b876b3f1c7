"""Tests for the choice of a lane's format."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.extensions import BESIDE, DATAGRAMS, EXTENSIONS
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.lanes.codec import DatagramTooLarge
from relaykit.sansio.wire.framing import V1, V2
from relaykit.values import Address


class AgreementTests(SynchronousTestCase):
    """Tests for :func:`agreed_codec`."""

    def test_agreed(self) -> None:
        """Ends that both have the extension speak relaykit's format, all others frp's in their version."""
        own = agreed_codec(V2, EXTENSIONS)
        self.assertEqual((own.keep_alive.hex(), own.is_shared), ("000100", True))
        self.assertTrue(own.goes_beside)
        self.assertFalse(agreed_codec(V2, EXTENSIONS - {BESIDE}).goes_beside)
        for framing in (V1, V2):
            codec = agreed_codec(framing, EXTENSIONS - {DATAGRAMS})
            self.assertFalse(codec.is_shared or codec.goes_beside)
            self.assertIn(b"{}", codec.keep_alive)

    def test_size(self) -> None:
        """The size that is given bounds frp's format only."""
        user, size = Address("192.0.2.1", 1), 1501
        own, frp = agreed_codec(V2, EXTENSIONS, 1500), agreed_codec(V2, (), 1500)
        own.encode(own.key_of(user), bytes(size))
        self.assertRaises(DatagramTooLarge, frp.encode, frp.key_of(user), bytes(size))

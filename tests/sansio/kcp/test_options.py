"""Tests of the values that the ends are set to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.options import FRP_CLIENT, FRP_SERVER, FRP_TUNNEL


class OptionsTests(SynchronousTestCase):
    """What frp's ends are set to."""

    def test_windows(self) -> None:
        """A client's windows are smaller than those of a server and of a direct path."""
        self.assertEqual((FRP_CLIENT.send_window, FRP_CLIENT.receive_window), (128, 512))
        for each in (FRP_SERVER, FRP_TUNNEL):
            self.assertEqual((each.send_window, each.receive_window), (1024, 1024))

    def test_datagrams(self) -> None:
        """All of them send prefixes, and as much as 1350 bytes of KCP in a datagram."""
        for each in (FRP_CLIENT, FRP_SERVER, FRP_TUNNEL):
            self.assertEqual((each.has_prefix, each.segment_bytes), (True, 1350))

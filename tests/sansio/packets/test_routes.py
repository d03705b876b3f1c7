"""Tests for :mod:`relaykit.sansio.packets.routes`."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.packets.routes import refusal, route_request


def answer(number: int, kind: int = 2) -> bytes:
    """What the kernel answers."""
    return struct.pack("=IHHIIi", 36, kind, 0, 1, 0, -number) + bytes(16)


class RouteTests(SynchronousTestCase):
    """Requests and answers."""

    def test_request(self) -> None:
        """It names the address as a whole, and the device; another route is not replaced."""
        for text, family, bits, scope in (("10.0.0.2", 2, 32, 253), ("fd86::2", 10, 128, 0)):
            destination = ip_address(text)
            request = route_request(destination, 5)
            size, kind, flags, _, _ = struct.unpack_from("=IHHII", request)
            self.assertEqual((size, kind, flags), (len(request), 24, 0x605))
            self.assertEqual(
                struct.unpack_from("=8BI", request, 16), (family, bits, 0, 0, 254, 4, scope, 1, 0)
            )
            packed = destination.packed
            attributes = struct.pack("=HH", 4 + len(packed), 1) + packed + struct.pack("=HHi", 8, 4, 5)
            self.assertEqual(request[28:], attributes)

    def test_refusal(self) -> None:
        """An answer tells that it was done, or why not."""
        for number in (0, errno.EEXIST, errno.EPERM):
            self.assertEqual(refusal(answer(number)), number)
        self.assertEqual(refusal(answer(0, kind=24)), errno.EPROTO)

    def test_cut(self) -> None:
        """What is cut off before its end is no answer."""
        for size in range(20):
            self.assertEqual(refusal(answer(0)[:size]), errno.EPROTO)

    @given(st.binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Anything else is none either, or tells a number."""
        self.assertIsInstance(refusal(junk), int)

"""Tests of the datagrams that probes are."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.nathole.probes import PROBE_MAX_BYTES, ProbeCodec
from relaykit.sansio.wire.cipher import Encryptor, derive_key
from relaykit.sansio.wire.framing import encode_v1
from relaykit.sansio.wire.messages import Ping
from relaykit.values import Secret

PROBE = NatHoleSid(transaction_id="1700000000aaaaaaaaaaaaaaaa", sid="1700000001bbbbbbbbbbbbbbbb", nonce="000")
FRPS = bytes.fromhex(
    "000102030405060708090a0b0c0d0e0f"
    "9b740161fd1427c7a9b95af6e5f141e2848ed265ed36c3d2d95d2de2dcc92c720d3d3012877a02834a2799f53b1d18269cd9105c"
    "274903630dd2659ae88b06631359864b78380886296c67f8a5ae127717c25e707b17734c74522d00a93a156cfc79bb054d1517eecc"
)
"""What frp makes of the probe with the key ``abc`` and the vector 00 to 0f."""


def codec(secret: str = "abc") -> ProbeCodec:
    """What makes datagrams of probes with this secret, and the vector that frp's example has."""
    return ProbeCodec(Secret(secret), lambda count: bytes(range(count)))


class ProbeCodecTests(SynchronousTestCase):
    """Messages to datagrams and back."""

    def test_frps_own(self) -> None:
        """A probe is the datagram that frp makes of it, and is read back."""
        self.assertEqual(codec().encode(PROBE), FRPS)
        self.assertEqual(codec().decode(memoryview(FRPS)), PROBE)

    def test_other_secret(self) -> None:
        """Who knows another secret reads nothing."""
        self.assertIsNone(codec("abd").decode(FRPS))

    def test_other_message(self) -> None:
        """No other message is a probe, and neither is a null."""
        for frame in (encode_v1(Ping()), b"5" + (4).to_bytes(8, "big") + b"null"):
            datagram = b"".join(Encryptor(derive_key(b"abc"), bytes(16)).process(frame))
            self.assertIsNone(codec().decode(datagram))

    def test_too_large(self) -> None:
        """What is larger than frp's buffer is not looked at."""
        large = codec().encode(NatHoleSid(sid="s" * PROBE_MAX_BYTES))
        self.assertIsNone(codec().decode(large))

    @given(st.integers(0, len(FRPS) - 1))
    def test_cut(self, length: int) -> None:
        """A part of a probe is none."""
        self.assertIsNone(codec().decode(FRPS[:length]))

    @given(st.binary(max_size=PROBE_MAX_BYTES + 10), st.integers(0, 2**32))
    def test_junk(self, junk: bytes, seed: int) -> None:
        """Junk is no probe, and neither is a probe in which some bytes are others."""
        self.assertIsNone(codec().decode(junk))
        changed = bytearray(FRPS)
        changed[random.Random(seed).randrange(16, 25)] ^= 0x55
        self.assertIsNone(codec().decode(changed))

"""Tests of legs that encrypt and compress; the conformance suite of legs is in test_conformance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.transforms import transformed
from relaykit.interfaces import IStreamLeg
from relaykit.options import ProxyTransport
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended, Secret

TOKEN = Secret("a token")
BOTH = ProxyTransport(use_encryption=True, use_compression=True)


def entropy(length: int) -> bytes:
    """Bytes of chance that are always the same."""
    return bytes(range(length))


def pair(
    network: MemoryNetwork, encryption: bool = True, compression: bool = True
) -> tuple[IStreamLeg, IStreamLeg]:
    """Two transformed legs that understand each other."""
    near, far = network.pair()
    wanted = ProxyTransport(use_encryption=encryption, use_compression=compression)
    return transformed(near, wanted, TOKEN, entropy), transformed(far, wanted, TOKEN, entropy)


class TransformTests(SynchronousTestCase):
    """What transforms do to bytes, and to the life of a leg."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()

    def test_nothing_to_do(self) -> None:
        """Where neither is wanted the leg itself is the answer."""
        leg, _ = self.network.pair()
        self.assertIs(transformed(leg, ProxyTransport(), TOKEN, entropy), leg)

    def test_each_combination(self) -> None:
        """What one end writes the other end reads, in both directions."""
        for encryption, compression in ((True, False), (False, True), (True, True)):
            near, far = pair(self.network, encryption, compression)
            here, there = RecordingReceiver(near), RecordingReceiver(far)
            near.write(b"question " * 100)
            far.write_sequence([b"ans", b"wer"])
            self.network.flush()
            self.assertEqual((there.data, here.data), (b"question " * 100, b"answer"))

    def test_not_in_clear(self) -> None:
        """What travels is neither the payload nor as long."""
        near, plain = self.network.pair()
        leg = transformed(near, BOTH, TOKEN, entropy)
        seen = RecordingReceiver(plain)
        leg.write(b"secret words " * 100)
        self.network.flush()
        self.assertNotIn(b"secret words", seen.data)
        self.assertLess(len(seen.data), 200)

    def test_order_of_frp(self) -> None:
        """Bytes are compressed first and encrypted then, behind the IV."""
        near, plain = self.network.pair()
        leg = transformed(near, BOTH, TOKEN, entropy)
        seen = RecordingReceiver(plain)
        leg.write(b"hello")
        self.network.flush()
        other, far = self.network.pair()
        decrypted = RecordingReceiver(transformed(far, ProxyTransport(use_encryption=True), TOKEN, entropy))
        other.write(seen.data)
        self.network.flush()
        self.assertEqual(seen.data[:16], entropy(16))
        self.assertEqual(decrypted.data[:10], b"\xff\x06\x00\x00sNaPpY")

    def test_different_keys(self) -> None:
        """A peer with another key is noticed; the log says what to compare."""
        near, far = self.network.pair()
        leg = transformed(far, BOTH, TOKEN, entropy)
        received = RecordingReceiver(leg)
        with capturedLogs() as logged:
            near.write(b"\x00" * 64)
            self.network.flush()
        self.assertEqual((received.data, received.lost), (b"", Ended.PROTOCOL_ERROR))
        self.assertIn("same token", logged[0]["log_format"])

    @given(st.lists(st.binary(max_size=300), max_size=20))
    def test_any_portions(self, portions: list[bytes]) -> None:
        """However the payload is cut, it arrives whole and in order."""
        near, far = pair(self.network)
        RecordingReceiver(near)
        received = RecordingReceiver(far)
        for portion in portions:
            near.write(portion)
        self.network.flush()
        self.assertEqual(received.data, b"".join(portions))

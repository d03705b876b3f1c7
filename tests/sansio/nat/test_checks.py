"""Tests of the datagrams of a punch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat import stun
from relaykit.sansio.nat.checks import (
    CHECK_BYTES,
    Check,
    CheckKeys,
    CheckKind,
    PeerRole,
    has_check,
    is_check,
)

KEY = bytes(range(32))


def ends(key: bytes = KEY) -> tuple[CheckKeys, CheckKeys]:
    """The keys of both ends."""
    return CheckKeys(key, PeerRole.INITIATOR, b"a" * 32), CheckKeys(key, PeerRole.RESPONDER, b"b" * 32)


class CheckTests(SynchronousTestCase):
    """Writing and reading."""

    def test_golden(self) -> None:
        """A datagram is these forty bytes."""
        initiator, _ = ends()
        self.assertEqual(
            initiator.seal(CheckKind.PROBE, b"TOKEN678", 0x01020304).hex(),
            "08726b3124b46d67867fb828544f4b454e3637380102030454497981f64a9eb1c555efc7fe787141",
        )

    def test_each_kind(self) -> None:
        """What one end writes the other reads."""
        initiator, responder = ends()
        for kind in CheckKind:
            for writer, reader in ((initiator, responder), (responder, initiator)):
                data = writer.seal(kind, b"TOKEN678", 2**32 + 5)
                self.assertEqual(len(data), CHECK_BYTES)
                self.assertEqual(reader.open(data), Check(kind, b"TOKEN678", 5))
                self.assertTrue(is_check(data))

    def test_reflection(self) -> None:
        """Nobody reads what the own end wrote: it cannot be thrown back."""
        initiator, _ = ends()
        self.assertIsNone(initiator.open(initiator.seal(CheckKind.PROBE, b"TOKEN678", 5)))

    def test_other_session(self) -> None:
        """Another key is another session."""
        initiator, _ = ends()
        _, stranger = ends(bytes(32))
        self.assertIsNone(stranger.open(initiator.seal(CheckKind.PROBE, b"TOKEN678", 5)))

    def test_tokens(self) -> None:
        """Tokens differ between paths and between ends, and are the same each time."""
        initiator, responder = ends()
        self.assertEqual(initiator.token(b"x"), initiator.token(b"x"))
        self.assertEqual(len({initiator.token(b"x"), initiator.token(b"y"), responder.token(b"x")}), 3)

    def test_short_key(self) -> None:
        """A key of another size is a defect."""
        self.assertRaises(ValueError, CheckKeys, b"short", PeerRole.INITIATOR, b"a" * 32)

    def test_neighbors(self) -> None:
        """Neither STUN nor QUIC on the same socket is taken for a check, nor the other way round."""
        initiator, _ = ends()
        data = initiator.seal(CheckKind.PROBE, b"TOKEN678", 5)
        self.assertFalse(stun.is_stun(data))
        self.assertFalse(data[0] & 0x40)
        self.assertFalse(is_check(stun.binding_request(b"0123456789ab", software="x" * 12)))
        self.assertFalse(is_check(b"\x40" + data[1:]))

    def test_among_others(self) -> None:
        """One is found among others, some of them of its size."""
        initiator, _ = ends()
        check = initiator.seal(CheckKind.PROBE, b"TOKEN678", 5)
        others = [bytes(1200), b"\x40" + check[1:], b""]
        self.assertFalse(has_check(others))
        self.assertFalse(has_check([]))
        self.assertTrue(has_check([*others, check, bytes(1200)]))

    def test_every_cut(self) -> None:
        """No strategy of a datagram, and nothing longer, is one."""
        initiator, responder = ends()
        data = initiator.seal(CheckKind.PROBE, b"TOKEN678", 5)
        for end in range(CHECK_BYTES):
            self.assertIsNone(responder.open(data[:end]))
        self.assertIsNone(responder.open(data + b"\0"))

    @given(st.integers(0, CHECK_BYTES * 8 - 1))
    @settings(max_examples=100)
    def test_flipped_bits(self, place: int) -> None:
        """One flipped bit anywhere makes it nothing."""
        initiator, responder = ends()
        data = bytearray(initiator.seal(CheckKind.PROBE, b"TOKEN678", 5))
        data[place // 8] ^= 1 << place % 8
        self.assertIsNone(responder.open(data))

    @given(st.binary(min_size=CHECK_BYTES, max_size=CHECK_BYTES))
    @settings(max_examples=100)
    def test_junk(self, junk: bytes) -> None:
        """Junk of the right size is nothing."""
        self.assertIsNone(ends()[0].open(junk))

"""Tests of the datagrams of a punch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat import stun
from relaykit.sansio.nat.knocks import KNOCK_BYTES, Knock, KnockKeys, KnockKind, Role, is_knock

KEY = bytes(range(32))


def ends(key: bytes = KEY) -> tuple[KnockKeys, KnockKeys]:
    """The keys of both ends."""
    return KnockKeys(key, Role.CALLER, b"a" * 32), KnockKeys(key, Role.CALLEE, b"b" * 32)


class KnockTests(SynchronousTestCase):
    """Writing and reading."""

    def test_golden(self) -> None:
        """A datagram is these forty bytes."""
        caller, _ = ends()
        self.assertEqual(
            caller.seal(KnockKind.PROBE, b"TOKEN678", 0x01020304).hex(),
            "08726b3124b46d67867fb828544f4b454e3637380102030415b6c3cb134825b1887efb2ff72e20d2",
        )

    def test_each_kind(self) -> None:
        """What one end writes the other reads."""
        caller, callee = ends()
        for kind in KnockKind:
            for writer, reader in ((caller, callee), (callee, caller)):
                data = writer.seal(kind, b"TOKEN678", 2**32 + 5)
                self.assertEqual(len(data), KNOCK_BYTES)
                self.assertEqual(reader.open(data), Knock(kind, b"TOKEN678", 5))
                self.assertTrue(is_knock(data))

    def test_reflection(self) -> None:
        """Nobody reads what the own end wrote: it cannot be thrown back."""
        caller, _ = ends()
        self.assertIsNone(caller.open(caller.seal(KnockKind.PROBE, b"TOKEN678", 5)))

    def test_other_session(self) -> None:
        """Another key is another session."""
        caller, _ = ends()
        _, stranger = ends(bytes(32))
        self.assertIsNone(stranger.open(caller.seal(KnockKind.PROBE, b"TOKEN678", 5)))

    def test_tokens(self) -> None:
        """Tokens differ between paths and between ends, and are the same each time."""
        caller, callee = ends()
        self.assertEqual(caller.token(b"x"), caller.token(b"x"))
        self.assertEqual(len({caller.token(b"x"), caller.token(b"y"), callee.token(b"x")}), 3)

    def test_short_key(self) -> None:
        """A key of another size is a defect."""
        self.assertRaises(ValueError, KnockKeys, b"short", Role.CALLER, b"a" * 32)

    def test_neighbors(self) -> None:
        """Neither STUN nor QUIC on the same socket is taken for a knock, nor the other way round."""
        caller, _ = ends()
        data = caller.seal(KnockKind.PROBE, b"TOKEN678", 5)
        self.assertFalse(stun.is_stun(data))
        self.assertFalse(data[0] & 0x40)
        self.assertFalse(is_knock(stun.binding_request(b"0123456789ab", software="x" * 12)))
        self.assertFalse(is_knock(b"\x40" + data[1:]))

    def test_every_cut(self) -> None:
        """No part of a datagram, and nothing longer, is one."""
        caller, callee = ends()
        data = caller.seal(KnockKind.PROBE, b"TOKEN678", 5)
        for end in range(KNOCK_BYTES):
            self.assertIsNone(callee.open(data[:end]))
        self.assertIsNone(callee.open(data + b"\0"))

    @given(st.integers(0, KNOCK_BYTES * 8 - 1))
    @settings(max_examples=100)
    def test_flipped_bits(self, place: int) -> None:
        """One flipped bit anywhere makes it nothing."""
        caller, callee = ends()
        data = bytearray(caller.seal(KnockKind.PROBE, b"TOKEN678", 5))
        data[place // 8] ^= 1 << place % 8
        self.assertIsNone(callee.open(data))

    @given(st.binary(min_size=KNOCK_BYTES, max_size=KNOCK_BYTES))
    @settings(max_examples=100)
    def test_junk(self, junk: bytes) -> None:
        """Junk of the right size is nothing."""
        self.assertIsNone(ends()[0].open(junk))

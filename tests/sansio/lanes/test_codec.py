"""What the codecs of all formats have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec
from relaykit.sansio.lanes.frp import MessageCodec
from relaykit.sansio.wire.framing import V1, V2
from relaykit.testing.cuts import every_cut, feed_every_cut
from relaykit.values import MOST_DATAGRAM_BYTES, Address

MAKERS: Sequence[Callable[[], LaneCodec]] = (
    BinaryCodec,
    lambda: MessageCodec(V1, MOST_DATAGRAM_BYTES),
    lambda: MessageCodec(V2, MOST_DATAGRAM_BYTES),
)
ALICE, BOB = Address("203.0.113.9", 40000), Address("2001:db8::5", 1)
NEIGHBOR = Address("fe80::1%3", 65535)


def read(make: Callable[[], LaneCodec], portions: Sequence[bytes]) -> list[Any]:
    """The users and datagrams that come out of portions, and the error if there is one."""
    codec = make()
    found: list[Any] = []
    for portion in portions:
        try:
            for key, data in codec.receive(portion):
                found.append((codec.user_of(key), None if data is None else bytes(data)))
        except RemoteProtocolError as error:
            return [*found, type(error)]
        except ValueError:
            found.append("no address")
    return found


class LaneCodecTests(SynchronousTestCase):
    """Tests for every codec."""

    def test_round_trip(self) -> None:
        """Datagrams come out as they went in, each with its user, wherever the stream is cut."""
        sent = [(ALICE, b"one"), (BOB, b""), (NEIGHBOR, bytes(range(256))), (ALICE, b"\x00\x01\x00")]
        for make in MAKERS:
            codec = make()
            frames = [codec.encode(codec.key_of(user), data) for user, data in sent]
            stream = codec.keep_alive + b"".join(frames) + codec.keep_alive
            for portions in every_cut(stream):
                self.assertEqual(read(make, portions), sent)

    def test_lent(self) -> None:
        """A datagram may be lent for the call."""
        for make in MAKERS:
            codec = make()
            lent = bytearray(b"mine")
            frame = codec.encode(codec.key_of(ALICE), memoryview(lent))
            lent[:] = b"gone"
            self.assertEqual(read(make, [frame]), [(ALICE, b"mine")])

    def test_keys(self) -> None:
        """A user has one key, the same at both ends and in both directions; no two users share one."""
        for make in MAKERS:
            near, far = make(), make()
            keys = [near.key_of(user) for user in (ALICE, BOB, NEIGHBOR, Address("fe80::1", 65535))]
            self.assertEqual(len(set(keys)), 4)
            for key in keys:
                ((received, _),) = far.receive(near.encode(key, b"x"))
                self.assertEqual((received, hash(received)), (key, hash(key)))
                self.assertEqual(far.key_of(far.user_of(received)), key)

    def test_gone(self) -> None:
        """That a user is gone is told in its place among the datagrams, in a format that has this."""
        for make in MAKERS:
            codec = make()
            key = codec.key_of(BOB)
            stream = codec.encode(key, b"last") + codec.gone(key) + codec.encode(key, b"first")
            told = [(BOB, None)] if codec.gone(key) else []
            for portions in every_cut(stream):
                self.assertEqual(read(make, portions), [(BOB, b"last"), *told, (BOB, b"first")])

    def test_no_address(self) -> None:
        """What is no address of the Internet protocol has no key."""
        for make in MAKERS:
            for host in ("", "name", "1.2.3", "/run/socket"):
                self.assertRaises(ValueError, make().key_of, Address(host, 1))

    def test_too_large(self) -> None:
        """What no datagram can have is not carried."""
        for make in MAKERS:
            codec = make()
            size = MOST_DATAGRAM_BYTES + 1
            self.assertRaises(DatagramTooLarge, codec.encode, codec.key_of(BOB), bytes(size))

    @given(
        st.lists(
            st.tuples(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=300)),
            max_size=8,
        ),
        st.integers(1, 400),
    )
    def test_any(self, datagrams: list[tuple[Any, int, bytes]], size: int) -> None:
        """Any datagrams of any users survive any portions; IPv4-mapped addresses are IPv4."""
        for make in MAKERS:
            codec = make()
            sent = [
                (Address(str(getattr(ip, "ipv4_mapped", None) or ip), port), d) for ip, port, d in datagrams
            ]
            stream = b"".join(codec.encode(codec.key_of(user), data) for user, data in sent)
            portions = [stream[at : at + size] for at in range(0, len(stream), size)]
            self.assertEqual(read(make, portions), sent)

    @given(st.binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Junk is datagrams, is refused or waited on, whatever the cuts."""
        for make in MAKERS:
            for head in (b"", b"\x00", b"u\x00\x00\x00\x00\x00\x00\x00", b"\x00\x10\x00\x00\x00\x00\x00"):
                feed_every_cut(head + junk, partial(read, make))

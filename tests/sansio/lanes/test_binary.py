"""Tests for relaykit's own format of a lane."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.values import MOST_DATAGRAM_BYTES, Address


class BinaryCodecTests(SynchronousTestCase):
    """Tests for :class:`BinaryCodec`."""

    def setUp(self) -> None:
        self.codec = BinaryCodec()

    def frame(self, user: Address, data: bytes) -> str:
        """The frame of a datagram, in hexadecimal."""
        return self.codec.encode(self.codec.key_of(user), data).hex()

    def test_golden(self) -> None:
        """Frames are byte by byte as they are written down."""
        self.assertEqual(self.codec.keep_alive.hex(), "000100")
        self.assertEqual(
            self.frame(Address("203.0.113.9", 40000), b"abc"), "000a" + "04cb007109" + "9c40616263"
        )
        self.assertEqual(
            self.frame(Address("2001:db8::5", 1), b""),
            "0017" + "0620010db8000000000000000000000005" + "00000000" + "0001",
        )
        self.assertEqual(self.codec.gone(bytes.fromhex("04cb0071099c40")).hex(), "000744cb0071099c40")

    def test_zones(self) -> None:
        """A zone is a number; one that has a name is told apart from others by a checksum of it."""
        self.assertEqual(self.frame(Address("fe80::1%3", 9), b"")[-12:], "00000003" + "0009")
        names = {self.codec.key_of(Address(f"fe80::1%{zone}", 9)) for zone in ("eth0", "eth1", "99999999999")}
        self.assertEqual(len(names), 3)
        for key in names:
            self.assertEqual(self.codec.key_of(self.codec.user_of(key)), key)

    def test_full_size(self) -> None:
        """The largest datagram passes, for both kinds of address; no frame may announce more."""
        for host in ("192.0.2.1", "2001:db8::5"):
            key = self.codec.key_of(Address(host, 1))
            frame = self.codec.encode(key, bytes(MOST_DATAGRAM_BYTES))
            ((received, data),) = self.codec.receive(frame)
            self.assertEqual((received, len(data or b"")), (key, MOST_DATAGRAM_BYTES))
        self.assertRaises(RemoteProtocolError, self.codec.receive, b"\xff\xeb\x04")

    def test_alone(self) -> None:
        """Where a datagram carries one of a user's, it is the key and the payload; all else is nobody's."""
        for host in ("192.0.2.1", "2001:db8::5"):
            key = self.codec.key_of(Address(host, 1))
            for data in (b"", b"abc"):
                self.assertEqual(self.codec.taken(self.codec.alone(key, data)), (key, data))
            self.assertRaises(RemoteProtocolError, self.codec.taken, key[:-1])
        for data in (b"", b"\x00", self.codec.keep_alive, b"\x44" + bytes(6), b"\x07" + bytes(30)):
            self.assertRaises(RemoteProtocolError, self.codec.taken, data)

    def test_refused(self) -> None:
        """An unknown kind, or a frame without room for its address, is refused at its third byte."""
        for beginning in ("000101", "000a05", "000004", "000604", "001606", "000000", "000644", "000840"):
            codec = BinaryCodec()
            codec.receive(bytes.fromhex(beginning)[:2])
            self.assertRaises(RemoteProtocolError, codec.receive, bytes.fromhex(beginning)[2:])

    def test_long_keep_alive(self) -> None:
        """What a later version may say in a keep-alive is not looked at."""
        self.assertEqual(self.codec.receive(bytes.fromhex("0003001234") + self.codec.keep_alive), [])

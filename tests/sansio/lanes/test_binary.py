"""Tests for relaykit's own format of a lane."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import binary
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes.binary import BinaryCodec, WholeFrames, frame_of, whole_of
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


class WholeFramesTests(SynchronousTestCase):
    """Tests for frames that are passed on one by one."""

    def test_every_cut(self) -> None:
        """Frames come whole, wherever the bytes are cut."""
        codec = BinaryCodec()
        key = codec.key_of(Address("2001:db8::5", 1))
        frames = [codec.keep_alive, codec.encode(key, b"abc"), codec.gone(key), codec.encode(key, b"")]
        said = b"".join(frames)
        for cut in range(len(said) + 1):
            whole = WholeFrames()
            self.assertEqual([*whole.process(said[:cut]), *whole.process(said[cut:])], frames)

    @given(binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Whatever comes, it is refused exactly where the format refuses it."""
        refusals = []
        for receive in (WholeFrames().process, BinaryCodec().receive):
            try:
                receive(junk)
            except RemoteProtocolError:
                refusals.append(receive)
        self.assertIn(len(refusals), (0, 2))

    def test_alone(self) -> None:
        """A datagram's frame and what stands for it alone are made of each other; others have nothing."""
        codec = BinaryCodec()
        for host in ("192.0.2.1", "2001:db8::5"):
            key = codec.key_of(Address(host, 1))
            frame = codec.encode(key, b"abc")
            whole = whole_of(frame)
            assert whole is not None
            self.assertEqual((whole, frame_of(whole)), (codec.alone(key, b"abc"), frame))
            self.assertIsNone(whole_of(codec.gone(key)))
            self.assertRaises(RemoteProtocolError, frame_of, key[:-1])
        self.assertIsNone(whole_of(codec.keep_alive))
        for data in (b"", b"\x00", b"\x44" + bytes(6)):
            self.assertRaises(RemoteProtocolError, frame_of, data)

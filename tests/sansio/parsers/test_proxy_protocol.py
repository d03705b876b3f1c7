"""Tests of the PROXY protocol's headers, read and written."""

from __future__ import annotations

import contextlib
import ipaddress
import struct

from attrs import evolve
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.parsers.proxy_protocol import (
    MAX_BLOCK,
    MAX_LINE,
    PROXY_HEADER,
    VERSIONS,
    MalformedProxyHeader,
    make_proxy_header,
    pack_tlvs,
    take_from_datagram,
    unpack_tlvs,
)
from relaykit.testing.cuts import recognize, refuse
from relaykit.values import Address, Origin

USER, PORT = Address("192.0.2.7", 40001), Address("198.51.100.1", 443)
USER6, PORT6 = Address("2001:db8::7", 40001), Address("2001:db8::1", 443)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
TCP4 = bytes.fromhex("c0000207 c6336401 9c41 01bb")
TCP6 = bytes.fromhex("20010db8000000000000000000000007 20010db8000000000000000000000001 9c41 01bb")

RECORDED = bytes.fromhex(
    "0d0a0d0a000d0a515549540a 2111 0020 7f000001 7f000001 b966 74af"
    "030004 3a88e221 05000a 33343530353932343939"
)
"""What HAProxy 2.6 sent with ``proxy-v2-options crc32c,unique-id``."""

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def binary(command: int, kind: int, block: bytes, length: int | None = None) -> bytes:
    """A header of version 2, with a length that is true unless another is given."""
    return SIGNATURE + struct.pack(">BBH", command, kind, len(block) if length is None else length) + block


def tlv(kind: int, value: bytes, length: int | None = None) -> bytes:
    """An extension."""
    return struct.pack(">BH", kind, len(value) if length is None else length) + value


def summed(kind: int, block: bytes, behind: bytes = b"") -> bytes:
    """A header with its checksum, and extensions behind that."""
    header = binary(0x21, kind, block + tlv(3, bytes(4)) + behind)
    at = len(SIGNATURE) + 4 + len(block) + 3
    return header[:at] + struct.pack(">I", crc32c(header)) + header[at + 4 :]


class LineTests(SynchronousTestCase):
    """Headers of version 1."""

    def test_read(self) -> None:
        """A line announces the addresses of its family, or none."""
        for line, expected in (
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\r\n", Origin(USER, PORT)),
            (b"PROXY TCP6 2001:DB8::7 2001:db8:0:0:0:0:0:1 40001 443\r\n", Origin(USER6, PORT6)),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 40001 443\r\n", Origin(USER, PORT)),
            (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", Origin(Address("0.0.0.0", 0), Address("0.0.0.0", 0))),
            (b"PROXY UNKNOWN\r\n", Origin()),
            (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", Origin()),
        ):
            self.assertEqual(recognize(PROXY_HEADER, line), expected, line)

    def test_refused(self) -> None:
        """A line that does not keep the grammar exactly is refused."""
        for line in (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\n",
            b"PROXY\r\n",
            b"PROXY \r\n",
            b"PROXY TCP4\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 40001 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40001\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443 \r\n",
            b"PROXY TCP4  192.0.2.7 198.51.100.1 40001 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\r\r\n",
            b"PROXY TCP4 192.0.2.07 198.51.100.1 40001 443\r\n",
            b"PROXY TCP4 192.0.2 198.51.100.1 40001 443\r\n",
            b"PROXY TCP4 2001:db8::7 198.51.100.1 40001 443\r\n",
            b"PROXY TCP4 \xb2.0.2.7 198.51.100.1 40001 443\r\n",
            b"PROXY TCP6 192.0.2.7 2001:db8::1 40001 443\r\n",
            b"PROXY TCP6 fe80::1%eth0 2001:db8::1 40001 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 040001 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 65536\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4_0 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 \xb2 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n",
            b"proxy TCP4 192.0.2.7 198.51.100.1 40001 443\r\n",
        ):
            self.assertIsInstance(refuse(PROXY_HEADER, line), MalformedProxyHeader, line)

    def test_bound(self) -> None:
        """A line that has no end where the longest one has it is refused, not waited for."""
        line = b"PROXY UNKNOWN ".ljust(MAX_LINE, b"f")
        self.assertIsNone(PROXY_HEADER.feed(line[:-1]))
        refuse(PROXY_HEADER, line)
        refuse(PROXY_HEADER, line[:-1] + b"\r\n")

    def test_written(self) -> None:
        """The family is that of the user, IPv4 in the clothes of IPv6 included."""
        for origin, expected in (
            (Origin(USER, PORT), b"TCP4 192.0.2.7 198.51.100.1 40001 443"),
            (Origin(USER6, PORT6), b"TCP6 2001:db8::7 2001:db8::1 40001 443"),
            (Origin(Address("::ffff:192.0.2.7", 1), PORT), b"TCP4 192.0.2.7 198.51.100.1 1 443"),
            (Origin(Address("fe80::1%eth0", 1), PORT6), b"TCP6 fe80::1 2001:db8::1 1 443"),
            (Origin(USER), b"TCP4 192.0.2.7 127.0.0.1 40001 0"),
            (Origin(USER6), b"TCP6 2001:db8::7 ::1 40001 0"),
            (Origin(USER, PORT6), b"TCP4 192.0.2.7 127.0.0.1 40001 443"),
            (Origin(None, PORT), b"UNKNOWN"),
        ):
            self.assertEqual(make_proxy_header("v1", origin), b"PROXY " + expected + b"\r\n")

    def test_mixed_families(self) -> None:
        """Where an IPv6 user went to an IPv4 address, that is written as one of IPv6."""
        line = make_proxy_header("v1", Origin(USER6, PORT))
        self.assertIn(b" ::ffff:", line)
        self.assertEqual(recognize(PROXY_HEADER, line), Origin(USER6, PORT))

    def test_datagrams(self) -> None:
        """A line has no words for datagrams."""
        self.assertEqual(make_proxy_header("v1", Origin(USER, PORT), datagrams=True), b"PROXY UNKNOWN\r\n")


class BinaryTests(SynchronousTestCase):
    """Headers of version 2."""

    def test_read(self) -> None:
        """A header announces the addresses of its family, or none."""
        unix = b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")
        for header, expected in (
            (binary(0x21, 0x11, TCP4), Origin(USER, PORT)),
            (binary(0x21, 0x12, TCP4), Origin(USER, PORT)),
            (binary(0x21, 0x21, TCP6), Origin(USER6, PORT6)),
            (binary(0x21, 0x22, TCP6), Origin(USER6, PORT6)),
            (binary(0x21, 0x31, unix), Origin()),
            (binary(0x21, 0x32, unix + tlv(5, b"id")), Origin(tlvs=((5, b"id"),))),
            (binary(0x21, 0x00, b""), Origin()),
            (binary(0x21, 0x00, tlv(5, b"id")), Origin(tlvs=((5, b"id"),))),
            (binary(0x21, 0x10, TCP4), Origin()),
            (binary(0x20, 0x00, b""), Origin()),
            (binary(0x20, 0x11, b""), Origin()),
            (binary(0x20, 0xFF, b"to be discarded"), Origin()),
        ):
            self.assertEqual(recognize(PROXY_HEADER, header), expected, header)

    def test_mapped(self) -> None:
        """An IPv4 address in the clothes of IPv6 is told as what it is."""
        mapped = bytes(10) + b"\xff\xff"
        block = mapped + TCP4[:4] + mapped + TCP4[4:8] + TCP4[8:]
        self.assertEqual(recognize(PROXY_HEADER, binary(0x21, 0x21, block)), Origin(USER, PORT))

    def test_tlvs(self) -> None:
        """Extensions are kept in order, several of a type too, but for those about the header itself."""
        kept = ((1, b"h2"), (2, b"example.org"), (0xE0, b""), (1, b"h3"))
        said = b"".join(tlv(kind, value) for kind, value in kept)
        header = summed(0x11, TCP4 + said, tlv(4, b"padding"))
        self.assertEqual(recognize(PROXY_HEADER, header), Origin(USER, PORT, tlvs=kept))

    def test_checksum(self) -> None:
        """A header with a checksum holds as it is; any other bit that is set says that it is broken."""
        header = summed(0x21, TCP6)
        self.assertEqual(recognize(PROXY_HEADER, header), Origin(USER6, PORT6))
        for at in range(16 * 8, len(header) * 8):
            broken = bytearray(header)
            broken[at // 8] ^= 1 << at % 8
            if broken[52:55] == header[52:55]:
                self.assertRaises(MalformedProxyHeader, PROXY_HEADER.feed, bytes(broken))

    def test_recorded(self) -> None:
        """A header with a checksum that HAProxy 2.6 sent is taken."""
        loopback = "127.0.0.1"
        self.assertEqual(
            recognize(PROXY_HEADER, RECORDED),
            Origin(Address(loopback, 47462), Address(loopback, 29871), tlvs=((5, b"3450592499"),)),
        )
        refuse(PROXY_HEADER, RECORDED[:-1] + b"5")

    def test_refused(self) -> None:
        """What no version of the protocol allows is refused."""
        for header in (
            binary(0x11, 0x11, TCP4),
            binary(0x22, 0x11, TCP4),
            binary(0x21, 0x41, TCP4),
            binary(0x21, 0x13, TCP4),
            binary(0x21, 0x11, TCP4[:-1]),
            binary(0x21, 0x21, TCP4),
            binary(0x21, 0x31, TCP6),
            binary(0x21, 0x11, TCP4 + b"\1"),
            binary(0x21, 0x11, TCP4 + b"\1\0"),
            binary(0x21, 0x11, TCP4 + tlv(1, b"h2", 3)),
            binary(0x21, 0x11, TCP4 + tlv(3, b"\0\0\0")),
            binary(0x21, 0x11, TCP4 + tlv(3, bytes(4))),
            binary(0x21, 0x00, b"no extension"),
        ):
            self.assertIsInstance(refuse(PROXY_HEADER, header), MalformedProxyHeader, header)

    def test_bound(self) -> None:
        """A header that is longer than anybody needs is refused before it has come."""
        longest = TCP4 + tlv(0xE0, bytes(MAX_BLOCK - len(TCP4) - 3))
        found = PROXY_HEADER.feed(binary(0x21, 0x11, longest) + b"behind")
        assert found is not None
        self.assertEqual(found[1], PROXY_HEADER.limit)
        for command in (0x20, 0x21):
            too_long = binary(command, 0x11, b"", MAX_BLOCK + 1)
            self.assertRaises(MalformedProxyHeader, PROXY_HEADER.feed, too_long)

    def test_written(self) -> None:
        """The bytes are those of frp, but for the checksum that neither writes."""
        for origin, datagrams, expected in (
            (Origin(USER, PORT), False, b"\x21\x11\x00\x0c" + TCP4),
            (Origin(USER, PORT), True, b"\x21\x12\x00\x0c" + TCP4),
            (Origin(USER6, PORT6), False, b"\x21\x21\x00\x24" + TCP6),
            (Origin(USER6, PORT6), True, b"\x21\x22\x00\x24" + TCP6),
            (Origin(), False, b"\x20\x00\x00\x00"),
            (Origin(), True, b"\x20\x00\x00\x00"),
        ):
            header = make_proxy_header("v2", origin, datagrams=datagrams)
            self.assertEqual(header, SIGNATURE + expected)

    def test_handed_on(self) -> None:
        """What was said besides is written again, but for what is about another header or machine."""
        kept = ((1, b"h2"), (0x20, bytes(5)), (0xE0, b""))
        said = Origin(USER, PORT, tlvs=((3, bytes(4)), *kept, (4, b"padding"), (0x30, b"blue")))
        for datagrams in (False, True):
            read = recognize(PROXY_HEADER, make_proxy_header("v2", said, datagrams=datagrams))
            self.assertEqual(read, Origin(USER, PORT, tlvs=kept))
        self.assertEqual(make_proxy_header("v1", said), make_proxy_header("v1", Origin(USER, PORT)))
        self.assertEqual(make_proxy_header("v2", evolve(said, source=None)), SIGNATURE + b"\x20\x00\x00\x00")

    def test_no_room(self) -> None:
        """What would make the header longer than others take is left out."""
        short, long = (1, b"h2"), (0xE0, bytes(MAX_BLOCK - len(TCP6) - 3))
        for tlvs, written in (((short, long), (short,)), ((long, short), (long,))):
            read = recognize(PROXY_HEADER, make_proxy_header("v2", Origin(USER6, PORT6, tlvs=tlvs)))
            self.assertEqual(read.tlvs, written)

    def test_no_address(self) -> None:
        """What is no IP address is not announced, whatever it would make of the line."""
        for host in ("example.org", "", "192.0.2.1 192.0.2.2 1 2\r\nPROXY"):
            for version in VERSIONS:
                self.assertRaises(ValueError, make_proxy_header, version, Origin(Address(host, 1)))


class DatagramTests(SynchronousTestCase):
    """Headers in front of datagrams."""

    def test_taken(self) -> None:
        """A header of version 2 announces its user, whatever follows it, or says that there is none."""
        for header, expected in (
            (binary(0x21, 0x12, TCP4), Origin(USER, PORT)),
            (binary(0x21, 0x22, TCP6 + tlv(0xE0, b"x")), Origin(USER6, PORT6, tlvs=((0xE0, b"x"),))),
            (summed(0x12, TCP4), Origin(USER, PORT)),
            (binary(0x21, 0x00, b""), Origin()),
            (binary(0x20, 0x11, TCP4), Origin()),
            (make_proxy_header("v2", Origin(USER, PORT), datagrams=True), Origin(USER, PORT)),
        ):
            for behind in (b"", b"hello", header):
                self.assertEqual(take_from_datagram(header + behind), (expected, len(header)))

    def test_refused(self) -> None:
        """What has no whole header of its own is refused: there is no more of it to wait for."""
        header = summed(0x12, TCP4, tlv(0xE0, b"x"))
        wrong = [header[:length] for length in range(len(header))]
        wrong += [header[:-1] + b"y", b"hello", b"PROXY UNKNOWN\r\n", binary(0x21, 0x11, TCP4)]
        for datagram in wrong:
            self.assertRaises(MalformedProxyHeader, take_from_datagram, datagram)


class EveryInputTests(SynchronousTestCase):
    """What holds for every input."""

    @given(st.sampled_from(VERSIONS), ADDRESSES, ADDRESSES, st.integers(0, 65535), st.integers(0, 65535))
    def test_read_back(
        self,
        version: str,
        source: ipaddress.IPv4Address | ipaddress.IPv6Address,
        destination: ipaddress.IPv4Address | ipaddress.IPv6Address,
        source_port: int,
        destination_port: int,
    ) -> None:
        """What was written is read back, with a source that is always true."""
        source, destination = (getattr(each, "ipv4_mapped", None) or each for each in (source, destination))
        origin = Origin(Address(str(source), source_port), Address(str(destination), destination_port))
        read = recognize(PROXY_HEADER, make_proxy_header(version, origin))
        self.assertEqual(read.source, origin.source)
        self.assertEqual(read.destination.port, destination_port)
        if (source.version, destination.version) != (4, 6):
            self.assertEqual(read.destination, origin.destination)

    @given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=13))
    def test_tlvs_read_back(self, tlvs: list[tuple[int, bytes]]) -> None:
        """What is said besides is the same after it was packed."""
        self.assertEqual(unpack_tlvs(pack_tlvs(tlvs)), tuple(tlvs))

    @given(st.binary(max_size=100))
    def test_junk_for_tlvs(self, junk: bytes) -> None:
        """Any bytes are extensions, which are packed as they were, or refused."""
        with contextlib.suppress(MalformedProxyHeader):
            self.assertEqual(pack_tlvs(unpack_tlvs(junk)), junk)

    @given(
        st.one_of(
            st.binary(max_size=200),
            st.binary(max_size=120).map(lambda junk: b"PROXY TCP4 " + junk + b"\r\n"),
            st.binary(max_size=300).map(lambda junk: SIGNATURE + junk),
            st.tuples(st.integers(0, 255), st.binary(max_size=300)).map(lambda it: binary(0x21, *it)),
            st.binary(max_size=60).map(lambda junk: binary(0x21, 0x11, TCP4 + junk)),
        )
    )
    def test_junk(self, junk: bytes) -> None:
        """Any bytes are a header, the beginning of one, or refused; more of them change no answer."""
        answers: list[object] = []
        for length in range(len(junk) + 1):
            try:
                answers.append(PROXY_HEADER.feed(junk[:length]))
            except MalformedProxyHeader:
                answers.append("refused")
            with contextlib.suppress(MalformedProxyHeader):
                self.assertLessEqual(take_from_datagram(junk[:length])[1], length)
        final = [each for each in answers if each is not None]
        self.assertEqual(answers[len(answers) - len(final) :], final)
        self.assertLessEqual(len(set(map(repr, final))), 1)

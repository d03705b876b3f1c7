"""Tests of the STUN codec: the vectors of RFC 5769 and RFC 8489 B.1, cuts, junk."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat import stun
from relaykit.sansio.nat.stun import Attribute, Change, Integrity, StunClass, StunError, StunMessage
from relaykit.values import Address

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
"""RFC 5769 2.1, padded with spaces on purpose."""

ANSWER_4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
"""RFC 5769 2.2."""

ANSWER_6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
"""RFC 5769 2.3."""

LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
"""RFC 5769 2.4."""

LONG_TERM_SHA256 = bytes.fromhex(
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f733241414143662f2f3439396b393534"
    "64364f4c33346f4c39465354767936347341000000"
    "0014000b6578616d706c652e6f726700"
    "001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)
"""RFC 8489 B.1 as corrected by its erratum 6268."""

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
VECTORS = (REQUEST, ANSWER_4, ANSWER_6, LONG_TERM, LONG_TERM_SHA256)

hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str).filter(lambda host: not host.startswith("::ffff:")),
)
addresses = st.builds(Address, hosts, st.integers(0, 65535))


class PublishedVectorsTests(SynchronousTestCase):
    """The messages that the RFCs print."""

    def test_request(self) -> None:
        """A signed request of RFC 5769 is read and its signature and checksum hold."""
        message = stun.decode(REQUEST)
        self.assertEqual((message.kind, message.method), (StunClass.REQUEST, stun.BINDING))
        self.assertEqual(message.transaction, TRANSACTION)
        self.assertEqual((message.software, message.username), ("STUN test client", "evtj:h6vY"))
        self.assertTrue(message.has_fingerprint())
        self.assertTrue(message.is_signed(PASSWORD, Integrity.SHA1))
        self.assertFalse(message.is_signed(PASSWORD + b"!", Integrity.SHA1))
        self.assertFalse(message.is_signed(PASSWORD, Integrity.SHA256))

    def test_answers(self) -> None:
        """The mapped addresses of both families are found behind their XOR."""
        for raw, host in ((ANSWER_4, "192.0.2.1"), (ANSWER_6, "2001:db8:1234:5678:11:2233:4455:6677")):
            message = stun.decode(raw)
            self.assertEqual(message.kind, StunClass.SUCCESS)
            self.assertEqual(message.mapped, Address(host, 32853))
            self.assertTrue(message.has_fingerprint())
            self.assertTrue(message.is_signed(PASSWORD, Integrity.SHA1))

    def test_long_term_credentials(self) -> None:
        """Keys made from a user name, a realm and a password sign in both ways."""
        text = "マトリックス:example.org:TheMatrIX".encode()
        message = stun.decode(LONG_TERM)
        self.assertEqual(message.username, "マトリックス")
        self.assertTrue(message.is_signed(hashlib.md5(text).digest(), Integrity.SHA1))
        message = stun.decode(LONG_TERM_SHA256)
        self.assertTrue(message.is_signed(hashlib.sha256(text).digest(), Integrity.SHA256))

    def test_written_again(self) -> None:
        """What was read is written byte for byte (where the padding is zero)."""
        for raw, key, ways in (
            (
                LONG_TERM,
                hashlib.md5("マトリックス:example.org:TheMatrIX".encode()).digest(),
                [Integrity.SHA1],
            ),
            (
                LONG_TERM_SHA256,
                hashlib.sha256("マトリックス:example.org:TheMatrIX".encode()).digest(),
                [Integrity.SHA256],
            ),
        ):
            message = stun.decode(raw)
            unsigned = StunMessage(message.kind, message.transaction, message.attributes[:-1])
            self.assertEqual(stun.encode(unsigned, key=key, integrity=ways), raw)


class CodecTests(SynchronousTestCase):
    """Writing and reading."""

    def test_plain_request(self) -> None:
        """A request without attributes is the twenty bytes that every server knows."""
        self.assertEqual(stun.binding_request(TRANSACTION).hex(), "000100002112a442" + TRANSACTION.hex())

    def test_behavior_request(self) -> None:
        """The attributes of RFC 5780 have their places."""
        raw = stun.binding_request(TRANSACTION, Change.ADDRESS | Change.PORT, 4660)
        self.assertEqual(raw[20:].hex(), "0003000400000006" + "0027000412340000")
        message = stun.decode(raw)
        self.assertEqual(message.change, Change.ADDRESS | Change.PORT)
        self.assertEqual(message.response_port, 4660)

    def test_error(self) -> None:
        """An error response carries its code, its reason and what was not understood."""
        sent = StunMessage(
            StunClass.ERROR,
            TRANSACTION,
            (
                (Attribute.ERROR_CODE, stun.pack_error(420, "Unknown Attribute")),
                (Attribute.UNKNOWN_ATTRIBUTES, stun.pack_types([3, 0x7777])),
            ),
        )
        message = stun.decode(stun.encode(sent))
        assert message.failure is not None
        self.assertEqual((message.failure.code, message.failure.reason), (420, "Unknown Attribute"))
        self.assertEqual(message.not_understood, (3, 0x7777))

    def test_classic_answer(self) -> None:
        """An answer as servers of RFC 3489 give is understood, with and without a cookie."""
        for transaction in (TRANSACTION, b"0123456789abcdef"):
            attributes = (
                (int(Attribute.MAPPED_ADDRESS), stun.pack_address(Address("192.0.2.7", 4660))),
                (int(Attribute.SOURCE_ADDRESS), stun.pack_address(Address("203.0.113.2", 3478))),
                (int(Attribute.CHANGED_ADDRESS), stun.pack_address(Address("203.0.113.3", 3479))),
            )
            message = stun.decode(stun.encode(StunMessage(StunClass.SUCCESS, transaction, attributes)))
            self.assertEqual(message.transaction, transaction)
            self.assertEqual(message.is_classic, transaction != TRANSACTION)
            self.assertEqual(message.mapped, Address("192.0.2.7", 4660))
            self.assertEqual(message.origin, Address("203.0.113.2", 3478))
            self.assertEqual(message.other, Address("203.0.113.3", 3479))

    def test_both_signatures_and_a_checksum(self) -> None:
        """A message may be signed twice, and nothing behind the signatures counts."""
        message = StunMessage(StunClass.REQUEST, TRANSACTION, ((Attribute.USERNAME, b"me"),))
        raw = stun.encode(message, key=b"k", integrity=[Integrity.SHA256, Integrity.SHA1], fingerprint=True)
        read = stun.decode(raw)
        self.assertTrue(read.is_signed(b"k", Integrity.SHA1))
        self.assertTrue(read.is_signed(b"k", Integrity.SHA256))
        self.assertTrue(read.has_fingerprint())
        smuggled = raw[:2] + (len(raw) - 20 + 8).to_bytes(2, "big") + raw[4:-8]
        smuggled += bytes.fromhex("00030004ffffffff") + raw[-8:]
        read = stun.decode(smuggled)
        self.assertIs(read.change, Change.NOTHING)
        self.assertFalse(read.has_fingerprint())

    def test_short_sha256_signature(self) -> None:
        """A SHA-256 signature may be truncated to sixteen bytes."""
        raw = stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION), key=b"k", integrity=[Integrity.SHA256])
        head = raw[:2] + (20).to_bytes(2, "big") + raw[4:20]
        short = stun.decode(head + b"\x00\x1c\x00\x10" + bytes(16))
        self.assertFalse(short.is_signed(b"k", Integrity.SHA256))
        value = hmac.digest(b"k", head, "sha256")[:16]
        self.assertTrue(
            stun.decode(head + b"\x00\x1c\x00\x10" + value).is_signed(b"k", Integrity.SHA256),
        )

    def test_first_of_equal_attributes_counts(self) -> None:
        """A second attribute of one type is ignored."""
        attributes = ((Attribute.SOFTWARE, b"one"), (Attribute.SOFTWARE, b"two"))
        read = stun.decode(stun.encode(StunMessage(StunClass.SUCCESS, TRANSACTION, attributes)))
        self.assertEqual(read.software, "one")

    def test_unknown_required(self) -> None:
        """Only unknown attributes below 0x8000 must be understood, and each is named once."""
        attributes = ((0x7000, b""), (0x7000, b""), (0xF000, b""), (int(Attribute.CHANGE_REQUEST), bytes(4)))
        read = stun.decode(stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION, attributes)))
        self.assertEqual(read.unknown_required({Attribute.CHANGE_REQUEST}), (0x7000,))

    def test_mapped_ipv4_is_ipv4(self) -> None:
        """An IPv4 address inside an IPv6 one is shown as IPv4."""
        value = stun.pack_address(Address("::ffff:192.0.2.1", 1))
        read = stun.decode(
            stun.encode(StunMessage(StunClass.SUCCESS, TRANSACTION, ((Attribute.MAPPED_ADDRESS, value),)))
        )
        self.assertEqual(read.mapped, Address("192.0.2.1", 1))

    @given(addresses, st.sampled_from((TRANSACTION, b"0123456789abcdef")))
    @settings(max_examples=50)
    def test_addresses_come_back(self, address: Address, transaction: bytes) -> None:
        """Every address is read as it was written, plain and under XOR."""
        for attribute, value in (
            (Attribute.MAPPED_ADDRESS, stun.pack_address(address)),
            (Attribute.XOR_MAPPED_ADDRESS, stun.pack_xor_address(address, transaction)),
        ):
            message = StunMessage(StunClass.SUCCESS, transaction, ((attribute, value),))
            self.assertEqual(stun.decode(stun.encode(message)).mapped, address)

    @given(st.integers(0, 0xFFF), st.sampled_from(StunClass))
    @settings(max_examples=50)
    def test_type_bits(self, method: int, kind: StunClass) -> None:
        """Method and class share the type field without touching each other."""
        read = stun.decode(stun.encode(StunMessage(kind, TRANSACTION, method=method)))
        self.assertEqual((read.method, read.kind), (method, kind))


class MalformedTests(SynchronousTestCase):
    """What is not STUN is an error of ours, never another."""

    def test_every_cut(self) -> None:
        """No beginning of a message is a message."""
        for raw in VECTORS:
            for end in range(len(raw)):
                self.assertRaises(StunError, stun.decode, raw[:end])

    def test_trailing_bytes(self) -> None:
        """A datagram longer than its message is refused."""
        self.assertRaises(StunError, stun.decode, REQUEST + b"\0\0\0\0")

    def test_impossible_values(self) -> None:
        """Known attributes of an impossible shape are refused."""
        for attribute, value in (
            (Attribute.MAPPED_ADDRESS, b"\0\1\0\0\1\2\3"),
            (Attribute.XOR_MAPPED_ADDRESS, b"\0\3\0\0\1\2\3\4"),
            (Attribute.OTHER_ADDRESS, b"\0\1" + bytes(18)),
            (Attribute.ERROR_CODE, b"\0\0\2\0"),
            (Attribute.ERROR_CODE, b"\0\0\4"),
            (Attribute.UNKNOWN_ATTRIBUTES, b"\0"),
            (Attribute.CHANGE_REQUEST, b""),
            (Attribute.RESPONSE_PORT, b"\0"),
            (Attribute.MESSAGE_INTEGRITY, bytes(19)),
            (Attribute.MESSAGE_INTEGRITY_SHA256, bytes(18)),
            (Attribute.USERNAME, bytes(514)),
        ):
            raw = stun.encode(StunMessage(StunClass.SUCCESS, TRANSACTION, ((attribute, value),)))
            self.assertRaises(StunError, stun.decode, raw)

    def test_too_many_attributes(self) -> None:
        """The number of attributes is bounded."""
        attributes = ((0x8000, b""),) * (stun.ATTRIBUTES_MAX + 1)
        raw = stun.encode(StunMessage(StunClass.REQUEST, TRANSACTION, attributes))
        self.assertRaises(StunError, stun.decode, raw)

    def test_recognition(self) -> None:
        """STUN on a shared port is told from QUIC and from anything else."""
        self.assertTrue(stun.is_stun(REQUEST))
        self.assertTrue(stun.is_stun(memoryview(REQUEST)))
        self.assertFalse(stun.is_stun(b"\x40" + REQUEST[1:]))
        self.assertFalse(stun.is_stun(REQUEST[:19]))
        self.assertFalse(stun.is_stun(bytes(40)))

    @given(st.binary(max_size=120), st.booleans())
    @settings(max_examples=200)
    def test_junk(self, junk: bytes, headed: bool) -> None:
        """Junk is either read, with all its properties, or refused with our error."""
        if headed:
            junk = junk[: len(junk) & ~3]
            junk = b"\1\1" + len(junk).to_bytes(2, "big") + stun.COOKIE + TRANSACTION + junk
        self._read(junk)

    @given(st.sampled_from(VECTORS), st.integers(0, 10**6), st.integers(0, 7))
    @settings(max_examples=200)
    def test_flipped_bits(self, raw: bytes, place: int, bit: int) -> None:
        """One flipped bit breaks the signature or the message, and nothing else."""
        changed = bytearray(raw)
        changed[place % len(raw)] ^= 1 << bit
        message = self._read(bytes(changed))
        if message is not None:
            self.assertFalse(message.is_signed(PASSWORD, Integrity.SHA1) and message.has_fingerprint())

    def _read(self, raw: bytes) -> StunMessage | None:
        try:
            message = stun.decode(raw)
        except StunError:
            return None
        for name in ("mapped", "other", "origin", "failure", "not_understood", "change", "response_port"):
            getattr(message, name)
        self.assertLessEqual(len(message.username or "") + len(message.software or ""), len(raw))
        message.has_fingerprint()
        return message

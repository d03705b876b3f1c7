"""STUN messages: bytes to values and back.

Retransmission is in :mod:`relaykit.sansio.nat.probing`, what a server answers is in
:mod:`relaykit.sansio.nat.stun_server`.  Messages of the classic protocol of RFC 3489, which have no
cookie, are understood as well.

Source: RFC 8489 (5, 14), RFC 5780 7, RFC 3489 11.
"""

from __future__ import annotations

import enum
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Callable, Collection, Iterable

from attrs import field, frozen

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.values import Address

__all__ = [
    "ATTRIBUTES_MAX",
    "BINDING",
    "COOKIE",
    "HEADER_BYTES",
    "Attribute",
    "Change",
    "Integrity",
    "StunClass",
    "StunError",
    "StunFailure",
    "StunMessage",
    "binding_request",
    "decode",
    "encode",
    "is_stun",
    "pack_address",
    "pack_change",
    "pack_error",
    "pack_port",
    "pack_types",
    "pack_xor_address",
]

COOKIE = b"\x21\x12\xa4\x42"
"""Tells a STUN message of RFC 5389 and later from anything else on its port.  Source: RFC 8489 5."""

HEADER_BYTES = 20
"""Type, length, cookie, transaction."""

BINDING = 0x001
"""The only method here: "from which address do you see me?"."""

ATTRIBUTES_MAX = 64
"""Most attributes in one message: the richest that any known program sends has about ten."""

_FINGERPRINT_XOR = 0x5354554E
_KIND_BITS = 0x0110
_ADDRESS = struct.Struct("!xBH")
_PAIR = struct.Struct("!HH")
_HEADER = struct.Struct("!HH")


class StunError(RemoteProtocolError):
    """A datagram is not a STUN message, or a malformed one."""


class StunClass(enum.IntEnum):
    """The class of a message, as its two bits stand in the type field."""

    REQUEST = 0x0000
    INDICATION = 0x0010
    SUCCESS = 0x0100
    ERROR = 0x0110


class Attribute(enum.IntEnum):
    """Attribute types.  Those below 0x8000 must be understood by whoever gets them."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    SOURCE_ADDRESS = 0x0004
    CHANGED_ADDRESS = 0x0005
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C


class Change(enum.IntFlag):
    """What a CHANGE-REQUEST asks the server to answer from.  Source: RFC 5780 7.2."""

    NOTHING = 0
    PORT = 2
    ADDRESS = 4


class Integrity(enum.Enum):
    """The two ways to sign a message: attribute type, hash, bytes of the signature."""

    SHA1 = (Attribute.MESSAGE_INTEGRITY, "sha1", 20, 20)
    SHA256 = (Attribute.MESSAGE_INTEGRITY_SHA256, "sha256", 16, 32)

    def __init__(self, attribute: Attribute, algorithm: str, shortest: int, longest: int) -> None:
        self.attribute = attribute
        self.algorithm = algorithm
        self.shortest = shortest
        self.longest = longest


@frozen
class StunFailure:
    """What an error response says: a code of 300 to 699 and a reason for people."""

    code: int
    reason: str


@frozen
class StunMessage:
    """One message.  Values of known attributes were checked, so that no property raises.

    ``transaction`` has 12 bytes; 16 in a message of RFC 3489, which has no cookie.  Of equal
    attributes the first counts.  Source: RFC 8489 14.
    """

    kind: StunClass
    transaction: bytes
    attributes: tuple[tuple[int, bytes], ...] = ()
    method: int = BINDING
    raw: bytes = field(default=b"", eq=False, repr=False)
    """The bytes that it was decoded from; empty when it was not."""

    def get(self, attribute: int) -> bytes | None:
        """The value of an attribute, or None."""
        for type_, value in self.attributes:
            if type_ == attribute:
                return value
        return None

    @property
    def is_classic(self) -> bool:
        """Whether this is a message of RFC 3489, without a cookie."""
        return len(self.transaction) == 16

    @property
    def mapped(self) -> Address | None:
        """The address that the server saw, by XOR-MAPPED-ADDRESS or else MAPPED-ADDRESS."""
        value = self.get(Attribute.XOR_MAPPED_ADDRESS)
        if value is not None:
            return _unpack_address(_xored(value, self.transaction))
        return self._address(Attribute.MAPPED_ADDRESS)

    @property
    def other(self) -> Address | None:
        """The server's second address, by OTHER-ADDRESS or else CHANGED-ADDRESS."""
        return self._address(Attribute.OTHER_ADDRESS) or self._address(Attribute.CHANGED_ADDRESS)

    @property
    def origin(self) -> Address | None:
        """Where the answer was sent from, by RESPONSE-ORIGIN or else SOURCE-ADDRESS."""
        return self._address(Attribute.RESPONSE_ORIGIN) or self._address(Attribute.SOURCE_ADDRESS)

    @property
    def failure(self) -> StunFailure | None:
        """What ERROR-CODE says."""
        value = self.get(Attribute.ERROR_CODE)
        if value is None:
            return None
        return StunFailure((value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace"))

    @property
    def not_understood(self) -> tuple[int, ...]:
        """The attribute types that UNKNOWN-ATTRIBUTES names."""
        value = self.get(Attribute.UNKNOWN_ATTRIBUTES) or b""
        return struct.unpack(f"!{len(value) // 2}H", value)

    @property
    def change(self) -> Change:
        """What CHANGE-REQUEST asks for."""
        value = self.get(Attribute.CHANGE_REQUEST)
        return Change(value[3] & 6) if value is not None else Change.NOTHING

    @property
    def response_port(self) -> int | None:
        """The port that the answer shall go to, by RESPONSE-PORT.  Source: RFC 5780 7.5."""
        value = self.get(Attribute.RESPONSE_PORT)
        return int.from_bytes(value[:2], "big") if value is not None else None

    @property
    def username(self) -> str | None:
        """The user name."""
        return self._text(Attribute.USERNAME)

    @property
    def software(self) -> str | None:
        """What the other end says that it is."""
        return self._text(Attribute.SOFTWARE)

    def unknown_required(self, known: Collection[int]) -> tuple[int, ...]:
        """The attributes that must be understood and are not in ``known``; each once."""
        return tuple(dict.fromkeys(t for t, _ in self.attributes if t < 0x8000 and t not in known))

    def has_fingerprint(self) -> bool:
        """Whether it ends with the right FINGERPRINT.  Source: RFC 8489 14.7."""
        value = self.get(Attribute.FINGERPRINT)
        return value is not None and value == _fingerprint(self.raw[: -len(value) - 4])

    def is_signed(self, key: bytes, integrity: Integrity) -> bool:
        """Whether it has the signature that this key makes; constant time.

        Source: RFC 8489 14.5, 14.6.
        """
        value = self.get(integrity.attribute)
        if value is None:
            return False
        end = _offset_of(self.raw, integrity.attribute)
        expected = _signature(self.raw[:end], key, integrity, len(value))
        return hmac.compare_digest(value, expected)

    def _address(self, attribute: Attribute) -> Address | None:
        value = self.get(attribute)
        return _unpack_address(value) if value is not None else None

    def _text(self, attribute: Attribute) -> str | None:
        value = self.get(attribute)
        return value.decode("utf-8", "replace") if value is not None else None


def is_stun(datagram: Buffer) -> bool:
    """Whether a datagram on a port that others share is STUN: its first two bits and the cookie.

    Source: RFC 8489 5, RFC 9443.
    """
    return len(datagram) >= HEADER_BYTES and datagram[0] < 4 and bytes(datagram[4:8]) == COOKIE


def decode(datagram: Buffer) -> StunMessage:
    """Reads one datagram, which must hold exactly one message.

    Attributes behind a signature, and behind FINGERPRINT, are left out as the RFC asks; the second
    signature and FINGERPRINT are kept.

    :raises StunError: it is none, or a known attribute has an impossible value.
    """
    raw = bytes(datagram)
    if len(raw) < HEADER_BYTES:
        raise StunError(f"a STUN message has at least {HEADER_BYTES} bytes, not {len(raw)}")
    type_, length = _HEADER.unpack_from(raw)
    if type_ & 0xC000:
        raise StunError("the first two bits of a STUN message are zero")
    if length % 4 or length != len(raw) - HEADER_BYTES:
        raise StunError(f"a STUN message of {len(raw)} bytes does not have {length} bytes of attributes")
    return StunMessage(
        kind=StunClass(type_ & _KIND_BITS),
        transaction=raw[8:20] if raw[4:8] == COOKIE else raw[4:20],
        attributes=tuple(_attributes(raw)),
        method=type_ & 0xF | (type_ & 0xE0) >> 1 | (type_ & 0x3E00) >> 2,
        raw=raw,
    )


def encode(
    message: StunMessage, *, key: bytes = b"", integrity: Iterable[Integrity] = (), fingerprint: bool = False
) -> bytes:
    """Writes one datagram, signed by ``key`` in the ways of ``integrity``, SHA-1 first."""
    method = message.method
    type_ = message.kind | method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2
    parts = [b"", message.transaction if message.is_classic else COOKIE + message.transaction]
    for attribute, value in message.attributes:
        parts.append(_PAIR.pack(attribute, len(value)))
        parts.append(value + bytes(-len(value) % 4))
    body = b"".join(parts)
    raw = _HEADER.pack(type_, len(body) - 16) + body
    for way in sorted(integrity, key=lambda way: way.attribute):
        signature = _signature(raw, key, way, way.longest)
        raw = _with_length(raw, len(signature) + 4) + _PAIR.pack(way.attribute, len(signature)) + signature
    if fingerprint:
        raw = _with_length(raw, 8)
        raw += _PAIR.pack(Attribute.FINGERPRINT, 4) + _fingerprint(raw)
    return raw


def binding_request(
    transaction: bytes,
    change: Change = Change.NOTHING,
    response_port: int | None = None,
    software: str = "",
) -> bytes:
    """A Binding request, with the attributes of RFC 5780 that are asked for and no others.

    ``software`` also makes it larger, so that a server which answers in proportion has room for
    its other address.
    """
    attributes = []
    if software:
        attributes.append((int(Attribute.SOFTWARE), software.encode()))
    if change:
        attributes.append((int(Attribute.CHANGE_REQUEST), pack_change(change)))
    if response_port is not None:
        attributes.append((int(Attribute.RESPONSE_PORT), pack_port(response_port)))
    return encode(StunMessage(StunClass.REQUEST, transaction, tuple(attributes)))


# --- values of attributes ---------------------------------------------------------------------


def pack_address(address: Address) -> bytes:
    """The value of MAPPED-ADDRESS, OTHER-ADDRESS and their like.  Source: RFC 8489 14.1."""
    host = ipaddress.ip_address(address.host).packed
    return _ADDRESS.pack(1 if len(host) == 4 else 2, address.port) + host


def pack_xor_address(address: Address, transaction: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS, which no NAT recognizes and rewrites.  Source: RFC 8489 14.2."""
    return _xored(pack_address(address), transaction)


def pack_error(code: int, reason: str) -> bytes:
    """The value of ERROR-CODE.  Source: RFC 8489 14.8."""
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def pack_types(types: Iterable[int]) -> bytes:
    """The value of UNKNOWN-ATTRIBUTES.  Source: RFC 8489 14.9."""
    return b"".join(type_.to_bytes(2, "big") for type_ in types)


def pack_change(change: Change) -> bytes:
    """The value of CHANGE-REQUEST.  Source: RFC 5780 7.2."""
    return int(change).to_bytes(4, "big")


def pack_port(port: int) -> bytes:
    """The value of RESPONSE-PORT.  Source: RFC 5780 7.5."""
    return port.to_bytes(2, "big") + b"\0\0"


def _unpack_address(value: bytes) -> Address:
    _, port = _ADDRESS.unpack_from(value)
    if len(value) == 8:
        return Address(".".join(map(str, value[4:])), port)
    host = ipaddress.IPv6Address(value[4:])
    return Address(str(host.ipv4_mapped or host), port)


def _xored(value: bytes, transaction: bytes) -> bytes:
    pad = transaction if len(transaction) == 16 else COOKIE + transaction
    port = bytes((value[2] ^ pad[0], value[3] ^ pad[1]))
    return value[:2] + port + bytes(byte ^ mask for byte, mask in zip(value[4:], pad, strict=False))


def _is_address(value: bytes) -> bool:
    return (len(value), value[1:2]) in ((8, b"\x01"), (20, b"\x02"))


def _is_error(value: bytes) -> bool:
    return len(value) >= 4 and 3 <= value[2] & 7 <= 6 and value[3] < 100


_SHAPES: dict[int, Callable[[bytes], bool]] = {
    Attribute.MAPPED_ADDRESS: _is_address,
    Attribute.XOR_MAPPED_ADDRESS: _is_address,
    Attribute.SOURCE_ADDRESS: _is_address,
    Attribute.CHANGED_ADDRESS: _is_address,
    Attribute.RESPONSE_ORIGIN: _is_address,
    Attribute.OTHER_ADDRESS: _is_address,
    Attribute.ALTERNATE_SERVER: _is_address,
    Attribute.CHANGE_REQUEST: lambda value: len(value) == 4,
    Attribute.RESPONSE_PORT: lambda value: len(value) in (2, 4),
    Attribute.FINGERPRINT: lambda value: len(value) == 4,
    Attribute.ERROR_CODE: _is_error,
    Attribute.UNKNOWN_ATTRIBUTES: lambda value: len(value) % 2 == 0,
    Attribute.USERNAME: lambda value: len(value) <= 513,
    Attribute.SOFTWARE: lambda value: len(value) <= 763,
    Attribute.MESSAGE_INTEGRITY: lambda value: len(value) == 20,
    Attribute.MESSAGE_INTEGRITY_SHA256: lambda value: 16 <= len(value) <= 32 and len(value) % 4 == 0,
}

_KEPT_BEHIND: dict[int, frozenset[int]] = {
    Attribute.MESSAGE_INTEGRITY: frozenset((Attribute.MESSAGE_INTEGRITY_SHA256, Attribute.FINGERPRINT)),
    Attribute.MESSAGE_INTEGRITY_SHA256: frozenset((Attribute.FINGERPRINT,)),
    Attribute.FINGERPRINT: frozenset(),
}


def _attributes(raw: bytes) -> Iterable[tuple[int, bytes]]:
    wanted: frozenset[int] | None = None
    for count, (type_, start, end) in enumerate(_walk(raw)):
        if count >= ATTRIBUTES_MAX:
            raise StunError(f"a STUN message has more than {ATTRIBUTES_MAX} attributes")
        if wanted is not None and type_ not in wanted:
            continue
        value = raw[start:end]
        is_possible = _SHAPES.get(type_)
        if is_possible is not None and not is_possible(value):
            raise StunError(f"STUN attribute {type_:#06x} has an impossible value of {len(value)} bytes")
        wanted = _KEPT_BEHIND.get(type_, wanted)
        yield type_, value


def _walk(raw: bytes) -> Iterable[tuple[int, int, int]]:
    at, size = HEADER_BYTES, len(raw)
    while at < size:
        type_, length = _PAIR.unpack_from(raw, at)
        start, end = at + 4, at + 4 + length
        if end > size:
            raise StunError(f"STUN attribute {type_:#06x} is cut")
        yield type_, start, end
        at = end + -length % 4


def _offset_of(raw: bytes, attribute: Attribute) -> int:
    return next(start - 4 for type_, start, _ in _walk(raw) if type_ == attribute)


def _with_length(raw: bytes, more: int) -> bytes:
    length = len(raw) - HEADER_BYTES + more
    return raw[:2] + length.to_bytes(2, "big") + raw[4:]


def _signature(raw: bytes, key: bytes, integrity: Integrity, size: int) -> bytes:
    """The signature over what precedes it, the length field counting the signature in."""
    return hmac.digest(key, _with_length(raw, size + 4), integrity.algorithm)[:size]


def _fingerprint(raw: bytes) -> bytes:
    return (zlib.crc32(raw) ^ _FINGERPRINT_XOR).to_bytes(4, "big")

"""The PROXY protocol: a header at the beginning of a connection that says whose connection it really is.

Read and written here, not by a library: Twisted's reader refuses a header that comes in small pieces, knows
neither extensions nor checksums and has no writer; the one other that there is has no bounds, and fails on
bad input with whatever happens.  Source: haproxy.org, proxy-protocol.txt, revision of 2020/03/05.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.values import Address, Origin

__all__ = [
    "PROXY_HEADER",
    "VERSIONS",
    "MalformedProxyHeader",
    "make_proxy_header",
    "pack_tlvs",
    "take_from_datagram",
    "unpack_tlvs",
]

VERSIONS: Final = ("v1", "v2")
"""What the configuration calls the two versions: a line of text, and binary."""

MAX_LINE: Final = 107
"""Most bytes of a header of version 1, its end included.  Source: section 2.1."""

MAX_BLOCK: Final = 4096
"""Most bytes behind the fixed part of a header of version 2, as nginx takes in all.  With names and the
subject of a certificate there are some hundreds; who sends more than this wants memory."""

_LINE_START = b"PROXY "
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = struct.Struct(">12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_STREAM, _DATAGRAM = 1, 2
_INET, _INET6 = 1, 2
_ADDRESSES = {0: "", _INET: ">4s4sHH", _INET6: ">16s16sHH", 3: ">108s108s"}
"""What stands in front of the extensions, by family: nothing (UNSPEC), IPv4, IPv6, names of unix sockets."""

_TLV = struct.Struct(">BH")
_CRC32C, _NOOP, _NETNS = 0x03, 0x04, 0x30
_CHECKSUM = struct.Struct(">I")
_NOT_HANDED_ON = frozenset({_CRC32C, _NOOP, _NETNS})
"""What is about one header alone, or about the machine of who sent it."""

Tlvs: TypeAlias = "Sequence[tuple[int, bytes]]"
"""What is said besides addresses, each with its type and value."""

_Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK: dict[int, _Ip] = {4: ipaddress.IPv4Address("127.0.0.1"), 6: ipaddress.IPv6Address("::1")}


class MalformedProxyHeader(RemoteProtocolError):
    """A connection does not begin with a PROXY header, or with one that is broken."""

    problem = "proxy-header"


class _ProxyHeaderParser:
    """Takes a header of either version, and nothing behind it.

    Provides :class:`relaykit.sansio.contract.PrefixParser`; the answer is the origin that is announced.  One
    without a source announces no address, and those of the connection hold: the sender speaks for itself
    (LOCAL), does not know (UNKNOWN, UNSPEC), or means unix sockets.  What cannot become a header is refused
    as soon as that is clear.
    """

    limit = _FIXED.size + MAX_BLOCK

    def feed(self, data: bytes) -> tuple[Origin, int] | None:
        if _begins(data, _SIGNATURE):
            return None if len(data) < _FIXED.size else _parse_binary(data)
        if _begins(data, _LINE_START):
            return None if len(data) < len(_LINE_START) else _parse_line(data)
        raise MalformedProxyHeader("it does not begin with a PROXY header")


PROXY_HEADER: Final = _ProxyHeaderParser()
"""The parser of a header."""


def take_from_datagram(data: bytes) -> tuple[Origin, int]:
    """What the header in front of a datagram announces, and how many bytes it has; see :data:`PROXY_HEADER`.

    :raises MalformedProxyHeader: the datagram does not begin with a whole header of version 2, or with one
        that is about a connection.
    """
    if len(data) < _FIXED.size or not data.startswith(_SIGNATURE):
        raise MalformedProxyHeader("it does not begin with a PROXY header of version 2")
    _, command, kind, _ = _FIXED.unpack_from(data)
    if command == _PROXY and kind & 0x0F == _STREAM:
        raise MalformedProxyHeader("its PROXY header is about a connection")
    found = _parse_binary(data)
    if found is None:
        raise MalformedProxyHeader("its PROXY header is cut off")
    return found


def make_proxy_header(version: str, origin: Origin, *, datagrams: bool = False) -> bytes:
    """The header that announces a user, of a version out of :data:`VERSIONS`.

    The family is that of the source.  A destination that is not known, or has no form in that family, is
    announced as the loopback address.  Without a source the header says that it is not known.  Version 1 has
    no words for datagrams, so it says the same for them.  Version 2 hands on what was said besides, but the
    namespace of the network, which is one of the load balancer's machine, and what has no room.

    :raises ValueError: an address is not an IP address.
    """
    if version == "v1":
        return _line(None if datagrams else _announced(origin))
    return _binary(_announced(origin), _DATAGRAM if datagrams else _STREAM, origin.tlvs)


def pack_tlvs(tlvs: Tlvs) -> bytes:
    """What is said besides addresses, as a header has it."""
    return b"".join(_TLV.pack(kind, len(value)) + value for kind, value in tlvs)


def unpack_tlvs(packed: bytes) -> tuple[tuple[int, bytes], ...]:
    """The reverse.

    :raises MalformedProxyHeader: it is cut off, or longer than it may be in a header.
    """
    if len(packed) > MAX_BLOCK:
        raise MalformedProxyHeader(f"the extensions have {len(packed)} bytes, {MAX_BLOCK} are taken")
    return tuple((kind, value) for kind, value, _ in _tlvs(packed, 0))


@frozen
class _Announced:
    """Addresses of one family."""

    source: _Ip
    destination: _Ip
    source_port: int
    destination_port: int


def _announced(origin: Origin) -> _Announced | None:
    if origin.source is None:
        return None
    source = _ip(origin.source.host)
    if origin.destination is None:
        return _Announced(source, _LOOPBACK[source.version], origin.source.port, 0)
    destination = _ip(origin.destination.host)
    if source.version != destination.version:
        mapped = source.version == 6
        destination = ipaddress.IPv6Address(f"::ffff:{destination}") if mapped else _LOOPBACK[4]
    return _Announced(source, destination, origin.source.port, origin.destination.port)


def _ip(host: str) -> _Ip:
    return _unmapped(ipaddress.ip_address(host.partition("%")[0]))


def _unmapped(address: _Ip) -> _Ip:
    """An IPv4 address that is written as one of IPv6, as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _line(announced: _Announced | None) -> bytes:
    if announced is None:
        return b"PROXY UNKNOWN\r\n"
    return (
        f"PROXY TCP{announced.source.version} {announced.source} {announced.destination} "
        f"{announced.source_port} {announced.destination_port}\r\n"
    ).encode("ascii")


def _binary(announced: _Announced | None, protocol: int, tlvs: Tlvs) -> bytes:
    if announced is None:
        return _FIXED.pack(_SIGNATURE, _LOCAL, 0, 0)
    family = _INET if announced.source.version == 4 else _INET6
    block = struct.pack(
        _ADDRESSES[family],
        announced.source.packed,
        announced.destination.packed,
        announced.source_port,
        announced.destination_port,
    )
    for each in tlvs:
        packed = pack_tlvs([each])
        if each[0] not in _NOT_HANDED_ON and len(block) + len(packed) <= MAX_BLOCK:
            block += packed
    return _FIXED.pack(_SIGNATURE, _PROXY, family << 4 | protocol, len(block)) + block


def _begins(data: bytes, start: bytes) -> bool:
    """Whether it begins so, as far as it goes."""
    return data[: len(start)] == start[: len(data)]


def _parse_line(data: bytes) -> tuple[Origin, int] | None:
    """Reads version 1.  Source: section 2.1."""
    end = data.find(b"\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE:
            raise MalformedProxyHeader(f"a PROXY header of version 1 has no end within {MAX_LINE} bytes")
        return None
    if data[end - 1 : end] != b"\r":
        raise MalformedProxyHeader("the line of a PROXY header does not end with CR LF")
    kind, *fields = data[len(_LINE_START) : end - 1].decode("latin-1").split(" ")
    if kind == "UNKNOWN":
        return Origin(), end + 1
    if kind not in ("TCP4", "TCP6") or len(fields) != 4:
        raise MalformedProxyHeader("the line of a PROXY header is neither TCP4, TCP6 nor UNKNOWN")
    version = int(kind[-1])
    source, destination, source_port, destination_port = fields
    origin = Origin(
        Address(_host_of_text(source, version), _port_of_text(source_port)),
        Address(_host_of_text(destination, version), _port_of_text(destination_port)),
    )
    return origin, end + 1


def _host_of_text(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version or "%" in text:
        raise MalformedProxyHeader(f"an address of a PROXY header is not one of IPv{version}")
    return str(_unmapped(address))


def _port_of_text(text: str) -> int:
    if text.isascii() and text.isdigit() and str(int(text[:6])) == text and int(text) <= 0xFFFF:
        return int(text)
    raise MalformedProxyHeader("a port of a PROXY header is not a number from 0 to 65535")


def _parse_binary(data: bytes) -> tuple[Origin, int] | None:
    """Reads version 2.  Source: section 2.2."""
    _, command, kind, length = _FIXED.unpack_from(data)
    family, protocol = kind >> 4, kind & 0x0F
    if command not in (_LOCAL, _PROXY):
        raise MalformedProxyHeader(f"a PROXY header has the unknown version or command {command:#04x}")
    if length > MAX_BLOCK:
        raise MalformedProxyHeader(f"a PROXY header announces {length} bytes, {MAX_BLOCK} are taken")
    if command == _PROXY and (family not in _ADDRESSES or protocol > _DATAGRAM):
        raise MalformedProxyHeader(f"a PROXY header has the unknown family {kind:#04x}")
    end = _FIXED.size + length
    if len(data) < end:
        return None
    if command == _LOCAL:
        # All that follows, the family included, is to be discarded.
        return Origin(), end
    header = data[:end]
    addresses = struct.Struct(_ADDRESSES[family])
    if length < addresses.size:
        raise MalformedProxyHeader("a PROXY header is too short for its addresses")
    tlvs = tuple(_checked_tlvs(header, _FIXED.size + addresses.size))
    if family not in (_INET, _INET6) or not protocol:
        return Origin(tlvs=tlvs), end
    source, destination, source_port, destination_port = addresses.unpack_from(header, _FIXED.size)
    origin = Origin(
        Address(str(_unmapped(ipaddress.ip_address(source))), source_port),
        Address(str(_unmapped(ipaddress.ip_address(destination))), destination_port),
        tlvs=tlvs,
    )
    return origin, end


def _checked_tlvs(header: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """The extensions of a header but those about the header itself, of which the checksum is checked."""
    for kind, value, at in _tlvs(header, start):
        if kind == _CRC32C:
            _check_sum(header, at, value)
        elif kind != _NOOP:
            yield kind, value


def _tlvs(packed: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Each with its type, its value, and where that begins."""
    while at < len(packed):
        if at + _TLV.size > len(packed):
            raise MalformedProxyHeader("an extension of a PROXY header is cut off")
        kind, length = _TLV.unpack_from(packed, at)
        at += _TLV.size
        value = packed[at : at + length]
        if len(value) < length:
            raise MalformedProxyHeader("an extension of a PROXY header is cut off")
        yield kind, value, at
        at += length


def _check_sum(header: bytes, at: int, value: bytes) -> None:
    """Source: section 2.2.3: that of the header with zeros in place of the checksum."""
    blanked = header[:at] + bytes(_CHECKSUM.size) + header[at + _CHECKSUM.size :]
    # Its library is looked for only where somebody sends a checksum; few do.
    from crc32c import crc32c

    if len(value) != _CHECKSUM.size or _CHECKSUM.unpack(value)[0] != crc32c(blanked):
        raise MalformedProxyHeader("the checksum of a PROXY header is wrong")

"""Datagrams in a stream of bytes: each one after its length in two bytes, most significant first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relaykit.errors import RemoteProtocolError

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["LENGTH_BYTES", "MOST_DATAGRAM_BYTES", "DatagramFrames", "frame"]

LENGTH_BYTES: Final = 2

MOST_DATAGRAM_BYTES: Final = 65_507
"""Most payload of a datagram: what the headers of IPv4 and UDP leave of 65,535 bytes.
Source: RFC 768, RFC 791 section 3.1."""


def frame(data: Buffer) -> bytes:
    """A datagram as it goes into the stream."""
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


class DatagramFrames:
    """Takes datagrams out of a stream; holds one that is incomplete, at most."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def receive(self, data: Buffer) -> list[memoryview]:
        """The datagrams that these bytes, in any portions, complete; lent as long as ``data`` is.

        :raises RemoteProtocolError: one would be longer than a datagram can be; the stream is of no use.
        """
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < LENGTH_BYTES or len(rest) < LENGTH_BYTES + _length(rest, 0):
                return []
            self._rest = bytearray()
            data = rest
        view = memoryview(data)
        datagrams: list[memoryview] = []
        at, end = 0, len(view)
        while end - at >= LENGTH_BYTES:
            begin = at + LENGTH_BYTES
            following = begin + _length(view, at)
            if following > end:
                break
            datagrams.append(view[begin:following])
            at = following
        if at < end:
            self._rest = bytearray(view[at:])
        return datagrams


def _length(data: bytearray | memoryview, at: int) -> int:
    length = data[at] << 8 | data[at + 1]
    if length > MOST_DATAGRAM_BYTES:
        raise RemoteProtocolError(
            f"a datagram of {length} bytes was announced: {MOST_DATAGRAM_BYTES} at most"
        )
    return length

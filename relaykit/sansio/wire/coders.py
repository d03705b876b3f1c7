"""What turns one direction of a stream into another, and how frp stacks it around a payload.

The writer compresses first and encrypts the result, so from the network upward there is encryption,
then compression, then the payload.  Both are chosen per proxy, on a visitor's leg per visitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from relaykit.sansio.contract import Buffer
from relaykit.sansio.wire.cipher import Decryptor, Encryptor

__all__ = ["Stack", "StreamCoder", "inbound_coders", "outbound_coders"]


class StreamCoder(Protocol):
    """One direction, one layer.  It keeps the order of bytes and needs no end."""

    def process(self, data: Buffer) -> Sequence[Buffer]:
        """Takes the next bytes in any portions and answers what they give, possibly nothing.

        ``data`` is lent for the call; the answer is the caller's.

        :raises RemoteProtocolError: the peer's bytes are not of this coding.  The stream is lost,
            and what the same portion gave before with it.
        """


class Stack:
    """Several coders as one, in the order in which bytes pass them."""

    __slots__ = ("_coders",)

    def __init__(self, coders: Sequence[StreamCoder]) -> None:
        self._coders = tuple(coders)

    def process(self, data: Buffer) -> Sequence[Buffer]:
        """See :meth:`StreamCoder.process`; without coders the answer is ``data`` itself, still lent."""
        pieces: Sequence[Buffer] = (data,)
        for coder in self._coders:
            pieces = [result for piece in pieces for result in coder.process(piece)]
        return pieces


def outbound_coders(key: bytes | None, compression: bool, iv: bytes) -> tuple[StreamCoder, ...]:
    """What a payload passes on its way to the peer; nothing for a plain leg.

    :param key: of :func:`relaykit.sansio.wire.cipher.derive_key`, or None for no encryption.
    :param iv: 16 random bytes, never used before with this key.
    """
    coders: list[StreamCoder] = []
    if compression:
        # Its libraries are two megabytes, which who compresses nothing does without.
        from relaykit.sansio.wire.snappy import Compressor

        coders.append(Compressor())
    if key is not None:
        coders.append(Encryptor(key, iv))
    return tuple(coders)


def inbound_coders(key: bytes | None, compression: bool) -> tuple[StreamCoder, ...]:
    """What the peer's bytes pass on their way to a payload; nothing for a plain leg."""
    coders: list[StreamCoder] = []
    if key is not None:
        coders.append(Decryptor(key))
    if compression:
        from relaykit.sansio.wire.snappy import Decompressor

        coders.append(Decompressor())
    return tuple(coders)

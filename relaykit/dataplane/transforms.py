"""Legs around legs: encryption and compression of a payload, in one order for everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger

from relaykit.dataplane.upper_legs import UpperLeg
from relaykit.errors import RemoteProtocolError
from relaykit.sansio.wire.cipher import IV_LENGTH, derive_key
from relaykit.sansio.wire.coders import Stack, inbound_coders, outbound_coders
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.wire.coders import StreamCoder
    from relaykit.values import Secret

__all__ = ["TransformLeg", "Transforms", "transformed"]


class Transforms(Protocol):
    """What is done to the bytes of a leg: the options of a proxy, of a visitor, or what one asks for."""

    @property
    def use_encryption(self) -> bool:
        """Whether they are encrypted with a key that is made from a secret of both ends."""

    @property
    def use_compression(self) -> bool:
        """Whether they are compressed before that."""


def transformed(
    leg: IStreamLeg, transforms: Transforms, secret: Secret, entropy: Callable[[int], bytes]
) -> IStreamLeg:
    """A leg whose peer does the same to what it writes; the leg itself where nothing is to be done.

    :param secret: the token, or what a visitor must know.
    :param entropy: answers this many random bytes.
    """
    compression = transforms.use_compression
    if not (transforms.use_encryption or compression):
        return leg
    key = derive_key(secret.to_bytes()) if transforms.use_encryption else None
    iv = entropy(IV_LENGTH) if key is not None else b""
    return TransformLeg(leg, outbound_coders(key, compression, iv), inbound_coders(key, compression))


class TransformLeg(UpperLeg):
    """Passes output and input of a leg, which it owns, through coders."""

    __slots__ = ("_inbound", "_outbound")

    log = Logger()

    def __init__(
        self, lower: IStreamLeg, outbound: Sequence[StreamCoder], inbound: Sequence[StreamCoder]
    ) -> None:
        super().__init__(lower)
        self._outbound = Stack(outbound)
        self._inbound = Stack(inbound)
        lower.pauseProducing()

    def write(self, data: Buffer) -> None:
        self._lower.write_sequence(self._outbound.process(data))

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        try:
            pieces = self._inbound.process(data)
        except RemoteProtocolError as error:
            self.log.warn(
                "{peer} sent what cannot be decoded: {reason}; do both ends have the same token, secret, "
                "encryption and compression?",
                peer=self.peer,
                reason=str(error),
                stranger=host_of(self.peer),
                problem="broke-the-rules",
            )
            self._silence()
            self._lower.abort()
            self._lost(Ended.PROTOCOL_ERROR)
            return
        for piece in pieces:
            self._arrived(piece)

    # --- inside ---------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        if not wanted:
            self._lower.pauseProducing()
        elif self._watching:
            self._lower.resumeProducing()
        else:
            self._watch_lower()

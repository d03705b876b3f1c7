"""Legs around legs: encryption and compression of a payload, in one order for everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.legs import OutputGate, StreamLeg
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ILossReceiver
from relaykit.sansio.wire.cipher import IV_LENGTH, derive_key
from relaykit.sansio.wire.coders import Stack, inbound_coders, outbound_coders
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from relaykit.interfaces import IConnection, IStreamLeg, ITurns
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


@implementer(ILossReceiver)
class TransformLeg(StreamLeg):
    """Passes output and input of a leg, which it owns, through coders."""

    __slots__ = ("_attached", "_inbound", "_lower", "_outbound")

    log = Logger()

    def __init__(
        self, lower: IStreamLeg, outbound: Sequence[StreamCoder], inbound: Sequence[StreamCoder]
    ) -> None:
        super().__init__(lower.peer, lower.host)
        self._lower = lower
        self._outbound = Stack(outbound)
        self._inbound = Stack(inbound)
        self._attached = False
        lower.pauseProducing()
        lower.registerProducer(OutputGate(self), True)

    def __repr__(self) -> str:
        return f"<TransformLeg on {self._lower!r}>"

    @property
    def turns(self) -> ITurns:
        turns: ITurns = self._lower.turns
        return turns

    def write(self, data: Buffer) -> None:
        self._lower.write_sequence(self._outbound.process(data))

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    @property
    def connection(self) -> IConnection | None:
        below: IConnection | None = self._lower.connection
        return below

    def finish_writing(self) -> None:
        self._lower.finish_writing()

    def close(self) -> None:
        self._silence()
        self._watch_lower()
        self._lower.close()

    def break_off(self) -> None:
        self._silence()
        self._watch_lower()
        self._lower.break_off()

    def abort(self) -> None:
        self._silence()
        self._watch_lower()
        self._lower.abort()

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

    def end_received(self) -> None:
        self._ended()

    def loss_noted(self, reason: Ended) -> None:
        self._lower.resumeProducing()

    def leg_lost(self, reason: Ended) -> None:
        self._lost(reason)

    # --- inside ---------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        if not wanted:
            self._lower.pauseProducing()
        elif self._attached:
            self._lower.resumeProducing()
        else:
            self._watch_lower()

    def _watch_lower(self) -> None:
        if not self._attached:
            self._attached = True
            self._lower.attach(self)

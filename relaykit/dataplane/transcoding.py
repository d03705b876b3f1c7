"""A leg that speaks the format of one lane at its far side and that of another one here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit.dataplane.transforms import TransformLeg
from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes.transcoding import LaneTranscoding
from relaykit.values import host_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.coders import StreamCoder

__all__ = ["LaneLeg", "TranscodingLeg", "transcoded"]


def transcoded(leg: IStreamLeg, near: LaneCodec, far: LaneCodec) -> IStreamLeg:
    """A leg that is read and written in the format of ``far``, while its peer has that of ``near``.

    The leg itself where they are the same: each format has a keep-alive of its own.
    """
    return leg if near.keep_alive == far.keep_alive else TranscodingLeg(leg, near, far)


class LaneLeg(TransformLeg):
    """A leg of a lane that is passed on, frame by frame; both sides may break the rules of its format.

    :ivar dropped: datagrams that could not be passed on.
    """

    __slots__ = ("dropped",)

    log = Logger()

    def __init__(
        self, lower: IStreamLeg, outbound: Sequence[StreamCoder], inbound: Sequence[StreamCoder]
    ) -> None:
        super().__init__(lower, outbound, inbound)
        self.dropped = 0

    def write(self, data: Buffer) -> None:
        try:
            super().write(data)
        except RemoteProtocolError as error:
            self.log.warn(
                "what was to be passed on to {peer} is no lane: {reason}",
                peer=self.peer,
                reason=str(error),
                stranger=host_of(self.peer),
                problem="broke-the-rules",
            )
            self.abort()


class TranscodingLeg(LaneLeg):
    """Passes the datagrams of a lane on in another format; what has no room there is dropped."""

    __slots__ = ()

    def __init__(self, lower: IStreamLeg, near: LaneCodec, far: LaneCodec) -> None:
        between = LaneTranscoding(near, far, self._left_out)
        super().__init__(lower, [between.to_near], [between.to_far])

    def _left_out(self, reason: str) -> None:
        self.dropped += 1
        if self.dropped == 1:
            self.log.warn(
                "a datagram between {peer} and the service is dropped: {reason}",
                peer=self.peer,
                reason=reason,
                stranger=host_of(self.peer),
                problem="datagram-too-large",
            )

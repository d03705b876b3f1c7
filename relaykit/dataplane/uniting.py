"""A leg of a lane that is read and written as one stream, while datagrams go beside it at its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.dataplane.transcoding import LaneLeg
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IAccompaniedLeg, IDatagramReceiver
from relaykit.sansio.lanes.binary import WholeFrames, frame_of, whole_of

if TYPE_CHECKING:
    from relaykit.interfaces import ISizedDatagramLeg, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.values import Ended

__all__ = ["UnitedLeg", "united"]


def united(leg: IStreamLeg, codec: LaneCodec) -> IStreamLeg:
    """A leg by which all of a lane goes, for who joins two of them; the leg itself where all does already."""
    if not (codec.goes_beside and IAccompaniedLeg.providedBy(leg)) or leg.beside is None:
        return leg
    return UnitedLeg(leg, leg.beside)


class UnitedLeg(LaneLeg):
    """Passes frames of a lane on: what has room beside the stream goes there, the rest by the stream.

    What the network has no room for at the moment is dropped.
    """

    __slots__ = ("_beside", "_outgoing")

    def __init__(self, lower: IStreamLeg, beside: ISizedDatagramLeg) -> None:
        super().__init__(lower, [self], [WholeFrames()])
        self._beside = beside
        self._outgoing = WholeFrames()

    def process(self, data: Buffer) -> list[Buffer]:
        """As the coder of its output: sends beside the stream what has room there, and answers the rest."""
        beside, rest = self._beside, []
        for frame in self._outgoing.process(data):
            whole = whole_of(frame)
            if whole is None or len(whole) > beside.most_bytes:
                rest.append(frame)
            elif not beside.send(whole):
                self.dropped += 1
        return rest

    def beside_received(self, data: Buffer) -> None:
        """A datagram arrived beside the stream."""
        try:
            frame = frame_of(bytes(data))
        except RemoteProtocolError:
            self.dropped += 1
        else:
            self._arrived(frame)

    # --- inside -----------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        super()._reading_wanted(wanted)
        if wanted:
            self._beside.resume()
        else:
            self._beside.pause()

    def _watch_lower(self) -> None:
        is_first = not self._watching
        super()._watch_lower()
        if is_first:
            self._beside.attach(_Beside(self))


@implementer(IDatagramReceiver)
@frozen(eq=False)
class _Beside:
    """Takes what arrives beside the stream."""

    _leg: UnitedLeg

    def datagram_received(self, data: Buffer) -> None:
        self._leg.beside_received(data)

    def leg_lost(self, reason: Ended) -> None:
        """Nothing: the stream is lost with it."""

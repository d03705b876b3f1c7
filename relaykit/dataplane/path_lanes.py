"""A lane that has datagrams beside its stream: what has room in one goes as one, the rest by the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.dataplane.lanes import DatagramLane
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IDatagramReceiver
from relaykit.sansio.lanes.binary import BinaryCodec

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.sources import SourceLeg
    from relaykit.interfaces import IDatagramAcceptor, ISizedDatagramLeg, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.lanes.codec import DatagramTooLarge
    from relaykit.values import Ended

__all__ = ["PathLane"]


class PathLane(DatagramLane):
    """A lane in relaykit's own format, most of whose datagrams go beside the stream that it owns.

    Users are told of as being gone on the stream, so that what they sent may arrive behind it: who comes so
    is new, and forgotten when idle.

    :param beside: those datagrams, which this lane has from :meth:`start` on.
    """

    _codec: BinaryCodec

    def __init__(
        self,
        poller: Poller,
        lower: IStreamLeg,
        beside: ISizedDatagramLeg,
        too_large: Callable[[DatagramTooLarge], None],
    ) -> None:
        super().__init__(poller, lower, BinaryCodec(), too_large)
        self._beside = beside

    def start(self, acceptor: IDatagramAcceptor | None = None) -> None:
        super().start(acceptor)
        self._beside.attach(_Beside(self))

    def datagram_received(self, whole: Buffer) -> None:
        """A datagram arrived beside the stream."""
        self._quiet_looks = 0
        try:
            key, data = self._codec.taken(bytes(whole))
        except RemoteProtocolError:
            self.dropped += 1
            return
        sources = self._sources
        leg = sources.legs.get(key)
        if leg is None:
            self._met(key, data)
            return
        if leg.sweep != sources.sweep:
            sources.heard_of(leg)
        leg._arrived(data)

    def _send(self, leg: SourceLeg, data: Buffer) -> bool:
        beside = self._beside
        whole = self._codec.alone(leg.key, data)
        if len(whole) > beside.most_bytes:
            return super()._send(leg, data)
        taken: bool = beside.send(whole)
        return taken


@implementer(IDatagramReceiver)
@frozen(eq=False)
class _Beside:
    """Takes them for a lane."""

    _lane: PathLane

    def datagram_received(self, data: Buffer) -> None:
        self._lane.datagram_received(data)

    def leg_lost(self, reason: Ended) -> None:
        """Nothing: the stream is lost with it."""

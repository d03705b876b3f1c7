"""A lane: datagrams of many users over one stream leg, each user a datagram leg.

Datagrams have no backpressure: while the output of the stream is full, what is sent is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.sources import SourceTable
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IDatagramLane, IPiecesReceiver
from relaykit.sansio.lanes.codec import DatagramTooLarge
from relaykit.timer import Portion
from relaykit.values import Ended, Origin, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.sources import SourceLeg
    from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.values import Address

__all__ = ["DatagramLane"]

FLUSH_BYTES = 64 * 1024
"""Bytes of datagrams that are written at once; fewer wait for the end of the turn, to go out together."""

KEEP_ALIVE_S = 30.0
"""Seconds between two keep-alives of the service's end of a lane; frp's figure."""

SILENCE_S = 60.0
"""Silence, after which the users' end of a lane takes it for dead; frp's figure."""

_LOOK_EVERY = 64
"""Datagrams that are handed on between two looks at the clock."""

_LOOKS = 4
"""Looks at a lane within that time: no clock for each piece that arrives."""


@implementer(IDatagramLane, IPiecesReceiver, IPushProducer)
class DatagramLane:
    """See :class:`relaykit.interfaces.IDatagramLane`.

    ``too_large`` is told of each datagram that the format has no room for; it is dropped.
    """

    log = Logger()

    def __init__(
        self,
        poller: Poller,
        lower: IStreamLeg,
        codec: LaneCodec,
        too_large: Callable[[DatagramTooLarge], None],
    ) -> None:
        self.dropped = 0
        self._poller = poller
        self._lower = lower
        self._codec = codec
        self._too_large = too_large
        self._sources = SourceTable(poller, self._send, f"the lane with {lower.peer}", self._gone)
        self._acceptor: IDatagramAcceptor | None = None
        self._full = False
        self._left: Iterator[tuple[Hashable, Buffer | None]] | None = None
        """What arrived and is not handed on, because others have their turn."""
        self._leaving: SourceLeg | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._quiet_looks = 0
        self._timer: IDelayedCall | None = None
        self._started = self._closed = False
        self._loss: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []
        lower.pauseProducing()
        lower.registerProducer(self, True)

    def __repr__(self) -> str:
        return f"<DatagramLane on {self._lower!r}>"

    @property
    def users(self) -> int:
        return len(self._sources.legs)

    def start(self, acceptor: IDatagramAcceptor | None = None) -> None:
        self._acceptor = acceptor
        if acceptor is None:
            self._timer = self._poller.reactor.callLater(SILENCE_S / _LOOKS, self._look)
        else:
            self._timer = self._poller.reactor.callLater(KEEP_ALIVE_S, self._keep_alive)
        self._attach()

    def open(self, user: Address | None) -> IDatagramLeg:
        if user is None:
            raise ValueError("who comes from no address cannot be told from others")
        leg = self._sources.add(self._codec.key_of(user), user, self._lower.host)
        if self._closed:
            leg.close()
        return leg

    def let_go_oldest(self) -> None:
        self._sources.let_go_oldest()

    def when_lost(self) -> Deferred[Ended]:
        if self._loss is not None:
            return succeed(self._loss)
        waiting: Deferred[Ended] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        if not self._closed:
            self._flush()
            self._end(Ended.FINISHED)
            self._attach()
            self._lower.close()

    # --- the producer of the lower leg ----------------------------------------------------------

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False

    def stopProducing(self) -> None:
        """Nothing: the loss of the lower leg is told as such."""

    # --- its receiver ---------------------------------------------------------------------------

    def pieces_received(self, pieces: Sequence[Buffer]) -> None:
        self.data_received(b"".join(pieces))

    def data_received(self, data: Buffer) -> None:
        self._quiet_looks = 0
        try:
            datagrams = self._codec.receive(data)
        except RemoteProtocolError as error:
            self.log.warn(
                "{peer} broke the rules: {reason}",
                peer=self._lower.peer,
                reason=str(error),
                stranger=host_of(self._lower.peer),
                problem="broke-the-rules",
            )
            self._abort(Ended.PROTOCOL_ERROR)
            return
        self._hand_on(iter(datagrams) if self._left is None else chain(self._left, datagrams))

    def _hand_on(self, datagrams: Iterator[tuple[Hashable, Buffer | None]]) -> bool:
        """Hands on what arrived, as long as this lane's portion of the turn lasts; whether that was all.

        Nothing is read before it was.
        """
        self._left = None
        portion = Portion(self._poller.reactor)
        sources = self._sources
        for number, (key, datagram) in enumerate(datagrams, 1):
            leg = sources.legs.get(key)
            if datagram is None:
                if leg is not None:
                    self._told_gone(leg)
            elif leg is None:
                self._met(key, datagram)
            else:
                if leg.sweep != sources.sweep:
                    sources.heard_of(leg)
                leg._arrived(datagram)
            if not number % _LOOK_EVERY and portion.is_over:
                self._left = datagrams
                self._lower.pauseProducing()
                self._poller.in_next_turn(self._hand_on_rest)
                return False
        return True

    def _hand_on_rest(self) -> None:
        if self._left is not None and not self._closed and self._hand_on(self._left):
            self._lower.resumeProducing()

    def end_received(self) -> None:
        self.close()

    def leg_lost(self, reason: Ended) -> None:
        self._end(reason)
        self._loss = self._loss or reason
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._loss)

    # --- inside ---------------------------------------------------------------------------------

    def _attach(self) -> None:
        if not self._started:
            self._started = True
            self._lower.attach(self)

    def _met(self, key: Hashable, data: Buffer) -> None:
        """Somebody without a leg: a new user, or at the users' end one who is gone."""
        if self._acceptor is None or self._closed:
            self.dropped += 1
            return
        try:
            user = self._codec.user_of(key)
        except ValueError:
            self.dropped += 1
            return
        self._sources.admit(self._acceptor, key, Origin(user), data)

    def _send(self, leg: SourceLeg, data: Buffer) -> bool:
        if self._full:
            return False
        try:
            frame = self._codec.encode(leg.key, data)
        except DatagramTooLarge as error:
            self._too_large(error)
            return False
        self._put(frame)
        return True

    def _put(self, frame: bytes) -> None:
        unsent = self._unsent
        unsent.append(frame)
        self._unsent_bytes += len(frame)
        if self._unsent_bytes >= FLUSH_BYTES:
            self._flush()
        elif len(unsent) == 1:
            self._poller.at_turn_end(self._flush)

    def _gone(self, leg: SourceLeg) -> None:
        """A leg is over: the other end need not keep the user either, unless it was the one to say so."""
        if not (self._closed or self._full or leg is self._leaving) and (frame := self._codec.gone(leg.key)):
            self._put(frame)

    def _told_gone(self, leg: SourceLeg) -> None:
        """The other end does not keep a user any more."""
        self._leaving = leg
        leg.close()
        self._leaving = None

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if unsent and not self._closed:
            self._lower.write_sequence(unsent)

    def _keep_alive(self) -> None:
        self._timer = self._poller.reactor.callLater(KEEP_ALIVE_S, self._keep_alive)
        if not self._full:
            self._lower.write(self._codec.keep_alive)

    def _look(self) -> None:
        self._timer = self._poller.reactor.callLater(SILENCE_S / _LOOKS, self._look)
        self._quiet_looks += 1
        if self._quiet_looks > _LOOKS:
            self._abort(Ended.TIMEOUT)

    def _abort(self, why: Ended) -> None:
        self._loss = why
        self._end(why)
        self._lower.abort()

    def _end(self, why: Ended) -> None:
        """Ends the legs of all users; nothing is sent or delivered any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sources.close(why)

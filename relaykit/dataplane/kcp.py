"""Streams over datagrams, by KCP: a leg on a datagram leg, and a port that accepts such legs.

KCP tells neither the end of a direction nor that of a session.  Whoever needs that brings it along, as yamux
does: a peer that has closed its leg is only silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from relaykit.dataplane.datagrams import UpperDatagramLeg, sender_of_many
from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.interfaces import IBatchedDatagramReceiver, IConnection, IDatagramAcceptor, IDatagramReceiver
from relaykit.sansio.kcp.sessions import KcpSessions
from relaykit.timer import Timer
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IDatagramLeg, ILegAcceptor, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.kcp.options import KcpOptions
    from relaykit.sansio.kcp.session import KcpSession
    from relaykit.values import Origin

__all__ = ["KcpLeg", "KcpPort"]

HIGH_WATER_BYTES = 256 * 1024
"""Bytes that wait to be sent at which whoever writes is paused: what a mux link writes at once."""

LOW_WATER_BYTES = 128 * 1024
"""Bytes at which writing goes on: more than goes out at once, so that there is always some."""


@implementer(IBatchedDatagramReceiver, IConnection)
class KcpLeg(StreamLeg):
    """A KCP session as a leg; it owns the datagram leg below.

    While it is paused the peer may send no more than the receive window.  :meth:`finish_writing` ends this
    direction without a word to the peer.  :meth:`close` waits for what was written to be acknowledged, for
    ``FLUSH_LINGER_S`` seconds at most; :meth:`break_off` does the same.  :meth:`abort` acknowledges what has
    arrived, and no more.
    """

    __slots__ = (
        "_clock",
        "_closes_by",
        "_datagrams",
        "_finishing",
        "_flush_asked",
        "_gone",
        "_send",
        "_session",
        "_timer",
        "_turns",
    )

    def __init__(
        self, datagrams: IDatagramLeg, session: KcpSession, turns: ITurns, clock: IReactorTime
    ) -> None:
        super().__init__(datagrams.peer, datagrams.host)
        self._datagrams = datagrams
        self._send = sender_of_many(datagrams)
        self._session = session
        self._turns = turns
        self._clock = clock
        self._timer = Timer(clock, self._flush_soon)
        self._flush_asked = self._finishing = False
        self._closes_by: float | None = None
        self._gone: Ended | None = None
        datagrams.attach(self)

    def __repr__(self) -> str:
        return f"<KcpLeg {self.host} - {self.peer}>"

    @property
    def turns(self) -> ITurns:
        return self._turns

    def write(self, data: Buffer) -> None:
        if self._finishing or self._gone is not None or not len(data):
            return
        self._session.write(data if type(data) is bytes else bytes(data))
        if self._session.queued_bytes >= HIGH_WATER_BYTES:
            self._output_full()
        self._flush_soon()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        self._finishing = True

    def close(self) -> None:
        self._silence()
        if self._closes_by is None and self._gone is None:
            self._finishing = True
            self._closes_by = self._clock.seconds() + FLUSH_LINGER_S
            self._flush_soon()

    def break_off(self) -> None:
        self.close()

    def abort(self) -> None:
        self._silence()
        self._end(Ended.CANCELLED)

    # --- the connection -------------------------------------------------------------------------

    @property
    def connection(self) -> IConnection:
        return self

    def favor_latency(self) -> None:
        """Nothing to do: what waits here is little."""

    @property
    def unconfirmed(self) -> int | None:
        return self._session.unconfirmed_bytes

    def give_up_unconfirmed(self, after_s: float) -> None:
        self._session.give_up_after(after_s)

    # --- the datagram leg -----------------------------------------------------------------------

    def datagram_received(self, data: Buffer) -> None:
        self.datagrams_received((data,))

    def datagrams_received(self, datagrams: Sequence[Buffer]) -> None:
        if self._gone is None:
            self._session.receive_many(datagrams, self._clock.seconds())
            self._flush_soon()

    def leg_lost(self, reason: Ended) -> None:
        if self._gone is None:
            self._go(reason)

    # --- inside ---------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted and self._session.has_unread:
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Deals with what has come together in this turn, once."""
        if not self._flush_asked and self._gone is None:
            self._flush_asked = True
            self._turns.at_turn_end(self._flush)

    def _flush(self) -> None:
        self._flush_asked = False
        session = self._session
        if self._gone is None:
            session.wake(self._clock.seconds())
        if self._gone is None and self._reading and session.has_unread:
            self._arrived(session.read())
        if self._gone is not None:
            return
        datagrams = session.to_send(self._clock.seconds())
        if datagrams:
            self._send(datagrams)
        if session.queued_bytes <= LOW_WATER_BYTES:
            self._output_drained()
        if session.events():
            self._end(Ended.TIMEOUT)
        elif self._closes_by is None:
            self._timer.set(session.next_wakeup())
        else:
            self._linger(self._closes_by)

    def _linger(self, until: float) -> None:
        """Ends the leg once the peer has everything, or has had the time to."""
        if self._session.is_settled:
            self._end(Ended.FINISHED)
        elif self._clock.seconds() >= until:
            self._end(Ended.TIMEOUT)
        else:
            self._timer.set(min(until, self._session.next_wakeup() or until))

    def _end(self, reason: Ended) -> None:
        if self._gone is None:
            self._go(reason)
            last = self._session.last_words()
            if last:
                self._send(last)
            self._datagrams.close()

    def _go(self, reason: Ended) -> None:
        self._gone = reason
        self._finishing = True
        self._timer.stop()
        self._turns.at_turn_end(self._tell_loss)

    def _tell_loss(self) -> None:
        self._lost(self._gone or Ended.RESET)


@implementer(IDatagramAcceptor)
class KcpPort:
    """Takes the sources of a datagram port, and hands each session that one begins on as a leg."""

    def __init__(
        self, options: KcpOptions, acceptor: ILegAcceptor, turns: ITurns, clock: IReactorTime
    ) -> None:
        self.sessions = KcpSessions(options)
        self._acceptor = acceptor
        self._turns = turns
        self._clock = clock

    @property
    def now(self) -> float:
        """The time that sessions are told."""
        return self._clock.seconds()

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        leg.attach(_Source(self, leg, origin))

    def open(self, source: _Source, session: KcpSession) -> None:
        """Makes a leg of a session that a source has begun."""
        leg = KcpLeg(source, session, self._turns, self._clock)
        self._acceptor.leg_accepted(leg, source.origin)


@implementer(IDatagramReceiver)
class _Source(UpperDatagramLeg):
    """Who sends to a port: what the leg of the session stands on that this source has at the moment."""

    __slots__ = ("_port", "_receiver", "_session", "origin")

    def __init__(self, port: KcpPort, lower: IDatagramLeg, origin: Origin) -> None:
        super().__init__(lower)
        self.origin = origin
        self._port = port
        self._receiver: IDatagramReceiver | None = None
        self._session: KcpSession | None = None

    # --- for the leg above

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._receiver = receiver

    def close(self) -> None:
        self._port.sessions.forget(self)
        self._receiver = None
        self._lower.close()

    # --- the leg below

    def datagram_received(self, data: Buffer) -> None:
        session = self._port.sessions.find(self, data, self._port.now)
        if session is None:
            # It is not what opens a session: nothing of it is kept.
            self.close()
            return
        if session is not self._session:
            self._lose(Ended.RESET)
            self._session = session
            self._port.open(self, session)
        if self._receiver is not None:
            self._receiver.datagram_received(data)

    def leg_lost(self, reason: Ended) -> None:
        self._port.sessions.forget(self)
        self._lose(reason)

    def _lose(self, reason: Ended) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.leg_lost(reason)

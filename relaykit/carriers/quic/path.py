"""A QUIC connection as a path of streams, with datagrams beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.carriers.quic.adapter import CONNECTION_WINDOW_BYTES
from relaykit.carriers.quic.driver import QuicDriver
from relaykit.carriers.quic.frames import Besides, QuicDatagramLeg
from relaykit.carriers.quic.streams import HIGH_WATER_BYTES, QuicStreamLeg
from relaykit.dataplane.tls import alert_reason
from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import IDatagramPath, IEnd, ILegReceiver, IMeasuredPath, ISecureSession, ISharedPath
from relaykit.sansio.stream_credit import Rooms, Window, Windows
from relaykit.timer import Deadlines
from relaykit.values import LOST_LINGER_S, Ended, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.carriers.quic.adapter import Connection, Library
    from relaykit.interfaces import IDatagramLeg, ILegAcceptor, ISizedDatagramLeg, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address

__all__ = ["QuicPath"]

HELD_BYTES: Final = 32 * 1024 * 1024
"""What has arrived and is not read, of all streams without credit of their own, until the peer gets no more
credit at all: the libraries cannot withhold that of one stream."""

STALLED_S: Final = 10.0
"""Seconds for which streams that nobody reads may keep the others waiting, before the one that holds most is
given up."""

LINGER_S: Final = 60.0
"""Seconds for a closed stream to send what was written, and for the peer to end it, too."""

CLOSING_S: Final = 2.0
"""Seconds for what was written to arrive before a path that is closed says so: after that nothing is sent
again."""

OPEN_S: Final = 10.0
"""Seconds for a new stream to wait while the peer has as many as it takes."""

MOST_WAITING: Final = 1024
"""New streams that wait so."""

CONTROL_BYTES: Final = 4096
"""What may arrive on the stream of the proofs before it is taken."""

MOST_UNPROVEN_BYTES: Final = 1024 * 1024
"""What may arrive before the peer has proven itself: a handshake, a proof, and what overtakes that."""

MOST_WITHHELD_BYTES: Final = 2 * CONNECTION_WINDOW_BYTES
"""What may arrive while the peer has no credit: as much as it had, and its questions whether it has some."""

MOST_EARLY: Final = 64
"""Streams that a server may open before its proof has arrived: packets overtake each other."""

REFUSED: Final = 2
"""Code of a stream that nobody takes."""

_CRYPTO_ERROR: Final = 0x100
"""The first of as many codes that stand for the alerts of TLS.  Source: RFC 9000 20.1."""

_STALL: Final = "stall"
_CONTROL = 0
"""The first stream of the client: for the proofs of both ends, where there are any, and for credit."""

_OPENED = b"\0"
"""What a stream between two ends of our own begins with, so that the peer sees it before there is payload; so
does the first one, where there are no proofs."""


@implementer(IDatagramPath, IEnd, IMeasuredPath, ISecureSession, ISharedPath)
class QuicPath:
    """The streams of a connection, which it runs over a datagram leg, and owns.

    :param credited_by: the name by ALPN under which the peer is relaykit, too.  Then the first stream is for
        the credit of the others, see :mod:`relaykit.sansio.stream_credit`.  Under any other name all streams
        are payload from their first byte, and share the credit of the connection.
    :param proving: the first stream is for proofs before, and legs that the peer opens wait for
        :meth:`proven`.
    """

    log = Logger()

    def __init__(
        self,
        connection: Connection,
        library: Library,
        lower: IDatagramLeg,
        turns: ITurns,
        clock: IReactorTime,
        keepalive_s: float,
        credited_by: str | None = None,
        proving: bool = False,
    ) -> None:
        self.connection = connection
        self.turns = turns
        self.is_verified = False
        """Whether who has opened it has verified the peer's certificate."""
        self.handshaken: Deferred[Any] = Deferred()
        """Fires once the peer speaks QUIC, and our protocol in it; fails with ConnectionFailed."""
        self.control: Deferred[Any] = Deferred()
        """Fires with the :class:`QuicStreamLeg` of the first stream, where it is for proofs."""
        self._driver = QuicDriver(connection, lower, turns, clock, keepalive_s, self)
        if proving:
            self._driver.allowance = MOST_UNPROVEN_BYTES
        self._clock = clock
        self._library = library
        self._credited_by = credited_by
        self._credited = False
        """Whether the peer is relaykit, too: known when the handshake is over, before there are streams."""
        self._proving = proving
        self._is_proven = not proving
        self._acceptor: ILegAcceptor | None = None
        self.origin = Origin(lower.peer, lower.host)
        """Where the peer was when the connection began."""
        self._legs: dict[int, QuicStreamLeg] = {}
        self._control_leg: QuicStreamLeg | None = None
        self._early: list[QuicStreamLeg] = []
        """Legs that the peer opened before this end knew that it is proven."""
        self._numbers = _PeerNumbers(1 if connection.is_client else 0)
        self._windows = Windows()
        self._rooms = Rooms()
        self._writers: dict[QuicStreamLeg, None] = {}
        self._losing: dict[QuicStreamLeg, Ended] = {}
        self._breaking: dict[QuicStreamLeg, int] = {}
        """What waited to be sent of each leg that is broken off, when it was last looked at."""
        self._opening: dict[Deferred[IStreamLeg], None] = {}
        self._limits: _Limits | None = None
        self._frames: QuicDatagramLeg | None = None
        self._besides: Besides | None = None
        """The same of each stream, where the peer is our own client or server."""
        self._held_bytes = 0
        self._stalled: dict[QuicStreamLeg, int] | None = None
        """What each leg held when credit was withheld; None while it is given."""
        self._deadlines: Deadlines[object] = Deadlines(clock, self._expired)
        self._is_started = self._closing = False
        self._waiting: list[Deferred[Ended]] = []
        events = library.events
        self._handlers: dict[type, Callable[[Any], object]] = {
            events.StreamDataReceived: self._stream_data,
            events.StreamReset: self._stream_reset,
            events.StopSendingReceived: self._stream_stopped,
            events.DatagramFrameReceived: self._frame_received,
            events.HandshakeCompleted: self._handshake_completed,
            events.PingAcknowledged: lambda event: self._driver.answered(event.uid),
        }

    def __repr__(self) -> str:
        return f"<QuicPath with {self.peer}>"

    @property
    def peer(self) -> Address | None:
        """Where the peer is reached."""
        peer: Address | None = self._driver.lower.peer
        return peer

    @property
    def host(self) -> Address | None:
        """What is bound here."""
        host: Address | None = self._driver.lower.host
        return host

    # --- the path -------------------------------------------------------------------------------

    def accept_legs(self, acceptor: ILegAcceptor, at_once: bool = True) -> None:
        self._acceptor = acceptor

    def restrict(self, most_streams: int, streams: int, size: int) -> None:
        self._limits = _Limits(most_streams, streams, size)
        self._driver.allowance = MOST_UNPROVEN_BYTES

    def lift(self) -> None:
        self._limits = None
        self._driver.allowance = None

    def start(self) -> None:
        """Begins with the handshake, which ends before anybody takes streams; again, this does nothing."""
        if not self._is_started:
            self._is_started = True
            self._driver.start()

    def proven(self) -> None:
        """Lets streams be: both ends have proven themselves on the first one, which is left to credit."""
        assert self._control_leg is not None, "nothing is proven before there is a stream for it"
        self._is_proven = True
        self._driver.allowance = None
        self._take_credit()
        early, self._early = self._early, []
        for leg in early:
            self._hand_over(leg)

    def watch_ids(self, issued: Callable[[bytes], object], retired: Callable[[bytes], object]) -> None:
        """For who tells datagrams of many connections apart: by what ids the peer may call this one."""
        events = self._library.events
        self._handlers[events.ConnectionIdIssued] = lambda event: issued(event.connection_id)
        self._handlers[events.ConnectionIdRetired] = lambda event: retired(event.connection_id)

    def open_control(self) -> None:
        """For the client: opens the first stream, where it is not payload."""
        number = self.connection.open()
        assert number == _CONTROL, "the stream of the proofs was not the first"
        leg = self._begin_control(b"")
        if not self._proving:
            leg.write(_OPENED)

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        if self._driver.lost is not None or self._closing:
            return fail(ConnectionFailed(f"the QUIC connection with {self.peer} is over"))
        leg = None if self._opening else self._open()
        if leg is not None:
            return succeed(leg)
        if len(self._opening) >= MOST_WAITING:
            return fail(ConnectionFailed(f"{self.peer} takes no more streams, and too many wait already"))
        waiting: Deferred[IStreamLeg] = Deferred()
        self._opening[waiting] = None
        waiting.addBoth(self._opened, waiting)
        return waiting.addTimeout(OPEN_S, self._clock, self._not_opened)

    def datagrams(self) -> QuicDatagramLeg:
        if self._frames is None:
            self._frames = QuicDatagramLeg(self._driver)
        return self._frames

    @property
    def round_trip_s(self) -> float | None:
        return self.connection.round_trip_s

    def measure_round_trip(self) -> None:
        self._driver.ask()

    def ping(self) -> Deferred[None]:
        heard = self._driver.when_heard()
        self._driver.ask()
        return heard

    def round_trip(self) -> Deferred[None]:
        return self._driver.ask()

    def connection_of(self, leg: IStreamLeg) -> IEnd:
        """The path itself, which has the session of TLS: what is below it carries datagrams."""
        return self

    # --- the session of TLS ---------------------------------------------------------------------

    tls_version = "TLSv1.3"
    """QUIC has no other one.  Source: RFC 9001 4.2."""

    @property
    def peer_certificate(self) -> bytes | None:
        return next(iter(self.connection.peer_chain), None)

    @property
    def broken_by(self) -> str:
        ending = self.connection.ending
        alert = -1 if ending is None else ending.error_code - _CRYPTO_ERROR
        return alert_reason(alert) if 0 <= alert < _CRYPTO_ERROR else ""

    def export_keying_material(self, label: bytes, length: int) -> bytes:
        return self.connection.export(label, length)

    # --- the path, again ------------------------------------------------------------------------

    def when_lost(self) -> Deferred[Ended]:
        waiting: Deferred[Ended] = Deferred()
        if self._driver.lost is not None:
            waiting.callback(self._driver.lost)
        else:
            self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """Ends all legs; the connection ends once what was written has arrived, or after CLOSING_S."""
        if self._driver.lost is None and not self._closing:
            self._closing = True
            self._deadlines.set(self, CLOSING_S)
            # The legs end in this turn, and what they still have must be with the connection by then.
            for leg in tuple(self._writers):
                leg.fill(HIGH_WATER_BYTES)
            self._driver.flush_soon()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._driver.end(Ended.CANCELLED)

    # --- for legs -------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the connection is gone, so that no stream can be told anything any more."""
        return self._driver.lost is not None

    def beside(self, number: int) -> ISizedDatagramLeg | None:
        """The datagrams of a stream; None where there are none."""
        if self._besides is None or number not in self._legs:
            return None
        return self._besides.leg(number)

    def output_waits(self, leg: QuicStreamLeg) -> None:
        """A leg has something to send, or to end."""
        self._writers[leg] = None
        self._driver.flush_soon()

    def taken(self, leg: QuicStreamLeg, count: int) -> None:
        """A receiver took so many bytes of a leg."""
        if leg.window is not None and self._windows.consumed(leg.window, count):
            self._driver.flush_soon()

    def held(self, count: int) -> None:
        """So many bytes more, or less, have arrived and are not taken."""
        self._held_bytes += count
        if self._credited:
            return
        if self._stalled is None and self._held_bytes > HELD_BYTES:
            self._stalled = {leg: leg.held_bytes for leg in self._legs.values()}
            self._deadlines.set(_STALL, STALLED_S)
            self.connection.withhold(True)
            self._driver.allowance = MOST_WITHHELD_BYTES
        elif self._stalled is not None and self._held_bytes <= HELD_BYTES // 2:
            self._stalled = None
            self._deadlines.drop(_STALL)
            self.connection.withhold(False)
            self._driver.allowance = None
            self._driver.go_on_soon()

    def close_soon(self, leg: QuicStreamLeg) -> None:
        """A leg is closed: it has LINGER_S to end."""
        self._deadlines.set(leg, LINGER_S)

    def break_soon(self, leg: QuicStreamLeg) -> None:
        """A leg is broken off: it ends after LOST_LINGER_S in which it could send nothing."""
        if leg.number in self._legs:
            self._breaking.setdefault(leg, -1)
            self._deadlines.set(leg, LOST_LINGER_S)

    def lose_soon(self, leg: QuicStreamLeg, reason: Ended) -> None:
        """A leg is over, which it is told when the turn ends."""
        if leg.number in self._legs:
            self._losing.setdefault(leg, reason)
            self._driver.flush_soon()

    def forget(self, leg: QuicStreamLeg) -> None:
        """Nothing more is to be done for a leg."""
        if self._legs.pop(leg.number, None) is not None:
            for table in (self._writers, self._losing, self._breaking):
                table.pop(leg, None)
            self._deadlines.drop(leg)
            self._rooms.forget(leg.number)
            if self._besides is not None:
                self._besides.forget(leg.number)
            if leg.window is not None:
                self._windows.forget(leg.window)

    # --- the driver's owner ---------------------------------------------------------------------

    def on_event(self, event: Any) -> None:
        handler = self._handlers.get(event.__class__)
        if handler is not None:
            handler(event)

    def fill(self) -> Iterator[None]:
        if self._opening:
            self._open_waiting()
        if self._control_leg is not None:
            # Otherwise the peer's first stream was overtaken by others.
            self._control_leg.write(self._windows.to_send(self.connection.round_trip_s, self._driver.now))
        is_queued = self._frames is not None and self._frames.is_queued
        if self._writers or is_queued:
            yield from self._hand_down(is_queued)

    def settle(self) -> None:
        for leg in tuple(self._writers):
            if not leg.settle():
                self._writers.pop(leg, None)
        if self._frames is not None:
            self._frames.on_sent()
        if self._closing:
            self._losing = {leg: Ended.STOPPED for leg in self._legs.values()}
        while self._losing:
            leg, reason = self._losing.popitem()
            self._lose(leg, reason)
        if self._closing and self.connection.settled:
            self._driver.end(Ended.STOPPED)

    def connection_lost(self, reason: Ended) -> None:
        self._deadlines.stop()
        for awaited in (self.handshaken, self.control):
            if not awaited.called:
                awaited.errback(ConnectionFailed(f"no QUIC connection with {self.peer}: {reason.value}"))
                # Maybe nobody waits for it.
                awaited.addErrback(lambda _: None)
        for leg in tuple(self._legs.values()):
            self._lose(leg, reason)
        if self._frames is not None:
            self._frames.path_lost(reason)
        for opening in tuple(self._opening):
            opening.errback(ConnectionFailed(f"the QUIC connection with {self.peer} is over"))
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(reason)
        # It mostly knows the path, too: a reference cycle.
        self._acceptor = None
        self._handlers.clear()

    # --- events ---------------------------------------------------------------------------------

    def _handshake_completed(self, event: Any) -> None:
        if not self.handshaken.called:
            self._credited = self._credited_by is not None and event.alpn_protocol == self._credited_by
            if self._credited and not self._proving:
                self._besides = Besides(self.datagrams(), self.turns)
                if self.connection.is_client:
                    self.open_control()
            self.handshaken.callback(None)

    def _frame_received(self, event: Any) -> None:
        # Nobody has use for those of frp's ends, which send none.
        if self._credited:
            self.datagrams().on_frame(event.data)

    def _stream_data(self, event: Any) -> None:
        if self._limits is not None:
            self._limits.received(len(event.data))
        leg = self._leg(event.stream_id)
        if leg is not None:
            self._give(leg, leg.on_data, event.data, event.end_stream)
            if leg is self._control_leg and leg.held_bytes > CONTROL_BYTES:
                raise RemoteProtocolError("more than a proof was sent in its place")

    def _stream_reset(self, event: Any) -> None:
        leg = self._legs.get(event.stream_id)
        if leg is not None:
            self._give(leg, leg.on_reset)
        elif self._numbers.is_new(event.stream_id):
            self._refuse(event.stream_id)

    def _stream_stopped(self, event: Any) -> None:
        leg = self._leg(event.stream_id)
        if leg is not None:
            self._give(leg, leg.on_stopped, event.error_code)

    def _give(self, leg: QuicStreamLeg, call: Callable[..., None], *arguments: object) -> None:
        """Tells a leg something; a defect of its receiver costs only that leg."""
        try:
            call(*arguments)
        except RemoteProtocolError:
            raise
        except Exception:
            self.log.failure("a defect while a QUIC stream was served; the stream is dropped")
            leg.abort()

    def _credit_received(self, records: Buffer) -> None:
        if self._rooms.receive(records):
            self._driver.flush_soon()

    # --- legs -----------------------------------------------------------------------------------

    def _hand_down(self, is_queued: bool) -> Iterator[None]:
        """Shares what the connection takes among the legs that have output, in turns of a packet at least.

        Datagrams that are queued come first; where streams have output, too, they get half of it.  What fills
        more than a packet is left to be sent before the next stream: the library would have both take turns,
        packet by packet, each of which the peer then takes apart from the others.
        """
        legs = [leg for leg in self._writers if leg.is_ready]
        if not (legs or is_queued):
            return
        room, packet = self.connection.room_bytes, self.connection.most_piece_bytes
        if is_queued:
            room -= self.datagrams().fill(min(room, max(packet, room // 2)) if legs else room)
        # The peer may wait for its credit.
        legs.sort(key=lambda leg: leg is not self._control_leg)
        while legs and room > 0:
            share = max(packet, room // len(legs))
            for leg in legs:
                cost = leg.fill(min(share, room))
                # Whoever had a turn comes last the next time.
                self._writers[leg] = self._writers.pop(leg)
                room -= cost
                if room <= 0:
                    return
                if cost > packet:
                    yield
            legs = [leg for leg in legs if leg.is_ready]

    def _leg(self, number: int) -> QuicStreamLeg | None:
        """The leg of a stream, which the peer may just have opened; None where there is none any more."""
        leg = self._legs.get(number)
        if leg is None and self._numbers.is_new(number):
            leg = self._take_stream(number)
        return leg

    def _take_stream(self, number: int) -> QuicStreamLeg | None:
        if self._credited and number == _CONTROL:
            return self._begin_control(b"" if self._proving else _OPENED)
        if not self._is_proven and (not self.connection.is_client or len(self._early) == MOST_EARLY):
            raise RemoteProtocolError("streams were opened before anything was proven")
        crowded = self._limits is not None and self._limits.opened(len(self._legs))
        if self._closing or self._acceptor is None or crowded:
            self._refuse(number)
            return None
        leg = self._make(number, _OPENED if self._credited else b"")
        if self._is_proven:
            self._hand_over(leg)
        else:
            self._early.append(leg)
        return leg

    def _hand_over(self, leg: QuicStreamLeg) -> None:
        if self._acceptor is not None:
            self._give(leg, self._acceptor.leg_accepted, leg, self.origin)

    def _refuse(self, number: int) -> None:
        self.connection.reset(number, REFUSED)
        self.connection.stop(number, REFUSED)

    def _open(self) -> QuicStreamLeg | None:
        number = self.connection.open()
        if number is None:
            return None
        leg = self._make(number)
        if self._credited:
            leg.write(_OPENED)
        return leg

    def _make(self, number: int, prefix: bytes = b"") -> QuicStreamLeg:
        window = room = None
        if self._credited and number != _CONTROL:
            window, room = Window(number, self._driver.now), self._rooms.open(number)
        leg = self._legs[number] = QuicStreamLeg(self, number, window, room, prefix)
        return leg

    def _begin_control(self, prefix: bytes) -> QuicStreamLeg:
        leg = self._control_leg = self._make(_CONTROL, prefix)
        if self._proving:
            self.control.callback(leg)
        else:
            self._take_credit()
        return leg

    def _take_credit(self) -> None:
        """Leaves the first stream to credit."""
        assert self._control_leg is not None, "there is a stream for it"
        self._control_leg.attach(_CreditReceiver(self._credit_received))

    def _open_waiting(self) -> None:
        """Opens streams that wait, as far as the peer takes them."""
        for waiting in tuple(self._opening):
            leg = self._open()
            if leg is None:
                return
            waiting.callback(leg)

    def _opened(self, result: IStreamLeg, waiting: Deferred[IStreamLeg]) -> IStreamLeg:
        self._opening.pop(waiting, None)
        return result

    def _not_opened(self, result: IStreamLeg | Failure, seconds: float) -> IStreamLeg | Failure:
        if isinstance(result, Failure) and result.check(CancelledError):
            raise ConnectionFailed(f"{self.peer} takes no more streams for {seconds:g} seconds")
        return result

    def _lose(self, leg: QuicStreamLeg, reason: Ended) -> None:
        self.forget(leg)
        self._give(leg, leg.lose, reason)

    def _expired(self, what: object) -> None:
        if what is self:
            self._driver.end(Ended.STOPPED)
        elif isinstance(what, QuicStreamLeg):
            self._leg_expired(what)
        else:
            self._end_stall()

    def _leg_expired(self, leg: QuicStreamLeg) -> None:
        waiting, before = leg.waiting_bytes, self._breaking.get(leg)
        if before is not None and waiting and (before < 0 or waiting < before):
            # The peer goes on taking what was written.
            self._breaking[leg] = waiting
            self._deadlines.set(leg, LOST_LINGER_S)
        else:
            leg.give_up(Ended.TIMEOUT if waiting else Ended.FINISHED)
            self._driver.flush_soon()

    def _end_stall(self) -> None:
        """Gives up who holds most of what nobody reads, so that the others can go on."""
        before = self._stalled or {}
        stuck = [
            leg for leg, held in before.items() if leg.number in self._legs and leg.held_bytes >= held > 0
        ]
        if 0 < len(stuck) < len(self._legs):
            leg = max(stuck, key=lambda leg: leg.held_bytes)
            self.log.info("{leg!r} is given up: nobody reads it, and it keeps all others waiting", leg=leg)
            leg.give_up(Ended.TIMEOUT)
        if self._stalled is not None:
            self._stalled = {leg: leg.held_bytes for leg in self._legs.values()}
            self._deadlines.set(_STALL, STALLED_S)


class _PeerNumbers:
    """The numbers of the streams that the peer has opened; they may arrive in any order."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._skipped: set[int] = set()

    def is_new(self, number: int) -> bool:
        """Whether the peer opens this stream now."""
        if number % 4 != self._next % 4:
            return False
        if number in self._skipped:
            self._skipped.discard(number)
            return True
        if number < self._next:
            return False
        self._skipped.update(range(self._next, number, 4))
        self._next = number + 4
        return True


class _Limits:
    """What a peer may do that is restricted."""

    def __init__(self, most_streams: int, streams: int, size: int) -> None:
        self._most_streams = most_streams
        self._streams_left = streams
        self._bytes_left = size

    def opened(self, there: int) -> bool:
        """Counts a stream; whether there are too many at once.

        :raises RemoteProtocolError: it was one too many in all.
        """
        self._streams_left -= 1
        if self._streams_left < 0:
            raise RemoteProtocolError("more streams were opened than may be")
        return there >= self._most_streams

    def received(self, count: int) -> None:
        """Counts bytes.

        :raises RemoteProtocolError: they are too many.
        """
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise RemoteProtocolError("more was sent than may be")


@implementer(ILegReceiver)
class _CreditReceiver:
    """Takes what arrives on the first stream, once it is for credit alone."""

    def __init__(self, on_records: Callable[[Buffer], None]) -> None:
        self._on_records = on_records

    def data_received(self, data: Buffer) -> None:
        self._on_records(data)

    def end_received(self) -> None:
        raise RemoteProtocolError("the stream of credit was ended")

    def leg_lost(self, reason: Ended) -> None:
        """Nothing: the path ends with it."""

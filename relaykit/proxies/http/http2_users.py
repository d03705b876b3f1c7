"""One user of HTTP/2, and the work connection of each of its streams: what drives an ``Http2Connection``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.errors import NoWorkConnection, NoWorkConnectionInTime, SessionLost
from relaykit.interfaces import ILegReceiver, ILossReceiver
from relaykit.proxies.http.users import MOST_JOINED_BYTES, SiteUser, has_other_than, write_joined
from relaykit.sansio.http.answers import BAD_GATEWAY, GATEWAY_TIMEOUT, Answer
from relaykit.sansio.http2.connection import Http2Connection
from relaykit.sansio.http2.streams import Answered, Finished, Held, Requested, RequestedAgain
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg, IWorkLeg
    from relaykit.proxies.http.users import Sites
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.http2.streams import Event, UserStream
    from relaykit.values import Origin

__all__ = ["Http2User"]


@implementer(ILegReceiver, IPushProducer)
class _Exchange:
    """A stream and its work connection, from the request to the end of the answer."""

    __slots__ = ("_is_held", "_user", "leg", "opening", "stream")

    def __init__(self, stream: UserStream, user: Http2User) -> None:
        self.stream = stream
        self._user: Http2User | None = user
        self._is_held = False
        self.opening: Deferred[IWorkLeg] | None = None
        self.leg: IWorkLeg | None = None

    def begin(self, leg: IWorkLeg) -> None:
        """Gets its work connection."""
        self.leg = leg
        leg.registerProducer(self, True)
        leg.attach(self)

    def hold(self, is_held: bool) -> None:
        """Has the provider read no further for now, or again."""
        if self.leg is not None and is_held != self._is_held:
            self._is_held = is_held
            if is_held:
                self.leg.pauseProducing()
            else:
                self.leg.resumeProducing()

    def end(self, is_reusable: bool = False, is_cut: bool = True) -> None:
        """It is over: its work connection serves somebody else, or ends; at once if ``is_cut``."""
        self._user = None
        opening, self.opening = self.opening, None
        if opening is not None:
            opening.cancel()
        leg, self.leg = self.leg, None
        if leg is None:
            return
        if is_cut:
            leg.abort()
        elif not is_reusable:
            leg.close()
        else:
            leg.keep()

    def data_received(self, data: Buffer) -> None:
        if self._user is not None:
            self._user.provider_sent(self.stream, data)

    def end_received(self) -> None:
        self._ended(True)

    def leg_lost(self, reason: Ended) -> None:
        self._ended(reason is Ended.FINISHED)

    def _ended(self, in_order: bool) -> None:
        if self._user is not None:
            assert self.leg is not None
            self._user.provider_ended(self.stream, self.leg, in_order)

    def pauseProducing(self) -> None:
        if self._user is not None:
            self._user.provider_blocks(self.stream, True)

    def resumeProducing(self) -> None:
        if self._user is not None:
            self._user.provider_blocks(self.stream, False)

    def stopProducing(self) -> None:
        """Nothing: the loss of the leg is told as such."""


@implementer(ILossReceiver, IPushProducer)
class Http2User(SiteUser[Http2Connection]):
    """Serves one user from its first request to its last.

    Requests that may be sent again go over work connections that have served others, all others over fresh
    ones, as those of HTTP/1 do.  The user is always read: what it may send is bounded by windows, streams
    and an allowance, and if it were not read while it does not read, both would wait for ever.
    """

    __slots__ = ("__weakref__", "_exchanges")

    def __init__(self, leg: IStreamLeg, origin: Origin, sites: Sites, scheme: bytes = b"http") -> None:
        super().__init__(leg, origin, sites, scheme)
        self._exchanges: dict[UserStream, _Exchange] = {}

    def start(self) -> None:
        """Begins to read."""
        self._leg.registerProducer(self, True)
        self._settle(self._seconds())
        self._leg.attach(self)

    def leave(self) -> None:
        """Serves what is under way, and then ends; the user is told."""
        now = self._seconds()
        self._connection.leave(now)
        self._settle(now)

    # --- the user

    def data_received(self, data: Buffer) -> None:
        now = self._seconds()
        self._connection.receive(data, now)
        self._settle(now)

    def end_received(self) -> None:
        now = self._seconds()
        self._connection.end_received(now)
        self._settle(now)

    def pauseProducing(self) -> None:
        self._connection.user_blocks(True)

    def resumeProducing(self) -> None:
        self._connection.user_blocks(False)
        self._flush()

    # --- providers

    def provider_sent(self, stream: UserStream, data: Buffer) -> None:
        """Bytes of the answer in this stream: a few wait for those of others, to be sent at once."""
        now = self._seconds()
        stream.receive_from_provider(data, now)
        is_little = len(data) <= MOST_JOINED_BYTES
        if is_little:
            stream.keep()
        self._settle(now, at_once=not is_little)

    def provider_ended(self, stream: UserStream, leg: IWorkLeg, in_order: bool) -> None:
        """The work connection of this stream sends no more, or, not in order, is lost."""
        now = self._seconds()
        has_other = stream.awaits_answer and has_other_than(leg)
        stream.provider_ended(now, has_other=has_other, in_order=in_order)
        self._settle(now)

    def provider_blocks(self, stream: UserStream, blocks: bool) -> None:
        """The work connection of this stream takes no more for now, or does again."""
        now = self._seconds()
        stream.provider_blocks(blocks, now)
        self._settle(now)

    # --- inside

    def _make_connection(self, address: bytes, scheme: bytes) -> Http2Connection:
        sites = self._sites
        return Http2Connection(address, sites.date, self._seconds(), scheme=scheme, timeouts=sites.timeouts)

    def _wake(self) -> None:
        now = self._seconds()
        self._connection.wake(now)
        self._settle(now)

    def _flush(self) -> None:
        self._settle(self._seconds(), at_once=True)

    def _settle(self, now: float, at_once: bool = False) -> None:
        """Does what is to be done, until there is nothing more, and sends what is to be sent.

        The user is sent what there is ``at_once``, or at the end of the turn.
        """
        if self._is_over:
            return
        if self._is_settling:
            # What came within is lent only until this call is over.
            self._send(now, at_once)
            return
        self._is_settling = True
        try:
            self._send(now, at_once)
            while events := self._connection.events():
                for event in events:
                    if not self._is_over:
                        self._act(event, now)
                self._send(now, at_once)
            if not self._is_over:
                self._timer.set(self._connection.next_wakeup())
        except Exception:
            self._defect(Failure())
        finally:
            self._is_settling = False

    def _send(self, now: float, at_once: bool) -> None:
        for stream in self._connection.for_providers():
            exchange = self._exchanges.get(stream)
            leg = None if exchange is None else exchange.leg
            while leg is not None and (pieces := stream.to_provider()):
                write_joined(leg, pieces)
        if not at_once:
            self._leg.turns.at_turn_end(self._flush)
            return
        while pieces := self._connection.to_user(now):
            write_joined(self._leg, pieces)

    def _act(self, event: Event, now: float) -> None:
        if isinstance(event, Requested):
            self._serve(event.stream, event.stream.head.may_repeat, now)
        elif isinstance(event, Answered):
            exchange = self._exchanges.pop(event.stream, None)
            if exchange is not None:
                exchange.end(event.is_reusable, event.is_cut)
        elif isinstance(event, Held):
            exchange = self._exchanges.get(event.stream)
            if exchange is not None:
                exchange.hold(event.is_held)
        elif isinstance(event, RequestedAgain):
            self._exchanges.pop(event.stream).end()
            self._serve(event.stream, False, now)
        elif isinstance(event, Finished):
            self._finish(event)

    def _serve(self, stream: UserStream, reuse: bool, now: float) -> None:
        if not stream.is_deciding:
            return
        site = self._sites.find(stream.head)
        if isinstance(site, Answer):
            stream.answer(site, now)
            return
        exchange = self._exchanges[stream] = _Exchange(stream, self)
        opening = site.work_leg_for(self._origin) if reuse else site.open_work_leg(self._origin)
        if not isinstance(opening, Deferred):
            self._begin(exchange, opening, now)
            return
        exchange.opening = opening
        opening.addCallbacks(
            self._opened, self._not_opened, callbackArgs=(exchange,), errbackArgs=(exchange,)
        )
        opening.addErrback(self._defect)

    def _opened(self, leg: IWorkLeg, exchange: _Exchange) -> None:
        exchange.opening = None
        if self._exchanges.get(exchange.stream) is not exchange:
            leg.close()
            return
        now = self._seconds()
        self._begin(exchange, leg, now)
        self._settle(now)

    def _begin(self, exchange: _Exchange, leg: IWorkLeg, now: float) -> None:
        """Sends the request of a stream over a work connection."""
        exchange.stream.forward(self._sites.rules_of(leg.proxy), now, reused=leg.is_reused)
        exchange.begin(leg)

    def _not_opened(self, failure: Failure, exchange: _Exchange) -> None:
        exchange.opening = None
        if self._exchanges.get(exchange.stream) is not exchange:
            return
        failure.trap(NoWorkConnection, SessionLost)
        now = self._seconds()
        late = failure.check(NoWorkConnectionInTime)
        exchange.stream.answer(GATEWAY_TIMEOUT if late else BAD_GATEWAY, now)
        self._settle(now)

    def _finish(self, event: Finished) -> None:
        if event.fault:
            self.log.debug("{origin} is served no more: {reason}", origin=self._origin, reason=event.fault)
        self._send(self._seconds(), at_once=True)
        if event.is_cut:
            self._leg.break_off()
        else:
            self._leg.close()
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._timer.stop()
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            exchange.end()

"""One user of HTTP/1, and the work connections that serve its requests: what drives an ``HttpConnection``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.errors import NoWorkConnection, NoWorkConnectionInTime, SessionLost
from relaykit.interfaces import ILegReceiver, ILossReceiver
from relaykit.sansio.http.answers import BAD_GATEWAY, GATEWAY_TIMEOUT, Answer
from relaykit.sansio.http.connection import (
    Answered,
    Finished,
    HttpConnection,
    Requested,
    RequestedAgain,
    Timeouts,
    Tunneled,
)
from relaykit.timer import Timer
from relaykit.values import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IRegisteredProxy, IStreamLeg, IWorkLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.http.connection import Event
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http.rewriting import Rules
    from relaykit.values import Origin

__all__ = ["MOST_JOINED_BYTES", "HttpUser", "SiteUser", "Sites", "has_other_than", "write_joined"]

ConnectionT = TypeVar("ConnectionT")

MOST_JOINED_BYTES = 4096
"""Bytes that are copied into one piece to be sent: a copy of more costs what it saves."""


class Sites(Protocol):
    """What there is for users to ask for."""

    @property
    def reactor(self) -> IReactorTime:
        """What tells and keeps time."""

    @property
    def timeouts(self) -> Timeouts:
        """How long each step may take."""

    def date(self) -> bytes:
        """The present date, as HTTP writes it."""

    @property
    def version(self) -> int:
        """Another one when :meth:`find` may answer something else."""

    def find(self, head: RequestHead) -> IRegisteredProxy | Answer:
        """The proxy that a request leads to, or the answer where there is none, or none for this user."""

    def rules_of(self, proxy: IRegisteredProxy) -> Rules:
        """What a proxy, or a member of a group, has changed in messages."""


@implementer(ILegReceiver, IPushProducer)
class _Provider:
    """A work connection that serves the user now, or that served it last: tells the user of it meanwhile."""

    __slots__ = ("_user", "leg")

    def __init__(self, leg: IWorkLeg, user: HttpUser) -> None:
        self.leg = leg
        self._user = user

    def data_received(self, data: Buffer) -> None:
        if self._user.provider is self:
            self._user.provider_sent(data)

    def end_received(self) -> None:
        self._ended(True)

    def leg_lost(self, reason: Ended) -> None:
        self._ended(reason is Ended.FINISHED)
        self._user.forget(self)

    def _ended(self, in_order: bool) -> None:
        if self._user.provider is self:
            self._user.provider_ended(in_order)

    def pauseProducing(self) -> None:
        if self._user.provider is self:
            self._user.provider_blocks(True)

    def resumeProducing(self) -> None:
        if self._user.provider is self:
            self._user.provider_blocks(False)

    def stopProducing(self) -> None:
        """Nothing: the loss of the leg is told as such."""


class SiteUser(Generic[ConnectionT]):
    """What users of every version have: their leg, which is owned, what is read from it, and an end."""

    __slots__ = (
        "_connection",
        "_is_over",
        "_is_settling",
        "_leg",
        "_origin",
        "_seconds",
        "_sites",
        "_timer",
    )

    log = Logger()

    def __init__(self, leg: IStreamLeg, origin: Origin, sites: Sites, scheme: bytes = b"http") -> None:
        self._leg = leg
        self._origin = origin
        self._sites = sites
        self._seconds = sites.reactor.seconds
        address = b"" if origin.source is None else origin.source.host.encode()
        self._connection = self._make_connection(address, scheme)
        self._timer = Timer(sites.reactor, self._wake)
        self._is_settling = False
        self._is_over = False

    def loss_noted(self, reason: Ended) -> None:
        """The user is gone, while nobody takes the rest of what it sent."""
        if not self._is_over:
            self._leg.abort()
            self._end()

    def leg_lost(self, reason: Ended) -> None:
        self._end()

    def stopProducing(self) -> None:
        """Nothing: the loss of the leg is told as such."""

    def _make_connection(self, address: bytes, scheme: bytes) -> ConnectionT:
        """What reads the requests of a user with this address."""
        raise NotImplementedError

    def _wake(self) -> None:
        """It is time for what the connection waits for."""
        raise NotImplementedError

    def _end(self) -> None:
        """Nothing more is served; what serves the user ends."""
        raise NotImplementedError

    def _defect(self, failure: Failure) -> None:
        self.log.failure("a defect while {origin} was served; it is dropped", failure, origin=self._origin)
        self._leg.abort()
        self._end()


@implementer(ILossReceiver, IPushProducer)
class HttpUser(SiteUser[HttpConnection]):
    """Serves one user from its first request to its last.

    Requests that may be sent again go over work connections that have served others, all others over fresh
    ones: those have not ended in the meantime.
    """

    __slots__ = (
        "_asked",
        "_is_blocked",
        "_is_full",
        "_is_reading",
        "_last",
        "_opening",
        "_site",
        "_version",
        "provider",
    )

    def __init__(self, leg: IStreamLeg, origin: Origin, sites: Sites, scheme: bytes = b"http") -> None:
        super().__init__(leg, origin, sites, scheme)
        self.provider: _Provider | None = None
        """What serves the present request."""
        self._last: _Provider | None = None
        """What served the last one, and may be kept for the next: of this user, or of others."""
        self._opening: Deferred[Any] | None = None
        """What the present request waits for: a work connection, or its time."""
        self._asked: RequestHead | None = None
        self._version = 0
        self._site: IRegisteredProxy
        """What was asked for last, and who served it."""
        self._is_full = False
        """Whether the user takes no more for now."""
        self._is_blocked = False
        """Whether the provider takes no more for now."""
        self._is_reading = True

    def start(self) -> None:
        """Begins to read."""
        self._timer.set(self._connection.next_wakeup())
        self._leg.registerProducer(self, True)
        self._leg.attach(self)

    # --- the user

    def data_received(self, data: Buffer) -> None:
        self._take(self._connection.receive, data)

    def end_received(self) -> None:
        self._take(self._connection.end_received)

    def pauseProducing(self) -> None:
        self._is_full = True
        self._connection.user_blocks(True, self._seconds())
        if self.provider is not None:
            self.provider.leg.pauseProducing()
        self._choose_reading()

    def resumeProducing(self) -> None:
        self._is_full = False
        if self.provider is not None:
            self.provider.leg.resumeProducing()
        if not self._is_over:
            self._take(self._connection.user_blocks, False)

    # --- the provider

    def provider_sent(self, data: Buffer) -> None:
        """Bytes of the present exchange."""
        self._take(self._connection.receive_from_provider, data)

    def provider_ended(self, in_order: bool) -> None:
        """The work connection of the present exchange sends no more, or, not in order, is lost."""
        self._take(self._provider_ended, in_order)

    def forget(self, provider: _Provider) -> None:
        """A work connection is gone."""
        if self._last is provider:
            self._last = None

    def provider_blocks(self, blocks: bool) -> None:
        """It takes no more for now, or does again."""
        self._is_blocked = blocks
        self._connection.provider_blocks(blocks)
        self._choose_reading()

    # --- inside

    def _make_connection(self, address: bytes, scheme: bytes) -> HttpConnection:
        sites = self._sites
        return HttpConnection(address, sites.date, self._seconds(), scheme=scheme, timeouts=sites.timeouts)

    def _wake(self) -> None:
        self._take(self._connection.wake)

    def _take(self, take: Callable[..., None], *given: object) -> None:
        """Has something taken that happens now, and does what follows."""
        now = self._seconds()
        try:
            take(*given, now)
            self._settle(now)
        except Exception:
            self._defect(Failure())

    def _settle(self, now: float) -> None:
        """Does what is to be done, until there is nothing more, and sends what is to be sent."""
        if self._is_settling:
            # What came within is lent only until this call is over.
            self._send()
            return
        self._is_settling = True
        connection = self._connection
        try:
            while events := connection.events():
                for event in events:
                    if not self._is_over:
                        self._act(event, now)
            if not self._is_over:
                self._send()
                self._timer.set(connection.next_wakeup())
                self._choose_reading()
        finally:
            self._is_settling = False

    def _send(self) -> None:
        pieces = self._connection.to_user()
        if pieces:
            write_joined(self._leg, pieces)
        if self.provider is not None:
            pieces = self._connection.to_provider()
            if pieces:
                write_joined(self.provider.leg, pieces)

    def _act(self, event: Event, now: float) -> None:
        if isinstance(event, Requested):
            self._serve(event.head, event.head.may_repeat, now)
        elif isinstance(event, Answered):
            self._exchanged(event)
        elif isinstance(event, RequestedAgain):
            self._send()
            self._drop_provider()
            self._serve(event.head, False, now)
        elif isinstance(event, Tunneled):
            self._join()
        elif isinstance(event, Finished):
            self._finish(event)

    def _serve(self, head: RequestHead, reuse: bool, now: float) -> None:
        site = self._find(head)
        if isinstance(site, Answer) and site.after_s:
            self._opening = deferLater(self._sites.reactor, site.after_s, self._answer, site)
            self._opening.addErrback(self._defect_unless_cancelled)
            return
        if isinstance(site, Answer):
            self._connection.answer(site, now)
            # Whoever does not take it is given no more of them.
            self._send()
            return
        last = self._last
        # A group chooses one of its members for each request.
        if reuse and last is not None and last.leg.proxy is site and last.leg.take_back(last):
            self.provider = last
            self._connection.forward(self._sites.rules_of(last.leg.proxy), now, reused=True)
            if self._is_full:
                last.leg.pauseProducing()
            return
        opening = site.work_leg_for(self._origin) if reuse else site.open_work_leg(self._origin)
        if not isinstance(opening, Deferred):
            self._begin(opening, now)
            return
        self._opening = opening
        opening.addCallbacks(self._opened, self._not_opened)
        opening.addErrback(self._defect)

    def _find(self, head: RequestHead) -> IRegisteredProxy | Answer:
        """The same as before where the same is asked for again."""
        version = self._sites.version
        if head is not self._asked or version != self._version:
            site = self._sites.find(head)
            if isinstance(site, Answer):
                return site
            self._asked, self._version, self._site = head, version, site
        return self._site

    def _answer(self, answer: Answer) -> None:
        self._opening = None
        self._take(self._connection.answer, answer)

    def _defect_unless_cancelled(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._defect(failure)

    def _opened(self, leg: IWorkLeg) -> None:
        self._opening = None
        if self._is_over:
            leg.close()
        else:
            self._take(self._begin, leg)

    def _begin(self, leg: IWorkLeg, now: float) -> None:
        """Sends the present request over a work connection."""
        self.provider = self._last = provider = _Provider(leg, self)
        self._is_blocked = False
        self._connection.forward(self._sites.rules_of(leg.proxy), now, reused=leg.is_reused)
        leg.registerProducer(provider, True)
        leg.attach(provider)
        if self._is_full:
            leg.pauseProducing()

    def _not_opened(self, failure: Failure) -> None:
        self._opening = None
        if self._is_over:
            return
        failure.trap(NoWorkConnection, SessionLost)
        late = failure.check(NoWorkConnectionInTime)
        self._take(self._connection.answer, GATEWAY_TIMEOUT if late else BAD_GATEWAY)

    def _provider_ended(self, in_order: bool, now: float) -> None:
        assert self.provider is not None
        has_other = self._connection.awaits_answer and has_other_than(self.provider.leg)
        self._connection.provider_ended(now, has_other=has_other, in_order=in_order)

    def _exchanged(self, how: Answered) -> None:
        leg = self._let_provider_go()
        if leg is None:
            return
        if how.is_cut:
            leg.abort()
        elif how.is_reusable:
            leg.keep()
        else:
            leg.close()

    def _drop_provider(self) -> None:
        leg = self._let_provider_go()
        if leg is not None:
            leg.abort()

    def _let_provider_go(self) -> IWorkLeg | None:
        """The work connection of the present exchange, which is over."""
        provider, self.provider = self.provider, None
        self._is_blocked = False
        return None if provider is None else provider.leg

    def _join(self) -> None:
        """The plain data plane takes over."""
        self._send()
        provider, self.provider = self.provider, None
        assert provider is not None
        self._is_over = True
        self._timer.stop()
        self._leg.unregisterProducer()
        provider.leg.unregisterProducer()
        provider.leg.join(self._leg)

    def _finish(self, how: Finished) -> None:
        self._send()
        if how.is_unframed:
            self._leg.abort()
        elif how.is_cut:
            self._leg.break_off()
        else:
            self._leg.close()
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._timer.stop()
        self._drop_provider()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()

    def _choose_reading(self) -> None:
        if self._is_over:
            return
        # Who does not take answers is given no more of them: those that are ours, no provider holds back.
        takes_answers = not self._is_full or self.provider is not None
        wanted = takes_answers and not self._is_blocked and self._connection.wants_bytes
        if wanted != self._is_reading:
            self._is_reading = wanted
            if wanted:
                self._leg.resumeProducing()
            else:
                self._leg.pauseProducing()


def has_other_than(leg: IWorkLeg) -> bool:
    """Whether somebody else may answer in place of a provider that ended without a word.

    One that has served before may have been idle for too long: that says nothing of its service.
    """
    why = "its local service cannot be reached, or ended the connection without an answer"
    return not leg.is_reused and leg.failed(why)


def write_joined(leg: IStreamLeg, pieces: Sequence[Buffer]) -> None:
    """Sends pieces; a head and a little body are one to the system, which costs less than two."""
    if len(pieces) == 1:
        leg.write(pieces[0])
    elif sum(map(len, pieces)) <= MOST_JOINED_BYTES:
        leg.write(b"".join(pieces))
    else:
        leg.write_sequence(pieces)

"""The bind port: finds out layer by layer what a new connection carries, down to logical connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, Role
from relaykit.dataplane.tls import channel_binding
from relaykit.errors import ConnectionFailed, RemoteProtocolError, TransportSecurityError, problem_of
from relaykit.interfaces import ILegAcceptor
from relaykit.sansio.parsers.first_bytes import ACCEPTED_CONNECTION, WITHIN_TLS, Spoken
from relaykit.sansio.yamux.session import MAX_STREAMS
from relaykit.server.admission import HalfOpen
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import ISecureLeg, IStreamLeg, ITurns
    from relaykit.sansio.contract import PrefixParser
    from relaykit.server.admission import Place
    from relaykit.values import Origin

__all__ = ["BindPort", "Link"]

FIRST_BYTES_TIMEOUT_S = 10.0
"""Seconds that a peer has for the first bytes of each layer; frp's figure."""

LOGIN_TIMEOUT_S = 20.0
"""Seconds that a link may live without a login on it: TLS, mux and the first message have 10 s each,
and a client that is slow in all of them is not worth more."""

STREAMS_BEFORE_LOGIN = 4
"""Streams of a link on which nobody has logged in: one is needed, and each may hold a window of 256 KiB."""


@define(eq=False)
class Link:
    """What the streams of one accepted connection share.

    ``exporter`` is what tells its TLS session from any other, empty without TLS 1.3.  Where the peer
    can be asked for a sign of life, ``listen()`` does so, and fires with the next bytes.
    """

    muxed: bool
    secure: bool
    close: Callable[[], None]
    exporter: bytes = field(default=b"", repr=False, kw_only=True)
    listen: Callable[[], Deferred[None]] | None = field(default=None, kw_only=True)
    _trusted: Callable[[], None] = field(default=lambda: None, kw_only=True)
    understood: Callable[[], None] = field(default=lambda: None, kw_only=True)
    """To be called when the first message of a logical connection was read, or will never be."""
    logged_in: bool = field(default=False, init=False)

    def admit(self) -> None:
        """A client logged in on it: it may stay, and have as many streams as it needs."""
        if not self.logged_in:
            self.logged_in = True
            self._trusted()


@implementer(ILegAcceptor)
@define(eq=False)
class _Streams:
    """Hands the streams of a mux link to the reception."""

    _port: BindPort
    _link: Link

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._port.opened(leg, origin, self._link)


@implementer(ILegAcceptor)
class BindPort:
    """Takes what was accepted on the bind port.

    ``opened(leg, origin, link)`` gets each logical connection, paused, nothing of it read.
    ``secure(leg)`` starts TLS as a server and answers the leg above it.  With ``tls_only`` what is
    not encrypted is closed.  ``is_known(source)`` says whether a client is logged in from there.
    """

    log = Logger()

    def __init__(
        self,
        opened: Callable[[IStreamLeg, Origin, Link], None],
        secure: Callable[[IStreamLeg], Deferred[ISecureLeg]],
        turns: ITurns,
        clock: IReactorTime,
        *,
        tls_only: bool,
        mux_keepalive_s: float | None,
        is_known: Callable[[str], bool] = lambda source: False,
    ) -> None:
        self.opened = opened
        self._secure = secure
        self._turns = turns
        self._clock = clock
        self._tls_only = tls_only
        self._mux_keepalive_s = mux_keepalive_s
        self._half_open = HalfOpen(is_known)
        self._crowded = False
        self._links: set[MuxLink] = set()

    @property
    def half_open(self) -> int:
        """How many connections there are on which nobody has logged in or shown a session."""
        return len(self._half_open)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        place = self._half_open.enter(origin)
        if place is None:
            # Once, or a flood of connections would be one of lines, too.
            level = self.log.debug if self._crowded else self.log.warn
            self._crowded = True
            level(
                "{origin} is turned away: it has too many connections without a login, or all have",
                origin=origin,
                half_open=len(self._half_open),
                ended=Ended.REFUSED.value,
            )
            leg.abort()
            return
        if not len(self._half_open) > 1:
            self._crowded = False
        Deferred.fromCoroutine(self._understand(leg, origin, place)).addErrback(
            self._not_understood, leg, place
        )

    def close_links(self) -> None:
        """Closes every mux link and its streams."""
        for link in list(self._links):
            link.close()

    async def _understand(self, leg: IStreamLeg, origin: Origin, place: Place) -> None:
        spoken = await self._ask(leg.take, ACCEPTED_CONNECTION)
        secure = spoken in (Spoken.TLS, Spoken.CUSTOM_TLS)
        if secure:
            leg = await self._secure(leg)
            spoken = await self._ask(leg.peek, WITHIN_TLS)
        elif self._tls_only:
            raise TransportSecurityError(
                f"{spoken.value} without TLS, which transport.tls.force forbids", problem="tls-only"
            )
        if spoken is Spoken.MUX:
            self._start_link(leg, secure, place)
        elif spoken in (Spoken.WIRE_V1, Spoken.WIRE_V2):
            link = Link(False, secure, leg.abort, exporter=channel_binding(leg), understood=place.leave)
            self.opened(leg, origin, link)
        elif spoken is Spoken.WEBSOCKET:
            leg.close()
            raise RemoteProtocolError(
                'the transport protocol "websocket" is not available yet; clients must use "tcp"',
                problem="not-a-client",
            )
        else:
            leg.close()
            raise RemoteProtocolError(
                f"this is {spoken.value}, not a client of this server", problem="not-a-client"
            )

    def _start_link(self, leg: IStreamLeg, secure: bool, place: Place) -> None:
        mux = MuxLink(leg, Role.SERVER, self._turns, self._clock, self._mux_keepalive_s)
        mux.limit_streams(STREAMS_BEFORE_LOGIN)

        def trusted() -> None:
            place.leave()
            mux.limit_streams(MAX_STREAMS)

        link = Link(
            True,
            secure,
            mux.close,
            exporter=channel_binding(leg),
            listen=mux.sign_of_life,
            trusted=trusted,
        )
        mux.accept_legs(_Streams(self, link))
        self._links.add(mux)
        deadline = self._clock.callLater(LOGIN_TIMEOUT_S, self._no_login, mux, link)

        def lost(_reason: object) -> None:
            place.leave()
            self._links.discard(mux)
            if deadline.active():
                deadline.cancel()

        mux.when_lost().addCallback(lost)
        mux.start()

    def _no_login(self, mux: MuxLink, link: Link) -> None:
        if not link.logged_in:
            self.log.info("{peer} opened a mux link and did not log in", peer=mux.lower.peer)
            mux.close()

    async def _ask(self, how: Callable[[PrefixParser], Deferred[Any]], parser: PrefixParser) -> Spoken:
        spoken: Spoken = await how(parser).addTimeout(FIRST_BYTES_TIMEOUT_S, self._clock)
        return spoken

    def _not_understood(self, failure: Failure, leg: IStreamLeg, place: Place) -> None:
        place.leave()
        leg.close()
        if failure.check(DeadlinePassed):
            self.log.debug(
                "{peer} said nothing for {seconds} s",
                peer=leg.peer,
                seconds=FIRST_BYTES_TIMEOUT_S,
                ended=Ended.TIMEOUT.value,
            )
        elif failure.check(ConnectionFailed):
            self.log.debug("{peer}: {reason}", peer=leg.peer, reason=failure.getErrorMessage())
        elif failure.check(RemoteProtocolError, TransportSecurityError):
            self.log.warn(
                "a connection from {peer} is refused: {reason}",
                peer=leg.peer,
                reason=failure.getErrorMessage(),
                ended=Ended.PROTOCOL_ERROR.value,
                problem=problem_of(failure.value, "connection-refused-here"),
            )
        else:
            self.log.failure("a defect while a connection was being understood", failure)

"""The bind port: finds out layer by layer what a new connection carries, down to logical connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, Role
from relaykit.dataplane.tls import channel_binding
from relaykit.errors import ConnectionFailed, RemoteProtocolError, TransportSecurityError
from relaykit.interfaces import ILegAcceptor
from relaykit.sansio.parsers.first_octets import ACCEPTED_CONNECTION, WITHIN_TLS, Spoken
from relaykit.sansio.yamux.session import MAX_STREAMS

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import ISecureLeg, IStreamLeg, ITurns
    from relaykit.sansio.contract import PrefixParser
    from relaykit.values import Origin

__all__ = ["BindPort", "Link"]

FIRST_OCTETS_TIMEOUT_S = 10.0
"""Seconds that a peer has for the first octets of each layer; frp's figure."""

LOGIN_TIMEOUT_S = 20.0
"""Seconds that a link may live without a login on it: TLS, mux and the first message have 10 s each,
and a client that is slow in all of them is not worth more."""

STREAMS_BEFORE_LOGIN = 4
"""Streams of a link on which nobody has logged in: one is needed, and each may hold a window of 256 KiB."""

MAX_HALF_OPEN = 4096
"""Connections that are not understood yet, of all peers together; each costs a descriptor and 10 KB."""

MAX_HALF_OPEN_PER_ADDRESS = 512
"""The same, of one address: a client without mux that serves a burst of users stays below."""


@define(eq=False)
class Link:
    """What the streams of one accepted connection share.

    ``exporter`` is what tells its TLS session from any other, empty without TLS 1.3.  Where the peer
    can be asked for a sign of life, ``listen()`` does so, and fires with the next octets.
    """

    muxed: bool
    secure: bool
    close: Callable[[], None]
    exporter: bytes = field(default=b"", repr=False, kw_only=True)
    listen: Callable[[], Deferred[None]] | None = field(default=None, kw_only=True)
    _trusted: Callable[[], None] = field(default=lambda: None, kw_only=True)
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
    not encrypted is closed.
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
    ) -> None:
        self.opened = opened
        self._secure = secure
        self._turns = turns
        self._clock = clock
        self._tls_only = tls_only
        self._mux_keepalive_s = mux_keepalive_s
        self._half_open: Counter[str] = Counter()
        self._half_open_total = 0
        self._links: set[MuxLink] = set()

    @property
    def half_open(self) -> int:
        """How many connections are not understood yet."""
        return self._half_open_total

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        host = origin.source.host if origin.source else ""
        if self._half_open_total >= MAX_HALF_OPEN or self._half_open[host] >= MAX_HALF_OPEN_PER_ADDRESS:
            self.log.debug("{origin} has too many connections that say nothing", origin=origin)
            leg.abort()
            return
        self._half_open_total += 1
        self._half_open[host] += 1
        Deferred.fromCoroutine(self._understand(leg, origin)).addBoth(self._understood, leg, host)

    def close_links(self) -> None:
        """Closes every mux link and its streams."""
        for link in list(self._links):
            link.close()

    async def _understand(self, leg: IStreamLeg, origin: Origin) -> None:
        spoken = await self._ask(leg.take, ACCEPTED_CONNECTION)
        secure = spoken in (Spoken.TLS, Spoken.CUSTOM_TLS)
        if secure:
            leg = await self._secure(leg)
            spoken = await self._ask(leg.peek, WITHIN_TLS)
        elif self._tls_only:
            raise TransportSecurityError(f"{spoken.value} without TLS, which transport.tls.force forbids")
        if spoken is Spoken.MUX:
            self._start_link(leg, secure)
        elif spoken in (Spoken.WIRE_V1, Spoken.WIRE_V2):
            self.opened(leg, origin, Link(False, secure, leg.abort, exporter=channel_binding(leg)))
        elif spoken is Spoken.WEBSOCKET:
            leg.close()
            raise RemoteProtocolError(
                'the transport protocol "websocket" is not available yet; clients must use "tcp"'
            )
        else:
            leg.close()
            raise RemoteProtocolError(f"this is {spoken.value}, not a client of this server")

    def _start_link(self, leg: IStreamLeg, secure: bool) -> None:
        mux = MuxLink(leg, Role.SERVER, self._turns, self._clock, self._mux_keepalive_s)
        mux.limit_streams(STREAMS_BEFORE_LOGIN)
        link = Link(
            True,
            secure,
            mux.close,
            exporter=channel_binding(leg),
            listen=mux.sign_of_life,
            trusted=lambda: mux.limit_streams(MAX_STREAMS),
        )
        mux.accept_legs(_Streams(self, link))
        self._links.add(mux)
        deadline = self._clock.callLater(LOGIN_TIMEOUT_S, self._no_login, mux, link)

        def lost(_reason: object) -> None:
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
        spoken: Spoken = await how(parser).addTimeout(FIRST_OCTETS_TIMEOUT_S, self._clock)
        return spoken

    def _understood(self, result: object, leg: IStreamLeg, host: str) -> None:
        self._half_open_total -= 1
        self._half_open[host] -= 1
        if not self._half_open[host]:
            del self._half_open[host]
        failure = result
        if failure is None:
            return
        leg.close()
        if failure.check(DeadlinePassed):  # type: ignore[attr-defined]  # what is not None is a Failure
            self.log.debug(
                "{peer} said nothing for {seconds} s", peer=leg.peer, seconds=FIRST_OCTETS_TIMEOUT_S
            )
        elif failure.check(ConnectionFailed):  # type: ignore[attr-defined]
            self.log.debug("{peer}: {reason}", peer=leg.peer, reason=failure.getErrorMessage())  # type: ignore[attr-defined]
        elif failure.check(RemoteProtocolError, TransportSecurityError):  # type: ignore[attr-defined]
            self.log.warn(
                "a connection from {peer} is refused: {reason}",
                peer=leg.peer,
                reason=failure.getErrorMessage(),  # type: ignore[attr-defined]
            )
        else:
            self.log.failure("a defect while a connection was being understood", failure)  # type: ignore[arg-type]

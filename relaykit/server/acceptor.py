"""The bind port: finds out layer by layer what a new connection carries, down to logical connections."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.tls import channel_binding
from relaykit.dataplane.transports import EndpointPort
from relaykit.errors import (
    AnsweredError,
    ConnectionFailed,
    RemoteProtocolError,
    TransportSecurityError,
    problem_of,
)
from relaykit.interfaces import IAcceptHost, IIncomingConnection, ILegAcceptor, IMeasuredPath, ISecureLeg
from relaykit.sansio.parsers.first_bytes import OPENINGS, STRANGERS, Spoken
from relaykit.sansio.parsers.recognizing import Rank, RecognizerTable
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of
from relaykit.server.admission import (
    CONNECTIONS_AT_ONCE,
    CONNECTIONS_PER_S,
    MAX_PENDING,
    MAX_SOURCES,
    PendingConnections,
)
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import (
        IDatagramAcceptor,
        IListeningPort,
        ISecureSession,
        ISharedPath,
        IStreamLeg,
        ITlsTerms,
        ITurns,
    )
    from relaykit.sansio.contract import Recognizer
    from relaykit.sansio.sources import Source
    from relaykit.server.admission import Slot
    from relaykit.values import Origin

__all__ = ["BindPort", "BindRules", "CarrierEntrance", "Link"]

FIRST_BYTES_TIMEOUT_S = 10.0
"""Seconds that a peer has for the first bytes of each layer; frp's figure."""

CROWDED_TIMEOUT_S = 2.0
"""The same while strangers have half of the places: time for a first segment that was lost."""

LOGIN_TIMEOUT_S = 20.0
"""Seconds that a link may live without a login on it: TLS, mux and the first message have 10 s each,
and a client that is slow in all of them is not worth more."""

STREAMS_BEFORE_LOGIN = 4
"""Streams that a link on which nobody has logged in may have at once: one is needed."""

STREAMS_TRIED_BEFORE_LOGIN = 8
"""Streams that it may open one after the other: a client whose login is refused opens a new link."""

BYTES_BEFORE_LOGIN = 256 * 1024
"""Bytes that it may send: the largest login and what may come with it are half of that."""


@define(eq=False)
class Link:
    """What the streams of one accepted connection share.

    ``exporter`` is what tells its TLS session from any other, empty without TLS 1.3.  Where the peer can
    be pinged, ``ping()`` does so, and fires with the next bytes that it sends; ``round_trip()`` fires when it
    has answered, and ``measured()`` is how many seconds that took the last time.  ``is_inside`` says that the
    peer is a part of this process, so that nobody can be in between; ``is_vouched`` that it has made sure who
    its client is, which has nothing to prove any more.  ``carrier`` is the name of what it came by; empty for
    none.
    """

    muxed: bool
    secure: bool
    close: Callable[[], None]
    exporter: bytes = field(default=b"", repr=False, kw_only=True)
    ping: Callable[[], Deferred[None]] | None = field(default=None, kw_only=True)
    round_trip: Callable[[], Deferred[None]] | None = field(default=None, kw_only=True)
    measured: Callable[[], float | None] = field(default=lambda: None, kw_only=True)
    carrier: str = field(default="", kw_only=True)
    is_inside: bool = field(default=False, kw_only=True)
    is_vouched: bool = field(default=False, kw_only=True)
    _on_admitted: Callable[[], None] = field(default=lambda: None, kw_only=True)
    is_admitted: bool = field(default=False, init=False)

    def admit(self) -> None:
        """It is a client's that is logged in: it may stay, and have as many streams as it needs."""
        if not self.is_admitted:
            self.is_admitted = True
            self._on_admitted()


TCP = "tcp"
"""The carrier whose connections the bind port takes itself; those of others are recognized within."""

OnOpened: TypeAlias = Callable[["IStreamLeg", "Origin", Link], None]


@implementer(ILegAcceptor)
@frozen(eq=False)
class _Streams:
    """Takes the streams that the peer opens on a link; they come from where that came from."""

    _port: BindPort
    _link: Link
    _origin: Origin

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._port.on_opened(leg, self._origin, self._link)


@implementer(IIncomingConnection)
@define(eq=False)
class IncomingConnection:
    """An accepted connection, until it is known who takes it; it has a slot among the pending ones until
    then, or until it is gone.

    :ivar carrier: the name of the carrier that has recognized it as its own, or handed it in.
    """

    leg: IStreamLeg
    origin: Origin
    slot: Slot
    secured: ISecureLeg | None = None
    carrier: str = TCP


@implementer(IAcceptHost)
@frozen(eq=False)
class CarrierEntrance:
    """The bind port, as the accepting half of one carrier has it: what comes there is known by its name."""

    _port: BindPort
    _carrier: str

    @property
    def reactor(self) -> IReactorTime:
        return self._port.reactor

    @property
    def turns(self) -> ITurns:
        return self._port.turns

    def entropy(self, count: int) -> bytes:
        return self._port.entropy(count)

    def recognize(self, recognizer: Recognizer, on_recognized: _OnRecognized, rank: Rank) -> None:
        async def as_own(connection: IncomingConnection) -> IStreamLeg | None:
            # TLS may be within another carrier, too, which is what counts then.
            if connection.carrier == TCP:
                connection.carrier = self._carrier
            return await on_recognized(connection)

        self._port.recognize(recognizer, as_own, rank)

    def ignore(self, recognizer: Recognizer) -> None:
        self._port.ignore(recognizer)

    def secure(self, leg: IStreamLeg) -> Deferred[ISecureLeg]:
        return self._port.secure(leg)

    def tls_terms(self) -> ITlsTerms:
        return self._port.tls_terms()

    def listen_datagrams(self, port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        return self._port.listen_datagrams(port, acceptor)

    def listen_endpoint(self, endpoint: IStreamServerEndpoint) -> IService:
        return self._port.listen_endpoint(endpoint, self)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._port.leg_accepted(leg, origin, self._carrier)

    def path_accepted(self, path: ISharedPath, origin: Origin, secured: ISecureSession | None) -> None:
        self._port.path_accepted(path, origin, secured, self._carrier)


class _NotSecure(TransportSecurityError):
    """There is no TLS, and there must be."""


_OnRecognized: TypeAlias = Callable[[IncomingConnection], Awaitable["IStreamLeg | None"]]


@frozen(kw_only=True)
class BindRules:
    """What the server's file says of the connections that it accepts.

    :ivar tls_only: what is not encrypted is closed.
    :ivar mux_keepalive_s: the pause between pings of a mux link, in seconds; None for no pings.
    """

    tls_only: bool
    mux_keepalive_s: float | None


@implementer(IAcceptHost)
class BindPort(MultiService):
    """Takes what was accepted from clients; the accepting halves of the carriers are its children.

    ``on_opened(leg, origin, link)`` gets each logical connection, paused, nothing of it read.
    ``start_tls(leg)`` begins TLS as the server, on ``tls_terms()``.  ``listen_datagrams(port, acceptor)``
    opens a UDP port for a carrier.  ``is_known(source)`` says whether a client is logged in from there,
    ``is_scarce(leg)`` whether a connection has one of the last descriptors.  So many as ``most_pending`` may
    be of nobody who is known.
    """

    log = Logger()

    def __init__(
        self,
        on_opened: OnOpened,
        start_tls: Callable[[IStreamLeg], Deferred[ISecureLeg]],
        tls_terms: Callable[[], ITlsTerms],
        listen_datagrams: Callable[[int, IDatagramAcceptor], IListeningPort],
        rules: BindRules,
        poller: Poller,
        clock: IReactorTime,
        is_known: Callable[[str], bool] = lambda source: False,
        is_scarce: Callable[[IStreamLeg], bool] = lambda leg: False,
        most_pending: int = MAX_PENDING,
    ) -> None:
        super().__init__()
        self.on_opened = on_opened
        self.reactor = clock
        self.turns = poller
        self._tls_terms = tls_terms
        self._start_tls = start_tls
        self._listen_datagrams = listen_datagrams
        self.rules = rules
        """What holds for the next one."""
        self._poller = poller
        self._is_scarce = is_scarce
        self._pending = PendingConnections(is_known, most_pending)
        self._is_known = is_known
        self._shared: list[Recognizer] = []
        self._strangers = RateLimit(CONNECTIONS_AT_ONCE, CONNECTIONS_PER_S, MAX_SOURCES)
        self._links: set[ISharedPath] = set()
        self._table: RecognizerTable[_OnRecognized] = RecognizerTable()
        self._table.add(OPENINGS[Spoken.MUX], self._on_mux)
        for spoken in (Spoken.WIRE_V1, Spoken.WIRE_V2):
            self._table.add(OPENINGS[spoken], partial(self._on_wire, spoken))
        for spoken in STRANGERS:
            self._table.add(OPENINGS[spoken], partial(self._on_stranger, spoken), Rank.STRANGER)

    @property
    def pending(self) -> int:
        """How many connections there are on which nobody has logged in or shown a session."""
        return len(self._pending)

    def is_deaf_since(self, time: float) -> bool:
        """Whether connections may have been dropped unheard since then."""
        return self._pending.has_dropped_since(time)

    def share(self, recognizer: Recognizer, acceptor: ILegAcceptor, rank: Rank) -> None:
        """Hands on what begins so, until :meth:`ignore`: for users of a port that is the bind port, too."""

        async def on_recognized(connection: IncomingConnection) -> None:
            connection.slot.release()
            acceptor.leg_accepted(connection.leg, connection.origin)

        self.recognize(recognizer, on_recognized, rank)
        self._shared.append(recognizer)

    def close_connections(self) -> None:
        """Closes all that have streams, and those; drops all that nobody is known behind yet."""
        for link in list(self._links):
            link.close()
        self._pending.abort_all()

    # --- for carriers -----------------------------------------------------------------------------

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def recognize(self, recognizer: Recognizer, on_recognized: _OnRecognized, rank: Rank) -> None:
        self._table.add(recognizer, on_recognized, rank)

    def ignore(self, recognizer: Recognizer) -> None:
        self._table.remove(recognizer)
        self._shared = [each for each in self._shared if each is not recognizer]

    def secure(self, leg: IStreamLeg) -> Deferred[ISecureLeg]:
        return self._start_tls(leg)

    def tls_terms(self) -> ITlsTerms:
        return self._tls_terms()

    def listen_datagrams(self, port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        return self._listen_datagrams(port, acceptor)

    def listen_endpoint(self, endpoint: IStreamServerEndpoint, taker: ILegAcceptor | None = None) -> IService:
        return EndpointPort(self._poller, endpoint, taker or self)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin, carrier: str = TCP) -> None:
        if self._comes_too_fast(source_of(origin)):
            self.log.warn(
                "a connection from {origin} is dropped: too many come from there, where nobody is logged in",
                origin=origin,
                stranger=host_of(origin.source),
                ended=Ended.REFUSED.value,
                problem="too-many-connections",
            )
            leg.abort()
            return
        slot = self._admit(origin, leg.abort, self._is_scarce(leg))
        leg.when_gone(slot.release)
        connection = IncomingConnection(leg, origin, slot, carrier=carrier)
        Deferred.fromCoroutine(self._recognize(connection)).addErrback(self._not_recognized, connection)

    def path_accepted(
        self, path: ISharedPath, origin: Origin, secured: ISecureSession | None, carrier: str = ""
    ) -> None:
        slot = self._admit(origin, path.close)
        self._serve_path(path, origin, slot, secured, carrier)

    # --- inside -----------------------------------------------------------------------------------

    def _comes_too_fast(self, source: Source) -> bool:
        """Whether one more connection of a source is not even looked at: of users there may be any number."""
        if self._shared or self._is_known(source[-1]):
            return False
        return not self._strangers.admits(source, self.reactor.seconds())

    def _admit(self, origin: Origin, abort: Callable[[], None], is_scarce: bool = False) -> Slot:
        """A place for a connection, for which others may lose theirs."""
        slot, dropped = self._pending.enter(origin, abort, self.reactor.seconds(), is_scarce)
        if dropped:
            self.log.warn(
                "there is no room for more connections without a login, of {origin} or of all: "
                "the oldest of those who have most are dropped",
                origin=origin,
                pending=len(self._pending),
                stranger=host_of(origin.source),
                ended=Ended.REFUSED.value,
                problem="too-many-connections",
            )
        for each in dropped:
            each.abort()
        return slot

    @property
    def _patience_s(self) -> float:
        return CROWDED_TIMEOUT_S if self._pending.is_crowded else FIRST_BYTES_TIMEOUT_S

    async def _recognize(self, connection: IncomingConnection) -> None:
        """Looks at one layer after the other; each kind is taken once, so that they come to an end."""
        table = self._table
        taken: list[_OnRecognized] = []
        while True:
            peeked: Deferred[Any] = connection.leg.peek(table)
            on_recognized: _OnRecognized | None = await peeked.addTimeout(self._patience_s, self.reactor)
            connection.slot.renew()
            if on_recognized is None:
                on_recognized = partial(self._on_stranger, Spoken.UNKNOWN)
            within = await on_recognized(connection)
            if within is None:
                return
            connection.leg = within
            connection.slot.renew()
            if ISecureLeg.providedBy(within):
                connection.secured = within
            taken.append(on_recognized)
            table = self._table.without(taken)

    async def _on_mux(self, connection: IncomingConnection) -> None:
        self._check_security(connection, Spoken.MUX)
        mux = MuxLink(connection.leg, MuxRole.SERVER, self._poller, self.reactor, self.rules.mux_keepalive_s)
        self._serve_path(mux, connection.origin, connection.slot, connection.secured, connection.carrier)

    async def _on_wire(self, spoken: Spoken, connection: IncomingConnection) -> None:
        self._check_security(connection, spoken)
        leg, secured = connection.leg, connection.secured
        link = Link(
            False,
            secured is not None,
            leg.abort,
            exporter=channel_binding(secured or leg),
            carrier=connection.carrier,
            on_admitted=connection.slot.release,
        )
        self.on_opened(leg, connection.origin, link)

    async def _on_stranger(self, spoken: Spoken, connection: IncomingConnection) -> None:
        self._check_security(connection, spoken)
        raise RemoteProtocolError(
            f"this is {spoken.value}, not a client of this server", problem="not-a-client"
        )

    def _check_security(self, connection: IncomingConnection, spoken: Spoken) -> None:
        if self.rules.tls_only and connection.secured is None:
            raise _NotSecure(
                f"{spoken.value} without TLS, which transport.tls.force forbids", problem="tls-only"
            )

    def _serve_path(
        self, path: ISharedPath, origin: Origin, slot: Slot, secured: ISecureSession | None, carrier: str
    ) -> None:
        path.restrict(STREAMS_BEFORE_LOGIN, STREAMS_TRIED_BEFORE_LOGIN, BYTES_BEFORE_LOGIN)

        def on_admitted() -> None:
            slot.release()
            path.lift()

        link = Link(
            True,
            secured is not None,
            path.close,
            exporter=b"" if secured is None else channel_binding(secured),
            ping=path.ping,
            round_trip=path.round_trip,
            measured=lambda: path.round_trip_s if IMeasuredPath.providedBy(path) else None,
            carrier=carrier,
            on_admitted=on_admitted,
        )
        path.accept_legs(_Streams(self, link, origin), at_once=False)
        self._links.add(path)
        deadline = self.reactor.callLater(LOGIN_TIMEOUT_S, self._no_login, path, origin, link)

        def on_lost(_reason: object) -> None:
            slot.release()
            self._links.discard(path)
            if deadline.active():
                deadline.cancel()

        path.when_lost().addCallback(on_lost)
        path.start()

    def _no_login(self, path: ISharedPath, origin: Origin, link: Link) -> None:
        if not link.is_admitted:
            self.log.info(
                "{path} was opened, and nobody logged in", path=path, stranger=host_of(origin.source)
            )
            path.close()

    def _not_recognized(self, failure: Failure, connection: IncomingConnection) -> None:
        leg = connection.leg
        answered = failure.check(AnsweredError, TransportSecurityError, ConnectionFailed)
        if answered and not failure.check(_NotSecure):
            # It has been told why, or has ended by itself; its place is taken until it is gone.
            leg.close()
        else:
            leg.abort()
        if failure.check(DeadlinePassed):
            self.log.debug("{peer} said nothing in time", peer=leg.peer, ended=Ended.TIMEOUT.value)
        elif failure.check(ConnectionFailed):
            self.log.debug("{peer}: {reason}", peer=leg.peer, reason=failure.getErrorMessage())
        elif failure.check(RemoteProtocolError, TransportSecurityError):
            self.log.warn(
                "a connection from {peer} is refused: {reason}",
                peer=leg.peer,
                reason=failure.getErrorMessage(),
                stranger=host_of(connection.origin.source),
                ended=Ended.PROTOCOL_ERROR.value,
                problem=problem_of(failure.value, "connection-refused-here"),
            )
        else:
            self.log.failure("a defect while a connection was being recognized", failure)

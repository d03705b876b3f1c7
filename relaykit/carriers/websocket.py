"""WebSocket as a carrier: what passes where only HTTP does, with TLS inside it unless that is off.

:mod:`relaykit.carriers.wss` is the same within TLS; both have the one accepting half, which is here.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from attrs import evolve, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from zope.interface import implementer

from relaykit.dataplane.tls import channel_binding
from relaykit.dataplane.websocket import SecureWebSocketLeg, WebSocketLeg
from relaykit.errors import AnsweredError, ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.options import HostAndPort, Options, Problem, SecondsOrOff, doc
from relaykit.sansio.parsers.first_bytes import OPENINGS, Spoken
from relaykit.sansio.parsers.recognizing import Opening, Rank
from relaykit.sansio.service_records import domain_of
from relaykit.sansio.websocket.frames import WebSocket, WebSocketRole
from relaykit.sansio.websocket.opening import (
    FRP_PATH,
    KEY_LENGTH,
    UpgradeOffer,
    UpgradeRecognizer,
    UpgradeRefused,
    UpgradeRequestParser,
    header_problem,
    path_problem,
)
from relaykit.values import CarrierCapabilities, Secret

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDialHost, IIncomingConnection, ISecureLeg, IStreamLeg
    from relaykit.sansio.contract import Recognizer
    from relaykit.sansio.websocket.opening import UpgradeRequest

__all__ = ["WebSocketAcceptOptions", "WebSocketDialOptions", "WebSocketDialer", "carrier", "open_websocket"]

UPGRADE_TIMEOUT_S = 10.0
"""Seconds that a peer has for its half of the opening; as for TLS."""

PING_S = 30
"""Seconds of silence after which a peer is asked for a sign of life, where nothing else is configured: half
of what nginx lets an idle connection live."""

_LABEL = b"EXPORTER-relaykit-websocket"
"""By this name comes from a session of TLS what its ends show each other.  Source: RFC 5705 section 4."""


class _Both(Options, frozen=True, kw_only=True):
    path: Annotated[str, doc("Path of the URL; frp's programs know no other than the default.")] = FRP_PATH
    ping_interval: Annotated[
        SecondsOrOff,
        doc("Seconds of silence until a peer is pinged, so that no proxy cuts it as idle; 0 or less: never."),
    ] = PING_S

    def problems(self) -> Iterable[Problem]:
        if reason := path_problem(self.path):
            yield Problem("path", reason)


class WebSocketAcceptOptions(_Both, frozen=True, kw_only=True):
    """WebSocket: clients with the protocol websocket or wss."""


class WebSocketDialOptions(_Both, frozen=True, kw_only=True):
    """WebSocket: with the protocol websocket or wss."""

    host: Annotated[
        HostAndPort, doc("Host header of the request; empty: serverAddr, or the server's name of TLS.")
    ] = ""
    headers: Annotated[dict[str, Secret], doc("More headers of the request, for a proxy in between.")] = (
        msgspec.field(default_factory=dict)
    )
    verify_certificate: Annotated[
        bool,
        doc(
            "With wss: the certificate must be for the server and from an authority, the system's unless "
            "transport.tls.trustedCaFile names others."
        ),
    ] = True

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        for name, value in self.headers.items():
            if reason := header_problem(name, value.reveal()):
                yield Problem(f"headers.{name}", reason)


async def open_websocket(
    host: IDialHost,
    leg: IStreamLeg,
    name: str,
    options: WebSocketDialOptions,
    secured: ISecureLeg | None = None,
) -> IStreamLeg:
    """Has a connection, which is owned from now on, carry WebSocket; answers the stream in it.

    :param name: what the server is called by, for the field Host, unless the options say otherwise.
    :param secured: the session of TLS that it is in.
    :raises ConnectionFailed: the server does not take it.
    """
    offer = UpgradeOffer.of(
        host.entropy(KEY_LENGTH),
        host=options.host or name,
        path=options.path,
        headers={name: value.reveal() for name, value in options.headers.items()},
        binding=_binding(secured),
    )
    leg.write(offer.request())
    taking: Deferred[Any] = leg.take(offer)
    try:
        opened = await taking.addTimeout(UPGRADE_TIMEOUT_S, host.reactor)
    except DeadlinePassed:
        leg.abort()
        raise ConnectionFailed(
            f"{host.server} did not answer the request for WebSocket within {UPGRADE_TIMEOUT_S:g} seconds",
            problem="no-answer",
        ) from None
    except RemoteProtocolError as error:
        leg.abort()
        raise ConnectionFailed(f"{host.server}: {error}", problem=error.problem) from error
    except BaseException:
        leg.abort()
        raise
    core = WebSocket(WebSocketRole.CLIENT, host.entropy)
    ping_s = _positive(options.ping_interval)
    if secured is None:
        return WebSocketLeg(leg, core, host.reactor, ping_s)
    return SecureWebSocketLeg(leg, core, host.reactor, ping_s, secured=secured, bound=opened.bound)


@implementer(ILegDialer)
@frozen
class WebSocketDialer:
    """Makes connections of TCP, WebSocket and TLS."""

    _options: WebSocketDialOptions
    _host: IDialHost

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        host = self._host
        name = str(evolve(host.server, host=domain_of(host.server.host)))
        stream = await open_websocket(host, await host.dial(), name, self._options)
        leg: IStreamLeg = await host.secure(stream)
        return leg


class WebSocketRecognition(Service):
    """Finds WebSocket in what the bind port accepted, within TLS as well, and what is within it."""

    def __init__(self, options: WebSocketAcceptOptions, host: IAcceptHost) -> None:
        self._host = host
        self._parser = UpgradeRequestParser(options.path)
        self._ping_s = _positive(options.ping_interval)
        path = options.path.encode("ascii")
        self._recognized: dict[Recognizer, Rank] = {
            OPENINGS[Spoken.WEBSOCKET]: Rank.FIXED,
            Opening(b"GET " + path + b" ", b"GET " + path + b"?"): Rank.FIXED,
            UpgradeRecognizer(): Rank.LAYER,
        }

    def startService(self) -> None:
        super().startService()
        for recognizer, rank in self._recognized.items():
            self._host.recognize(recognizer, self._on_upgrade, rank)

    def stopService(self) -> None:
        for recognizer in self._recognized:
            self._host.ignore(recognizer)
        super().stopService()

    async def _on_upgrade(self, connection: IIncomingConnection) -> IStreamLeg:
        leg, secured = connection.leg, connection.secured
        taking: Deferred[Any] = leg.take(self._parser)
        try:
            request: UpgradeRequest = await taking.addTimeout(UPGRADE_TIMEOUT_S, self._host.reactor)
        except DeadlinePassed:
            refused = UpgradeRefused(408, f"the request did not arrive within {UPGRADE_TIMEOUT_S:g} seconds")
        except UpgradeRefused as error:
            refused = error
        else:
            return self._accept(leg, secured, request)
        date = formatdate(usegmt=True).encode("ascii")
        leg.write(refused.answer.write(b"Connection: close\r\n", date))
        raise AnsweredError(str(refused), problem=refused.problem)

    def _accept(self, leg: IStreamLeg, secured: ISecureLeg | None, request: UpgradeRequest) -> IStreamLeg:
        """The stream within; where TLS is around it, both ends learn whether a proxy is between them."""
        bound = bool(request.binding) and request.binding == _binding(secured)
        leg.write(request.accepted(bound=bound))
        core, clock = WebSocket(WebSocketRole.SERVER, _no_entropy), self._host.reactor
        if secured is None:
            return WebSocketLeg(leg, core, clock, self._ping_s)
        return SecureWebSocketLeg(leg, core, clock, self._ping_s, secured=secured, bound=bound)


@implementer(ICarrier)
class WebSocketCarrier:
    """Both halves."""

    name = "websocket"
    summary = "WebSocket, as through proxies of HTTP, with or without TLS inside."
    capabilities = CarrierCapabilities()
    table = "websocket"
    dial_options = WebSocketDialOptions
    accept_options = WebSocketAcceptOptions

    def lacks(self) -> str:
        return ""

    def make_dialer(self, options: Any, host: IDialHost) -> WebSocketDialer:
        return WebSocketDialer(options, host)

    def make_acceptor(self, options: Any, port: int, host: IAcceptHost) -> WebSocketRecognition:
        return WebSocketRecognition(options, host)


carrier = WebSocketCarrier()


def _binding(secured: ISecureLeg | None) -> bytes:
    """What shows somebody in a session of TLS that this end is in it, too; nothing before TLS 1.3."""
    return b"" if secured is None else channel_binding(secured, _LABEL)


def _no_entropy(count: int) -> bytes:
    """A server masks nothing."""
    raise NotImplementedError


def _positive(seconds: int) -> float | None:
    return float(seconds) if seconds > 0 else None

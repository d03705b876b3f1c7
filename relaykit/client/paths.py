"""Ways to the server: one muxed link for all streams of a session, or one connection a stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.certificates.files import TlsContents, TlsFiles, WatchedFiles
from relaykit.client.forward_proxy import choose_proxy
from relaykit.dataplane.dialing import dial, dial_datagrams
from relaykit.dataplane.sockets import set_keepalive
from relaykit.dataplane.tls import TlsContext, client_context, start_tls
from relaykit.dataplane.transports import leg_over
from relaykit.errors import ForwardProxyError, TransportSecurityError
from relaykit.interfaces import IDialHost, ISecureSession, IStreamPath
from relaykit.nat.sockets import share_port
from relaykit.sansio.parsers.first_bytes import CUSTOM_TLS_BYTE
from relaykit.sansio.service_records import domain_of, is_service_name
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    import socket

    from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

    from relaykit.config.schema import ClientConfig
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramLeg, IEnd, IPathDialer, ISecureLeg, IStreamLeg, ITurns
    from relaykit.sansio.forward_proxies.urls import ForwardProxy

__all__ = ["DialHost", "DirectPath", "PathRoute", "Route", "certificate_of"]

LegT = TypeVar("LegT")

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@implementer(IStreamPath)
@frozen(eq=False)
class DirectPath:
    """Makes a connection for each stream; the streams share nothing."""

    _connect: Callable[[], Deferred[IStreamLeg]]

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        return self._connect()

    def connection_of(self, leg: IStreamLeg) -> IEnd:
        return leg

    def when_lost(self) -> Deferred[Ended]:
        return Deferred()

    def close(self) -> None:
        """Nothing is shared, so nothing is closed."""


@frozen(eq=False)
class Route:
    """How this client reaches its server.

    ``connect()`` makes one connection, TLS included.  ``muxed`` says whether all streams of a
    session go through one connection.
    """

    _connect: Callable[[], Deferred[IStreamLeg]]
    muxed: bool
    _turns: ITurns
    _clock: IReactorTime
    _keepalive_s: float | None = None

    async def open_path(self) -> IStreamPath:
        """A new path.

        :raises ConnectionFailed: the server cannot be reached.
        :raises TransportSecurityError: TLS failed, or the server is not the expected one.
        """
        if not self.muxed:
            return DirectPath(self._connect)
        link = MuxLink(await self._connect(), MuxRole.CLIENT, self._turns, self._clock, self._keepalive_s)
        link.start()
        return link


@frozen(eq=False)
class PathRoute:
    """How this client reaches its server by a carrier that has streams of its own."""

    _dialer: IPathDialer
    muxed: bool = True

    async def open_path(self) -> IStreamPath:
        """As :meth:`Route.open_path`."""
        path: IStreamPath = await self._dialer.open_path()
        return path


def certificate_of(connection: IEnd) -> bytes:
    """The server's certificate on a connection, in DER; empty without TLS."""
    return (connection.peer_certificate or b"") if ISecureSession.providedBy(connection) else b""


@implementer(IDialHost)
class DialHost:
    """Reaches the server as configured; what the carrier puts together.

    Local ports can be shared by sockets that reach for other clients.  ``environ`` may name a forward proxy.

    The files of TLS are looked at whenever a connection is made.
    """

    log = Logger()

    def __init__(
        self, config: ClientConfig, poller: Poller, environ: Mapping[str, str] = _NO_VARIABLES
    ) -> None:
        self._config = config
        self._poller = poller
        self._environ = environ
        self._inside = _Context(config, system_authorities=False)
        self._outside = {each: _Context(config, system_authorities=each) for each in (True, False)}
        self._is_warned = False

    @property
    def reactor(self) -> IReactorTime:
        return self._poller.reactor

    @property
    def server(self) -> Address:
        return Address(self._config.server_addr, self._config.server_port)

    @property
    def server_name(self) -> str:
        return _server_name(self._config)

    @property
    def turns(self) -> ITurns:
        return self._poller

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def dial(self) -> Deferred[IStreamLeg]:
        """Fails, before it reaches for the server, where a file of TLS cannot be used and never could be."""
        transport = self._config.transport
        if transport.tls.enable and not self._inside.is_open:
            try:
                self._inside.get()
            except TransportSecurityError as error:
                return fail(error)
        return self._find(self._dial)

    def _dial(self, server: Address) -> Deferred[IStreamLeg]:
        try:
            proxy = self._proxy
        except ForwardProxyError as error:
            return fail(error)
        transport = self._config.transport
        timeout_s, source = float(transport.dial_server_timeout), transport.connect_server_local_ip
        if proxy is None:
            return dial(self._poller, server.host, server.port, timeout_s, source, self._prepare)
        # What reads HTTP takes its time to load.
        from relaykit.dataplane.forward_proxies import dial_through

        return dial_through(self._poller, proxy, server, timeout_s, source, self._prepare)

    def _find(self, reach: Callable[[Address], Deferred[LegT]]) -> Deferred[LegT]:
        """Reaches the server, wherever it is."""
        if not is_service_name(self.server.host):
            return reach(self.server)
        # Most servers are named by their address.
        from relaykit.client.services import reach_service

        return Deferred.fromCoroutine(reach_service(self._poller, self.server.host, reach))

    @cached_property
    def _proxy(self) -> ForwardProxy | None:
        return choose_proxy(self._config, self._environ)

    def _prepare(self, plain: socket.socket) -> None:
        share_port(plain)
        set_keepalive(plain, self._config.transport.dial_server_keepalive)

    def dial_datagrams(self) -> Deferred[IDatagramLeg]:
        timeout_s = float(self._config.transport.dial_server_timeout)
        return self._find(lambda server: dial_datagrams(self._poller, server.host, server.port, timeout_s))

    def dial_endpoint(self, endpoint: IStreamClientEndpoint) -> Deferred[IStreamLeg]:
        return leg_over(self._poller, endpoint, float(self._config.transport.dial_server_timeout))

    def secure(self, leg: IStreamLeg) -> Deferred[IStreamLeg]:
        """Fails also where a file of TLS cannot be used and never could be."""
        tls = self._config.transport.tls
        if not tls.enable:
            return succeed(leg)
        try:
            context = self._inside.get()
        except TransportSecurityError as error:
            leg.abort()
            return fail(error)
        if not tls.disable_custom_tls_first_byte:
            leg.write(CUSTOM_TLS_BYTE)
        secured: Deferred[Any] = start_tls(self._poller, leg, context, server_side=False)
        return secured

    def secure_outside(self, leg: IStreamLeg, verified: bool) -> Deferred[ISecureLeg]:
        """Fails as :meth:`secure` does; warns once of a server that anybody could be."""
        try:
            context = self._outside[verified].get()
        except TransportSecurityError as error:
            leg.abort()
            return fail(error)
        if not context.verifies and not self._is_warned:
            self._is_warned = True
            self.log.warn(
                "the certificate of {server} is not verified: whoever is in between can read and change "
                "everything",
                server=self.server,
                problem="not-verified",
            )
        return start_tls(self._poller, leg, context, server_side=False)

    def tls_terms(self) -> TlsContext:
        return self._inside.get() if self._config.transport.tls.enable else client_context()


class _Context:
    """What TLS with the server needs, of files that are looked at whenever it is asked for.

    With ``system_authorities`` those verify the server, where the file names nothing else.
    """

    def __init__(self, config: ClientConfig, *, system_authorities: bool) -> None:
        self._tls = tls = config.transport.tls
        self._server_name = _server_name(config)
        self._system_authorities = system_authorities and not (tls.trusted_ca_file or tls.server_fingerprint)
        files = TlsFiles(
            table="transport.tls",
            certificate=tls.cert_file,
            key=tls.key_file,
            authorities=tls.trusted_ca_file,
            shown_to_verifiers=False,
        )
        self._files = WatchedFiles(files, self._make)
        self.is_open = False

    def get(self) -> TlsContext:
        """It, from files that are as new as they can be used.

        :raises TransportSecurityError: a file cannot be used and never could be.
        """
        if self.is_open:
            self._files.look()
        else:
            self._files.open()
            self.is_open = True
        return self._files.made

    def _make(self, contents: TlsContents) -> TlsContext:
        return client_context(
            certificate=contents.certificate,
            key=contents.key,
            authorities=contents.authorities,
            fingerprint=self._tls.server_fingerprint,
            server_name=self._server_name,
            system_authorities=self._system_authorities,
        )


def _server_name(config: ClientConfig) -> str:
    return config.transport.tls.server_name or domain_of(config.server_addr)

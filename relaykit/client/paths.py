"""Ways to the server: one muxed link for all streams of a session, or one connection a stream."""

from __future__ import annotations

import copy
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, evolve, frozen
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

    from relaykit.client.remembered import RememberedServers
    from relaykit.client.session import Session
    from relaykit.config.schema import ClientConfig
    from relaykit.dataplane.dialing import ChooseHosts
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramLeg, IEnd, IPathDialer, ISecureLeg, IStreamLeg, ITurns
    from relaykit.sansio.forward_proxies.urls import ForwardProxy

__all__ = ["DialHost", "DirectPath", "OneRoute", "PathRoute", "Route", "certificate_of"]

LegT = TypeVar("LegT", bound="IStreamLeg | IDatagramLeg")
ResultT = TypeVar("ResultT")

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@implementer(IStreamPath)
@define(eq=False)
class DirectPath:
    """Makes a connection for each stream; the streams share nothing.

    ``first`` is a connection that there is already, for the first stream.
    """

    _connect: Callable[[], Deferred[IStreamLeg]]
    _first: IStreamLeg | None = None

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        first, self._first = self._first, None
        return self._connect() if first is None else succeed(first)

    def connection_of(self, leg: IStreamLeg) -> IEnd:
        return leg

    def when_lost(self) -> Deferred[Ended]:
        return Deferred()

    def close(self) -> None:
        """Nothing is shared; only a connection that nobody has used is closed."""
        first, self._first = self._first, None
        if first is not None:
            first.abort()


class OneRoute:
    """What a client has that reaches its server by one carrier, whatever happens."""

    carrier = ""
    """The name of the carrier, where it is not that of the configuration."""
    way = ""
    """How the server is reached, where that was not configured."""
    way_reason = ""
    """Why so."""

    async def open_path(self) -> IStreamPath:
        """A new path.

        :raises ConnectionFailed: the server cannot be reached.
        :raises TransportSecurityError: TLS failed, or the server is not the expected one.
        """
        raise NotImplementedError

    async def reach(
        self, use: Callable[[OneRoute], Awaitable[ResultT]], servers: RememberedServers
    ) -> ResultT:
        """What ``use`` makes of this route."""
        return await use(self)

    def session_ended(self, session: Session, why: Ended) -> None:
        """What is lost is dialed again as before."""


@frozen(eq=False, slots=False)
class Route(OneRoute):
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
        if not self.muxed:
            return DirectPath(self._connect, await self._connect())
        link = MuxLink(await self._connect(), MuxRole.CLIENT, self._turns, self._clock, self._keepalive_s)
        link.start()
        return link


@frozen(eq=False, slots=False)
class PathRoute(OneRoute):
    """How this client reaches its server by a carrier that has streams of its own."""

    _dialer: IPathDialer
    muxed: bool = True

    async def open_path(self) -> IStreamPath:
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
        self._unverified: set[Address] = set()
        """Of which servers it was said that anybody could be them."""
        self._port = config.server_port
        self._choose: ChooseHosts | None = None
        self.peer: Address | None = None
        """Where the last connection leads, or the forward proxy that it goes by."""

    def at(self, port: int, choose: ChooseHosts | None) -> DialHost:
        """The same for a port of the server, 0 for the usual one; ``choose`` as for :func:`.dialing.dial`."""
        other = copy.copy(self)
        other._port, other._choose = port or self._port, choose
        return other

    @property
    def is_proxied(self) -> bool:
        """Whether a forward proxy is on the way.

        :raises ForwardProxyError: what is named is none that can be used.
        """
        return self._proxy is not None

    @property
    def reactor(self) -> IReactorTime:
        return self._poller.reactor

    @property
    def server(self) -> Address:
        return Address(self._config.server_addr, self._port)

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
            return dial(
                self._poller, server.host, server.port, timeout_s, source, self._prepare, choose=self._choose
            )
        # What reads HTTP takes its time to load.
        from relaykit.dataplane.forward_proxies import dial_through

        return dial_through(self._poller, proxy, server, timeout_s, source, self._prepare)

    def _find(self, reach: Callable[[Address], Deferred[LegT]]) -> Deferred[LegT]:
        """Reaches the server, wherever it is, and notes where that was."""
        return Deferred.fromCoroutine(self._found(reach))

    async def _found(self, reach: Callable[[Address], Deferred[LegT]]) -> LegT:
        if is_service_name(self.server.host):
            # Most servers are named by their address.
            from relaykit.client.services import reach_service

            found = await reach_service(self._poller, self.server.host, self._at_port(reach))
        else:
            found = await reach(self.server)
        self.peer = found.peer
        return found

    def _at_port(self, reach: Callable[[Address], Deferred[LegT]]) -> Callable[[Address], Deferred[LegT]]:
        """The same at a port that is not the one which a record names."""
        if self._port == self._config.server_port:
            return reach
        return lambda server: reach(evolve(server, port=self._port))

    @cached_property
    def _proxy(self) -> ForwardProxy | None:
        return choose_proxy(self._config, self._environ)

    def _prepare(self, plain: socket.socket) -> None:
        share_port(plain)
        set_keepalive(plain, self._config.transport.dial_server_keepalive)

    def dial_datagrams(self) -> Deferred[IDatagramLeg]:
        timeout_s = float(self._config.transport.dial_server_timeout)
        return self._find(
            lambda server: dial_datagrams(
                self._poller, server.host, server.port, timeout_s, choose=self._choose
            )
        )

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
        """Fails as :meth:`secure` does; warns once of each server that anybody could be."""
        try:
            context = self._outside[verified].get()
        except TransportSecurityError as error:
            leg.abort()
            return fail(error)
        if not context.verifies and self.server not in self._unverified:
            self._unverified.add(self.server)
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

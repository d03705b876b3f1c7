"""Ways to the server: one muxed link for all streams of a session, or one connection a stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.dialing import dial, dial_datagrams
from relaykit.dataplane.tls import TlsContext, client_context, start_tls
from relaykit.errors import TransportSecurityError, problem_of
from relaykit.interfaces import IDialHost, ISecureLeg, IStreamPath
from relaykit.nat.sockets import share_port
from relaykit.sansio.parsers.first_bytes import CUSTOM_TLS_BYTE
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema import ClientConfig
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramLeg, IPathDialer, IStreamLeg, ITurns

__all__ = ["DialHost", "DirectPath", "PathRoute", "Route", "certificate_of"]


@implementer(IStreamPath)
@frozen(eq=False)
class DirectPath:
    """Makes a connection for each stream; the streams share nothing."""

    _connect: Callable[[], Deferred[IStreamLeg]]

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        return self._connect()

    def connection_of(self, leg: IStreamLeg) -> IStreamLeg:
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


def certificate_of(connection: IStreamLeg) -> bytes:
    """The server's certificate on a connection, in DER; empty without TLS."""
    return (connection.peer_certificate or b"") if ISecureLeg.providedBy(connection) else b""


@implementer(IDialHost)
class DialHost:
    """Reaches the server as configured; what the carrier puts together.

    Local ports can be shared by sockets that reach for other clients.

    The files of TLS are read again when they have changed, so that a renewed certificate needs no
    restart.
    """

    log = Logger()

    def __init__(self, config: ClientConfig, poller: Poller) -> None:
        self._config = config
        self._poller = poller
        self._context: TlsContext | None = None
        self._stamps: list[int] = []
        self._reported = False

    @property
    def reactor(self) -> IReactorTime:
        return self._poller.reactor

    @property
    def server(self) -> Address:
        return Address(self._config.server_addr, self._config.server_port)

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def dial(self) -> Deferred[IStreamLeg]:
        """Fails, before it reaches for the server, where a file of TLS cannot be read and never could be."""
        transport = self._config.transport
        if transport.tls.enable and self._context is None:
            try:
                self._tls_context()
            except TransportSecurityError as error:
                return fail(error)
        return dial(
            self._poller,
            self._config.server_addr,
            self._config.server_port,
            float(transport.dial_server_timeout),
            transport.connect_server_local_ip,
            share_port,
        )

    def dial_datagrams(self) -> Deferred[IDatagramLeg]:
        config = self._config
        timeout_s = float(config.transport.dial_server_timeout)
        return dial_datagrams(self._poller, config.server_addr, config.server_port, timeout_s)

    def secure(self, leg: IStreamLeg) -> Deferred[IStreamLeg]:
        """Fails also where a file of TLS cannot be read and never could be."""
        tls = self._config.transport.tls
        if not tls.enable:
            return succeed(leg)
        try:
            context = self._tls_context()
        except TransportSecurityError as error:
            leg.abort()
            return fail(error)
        if not tls.disable_custom_tls_first_byte:
            leg.write(CUSTOM_TLS_BYTE)
        secured: Deferred[Any] = start_tls(self._poller, leg, context, server_side=False)
        return secured

    def _tls_context(self) -> TlsContext:
        """What TLS needs, from files that are as new as they can be read.

        A renewal may take a file away for a moment, or replace two files one after the other: until they
        can be used again the context that was made last serves.
        """
        try:
            self._read_files()
            self._reported = False
        except TransportSecurityError as error:
            if self._context is None:
                raise
            if not self._reported:
                self._reported = True
                self.log.warn(
                    "the files of transport.tls cannot be used, so what was read before serves on: {reason}",
                    reason=str(error),
                    problem="tls-files",
                )
        assert self._context is not None
        return self._context

    def _read_files(self) -> None:
        try:
            stamps = [Path(each).stat().st_mtime_ns for each in self._files]
            if self._context is None or stamps != self._stamps:
                self._context = self._read_context()
                self._stamps = stamps
        except OSError as error:
            why = (error.strerror or "").lower()
            raise TransportSecurityError(
                f"cannot read {error.filename}: {why}", problem=problem_of(error, "tls-files")
            ) from error

    @property
    def _files(self) -> list[str]:
        tls = self._config.transport.tls
        own = [tls.cert_file, tls.key_file] if tls.cert_file and tls.key_file else []
        return [*own, tls.trusted_ca_file] if tls.trusted_ca_file else own

    def _read_context(self) -> TlsContext:
        tls = self._config.transport.tls
        own = bool(tls.cert_file and tls.key_file)
        return client_context(
            certificate=Path(tls.cert_file) if own else None,
            key=Path(tls.key_file) if own else None,
            authorities=Path(tls.trusted_ca_file) if tls.trusted_ca_file else None,
            fingerprint=tls.server_fingerprint,
            server_name=tls.server_name or self._config.server_addr,
        )

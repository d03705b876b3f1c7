"""Ways to the server: one muxed link for all streams of a session, or one connection a stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, Role
from relaykit.dataplane.dialing import dial
from relaykit.dataplane.tls import TlsContext, client_context, start_tls
from relaykit.errors import TransportSecurityError, problem_of
from relaykit.interfaces import ISecureLeg, IStreamPath
from relaykit.nat.tcp_attempt import share_port
from relaykit.sansio.parsers.first_bytes import CUSTOM_TLS_BYTE
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema import ClientConfig
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IStreamLeg, ITurns

__all__ = ["Dialer", "DirectPath", "Route", "carrier_of", "certificate_of"]


@implementer(IStreamPath)
@frozen(eq=False)
class DirectPath:
    """Makes a connection for each stream; the streams share nothing."""

    _connect: Callable[[], Deferred[IStreamLeg]]

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        return self._connect()

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
        link = MuxLink(await self._connect(), Role.CLIENT, self._turns, self._clock, self._keepalive_s)
        link.start()
        return link


def carrier_of(path: IStreamPath, leg: IStreamLeg) -> IStreamLeg:
    """The connection that a leg of a path lives on: its mux link's, or the leg itself."""
    return path.lower if isinstance(path, MuxLink) else leg


def certificate_of(carrier: IStreamLeg) -> bytes:
    """The server's certificate on a connection, in DER; empty without TLS."""
    return (carrier.peer_certificate or b"") if ISecureLeg.providedBy(carrier) else b""


class Dialer:
    """Makes connections to the server as configured: TCP, TLS, and frp's first byte before it.

    Their local ports can be shared by sockets that reach for other clients.

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

    def connect(self) -> Deferred[IStreamLeg]:
        """A new connection.

        Fails with :class:`relaykit.errors.ConnectionFailed` or
        :class:`relaykit.errors.TransportSecurityError`, also where a file of TLS cannot be read and never
        could be.
        """
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        transport = self._config.transport
        context = self._tls_context() if transport.tls.enable else None
        leg: IStreamLeg = await dial(
            self._poller,
            self._config.server_addr,
            self._config.server_port,
            float(transport.dial_server_timeout),
            transport.connect_server_local_ip,
            share_port,
        )
        if context is None:
            return leg
        if not transport.tls.disable_custom_tls_first_byte:
            leg.write(CUSTOM_TLS_BYTE)
        return await start_tls(self._poller, leg, context, server_side=False)

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

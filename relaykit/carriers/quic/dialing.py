"""The client half of QUIC as a carrier: a connection to the server, which is who it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, TimeoutError
from zope.interface import implementer

from relaykit.carriers.quic.adapter import Settings, load
from relaykit.carriers.quic.opening import (
    FRP_PROTOCOL,
    HANDSHAKE_S,
    IDLE_S,
    KEEPALIVE_S,
    RELAY_PROTOCOL,
)
from relaykit.carriers.quic.path import QuicPath
from relaykit.errors import ConnectionFailed, QuicUnavailableError, TransportSecurityError
from relaykit.interfaces import IPathDialer

if TYPE_CHECKING:
    from relaykit.carriers.quic.adapter import Library
    from relaykit.interfaces import IDatagramLeg, IDialHost, IStreamPath

__all__ = ["QuicDialer"]


@implementer(IPathDialer)
class QuicDialer:
    """Makes connections of QUIC; ``options`` is ``transport.quic`` of the client's file."""

    def __init__(self, options: Any, host: IDialHost, library: Library | None = None) -> None:
        """``library`` is the best that is installed, unless it is given."""
        self._options = options
        self._host = host
        self._library = library

    def open_path(self) -> Deferred[IStreamPath]:
        return Deferred.fromCoroutine(self._open_path())

    async def _open_path(self) -> IStreamPath:
        host, options = self._host, self._options
        try:
            library = self._library or load()
        except QuicUnavailableError as error:
            raise ConnectionFailed(str(error)) from error
        terms = host.tls_terms()
        settings = Settings(
            protocols=(RELAY_PROTOCOL, FRP_PROTOCOL),
            idle_s=options.max_idle_timeout or IDLE_S,
            key_pair=terms.shown,
            is_client=True,
            asked_name=terms.asked_name.decode("ascii"),
            takes_datagrams=True,
        )
        datagrams: IDatagramLeg = await host.dial_datagrams()
        keepalive_s = float(options.keepalive_period or KEEPALIVE_S)
        connection = library.connection(settings)
        path = QuicPath(
            connection,
            library,
            datagrams,
            host.turns,
            host.reactor,
            keepalive_s,
            credited_by=RELAY_PROTOCOL,
        )
        path.start()
        try:
            await path.handshaken.addTimeout(HANDSHAKE_S, host.reactor)
            terms.verify(connection.peer_chain)
            path.is_verified = terms.verifies
        except TimeoutError as error:
            path.abort()
            raise ConnectionFailed(
                f"{host.server} does not speak QUIC there: nothing came in {HANDSHAKE_S:g} seconds"
            ) from error
        except ConnectionFailed as error:
            if path.broken_by:
                raise TransportSecurityError(f"TLS with {host.server} failed: {path.broken_by}") from error
            raise
        except BaseException:
            # It is also cancelled by an exception.
            path.abort()
            raise
        return path

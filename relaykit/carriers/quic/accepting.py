"""The server half of QUIC as a carrier: a UDP port on which many clients speak it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from relaykit.carriers.quic.adapter import MOST_STREAMS, load
from relaykit.carriers.quic.opening import IDLE_S, KEEPALIVE_S
from relaykit.carriers.quic.port import PortRules, QuicPort
from relaykit.errors import TransportSecurityError

if TYPE_CHECKING:
    from relaykit.carriers.quic.adapter import Library
    from relaykit.interfaces import IAcceptHost, IListeningPort

__all__ = ["QuicAcceptor"]


class QuicAcceptor(Service):
    """Has a port open while it runs, if the file gives it one; ``options`` is ``transport.quic`` there."""

    def __init__(self, options: Any, port: int, host: IAcceptHost, library: Library | None = None) -> None:
        """``library`` is the best that is installed, unless it is given."""
        self._options = options
        self._port = port
        self._host = host
        self._library = library
        self._clients: QuicPort | None = None
        self._listening: IListeningPort | None = None

    def startService(self) -> None:
        """Opens the port.

        :raises QuicUnavailableError: there is no library.
        :raises ListenFailed: it cannot be opened.
        :raises TransportSecurityError: clients must show certificates, which no library demands.
        """
        super().startService()
        if not self._port:
            return
        if self._host.tls_terms().of_authorities:
            raise TransportSecurityError(
                "quicBindPort: no library for QUIC demands certificates of clients, as "
                "transport.tls.trustedCaFile does: leave out one of them"
            )
        options = self._options
        rules = PortRules(
            idle_s=float(options.max_idle_timeout or IDLE_S),
            keepalive_s=float(options.keepalive_period or KEEPALIVE_S),
            most_streams=min(options.max_incoming_streams or MOST_STREAMS, MOST_STREAMS),
        )
        self._clients = QuicPort(rules, self._host, self._library or load())
        self._listening = self._host.listen_datagrams(self._port, self._clients)

    def stopService(self) -> Deferred[None]:
        """Closes the port once all connections are over; they get as long as a closed path does."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        super().stopService()
        clients, self._clients = self._clients, None
        listening, self._listening = self._listening, None
        if clients is not None:
            await clients.close()
        if listening is not None:
            listening.close()

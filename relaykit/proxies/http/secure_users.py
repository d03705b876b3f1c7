"""Users who speak HTTP within TLS that ends here: who ask for a name that there is a certificate for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.descriptors import for_strangers
from relaykit.errors import ConnectionFailed, RemoteProtocolError, TransportSecurityError
from relaykit.interfaces import ILegAcceptor
from relaykit.sansio.hostnames import host_key
from relaykit.sansio.parsers.client_hello import ClientHelloParser, ServerNames
from relaykit.sansio.parsers.recognizing import Rank
from relaykit.sansio.sources import source_of
from relaykit.timer import Waits

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from relaykit.interfaces import IListeningPort, IServerHost, IStreamLeg
    from relaykit.proxies.http.certificates import Certificates
    from relaykit.sansio.parsers.client_hello import ClientHello
    from relaykit.values import Origin

__all__ = ["HANDSHAKE_S", "MOST_HANDSHAKES", "SecureUsers"]

HANDSHAKE_S = 10.0
"""Seconds that a user has for its hello and the rest of the handshake, of which the data plane lets nobody
have more, either."""

MOST_HANDSHAKES = 4096
"""Handshakes at a time; where there are more, whoever has most of them loses the one that takes longest, as
in
:data:`relaykit.proxies.domains.MOST_UNROUTED`."""


@implementer(ILegAcceptor)
class SecureUsers:
    """Takes part in a port, and gives ``on_secured(leg, origin)`` what is within TLS."""

    log = Logger()

    def __init__(
        self,
        port: int,
        certificates: Certificates,
        host: IServerHost,
        on_secured: Callable[[IStreamLeg, Origin], None],
    ) -> None:
        self.certificates = certificates
        self.port: IListeningPort | None = None
        self._wanted_port = port
        self._host = host
        self._on_secured = on_secured
        self._handshakes = Waits(host.reactor, HANDSHAKE_S, for_strangers(MOST_HANDSHAKES))
        self._parser = ClientHelloParser()

    def open(self) -> None:
        """Reads the certificates, and takes part in the port.

        :raises TransportSecurityError: a certificate cannot be used.
        :raises ListenFailed: the port cannot be opened.
        """
        self.certificates.open()
        self.port = self._host.ports.share_stream(
            self._wanted_port,
            self,
            "vhostHTTPSPort",
            ServerNames(self.are_for),
            rank=Rank.NAME,
        )

    def leave(self) -> None:
        """Takes nobody any more; those who are here already stay."""
        self.certificates.close()
        port, self.port = self.port, None
        if port is not None:
            port.close()

    def close(self) -> None:
        """The same, but who has not ended the handshake has to go."""
        self.leave()
        self._handshakes.cancel_all()

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._wait(leg.peek(self._parser), self._begin, leg, origin)

    def are_for(self, host: str) -> bool:
        """Whether users who ask for this host, given as its key, get TLS here."""
        return self.certificates.are_for(host) and not self._host.passes_through(host)

    def _begin(self, hello: ClientHello, leg: IStreamLeg, origin: Origin) -> None:
        """Does what is left of the handshake, after a hello that stays unread."""
        certificate = self.certificates.find(host_key(hello.server_name))
        if certificate is None:
            raise TransportSecurityError(f"the certificate for {hello.server_name!r} was taken away")
        secured = self._host.data_plane.secured(leg, certificate.context)
        self._wait(secured, lambda within, leg, origin: self._on_secured(within, origin), leg, origin)

    def _wait(
        self, answer: Deferred[Any], go_on: Callable[..., None], leg: IStreamLeg, origin: Origin
    ) -> None:
        answer = self._handshakes.add(answer, source_of(origin)).addCallback(go_on, leg, origin)
        answer.addErrback(self._not_secured, leg, origin).addErrback(self._defect, leg, origin)

    def _not_secured(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        if failure.check(CancelledError):
            why = f"no complete handshake within {HANDSHAKE_S:g} seconds, or others had to have room"
        else:
            failure.trap(ConnectionFailed, RemoteProtocolError, TransportSecurityError)
            why = failure.getErrorMessage()
        self.log.debug("{origin} gets no TLS at vhostHTTPSPort: {reason}", origin=origin, reason=why)
        leg.close()

    def _defect(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        self.log.failure("a defect while TLS with {origin} began; it is dropped", failure, origin=origin)
        leg.abort()

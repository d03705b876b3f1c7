"""Where a role's API is served: the port that its table ``webServer`` names, with TLS or without."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from relaykit.administration.calls import Answer
from relaykit.administration.guards import Guard
from relaykit.administration.routes import Route, Routes
from relaykit.administration.site import AdministrationSite
from relaykit.certificates.files import FileWatch, TlsContents, TlsFiles, WatchedFiles
from relaykit.dataplane.listening import ListenFailed, bind
from relaykit.dataplane.tls import TlsContext, server_context
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime

    from relaykit.administration.calls import Call
    from relaykit.config.schema.sections import WebServerConfig, WebServerTls

__all__ = ["HEALTH", "WebServer"]

BACKLOG = 16
"""Connections that the kernel keeps until they are accepted: those of a few browsers."""

_PROTOCOLS = (b"http/1.1",)


class WebServer(Service):
    """Serves routes from the start to the stop; opening the port may need privileges.

    :param routes: of the role; ``/healthz`` is added.
    :param open_port: opens a port of this machine; raises :class:`relaykit.dataplane.listening.ListenFailed`.
    """

    _log = Logger()

    def __init__(
        self,
        config: WebServerConfig,
        routes: Iterable[Route],
        reactor: Any,
        open_port: Callable[[Address, IProtocolFactory, Any], IListeningPort] | None = None,
    ) -> None:
        self._address = Address(config.addr, config.port)
        guard = Guard(user=config.user, password=config.password, address=config.addr)
        self.site = AdministrationSite(Routes((HEALTH, *routes)), guard, reactor)
        self._tls = None if config.tls is None else _Tls(config.tls, reactor)
        self._reactor = reactor
        self._open_port = open_port or _open_port
        self._port: IListeningPort | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while it does not."""
        host: Any = None if self._port is None else self._port.getHost()
        return 0 if host is None else host.port

    def privilegedStartService(self) -> None:
        """Opens the port.

        :raises ListenFailed: it cannot be opened.
        :raises TransportSecurityError: a file of TLS cannot be used.
        """
        super().privilegedStartService()
        self._open()

    def startService(self) -> None:
        self._open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Fires when the port is closed; what was answered is still sent."""
        if self.running:
            super().stopService()
        if self._tls is not None:
            self._tls.stop()
        port, self._port = self._port, None
        self.site.end()
        closed: Deferred[Any] = maybeDeferred(port.stopListening if port is not None else lambda: None)
        return closed.addCallback(lambda _: None)

    def _open(self) -> None:
        if self._port is not None:
            return
        factory: IProtocolFactory = self.site
        if self._tls is not None:
            self._tls.start()
            factory = TLSMemoryBIOFactory(self._tls, False, self.site, self._reactor)
        try:
            self._port = self._open_port(self._address, factory, self._reactor)
        except ListenFailed as error:
            raise type(error)(f"webServer.port: {error}", error.why, error.problem) from error
        self._log.info(
            "the web server listens on {scheme}://{address}",
            scheme="http" if self._tls is None else "https",
            address=Address(self._address.host, self.port),
        )


@implementer(IOpenSSLServerConnectionCreator)
class _Tls:
    """The certificate of the files, as they are at the moment."""

    def __init__(self, tls: WebServerTls, clock: IReactorTime) -> None:
        files = TlsFiles(table="webServer.tls", certificate=tls.cert_file, key=tls.key_file)
        self._files: WatchedFiles[TlsContext] = WatchedFiles(files, _context)
        self._watch = FileWatch(clock, [self._files], lambda _: None)

    def start(self) -> None:
        """Reads the files, and looks at them from now on.

        :raises TransportSecurityError: they cannot be used.
        """
        self._files.open()
        self._watch.start()

    def stop(self) -> None:
        """Looks at them no more."""
        self._watch.stop()

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """One connection."""
        return SSL.Connection(self._files.made.context, None)


def _context(contents: TlsContents) -> TlsContext:
    assert contents.certificate is not None and contents.key is not None, "the table demands both"
    return server_context(contents.certificate, contents.key, protocols=_PROTOCOLS)


def _open_port(address: Address, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
    listening = bind(address.host, address.port, socket.SOCK_STREAM)
    with listening:
        listening.listen(BACKLOG)
        port: IListeningPort = reactor.adoptStreamPort(listening.fileno(), listening.family, factory)
    return port


def _is_alive(call: Call) -> Answer:
    return Answer()


HEALTH = Route(method="", path="/healthz", handler=_is_alive, is_open=True)
"""Whether the program runs."""

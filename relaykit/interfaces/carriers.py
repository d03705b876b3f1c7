"""What the author of a carrier provides and may use: how streams get from the client to the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from relaykit.interfaces.legs import ILegAcceptor

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

    from relaykit.interfaces.legs import (
        IDatagramAcceptor,
        IDatagramLeg,
        IListeningPort,
        ISecureLeg,
        ISecureSession,
        ISharedPath,
        IStreamLeg,
        IStreamPath,
        ITlsTerms,
    )
    from relaykit.sansio.contract import Recognizer
    from relaykit.sansio.parsers.recognizing import Rank
    from relaykit.values import Origin

__all__ = [
    "IAcceptHost",
    "ICarrier",
    "ICarrierReference",
    "IDialHost",
    "IIncomingConnection",
    "ILegDialer",
    "IPathDialer",
]


class ICarrierReference(IPlugin):
    """The object in a dropin file: names a carrier without importing it."""

    name = Attribute("The carrier's name, as in ``transport.protocol``.")
    module = Attribute("Dotted name of the module that has ``carrier``.")

    def load() -> ICarrier:
        """Imports the module and answers its ``carrier``.

        :raises BrokenCarrier: with the reason.
        """


class ICarrier(Interface):
    """A way for streams from a client to its server: makes what dials and what accepts.

    ``options`` is its table of the file at that end, checked, with defaults where it is not there; where the
    carrier declares no options, what the file has by the name of the table, or None.  Making has no effects.
    """

    name = Attribute("``transport.protocol`` in a client's file.")
    summary = Attribute("One line for people.")
    capabilities = Attribute("Its :class:`relaykit.values.CarrierCapabilities`.")
    table = Attribute(
        "Name of the table of its options, in ``transport``: that of the carrier, or that of another one "
        "with which it shares them."
    )
    dial_options = Attribute(
        "The :class:`relaykit.options.Options` class of a client's table; None for none."
    )
    accept_options = Attribute("The same of a server's.")

    def lacks() -> str:
        """What this machine lacks to use it, and what to do; empty for nothing.  Imports little."""

    def make_dialer(options: Any, host: IDialHost) -> ILegDialer | IPathDialer:
        """The client half; an :class:`IPathDialer` for a carrier with streams of its own."""

    def make_acceptor(options: Any, port: int, host: IAcceptHost) -> IService:
        """The server half, which runs as long as the server takes connections.

        Starting it tells the host what it recognizes on the bind port, or opens ``port``, its own: 0 where
        the server's file gives it none.
        """


class ILegDialer(Interface):
    """Makes connections to the server, one byte stream each."""

    def connect() -> Deferred[IStreamLeg]:
        """A new connection, with all that belongs below the first byte of frp's wire or of a mux link.

        Fails with :class:`relaykit.errors.ConnectionFailed` or
        :class:`relaykit.errors.TransportSecurityError`.
        """


class IPathDialer(Interface):
    """Makes connections to the server that have streams of their own."""

    def open_path() -> Deferred[IStreamPath]:
        """A new path; fails as :meth:`ILegDialer.connect` does."""


class IDialHost(Interface):
    """What the client half of a carrier may use; all of it as the client's file says."""

    reactor = Attribute(
        "Time: an IReactorTime; in a program, the reactor that it runs on, with all that endpoints need."
    )
    turns = Attribute("When its turns end: an :class:`ITurns`.")
    server = Attribute("The server's :class:`relaykit.values.Address`; its host may be a name.")

    def entropy(count: int) -> bytes:
        """So many random bytes."""

    def dial() -> Deferred[IStreamLeg]:
        """A TCP connection to the server, with nothing on it, by way of the forward proxy if there is one.

        Fails with :class:`relaykit.errors.ConnectionFailed`.
        """

    def dial_datagrams() -> Deferred[IDatagramLeg]:
        """Datagrams to the server's port."""

    def dial_endpoint(endpoint: IStreamClientEndpoint) -> Deferred[IStreamLeg]:
        """A leg on whatever an endpoint of Twisted's connects to, within ``transport.dialServerTimeout``.

        The leg owns the transport.  Fails with :class:`relaykit.errors.ConnectionFailed`, which calls the
        endpoint by its ``str``.
        """

    server_name = Attribute("By what name the server's certificate is checked.")

    def secure(leg: IStreamLeg) -> Deferred[IStreamLeg]:
        """The leg above TLS with the server; the same leg where TLS is off.  Owns the leg it is given."""

    def secure_outside(leg: IStreamLeg, verified: bool) -> Deferred[ISecureLeg]:
        """Begins TLS that may end before the server, as at a site of HTTPS, also where TLS is off.

        Where it is to be ``verified``, and the client's file has neither authorities nor a fingerprint, the
        authorities of the system count.  Owns the leg it is given.
        """

    def tls_terms() -> ITlsTerms:
        """What this client shows to the server and demands of it; nothing of both where TLS is off.

        :raises TransportSecurityError: a file of TLS cannot be used and never could be.
        """


class IIncomingConnection(Interface):
    """A connection that was accepted and is looked at, layer by layer."""

    leg = Attribute("The :class:`IStreamLeg` of the innermost layer so far: paused, all of it unread.")
    origin = Attribute("The :class:`relaykit.values.Origin` of its connection.")
    secured = Attribute("The innermost :class:`ISecureLeg` so far, or None.")


class IAcceptHost(ILegAcceptor):
    """What the server half of a carrier may use.

    A leg of a carrier with a port of its own is handed in by ``leg_accepted``, and is looked at like one
    that the bind port accepted.
    """

    reactor = Attribute(
        "Time: an IReactorTime; in a program, the reactor that it runs on, with all that endpoints need."
    )
    turns = Attribute("When its turns end: an :class:`ITurns`.")

    def entropy(count: int) -> bytes:
        """So many random bytes."""

    def recognize(
        recognizer: Recognizer,
        on_recognized: Callable[[IIncomingConnection], Awaitable[IStreamLeg | None]],
        rank: Rank,
    ) -> None:
        """Gives connections that begin so, at any layer, to ``on_recognized``, until :meth:`ignore`.

        It answers the leg within, whose first bytes are looked at in turn, by everybody else; or None if
        it keeps the connection.  What it raises ends the connection, and is logged; what it wrote for the
        peer is still sent if that is an :class:`relaykit.errors.AnsweredError`.
        """

    def ignore(recognizer: Recognizer) -> None:
        """Gives such connections to nobody any more."""

    def secure(leg: IStreamLeg) -> Deferred[ISecureLeg]:
        """Begins TLS as the server, with the certificate of its file.  Owns the leg it is given."""

    def tls_terms() -> ITlsTerms:
        """What the server shows to the next client and demands of it."""

    def listen_datagrams(port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        """Opens a UDP port on the address that clients dial.

        :raises ListenFailed: :class:`relaykit.dataplane.listening.ListenFailed`, it cannot be opened.
        """

    def listen_endpoint(endpoint: IStreamServerEndpoint) -> IService:
        """A service that listens at an endpoint of Twisted's, and hands in what comes there.

        Starting it raises :class:`relaykit.dataplane.listening.ListenFailed` if the endpoint fails at once.
        """

    def path_accepted(path: ISharedPath, origin: Origin, secured: ISecureSession | None) -> None:
        """Takes a connection with streams of its own, starts it, and owns it.

        ``secured`` tells its encryption from any other; it may be the path itself.
        """

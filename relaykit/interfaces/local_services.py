"""Local services within the client's own process, and what each of their users comes with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from zope.interface import Attribute, Interface

from relaykit.interfaces.legs import IStreamLeg

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocolFactory

    from relaykit.interfaces.forwarding import IFlow
    from relaykit.interfaces.legs import ISecureLeg
    from relaykit.values import Origin

__all__ = ["ICheckedService", "IInnerLeg", "ILocalHost", "ILocalService", "ILocalServiceParser"]


class IInnerLeg(IStreamLeg):
    """A leg to a service within this process, which knows whose it is without the PROXY protocol."""


class ILocalService(Interface):
    """A service within this process.

    An endpoint that a Twisted client endpoint string names, and that provides this interface, is not
    connected to: it gets a leg for each user, without a socket in between.
    """

    def serve(leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        """Serves a user, and owns the leg, whose peer is the user where that is known.

        ``origin`` is empty where somebody only looks whether the service is there, and ends the leg at once.

        :raises ConnectionFailed: it cannot serve anybody at the moment; the leg is the caller's to drop.
        """


class ILocalServiceParser(IStreamClientEndpointStringParserWithReactor):
    """A parser of endpoint strings of services within this process.

    Its endpoints provide :class:`ICheckedService`, and are made without a reactor, too, which may be None.
    """


class ICheckedService(ILocalService):
    """A service that can tell beforehand why it would serve nobody."""

    def problems() -> Iterable[str]:
        """What is wrong with the files that its arguments name, each with the key; reads them."""


class ILocalHost(Interface):
    """What a service may use for one user."""

    reactor = Attribute("What tells the time and waits.")
    virtual_network = Attribute("The :class:`relaykit.interfaces.IVirtualNetwork` of the client.")

    def dial(host: str, port: int) -> Deferred[IStreamLeg]:
        """A leg to a TCP port of a host, by name or IP address; there within ten seconds.

        Fails with :class:`relaykit.errors.ConnectionFailed`, whose ``problem`` tells what kind of failure it
        is.  Cancelling gives up.
        """

    def dial_local(endpoint: str) -> Deferred[IStreamLeg]:
        """A leg to what an endpoint string names; likewise."""

    def announce(leg: IStreamLeg) -> None:
        """Has the service at the other end read first whose connection it is, where the proxy says so.

        :raises ConnectionFailed: it cannot be said; the leg is dropped.
        """

    def forward(near: IStreamLeg, far: IStreamLeg) -> IFlow:
        """Owns both legs from now on and moves bytes until both are gone; half-close passes through."""

    def speak(leg: IStreamLeg, factory: IProtocolFactory) -> None:
        """Serves a leg by a Twisted protocol of a factory, which speaks with the user; owns the leg."""

    def tls_context(certificate: bytes, key: bytes, protocols: Sequence[bytes] = ()) -> Any:
        """What :meth:`secured` shows to users; see :meth:`relaykit.interfaces.IDataPlane.tls_context`."""

    def secured(leg: IStreamLeg, context: Any) -> Deferred[ISecureLeg]:
        """Does TLS as the server over a leg; see :meth:`relaykit.interfaces.IDataPlane.secured`."""

    def tls_context_to(name: str, authorities: bytes | None = None) -> Any:
        """What :meth:`secured_to` asks a service for, by a name or an address, and demands of it.

        With ``authorities`` (PEM) it must prove to be that by a certificate that one of them signed; else
        nothing is verified.

        :raises TransportSecurityError: they cannot be used, or no host can have the name; the text says why.
        """

    def secured_to(leg: IStreamLeg, context: Any) -> Deferred[ISecureLeg]:
        """Does TLS as the client over a leg to a service; likewise."""

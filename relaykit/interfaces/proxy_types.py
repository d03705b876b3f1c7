"""What the author of a proxy type provides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from relaykit.interfaces.hosts import (
        IClientHost,
        IMessagePeer,
        IRegisteredProxy,
        IServerHost,
        ISignalPeer,
        IVisit,
        IVisitorHost,
    )
    from relaykit.interfaces.legs import IStreamLeg
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import Origin, Reach

__all__ = [
    "IBackend",
    "IDatagramProxyType",
    "IDirectProxyType",
    "IExposure",
    "IGroupableProxyType",
    "IIngress",
    "IMessageReceiver",
    "IMessagingProxyType",
    "IOneLineProxyType",
    "IProbed",
    "IProxyType",
    "IProxyTypeReference",
    "IReconfigurable",
    "IReconfiguration",
    "IRegistrant",
    "ISessionFollower",
    "ISignalReceiver",
    "IVisitable",
    "IVisitableProxyType",
    "IVisitor",
]


class IProxyTypeReference(IPlugin):
    """The object in a dropin file: names a proxy type without importing it."""

    name = Attribute("The proxy type's name, as in a configuration file.")
    module = Attribute("Dotted name of the module that has ``proxy_type``.")
    commands = Attribute("The commands of its :class:`IOneLineProxyType`; empty if it has none.")
    has_messages = Attribute(
        "Whether it is an :class:`IMessagingProxyType`: a server loads those before the first client logs in."
    )

    def load() -> IProxyType:
        """Imports the module and answers its ``proxy_type``.

        :raises BrokenProxyType: with the reason.
        """


class IProxyType(Interface):
    """A kind of proxy: makes its server half, its client half and, for some, its visitor.

    ``options`` are instances of the type's own options classes, already checked.
    """

    name = Attribute("``type`` in a configuration file and on the wire.")
    summary = Attribute("One line for people.")
    proxy_options = Attribute("Options class of its own keys in ``[[proxies]]``.")
    ingress_options = Attribute("Options class of the server's table ``[proxyTypes.NAME]``.")

    def make_ingress(options: Any, host: IServerHost) -> IIngress:
        """The server half; once per server.  Constructing has no effects, starting has."""

    def make_backend(options: Any, host: IClientHost) -> IBackend:
        """The client half; once per configured proxy."""


class IVisitableProxyType(IProxyType):
    """A proxy type that is reached through visitors."""

    visitor_options = Attribute("Options class of its own keys in ``[[visitors]]``.")

    def make_visitor(options: Any, host: IVisitorHost) -> IVisitor:
        """The visitor half; once per configured visitor."""


class IGroupableProxyType(IProxyType):
    """A proxy type whose proxies can be members of groups, which share one exposure.

    Its ingress is given the group in place of its members, and treats it like any other proxy.
    """

    def group_terms(options: Any) -> Mapping[str, object]:
        """What all members of a group must have alike: values by the text for a member that has another."""


class IDatagramProxyType(IProxyType):
    """A proxy type that leads to a local service which takes datagrams, on the UDP port ``localPort``."""


class IDirectProxyType(IProxyType):
    """A proxy type whose visitors reach a client past the relay server, where both networks allow it.

    ``relaykit nat`` promises a direct path only where there is such a type.
    """

    path_protocols = Attribute(
        "The set of every :class:`relaykit.values.PathProtocol` that its paths can be made of, as installed."
    )


class IOneLineProxyType(IProxyType):
    """A proxy type that has commands of its own: one line of a terminal runs a proxy or a visitor of it."""

    one_lines = Attribute("The :class:`relaykit.options.OneLine` of each command.")


class IMessagingProxyType(IProxyType):
    """A proxy type with messages of its own on the wire.

    Most types need none: signals (:class:`ISignalReceiver`) go between all halves of a type where both ends
    are relaykit.  This is for what frp's programs say, and for messages that concern no proxy.
    """

    messages = Attribute(
        "The classes, of :class:`relaykit.sansio.wire.messages.Message`, each with a number that frp or "
        "``relaykit.sansio.wire.messages.FREE_NUMBERS`` has for it.  A session understands those of all "
        "types that the server has, or that the client uses."
    )
    handed = Attribute(
        "Those of them that :meth:`relaykit.interfaces.IRegisteredProxy.hand` is used for: the client "
        "expects one on each work connection without a user, and gives it to the proxy's backend."
    )


class IMessageReceiver(Interface):
    """Optional, on an ingress, a backend or a visitor: takes messages of its :class:`IMessagingProxyType`.

    On the server the ingress gets all of them.  On the client they are offered to the type's backends and
    then to its visitors, until one says that it was meant; what is handed to a proxy goes to its backend.
    """

    def message_received(peer: IMessagePeer, message: Message) -> bool:
        """A message arrived, from this client or, on a client, from the server; whether it was for this half.

        The wire has checked the types of its fields and nothing else.

        :raises RemoteProtocolError: it makes no sense; the log says so, and nothing else happens.
        """


class IIngress(IService):
    """The server half of a proxy type, and what its proxies share.

    ``startService`` may answer a Deferred, which is awaited before a proxy is exposed.  Where it fails, no
    proxy of the type is; where the server's file configures the type, the server does not start.
    """

    async def expose(proxy: IRegisteredProxy) -> IExposure:
        """Opens the proxy to users; cancelled after half a minute, which its client is told.

        :raises ProxyRefusedError: it cannot be; the text goes to the client.
        """


class IReconfigurable(Interface):
    """Optional, on an ingress: it goes on with other options while it runs.

    Needed where its options have keys that do not count after a restart only, see
    :func:`relaykit.options.effect`.
    """

    def prepare(options: Any) -> IReconfiguration:
        """Opens what these options ask for and the former ones do not; nothing else is different yet.

        :param options: those of the former ones that count after a restart are as they were.
        :raises RelaykitError: it cannot be; nothing has changed then, and whoever asked is told why.
        """


class IReconfiguration(Interface):
    """What was prepared; one of the two is called, in the same turn of the reactor."""

    def commit() -> None:
        """Goes on with it, and closes what is not asked for any more; users who are there stay."""

    def abandon() -> None:
        """Closes what was opened for it."""


class IExposure(Interface):
    """One proxy, open to users."""

    address = Attribute("What the client is told that users dial; empty if nothing is public.")

    async def withdraw() -> None:
        """Closes it to new users, before its name and ports are free again; cancelled after ten seconds."""


class IVisitable(IExposure):
    """An exposure that visitors reach."""

    async def visited(visit: IVisit) -> None:
        """A visitor asks for one flow.

        :raises VisitRefusedError: it may not have it; the text goes to the visitor.
        """


class IBackend(IService):
    """The client half of one proxy: what takes its work connections."""

    async def work_assigned(leg: IStreamLeg, origin: Origin) -> None:
        """A user came; the backend owns the leg.  Returns when the flow has ended."""


class IProbed(Interface):
    """Optional, on a backend: it can look how its local service is."""

    async def probe() -> Reach:
        """How far a user would get at this moment, at most that the service has answered.

        Cancelled after some seconds.

        :raises ConnectionFailed: a user would get no further than to this client; the text says why.
        """


class IRegistrant(Interface):
    """Optional, on a backend: what its server is told of the proxy depends on the server."""

    def registered_options() -> Any:
        """The options that the server of this session is told, in place of the configured ones.

        They are of the type's ``proxy_options``; asked for with each registration.

        :raises ProxyRefusedError: this server is not to be told of the proxy; it counts as refused.
        """


class IVisitor(IService):
    """The client half of one visitor.

    It takes its users as an :class:`ILegAcceptor` or an :class:`IDatagramAcceptor`: from its port, or from
    other code that hands them over.
    """


class ISessionFollower(Interface):
    """Optional, on a visitor: has something that lasts as long as a session does.

    Users may come while there is none.  A backend needs no such thing: its proxy is registered again.
    """

    def session_started() -> None:
        """There is a session with the server, which knows nothing of the one before."""

    def session_ended() -> None:
        """There is none any more."""


class ISignalReceiver(Interface):
    """Optional, on an exposure, a backend or a visitor: takes type-specific control messages."""

    async def signal_received(sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        """A signal arrived.  ``body`` is what the peer sent: check it.

        :raises RemoteProtocolError: it makes no sense; the log says so, and nothing else happens.
        """

"""The proxy type ``stcp``: a service without a public port, reached by visitors that know a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RefusalCode, RelaykitError, VisitRefusedError, ended_by, problem_of
from relaykit.interfaces import (
    IIngress,
    ILegAcceptor,
    IOneLineProxyType,
    IVisitable,
    IVisitableProxyType,
    IVisitor,
)
from relaykit.options import OneLine, Options, doc, wire
from relaykit.proxies.tcp import LocalServiceBackend, NoIngressOptions
from relaykit.values import NO_SECRET, Secret, host_of

if TYPE_CHECKING:
    from typing import Any

    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IClientHost,
        IInitiator,
        IListeningPort,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
        IVisit,
        IVisitorHost,
    )
    from relaykit.values import Origin

__all__ = [
    "PortVisitor",
    "StcpIngress",
    "StcpOptions",
    "StcpVisitor",
    "StcpVisitorOptions",
    "admit",
    "proxy_type",
]

ANY_USER = "*"
"""The entry of ``allowUsers`` that admits visitors of every user."""


class StcpOptions(Options, frozen=True, kw_only=True):
    """The own keys of an ``stcp`` proxy."""

    secret_key: Annotated[Secret, wire("sk"), doc("What a visitor must know.")] = NO_SECRET
    allow_users: Annotated[
        tuple[str, ...],
        wire("allow_users"),
        doc("Users whose visitors are let in; empty: only the own user, *: everybody."),
    ] = ()


class StcpVisitorOptions(Options, frozen=True, kw_only=True):
    """The own keys of an ``stcp`` visitor."""

    secret_key: Annotated[Secret, doc("The secret key of the proxy.")] = NO_SECRET


def admit(proxy: IRegisteredProxy, initiator: IInitiator) -> None:
    """Lets in whoever knows the secret of a proxy and is one of its users.

    :raises VisitRefusedError: the initiator does not, or is not.
    """
    name, options = proxy.name, proxy.options
    if not initiator.proves(options.secret_key):
        raise VisitRefusedError(RefusalCode.BAD_CREDENTIALS, f"visitor connection of [{name}] auth failed")
    allowed = options.allow_users or (proxy.identity.user,)
    user = initiator.identity.user
    if user not in allowed and ANY_USER not in allowed:
        raise VisitRefusedError(
            RefusalCode.USER_NOT_ALLOWED, f"visitor connection of [{name}] user [{user}] not allowed"
        )


@implementer(IVisitable)
@frozen(eq=False)
class _SecretExposure:
    """One ``stcp`` proxy: open to whoever proves that they know its secret."""

    _proxy: IRegisteredProxy
    address = ""

    async def visited(self, visit: IVisit) -> None:
        admit(self._proxy, visit)
        self._proxy.serve(visit.accept(self._proxy.options.secret_key), visit.origin)

    async def withdraw(self) -> None:
        """Nothing is open; the registry forgets the name."""


@implementer(IIngress)
class StcpIngress(Service):
    """Exposes proxies to visitors only."""

    async def expose(self, proxy: IRegisteredProxy) -> _SecretExposure:
        return _SecretExposure(proxy)


@implementer(IVisitor)
class PortVisitor(Service):
    """Has a port for as long as it runs; a subclass says of which kind, and is who takes the users.

    :param secret: the one of the proxy.
    """

    log = Logger()

    def __init__(self, secret: Secret, host: IVisitorHost) -> None:
        self.host = host
        self.secret = secret
        self._opening: Deferred[IListeningPort | None] | None = None
        self._port: IListeningPort | None = None

    def open_port(self) -> Deferred[IListeningPort | None]:
        """The visitor's port, once it is open; None if it has none."""
        raise NotImplementedError

    def startService(self) -> None:
        super().startService()
        self._opening = self.open_port()
        self._opening.addCallbacks(self._opened, self._not_opened)

    def stopService(self) -> Deferred[Any] | None:
        super().stopService()
        if self._opening is not None:
            self._opening.cancel()
        if self._port is not None:
            self._port.close()
            self._port = None
        return None

    def not_visited(self, origin: Origin, error: RelaykitError) -> None:
        """Says in the log why a user has no way to the proxy."""
        self.log.warn(
            "[{visitor}] no visit for {origin}: {reason}",
            visitor=self.host.name,
            origin=origin,
            reason=str(error),
            stranger=host_of(origin.source),
            ended=ended_by(error).value,
            problem=problem_of(error, "visit-refused"),
        )

    def _opened(self, port: IListeningPort | None) -> None:
        self._opening = None
        self._port = port

    def _not_opened(self, failure: Failure) -> None:
        self._opening = None
        if not failure.check(CancelledError):
            self.log.failure("[{visitor}] its port cannot be opened", failure, visitor=self.host.name)


@implementer(ILegAcceptor)
class StcpVisitor(PortVisitor):
    """Forwards each user of its port through the server to the secret proxy.

    Other types extend it by overriding :meth:`open_visit`.
    """

    def open_port(self) -> Deferred[IListeningPort | None]:
        opening: Deferred[IListeningPort | None] = self.host.listen(self)
        return opening

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        Deferred.fromCoroutine(self._visit(leg, origin)).addErrback(self._defect, leg)

    async def open_visit(self, origin: Origin) -> IStreamLeg:
        """A leg to the proxy, for one user.

        :raises RelaykitError: there is none; the user is let go, and the log says why.
        """
        visit: IStreamLeg = await self.host.open_visit(origin, self.secret)
        return visit

    async def _visit(self, leg: IStreamLeg, origin: Origin) -> None:
        try:
            visit = await self.open_visit(origin)
        except RelaykitError as error:
            self.not_visited(origin, error)
            leg.close()
            return
        await self.host.forward(leg, visit, origin).when_ended()

    def _defect(self, failure: Failure, leg: IStreamLeg) -> None:
        self.log.failure("[{visitor}] a defect during a visit", failure, visitor=self.host.name)
        leg.abort()


@implementer(IVisitableProxyType, IOneLineProxyType)
@frozen
class _StcpType:
    name = "stcp"
    summary = "a service without a public port, reached by visitors that know a secret"
    proxy_options = StcpOptions
    visitor_options = StcpVisitorOptions
    ingress_options = NoIngressOptions
    one_lines = (
        OneLine(
            command="secret",
            summary="Publish a local service to visitors only",
            from_token=("secretKey",),
        ),
        OneLine(
            command="visit",
            summary="Reach a secret service through a port of this machine",
            visits=True,
            from_token=("secretKey",),
        ),
    )

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> StcpIngress:
        return StcpIngress()

    def make_backend(self, options: StcpOptions, host: IClientHost) -> LocalServiceBackend:
        return LocalServiceBackend(host)

    def make_visitor(self, options: StcpVisitorOptions, host: IVisitorHost) -> StcpVisitor:
        return StcpVisitor(options.secret_key, host)


proxy_type = _StcpType()

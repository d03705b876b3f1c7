"""The proxies that are registered, by name: checking, exposing, serving users, withdrawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import (
    NoWorkConnection,
    PluginError,
    ProxyRefusedError,
    RefusalCode,
    SessionLost,
    UnknownProxyType,
    VisitRefusedError,
    ended_by,
    problem_of,
)
from relaykit.interfaces import IRegisteredProxy, ISignalReceiver, IVisitable
from relaykit.options import Options, ProxyCommon, from_wire
from relaykit.values import Ended, Traffic

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IDataPlane,
        IExposure,
        IIngress,
        IProxyType,
        ISignalPeer,
        IStreamLeg,
        IVisit,
    )
    from relaykit.plugins import ProxyTypes
    from relaykit.values import ClientIdentity, Origin

__all__ = ["Entrances", "ProxySession", "RegisteredProxy", "Registry"]


class ProxySession(Protocol):
    """What a registered proxy needs of the session that registered it."""

    @property
    def identity(self) -> ClientIdentity:
        """Who the client is."""

    @property
    def half_close(self) -> bool:
        """Whether the client passes half-close through."""

    @property
    def takes_signals(self) -> bool:
        """Whether the client takes signals."""

    def open_work_leg(self, proxy: RegisteredProxy, origin: Origin) -> Deferred[IStreamLeg]:
        """A work connection, told which proxy it serves, transforms included."""

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to this client."""


class Entrances(Protocol):
    """The running server halves of proxy types."""

    def ingress_of(self, proxy_type: IProxyType) -> IIngress:
        """The ingress of a type, started on first use."""


@implementer(IRegisteredProxy)
@define(eq=False)
class RegisteredProxy:
    """The server's view of one proxy."""

    name: str
    type: str
    common: ProxyCommon
    options: Options
    _session: ProxySession
    _data_plane: IDataPlane
    _clock: Any
    exposure: IExposure | None = field(default=None, init=False)
    flows: int = field(default=0, init=False)

    log = Logger()

    @property
    def identity(self) -> ClientIdentity:
        return self._session.identity

    @property
    def takes_signals(self) -> bool:
        return self._session.takes_signals

    def signal(self, body: Mapping[str, Any]) -> None:
        self._session.signal(self.name, "", body)

    def open_work_leg(self, origin: Origin) -> Deferred[IStreamLeg]:
        return self._session.open_work_leg(self, origin)

    def serve(self, user: IStreamLeg, origin: Origin) -> Deferred[Traffic]:
        return Deferred.fromCoroutine(self._serve(user, origin))

    async def _serve(self, user: IStreamLeg, origin: Origin) -> Traffic:
        run_id = self._session.identity.run_id
        started = self._clock.seconds()
        self.log.debug(
            "[{run}] [{proxy}] get a user connection [{origin}]", run=run_id, proxy=self.name, origin=origin
        )
        self.flows += 1
        try:
            work = await self.open_work_leg(origin)
        except (NoWorkConnection, SessionLost) as error:
            user.close()
            ended = ended_by(error)
            self.log.warn(
                "[{run}] [{proxy}] no work connection for {origin}: {reason}",
                run=run_id,
                proxy=self.name,
                origin=origin,
                reason=str(error),
                ended=ended.value,
                problem=problem_of(error, "no-work-connection"),
            )
            return Traffic(0, 0, self._clock.seconds() - started, ended)
        except Exception:
            user.abort()
            raise
        else:
            traffic = await self._data_plane.forward(user, work, self._session.half_close).when_ended()
        finally:
            self.flows -= 1
        self.log.debug(
            "[{run}] [{proxy}] flow from {origin} ended: {ended}",
            run=run_id,
            proxy=self.name,
            origin=origin,
            ended=traffic.ended.value,
            sent=traffic.near_to_far,
            received=traffic.far_to_near,
            seconds=traffic.seconds,
        )
        return traffic


class Registry:
    """All proxies of all clients; names are unique.

    ``release(run_id)`` takes from a client that gives no sign of life all that it holds, and answers
    whether it did.
    """

    log = Logger()

    def __init__(
        self,
        types: ProxyTypes,
        entrances: Entrances,
        data_plane: IDataPlane,
        clock: Any,
        release: Callable[[str], Deferred[bool]] = lambda run_id: succeed(False),
    ) -> None:
        self._release = release
        self._types = types
        self._entrances = entrances
        self._data_plane = data_plane
        self._clock = clock
        self._proxies: dict[str, RegisteredProxy] = {}

    def __iter__(self) -> Iterator[RegisteredProxy]:
        return iter(list(self._proxies.values()))

    def __len__(self) -> int:
        return len(self._proxies)

    async def register(
        self, session: ProxySession, name: str, type_name: str, fields: Mapping[str, Any]
    ) -> RegisteredProxy:
        """Checks what a client asks for and exposes it.

        The name is taken from the first check on, so that two registrations at once cannot both
        have it.

        :raises ProxyRefusedError: with the text for the client.
        """
        proxy = self._check(session, name, type_name, fields)
        present = self._proxies.get(name)
        if present is not None and present.identity.run_id != session.identity.run_id:
            await self._release(present.identity.run_id)
        if name in self._proxies:
            raise ProxyRefusedError(RefusalCode.NAME_IN_USE, f"proxy [{name}] already exists")
        self._proxies[name] = proxy
        try:
            ingress = self._entrances.ingress_of(self._types.get(type_name))
            proxy.exposure = await ingress.expose(proxy)
        except Exception:
            self._forget(proxy)
            raise
        if self._proxies.get(name) is not proxy:
            await proxy.exposure.withdraw()
            raise ProxyRefusedError(RefusalCode.OTHER, f"proxy [{name}] was closed while it was being opened")
        return proxy

    async def withdraw(self, proxy: RegisteredProxy, why: Ended) -> None:
        """Closes a proxy to new users and frees its name; running flows go on.

        That is logged once, with the reason, however often it is withdrawn.
        """
        if self._proxies.get(proxy.name) is proxy:
            self.log.info(
                "[{run}] [{proxy}] proxy closing",
                run=proxy.identity.run_id,
                proxy=proxy.name,
                ended=why.value,
            )
        exposure, proxy.exposure = proxy.exposure, None
        try:
            if exposure is not None:
                await exposure.withdraw()
        finally:
            self._forget(proxy)

    async def visit(self, name: str, visit: IVisit) -> None:
        """Hands a visit to the proxy of this name.

        :raises VisitRefusedError: with the text for the visitor.
        """
        proxy = self._proxies.get(name)
        exposure = None if proxy is None else proxy.exposure
        if exposure is None or not IVisitable.providedBy(exposure):
            raise VisitRefusedError(RefusalCode.UNKNOWN_PROXY, f"custom listener for [{name}] doesn't exist")
        await exposure.visited(visit)

    async def signal(self, name: str, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        """Hands a signal to the exposure of this name; what nobody takes is dropped."""
        proxy = self._proxies.get(name)
        exposure = None if proxy is None else proxy.exposure
        if exposure is not None and ISignalReceiver.providedBy(exposure):
            await exposure.signal_received(sender, body)

    def _check(
        self, session: ProxySession, name: str, type_name: str, fields: Mapping[str, Any]
    ) -> RegisteredProxy:
        try:
            proxy_type = self._types.get(type_name)
        except UnknownProxyType as error:
            raise ProxyRefusedError(RefusalCode.UNKNOWN_TYPE, f"unknown proxy type: {type_name}") from error
        except PluginError as error:
            self.log.error("{reason}", reason=str(error), problem=problem_of(error))
            raise ProxyRefusedError(
                RefusalCode.UNKNOWN_TYPE, f"proxy type {type_name} cannot be used on this server"
            ) from error
        try:
            common = from_wire(ProxyCommon, fields)
            options = from_wire(proxy_type.proxy_options, fields)
        except msgspec.ValidationError as error:
            raise ProxyRefusedError(RefusalCode.BAD_OPTIONS, f"proxy [{name}]: {error}") from error
        for problem in (*common.problems(), *options.problems()):
            raise ProxyRefusedError(
                RefusalCode.BAD_OPTIONS, f"proxy [{name}]: {problem.key}: {problem.reason}"
            )
        return RegisteredProxy(name, type_name, common, options, session, self._data_plane, self._clock)

    def _forget(self, proxy: RegisteredProxy) -> None:
        if self._proxies.get(proxy.name) is proxy:
            del self._proxies[proxy.name]

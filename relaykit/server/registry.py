"""The proxies that are registered, by name: checking, exposing, serving users, withdrawing."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.config.schema.server import MAX_PROXIES_PER_CLIENT
from relaykit.dataplane.kept_legs import KeptLegs
from relaykit.errors import (
    PluginError,
    ProxyRefusedError,
    RefusalCode,
    RelaykitError,
    UnknownProxyType,
    VisitRefusedError,
    problem_of,
)
from relaykit.escaping import shown
from relaykit.interfaces import IGroupableProxyType, IRegisteredProxy, ISignalReceiver, IVisitable
from relaykit.options import Options, ProxyCommon, from_wire, secret_problems
from relaykit.policy_requests import UserRequest
from relaykit.sansio.control.texts import STOPPED
from relaykit.sansio.pacing import Budget
from relaykit.server.flows import UserFlow, WorkSource
from relaykit.server.groups import Groups
from relaykit.server.handing import Handover
from relaykit.server.lanes import DatagramUserFlow, ProxyLanes
from relaykit.server.type_messages import IngressMessages
from relaykit.server.work_legs import WorkLeg, WorkLegFlow
from relaykit.values import MOST_DATAGRAM_BYTES, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint

    from relaykit.interfaces import (
        IDatagramLeg,
        IDataPlane,
        IExposure,
        IIngress,
        IProxyType,
        ISignalPeer,
        IStreamLeg,
        IVisit,
        IWorkLeg,
    )
    from relaykit.plugins import ProxyTypes
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.messages import Message
    from relaykit.server.accounting import Accounting, ProxyTotals
    from relaykit.server.budgets import Budgets
    from relaykit.server.flows import ProxyFlow
    from relaykit.server.policies import ServerPolicies
    from relaykit.server.probes import ProbeResult
    from relaykit.values import ClientIdentity, Origin, Traffic

__all__ = [
    "MAX_PROXIES",
    "Ingresses",
    "ProxySession",
    "RegisteredProxy",
    "Registry",
]


MAX_PROXIES = 65_536
"""Proxies of all clients together: as many as there are ports.  Each costs some 2 KB, without its port."""

EXPOSE_TIMEOUT_S = 30.0
"""Seconds for a proxy type to open a proxy, a probe of whoever holds its port included: the other proxies of
the client wait meanwhile."""

WITHDRAW_TIMEOUT_S = 10.0
"""Seconds for a proxy type to close a proxy; then its name is free all the same."""


class ProxySession(WorkSource, Protocol):
    """What a registered proxy needs of the session that registered it."""

    @property
    def identity(self) -> ClientIdentity:
        """Who the client is."""

    @property
    def metas(self) -> Mapping[str, str]:
        """The ``metadatas`` of the client's file."""

    @property
    def policies(self) -> ServerPolicies:
        """What decides about users."""

    @property
    def takes_signals(self) -> bool:
        """Whether the client takes signals."""

    @property
    def extensions(self) -> frozenset[str]:
        """What was agreed on with the client."""

    @property
    def carrier(self) -> str:
        """The name of what the client came by."""

    def is_alive(self) -> Deferred[bool]:
        """Whether the client gives a sign of life within some seconds."""

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to this client."""

    def send_message(self, message: Message) -> None:
        """Sends a message of a proxy type to this client."""


class Ingresses(Protocol):
    """The running server halves of proxy types."""

    async def ingress_of(self, proxy_type: IProxyType) -> IIngress:
        """The ingress of a type, started.

        :raises Exception: whatever its start fails with.
        """


@implementer(IRegisteredProxy)
@define(eq=False)
class RegisteredProxy:
    """The server's view of one proxy, and the flows of its users."""

    name: str
    type: str
    common: ProxyCommon
    options: Options
    session: ProxySession
    data_plane: IDataPlane
    clock: Any
    _accounting: Accounting
    _budgets: Budgets
    _on_idle: Callable[[RegisteredProxy], None]
    _own_budgets: tuple[Budget, ...] = field(init=False)
    totals: ProxyTotals = field(init=False)
    exposure: IExposure | None = field(default=None, init=False)
    is_open: bool = field(default=False, init=False)
    """Whether observers were told that it is exposed, and not yet that it is closed."""
    flows: set[ProxyFlow] = field(factory=set, init=False)

    @_own_budgets.default
    def _make_own_budgets(self) -> tuple[Budget, ...]:
        limit = self.common.transport.limit_at("server")
        return (Budget(limit),) if limit else ()

    @functools.cached_property
    def lanes(self) -> ProxyLanes:
        """What the flows of datagrams share; few proxies have some."""
        return ProxyLanes(self)

    @property
    def identity(self) -> ClientIdentity:
        return self.session.identity

    @property
    def takes_signals(self) -> bool:
        return self.session.takes_signals

    def signal(self, body: Mapping[str, Any]) -> None:
        self.session.signal(self.name, "", body)

    def send_message(self, message: Message) -> None:
        self.session.send_message(message)

    def hand(self, message: Message) -> Deferred[None]:
        handover = Handover(self, message)
        handover.start()
        return handover.done

    def lane_codec(self) -> LaneCodec:
        return self.session.lane_codec()

    @functools.cached_property
    def kept(self) -> KeptLegs[WorkLeg]:
        """Its work connections that wait for their next users; of most types there are none."""
        return KeptLegs(self.clock)

    def take_kept(self, origin: Origin) -> IWorkLeg | None:
        """One that waits, for a user from there; None if there is none."""
        return self.kept.take(self.budgets_for(origin)) if self.kept else None

    def work_leg_for(self, origin: Origin) -> IWorkLeg | Deferred[IWorkLeg]:
        return self.take_kept(origin) or self.open_work_leg(origin)

    def open_work_leg(self, origin: Origin) -> Deferred[IWorkLeg]:
        flow = WorkLegFlow(self, origin)
        flow.start()
        return flow.answer

    def endpoint(self, origin: Origin) -> IStreamClientEndpoint:
        return self.data_plane.endpoint(lambda: self.open_work_leg(origin))

    def serve(self, user: IStreamLeg, origin: Origin, is_lane: bool = False) -> UserFlow:
        flow = UserFlow(self, user, origin, is_lane)
        flow.start()
        return flow

    def serve_datagrams(
        self, user: IDatagramLeg, origin: Origin, most_bytes: int = MOST_DATAGRAM_BYTES
    ) -> DatagramUserFlow:
        self.lanes.most_bytes = most_bytes
        flow = DatagramUserFlow(self, user, origin, self.lanes)
        flow.start()
        return flow

    def end_flows(self, why: Ended, waiting_only: bool = False) -> None:
        """Ends its flows, or those that have no work connection yet."""
        for flow in list(self.flows):
            if flow.is_waiting or not waiting_only:
                flow.end(why)

    def budgets_for(self, origin: Origin) -> tuple[Budget, ...]:
        """What the flow of a user from there is held to."""
        return self._own_budgets + self._budgets.of(self.identity, origin)

    def admit(self, origin: Origin) -> Deferred[Any] | None:
        """Has the server's policies decide about a user; None where none of them is asked.

        Fails with RefusedByPolicy.
        """
        policies = self.session.policies
        if not policies.decides(UserRequest):
            return None
        request = UserRequest(
            client=self.identity,
            metas=self.session.metas,
            proxy=self.name,
            type=self.type,
            origin=origin,
        )
        return Deferred.fromCoroutine(policies.ask(request))

    def flow_began(self, flow: ProxyFlow) -> None:
        """A user is there, and waits for a work connection."""
        self.flows.add(flow)
        self._accounting.user_arrived(self.totals, self.identity, flow.origin)

    def flow_served(self, flow: ProxyFlow) -> None:
        """A user has a work connection."""
        self._accounting.user_served(self.totals, self.identity, flow)

    def flow_unserved(self, flow: ProxyFlow, error: Exception) -> None:
        """There is no work connection for a user."""
        self._accounting.user_unserved(self.totals, self.identity, flow.origin, error)

    def probed(self, result: ProbeResult) -> None:
        """It was looked how far a user would get."""
        self._accounting.proxy_probed(self.totals, self.identity, result)

    def flow_ended(self, flow: ProxyFlow, traffic: Traffic) -> None:
        """A user is gone, or could not be served."""
        self.flows.discard(flow)
        self._accounting.user_left(self.totals, self.identity, flow.origin, traffic, self.session.carrier)
        if not self.flows:
            self._on_idle(self)


class Registry:
    """All proxies of all clients; names are unique.

    ``release(run_id)`` takes from a client that is dead all that it holds, and answers
    whether it did.

    :param most_per_client: proxies that one client may have, those that are being exposed included; 0
        or less: as many as there may be of all.
    :param astray: is told of signals for a name that nobody takes any for.
    """

    log = Logger()

    def __init__(
        self,
        types: ProxyTypes,
        ingresses: Ingresses,
        data_plane: IDataPlane,
        clock: Any,
        accounting: Accounting,
        budgets: Budgets,
        release: Callable[[str], Deferred[bool]] = lambda run_id: succeed(False),
        most_per_client: int = MAX_PROXIES_PER_CLIENT,
        astray: Callable[[str, ISignalPeer, Mapping[str, Any]], None] = lambda name, sender, body: None,
    ) -> None:
        self._release = release
        self._astray = astray
        self.limit(most_per_client)
        self._types = types
        self._ingresses = ingresses
        self._data_plane = data_plane
        self._clock = clock
        self._proxies: dict[str, RegisteredProxy] = {}
        self._per_client: Counter[str] = Counter()
        self._withdrawn: set[RegisteredProxy] = set()
        """Proxies that are gone and whose users are not."""
        self._accounting = accounting
        self.groups = Groups(release)
        self._budgets = budgets
        self.messages = IngressMessages(types, self._ingress_of)
        """What clients say to the types of proxies, not to one proxy."""
        self.draining = False
        """Whether no proxy is taken any more."""

    def limit(self, most_per_client: int) -> None:
        """Lets a client register so many from now on; no number above 0 means as many as there may be."""
        self._most_per_client = most_per_client if most_per_client > 0 else MAX_PROXIES

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
        self._admit(proxy)
        self._proxies[name] = proxy
        proxy.totals = self._accounting.totals_of(name, type_name)
        self._per_client[proxy.identity.run_id] += 1
        try:
            ingress = await self._ingress_of(type_name)
            exposing: Deferred[IExposure] = Deferred.fromCoroutine(self._expose(proxy, ingress))
            proxy.exposure = await exposing.addTimeout(EXPOSE_TIMEOUT_S, self._clock)
        except DeadlinePassed as error:
            self._forget(proxy)
            text = f"proxy [{name}] could not be opened within {EXPOSE_TIMEOUT_S:g} seconds"
            raise ProxyRefusedError(RefusalCode.NOT_AVAILABLE, text) from error
        except Exception:
            self._forget(proxy)
            raise
        if self.draining or self._proxies.get(name) is not proxy:
            await self.withdraw(proxy, Ended.CANCELLED)
            raise ProxyRefusedError(RefusalCode.OTHER, f"proxy [{name}] was closed while it was being opened")
        proxy.is_open = True
        self._accounting.proxy_exposed(proxy.totals, proxy.identity, proxy.exposure.address)
        return proxy

    async def withdraw(self, proxy: RegisteredProxy, why: Ended) -> None:
        """Closes a proxy to new users and frees its name; running flows go on, as with frp.

        Observers are told once, with the reason, however often it is withdrawn.

        :raises Exception: what the proxy type fails with, or that it takes too long; the name is free then.
        """
        was_open, proxy.is_open = proxy.is_open, False
        exposure, proxy.exposure = proxy.exposure, None
        try:
            if exposure is not None:
                withdrawing: Deferred[None] = Deferred.fromCoroutine(exposure.withdraw())
                await withdrawing.addTimeout(WITHDRAW_TIMEOUT_S, self._clock)
        finally:
            self._forget(proxy)
            proxy.kept.close()
            if proxy.flows:
                # Users may have come until here.
                self._withdrawn.add(proxy)
            else:
                proxy.lanes.close()
            if was_open:
                self._accounting.proxy_closed(proxy.totals, proxy.identity, why)

    def get(self, name: str) -> RegisteredProxy | None:
        """The proxy of this name, if it is open."""
        proxy = self._proxies.get(name)
        return proxy if proxy is not None and proxy.is_open else None

    def flows(self) -> Iterator[ProxyFlow]:
        """The flows of all proxies, also of those that are gone."""
        for proxy in (*self._proxies.values(), *self._withdrawn):
            yield from tuple(proxy.flows)

    def moved_by_carrier(self) -> dict[str, tuple[int, int]]:
        """Bytes to clients and to users, present ones included, by what the clients came by."""
        moved = dict(self._accounting.moved_by_carrier)
        for proxy in (*self._proxies.values(), *self._withdrawn):
            for flow in proxy.flows:
                to_clients, to_users = moved.get(proxy.session.carrier, (0, 0))
                to_client, to_user = flow.moved()
                moved[proxy.session.carrier] = to_clients + to_client, to_users + to_user
        return moved

    async def visit(self, name: str, visit: IVisit) -> None:
        """Hands a visit to the proxy of this name.

        :raises VisitRefusedError: with the text for the visitor.
        """
        proxy = self._proxies.get(name)
        exposure = None if proxy is None else proxy.exposure
        if exposure is None or not IVisitable.providedBy(exposure):
            text = f"custom listener for [{shown(name)}] doesn't exist"
            raise VisitRefusedError(RefusalCode.UNKNOWN_PROXY, text)
        await exposure.visited(visit)

    async def signal(self, name: str, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        """Hands a signal to the exposure of this name, or to who deals with what nobody takes."""
        proxy = self._proxies.get(name)
        exposure = None if proxy is None else proxy.exposure
        if exposure is not None and ISignalReceiver.providedBy(exposure):
            await exposure.signal_received(sender, body)
        else:
            self._astray(name, sender, body)

    async def _expose(self, proxy: RegisteredProxy, ingress: IIngress) -> IExposure:
        """Opens a proxy, or has it join its group where its type can be grouped."""
        proxy_type = self._types.get(proxy.type)
        if proxy.common.load_balancer.group and IGroupableProxyType.providedBy(proxy_type):
            terms = proxy_type.group_terms(proxy.options)
            return await self.groups.expose(proxy, terms, ingress.expose)
        exposure: IExposure = await ingress.expose(proxy)
        return exposure

    async def _ingress_of(self, type_name: str) -> IIngress:
        """The running server half of a type.

        :raises ProxyRefusedError: it cannot start; the log says why.
        """
        try:
            return await self._ingresses.ingress_of(self._types.get(type_name))
        except (CancelledError, ProxyRefusedError):
            raise
        except (RelaykitError, OSError, DeadlinePassed) as error:
            self.log.error(
                "proxy type {type} cannot start: {reason}",
                type=type_name,
                reason=str(error) or "it took too long",
                problem=problem_of(error, "broken-type"),
            )
        except Exception:
            self.log.failure("a defect while proxy type {type} was started", type=type_name)
        raise ProxyRefusedError(
            RefusalCode.NOT_AVAILABLE, f"proxy type {type_name} cannot be used on this server"
        )

    def _admit(self, proxy: RegisteredProxy) -> None:
        """Lets a proxy take its name.

        :raises ProxyRefusedError: it may not.
        """
        name, run_id = proxy.name, proxy.identity.run_id
        if self.draining:
            raise ProxyRefusedError(RefusalCode.NOT_AVAILABLE, STOPPED)
        if name in self._proxies:
            raise ProxyRefusedError(RefusalCode.NAME_IN_USE, f"proxy [{name}] already exists")
        if self._per_client[run_id] >= self._most_per_client:
            text = (
                f"proxy [{name}]: this client has {self._most_per_client} proxies, more are not taken unless "
                "the server's maxProxiesPerClient allows it"
            )
            raise ProxyRefusedError(RefusalCode.TOO_MANY, text)
        if len(self._proxies) >= MAX_PROXIES:
            text = f"proxy [{name}]: this server has {MAX_PROXIES} proxies, more are not taken"
            raise ProxyRefusedError(RefusalCode.TOO_MANY, text)

    def _check(
        self, session: ProxySession, name: str, type_name: str, fields: Mapping[str, Any]
    ) -> RegisteredProxy:
        if not name:
            raise ProxyRefusedError(RefusalCode.BAD_OPTIONS, "proxy []: name: must be given")
        try:
            proxy_type = self._types.get(type_name)
        except UnknownProxyType as error:
            raise ProxyRefusedError(
                RefusalCode.UNKNOWN_TYPE, f"unknown proxy type: {shown(type_name)}"
            ) from error
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
        for problem in (
            *common.problems(),
            *options.problems(),
            *secret_problems(common, as_sent=True),
            *secret_problems(options, as_sent=True),
        ):
            raise ProxyRefusedError(
                RefusalCode.BAD_OPTIONS, f"proxy [{name}]: {problem.key}: {problem.reason}"
            )
        return RegisteredProxy(
            name,
            type_name,
            common,
            options,
            session,
            self._data_plane,
            self._clock,
            self._accounting,
            self._budgets,
            self._idle,
        )

    def _idle(self, proxy: RegisteredProxy) -> None:
        """A proxy has no users any more, for the time being or for ever."""
        if proxy in self._withdrawn:
            self._withdrawn.remove(proxy)
            proxy.lanes.close()

    def _forget(self, proxy: RegisteredProxy) -> None:
        if self._proxies.get(proxy.name) is proxy:
            del self._proxies[proxy.name]
            run_id = proxy.identity.run_id
            self._per_client[run_id] -= 1
            if not self._per_client[run_id]:
                del self._per_client[run_id]

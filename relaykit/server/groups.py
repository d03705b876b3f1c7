"""Groups: proxies of any clients behind one exposure, for every proxy type that can be grouped.

A group is a proxy to the server half of its type, which does not know that it has several members: what the
type has the group do, one of its members does.  Whom a member cannot serve, and of whom nothing was delivered
yet, another one gets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import (
    NoWorkConnection,
    NoWorkConnectionInTime,
    ProxyRefusedError,
    RefusalCode,
    RefusedError,
    UnansweredError,
    ended_by,
    problem_of,
)
from relaykit.interfaces import IExposure, IRegisteredProxy
from relaykit.sansio.control.balancing import REST_S, Balancer
from relaykit.sansio.sources import source_of
from relaykit.server.flows import ProxyFlow, UserFlow
from relaykit.server.work_legs import WorkLegFlow
from relaykit.timer import Timer
from relaykit.values import MOST_DATAGRAM_BYTES, Balance, Ended, Traffic

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint

    from relaykit.interfaces import IDatagramLeg, IFlow, IStreamLeg, IWorkLeg
    from relaykit.options import Options, ProxyCommon
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.messages import Message
    from relaykit.server.registry import RegisteredProxy
    from relaykit.values import ClientIdentity, Origin

__all__ = ["MEMBER_WAIT_S", "MOVES_FOR_S", "Groups", "ProxyGroup"]

MEMBER_WAIT_S = 2.0
"""Seconds that a user waits for one member of a group while another could serve: several round trips of a
distant client, so that only one that is in trouble takes longer."""

MOVES_FOR_S = 15.0
"""Seconds after a user's arrival in which it may be handed to another member of the group; it gets to each
of them once, and waits for the last one as long as for any proxy (``userConnTimeout``)."""

Expose = Callable[[IRegisteredProxy], Coroutine["Deferred[Any]", Any, IExposure]]
"""What opens a proxy to users: that of an :class:`relaykit.interfaces.IIngress`."""


# --- the users of a group ------------------------------------------------------------------------


class _Moving(ProxyFlow):
    """A flow that goes to another member while the present one cannot serve it."""

    log = Logger()

    _group: ProxyGroup
    tried: list[RegisteredProxy]
    _error: Exception | None
    _is_asking: bool
    proxy: Any

    def _join(self, group: ProxyGroup) -> None:
        self._group = group
        self.tried = [self.proxy]
        self._error = None
        self._is_asking = False

    @property
    def _lasted_s(self) -> float:
        lasted: float = self.proxy.clock.seconds() - self._since
        return lasted

    @property
    def has_alternative(self) -> bool:
        return not all(member in self.tried for member in self._group.members)

    def start(self) -> None:
        self._ask()
        self._move_on()

    def take_back(self) -> None:
        """The member has had its time, and another one is not known to be in trouble."""
        if self.is_waiting and self._lasted_s < MOVES_FOR_S:
            self.proxy.session.cancel_work(self)
            self.on_unserved(
                NoWorkConnectionInTime(f"the client did not serve it within {MEMBER_WAIT_S:g} s")
            )

    def on_work_leg(self, leg: IStreamLeg) -> None:
        self._group.balancer.served(self.proxy)
        super().on_work_leg(leg)

    def on_unserved(self, error: Exception) -> None:
        self._group.failed(self.proxy, error)
        self._error = error
        if not self._is_asking:
            self._move_on()

    def end(self, why: Ended) -> None:
        if why is Ended.WITHDRAWN and self.is_waiting and self.has_alternative:
            self.proxy.session.cancel_work(self)
            self.on_unserved(NoWorkConnection("the client took the proxy back"))
        else:
            super().end(why)

    def _ask(self) -> None:
        # The answer may come at once: where all members fail so, each is asked from the same place.
        self._is_asking = True
        super().start()
        self._is_asking = False
        if self._error is None and self.is_waiting:
            self._group.watch(self)

    def _move_on(self) -> None:
        while (error := self._error) is not None:
            self._error = None
            lasted_s = self._lasted_s
            other = None if lasted_s >= MOVES_FOR_S else self._group.choose(self.origin, self.tried)
            if other is None:
                super().on_unserved(error)
                return
            self.log.debug(
                "[{run}] [{proxy}] {origin} goes to [{other}] of its group: {reason}",
                run=self.proxy.identity.run_id,
                proxy=self.proxy.name,
                origin=self.origin,
                other=other.name,
                reason=str(error),
            )
            self.proxy.flow_ended(self, Traffic(0, 0, lasted_s, ended_by(error)))
            self.proxy = other
            self.tried.append(other)
            self._ask()


class GroupUserFlow(_Moving, UserFlow):
    """A user of a group who is served by one of its members."""

    def __init__(
        self, group: ProxyGroup, member: RegisteredProxy, leg: IStreamLeg, origin: Origin, is_lane: bool
    ) -> None:
        super().__init__(member, leg, origin, is_lane)
        self._join(group)


class GroupWorkLegFlow(_Moving, WorkLegFlow):
    """A work connection of one of the members."""

    def __init__(self, group: ProxyGroup, member: RegisteredProxy, origin: Origin) -> None:
        super().__init__(member, origin)
        self._join(group)

    def on_failure(self, why: str) -> bool:
        return self._group.failed(self.proxy, UnansweredError(why))


# --- the group -----------------------------------------------------------------------------------


@implementer(IRegisteredProxy)
class ProxyGroup:
    """Several proxies as one, for the server half of their type.

    Its options are those of the first member, also when that one has left; who holds what the type opened for
    it, a port that counts for a client's quota above all, is the member that has been in it for longest.
    The type gets back the same port for a group of the same name.
    """

    takes_signals = False

    log = Logger()

    def __init__(self, first: RegisteredProxy, terms: Mapping[str, object]) -> None:
        self.group = first.common.load_balancer.group
        self.name = f"group {self.group}"
        self.type = first.type
        self.common: ProxyCommon = first.common
        self.options: Options = first.options
        self.members: list[RegisteredProxy] = []
        self.exposure: IExposure | None = None
        self.balancer: Balancer[RegisteredProxy] = Balancer(
            lambda member: len(member.flows) - len(member.kept), lambda member: member.name
        )
        self._key = first.common.load_balancer.group_key
        self._terms = dict(terms)
        self._clock = first.clock
        self._data_plane = first.data_plane
        self._waits: deque[tuple[float, _Moving, RegisteredProxy]] = deque()
        self._timer = Timer(first.clock, self._on_time)
        self.join(first)

    @property
    def identity(self) -> ClientIdentity:
        return self.members[0].identity

    @property
    def flows(self) -> set[ProxyFlow]:
        return {flow for member in self.members for flow in member.flows}

    @property
    def balance(self) -> Balance:
        """How users are distributed: as the members say that say something."""
        named = (member.common.load_balancer.balance for member in self.members)
        return Balance(next(filter(None, named), Balance.ROUND_ROBIN.value))

    # --- its members ------------------------------------------------------------------------------

    def check(self, proxy: RegisteredProxy, terms: Mapping[str, object]) -> None:
        """Finds out whether a proxy may join.

        :raises ProxyRefusedError: it may not.
        """
        for text, value in terms.items():
            if self._terms.get(text) != value:
                raise ProxyRefusedError(RefusalCode.GROUP_MISMATCH, text)
        wanted = proxy.common.load_balancer
        if wanted.group_key != self._key:
            raise ProxyRefusedError(RefusalCode.BAD_CREDENTIALS, "group auth failed")
        named = next((each for each in self.members if each.common.load_balancer.balance), None)
        if wanted.balance and named is not None and wanted.balance != self.balance.value:
            text = f"group [{self.group}] is balanced by {self.balance.value}, as [{named.name}] has it"
            raise ProxyRefusedError(RefusalCode.GROUP_MISMATCH, text)

    def join(self, proxy: RegisteredProxy) -> None:
        """A proxy is a member from now on."""
        self.members.append(proxy)
        self.balancer.join(proxy)

    def leave(self, proxy: RegisteredProxy) -> bool:
        """A member gets no users any more; false if it is the last, which stays until the group is closed."""
        if len(self.members) == 1:
            return False
        self.members.remove(proxy)
        self.balancer.leave(proxy)
        return True

    async def close(self) -> None:
        """Closes what the type opened; the users that the last member has may stay."""
        self._timer.stop()
        exposure, self.exposure = self.exposure, None
        if exposure is not None:
            await exposure.withdraw()

    # --- what the type has it do ------------------------------------------------------------------

    def serve(self, user: IStreamLeg, origin: Origin, is_lane: bool = False) -> IFlow:
        flow = GroupUserFlow(self, self._first(origin), user, origin, is_lane)
        flow.start()
        return flow

    def serve_datagrams(
        self, user: IDatagramLeg, origin: Origin, most_bytes: int = MOST_DATAGRAM_BYTES
    ) -> IFlow:
        return self._first(origin).serve_datagrams(user, origin, most_bytes)

    def lane_codec(self) -> LaneCodec:
        return self.members[0].lane_codec()

    def work_leg_for(self, origin: Origin) -> IWorkLeg | Deferred[IWorkLeg]:
        member = self._first(origin)
        return member.take_kept(origin) or self._open_work_leg(member, origin)

    def open_work_leg(self, origin: Origin) -> Deferred[IWorkLeg]:
        return self._open_work_leg(self._first(origin), origin)

    def _open_work_leg(self, member: RegisteredProxy, origin: Origin) -> Deferred[IWorkLeg]:
        flow = GroupWorkLegFlow(self, member, origin)
        flow.start()
        return flow.answer

    def endpoint(self, origin: Origin) -> IStreamClientEndpoint:
        return self._data_plane.endpoint(lambda: self.open_work_leg(origin))

    def signal(self, body: Mapping[str, Any]) -> None:
        raise self._of_many()

    def send_message(self, message: Message) -> None:
        raise self._of_many()

    def hand(self, message: Message) -> Deferred[None]:
        return fail(self._of_many())

    def _of_many(self) -> RefusedError:
        return RefusedError(RefusalCode.NOT_AVAILABLE, f"{self.name} takes no signals: it has many clients")

    # --- its users --------------------------------------------------------------------------------

    def choose(self, origin: Origin, tried: list[RegisteredProxy]) -> RegisteredProxy | None:
        """The member for a user who was at these."""
        return self.balancer.choose(self.balance, source_of(origin)[-1], tried, self._clock.seconds())

    def failed(self, member: RegisteredProxy, error: Exception) -> bool:
        """A member could not serve a user: whether another one may, which is well as far as is known."""
        now = self._clock.seconds()
        if self.balancer.failed(member, now):
            self.log.warn(
                "[{run}] [{proxy}] serves nobody, and is left out of {group} for {seconds:g} s: {reason}",
                run=member.identity.run_id,
                proxy=member.name,
                group=self.name,
                seconds=REST_S,
                reason=str(error),
                ended=ended_by(error).value,
                problem=problem_of(error, "no-work-connection"),
            )
        return self.balancer.has_awake((member,), now)

    def watch(self, flow: _Moving) -> None:
        """Takes a flow back from its member if that does not serve it in time."""
        self._waits.append((self._clock.seconds() + MEMBER_WAIT_S, flow, flow.proxy))
        self._timer.set(self._waits[0][0])

    def _first(self, origin: Origin) -> RegisteredProxy:
        member = self.choose(origin, [])
        assert member is not None, "the last member stays until the group is closed"
        return member

    def _on_time(self) -> None:
        now = self._clock.seconds()
        while self._waits and self._waits[0][0] <= now:
            _, flow, member = self._waits.popleft()
            if flow.proxy is member and self.balancer.has_awake(flow.tried, now):
                flow.take_back()
        self._timer.set(self._waits[0][0] if self._waits else None)


@implementer(IExposure)
@define(eq=False)
class _Membership:
    """What a member has of its group's exposure."""

    _groups: Groups
    _group: ProxyGroup
    _member: RegisteredProxy
    _is_over: bool = field(default=False, init=False)

    @property
    def address(self) -> str:
        exposure = self._group.exposure
        return "" if exposure is None else str(exposure.address)

    async def withdraw(self) -> None:
        if not self._is_over:
            self._is_over = True
            await self._groups.leave(self._group, self._member)


class Groups:
    """The groups of a server: each is there from its first member to its last.

    Names are separate for each proxy type.  ``release(run_id)`` takes from a client that is dead all that it
    holds, and answers whether it did.
    """

    def __init__(self, release: Callable[[str], Deferred[bool]]) -> None:
        self._release = release
        self._groups: dict[tuple[str, str], ProxyGroup] = {}
        self._locks: dict[tuple[str, str], DeferredLock] = {}

    def __iter__(self) -> Iterator[ProxyGroup]:
        return iter(list(self._groups.values()))

    async def expose(self, proxy: RegisteredProxy, terms: Mapping[str, object], expose: Expose) -> IExposure:
        """Has a proxy join its group, which the first one opens.

        :param terms: see :class:`relaykit.interfaces.IGroupableProxyType`.
        :raises ProxyRefusedError: it may not join, or the group cannot be opened.
        """
        key = proxy.type, proxy.common.load_balancer.group
        if (present := self._groups.get(key)) is not None:
            await self._release_dead(present, proxy, terms)
        async with self._turn(key):
            group = self._groups.get(key)
            if group is not None:
                group.check(proxy, terms)
                group.join(proxy)
            else:
                group = ProxyGroup(proxy, terms)
                group.exposure = await expose(group)
                self._groups[key] = group
        return _Membership(self, group, proxy)

    async def leave(self, group: ProxyGroup, member: RegisteredProxy) -> None:
        """A member is withdrawn; the last one closes the group."""
        if group.leave(member):
            return
        key = group.type, group.group
        async with self._turn(key):
            # Others may have joined meanwhile.
            if not group.leave(member):
                del self._groups[key]
                await group.close()

    async def _release_dead(
        self, group: ProxyGroup, proxy: RegisteredProxy, terms: Mapping[str, object]
    ) -> None:
        """Has no proxy refused on account of a group all of whose members are dead."""
        try:
            group.check(proxy, terms)
        except ProxyRefusedError:
            for member in tuple(group.members):
                if not await self._release(member.identity.run_id):
                    return

    @asynccontextmanager
    async def _turn(self, key: tuple[str, str]) -> AsyncIterator[None]:
        """Has a group opened, joined and closed by one at a time, for opening and closing may take time."""
        lock = self._locks.setdefault(key, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()
            # Whoever had the turn next may have had it to the end, and others another lock since.
            if not lock.locked and key not in self._groups and self._locks.get(key) is lock:
                del self._locks[key]

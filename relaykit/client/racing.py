"""``transport.protocol = "auto"``: reaches the server by whichever carrier gets out of this network.

What carriers declare is all that is known of them here; which ways are tried when is for
:mod:`relaykit.sansio.control.race`, and which first for :mod:`relaykit.sansio.control.ways`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.client.paths import OneRoute
from relaykit.client.remembered import Remembered
from relaykit.driver import CoreDriver
from relaykit.errors import (
    BindingFailedError,
    ConnectionFailed,
    NoWayError,
    PluginError,
    SessionLost,
    TransportSecurityError,
    problem_of,
)
from relaykit.sansio.control.race import LAST_PATIENCE_S, LOGIN_PATIENCE_S, Race, RaceEvent, RaceStep
from relaykit.sansio.control.ways import RacingCarrier, Way, WayMemory, ways_to
from relaykit.sansio.service_records import is_service_name
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from relaykit.client.paths import DialHost, PathRoute, Route
    from relaykit.client.remembered import RememberedServers
    from relaykit.client.session import Session
    from relaykit.config.schema import ClientConfig
    from relaykit.dataplane.dialing import ChooseHosts
    from relaykit.interfaces import ICarrier, IStreamPath
    from relaykit.plugins import Carriers

__all__ = ["ASKED_AFTER_S", "MOST_REFUTED", "AnyRoute", "OpenWay", "RacedRoute", "racing_carriers", "ways_of"]

ASKED_AFTER_S = (1.5, 4.0, 8.0, 16.0)
"""Seconds after a login at which the server is asked for a sign of life: some networks let UDP through for a
moment, and the heartbeats, which keep on asking, are far apart."""

MOST_REFUTED = 8
"""Addresses of a name that are found not to be the server before a way is given up."""

_BARRED = (ConnectionFailed, TransportSecurityError, SessionLost, BindingFailedError)
"""What may be different by another way.  A server that refuses a login refuses it by every one."""

AnyRoute: TypeAlias = "Route | PathRoute | RacedRoute"
"""How a client reaches its server."""

SessionT = TypeVar("SessionT", bound="Session")


def racing_carriers(installed: Carriers) -> Iterator[ICarrier]:
    """The carriers that take part; what is broken, or lacks something here, does not."""
    for reference in installed:
        with suppress(PluginError):
            carrier = reference.load()
            if carrier.capabilities.race and not carrier.lacks():
                yield carrier


class OpenWay(OneRoute):
    """A way that is open, for one login.  Owns the path until that is taken."""

    def __init__(self, carrier: str, route: OneRoute, path: IStreamPath) -> None:
        self.carrier = carrier
        self._route = route
        self._path: IStreamPath | None = path

    async def open_path(self) -> IStreamPath:
        """The path that there is; asked once more, a new one."""
        path, self._path = self._path, None
        return await self._route.open_path() if path is None else path

    def close(self) -> None:
        """Closes what nobody has taken."""
        path, self._path = self._path, None
        if path is not None:
            path.close()


class RacedRoute:
    """How this client reaches its server by several carriers.

    :param host: what every carrier dials with.
    :param route_by: makes the route by a carrier, with a host for one of its ports.
    :param network: says which network the client is in; empty where that cannot be told.
    :param unix_time: the time of the calendar.
    """

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        host: DialHost,
        carriers: Sequence[ICarrier],
        route_by: Callable[[ICarrier, DialHost], Route | PathRoute],
        network: Callable[[], str],
        clock: IReactorTime,
        unix_time: Callable[[], float],
    ) -> None:
        self._host = host
        self._server = Address(config.server_addr, config.server_port)
        self._config = config
        tls = config.transport.tls
        self._verifies = bool(tls.enable and (tls.trusted_ca_file or tls.server_fingerprint))
        self._carriers = {each.name: each for each in carriers}
        self._route_by = route_by
        self._network = network
        self._clock = clock
        self._unix_time = unix_time
        self._session: Session | None = None
        self._used: tuple[Way, str] | None = None
        """The way of the session, and on which network that began."""
        self._suspected: tuple[Way, str] | None = None
        """The same of one that fell silent; whether that was the way's fault is shown by the next attempt."""
        self._asking: list[IDelayedCall] = []
        self.way = self.way_reason = ""
        """How the server is reached, and why so, if not for being open first; empty without a session."""

    async def reach(
        self, use: Callable[[OpenWay], Awaitable[SessionT]], servers: RememberedServers
    ) -> SessionT:
        """The session that ``use`` makes of the first way by which it can.

        :raises NoWayError: there is none; the text says what happened on each.
        :raises Exception: what ``use`` raises, where another way would not help.
        """
        known, network = servers.get(str(self._server)), self._network()
        memory = known.networks.get(network, WayMemory())
        suspected, self._suspected = self._suspected, None
        ways = self._ordered(known, memory, suspected, network)
        run = _Run(self, ways, use, self._further(known))
        way, session = await run.won
        now = self._unix_time()
        if suspected is not None and suspected[0] != way and suspected[1] == network:
            memory = memory.after_silence(suspected[0], now)
            self.log.warn(
                "{silent} fell silent on this network, and {way} works: from now on it is tried last here",
                silent=suspected[0],
                way=way,
                problem="way-fell-silent",
            )
        self._began(way, network, self._why(way, memory, run.failures, now), session)
        servers.learn(
            str(self._server),
            Remembered(host=self._host_of(run), networks={network: memory.after_success(way, now)}),
        )
        return session

    def session_ended(self, session: Session, why: Ended) -> None:
        """A session is over; one of another route is no business of this one."""
        if session is not self._session:
            return
        self._session = None
        used, self._used = self._used, None
        self.way = self.way_reason = ""
        for call in self._asking:
            if call.active():
                call.cancel()
        self._asking.clear()
        if used is not None and why is Ended.TIMEOUT and used[1] == self._network():
            self._suspected = used

    def ways(self, told: Mapping[str, int] | None) -> list[Way]:
        """All ways, as far as nothing is known of the network.

        :raises ForwardProxyError: the proxy that is named cannot be used.
        """
        return ways_of(self._config, self._carriers.values(), told, proxied=self._host.is_proxied)

    def is_unanswered(self, way: Way) -> bool:
        """Whether nobody is told by this way that there is no server."""
        return bool(self._carriers[way.carrier].capabilities.own_port)

    def route_to(self, way: Way, choose: ChooseHosts | None) -> tuple[Route | PathRoute, DialHost]:
        """The route of one way, and what it dials with."""
        host = self._host.at(way.port, choose)
        return self._route_by(self._carriers[way.carrier], host), host

    @property
    def server(self) -> Address:
        """What is reached for."""
        return self._server

    @property
    def clock(self) -> IReactorTime:
        """Time."""
        return self._clock

    @property
    def is_looked_up(self) -> bool:
        """Whether this client looks up the server's name itself, so that it may be told a wrong address."""
        return not self._host.is_proxied and not _is_numeric(self._server.host)

    def _ordered(
        self, known: Remembered, memory: WayMemory, suspected: tuple[Way, str] | None, network: str
    ) -> Sequence[Way]:
        ways = memory.ordered(self.ways(known.carriers), self._unix_time())
        last = suspected[0] if suspected is not None and suspected[1] == network else None
        return sorted(ways, key=lambda way: way == last)

    def _further(self, known: Remembered) -> Sequence[str]:
        """Addresses of the server that are tried besides those that its name stands for.

        Whoever has one by now is somebody else, maybe: so the server must have to prove itself.
        """
        return [known.host] if known.host and self.is_looked_up and (self._verifies or known.bound) else []

    def _host_of(self, run: _Run[SessionT]) -> str:
        return run.reached.host if run.reached is not None and self.is_looked_up else ""

    def _why(self, way: Way, memory: WayMemory, failures: Mapping[Way, Exception], now: float) -> str:
        if failures:
            return "; ".join(f"{other}: {error}" for other, error in failures.items())
        return "as before on this network" if memory.is_trusted(way, now) else ""

    def _began(self, way: Way, network: str, why: str, session: Session) -> None:
        self._session, self._used = session, (way, network)
        self.way = str(way) if way.port != self._server.port else way.carrier
        self.way_reason = why
        self.log.info("the server is reached by {way}: {why}", way=way, why=why or "it was open first")
        self._asking = [self._clock.callLater(after_s, session.probe) for after_s in ASKED_AFTER_S]


def ways_of(
    config: ClientConfig,
    carriers: Iterable[ICarrier],
    told: Mapping[str, int] | None = None,
    *,
    proxied: bool = False,
) -> list[Way]:
    """The ways of a client by these carriers; see :func:`relaykit.sansio.control.ways.ways_to`."""
    port = 0 if is_service_name(config.server_addr) else config.server_port
    taking_part = [
        RacingCarrier(each.name, can.race, can.own_port, can.https)
        for each in carriers
        for can in (each.capabilities,)
    ]
    return ways_to(port, taking_part, told, proxied=proxied)


@frozen
class _Hosts:
    """Which addresses are tried by one way."""

    further: Sequence[str]
    refuted: list[str] = field(factory=list)

    def choose(self, found: Sequence[str]) -> Sequence[str]:
        """Those that a name stands for and the further ones, but for those that were not the server."""
        return [each for each in dict.fromkeys((*found, *self.further)) if each not in self.refuted]


class _Run(Generic[SessionT]):
    """One race.  It owns what it opens until a session has it.

    :ivar won: fires with the way and the session; cancelling it ends the race.
    :ivar failures: why ways failed, in this order.
    :ivar reached: where the winner's connection leads.
    """

    log = Logger()

    def __init__(
        self,
        route: RacedRoute,
        ways: Sequence[Way],
        use: Callable[[OpenWay], Awaitable[SessionT]],
        further: Sequence[str],
    ) -> None:
        self.won: Deferred[tuple[Way, SessionT]] = Deferred(self._cancelled)
        self.failures: dict[Way, Exception] = {}
        self.reached: Address | None = None
        self._route = route
        self._use = use
        self._hosts = {way: _Hosts(further) for way in ways}
        self._dialing: dict[Way, DialHost] = {}
        self._running: dict[Way, Deferred[Any]] = {}
        """Openings, and the login."""
        self._open: dict[Way, OpenWay] = {}
        self._unanswered = [each for each in ways if route.is_unanswered(each)]
        self._race = Race(ways, route.clock.seconds(), self._unanswered)
        self._driver: CoreDriver[RaceEvent[Way]] = CoreDriver(self._race, route.clock, self._on_event)
        self._driver.step()
        self._end_if_lost()

    def _on_event(self, event: RaceEvent[Way]) -> None:
        way = event.way
        if event.step is RaceStep.OPEN:
            self._begin(way, self._opened, self._open_way(way))
        elif event.step is RaceStep.USE:
            self._begin(way, self._logged_in, self._use(self._open[way]))
        elif event.step is RaceStep.GIVE_UP:
            self.failures.setdefault(way, self._too_late(way))
            self._close(way)
            self._end_if_lost()
        else:
            self._close(way)

    def _too_late(self, way: Way) -> Exception:
        if way in self._open:
            return SessionLost(f"the login was not answered in {LOGIN_PATIENCE_S:g} seconds")
        return ConnectionFailed(f"no answer in {LAST_PATIENCE_S:g} seconds", problem="no-answer")

    def _begin(self, way: Way, done: Callable[[Any, Way], None], doing: Awaitable[Any]) -> None:
        async def run() -> Any:
            return await doing

        running = self._running[way] = Deferred.fromCoroutine(run())
        running.addCallbacks(
            lambda result: done(result, way), self._failed, errbackArgs=(way, running)
        ).addErrback(self._ended_by)

    async def _open_way(self, way: Way) -> OpenWay:
        hosts = self._hosts[way]
        choose = hosts.choose if self._route.is_looked_up else None
        route, self._dialing[way] = self._route.route_to(way, choose)
        path = await route.open_path()
        return OpenWay(way.carrier, route, path)

    def _opened(self, opened: OpenWay, way: Way) -> None:
        del self._running[way]
        self._open[way] = opened
        self._race.opened(way, self._driver.now)
        self._driver.step()

    def _logged_in(self, session: SessionT, way: Way) -> None:
        del self._running[way]
        self.reached = self._dialing[way].peer
        self._race.won(self._driver.now)
        self._driver.step()
        self._driver.stop()
        self.won.callback((way, session))

    def _failed(self, failure: Failure, way: Way, running: Deferred[Any]) -> None:
        if self._running.get(way) is not running:
            # It was closed, and whatever it failed with because of that is no news.
            return
        del self._running[way]
        failure.trap(*_BARRED)
        self._close(way)
        assert isinstance(failure.value, Exception)
        self.failures.setdefault(way, failure.value)
        self._race.failed(way, self._driver.now, again=self._refute(way))
        self._driver.step()
        self._end_if_lost()

    def _refute(self, way: Way) -> bool:
        """Leaves out the address that the way led to, if it led to one; whether there may be another one."""
        peer, refuted = self._dialing[way].peer, self._hosts[way].refuted
        if (
            peer is None
            or not self._route.is_looked_up
            or peer.host in refuted
            or len(refuted) >= MOST_REFUTED
        ):
            return False
        refuted.append(peer.host)
        return True

    def _close(self, way: Way) -> None:
        running, opened = self._running.pop(way, None), self._open.pop(way, None)
        if running is not None:
            running.cancel()
        if opened is not None:
            opened.close()

    def _end_if_lost(self) -> None:
        if self._race.is_over and not self._running and not self.won.called:
            self._driver.stop()
            self.won.errback(self._lost())

    def _lost(self) -> Exception:
        errors = list(self.failures.values())
        if len(errors) == 1:
            return errors[0]
        # Ways to one port mostly fail alike.
        ways: dict[str, list[str]] = {}
        for way, error in self.failures.items():
            ways.setdefault(str(error), []).append(str(way))
        each = "; ".join(f"by {', '.join(alike)}: {why}" for why, alike in ways.items())
        problems = {problem_of(error) for way, error in self.failures.items() if way not in self._unanswered}
        return NoWayError(
            f"there is no way to {self._route.server}: {each}; where a network lets none of these out it may "
            "have a forward proxy: transport.proxyURL",
            problem=problems.pop() if len(problems) == 1 else "",
        )

    def _ended_by(self, failure: Failure) -> None:
        """What another way does not help against, or a defect."""
        self._stop()
        if not self.won.called:
            self.won.errback(failure)

    def _cancelled(self, _won: Deferred[Any]) -> None:
        self._stop()

    def _stop(self) -> None:
        self._race.stop()
        self._driver.step()
        self._driver.stop()


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True

"""The relay server as a Twisted service: its life, and what others may ask of it and do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, execute, fail, succeed
from twisted.logger import Logger

from relaykit import __version__
from relaykit.clock import monotonic
from relaykit.config.rules.changing import Changes, changes
from relaykit.dataplane.plane import FlowCounts
from relaykit.driver import CoreDriver
from relaykit.errors import problem_of
from relaykit.logs.access_log import AccessLog
from relaykit.options import Effect
from relaykit.sansio.control.server_life import ServerAction, ServerLife, ServerState
from relaykit.server.access import AccessObserver, access_settings
from relaykit.server.composition import Composition, ServerParts, wall_clock
from relaykit.server.network import Network, make_network
from relaykit.server.observers import LogObserver, Observers
from relaykit.server.status import ClientStatus, GroupStatus, ProxyCounts, ProxyStatus, ServerStatus, usage_of
from relaykit.values import Ended

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from twisted.python.failure import Failure

    from relaykit.config.load import LoadedServer
    from relaykit.config.schema import ServerConfig
    from relaykit.interfaces import IEntrance, IServerObserver, IVerifier
    from relaykit.options import Options
    from relaykit.plugins import ProxyTypes
    from relaykit.server.flows import ProxyFlow
    from relaykit.server.probes import ProbeResult
    from relaykit.state import StateDirectory
    from relaykit.values import Secret, Usage

__all__ = ["RelayServer"]

_LEVELS_OF_USERS = ("trace", "debug")
"""Levels of the log that have lines of each user."""

_CUT_S = 1.0
"""Seconds that the end waits for users who were cut to be gone, where there is a log of them."""


class RelayServer(MultiService):
    """The relay server; services that are its children live as long as it does.

    Constructing opens nothing.  ``privilegedStartService`` opens the ports that the configuration names, so
    that a daemon may give up its privileges between the two; ``startService`` does it where that was not
    called.  It can be started again once ``stopService`` has fired, which takes less than ten seconds.

    :param types: the proxy types that clients may ask for.
    :param state: where a certificate of its own is kept; None for a new one at each start.
    :param ingress_options: of the proxy types that are configured: they start with the server, and if one
        of them cannot, the server cannot.  The others have their defaults, and start with their first proxy.
    :param verifier: decides who is let in; None for whoever proves the token, as the configuration says.
    :param make_network: called when its ports are opened.
    :param entrances: where clients come in besides, by other protocols than frp's.
    :param policies: the options of those that decide about clients and users, in the order of being asked.
    """

    log = Logger()

    def __init__(
        self,
        config: ServerConfig,
        token: Secret,
        types: ProxyTypes,
        reactor: Any,
        state: StateDirectory | None = None,
        ingress_options: Mapping[str, Options] = {},  # it is only read
        verifier: IVerifier | None = None,
        make_network: Callable[[Any], Network] = make_network,
        entrances: Sequence[IEntrance] = (),
        policies: Mapping[str, Options] = {},  # likewise
    ) -> None:
        super().__init__()
        self._observers = Observers()
        self._log_observer = LogObserver(config.log.level in _LEVELS_OF_USERS)
        self._observers.add(self._log_observer)
        self._access_log = AccessLog(monotonic(reactor))
        self._access_ended: Deferred[None] = succeed(None)
        self._observers.add(AccessObserver(self._access_log, wall_clock))
        self._composition = Composition(
            config=config,
            token=token,
            types=types,
            reactor=monotonic(reactor),
            state=state,
            ingress_options=dict(ingress_options),
            observers=self._observers,
            verifier=verifier,
            make_network=make_network,
            entrances=entrances,
            policies=dict(policies),
        )
        self._life = ServerLife()
        self._driver: CoreDriver[ServerAction] = CoreDriver(self._life, self._composition.reactor, self._act)
        self._parts: ServerParts | None = None
        self._starting: list[Deferred[None]] = []
        self._stopping: list[Deferred[None]] = []

    # --- the life of the service ------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._life.open(self._driver.now)
        self._driver.step()

    def startService(self) -> None:
        self._life.open(self._driver.now)
        self._driver.step()
        super().startService()
        self._life.start(self._driver.now)
        self._driver.step()

    def stopService(self) -> Deferred[None]:
        """Fires when nothing is left of it, or after the seconds that it gets to end."""
        services = super().stopService()
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        self._life.stop(self._driver.now)
        self._driver.step()
        stopped.addCallback(lambda _: services).addCallback(lambda _: self._access_ended)
        return stopped.addCallback(lambda _: None)

    def when_ready(self) -> Deferred[None]:
        """Fires once clients can log in; before the start it waits for that.

        Fails with :class:`relaykit.dataplane.listening.ListenFailed`,
        :class:`relaykit.errors.TransportSecurityError`, which names the file, or what the start of a
        configured proxy type failed with.
        """
        if self._life.failure is not None:
            return fail(self._life.failure)
        if self._life.state is ServerState.READY:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._starting.append(waiting)
        return waiting

    @property
    def state(self) -> ServerState:
        """Where it stands."""
        return self._life.state

    @property
    def since(self) -> float | None:
        """When it got there, by its own clock, in seconds; None before the first start."""
        return self._life.since

    @property
    def port(self) -> int:
        """The port that clients dial; 0 while there is none."""
        return 0 if self._parts is None else self._parts.port

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate while it runs, else empty; what clients may pin."""
        return "" if self._parts is None else self._parts.fingerprint

    def reload(self, loaded: LoadedServer, token: Secret) -> Deferred[Changes[ServerConfig]]:
        """Goes on with another configuration, as far as that is possible; fires with what is different in it.

        What clients log in with counts for logins from then on: sessions that there are live on.  Fails with
        :class:`relaykit.errors.RelaykitError`, with nothing changed, where a file cannot be used or a port
        cannot be opened.
        """
        return execute(self._reloaded, loaded, token)

    def _reloaded(self, loaded: LoadedServer, token: Secret) -> Changes[ServerConfig]:
        former = self._composition
        found = changes(former.config, loaded.config)
        of_types = _ingress_changes(former.ingress_options, loaded.ingress_options)
        ingress_options = {name: each.config for name, each in of_types.items()}
        composition = evolve(former, config=found.config, token=token, ingress_options=ingress_options)
        if self._parts is not None:
            self._parts.adopt(composition)
            self._access_log.change(access_settings(composition.config.log))
        self._composition = composition
        self._log_observer.follows_users = found.config.log.level in _LEVELS_OF_USERS
        self._observers.look_again()
        return evolve(found, keys=_together(found, *of_types.values()))

    @property
    def config(self) -> ServerConfig:
        """Its configuration, as it counts now."""
        return self._composition.config

    @property
    def ingress_options(self) -> Mapping[str, Options]:
        """Those of the proxy types that are configured, likewise."""
        return self._composition.ingress_options

    # --- what others may ask of it and do to it ---------------------------------------------------

    def observe(self, observer: IServerObserver) -> None:
        """Tells this one from now on what happens; the log is told as well, before all others."""
        self._observers.add(observer)

    def stop_observing(self, observer: IServerObserver) -> None:
        """Tells this one no more."""
        self._observers.remove(observer)

    def status(self) -> ServerStatus:
        """The server at this moment, with all that it knows of clients and proxies."""
        state, since, parts = self._life.state, self._life.since, self._parts
        if parts is None:
            return ServerStatus(state=state, since=since, version=__version__)
        return ServerStatus(
            state=state,
            since=since,
            version=__version__,
            port=parts.port,
            fingerprint=parts.fingerprint,
            clients=tuple(self.client_statuses()),
            proxies=tuple(
                ProxyStatus.of(each, parts.registry.get(each.name)) for each in parts.accounting.proxies()
            ),
            groups=tuple(GroupStatus.of(each) for each in parts.registry.groups),
            flows=parts.data_plane.counts(),
        )

    def client_statuses(self) -> Iterator[ClientStatus]:
        """The clients, those that are logged in first."""
        parts = self._parts
        if parts is not None:
            for each in parts.accounting.clients():
                session = None if each.disconnected_at else parts.sessions.get(each.login.client.run_id)
                if session is None:
                    yield ClientStatus.of(each, "", None)
                else:
                    yield ClientStatus.of(each, session.carrier, session.round_trip_s)

    def counts(self) -> tuple[int, int, int]:
        """How many clients are logged in, proxies are registered and users are served at the moment."""
        parts = self._parts
        if parts is None:
            return 0, 0, 0
        return len(parts.sessions), len(parts.registry), len(parts.data_plane.flows)

    def traffic(self) -> FlowCounts:
        """What is moved, and was moved up to now, of all users together."""
        return FlowCounts() if self._parts is None else self._parts.data_plane.counts()

    def queues(self) -> Mapping[str, int]:
        """How long each queue is, by what waits in it."""
        return {} if self._parts is None else self._parts.queues()

    def rendezvous_outcomes(self) -> Mapping[str, int]:
        """How rendezvous of two clients have ended up to now, by the reason."""
        return {} if self._parts is None else self._parts.rendezvous_outcomes()

    def moved_by_carrier(self) -> Mapping[str, tuple[int, int]]:
        """Bytes to clients and to users, by what the clients came by."""
        return {} if self._parts is None else self._parts.registry.moved_by_carrier()

    def proxy_counts(self) -> list[ProxyCounts]:
        """How all proxies fare, those that are open first; for thousands of them in some milliseconds."""
        parts = self._parts
        if parts is None:
            return []
        return [ProxyCounts.of(each, parts.registry.get(each.name)) for each in parts.accounting.proxies()]

    def proxy_status(self, name: str) -> ProxyStatus | None:
        """The proxy of a name, open or closed; costs the same however many there are."""
        parts = self._parts
        totals = None if parts is None else parts.accounting.proxy(name)
        if parts is None or totals is None:
            return None
        return ProxyStatus.of(totals, parts.registry.get(name))

    def usage(self) -> Iterator[Usage]:
        """What each proxy was used for, those that are closed included.

        Each is looked at when it is asked for: whoever goes through them may let others have their turns.
        """
        parts = self._parts
        if parts is not None:
            for totals in list(parts.accounting.proxies()):
                yield usage_of(totals, parts.registry.get(totals.name))

    async def probe(self, name: str) -> ProbeResult | None:
        """Looks how far a user of an open proxy would get; None if there is none.

        :raises RefusedError: that cannot be done, or not now.
        """
        parts = self._parts
        proxy = None if parts is None else parts.registry.get(name)
        return None if parts is None or proxy is None else await parts.probes.probe(proxy)

    def flows(self) -> list[ProxyFlow]:
        """The flow of each user, also of those who wait: has ``proxy`` and ``origin``, and can be ended."""
        return [] if self._parts is None else list(self._parts.registry.flows())

    def end_proxy(self, name: str) -> Deferred[bool]:
        """Closes a proxy and ends its flows; fires with whether there was one, once its name is free.

        Its client is not told, for frp's protocol cannot: it registers the proxy again in its next session.
        """
        proxy = None if self._parts is None else self._parts.registry.get(name)
        if self._parts is None or proxy is None:
            return succeed(False)
        ending, registry = proxy, self._parts.registry

        async def end() -> bool:
            ending.end_flows(Ended.OPERATOR)
            try:
                await registry.withdraw(ending, Ended.OPERATOR)
            finally:
                # Users may have come until here.
                ending.end_flows(Ended.OPERATOR)
            return True

        return Deferred.fromCoroutine(end())

    def end_client(self, run_id: str, reason: str = "") -> Deferred[bool]:
        """Ends the session of a client, its proxies and its flows; fires with whether there was one.

        :param reason: in words, for the log and for a client that can be told.  It may log in again at once.
        """
        session = None if self._parts is None else self._parts.sessions.get(run_id)
        if self._parts is None or session is None:
            return succeed(False)
        for flow in self._parts.registry.flows():
            if flow.proxy.session is session:
                flow.end(Ended.OPERATOR)
        return session.end(Ended.OPERATOR, reason).addCallback(lambda _: True)

    def forget_closed_proxies(self) -> int:
        """Forgets the totals of all proxies that are closed, and answers of how many."""
        return 0 if self._parts is None else self._parts.accounting.forget_gone_proxies()

    # --- what the life asks for -------------------------------------------------------------------

    def _act(self, action: ServerAction) -> None:
        _ACTIONS[action](self)

    def _open(self) -> None:
        try:
            parts = self._composition.compose()
            parts.open()
        except Exception as error:
            self._fail(error)
        else:
            self._parts = parts
            self._access_log.change(access_settings(self.config.log))
            self._observers.look_again()

    def _start(self) -> None:
        assert self._parts is not None
        self._run(self._parts.start(), self._life.started).addErrback(self._not_started)

    def _tell(self) -> None:
        waiting, self._starting = self._starting, []
        if self._life.failure is None:
            self.log.info("the server started successfully")
        for each in waiting:
            if self._life.failure is None:
                each.callback(None)
            else:
                each.errback(self._life.failure)

    def _drain(self) -> None:
        assert self._parts is not None
        self._run(self._parts.drain(), self._life.drained).addErrback(self._defect)

    def _end_flows(self) -> None:
        assert self._parts is not None
        self._parts.end_flows()

    def _close(self) -> None:
        assert self._parts is not None
        self._run(self._parts.close(), self._life.closed).addErrback(self._defect)

    def _finish(self) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.release()
        self._access_ended = self._end_access_log([] if parts is None else parts.registry.flows())
        stopping, self._stopping = self._stopping, []
        for each in stopping:
            each.callback(None)

    def _end_access_log(self, users: Iterable[ProxyFlow]) -> Deferred[None]:
        """Ends the log of users, once it has those who were cut."""
        if not self._access_log.is_on:
            return succeed(None)
        ended: Deferred[Any] = DeferredList([each.when_ended() for each in users], consumeErrors=True)
        ended.addTimeout(_CUT_S, self._composition.reactor, lambda *_: None)
        ended.addCallback(lambda _: self._access_log.close())
        return ended.addCallback(lambda _: self._observers.look_again())

    def _run(self, work: Coroutine[Deferred[Any], Any, None], step: Any) -> Deferred[None]:
        """Does a part of what the life asks for, and tells it, unless another run has begun meanwhile."""
        parts = self._parts

        def done(_: None) -> None:
            if self._parts is parts:
                step(self._driver.now)
                self._driver.step()

        return Deferred.fromCoroutine(work).addCallback(done)

    def _fail(self, error: Exception) -> None:
        self.log.error(
            "the server cannot start: {reason}", reason=str(error), problem=problem_of(error, "cannot-start")
        )
        self._life.failed(error, self._driver.now)
        self._driver.step()

    def _not_started(self, failure: Failure) -> None:
        if self._life.state is not ServerState.STARTING:
            # It was stopped meanwhile, which ends the start.
            return
        parts, self._parts = self._parts, None
        assert parts is not None and isinstance(failure.value, Exception)
        self._fail(failure.value)
        parts.close_soon()

    def _defect(self, failure: Failure) -> None:
        self.log.failure("a defect while the server was stopping", failure)


def _ingress_changes(
    running: Mapping[str, Options], read: Mapping[str, Options]
) -> dict[str, Changes[Options]]:
    """What is different in the options of proxy types; one that is not configured has its defaults."""
    found = {}
    for name in sorted({*running, *read}):
        default = type({**running, **read}[name])()
        before, after = (each.get(name, default) for each in (running, read))
        found[name] = changes(before, after, f"proxyTypes.{name}.")
    return found


def _together(*found: Changes[Any]) -> Mapping[Effect, tuple[str, ...]]:
    """The keys of all; several types may have one."""
    return {when: tuple(dict.fromkeys(key for each in found for key in each.keys[when])) for when in Effect}


_ACTIONS = {
    ServerAction.OPEN: RelayServer._open,
    ServerAction.START: RelayServer._start,
    ServerAction.TELL: RelayServer._tell,
    ServerAction.DRAIN: RelayServer._drain,
    ServerAction.END_FLOWS: RelayServer._end_flows,
    ServerAction.CLOSE: RelayServer._close,
    ServerAction.FINISH: RelayServer._finish,
}

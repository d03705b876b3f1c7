"""The client as a Twisted service: what a program starts, stops, asks and changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.logger import Logger

from relaykit.client.exchanges import ExchangeObservers
from relaykit.client.keeping import Keeping
from relaykit.client.network import Network, make_network
from relaykit.client.registrar import proxy_type_of
from relaykit.client.run import ClientRun
from relaykit.client.status import ClientStatus
from relaykit.client.visits import visited_type_of
from relaykit.clock import monotonic
from relaykit.config.rules.changing import Changes, changes
from relaykit.driver import CoreDriver
from relaykit.errors import RelaykitError, SessionLost, ended_by, problem_of
from relaykit.options import Effect
from relaykit.sansio.control.backoff import Backoff
from relaykit.sansio.control.client_life import (
    DRAIN_S,
    STAND_BY_S,
    ClientLife,
    LifeAction,
    LifeState,
)
from relaykit.sansio.control.liveness import PROBE_TIMEOUT_S, UNREACHABLE_TIMEOUT_S
from relaykit.values import ClientIdentity, Ended

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.client.hosts import ServedUser
    from relaykit.client.session import Session
    from relaykit.config.definitions import Definitions
    from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor, LoadedClient
    from relaykit.config.schema import ClientConfig
    from relaykit.config.store import Store
    from relaykit.interfaces import IBackend, IExchangeObserver, IFlow, IProver, IVisitor
    from relaykit.plugins import ProxyTypes
    from relaykit.state import StateDirectory
    from relaykit.values import Secret, Usage

__all__ = ["RelayClient"]

_ENDING = (LifeState.DRAINING, LifeState.CLOSING, LifeState.ABORTING, LifeState.STOPPED)


class RelayClient(MultiService):
    """The client: does what its life says, with the parts that one run of it has.

    Constructing opens nothing.  A client that was stopped can be started again, once the Deferred of
    :meth:`stopService` has fired.

    :param loaded: its configuration, with what it registers at the server and what it visits.
    :param state: where it keeps what outlives a restart.
    :param make_network: called when the service starts.
    :param prover: proves who it is; None for one that proves the token, as the configuration says.
    :ivar keeping: changes what is kept beside the files, where there is a store.
    """

    log = Logger()

    def __init__(
        self,
        loaded: LoadedClient,
        token: Secret,
        types: ProxyTypes,
        reactor: Any,
        state: StateDirectory | None = None,
        make_network: Callable[[ClientConfig, Any], Network] = make_network,
        prover: IProver | None = None,
    ) -> None:
        super().__init__()
        self._config = config = loaded.config
        self._proxies: Sequence[ConfiguredProxy] = loaded.proxies
        self._visitors: Sequence[ConfiguredVisitor] = loaded.visitors
        self._loaded = loaded
        """What the files say, and what is kept beside them."""
        self.keeping = Keeping(self._present_store, self._take_store)
        self._token = token
        self._types = types
        self._reactor = monotonic(reactor)
        self._state = state
        self._make_network = make_network
        self._prover = prover
        self._exchange_observers = ExchangeObservers()
        self._reloading = DeferredLock()
        self._renewal: Deferred[None] | None = None
        """Fires once there is the session that a reload has asked for, and before it is served."""
        self._run: ClientRun | None = None
        self._login: Deferred[Session] | None = None
        self._awaiting_login: list[Deferred[str]] = []
        self._awaiting_end: list[Deferred[None]] = []
        self._services_stopped: Deferred[Any] = succeed(None)
        """Fires once ports, and paths to visitors, are closed."""
        self._life = ClientLife(Backoff(random.random, login_fail_exit=bool(config.login_fail_exit)))
        self._driver: CoreDriver[LifeAction] = CoreDriver(self._life, self._reactor, self._on_action)
        self._actions: dict[LifeAction, Callable[[ClientRun], None]] = {
            LifeAction.DIAL: self._dial,
            LifeAction.ASK: self._ask,
            LifeAction.RENEW: self._renew,
            LifeAction.CANCEL: self._cancel,
            LifeAction.SERVE: self._serve,
            LifeAction.PROBE: self._probe,
            LifeAction.GIVE_UP: self._give_up,
            LifeAction.WITHDRAW: lambda run: run.proxies.withdraw_all(),
            LifeAction.DRAIN: self._drain,
            LifeAction.END_FLOWS: lambda run: run.data_plane.end_all(Ended.STOPPED),
            LifeAction.CLOSE: self._close,
            LifeAction.ABORT: lambda run: run.abort_session(Ended.STOPPED),
            LifeAction.RELEASE: self._release,
        }

    # --- what a program does with it --------------------------------------------------------------

    def startService(self) -> None:
        """Starts it.

        :raises LocalProtocolError: it runs, or is still stopping.
        :raises PluginError: a proxy or a visitor cannot be made; the text names it.
        :raises VirtualNetworkError: the device of the virtual network cannot be made.
        """
        if self._life.state is LifeState.STOPPED:
            self._run = self._make_run()
            self._run.setServiceParent(self)
        self._life.start(self._driver.now)
        super().startService()
        self._driver.step()

    def stopService(self) -> Deferred[None]:
        """Stops it: no new users come, those that are there get some seconds.

        Fires once nothing is left: no session, no flow, no port, no timer; what a defect keeps from ending is
        left after some seconds.
        """
        ended: Deferred[None] = Deferred()
        self._awaiting_end.append(ended)
        self._life.stop(self._driver.now)
        self._driver.step()
        return ended

    def update(self, proxies: Sequence[ConfiguredProxy], visitors: Sequence[ConfiguredVisitor]) -> None:
        """Replaces what is registered and what is visited, whatever the client does at the moment.

        An entry that is as it was keeps its registration or its port.  One that changed is taken back
        and registered again.  Streams that run go on in any case; datagrams end with their port or lane.

        :raises PluginError: an entry cannot be used, which the text names; nothing is changed then.
        """
        run = self._live_run
        if run is None:
            self._check(proxies, visitors)
        else:
            run.update(proxies, visitors)
        self._proxies, self._visitors = proxies, visitors

    def reload(self, loaded: LoadedClient, token: Secret) -> Deferred[Changes[ClientConfig]]:
        """Goes on with another configuration, as far as that is possible; fires with what is different in it.

        Proxies and visitors are replaced as by :meth:`update`.  Where a login has to be another one, there is
        a new session before the present one is given up, whose users stay.  Nothing is changed where the
        Deferred fails: with :class:`relaykit.errors.PluginError` where an entry cannot be used, and with what
        a login fails with.  One reload waits for the other.
        """
        reloaded: Deferred[Changes[ClientConfig]] = self._reloading.run(
            lambda: Deferred.fromCoroutine(self._reloaded(loaded, token))
        )
        return reloaded

    async def _reloaded(self, loaded: LoadedClient, token: Secret) -> Changes[ClientConfig]:
        found, read = changes(self._config, loaded.config), loaded
        loaded, store = self._beside_store(read), self.store
        if found.keys[Effect.AT_LOGIN] or token != self._token:
            self._check(loaded.proxies, loaded.visitors)
            await self._log_in_anew(found.config, token)
        # A new session begins with what it is for.
        if self.store is not store:
            loaded = self._beside_store(read)
        self.update(loaded.proxies, loaded.visitors)
        if loaded.store is read.store:
            self.keeping.begin_anew()
        self._config, self._token, self._loaded = found.config, token, loaded
        return found

    def _take_store(self, store: Store) -> None:
        """Goes on with another store, as by :meth:`update`; nothing else is read again."""
        loaded = self._loaded.with_store(store)
        self.update(loaded.proxies, loaded.visitors)
        self._loaded = loaded

    def _present_store(self) -> Store:
        assert self._loaded.store is not None
        return self._loaded.store

    def _beside_store(self, loaded: LoadedClient) -> LoadedClient:
        """What files say now, with what is kept: by the file of the store where another program has changed
        it, and else by this client, which may have changed it since the files were read.

        :raises ConfigurationProblems: an entry of the store cannot be used beside them.
        """
        store, read = self._loaded.store, loaded.store
        if store is None or loaded.definitions is None:
            return loaded if read is None else loaded.without_store()
        if read is not None and read.path == store.path and self.keeping.is_of_others(read):
            return loaded
        return loaded.with_store(store.read_again(loaded.definitions))

    def _check(self, proxies: Sequence[ConfiguredProxy], visitors: Sequence[ConfiguredVisitor]) -> None:
        """Looks whether these can be what is registered and visited.

        :raises PluginError: one cannot.
        """
        run = self._live_run
        if run is not None:
            run.check(proxies, visitors)
            return
        for proxy in proxies:
            proxy_type_of(self._types, proxy)
        for visitor in visitors:
            visited_type_of(self._types, visitor)

    @property
    def _live_run(self) -> ClientRun | None:
        """The run that users may come to."""
        return None if self._life.state in _ENDING else self._run

    async def _log_in_anew(self, config: ClientConfig, token: Secret) -> None:
        """Has every login from now on be another one, if there is a session once the first one succeeded."""
        run = self._live_run
        if run is None:
            return
        run.prepare_access(config, token)
        if self._life.state is LifeState.CONNECTED:
            renewal = self._renewal = Deferred()
            self._life.renew(self._driver.now)
            self._driver.step()
            await renewal
        else:
            run.take_access()
            self._life.renew(self._driver.now)
            self._driver.step()

    def when_first_login(self) -> Deferred[str]:
        """Fires with the run id once the server has let this client in; before the start it waits for that.

        Fails with :class:`relaykit.errors.SessionLost` once it has been stopped before that.  Where the
        configuration says that a failure of the first login ends the program it fails with
        :class:`relaykit.errors.LoginRefusedError`, :class:`relaykit.errors.ConnectionFailed`,
        :class:`relaykit.errors.TransportSecurityError`, :class:`relaykit.errors.BindingFailedError` or
        :class:`relaykit.errors.SessionLost`.
        """
        if self._life.first_run_id is not None:
            return succeed(self._life.first_run_id)
        if self._life.failure is not None:
            return fail(self._life.failure)
        waiting: Deferred[str] = Deferred()
        self._awaiting_login.append(waiting)
        return waiting

    def when_registered(self) -> Deferred[None]:
        """Fires once users are let in to every proxy; call it while the client runs.

        Fails with :class:`relaykit.errors.ProxyRefusedError` once the server refuses one, which is asked for
        again all the same.
        """
        return succeed(None) if self._run is None else self._run.proxies.when_registered()

    def reconnect_now(self, reason: str) -> None:
        """The way to the server may be another one: a session is tested, else one is tried at once."""
        self.log.info("{reason}", run=self._life.run_id, reason=reason)
        if self._run is not None:
            self._run.network_changed()
        self._life.network_changed(self._driver.now)
        self._driver.step()

    # --- what others see of it ------------------------------------------------------------------------

    @property
    def config(self) -> ClientConfig:
        """Its configuration, without proxies and visitors."""
        return self._config

    @property
    def proxies(self) -> Sequence[ConfiguredProxy]:
        """What it registers, as configured."""
        return self._proxies

    @property
    def visitors(self) -> Sequence[ConfiguredVisitor]:
        """What it visits, as configured."""
        return self._visitors

    @property
    def definitions(self) -> Definitions | None:
        """What makes sense of single proxies and visitors beside these; None where it was made of none."""
        return self._loaded.definitions

    @property
    def store(self) -> Store | None:
        """What is kept beside the files; None where nothing is."""
        return self._loaded.store

    @property
    def is_connected(self) -> bool:
        """Whether there is a session with the server."""
        return self._run is not None and self._run.session is not None

    def count_flows(self) -> int:
        """How many users are served at the moment."""
        return 0 if self._run is None else len(self._run.data_plane.flows)

    @property
    def identity(self) -> ClientIdentity:
        """Who this client is to its server."""
        return ClientIdentity(self._life.run_id, self._config.user, self._config.client_id)

    def backend(self, name: str) -> IBackend | None:
        """The backend of the proxy that the server calls this, while the client runs."""
        found = None if self._run is None else self._run.proxies.find(name)
        return None if found is None else found[0]

    def visitor(self, name: str) -> IVisitor | None:
        """The visitor that is configured under a name, while the client runs: it takes users from anybody."""
        found = None if self._run is None else self._run.visitors.find(name)
        return None if found is None else found[0]

    def flows(self) -> Iterator[tuple[str, IFlow, ServedUser]]:
        """Who is served at the moment: by which proxy or visitor, the flow, and who it is."""
        return iter(()) if self._run is None else self._run.flows()

    def usage(self) -> Iterator[Usage]:
        """What each proxy that had a user was used for since the start, by the names of the configuration."""
        return iter(()) if self._run is None else self._run.accounting.usage()

    def observe(self, observer: IExchangeObserver) -> None:
        """Tells this one from now on of each exchange, where the type of a proxy sees any.

        It hears of users that come from then on, and their bytes cost more than without.
        """
        self._exchange_observers.add(observer)

    def stop_observing(self, observer: IExchangeObserver) -> None:
        """Tells this one no more."""
        self._exchange_observers.remove(observer)

    def status(self) -> ClientStatus:
        """How the client stands at this moment."""
        life, run = self._life, self._run
        if run is None:
            return ClientStatus()
        return ClientStatus(
            connected=run.session is not None,
            stopping=life.state in _ENDING,
            since=life.since,
            next_try=life.next_try,
            cut_at=life.cut_at,
            proxies=run.proxies.status(),
            visitors=run.visitors.status(),
            flows=run.data_plane.counts(),
            round_trip_s=None if run.session is None else run.session.round_trip_s,
            server_proof=run.server_proof,
            way=run.way,
            way_reason=run.way_reason,
        )

    def measure_round_trip(self) -> None:
        """Asks for a new measurement of the way to the server; :meth:`status` has it once it is there."""
        if self._run is not None and self._run.session is not None:
            self._run.session.measure_round_trip()

    def _make_run(self) -> ClientRun:
        run = ClientRun(
            self._config,
            self._token,
            self._types,
            self._reactor,
            self._state,
            self._make_network(self._config, self._reactor),
            lambda: self._life.run_id,
            self._exchange_observers,
            self._prover,
        )
        try:
            run.update(self._proxies, self._visitors)
            run.open_virtual_network()
        except Exception:
            run.release()
            raise
        run.network.watch(self.reconnect_now).setServiceParent(run)
        return run

    # --- logging in -----------------------------------------------------------------------------------

    def _on_action(self, action: LifeAction) -> None:
        if action is LifeAction.FINISH:
            self._finish()
        elif self._run is not None:
            self._actions[action](self._run)

    def _dial(self, run: ClientRun, *, stand_by: bool = False) -> None:
        self._await_login(run, run.log_in(stand_by=stand_by))

    def _renew(self, run: ClientRun) -> None:
        self._await_login(run, run.renew())

    def _await_login(self, run: ClientRun, login: Deferred[Session]) -> None:
        self.log.info("try to connect to server...", run=self._life.run_id)
        self._login = login
        login.addCallbacks(
            self._logged_in, self._login_failed, callbackArgs=(run, login), errbackArgs=(login,)
        ).addErrback(self._defect)

    def _ask(self, run: ClientRun) -> None:
        self._dial(run, stand_by=True)

    def _cancel(self, run: ClientRun) -> None:
        login, self._login = self._login, None
        if login is not None:
            login.cancel()
        self._renewed(SessionLost("the client was stopped, or its network changed, before the new login"))

    def _renewed(self, failure: Exception | None) -> None:
        """Tells a reload that there is the session that it has asked for, or why not."""
        renewal, self._renewal = self._renewal, None
        if renewal is not None and failure is None:
            renewal.callback(None)
        elif renewal is not None:
            renewal.errback(failure)

    def _logged_in(self, session: Session, run: ClientRun, login: Deferred[Session]) -> None:
        over = Deferred.fromCoroutine(session.over())
        if login is not self._login:
            # It was given up, and succeeded all the same: the session is nobody's.
            over.addErrback(self._defect)
            session.abort(Ended.CANCELLED)
            return
        self._login = None
        if self._renewal is not None:
            run.take_access()
            self._renewed(None)
        run.session = session
        over.addCallback(self._session_over, run).addErrback(self._defect)
        self._life.logged_in(session.run_id, self._driver.now)
        self._driver.step()

    def _login_failed(self, failure: Failure, login: Deferred[Session]) -> None:
        if login is not self._login:
            # It was given up, and whatever it failed with because of that is no news.
            return
        self._login = None
        error = failure.value
        assert isinstance(error, Exception)
        if isinstance(error, RelaykitError):
            self.log.warn(
                "connect to server error: {reason}",
                run=self._life.run_id,
                reason=str(error),
                ended=ended_by(error).value,
                closed=True,
                problem=problem_of(error, "no-session"),
            )
        else:
            self.log.failure("a defect while logging in", failure, run=self._life.run_id)
        self._life.login_failed(error, self._driver.now)
        self._driver.step()
        self._renewed(error)

    def _serve(self, run: ClientRun) -> None:
        run.serve()
        assert self._life.first_run_id is not None
        awaiting, self._awaiting_login = self._awaiting_login, []
        for each in awaiting:
            each.callback(self._life.first_run_id)

    def _give_up(self, run: ClientRun) -> None:
        assert self._life.failure is not None
        awaiting, self._awaiting_login = self._awaiting_login, []
        for each in awaiting:
            each.errback(self._life.failure)

    # --- the end of a session -------------------------------------------------------------------------

    def _probe(self, run: ClientRun) -> None:
        session = run.session
        if session is not None:
            moved = session.host and session.peer and run.network.has_moved(session.host, session.peer)
            session.probe(UNREACHABLE_TIMEOUT_S if moved else PROBE_TIMEOUT_S)

    def _session_over(self, over: tuple[Ended, str], run: ClientRun) -> None:
        why, text = over
        is_renewing = self._life.state is LifeState.RENEWING
        say = self.log.info if why is Ended.STOPPED or is_renewing else self.log.warn
        say(
            "[{run}] the session ended: {ended}{reason}",
            run=self._life.run_id,
            ended=why.value,
            reason=f" {text}" if text else "",
            closed=True,
            problem="session-ended",
        )
        if why is Ended.REPLACED and not is_renewing:
            self.log.warn(
                "another client with the identity of this one took its place: is this one running twice, or "
                "was its state directory copied?  This one stands by; every {seconds:g} s it asks whether "
                "the other one is gone",
                seconds=STAND_BY_S,
                problem="same-identity",
            )
        run.session_ended(why)
        self._tell(run, partial(self._life.session_ended, replaced=why is Ended.REPLACED))

    # --- the end of the client ------------------------------------------------------------------------

    def _drain(self, run: ClientRun) -> None:
        Deferred.fromCoroutine(self._drained(run)).addErrback(self._defect)

    async def _drained(self, run: ClientRun) -> None:
        self._services_stopped = MultiService.stopService(self)
        if run.data_plane.flows:
            self.log.info(
                "no new users from now on; {flows} flows get {seconds:g} s to end",
                flows=len(run.data_plane.flows),
                seconds=DRAIN_S,
            )
        await run.data_plane.when_idle()
        self._tell(run, self._life.drained)

    def _close(self, run: ClientRun) -> None:
        Deferred.fromCoroutine(self._closed(run)).addErrback(self._defect)

    async def _closed(self, run: ClientRun) -> None:
        if run.session is not None:
            run.session.close(Ended.STOPPED)
            await run.session.over()
        await run.data_plane.when_idle()
        await self._services_stopped
        self._tell(run, self._life.closed)

    def _tell(self, run: ClientRun, step: Callable[[float], None]) -> None:
        """Tells the life of an end, unless that comes so late that another run has begun."""
        if run is self._run:
            step(self._driver.now)
            self._driver.step()

    def _release(self, run: ClientRun) -> None:
        run.release()
        run.disownServiceParent()

    def _finish(self) -> None:
        never, self._awaiting_login = self._awaiting_login, []
        for login in never:
            login.errback(SessionLost("the client was stopped before it had logged in"))
        awaiting, self._awaiting_end = self._awaiting_end, []
        for each in awaiting:
            each.callback(None)

    def _defect(self, failure: Failure) -> None:
        self.log.failure("a defect in the life of the client", failure)

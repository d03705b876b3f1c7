"""The client as a Twisted service: keeps a session with its server, offers proxies, runs visitors."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from relaykit.client.access import Access
from relaykit.client.direct import HolePunchingService
from relaykit.client.identity import Identity
from relaykit.client.network import Network, make_network
from relaykit.client.offers import Offers, wire_name
from relaykit.client.remembered import RememberedServers
from relaykit.client.status import ClientStatus
from relaykit.client.visits import Visitors, visit
from relaykit.client.work import WorkConnections
from relaykit.clock import monotonic
from relaykit.errors import RelaykitError, RemoteProtocolError, SessionLost, ended_by, problem_of
from relaykit.interfaces import ISignalReceiver
from relaykit.sansio.control import events
from relaykit.sansio.control.backoff import Backoff
from relaykit.sansio.control.binding import Purpose
from relaykit.sansio.control.liveness import HOPELESS_TIMEOUT_S, PROBE_TIMEOUT_S
from relaykit.sansio.wire.cipher import derive_key
from relaykit.token_key import TokenKey, in_thread_of
from relaykit.values import ClientIdentity, Ended

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.client.session import Session
    from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor
    from relaykit.config.schema import ClientConfig
    from relaykit.interfaces import IDirectPaths, ISignalPeer, IStreamLeg
    from relaykit.options import VisitorCommon
    from relaykit.plugins import ProxyTypes
    from relaykit.state import StateDirectory
    from relaykit.values import Secret

__all__ = ["DRAIN_S", "RelayClient"]

YIELD_S = 60.0
"""Seconds between two questions whether another client with the same identity is gone: it may stay for
long, and who stands back has nothing to gain from asking more often."""

DRAIN_S = 10.0
"""Seconds that running flows get to end when the client stops; then they are cut."""


class RelayClient(MultiService):
    """The client.  Constructing opens nothing.

    :param proxies: what is offered.
    :param visitors: what is visited.
    :param state: where it keeps what outlives a restart.
    :param make_network: called when the service starts.
    """

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        proxies: Sequence[ConfiguredProxy],
        visitors: Sequence[ConfiguredVisitor],
        token: Secret,
        types: ProxyTypes,
        reactor: Any,
        state: StateDirectory | None = None,
        make_network: Callable[[ClientConfig, Any], Network] = make_network,
    ) -> None:
        super().__init__()
        self._config = config
        self._proxies = proxies
        self._visiting = visitors
        self._token = token
        self._types = types
        self._reactor = monotonic(reactor)
        self._state = state
        self._make_network = make_network
        self._run_id = ""
        self._session: Session | None = None
        self._work: WorkConnections | None = None
        self._loop: Deferred[None] | None = None
        self._first_login: str | None = None
        self._gave_up: Exception | None = None
        self._awaiting_login: list[Deferred[str]] = []
        self._stopping = False
        self._yields = False
        self._since: float | None = None
        self._next_try: float | None = None
        # The login that is under way, or the rest before the next: what hurry() cuts short.
        self._pending: Deferred[Any] | None = None

    # --- the life of the service ------------------------------------------------------------------

    def startService(self) -> None:
        config = self._config
        network = self._make_network(config, self._reactor)
        self._data_plane = network.data_plane
        self._has_moved = network.has_moved
        self._identity = Identity.taken(self._state)
        self._access = Access(
            config,
            self._token,
            network.route,
            self._reactor,
            self._identity,
            RememberedServers(self._state),
            TokenKey(self._token, in_thread_of(self._reactor)),
        )
        self._direct = HolePunchingService(
            self._reactor, network.network_info, lambda: self._session, config.server_addr
        )
        self._direct.setServiceParent(self)
        self._backoff = Backoff(random.random, login_fail_exit=bool(config.login_fail_exit))
        self._offers = Offers(
            self._proxies, config.user, self._types, self, network.data_plane, network.dial, self._reactor
        )
        self._offers.setServiceParent(self)
        self._visitors = Visitors(
            self._visiting, config.user, self._types, self, network.data_plane, network.listen, self._reactor
        )
        network.watch(self.hurry).setServiceParent(self)
        super().startService()
        self._stopping = False
        self._since = self._reactor.seconds()
        self._loop = Deferred.fromCoroutine(self._keep_session())
        self._loop.addErrback(self._defect)

    def when_first_login(self) -> Deferred[str]:
        """Fires with the run id once the server has let this client in.

        Where the configuration says that a failure of the first login ends the program it fails with
        :class:`relaykit.errors.LoginRefusedError`, :class:`relaykit.errors.ConnectionFailed`,
        :class:`relaykit.errors.TransportSecurityError`, :class:`relaykit.errors.BindingFailedError` or
        :class:`relaykit.errors.SessionLost`.
        """
        if self._first_login is not None:
            return succeed(self._first_login)
        if self._gave_up is not None:
            return fail(self._gave_up)
        waiting: Deferred[str] = Deferred()
        self._awaiting_login.append(waiting)
        return waiting

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        loop, self._loop = self._loop, None
        if self._session is not None:
            self._offers.withdraw_all()
        await MultiService.stopService(self)
        if loop is None:
            return
        if self._data_plane.flows:
            self.log.info(
                "no new users from now on; {flows} flows get {seconds:g} s to end",
                flows=len(self._data_plane.flows),
                seconds=DRAIN_S,
            )
        with contextlib.suppress(DeadlinePassed):
            await self._data_plane.when_idle().addTimeout(DRAIN_S, self._reactor)
        self._data_plane.end_all(Ended.STOPPED)
        await self._data_plane.when_idle()
        if self._session is not None:
            self._session.close(Ended.STOPPED)
        else:
            loop.cancel()
        await loop
        self._identity.release()
        self._data_plane.close()
        for service in list(self):
            service.disownServiceParent()

    # --- what others see of it ------------------------------------------------------------------------

    def status(self) -> ClientStatus:
        """How the client stands at this moment."""
        if self._since is None:
            return ClientStatus()
        session = self._session
        return ClientStatus(
            connected=session is not None,
            stopping=self._stopping,
            since=self._since,
            next_try=self._next_try,
            proxies=self._offers.status(),
            visitors=self._visitors.status(),
            flows=self._data_plane.counts(),
            round_trip_s=None if session is None else session.round_trip_s,
        )

    def measure_round_trip(self) -> None:
        """Asks for a new measurement of the way to the server; :meth:`status` has it once it is there."""
        if self._session is not None:
            self._session.measure_round_trip()

    # --- what backends and visitors see of the session ---------------------------------------------

    @property
    def identity(self) -> ClientIdentity:
        """Who this client is to its server."""
        return ClientIdentity(self._run_id, self._config.user, self._config.client_id)

    @property
    def half_close(self) -> bool:
        """Whether the server passes half-close through."""
        return self._session is not None and self._session.half_close

    @property
    def takes_signals(self) -> bool:
        """Whether there is a server that takes signals."""
        return self._session is not None and self._session.takes_signals

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to the server half of a proxy type; lost where there is no session."""
        if self._session is not None:
            self._session.signal(proxy_name, visitor_name, body)

    def open_visit(self, common: VisitorCommon) -> Deferred[IStreamLeg]:
        """A leg through the server to the proxy that a visitor visits, transforms included."""
        if self._session is None:
            return fail(SessionLost("there is no session with the server at the moment"))
        name = wire_name(common.server_user or self._config.user, common.server_name)
        return Deferred.fromCoroutine(
            visit(self._session, common, name, self._reactor, self._access.unix_time, os.urandom)
        )

    def make_direct_paths(self, peer: ISignalPeer) -> IDirectPaths:
        """What makes direct paths for one backend or visitor."""
        return self._direct.make_direct_paths(peer)

    # --- one session after the other ----------------------------------------------------------------

    async def _keep_session(self) -> None:
        while not self._stopping:
            try:
                delay_s = await self._have_session()
            except RelaykitError as error:
                self.log.warn(
                    "connect to server error: {reason}",
                    run=self._run_id,
                    reason=str(error),
                    ended=ended_by(error).value,
                    problem=problem_of(error, "no-session"),
                )
                next_s = YIELD_S if self._yields else self._backoff.failed()
                if next_s is None:
                    self._give_up(error)
                    return
                delay_s = next_s
            except CancelledError:
                # This client stops, or it is in a hurry.
                continue
            if not self._stopping:
                await self._rest(delay_s)

    async def _rest(self, delay_s: float) -> None:
        self._next_try = self._reactor.seconds() + delay_s
        self._pending = deferLater(self._reactor, delay_s)
        with contextlib.suppress(CancelledError):
            await self._pending
        self._next_try = None

    def hurry(self, reason: str) -> None:
        """The way to the server may be another one: a session is tested, else one is tried at once."""
        self.log.info("{reason}", run=self._run_id, reason=reason)
        self._direct.network_changed()
        self._backoff.forget()
        session = self._session
        if session is not None:
            moved = session.host and session.peer and self._has_moved(session.host, session.peer)
            session.probe(HOPELESS_TIMEOUT_S if moved else PROBE_TIMEOUT_S)
        elif self._pending is not None:
            self._pending.cancel()

    async def _have_session(self) -> float:
        """Logs in and stays until the session ends; answers how long to wait before the next."""
        self.log.info("try to connect to server...", run=self._run_id)
        self._pending = Deferred.fromCoroutine(
            self._access.log_in(self._run_id, self._happened, yields=self._yields)
        )
        session: Session = await self._pending
        try:
            self._begin(session)
        except Exception:
            session.close(Ended.INTERNAL_ERROR)
            self._finish()
            raise
        why, text = await session.over()
        self._finish()
        say = self.log.info if self._stopping else self.log.warn
        say("[{run}] the session ended: {ended} {reason}", run=self._run_id, ended=why.value, reason=text)
        if why is Ended.REPLACED:
            return self._replaced()
        return self._backoff.ended(self._reactor.seconds())

    def _replaced(self) -> float:
        """Another program has the same identity and was let in with it: this one must not fight for it."""
        self._yields = True
        self._run_id = ""
        self.log.warn(
            "another client with the identity of this one took its place: is this one running twice, or was "
            "its state directory copied?  This one stands back; every {seconds:g} s it asks whether the "
            "other one is gone",
            seconds=YIELD_S,
            problem="same-identity",
        )
        return YIELD_S

    def _begin(self, session: Session) -> None:
        self._run_id = session.run_id
        self._yields = False
        self._session = session
        self._since = self._reactor.seconds()
        self._backoff.established(self._since)
        self._work = WorkConnections(
            partial(session.open_leg, Purpose.WORK),
            session.framing,
            session.run_id,
            session.prover,
            self._offers.find,
            derive_key(self._token.to_bytes()),
            os.urandom,
        )
        self.log.info(
            "[{run}] login to server success, get run id [{run}]",
            run=session.run_id,
            wire=session.framing.version,
            bound=session.is_bound,
        )
        if self._offers.names:
            self.log.info(
                "[{run}] proxy added: [{proxies}]", run=self._run_id, proxies=" ".join(self._offers.names)
            )
        self._offers.session_started(session)
        self._direct.session_started()
        if self._visitors.parent is None:
            self._visitors.setServiceParent(self)
            if self._visitors.names:
                self.log.info(
                    "[{run}] visitor added: [{visitors}]",
                    run=self._run_id,
                    visitors=" ".join(self._visitors.names),
                )
        self._visitors.session_started()
        self._first_login = self._first_login or session.run_id
        awaiting, self._awaiting_login = self._awaiting_login, []
        for each in awaiting:
            each.callback(self._first_login)

    def _finish(self) -> None:
        self._session = None
        self._since = self._reactor.seconds()
        if self._work is not None:
            self._work.close()
            self._work = None
        self._offers.session_ended()
        self._visitors.session_ended()

    def _happened(self, event: events.SessionEvent) -> None:
        if isinstance(event, events.WorkRequested):
            if self._work is not None:
                self._work.open(1)
        elif isinstance(event, events.ProxyRegistered):
            self._offers.accepted(event.name, event.address)
        elif isinstance(event, events.ProxyRefused):
            self._offers.refused(event.name, event.text)
        elif isinstance(event, events.SignalReceived):
            self._signaled(event)

    def _signaled(self, event: events.SignalReceived) -> None:
        found: tuple[Any, Any] | None
        if event.visitor_name:
            found = self._visitors.find(event.visitor_name)
        else:
            offered = self._offers.backend(event.proxy_name)
            found = None if offered is None else (offered.backend, offered.host)
        if found is not None and ISignalReceiver.providedBy(found[0]):
            Deferred.fromCoroutine(found[0].signal_received(found[1], event.body)).addErrback(
                self._signal_failed, found[1].name
            )

    def _signal_failed(self, failure: Failure, name: str) -> None:
        if failure.check(RemoteProtocolError):
            self.log.warn(
                "[{run}] [{name}] a signal makes no sense: {reason}",
                run=self._run_id,
                name=name,
                reason=failure.getErrorMessage(),
                problem="broke-the-rules",
            )
        else:
            self.log.failure(
                "[{run}] [{name}] a defect while a signal was taken", failure, run=self._run_id, name=name
            )

    def _defect(self, failure: Any) -> None:
        self.log.failure("a defect in the client; it does not try to connect any more", failure)
        self._give_up(failure.value)

    def _give_up(self, why: Exception) -> None:
        self._gave_up = why
        awaiting, self._awaiting_login = self._awaiting_login, []
        for each in awaiting:
            each.errback(why)

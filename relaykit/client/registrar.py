"""The proxies of this client: their backends, and having them registered in every session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred

from relaykit.client.health import Check, HealthWatch, make_check
from relaykit.client.hosts import BackendHost
from relaykit.client.starting import GuardedServices, differing, naming, planned
from relaykit.client.status import ProxyStatus
from relaykit.driver import CoreDriver
from relaykit.errors import BrokenProxyType, ProxyRefusedError, RefusalCode, problem_of
from relaykit.interfaces import IRegistrant
from relaykit.options import to_wire
from relaykit.sansio.control.health import (
    BecameHealthy,
    BecameUnhealthy,
    CheckFailed,
    CheckPace,
    Health,
    HealthEvent,
    HealthState,
)
from relaykit.sansio.control.registration import (
    RegistrationAccepted,
    RegistrationDue,
    RegistrationEvent,
    RegistrationRefused,
    Registrations,
    RegistrationState,
    WithdrawalDue,
)
from relaykit.sansio.wire.framing import MessageTooLong
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from relaykit.client.hosts import HostedClient
    from relaykit.client.session import Session
    from relaykit.config.load import ConfiguredProxy
    from relaykit.interfaces import IBackend, IProxyType
    from relaykit.plugins import ProxyTypes

__all__ = ["LocalProxy", "ProxyRegistrar", "proxy_type_of", "wire_name"]


def wire_name(user: str, name: str) -> str:
    """What a proxy is called on the server: unique over all clients, so users prefix theirs."""
    return f"{user}.{name}" if user else name


def proxy_type_of(types: ProxyTypes, configured: ConfiguredProxy) -> IProxyType:
    """The type of a proxy.

    :raises PluginError: it cannot be used; the text names the proxy.
    """
    with naming(f'proxy "{configured.common.name}"'):
        return types.get(configured.type_name)


@frozen(eq=False)
class LocalProxy:
    """A configured proxy: its backend, and what that may use."""

    configured: ConfiguredProxy
    backend: IBackend
    host: BackendHost
    type: IProxyType
    check: Check | None = None
    """What looks whether its local service is healthy; None if nothing does."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.configured.common.name

    def fields(self) -> Mapping[str, Any]:
        """What the server is told of it.

        :raises ProxyRefusedError: nothing.
        """
        options, backend = self.configured.options, self.backend
        if IRegistrant.providedBy(backend):
            options = backend.registered_options()
        return {**to_wire(self.configured.common), **to_wire(options)}


class ProxyRegistrar(GuardedServices):
    """Has proxies registered while there is a session and they are healthy, and knows their backends.

    :param server_host: answers where users find the server.
    """

    def __init__(
        self, client: HostedClient, types: ProxyTypes, user: str, server_host: Callable[[], str]
    ) -> None:
        super().__init__()
        self._client = client
        self._types = types
        self._user = user
        self._server_host = server_host
        self._session: Session | None = None
        self._proxies: dict[str, LocalProxy] = {}
        self._answers: dict[str, RegistrationAccepted | RegistrationRefused] = {}
        self._registrations = Registrations()
        self._awaiting: list[Deferred[None]] = []
        self._driver: CoreDriver[RegistrationEvent] = CoreDriver(
            self._registrations, client.clock, self._on_event
        )
        self._health = HealthWatch(client, self._on_health)

    @property
    def names(self) -> list[str]:
        """The names of all proxies as configured, sorted."""
        return sorted(proxy.name for proxy in self._proxies.values())

    @property
    def wire_names(self) -> list[str]:
        """What the server calls them."""
        return list(self._proxies)

    def status(self) -> tuple[ProxyStatus, ...]:
        """How each proxy stands, in the order of the configuration."""
        return tuple(self._status(name, proxy) for name, proxy in self._proxies.items())

    def when_registered(self) -> Deferred[None]:
        """Fires once users are let in to every proxy.

        Fails with :class:`relaykit.errors.ProxyRefusedError` once the server refuses one.
        """
        waiting: Deferred[None] = Deferred()
        self._awaiting.append(waiting)
        self._tell_awaiting()
        return waiting

    def exposed(self, name: str) -> LocalProxy | None:
        """The proxy that the server calls this, if it is exposed."""
        is_exposed = self._registrations.state(name) is RegistrationState.RUNNING
        return self._proxies.get(name) if is_exposed else None

    def find(self, name: str) -> tuple[IBackend, BackendHost] | None:
        """The backend of the proxy that the server calls this, and what it may use; exposed or not."""
        proxy = self._proxies.get(name)
        return None if proxy is None else (proxy.backend, proxy.host)

    def of_type(self, name: str) -> Iterator[tuple[IBackend, BackendHost]]:
        """The backends of a proxy type, and what each may use; exposed or not."""
        return ((each.backend, each.host) for each in self._proxies.values() if each.type.name == name)

    def hosts(self) -> Iterator[BackendHost]:
        """What the backends may use."""
        return (proxy.host for proxy in self._proxies.values())

    # --- what is registered ---------------------------------------------------------------------------

    def startService(self) -> None:
        super().startService()
        for name in self._proxies:
            self._begin(name)
        self._driver.step()

    def stopService(self) -> Deferred[Any]:
        self._health.forget_all()
        stopped: Deferred[Any] = super().stopService()
        return stopped

    def planned(self, proxies: Sequence[ConfiguredProxy]) -> dict[str, LocalProxy]:
        """What :meth:`update` makes of a configuration: new backends, and what is there as it is.

        :raises PluginError: a backend cannot be made; the text names the proxy.
        """
        wanted = [(wire_name(self._user, each.common.name), each) for each in proxies]
        return planned(self._proxies, wanted, self._make)

    def update(self, plan: Mapping[str, LocalProxy]) -> tuple[list[str], list[str]]:
        """Replaces what is registered; answers the names that went and those that came, sorted.

        What is in the plan already stays as it is.  What is not is taken back: the flows that run go
        on, as with frp's reload.
        """
        gone, came = differing(self._proxies, plan), differing(plan, self._proxies)
        removed = sorted(self._proxies[name].name for name in gone)
        for name in gone:
            self._health.forget(name)
            self._registrations.withdraw(name)
        self._driver.step()
        for name in gone:
            self.dismiss(self._proxies[name].backend)
            self._proxies[name].host.close()
            self._answers.pop(name, None)
        self._proxies = dict(plan)
        for name in came:
            self.adopt(plan[name].backend, plan[name].name)
            if self.running:
                self._begin(name)
        self._driver.step()
        return removed, sorted(plan[name].name for name in came)

    def withdraw_all(self) -> None:
        """Takes every proxy back for good: no new users come, those that are there go on."""
        self._health.forget_all()
        for name in self._proxies:
            self._registrations.withdraw(name)
        self._driver.step()

    def _make(self, configured: ConfiguredProxy, name: str) -> LocalProxy:
        common, options = configured.common, configured.options
        host = BackendHost(self._client, common, name)
        check = make_check(self._client, common)
        proxy_type = proxy_type_of(self._types, configured)
        self._client.messages.use(proxy_type)
        try:
            backend = proxy_type.make_backend(options, host)
        except Exception as error:
            raise BrokenProxyType(f'proxy "{common.name}": its backend cannot be made: {error}') from error
        return LocalProxy(configured, backend, host, proxy_type, check)

    def _begin(self, name: str) -> None:
        """Has a proxy registered: at once, or once its local service has passed a check."""
        proxy = self._proxies[name]
        if proxy.name in self.failed:
            # Where the backend does not run its users would reach nobody.
            return
        if proxy.check is None:
            self._registrations.add(name, self._driver.now)
        else:
            options = proxy.configured.common.health_check
            pace = CheckPace(options.interval_seconds, options.timeout_seconds, options.max_failed)
            self._health.watch(name, proxy.check, pace)

    # --- sessions -------------------------------------------------------------------------------------

    def session_started(self, session: Session, *, replaces: bool = False) -> None:
        """There is a session, for which another one was given up if it ``replaces`` that: everything is
        registered in it.
        """
        self._session = session
        self._registrations.session_started(self._driver.now, replaces=replaces)
        self._driver.step()
        # What was found out before may be old by an interval.
        self._health.check_now()

    def session_ended(self) -> None:
        """The session is over, and so is every registration."""
        for name in list(self._answers):
            self._not_published(name, Ended.SESSION_ENDED)
        self._session = None
        self._registrations.session_ended(self._driver.now)
        self._driver.step()

    def accepted(self, name: str, address: str) -> None:
        """The server exposed a proxy."""
        self._registrations.accepted(name, address, self._driver.now)
        self._driver.step()

    def refused(self, name: str, text: str) -> None:
        """The server did not expose a proxy."""
        self._registrations.refused(name, text, self._driver.now)
        self._driver.step()

    # --- inside ---------------------------------------------------------------------------------------

    def _status(self, name: str, proxy: LocalProxy) -> ProxyStatus:
        answer = self._answers.get(name)
        failed = self.failed.get(proxy.name, "")
        health = self._health.health(name)
        state = self._registrations.state(name) or RegistrationState.OFFLINE
        return ProxyStatus(
            name=proxy.name,
            type=proxy.configured.type_name,
            state=RegistrationState.REFUSED if failed else state,
            address=answer.address if isinstance(answer, RegistrationAccepted) else "",
            reason=answer.reason if isinstance(answer, RegistrationRefused) else failed or _unfitness(health),
            next_try=self._registrations.next_try(name),
            users=len(proxy.host.flows),
            health=health,
            way=proxy.host.way,
            since=self._since(name, health),
            last=proxy.host.last,
        )

    def _since(self, name: str, health: Health | None) -> float | None:
        """When it got into its state: that of its registration or, where there is none, of its service."""
        since = self._registrations.since(name)
        return health.since if since is None and health is not None else since

    def _on_health(self, event: HealthEvent) -> None:
        """Acts on what checks say of a local service."""
        name = event.name
        proxy = self._proxies[name].name
        if isinstance(event, CheckFailed):
            self.log.debug("[{proxy}] do one health check failed: {reason}", proxy=proxy, reason=event.reason)
        elif isinstance(event, BecameHealthy):
            self.log.info("[{proxy}] health check status change to success", proxy=proxy)
            self._registrations.add(name, self._driver.now)
        elif isinstance(event, BecameUnhealthy):
            self.log.warn(
                "[{proxy}] health check status change to failed: {reason}",
                proxy=proxy,
                reason=event.reason,
                closed=True,
                problem="health-check",
            )
            self._registrations.withdraw(name)
            self._driver.step()
            self._answers.pop(name, None)
        self._driver.step()

    def _on_event(self, event: RegistrationEvent) -> None:
        session = self._session
        if session is None:
            return
        proxy = self._proxies[event.name]
        if isinstance(event, RegistrationDue):
            try:
                session.register(event.name, proxy.configured.type_name, proxy.fields())
            except ProxyRefusedError as refusal:
                self._registrations.refused(event.name, refusal.text, self._driver.now)
            except MessageTooLong as error:
                text = (
                    f"it does not fit into a message: {error}; make several proxies of it, with fewer domains"
                )
                self._registrations.refused(event.name, text, self._driver.now)
        elif isinstance(event, WithdrawalDue):
            session.withdraw(event.name)
            self._not_published(event.name, Ended.WITHDRAWN)
        elif isinstance(event, RegistrationAccepted):
            self._answers[event.name] = event
            self.log.info(
                "[{run}] [{proxy}] start proxy success",
                run=session.run_id,
                proxy=proxy.name,
                address=event.address,
            )
            if event.address:
                self.log.info(
                    "[{run}] [{proxy}] users reach it at {where}",
                    run=session.run_id,
                    proxy=proxy.name,
                    where=self._where(event.address),
                    address=event.address,
                )
        elif isinstance(event, RegistrationRefused):
            self._answers[event.name] = event
            self.log.warn(
                "[{run}] [{proxy}] start error: {reason}",
                run=session.run_id,
                proxy=proxy.name,
                reason=event.reason,
                # A server may refuse thousands of them, again and again.
                by_server=host_of(session.peer),
                ended=Ended.REFUSED.value,
                closed=True,
                problem=problem_of(event.reason, "start-error"),
            )
        self._tell_awaiting()

    def _where(self, address: str) -> str:
        """What users dial: the server leaves out its own name."""
        if not address.startswith(":"):
            return address
        host = self._server_host()
        return f"[{host}]{address}" if ":" in host else f"{host}{address}"

    def _tell_awaiting(self) -> None:
        """Tells whoever waits for the server's answers, once they are there."""
        answers = self._answers.values()
        refused = next((each for each in answers if isinstance(each, RegistrationRefused)), None)
        if refused is None and not self._answers.keys() >= self._proxies.keys():
            return
        awaiting, self._awaiting = self._awaiting, []
        for each in awaiting:
            if refused is None:
                each.callback(None)
            else:
                name = self._proxies[refused.name].name
                text = f"[{name}] start error: {refused.reason}"
                each.errback(ProxyRefusedError(RefusalCode.OTHER, text))

    def _not_published(self, name: str, why: Ended) -> None:
        """Tells that a proxy is not published any more, if it was."""
        if isinstance(self._answers.pop(name, None), RegistrationAccepted) and self._session is not None:
            self.log.debug(
                "[{run}] [{proxy}] is not published any more: {ended}",
                run=self._session.run_id,
                proxy=self._proxies[name].name,
                ended=why.value,
            )


def _unfitness(health: Health | None) -> str:
    """Why users cannot come, as far as that is because of the local service."""
    if health is None or health.state is HealthState.HEALTHY:
        return ""
    if health.state is HealthState.UNKNOWN:
        return "the local service is being checked"
    return f"check failed: {health.reason}"

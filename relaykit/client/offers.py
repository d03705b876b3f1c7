"""The proxies that this client offers: their backends, and having them registered in every session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.logger import Logger

from relaykit.client.hosts import BackendHost
from relaykit.client.starting import GuardedServices
from relaykit.client.status import ProxyStatus
from relaykit.client.work import Offered
from relaykit.errors import problem_of
from relaykit.options import to_wire
from relaykit.sansio.control.registering import (
    RefusedProxy,
    Register,
    Registered,
    Registering,
    RegistrationState,
    Withdraw,
)
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.client.hosts import CurrentSession
    from relaykit.client.session import Session
    from relaykit.config.load import ConfiguredProxy
    from relaykit.interfaces import IDataPlane, IStreamLeg
    from relaykit.plugins import ProxyTypes

__all__ = ["Offers", "wire_name"]


def wire_name(user: str, name: str) -> str:
    """What a proxy is called on the server: unique over all clients, so users prefix theirs."""
    return f"{user}.{name}" if user else name


@frozen(eq=False)
class _Offer:
    """One configured proxy."""

    name: str
    type: str
    fields: Mapping[str, Any]
    offered: Offered


class Offers(GuardedServices):
    """Has every configured proxy registered while there is a session, and knows their backends."""

    log = Logger()

    def __init__(
        self,
        proxies: Sequence[ConfiguredProxy],
        user: str,
        types: ProxyTypes,
        session: CurrentSession,
        data_plane: IDataPlane,
        dial: Callable[[str], Deferred[IStreamLeg]],
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._session: Session | None = None
        self._timer: IDelayedCall | None = None
        self._registering = Registering()
        self._offers: dict[str, _Offer] = {}
        self._answers: dict[str, Registered | RefusedProxy] = {}
        for proxy in proxies:
            name = wire_name(user, proxy.common.name)
            host = BackendHost(clock, data_plane, session, proxy.common, name, dial)
            backend = types.get(proxy.type_name).make_backend(proxy.options, host)
            fields = {**to_wire(proxy.common), **to_wire(proxy.options)}
            self._offers[name] = _Offer(
                proxy.common.name, proxy.type_name, fields, Offered(backend, host, proxy.common.transport)
            )
            self._registering.offer(name, clock.seconds())
            self.adopt(backend, proxy.common.name)

    def startService(self) -> None:
        super().startService()
        for name, offer in self._offers.items():
            if offer.name in self.failed:
                # Its users would reach nobody.
                self._registering.withdraw(name)

    @property
    def names(self) -> list[str]:
        """The names of all proxies as configured, sorted."""
        return sorted(offer.name for offer in self._offers.values())

    def status(self) -> tuple[ProxyStatus, ...]:
        """How each proxy stands, in the order of the configuration."""
        return tuple(self._status(name, self._registering.state(name)) for name in self._offers)

    def find(self, name: str) -> Offered | None:
        """The proxy that the server calls this, if it is exposed."""
        offer = self._offers.get(name)
        running = self._registering.state(name) is RegistrationState.RUNNING
        return offer.offered if offer is not None and running else None

    def backend(self, name: str) -> Offered | None:
        """The proxy that the server calls this, exposed or not."""
        offer = self._offers.get(name)
        return None if offer is None else offer.offered

    def session_started(self, session: Session) -> None:
        """There is a session: everything is registered in it."""
        self._session = session
        self._registering.session_started(self._clock.seconds())
        self._settle()

    def session_ended(self) -> None:
        """The session is over, and so is every registration."""
        for name in list(self._answers):
            self._ended(name, Ended.SESSION_ENDED)
        self._session = None
        self._registering.session_ended()
        self._settle()

    def withdraw_all(self) -> None:
        """Takes every proxy back: no new users come, those that are there go on."""
        for name in self._offers:
            self._registering.withdraw(name)
        self._settle()

    def accepted(self, name: str, address: str) -> None:
        """The server exposed a proxy."""
        self._registering.accepted(name, address)
        self._settle()

    def refused(self, name: str, text: str) -> None:
        """The server did not expose a proxy."""
        self._registering.refused(name, text, self._clock.seconds())
        self._settle()

    def _status(self, name: str, state: RegistrationState | None) -> ProxyStatus:
        offer, answer = self._offers[name], self._answers.get(name)
        failed = self.failed.get(offer.name, "")
        if failed:
            state = RegistrationState.REFUSED
        return ProxyStatus(
            name=offer.name,
            type=offer.type,
            state=state or RegistrationState.OFFLINE,
            address=answer.address if isinstance(answer, Registered) else "",
            reason=answer.reason if isinstance(answer, RefusedProxy) else failed,
        )

    def _settle(self) -> None:
        for event in self._registering.events():
            session = self._session
            if session is None:
                continue
            offer = self._offers[event.name]
            if isinstance(event, Register):
                session.register(event.name, offer.type, offer.fields)
            elif isinstance(event, Withdraw):
                session.withdraw(event.name)
                self._ended(event.name, Ended.WITHDRAWN)
            elif isinstance(event, Registered):
                self._answers[event.name] = event
                self.log.info(
                    "[{run}] [{proxy}] start proxy success",
                    run=session.run_id,
                    proxy=offer.name,
                    address=event.address,
                )
                if event.address:
                    self.log.info(
                        "[{run}] [{proxy}] users reach it at {address} of the server",
                        run=session.run_id,
                        proxy=offer.name,
                        address=event.address,
                    )
            elif isinstance(event, RefusedProxy):
                self._answers[event.name] = event
                self.log.warn(
                    "[{run}] [{proxy}] start error: {reason}",
                    run=session.run_id,
                    proxy=offer.name,
                    reason=event.reason,
                    ended=Ended.REFUSED.value,
                    problem=problem_of(event.reason, "start-error"),
                )
        self._rearm()

    def _ended(self, name: str, why: Ended) -> None:
        """Tells that a proxy is not published any more, if it was."""
        if isinstance(self._answers.pop(name, None), Registered) and self._session is not None:
            self.log.debug(
                "[{run}] [{proxy}] is not published any more: {ended}",
                run=self._session.run_id,
                proxy=self._offers[name].name,
                ended=why.value,
            )

    def _rearm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        due = self._registering.next_wakeup()
        if due is not None and self._session is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._registering.wake(self._clock.seconds())
        self._settle()

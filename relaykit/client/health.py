"""Checks of local services: what is checked, and running the checks when they are due."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.driver import CoreDriver
from relaykit.errors import CheckFailedError, ConnectionFailed, PluginError
from relaykit.sansio.control.health import (
    CheckDue,
    CheckOver,
    CheckPace,
    Health,
    HealthChecks,
    HealthEvent,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.client.hosts import HostedClient
    from relaykit.options import ProxyCommon

__all__ = ["Check", "HealthWatch", "make_check"]

Check: TypeAlias = Callable[[], Coroutine[Deferred[Any], Any, None]]
"""Looks at a local service once; raises :class:`ConnectionFailed` or :class:`CheckFailedError`.

However it ends, cancelled included, it leaves no connection behind.
"""


def _check_by_tcp(client: HostedClient, common: ProxyCommon) -> Check:
    """Whether the service takes a connection; nothing is sent."""

    async def check() -> None:
        (await client.dial(common.local_endpoint)).close()

    return check


def _check_by_http(client: HostedClient, common: ProxyCommon) -> Check:
    """Whether the service answers a request."""
    # twisted.web is slow to import, and few proxies are checked by it.
    from relaykit.client.http_check import HttpCheck

    return HttpCheck(client, common)


_KINDS: Mapping[str, Callable[[HostedClient, ProxyCommon], Check]] = {
    "tcp": _check_by_tcp,
    "http": _check_by_http,
}


def make_check(client: HostedClient, common: ProxyCommon) -> Check | None:
    """What looks at the local service of a proxy; None where nothing is checked.

    :raises PluginError: there is no such kind of check.
    """
    if not common.is_checked:
        return None
    kind = common.health_check.type
    if kind not in _KINDS:
        raise PluginError(f'proxy "{common.name}": there is no health check of type "{kind}"')
    return _KINDS[kind](client, common)


class HealthWatch:
    """Has local services checked, by the names of their proxies on the server.

    ``on_event`` is told when a check fails, and when a service becomes healthy or unhealthy.
    """

    log = Logger()

    def __init__(self, client: HostedClient, on_event: Callable[[HealthEvent], None]) -> None:
        self._on_result = on_event
        self._checks: dict[str, Check] = {}
        self._running: dict[str, Deferred[None]] = {}
        self._core = HealthChecks(random.random)
        self._driver: CoreDriver[HealthEvent] = CoreDriver(self._core, client.clock, self._on_event)

    def watch(self, name: str, check: Check, pace: CheckPace) -> None:
        """Checks this service at once, and again and again."""
        self._checks[name] = check
        self._core.watch(name, pace, self._driver.now)
        self._driver.step()

    def forget(self, name: str) -> None:
        """Watches it no more; a check that runs is given up.  Unknown names are ignored."""
        self._core.forget(name, self._driver.now)
        self._driver.step()
        self._checks.pop(name, None)

    def forget_all(self) -> None:
        """Watches nothing any more."""
        self._core.forget_all()
        self._driver.step()
        self._checks.clear()

    def check_now(self) -> None:
        """There is a reason not to rely on the last results."""
        self._core.check_now(self._driver.now)
        self._driver.step()

    def health(self, name: str) -> Health | None:
        """What is known of this service; None if it is not watched."""
        return self._core.health(name)

    def _on_event(self, event: HealthEvent) -> None:
        if isinstance(event, CheckDue):
            check = self._running[event.name] = Deferred.fromCoroutine(self._checks[event.name]())
            check.addCallback(self._passed, event.name, check)
            check.addErrback(self._failed, event.name, check)
        elif isinstance(event, CheckOver):
            self._running.pop(event.name).cancel()
        else:
            self._on_result(event)

    def _passed(self, _: None, name: str, check: Deferred[None]) -> None:
        if self._ended(name, check):
            self._core.passed(name, self._driver.now)
            self._driver.step()

    def _failed(self, failure: Failure, name: str, check: Deferred[None]) -> None:
        if not self._ended(name, check):
            return
        reason = failure.getErrorMessage()
        if not failure.check(ConnectionFailed, CheckFailedError):
            self.log.failure("[{proxy}] a defect while its local service was checked", failure, proxy=name)
            reason = f"a defect while it was checked: {reason}"
        self._core.failed(name, reason, self._driver.now)
        self._driver.step()

    def _ended(self, name: str, check: Deferred[None]) -> bool:
        """Whether the check was not given up before."""
        if self._running.get(name) is not check:
            return False
        del self._running[name]
        return True

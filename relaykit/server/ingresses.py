"""The running server halves of proxy types: each is made once, started before it is used, and stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger

from relaykit.errors import ProxyRefusedError, RefusalCode
from relaykit.sansio.control.texts import STOPPED

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IIngress, IProxyType, IServerHost
    from relaykit.options import Options

__all__ = ["START_TIMEOUT_S", "RunningIngresses"]

START_TIMEOUT_S = 10.0
"""Seconds that a server half gets to start: a client waits for its first proxy of the type meanwhile."""


class RunningIngresses:
    """The ingresses of one server.

    :param options: of the proxy types that are configured; the others have their defaults.
    """

    log = Logger()

    def __init__(self, host: IServerHost, options: Mapping[str, Options], clock: IReactorTime) -> None:
        self._host = host
        self._options = options
        self._clock = clock
        self._made: dict[str, IIngress] = {}
        self._running: dict[str, IIngress] = {}
        self._locks: dict[str, DeferredLock] = {}
        self._starting: dict[str, Deferred[Any]] = {}
        self._closed = False

    def open(self, proxy_types: Iterable[IProxyType]) -> None:
        """Makes the ingresses of types that the server's file configures: their ports may need privileges."""
        for proxy_type in proxy_types:
            self._make(proxy_type)

    async def start(self) -> None:
        """Starts what was opened.

        :raises Exception: whatever a start fails with; it is the server's failure.
        """
        for name, ingress in list(self._made.items()):
            await self._start(name, ingress)

    async def ingress_of(self, proxy_type: IProxyType) -> IIngress:
        """The ingress of a type, started; the first proxy of a type waits for that.

        One whose start fails is forgotten, and made again for the next proxy.

        :raises ProxyRefusedError: they have been closed meanwhile.
        :raises Exception: whatever the start fails with.
        """
        name = proxy_type.name
        if name in self._running:
            return self._running[name]
        lock = self._locks.setdefault(name, DeferredLock())
        await lock.acquire()
        try:
            if self._closed:
                raise ProxyRefusedError(RefusalCode.NOT_AVAILABLE, STOPPED)
            if name not in self._running:
                await self._start(name, self._made.get(name) or self._make(proxy_type))
            return self._running[name]
        finally:
            lock.release()

    async def close(self) -> None:
        """Stops them all, those that are starting included; none is made or started any more."""
        self._closed = True
        for starting in list(self._starting.values()):
            starting.cancel()
        for name in reversed(list(self._made)):
            await self._stop(name)

    def _make(self, proxy_type: IProxyType) -> IIngress:
        options = self._options.get(proxy_type.name) or proxy_type.ingress_options()
        ingress: IIngress = proxy_type.make_ingress(options, self._host)
        self._made[proxy_type.name] = ingress
        try:
            ingress.privilegedStartService()
        except Exception:
            del self._made[proxy_type.name]
            raise
        return ingress

    async def _start(self, name: str, ingress: IIngress) -> None:
        starting = self._starting[name] = maybeDeferred(ingress.startService)
        try:
            await starting.addTimeout(START_TIMEOUT_S, self._clock)
        except Exception as error:
            if self._closed:
                # Whoever closes them all stops it.
                raise ProxyRefusedError(RefusalCode.NOT_AVAILABLE, STOPPED) from error
            await self._stop(name)
            raise
        finally:
            self._starting.pop(name, None)
        self._running[name] = ingress

    async def _stop(self, name: str) -> None:
        ingress = self._made.pop(name)
        self._running.pop(name, None)
        try:
            await maybeDeferred(ingress.stopService)
        except Exception:
            self.log.failure("a defect while proxy type {type} was stopped", type=name)

"""The running server halves of proxy types: each is made once, started before it is used, and stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ProxyRefusedError, RefusalCode
from relaykit.interfaces import IReconfigurable, IReconfiguration
from relaykit.sansio.control.texts import STOPPED

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IIngress, IProxyType, IServerHost
    from relaykit.options import Options

__all__ = ["START_TIMEOUT_S", "RunningIngresses"]

START_TIMEOUT_S = 10.0
"""Seconds that a server half gets to start: a client waits for its first proxy of the type meanwhile."""


@implementer(IReconfiguration)
@frozen
class _Together:
    """What was prepared for several, in that order; calls ``committed()`` when it is taken on."""

    _committed: Callable[[], None]
    parts: list[IReconfiguration] = field(factory=list)

    def commit(self) -> None:
        for each in self.parts:
            each.commit()
        self._committed()

    def abandon(self) -> None:
        for each in reversed(self.parts):
            each.abandon()


@implementer(IReconfiguration)
@frozen
class _Made:
    """An ingress that was made for it."""

    _unmake: Callable[[], object]

    def commit(self) -> None:
        """It is there."""

    def abandon(self) -> None:
        self._unmake()


class RunningIngresses:
    """The ingresses of one server.

    :param options: of the proxy types that are configured; the others have their defaults.
    """

    log = Logger()

    def __init__(self, host: IServerHost, options: Mapping[str, Options], clock: IReactorTime) -> None:
        self._host = host
        self._options = dict(options)
        self._clock = clock
        self._made: dict[str, IIngress] = {}
        self._running: dict[str, IIngress] = {}
        self._locks: dict[str, DeferredLock] = {}
        self._starting: dict[str, Deferred[Any]] = {}
        self._closed = False

    def open(self, proxy_types: Iterable[IProxyType]) -> None:
        """Makes the ingresses of types that the server's file configures: their ports may need privileges."""
        for proxy_type in proxy_types:
            self._make(proxy_type, self._options_of(proxy_type))

    async def start(self) -> None:
        """Starts what was opened.

        :raises Exception: whatever a start fails with; it is the server's failure.
        """
        for name, ingress in list(self._made.items()):
            await self._start(name, ingress)

    def prepare(self, changed: Mapping[IProxyType, Options]) -> IReconfiguration:
        """Prepares other options of these types, for all or none of them.

        A type that was not used yet has its ingress made; it starts with its first proxy.

        :raises Exception: one of them cannot be; nothing has changed then.
        """
        options = {each.name: of_type for each, of_type in changed.items()}
        together = _Together(lambda: self._options.update(options))
        try:
            for proxy_type, of_type in changed.items():
                together.parts.extend(self._prepared(proxy_type, of_type))
        except Exception:
            together.abandon()
            raise
        return together

    def _prepared(self, proxy_type: IProxyType, options: Options) -> Iterator[IReconfiguration]:
        name = proxy_type.name
        ingress = self._made.get(name)
        if ingress is None:
            self._make(proxy_type, options)
            yield _Made(lambda: Deferred.fromCoroutine(self._stop(name)))
        elif IReconfigurable.providedBy(ingress):
            yield ingress.prepare(options)

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
                await self._start(
                    name, self._made.get(name) or self._make(proxy_type, self._options_of(proxy_type))
                )
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

    def _options_of(self, proxy_type: IProxyType) -> Options:
        return self._options.get(proxy_type.name) or proxy_type.ingress_options()

    def _make(self, proxy_type: IProxyType, options: Options) -> IIngress:
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

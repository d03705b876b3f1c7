"""Telling observers what the users of a client's proxies ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from relaykit.interfaces import IExchangeObserver
    from relaykit.values import Exchange

__all__ = ["ExchangeObservers"]


class ExchangeObservers:
    """Tells any number of observers, and is false without any.

    One that fails is logged, and told of the next exchange all the same.
    """

    log = Logger()

    def __init__(self) -> None:
        self._observers: tuple[IExchangeObserver, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: IExchangeObserver) -> None:
        """Tells this one from now on, after those that were added before."""
        self._observers = (*self._observers, observer)

    def remove(self, observer: IExchangeObserver) -> None:
        """Tells this one no more; one that is not told is ignored."""
        self._observers = tuple(each for each in self._observers if each is not observer)

    def tell(self, proxy: str, exchange: Exchange) -> None:
        """Tells all of an exchange of a proxy."""
        for observer in self._observers:
            try:
                observer.on_exchange(proxy, exchange)
            except Exception:
                self.log.failure(
                    "{observer!r} failed to take an exchange of {proxy}", observer=observer, proxy=proxy
                )

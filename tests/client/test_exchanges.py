"""Tests of the observers of a client."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.client.exchanges import ExchangeObservers
from relaykit.interfaces import IExchangeObserver
from relaykit.values import Exchange

ASKED = Exchange(method="GET", target="/", status=200, seconds=0.1)


@implementer(IExchangeObserver)
class RecordingExchanges:
    """Keeps what it is told, and may fail then."""

    def __init__(self, fails: bool = False) -> None:
        self.told: list[tuple[str, Exchange]] = []
        self._fails = fails

    def on_exchange(self, proxy: str, exchange: Exchange) -> None:
        self.told.append((proxy, exchange))
        if self._fails:
            raise ZeroDivisionError("an observer that fails")


class ExchangeObserversTests(SynchronousTestCase):
    """Tests for :class:`ExchangeObservers`."""

    def test_told(self) -> None:
        """All that were added are told, until they are removed; without any it is false."""
        observers = ExchangeObservers()
        one, two = RecordingExchanges(), RecordingExchanges()
        self.assertFalse(observers)
        for each in (one, two):
            observers.add(each)
        self.assertTrue(observers)
        observers.tell("web", ASKED)
        observers.remove(one)
        observers.remove(one)
        observers.tell("web", ASKED)
        self.assertEqual((len(one.told), two.told), (1, 2 * [("web", ASKED)]))
        observers.remove(two)
        self.assertFalse(observers)

    def test_fails(self) -> None:
        """One that fails is logged, and hurts nobody else."""
        observers = ExchangeObservers()
        fails, other = RecordingExchanges(fails=True), RecordingExchanges()
        observers.add(fails)
        observers.add(other)
        for _ in range(2):
            observers.tell("web", ASKED)
        self.assertEqual((len(fails.told), len(other.told)), (2, 2))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

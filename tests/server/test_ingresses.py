"""Tests of the server halves of proxy types: made once, started before they are used, stopped."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane.listening import ListenFailed
from relaykit.errors import ProxyRefusedError
from relaykit.interfaces import IExposure, IIngress, IReconfigurable, IReconfiguration
from relaykit.server.ingresses import START_TIMEOUT_S, RunningIngresses


@implementer(IIngress)
class Slow(Service):
    """An ingress that starts when the test says so."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.opened = False
        self.starting: Deferred[None] = Deferred()
        self.stops = 0

    def privilegedStartService(self) -> None:
        self.opened = True

    def startService(self) -> Deferred[None]:
        super().startService()
        return self.starting

    def stopService(self) -> None:
        super().stopService()
        self.stops += 1

    async def expose(self, proxy: Any) -> IExposure:
        raise NotImplementedError


@define(eq=False)
class SlowType:
    """A proxy type whose ingresses the test has."""

    name: str = "slow"
    made: list[Slow] = field(factory=list)
    fails: Exception | None = None

    def ingress_options(self) -> str:
        return "defaults"

    def make_ingress(self, options: Any, host: Any) -> Slow:
        ingress = Slow(options)
        if self.fails is not None:
            ingress.starting.errback(self.fails)
        self.made.append(ingress)
        return ingress


@implementer(IReconfigurable, IReconfiguration)
class Changing(Slow):
    """One that goes on with other options, unless they are ``"wrong"``."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.told: list[str] = []
        self.starting.callback(None)

    def prepare(self, options: Any) -> Any:
        if options == "wrong":
            raise ListenFailed("it is wrong")
        self.told.append(options)
        return self

    def commit(self) -> None:
        self.told.append("commit")

    def abandon(self) -> None:
        self.told.append("abandon")


class ChangingType(SlowType):
    """Its type."""

    def make_ingress(self, options: Any, host: Any) -> Slow:
        ingress = Changing(options)
        self.made.append(ingress)
        return ingress


class RunningIngressesTests(SynchronousTestCase):
    """What becomes of ingresses."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.type: Any = SlowType()
        host: Any = None
        options: Any = {"slow": "configured"}
        self.ingresses = RunningIngresses(host, options, self.clock)

    def wanted(self) -> Deferred[IIngress]:
        """A proxy of the type comes."""
        return Deferred.fromCoroutine(self.ingresses.ingress_of(self.type))

    def test_first_use(self) -> None:
        """The first proxies of a type wait until its one ingress has started."""
        wanted = [self.wanted(), self.wanted()]
        (made,) = self.type.made
        self.assertTrue(made.opened)
        self.assertEqual(made.options, "configured")
        for each in wanted:
            self.assertNoResult(each)
        made.starting.callback(None)
        for each in (*wanted, self.wanted()):
            self.assertIs(self.successResultOf(each), made)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_defaults(self) -> None:
        """A type that is not configured has its defaults."""
        self.type.name = "another"
        self.wanted()
        self.assertEqual(self.type.made[0].options, "defaults")

    def test_failure_is_forgotten(self) -> None:
        """An ingress that cannot start is not used: the next proxy has another one made."""
        self.type.fails = ListenFailed("no")
        self.failureResultOf(self.wanted(), ListenFailed)
        self.failureResultOf(self.wanted(), ListenFailed)
        self.type.fails = None
        wanted = self.wanted()
        self.assertEqual([each.stops for each in self.type.made], [1, 1, 0])
        self.type.made[2].starting.callback(None)
        self.assertIs(self.successResultOf(wanted), self.type.made[2])

    def test_takes_too_long(self) -> None:
        """An ingress that does not start in time is given up."""
        wanted = self.wanted()
        self.clock.advance(START_TIMEOUT_S)
        self.failureResultOf(wanted, DeadlinePassed)
        self.assertEqual(self.type.made[0].stops, 1)

    def test_nobody_waits_any_more(self) -> None:
        """One that is starting is stopped when whoever wanted it is gone; the next proxy has another made."""
        gone, wanted = self.wanted(), self.wanted()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        first, second = self.type.made
        self.assertEqual((first.stops, second.stops), (1, 0))
        second.starting.callback(None)
        self.assertIs(self.successResultOf(wanted), second)
        self.successResultOf(Deferred.fromCoroutine(self.ingresses.close()))
        self.assertEqual((first.stops, second.stops), (1, 1))

    def test_configured(self) -> None:
        """Those of configured types are opened, then started, and used afterwards."""
        self.ingresses.open([self.type])
        (made,) = self.type.made
        self.assertTrue(made.opened and not made.running)
        started = Deferred.fromCoroutine(self.ingresses.start())
        self.assertNoResult(started)
        made.starting.callback(None)
        self.successResultOf(started)
        self.assertIs(self.successResultOf(self.wanted()), made)

    def test_configured_fails(self) -> None:
        """Whoever starts those of configured types is told why one cannot."""
        self.type.fails = ListenFailed("no")
        self.ingresses.open([self.type])
        self.failureResultOf(Deferred.fromCoroutine(self.ingresses.start()), ListenFailed)

    def test_closed(self) -> None:
        """All are stopped in the end; a proxy that waits for one that starts is refused."""
        self.type.name = "another"
        waiting = self.wanted()
        self.type.name = "slow"
        ready = self.wanted()
        self.type.made[1].starting.callback(None)
        self.successResultOf(ready)
        self.successResultOf(Deferred.fromCoroutine(self.ingresses.close()))
        self.failureResultOf(waiting, ProxyRefusedError)
        self.assertEqual([each.stops for each in self.type.made], [1, 1])

    def test_closed_while_proxies_wait(self) -> None:
        """Of the proxies that wait for one that starts, none starts it again once all are closed."""
        waiting = [self.wanted(), self.wanted()]
        self.patch(Slow, "startService", self.started)
        self.successResultOf(Deferred.fromCoroutine(self.ingresses.close()))
        for each in waiting:
            self.failureResultOf(each, ProxyRefusedError)
        self.failureResultOf(self.wanted(), ProxyRefusedError)
        self.assertEqual(len(self.type.made), 1)

    def started(self, ingress: Slow) -> None:
        """None is to be started any more."""
        self.fail("started")

    def test_defect_while_stopping(self) -> None:
        """One that cannot stop keeps no other from it."""
        self.type.fails = ListenFailed("no")
        self.patch(Slow, "stopService", lambda self: 1 / 0)
        self.failureResultOf(self.wanted(), ListenFailed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ReconfigurationTests(SynchronousTestCase):
    """Other options for ingresses that run."""

    def setUp(self) -> None:
        host: Any = None
        self.types: list[Any] = [ChangingType(name) for name in ("one", "two", "new")]
        self.ingresses = RunningIngresses(host, {}, Clock())
        for each in self.types[:2]:
            self.wanted(each)

    def wanted(self, proxy_type: Any) -> Any:
        """The ingress that a proxy of the type gets."""
        return self.successResultOf(Deferred.fromCoroutine(self.ingresses.ingress_of(proxy_type)))

    def told(self) -> list[list[str]]:
        """What the ingresses were told."""
        return [ingress.told for proxy_type in self.types for ingress in proxy_type.made]

    def prepare(self, *options: str) -> IReconfiguration:
        """Prepares options for the first types."""
        changed: Any = dict(zip(self.types, options, strict=False))
        return self.ingresses.prepare(changed)

    def test_committed(self) -> None:
        """All are told first, and go on then; a type without an ingress gets one, which waits for a proxy."""
        self.prepare("a", "b", "c").commit()
        self.assertEqual(self.told(), [["a", "commit"], ["b", "commit"], []])
        (new,) = self.types[2].made
        self.assertEqual((new.opened, new.running, new.options), (True, 0, "c"))
        self.assertIs(self.wanted(self.types[2]), new)
        self.assertTrue(new.running)

    def test_abandoned(self) -> None:
        """Where it is given up, nobody goes on, and what was made for it is gone."""
        self.prepare("a", "b", "c").abandon()
        self.assertEqual(self.told(), [["a", "abandon"], ["b", "abandon"], []])
        self.assertEqual([each.stops for each in self.types[2].made], [1])
        self.assertEqual(self.wanted(self.types[2]).options, "defaults")

    def test_wrong(self) -> None:
        """Where one cannot, none does."""
        self.assertRaises(ListenFailed, self.prepare, "a", "wrong")
        self.assertEqual(self.told(), [["a", "abandon"], []])

    def test_made_anew(self) -> None:
        """One that is made later has the options that were committed."""
        self.prepare("a", "b", "c").commit()
        self.successResultOf(Deferred.fromCoroutine(self.ingresses._stop("one")))
        self.assertEqual(self.wanted(self.types[0]).options, "a")

    def test_not_reconfigurable(self) -> None:
        """One that cannot change goes on as it was."""
        slow: Any = SlowType()
        wanted = Deferred.fromCoroutine(self.ingresses.ingress_of(slow))
        slow.made[0].starting.callback(None)
        options: Any = {slow: "other"}
        self.ingresses.prepare(options).commit()
        self.assertIs(self.successResultOf(wanted), slow.made[0])

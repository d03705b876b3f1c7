"""Tests of the registry: exposing, serving, withdrawing, whatever fails meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.config.schema.server import Bandwidth
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.listening import ListenFailed
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import NoWorkConnection, ProxyRefusedError, RefusalCode, VisitRefusedError
from relaykit.interfaces import IExposure, IIngress, IStreamLeg
from relaykit.sansio.control.texts import STOPPED
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.wire.framing import V1
from relaykit.sansio.wire.messages import Message
from relaykit.server import registry
from relaykit.server.accounting import Accounting
from relaykit.server.budgets import Budgets
from relaykit.server.flows import WorkSeeker
from relaykit.server.lanes import PAUSE_S
from relaykit.server.observers import LogObserver, Observers
from relaykit.server.policies import NO_POLICIES, ServerPolicies
from relaykit.server.registry import EXPOSE_TIMEOUT_S, WITHDRAW_TIMEOUT_S, RegisteredProxy, Registry
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import MOST_DATAGRAM_BYTES, Address, ClientIdentity, Ended, Origin
from tests.server.scene import TYPES


@implementer(IExposure)
@define(eq=False)
class Exposed:
    """An exposure that notes when it is withdrawn."""

    address: str = ":1"
    withdrawn: bool = False

    async def withdraw(self) -> None:
        self.withdrawn = True


@implementer(IExposure)
@define(eq=False)
class Leaving:
    """An exposure that is withdrawn when the test says so."""

    address: str = ":1"
    leaving: Deferred[None] = field(factory=Deferred)

    async def withdraw(self) -> None:
        await self.leaving


@implementer(IIngress)
class HeldIngress(Service):
    """An ingress whose exposures come when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []

    async def expose(self, proxy: Any) -> Any:
        waiting: Deferred[Any] = Deferred()
        self.waiting.append(waiting)
        return await waiting


@define(eq=False)
class Session:
    """A session with the work connections that the test puts into it."""

    work: list[IStreamLeg | Exception] = field(factory=list)
    wanted: list[WorkSeeker] = field(factory=list)
    identity: ClientIdentity = field(factory=lambda: ClientIdentity("r1"))
    half_close: bool = True
    takes_signals: bool = True
    extensions: frozenset[str] = frozenset()
    carrier: str = "tcp"
    sent: list[Any] = field(factory=list)
    metas: Mapping[str, str] = field(factory=dict)
    policies: ServerPolicies = NO_POLICIES

    def want_work(self, seeker: WorkSeeker) -> None:
        if not self.work:
            self.wanted.append(seeker)
            return
        work = self.work.pop(0)
        if isinstance(work, Exception):
            seeker.on_unserved(work)
        else:
            seeker.on_work_leg(work)

    def cancel_work(self, seeker: WorkSeeker) -> None:
        self.wanted.remove(seeker)

    def is_alive(self) -> Deferred[bool]:
        return succeed(True)

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        self.sent.append((proxy_name, visitor_name, body))

    def send_message(self, message: Message) -> None:
        self.sent.append(message)

    def lane_codec(self, most_bytes: int = MOST_DATAGRAM_BYTES) -> LaneCodec:
        return agreed_codec(V1, (), most_bytes)


class RegistryTestCase(SynchronousTestCase):
    """A registry whose exposures come when the test says so."""

    bandwidth = Bandwidth(per_client="1MB")

    def setUp(self) -> None:
        self.ingress = HeldIngress()
        self.failure: Exception | None = None
        self.clock = Clock()
        self.budgets = Budgets(self.bandwidth)
        self.registry = self.make_registry()
        self.session = Session()

    def make_registry(self, **limits: int) -> Registry:
        """One without proxies."""
        observers = Observers()
        observers.add(LogObserver(True))
        return Registry(
            TYPES,
            self,
            DataPlane([CopyForwarder()], MemoryNetwork()),
            self.clock,
            Accounting(observers, self.clock.seconds),
            self.budgets,
            **limits,  # type: ignore[arg-type]  # none of them is the callback
        )

    async def ingress_of(self, proxy_type: Any) -> HeldIngress:
        """The one ingress of these tests, unless there is a reason against it."""
        if self.failure is not None:
            raise self.failure
        return self.ingress

    def register(self, name: str = "web", **fields: Any) -> Deferred[RegisteredProxy]:
        """Registers a proxy; the exposure is to be decided."""
        return Deferred.fromCoroutine(self.registry.register(self.session, name, "tcp", fields))


class RegistryTests(RegistryTestCase):
    """What becomes of proxies."""

    def test_name_is_taken_at_once(self) -> None:
        """While one registration of a name is being done, another one is refused."""
        first = self.register()
        self.assertEqual(self.failureResultOf(self.register()).value.code, RefusalCode.NAME_IN_USE)
        self.ingress.waiting[0].callback(Exposed())
        self.assertEqual(self.successResultOf(first).name, "web")

    def test_common_keys(self) -> None:
        """What a client says of a proxy, whatever its type, is checked and kept for whoever asks."""
        refused: list[dict[str, Any]] = [
            {"annotations": {"-x": "y"}},
            {"annotations": {"x": 1}},
            {"metas": []},
        ]
        for bad in refused:
            refusal = self.failureResultOf(self.register(**bad), ProxyRefusedError).value
            self.assertIs(refusal.code, RefusalCode.BAD_OPTIONS)
        registered = self.register(annotations={"example.com/x": "y"}, metas={"a": "b"})
        self.ingress.waiting[0].callback(Exposed())
        common = self.successResultOf(registered).common
        self.assertEqual((common.annotations, common.metadatas), ({"example.com/x": "y"}, {"a": "b"}))

    def test_no_name(self) -> None:
        """A proxy must have a name, as it must in a file."""
        refusal = self.failureResultOf(self.register(""), ProxyRefusedError).value
        self.assertEqual(
            (refusal.code, refusal.text), (RefusalCode.BAD_OPTIONS, "proxy []: name: must be given")
        )

    def test_name_is_free_after_a_refusal(self) -> None:
        """When a proxy cannot be exposed its name is free."""
        first = self.register()
        self.ingress.waiting[0].errback(ProxyRefusedError(RefusalCode.OTHER, "no"))
        self.failureResultOf(first, ProxyRefusedError)
        self.assertEqual(len(self.registry), 0)
        self.assertNoResult(self.register())

    def test_withdrawn(self) -> None:
        """A proxy that is withdrawn is closed and forgotten."""
        registered = self.register()
        exposed = Exposed()
        self.ingress.waiting[0].callback(exposed)
        proxy = self.successResultOf(registered)
        with capturedLogs() as logged:
            for _ in range(2):
                self.successResultOf(
                    Deferred.fromCoroutine(self.registry.withdraw(proxy, Ended.SESSION_ENDED))
                )
        self.assertEqual([event["ended"] for event in logged], ["session-ended"])
        self.assertTrue(exposed.withdrawn)
        self.assertEqual(list(self.registry), [])

    def test_takes_too_long(self) -> None:
        """A type that does not open a proxy, or close it, in time does not keep its name."""
        registered = self.register()
        self.clock.advance(EXPOSE_TIMEOUT_S)
        refusal = self.failureResultOf(registered, ProxyRefusedError).value
        self.assertEqual(refusal.code, RefusalCode.NOT_AVAILABLE)
        self.assertEqual(len(self.registry), 0)
        registered = self.register()
        self.ingress.waiting[1].callback(Leaving())
        proxy = self.successResultOf(registered)
        withdrawing = Deferred.fromCoroutine(self.registry.withdraw(proxy, Ended.WITHDRAWN))
        self.clock.advance(WITHDRAW_TIMEOUT_S)
        self.failureResultOf(withdrawing, DeadlinePassed)
        self.assertEqual((len(self.registry), self.clock.getDelayedCalls()), (0, []))

    def test_users_who_come_while_it_is_withdrawn(self) -> None:
        """Flows are counted once, and are known until they end, also those that began meanwhile."""
        registered = self.register()
        self.ingress.waiting[0].callback(Leaving())
        proxy = self.successResultOf(registered)
        user: Any = None
        first = proxy.serve(user, Origin())
        exposure: Any = proxy.exposure
        withdrawing = Deferred.fromCoroutine(self.registry.withdraw(proxy, Ended.WITHDRAWN))
        self.assertEqual(list(self.registry.flows()), [first])
        self.session.wanted.clear()
        proxy.flows.clear()
        late = proxy.serve(user, Origin())
        exposure.leaving.callback(None)
        self.successResultOf(withdrawing)
        self.assertEqual(list(self.registry.flows()), [late])

    def test_type_cannot_start(self) -> None:
        """A proxy whose type cannot start is refused; the log says why, and once more for a defect."""
        with capturedLogs() as logged:
            self.failure = ListenFailed("cannot listen on :80: another program listens there")
            refused = self.failureResultOf(self.register(), ProxyRefusedError).value
        self.assertEqual(refused.text, "proxy type tcp cannot be used on this server")
        self.assertEqual(logged[0]["reason"], str(self.failure))
        self.failure = ZeroDivisionError("a defect")
        self.failureResultOf(self.register(), ProxyRefusedError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.failure = None
        self.assertNoResult(self.register())

    def test_too_many_of_one_client(self) -> None:
        """A client has so many proxies and no more; one that it takes back makes room for another."""
        self.registry = self.make_registry(most_per_client=2)
        first = self.register("a")
        self.register("b")
        refused = self.failureResultOf(self.register("c"), ProxyRefusedError).value
        self.assertEqual(refused.code, RefusalCode.TOO_MANY)
        self.assertEqual(
            refused.text,
            "proxy [c]: this client has 2 proxies, more are not taken unless the server's "
            "maxProxiesPerClient allows it",
        )
        self.ingress.waiting[0].errback(ProxyRefusedError(RefusalCode.OTHER, "no"))
        self.failureResultOf(first, ProxyRefusedError)
        self.assertNoResult(self.register("c"))

    def test_no_limit_of_one_client(self) -> None:
        """A negative number is for no limit: there are as many as there may be of all."""
        self.patch(registry, "MAX_PROXIES", 1)
        self.registry = self.make_registry(most_per_client=-1)
        self.assertNoResult(self.register("a"))
        refused = self.failureResultOf(self.register("b"), ProxyRefusedError).value
        self.assertIn("this client has 1 proxies", refused.text)

    def test_too_many_of_all(self) -> None:
        """A server has so many proxies and no more."""
        self.patch(registry, "MAX_PROXIES", 1)
        self.register("a")
        refused = self.failureResultOf(self.register("b"), ProxyRefusedError).value
        self.assertEqual(refused.text, "proxy [b]: this server has 1 proxies, more are not taken")

    def test_draining(self) -> None:
        """While the server drains no proxy is taken, not even one that is just being exposed."""
        first = self.register("a")
        self.registry.draining = True
        exposed = Exposed()
        self.ingress.waiting[0].callback(exposed)
        self.failureResultOf(first, ProxyRefusedError)
        self.assertTrue(exposed.withdrawn)
        refused = self.failureResultOf(self.register("b"), ProxyRefusedError).value
        self.assertEqual((refused.code, refused.text), (RefusalCode.NOT_AVAILABLE, STOPPED))
        self.assertEqual(len(self.registry), 0)

    def test_unserved(self) -> None:
        """Every user who goes unserved is worth a line, which names where a flood of them comes from."""
        registered = self.register()
        self.ingress.waiting[0].callback(Exposed())
        proxy = self.successResultOf(registered)
        near, _ = MemoryNetwork().pair()
        source: Any = near
        lines = []
        for serve in (proxy.serve, proxy.serve_datagrams, proxy.serve_datagrams):
            self.session.work.append(NoWorkConnection("no"))
            with capturedLogs() as logged:
                serve(source, Origin(Address("192.0.2.1", 4321)))
            self.clock.advance(PAUSE_S)
            lines += [event for event in logged if "no work" in event["log_format"]]
        self.assertEqual(
            [(line["log_level"], line["stranger"]) for line in lines], [(LogLevel.warn, "192.0.2.1")] * 3
        )

    def test_kept_work_legs(self) -> None:
        """A work connection that was kept serves the next user, and ends with the proxy."""
        registered = self.register()
        self.ingress.waiting[0].callback(Exposed())
        proxy = self.successResultOf(registered)
        network = MemoryNetwork()
        ends = [network.pair() for _ in range(2)]
        self.session.work += [near for near, _ in ends]
        opened = proxy.work_leg_for(Origin())
        assert isinstance(opened, Deferred)
        leg = self.successResultOf(opened)
        fresh = self.successResultOf(proxy.open_work_leg(Origin()))
        for each in (leg, fresh):
            each.attach(RecordingReceiver())
            each.keep()
        self.assertIs(proxy.work_leg_for(Origin()), fresh)
        self.assertIs(proxy.take_kept(Origin()), leg)
        self.assertIsNone(proxy.take_kept(Origin()))
        waiting = proxy.work_leg_for(Origin())
        assert isinstance(waiting, Deferred)
        self.assertNoResult(waiting)
        leg.keep()
        self.successResultOf(Deferred.fromCoroutine(self.registry.withdraw(proxy, Ended.WITHDRAWN)))
        fresh.keep()
        network.flush()
        self.assertEqual((len(proxy.kept), self.clock.getDelayedCalls()), (0, []))
        self.assertIsNone(proxy.take_kept(Origin()))

    def test_visits_need_a_visitable_exposure(self) -> None:
        """A visit to a proxy without visitors is refused."""
        registered = self.register()
        self.ingress.waiting[0].callback(Exposed())
        self.successResultOf(registered)
        visit: Any = None
        self.failureResultOf(Deferred.fromCoroutine(self.registry.visit("web", visit)), VisitRefusedError)

    def test_signals_nobody_takes(self) -> None:
        """A signal to an exposure that takes none, or to nothing, is dropped."""
        registered = self.register()
        self.ingress.waiting[0].callback(Exposed())
        sender = self.successResultOf(registered)
        for name in ("web", "nothing"):
            signaled = Deferred.fromCoroutine(self.registry.signal(name, sender, {}))
            self.assertIsNone(self.successResultOf(signaled))


class LimitedUsersTests(RegistryTestCase):
    """A registry whose users have budgets of their own."""

    bandwidth = Bandwidth(per_user="1MB")

    def test_kept_for_one_address(self) -> None:
        """Where users have budgets of their own, one serves users of the same address only."""
        registered = self.register()
        self.ingress.waiting[0].callback(Exposed())
        proxy = self.successResultOf(registered)
        ann, bob = (Origin(Address(host, 1)) for host in ("192.0.2.1", "192.0.2.2"))
        near, _ = MemoryNetwork().pair()
        self.session.work.append(near)
        leg = self.successResultOf(proxy.open_work_leg(ann))
        leg.attach(RecordingReceiver())
        leg.keep()
        self.assertIsNone(proxy.take_kept(bob))
        self.assertIs(proxy.take_kept(Origin(Address("192.0.2.1", 2))), leg)


class SignalTests(RegistryTestCase):
    """What the server half says to the client half."""

    def setUp(self) -> None:
        super().setUp()
        registered = self.register()
        self.ingress.waiting.pop().callback(Exposed())
        self.proxy = self.successResultOf(registered)

    def test_signal_to_the_client(self) -> None:
        """A signal of the exposure goes to the client's backend of this proxy."""
        self.proxy.signal({"a": 1})
        self.assertEqual(self.session.sent, [("web", "", {"a": 1})])

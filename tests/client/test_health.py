"""Tests of running health checks, with services in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.health import Check, HealthWatch, make_check
from relaykit.client.http_check import HttpCheck
from relaykit.errors import CheckFailedError, ConnectionFailed, PluginError
from relaykit.options import HealthCheck, ProxyCommon
from relaykit.sansio.control.health import (
    BecameHealthy,
    BecameUnhealthy,
    CheckFailed,
    CheckPace,
    HealthEvent,
    HealthState,
)
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended

PACE = CheckPace(interval_s=10.0, timeout_s=3.0, max_failed=1)


class Client:
    """What checks have of their client."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.dialing: Deferred[Any] = Deferred()
        self.dialed: list[str] = []

    def dial(self, endpoint: str) -> Deferred[Any]:
        """Connects to a local service, once the test says so."""
        self.dialed.append(endpoint)
        return self.dialing


class MakeCheckTests(SynchronousTestCase):
    """Tests for :func:`make_check`."""

    def make(self, kind: str, **common: Any) -> Check | None:
        """The check of a proxy."""
        client: Any = Client()
        return make_check(client, ProxyCommon(name="web", health_check=HealthCheck(type=kind), **common))

    def test_kinds(self) -> None:
        """A local service is checked as the configuration says."""
        self.assertIsInstance(self.make("http", local_port=80), HttpCheck)
        self.assertNotIsInstance(self.make("tcp", local="unix:/run/x.sock"), HttpCheck)
        error = self.assertRaises(PluginError, self.make, "icmp", local_port=80)
        self.assertEqual(str(error), 'proxy "web": there is no health check of type "icmp"')

    def test_none(self) -> None:
        """Nothing is checked where that is not asked for, or where there is no local service."""
        self.assertIsNone(self.make("", local_port=80))
        self.assertIsNone(self.make("tcp"))

    def test_tcp(self) -> None:
        """A service that takes a connection is well; nothing is sent, and the connection ends."""
        client: Any = Client()
        common = ProxyCommon(name="web", local_port=80, health_check=HealthCheck(type="tcp"))
        check = make_check(client, common)
        assert check is not None
        checking = Deferred.fromCoroutine(check())
        self.assertEqual(client.dialed, ["tcp:127.0.0.1:80"])
        network = MemoryNetwork()
        near, far = network.pair()
        service = RecordingReceiver(far)
        client.dialing.callback(near)
        self.successResultOf(checking)
        network.flush()
        self.assertEqual((service.data, service.ended), (b"", True))
        far.close()
        network.flush()
        self.assertIs(service.lost, Ended.FINISHED)

    def test_tcp_unreachable(self) -> None:
        """A service that does not is told as dialing tells it, and dialing is given up with the check."""
        for outcome in ("fails", "is given up"):
            client: Any = Client()
            common = ProxyCommon(name="web", local_port=80, health_check=HealthCheck(type="tcp"))
            check = make_check(client, common)
            assert check is not None
            checking = Deferred.fromCoroutine(check())
            if outcome == "fails":
                client.dialing.errback(ConnectionFailed("refused"))
                self.failureResultOf(checking, ConnectionFailed)
            else:
                checking.cancel()
                self.failureResultOf(checking)
                self.assertTrue(client.dialing.called)


class HealthWatchTests(SynchronousTestCase):
    """Tests for :class:`HealthWatch`."""

    def setUp(self) -> None:
        """Makes what watches, and a service that answers when the test says so."""
        client: Any = Client()
        self.clock: Clock = client.clock
        self.told: list[HealthEvent] = []
        self.watch = HealthWatch(client, self.told.append)
        self.checks: list[Deferred[None]] = []

    async def check(self) -> None:
        """A check that waits for the test."""
        self.checks.append(Deferred())
        await self.checks[-1]

    def state(self) -> HealthState:
        """What is known of the service."""
        health = self.watch.health("web")
        assert health is not None
        return health.state

    def test_results(self) -> None:
        """A service is checked again and again, and told of when it changes."""
        self.watch.watch("web", self.check, PACE)
        self.assertIs(self.state(), HealthState.UNKNOWN)
        self.checks[-1].callback(None)
        self.assertEqual((self.told, self.state()), ([BecameHealthy("web")], HealthState.HEALTHY))
        self.told.clear()
        for number, error in enumerate((ConnectionFailed("refused"), CheckFailedError("it answers")), 2):
            self.clock.advance(10.0)
            self.assertEqual(len(self.checks), number)
            self.checks[-1].errback(error)
        self.assertEqual(
            self.told,
            [
                CheckFailed("web", "refused"),
                BecameUnhealthy("web", "refused"),
                CheckFailed("web", "it answers"),
            ],
        )

    def test_at_once(self) -> None:
        """Checks whose results are there at once are fine, too."""

        async def check() -> None:
            await succeed(None)

        self.watch.watch("web", check, PACE)
        self.assertIs(self.state(), HealthState.HEALTHY)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_too_slow(self) -> None:
        """A check that takes too long is given up, and what comes of it then counts for nothing."""
        given_up: list[object] = []
        slow: Deferred[None] = Deferred(given_up.append)

        async def check() -> None:
            await slow

        self.watch.watch("web", check, PACE)
        self.clock.advance(3.0)
        self.assertEqual(len(given_up), 1)
        reason = "no answer within 3 seconds"
        self.assertEqual(self.told, [CheckFailed("web", reason), BecameUnhealthy("web", reason)])

    def test_defect(self) -> None:
        """A defect in a check is logged, and is a failure as any other."""

        async def check() -> None:
            await fail(ValueError("a defect"))

        self.watch.watch("web", check, PACE)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.told[-1], BecameUnhealthy("web", "a defect while it was checked: a defect"))

    def test_check_now(self) -> None:
        """Whoever has a reason asks for checks before their time."""
        self.watch.watch("web", self.check, PACE)
        self.checks[-1].callback(None)
        self.watch.check_now()
        self.assertEqual(len(self.checks), 2)

    def test_forgotten(self) -> None:
        """What is forgotten is not checked any more, and its check is given up."""
        for forget in (lambda: self.watch.forget("web"), self.watch.forget_all):
            self.watch.watch("web", self.check, PACE)
            forget()
            self.assertTrue(self.checks[-1].called)
            self.assertIsNone(self.watch.health("web"))
            self.assertEqual((self.told, self.clock.getDelayedCalls()), ([], []))
        self.watch.forget("unknown")

    def test_anew(self) -> None:
        """The result of a check of what was under that name before counts for nothing."""
        late: Deferred[None] = Deferred(lambda _: late.callback(None))

        async def check() -> None:
            await late

        self.watch.watch("web", check, PACE)
        self.watch.watch("web", self.check, PACE)
        self.assertTrue(late.called)
        self.assertIs(self.state(), HealthState.UNKNOWN)
        self.checks[-1].callback(None)
        self.assertIs(self.state(), HealthState.HEALTHY)

"""Tests of the budgets that users share, alone and with a whole relay in memory."""

from __future__ import annotations

import gc
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.server import Bandwidth
from relaykit.options import ProxyTransport
from relaykit.proxies import tcp
from relaykit.sansio.pacing import CREDIT_S, PIECE_S
from relaykit.server import budgets
from relaykit.server.budgets import Budgets
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, collecting
from relaykit.values import Address, ClientIdentity, Origin

KB = 1024
BURST_S = CREDIT_S + PIECE_S

ANN = ClientIdentity("r1", user="ann", client_id="c1")
BOB = ClientIdentity("r2")


def user(host: str) -> Origin:
    """Where a user comes from."""
    return Origin(Address(host, 1024))


class BudgetsTests(SynchronousTestCase):
    """Who shares which budget."""

    def test_no_limits(self) -> None:
        """Without limits there is nothing to share."""
        self.assertEqual(Budgets(Bandwidth()).of(ANN, user("192.0.2.1")), ())

    def test_clients(self) -> None:
        """A client has one budget, in its next session, too."""
        shared = Budgets(Bandwidth(per_client="1MB"))
        (budget,) = shared.of(ANN, user("192.0.2.1"))
        self.assertEqual(budget.rate, 1024 * KB)
        again = ClientIdentity("r9", user="ann", client_id="c1")
        self.assertEqual(shared.of(again, user("192.0.2.2")), (budget,))
        self.assertNotEqual(shared.of(BOB, user("192.0.2.1")), (budget,))

    def test_users(self) -> None:
        """A user's address has one budget at all clients; of IPv6 it is the network; unknown: none."""
        shared = Budgets(Bandwidth(per_user="1MB"))
        budget = shared.of(ANN, user("192.0.2.1"))
        self.assertEqual(shared.of(BOB, user("192.0.2.1")), budget)
        self.assertNotEqual(shared.of(ANN, user("192.0.2.2")), budget)
        self.assertEqual(shared.of(ANN, user("2001:db8::1")), shared.of(ANN, user("2001:db8::ffff")))
        self.assertEqual(shared.of(ANN, Origin()), ())

    def test_kept(self) -> None:
        """The budget of a user who comes again is the same one, until many others came; in use it is kept."""
        self.patch(budgets, "RECENT_BUDGETS", 3)
        shared = Budgets(Bandwidth(per_user="1MB"))
        used = shared.of(ANN, user("192.0.2.1"))
        forgotten = id(shared.of(ANN, user("192.0.2.2"))[0])
        self.assertEqual(id(shared.of(ANN, user("192.0.2.2"))[0]), forgotten)
        for number in range(10):
            shared.of(ANN, user(f"192.0.2.{100 + number}"))
        gc.collect()
        self.assertEqual(shared.of(ANN, user("192.0.2.1")), used)
        self.assertLessEqual(len(shared._users._budgets), 4)


class RelayTests(SynchronousTestCase):
    """Limits of a whole relay."""

    def relay(self, limits: Bandwidth | None = None) -> tuple[MemoryRelay, list[MemoryLeg]]:
        """A relay whose server has limits, and the services' ends of its users' connections."""
        return MemoryRelay(bandwidth=limits or Bandwidth()), []

    def publish(
        self, relay: MemoryRelay, services: list[MemoryLeg], port: int, name: str = "web", **transport: Any
    ) -> None:
        """Publishes a service on a port."""
        relay.publish(
            tcp.proxy_type,
            tcp.TcpOptions(remote_port=port),
            name=name,
            local=collecting(services),
            transport=ProxyTransport(**transport),
        )

    def connect(
        self, relay: MemoryRelay, services: list[MemoryLeg], port: int, host: str = "198.51.100.1"
    ) -> tuple[MemoryLeg, MemoryLeg]:
        """A user, and the service's end of the connection."""
        user = relay.dial(port, Address(host, 1024))
        relay.settle()
        return user, services[-1]

    def assert_paced(self, rate: float, count: int, seconds: float, flows: int = 1) -> None:
        """Fails unless so many bytes are what a rate amounts to; each flow may have a burst on its way."""
        self.assertLessEqual(count, rate * (seconds + BURST_S * flows) + 1)
        self.assertGreaterEqual(count, rate * (seconds - BURST_S * flows))

    def test_either_mode(self) -> None:
        """A proxy's limit holds at either end, both ways, and the end comes after all bytes."""
        for mode in ("client", "server"):
            relay, services = self.relay()
            self.publish(relay, services, 7001, bandwidth_limit="100KB", bandwidth_limit_mode=mode)
            user, service = self.connect(relay, services, 7001)
            at_user, at_service = RecordingReceiver(user), RecordingReceiver(service)
            user.write(bytes(60 * KB))
            service.write(bytes(60 * KB))
            service.finish_writing()
            relay.advance(1.0)
            self.assert_paced(100 * KB, len(at_user.data) + len(at_service.data), 1.0)
            self.assertLess(abs(len(at_user.data) - len(at_service.data)), 10 * KB)
            self.assertFalse(at_user.ended)
            relay.advance(0.5)
            self.assertEqual((len(at_user.data), at_user.ended), (60 * KB, True))
            self.assertEqual((len(at_service.data), at_service.ended), (60 * KB, False))
            user.close()
            relay.settle()
            self.assertTrue(at_service.ended)
            relay.stop()

    def test_user_closes(self) -> None:
        """The end of a user passes where the server limits, though the service says nothing."""
        relay, services = self.relay()
        self.publish(relay, services, 7001, bandwidth_limit="100KB", bandwidth_limit_mode="server")
        user, service = self.connect(relay, services, 7001)
        received = RecordingReceiver(service)
        user.close()
        relay.settle()
        self.assertTrue(received.ended)

    def test_one_budget(self) -> None:
        """All connections of a proxy share its limit, and slow down nobody else of its client."""
        for mode in ("client", "server"):
            relay, services = self.relay()
            self.publish(relay, services, 7001, bandwidth_limit="100KB", bandwidth_limit_mode=mode)
            self.publish(relay, services, 7002, name="free")
            limited = [self.connect(relay, services, 7001) for _ in range(4)]
            received = [RecordingReceiver(user) for user, _ in limited]
            for _, service in limited:
                service.write(bytes(100 * KB))
            user, service = self.connect(relay, services, 7002)
            free = RecordingReceiver(user)
            service.write(bytes(1000 * KB))
            relay.settle()
            self.assertEqual(len(free.data), 1000 * KB)
            relay.advance(2.0)
            counts = [len(each.data) for each in received]
            self.assert_paced(100 * KB, sum(counts), 2.0)
            self.assertLess(max(counts) - min(counts), 10 * KB)
            relay.stop()

    def test_client(self) -> None:
        """The limit of a client is that of all its proxies together."""
        relay, services = self.relay(Bandwidth(per_client="100KB"))
        received = []
        for port in (7001, 7002):
            self.publish(relay, services, port, name=f"web{port}")
        for port in (7001, 7002):
            user, service = self.connect(relay, services, port)
            received.append(RecordingReceiver(user))
            service.write(bytes(200 * KB))
        relay.advance(1.0)
        # Each publication in memory has a client of its own.
        for each in received:
            self.assert_paced(100 * KB, len(each.data), 1.0)
        user, service = self.connect(relay, services, 7001)
        received.append(RecordingReceiver(user))
        received[0].data = b""
        service.write(bytes(200 * KB))
        relay.advance(0.5)
        self.assert_paced(100 * KB, len(received[0].data) + len(received[2].data), 0.5)

    def test_user(self) -> None:
        """The limit of a user's address is that of all its connections to all clients; others have theirs."""
        relay, services = self.relay(Bandwidth(per_user="100KB"))
        for port in (7001, 7002):
            self.publish(relay, services, port, name=f"web{port}")
        here: list[RecordingReceiver] = []
        there: list[RecordingReceiver] = []
        for port in (7001, 7002):
            for host, received in (("198.51.100.1", here), ("198.51.100.2", there)):
                user, service = self.connect(relay, services, port, host)
                received.append(RecordingReceiver(user))
                service.write(bytes(200 * KB))
        relay.advance(1.0)
        for received in (here, there):
            self.assert_paced(100 * KB, sum(len(each.data) for each in received), 1.0)

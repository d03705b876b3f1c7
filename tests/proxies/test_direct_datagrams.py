"""Tests for :mod:`relaykit.proxies.direct_datagrams`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from relaykit.errors import QuicUnavailableError
from relaykit.interfaces import IDatagramLeg, ISharedPath
from relaykit.proxies import direct_datagrams
from relaykit.proxies.direct_datagrams import (
    LATE_S,
    PING_S,
    REJOIN_S,
    SILENT_S,
    PathWatch,
    RelayOnly,
    RoamingLeg,
    RoamingUsers,
    Way,
)
from relaykit.sansio.nat.user_names import UserNames
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import Address, Ended, Origin

ALICE = Address("192.0.2.7", 700)


class RoamingLegTests(SynchronousTestCase):
    """A user's leg, and the ways that it is given."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.stranded: list[RoamingLeg] = []
        self.closed: list[RoamingLeg] = []
        self.user = RoamingLeg(ALICE, self.clock, self.stranded.append, self.closed.append)
        self.received = RecordingDatagrams(self.user)

    def way(self, way: Way) -> tuple[IDatagramLeg, RecordingDatagrams]:
        """Gives the user a way; answers its other end, and what arrives there."""
        here, there = datagram_pair(self.network)
        self.user.use(way, here)
        return there, RecordingDatagrams(there)

    def pass_time(self, seconds: float = 0.0) -> None:
        """Lets things happen."""
        self.network.advance(seconds)

    def test_interface(self) -> None:
        """It is a datagram leg."""
        verifyObject(IDatagramLeg, self.user)
        self.assertEqual(self.user.peer, ALICE)

    def test_best_way(self) -> None:
        """It goes by the relay until it can go directly, and again once it cannot."""
        relayed, by_relay = self.way(Way.RELAY)
        self.user.send(b"1")
        path, directly = self.way(Way.DIRECT)
        self.user.send(b"2")
        self.pass_time()
        path.close()
        self.pass_time()
        self.user.send(b"3")
        relayed.send(b"answer")
        self.pass_time()
        self.assertEqual((by_relay.got, directly.got), ([b"1", b"3"], [b"2"]))
        self.assertEqual((self.received.got, self.stranded), ([b"answer"], []))

    def test_late(self) -> None:
        """What was on its way through the relay still arrives; after that it brings nothing."""
        relayed, _ = self.way(Way.RELAY)
        path, _ = self.way(Way.DIRECT)
        relayed.send(b"late")
        self.pass_time(LATE_S + 0.1)
        relayed.send(b"forged")
        path.send(b"true")
        self.pass_time()
        self.assertEqual((self.received.got, self.user.dropped), ([b"late", b"true"], 1))

    def test_relay_beside_path(self) -> None:
        """A way through the relay that comes while there is a path brings nothing before that is gone."""
        path, _ = self.way(Way.DIRECT)
        self.pass_time(1.0)
        relayed, by_relay = self.way(Way.RELAY)
        self.pass_time(0.1)
        relayed.send(b"forged")
        self.pass_time()
        path.close()
        self.pass_time()
        relayed.send(b"true")
        self.user.send(b"x")
        self.pass_time()
        self.assertEqual((self.received.got, by_relay.got), ([b"true"], [b"x"]))

    def test_replaced(self) -> None:
        """A way takes the place of the one before, which is closed."""
        _, before = self.way(Way.RELAY)
        _, after = self.way(Way.RELAY)
        self.pass_time()
        self.user.send(b"x")
        self.pass_time()
        self.assertIsNotNone(before.lost)
        self.assertEqual((before.got, after.got), ([], [b"x"]))

    def test_stranded(self) -> None:
        """Without a way datagrams are dropped, which is told: whoever hears it may give another one."""
        self.assertFalse(self.user.send(b"lost"))
        self.assertEqual((self.stranded, self.user.dropped), ([self.user], 1))
        there, _ = self.way(Way.RELAY)
        there.close()
        self.pass_time()
        self.assertEqual((len(self.stranded), self.received.lost), (2, None))

        def give(user: RoamingLeg) -> None:
            self.arrived = self.way(Way.RELAY)[1]

        self.patch(self.user, "_on_stranded", give)
        self.assertTrue(self.user.send(b"saved"))
        self.pass_time()
        self.assertEqual(self.arrived.got, [b"saved"])

    def test_held(self) -> None:
        """What arrived before there is a receiver is held by its way."""
        user = RoamingLeg(ALICE, self.clock, self.stranded.append, self.closed.append)
        here, there = datagram_pair(self.network)
        there.send(b"early")
        self.pass_time()
        user.use(Way.RELAY, here)
        self.assertEqual(RecordingDatagrams(user).got, [b"early"])

    def test_paused(self) -> None:
        """While it is paused nothing is delivered, by a new way neither."""
        relayed, _ = self.way(Way.RELAY)
        self.user.pause()
        path, _ = self.way(Way.DIRECT)
        relayed.send(b"1")
        path.send(b"2")
        self.pass_time()
        self.assertEqual(self.received.got, [])
        self.user.resume()
        self.assertEqual(sorted(self.received.got), [b"1", b"2"])

    def test_closed(self) -> None:
        """Closing it closes its ways, and is told once; it takes no others and sends nothing."""
        _, by_relay = self.way(Way.RELAY)
        self.user.close()
        self.assertIsNone(self.received.lost)
        self.pass_time()
        self.user.close()
        self.assertFalse(self.user.send(b"x"))
        _, late = self.way(Way.DIRECT)
        self.pass_time()
        self.assertEqual((self.received.lost, self.closed), (Ended.FINISHED, [self.user]))
        self.assertEqual([by_relay.lost is None, late.lost is None, self.stranded], [False, False, []])


class RoamingUsersTests(SynchronousTestCase):
    """The users of a backend."""

    def setUp(self) -> None:
        self.network = MemoryNetwork(clock=Clock())
        self.users = RoamingUsers(self.network.clock)
        self.name = UserNames(lambda count: bytes(count)).name_of(ALICE)

    def come(self, way: Way, source: Address | None) -> tuple[Any, IDatagramLeg]:
        """Has a user come; answers what is to be joined, and the other end of the user's way."""
        here, there = datagram_pair(self.network)
        return self.users.admit(way, here, Origin(source)), there

    def test_both_ways(self) -> None:
        """Who comes by another way is who came before, and joined already; the log knows the address."""
        admitted, _ = self.come(Way.RELAY, self.name)
        leg, origin = admitted
        self.assertEqual((origin.source, len(self.users)), (ALICE, 1))
        again, there = self.come(Way.DIRECT, self.name)
        self.assertIsNone(again)
        received = RecordingDatagrams(there)
        leg.send(b"x")
        self.network.flush()
        self.assertEqual(received.got, [b"x"])

    def test_others(self) -> None:
        """Whoever has no name of this kind is joined as they come."""
        for source in (ALICE, None):
            admitted, _ = self.come(Way.RELAY, source)
            self.assertNotIsInstance(admitted[0], RoamingLeg)
            self.assertEqual((admitted[1].source, len(self.users)), (source, 0))

    def test_rejoined(self) -> None:
        """One whose way is gone keeps its place for a while, whatever is sent to it meanwhile."""
        admitted, there = self.come(Way.DIRECT, self.name)
        received = RecordingDatagrams(admitted[0])
        for _ in range(2):
            there.close()
            self.network.advance(REJOIN_S - 1)
            admitted[0].send(b"dropped")
            _, there = self.come(Way.RELAY, self.name)
        there.close()
        self.network.advance(0)
        self.assertEqual((received.lost, len(self.users)), (None, 1))
        self.network.advance(REJOIN_S)
        self.assertEqual((received.lost, len(self.users)), (Ended.TIMEOUT, 0))
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_too_many(self) -> None:
        """There is a limit; one more is let go."""
        self.patch(direct_datagrams, "MOST_ROAMING", 1)
        self.come(Way.DIRECT, self.name)
        other = Address(self.name.host, 1)
        admitted, there = self.come(Way.DIRECT, other)
        received = RecordingDatagrams(there)
        self.network.flush()
        self.assertIsNone(admitted)
        self.assertIsNotNone(received.lost)


class _Path:
    """Counts pings, and keeps who waits."""

    def __init__(self) -> None:
        directlyProvides(self, ISharedPath)
        self.waiting: list[Deferred[None]] = []

    def ping(self) -> Deferred[None]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def answer(self) -> None:
        """The peer says something."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)


class PathWatchTests(SynchronousTestCase):
    """A watch over a path."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = _Path()
        self.silent: list[bool] = []
        path: Any = self.path
        self.watch = PathWatch(path, self.clock, lambda: self.silent.append(True))

    def test_alive(self) -> None:
        """A peer that answers is asked again and again."""
        for _ in range(20):
            self.assertEqual(len(self.path.waiting), 1)
            self.path.answer()
            self.clock.advance(PING_S)
        self.assertEqual(self.silent, [])

    def test_silent(self) -> None:
        """One that says nothing is told of once, in time."""
        for _ in range(10):
            self.clock.advance(SILENT_S / 5)
        self.assertEqual((self.silent, self.clock.getDelayedCalls()), ([True], []))

    def test_stopped(self) -> None:
        """A watch that was stopped asks and says nothing, whatever arrives."""
        self.watch.stop()
        self.path.answer()
        self.clock.advance(60.0)
        self.assertEqual((self.silent, self.path.waiting, self.clock.getDelayedCalls()), ([], [], []))

    def test_unshared(self) -> None:
        """A path that cannot be asked over is left to itself."""
        clock, path = Clock(), SimpleNamespace()
        PathWatch(path, clock, self.fail)  # type: ignore[arg-type]  # no path at all
        self.assertEqual(clock.getDelayedCalls(), [])


class RelayOnlyTests(SynchronousTestCase):
    """What is said of paths that cannot be had."""

    def look(self, takes_signals: bool, has_quic: bool = True) -> tuple[list[bool], list[Any], str]:
        """Looks twice; the answers, what was said, and what the panel says."""

        def streams(protocol: str) -> None:
            if not has_quic:
                raise QuicUnavailableError("pip install 'relaykit[quic]'")

        host: Any = SimpleNamespace(name="x", takes_signals=takes_signals, datagram_streams=streams, way="")
        only = RelayOnly(host)
        with capturedLogs() as logged:
            answers = [only.look(), only.look()]
        return answers, [(each["problem"], each["reason"]) for each in logged], host.way

    def test_nothing(self) -> None:
        """Where paths can be had, nothing is said."""
        self.assertEqual(self.look(True), ([False, False], [], ""))

    def test_server(self) -> None:
        """Another program's server brings nobody together, which is said once, and shown."""
        answers, said, way = self.look(False)
        self.assertEqual((answers, [problem for problem, _ in said]), ([True, True], ["no-rendezvous"]))
        self.assertTrue(way.startswith("by the relay: the server knows of no rendezvous"))

    def test_quic(self) -> None:
        """Where QUIC is missing, what to install is said once, and paths can be had nevertheless."""
        answers, said, _ = self.look(True, has_quic=False)
        ((problem, text),) = said
        self.assertEqual((answers, problem), ([False, False], "no-quic"))
        self.assertIn("relaykit[quic]", text)

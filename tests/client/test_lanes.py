"""The service's end of a lane, with a host that the test plays."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.client.announcing import UserNotAnnounced
from relaykit.client.lanes import UNREACHABLE_FOR_S, LaneService
from relaykit.dataplane.datagram_flows import DatagramForwarder
from relaykit.dataplane.lanes import DatagramLane
from relaykit.errors import ConnectionFailed, OutOfDescriptors
from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import Address, Ended, Origin

VISITING = Address("198.51.100.4", 9)
ALICE, BOB, CAROL = (Address("203.0.113.9", port) for port in (1, 2, 3))


class Host:
    """As much of a client host as a lane needs: a local service that echoes, or fails as the test says."""

    name = "dns"

    def __init__(self, clock: Clock, network: MemoryNetwork) -> None:
        self.reactor = clock
        self.network = network
        self.forwarder = DatagramForwarder(clock, clock.seconds)
        self.failure: Exception | None = None
        self.opened: list[Origin] = []
        self.pending: list[Deferred[IDatagramLeg]] | None = None

    def open_local_datagrams(self, origin: Origin) -> Deferred[IDatagramLeg]:
        """Notes whose leg it is."""
        self.opened.append(origin)
        if self.pending is not None:
            waiting: Deferred[IDatagramLeg] = Deferred()
            self.pending.append(waiting)
            return waiting
        return fail(self.failure) if self.failure is not None else succeed(self.service())

    def service(self) -> IDatagramLeg:
        """A leg to a service that echoes."""
        leg, service = datagram_pair(self.network)
        received = RecordingDatagrams()
        received.datagram_received = service.send  # type: ignore[method-assign, assignment]  # an echo
        service.attach(received)
        return leg

    def forward_datagrams(self, near: IDatagramLeg, far: IDatagramLeg, origin: Origin) -> Any:
        """Forwards."""
        return self.forwarder.forward(near, far)


class LaneServiceTests(SynchronousTestCase):
    """Tests for :class:`LaneService`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        near, far = self.network.pair()
        self.host = Host(self.clock, self.network)
        self.users = DatagramLane(self.network, near, BinaryCodec(), lambda error: None)
        self.users.start()
        self.lane = DatagramLane(self.network, far, BinaryCodec(), lambda error: None)
        self.serve(Origin())

    def serve(self, origin: Origin) -> None:
        """Has the lane served that comes from there."""
        host: Any = self.host
        self.served = LaneService(host, self.lane, origin)
        self.ended = self.served.start()

    def ask(self, *users: Address) -> list[RecordingDatagrams]:
        """What these users get, each of whom asks once."""
        legs = [self.users.open(user) for user in users]
        got = [RecordingDatagrams(leg) for leg in legs]
        for leg, user in zip(legs, users, strict=True):
            leg.send(str(user).encode())
        self.network.flush()
        return got

    def test_served(self) -> None:
        """Each user has a leg of its own to the service, and gets the answers to what it sent."""
        verifyObject(IDatagramAcceptor, self.served)
        got = self.ask(ALICE, BOB)
        self.assertEqual([each.got for each in got], [[b"203.0.113.9:1"], [b"203.0.113.9:2"]])
        self.assertEqual(self.host.opened, [Origin(ALICE), Origin(BOB)])

    def visit(self) -> None:
        """Has a lane of a visitor served, too."""
        near, far = self.network.pair()
        self.users = DatagramLane(self.network, near, BinaryCodec(), lambda error: None)
        self.users.start()
        self.lane = DatagramLane(self.network, far, BinaryCodec(), lambda error: None)
        self.serve(Origin(VISITING))

    def test_visitor(self) -> None:
        """The users of a visitor's lane come from the client that visits; who they are is what that says."""
        self.visit()
        (got,) = self.ask(ALICE)
        self.assertEqual(got.got, [b"203.0.113.9:1"])
        self.assertEqual(self.host.opened, [Origin(VISITING, visitor_user=ALICE)])

    def test_held(self) -> None:
        """What a user sends while the way to the service is being opened is not lost."""
        self.host.pending = []
        (got,) = self.ask(ALICE)
        self.host.pending.pop().callback(self.host.service())
        self.network.flush()
        self.assertEqual(got.got, [b"203.0.113.9:1"])

    def test_unreachable(self) -> None:
        """While the service cannot be reached users are dropped, and it is not tried for each of them."""
        self.host.failure = ConnectionFailed("no such host")
        self.ask(ALICE, BOB, CAROL)
        self.assertEqual((self.host.opened, self.lane.users), ([Origin(ALICE)], 0))
        self.host.failure = None
        self.clock.advance(UNREACHABLE_FOR_S)
        (got,) = self.ask(BOB)
        self.assertEqual(got.got, [b"203.0.113.9:2"])

    def test_not_announced(self) -> None:
        """A user who cannot be announced keeps no others away, unless all are announced alike."""
        self.host.failure = UserNotAnnounced("no address")
        self.ask(ALICE, BOB)
        self.assertEqual((self.host.opened, self.lane.users), ([Origin(ALICE), Origin(BOB)], 0))
        self.visit()
        self.ask(ALICE, BOB)
        self.assertEqual(self.host.opened[2:], [Origin(VISITING, visitor_user=ALICE)])

    def test_no_descriptors(self) -> None:
        """Where there are no sockets for all users, the longest silent one makes room for who comes."""
        self.ask(ALICE, BOB)
        self.host.failure = OutOfDescriptors("too many open files")
        self.ask(CAROL)
        self.assertEqual([leg.peer for leg in self.lane._sources.legs.values()], [BOB])
        self.host.failure = None
        (got,) = self.ask(CAROL)
        self.assertEqual(got.got, [b"203.0.113.9:3"])

    def test_defect(self) -> None:
        """A defect costs one user, and is logged."""
        self.host.failure = ZeroDivisionError()
        self.ask(ALICE)
        self.assertEqual((len(self.flushLoggedErrors(ZeroDivisionError)), self.lane.users), (1, 0))

    def test_lost(self) -> None:
        """It is over with its lane, and so are the flows of its users."""
        self.ask(ALICE)
        self.assertNoResult(self.ended)
        self.users.close()
        self.network.flush()
        self.assertIs(self.successResultOf(self.ended), Ended.FINISHED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

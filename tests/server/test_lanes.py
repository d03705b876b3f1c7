"""The lanes of a proxy, whose client the test plays."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.lanes import SILENCE_S, DatagramLane
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import LocalProtocolError, NoWorkConnection, SessionLost
from relaykit.interfaces import IFlow
from relaykit.sansio.pacing import Budget
from relaykit.server import lanes
from relaykit.server.lanes import MOST_LANES, PAUSE_S, DatagramUserFlow, ProxyLanes
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import MemoryDatagramLeg, datagram_pair
from relaykit.values import Address, Ended, Origin
from tests.dataplane.fakes import AcceptingDatagrams
from tests.server.test_flows import Proxy


class ProxyLanesTests(SynchronousTestCase):
    """Tests for :class:`ProxyLanes` and the flows over them."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.proxy = Proxy()
        self.proxy.clock = self.clock
        self.proxy.data_plane = DataPlane([CopyForwarder()], self.network)
        self.lanes = ProxyLanes(self.proxy)
        self.clients: list[AcceptingDatagrams] = []
        self.ports = 0

    def user(self, *datagrams: bytes) -> tuple[MemoryDatagramLeg, RecordingDatagrams, DatagramUserFlow]:
        """A user of another port, who has sent these: its end, what comes to it, its flow."""
        self.ports += 1
        source = Address("203.0.113.9", self.ports)
        leg, at_port = datagram_pair(self.network, source)
        got = RecordingDatagrams(leg)
        flow = DatagramUserFlow(self.proxy, at_port, Origin(source), self.lanes)
        flow.start()
        for data in datagrams:
            leg.send(data)
        self.network.flush()
        return leg, got, flow

    def give(self) -> MemoryLeg:
        """Gives the lane that is wanted a work connection; answers the client's end of that."""
        near, far = self.network.pair()
        accepting = AcceptingDatagrams()
        self.clients.append(accepting)
        lane = DatagramLane(self.network, far, self.proxy.lane_codec(), lambda error: None)
        lane.start(accepting)
        self.proxy.wanted.pop().on_work_leg(near)
        self.network.flush()
        return far

    def test_served(self) -> None:
        """A lane is opened for the first user; what it sent meanwhile is not lost, answers come back."""
        user, got, flow = self.user(b"abc")
        verifyObject(IFlow, flow)
        self.assertTrue(flow.is_waiting)
        self.assertEqual([each.origin for each in self.proxy.wanted], [Origin()])
        self.give()
        (at_client,) = self.clients[0].legs
        self.assertEqual(RecordingDatagrams(at_client).got, [b"abc"])
        at_client.send(b"defg")
        self.network.flush()
        self.assertEqual((got.got, flow.moved(), flow.is_waiting), ([b"defg"], (3, 4), False))
        flow.end(Ended.WITHDRAWN)
        self.network.flush()
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.WITHDRAWN])
        self.assertTrue(got.lost and user)

    def test_limited(self) -> None:
        """Datagrams beyond the budgets of the proxy are dropped."""
        self.proxy.budgets = [Budget(10e3)]
        user, _, _ = self.user()
        self.give()
        for _ in range(20):
            user.send(bytes(1000))
        self.network.flush()
        (at_client,) = self.clients[0].legs
        self.assertEqual(RecordingDatagrams(at_client).got, [bytes(1000)])

    def test_several(self) -> None:
        """Users share lanes; where there can be several, they are opened ahead of need, and shared out."""
        self.user(b"x")
        self.give()
        for _ in range(2 * MOST_LANES):
            self.user(b"x")
            if self.proxy.wanted:
                self.give()
        self.assertEqual(len(self.clients), MOST_LANES)
        for _ in range(3 * MOST_LANES):
            self.user(b"x")
        self.assertEqual(self.proxy.wanted, [])
        counts = [len(each.legs) for each in self.clients]
        self.assertEqual((sum(counts), max(counts) - min(counts) <= 1), (1 + 5 * MOST_LANES, True))

    def test_one_for_frp(self) -> None:
        """A client that knows frp's format only has one lane."""
        self.proxy.extensions = frozenset()
        for _ in range(3):
            self.user(b"x")
        self.give()
        self.user(b"x")
        self.assertEqual((self.proxy.wanted, len(self.clients[0].legs)), ([], 4))

    def test_ended_while_waiting(self) -> None:
        """A user who waits for a lane can be ended; the lane comes all the same, for others."""
        _, got, flow = self.user(b"x")
        flow.end(Ended.OPERATOR)
        self.give()
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.OPERATOR])
        self.assertEqual((self.clients[0].legs, got.lost), ([], Ended.FINISHED))
        self.user(b"y")
        self.assertEqual(len(self.clients[0].legs), 1)

    def test_unserved(self) -> None:
        """Without a work connection those who wait are let go; who comes after waits for the next try."""
        users = [self.user(b"x") for _ in range(2)]
        self.proxy.wanted.pop().on_unserved(NoWorkConnection("none in time"))
        self.network.flush()
        self.assertEqual([got.lost for _, got, _ in users], [Ended.FINISHED] * 2)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.TIMEOUT] * 2)
        self.user(b"y")
        self.assertEqual(self.proxy.wanted, [])
        self.clock.advance(PAUSE_S)
        self.give()
        self.assertEqual(RecordingDatagrams(self.clients[0].legs[0]).got, [b"y"])

    def test_crowded(self) -> None:
        """Of those who wait for a lane there are so many, no more: forged sources cost no memory."""
        self.patch(lanes, "MOST_WAITING", 3)
        users = [self.user(b"x") for _ in range(5)]
        self.assertEqual([flow.is_waiting for _, _, flow in users], [True] * 3 + [False] * 2)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.TIMEOUT] * 2)
        self.give()
        self.assertEqual(len(self.clients[0].legs), 3)

    def test_lost_at_once(self) -> None:
        """Nobody waits for the next lane again and again where each is lost before anybody is on it."""
        self.user(b"x")
        near, far = self.network.pair()
        far.cut()
        self.network.flush()
        with capturedLogs():
            self.proxy.wanted.pop().on_work_leg(near)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.TIMEOUT])

    def test_ended_by_another(self) -> None:
        """A user who is ended by what comes of another one's end is not ended again."""
        (_, _, first), (_, _, second) = self.user(b"x"), self.user(b"x")
        first.when_ended().addCallback(lambda _: second.end(Ended.OPERATOR))
        self.proxy.wanted.pop().on_unserved(NoWorkConnection("none in time"))
        self.network.flush()
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.TIMEOUT, Ended.OPERATOR])

    def test_lost(self) -> None:
        """A lane that is lost takes its users with it; after a pause those who send again have another."""
        user, got, _ = self.user(b"x")
        with capturedLogs() as logged:
            self.give().cut()
            self.network.flush()
        self.assertEqual([(event["proxy"], event["ended"]) for event in logged], [("web", "reset")])
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.FAR_LOST])
        self.assertTrue(got.lost and user)
        self.user(b"again")
        self.assertEqual(self.proxy.wanted, [])
        self.clock.advance(PAUSE_S)
        self.give()
        self.assertEqual(len(self.clients[1].legs), 1)

    def test_silent(self) -> None:
        """A lane on which the client says nothing any more is given up, and a new one is taken."""
        self.user(b"x")
        client = self.give()
        client.stalled = True
        self.network.advance(2 * SILENCE_S)
        self.assertEqual(len(self.proxy.ended), 1)
        self.user(b"y")
        self.give()
        self.assertEqual(len(self.clients[1].legs), 1)

    def test_too_large(self) -> None:
        """A datagram that frp's format has no room for is dropped and told of once; others pass."""
        self.proxy.extensions = frozenset()
        self.lanes.most_bytes = 1500
        with capturedLogs() as logged:
            user, _, _ = self.user(bytes(1501), b"small")
            self.give()
            user.send(bytes(1501))
            user.send(bytes(1500))
            self.network.flush()
        self.assertEqual([event["problem"] for event in logged], ["datagram-too-large"])
        got = RecordingDatagrams(self.clients[0].legs[0]).got
        self.assertEqual([len(each) for each in got], [5, 1500])

    def test_defect(self) -> None:
        """A data plane that raises costs the user, and is logged."""
        self.user(b"x")

        class Unfit(DataPlane):
            """A data plane with a defect."""

            def forward_datagrams(self, near: object, far: object) -> IFlow:
                raise LocalProtocolError("a defect")

        self.proxy.data_plane = Unfit([CopyForwarder()], self.network)
        self.give()
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.INTERNAL_ERROR])

    def test_no_address(self) -> None:
        """Who comes from nowhere, or from what is no address, is not served, and that is no defect."""
        self.user(b"x")
        self.give()
        for source in (None, Address("a name", 1)):
            leg, at_port = datagram_pair(self.network)
            DatagramUserFlow(self.proxy, at_port, Origin(source), self.lanes).start()
            leg.send(b"from somewhere")
        self.network.flush()
        got = [RecordingDatagrams(each).got for each in self.clients[0].legs]
        self.assertEqual((got, len(self.proxy.ended)), ([[b"x"]], 2))

    def test_session_lost(self) -> None:
        """When the session ends those who wait are let go for that reason."""
        self.user(b"x")
        self.proxy.wanted.pop().on_unserved(SessionLost("it is gone"))
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.SESSION_ENDED])
        self.lanes.close()
        self.network.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """When the proxy is gone its lanes are, those that are being opened, too; no user is served."""
        self.user(b"x")
        self.give()
        self.user(b"x")
        self.assertEqual(len(self.proxy.wanted), 1)
        seeker = self.proxy.wanted[0]
        self.lanes.close()
        self.network.flush()
        self.assertEqual((self.proxy.wanted, seeker.is_waiting), ([], False))
        _, got, _ = self.user(b"late")
        self.assertEqual(got.lost, Ended.FINISHED)
        self.assertEqual({each.ended for each in self.proxy.ended}, {Ended.FINISHED, Ended.TIMEOUT})

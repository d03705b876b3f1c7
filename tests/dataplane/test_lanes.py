"""Lanes over legs in memory, in every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane import lanes
from relaykit.dataplane.lanes import FLUSH_BYTES, KEEP_ALIVE_S, SILENCE_S, DatagramLane
from relaykit.interfaces import IDatagramLane, IDatagramLeg, IPiecesReceiver
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec
from relaykit.sansio.lanes.frp import MessageCodec
from relaykit.sansio.wire.framing import V1, V2
from relaykit.testing.memory import CAPACITY_BYTES, MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.timer import PORTION_S
from relaykit.values import MOST_DATAGRAM_BYTES, Address, Ended, Origin
from tests.dataplane.fakes import AcceptingDatagrams

ALICE, BOB = Address("203.0.113.9", 40000), Address("2001:db8::5", 1)
CODECS: Sequence[Callable[[], LaneCodec]] = (
    BinaryCodec,
    lambda: MessageCodec(V1, 1500),
    lambda: MessageCodec(V2, 1500),
)


class DatagramLaneTests(SynchronousTestCase):
    """A lane, from the users' end to the service's."""

    def setUp(self) -> None:
        self.make()

    def make(self, codec: Callable[[], LaneCodec] = BinaryCodec) -> None:
        """The two ends of a new lane."""
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.stream, far = self.network.pair()
        self.too_large: list[DatagramTooLarge] = []
        self.accepting = AcceptingDatagrams()
        self.users = DatagramLane(self.network, self.stream, codec(), self.too_large.append)
        self.service = DatagramLane(self.network, far, codec(), self.too_large.append)
        self.users.start()
        self.service.start(self.accepting)

    def user(self, address: Address, *datagrams: bytes) -> tuple[IDatagramLeg, RecordingDatagrams]:
        """The leg of a user at the users' end, and what comes to it; the user has sent these."""
        leg = self.users.open(address)
        got = RecordingDatagrams(leg)
        for data in datagrams:
            self.assertTrue(leg.send(data))
        self.network.flush()
        return leg, got

    def test_interface(self) -> None:
        """Both ends are lanes, their legs datagram legs with the user as peer."""
        verifyObject(IDatagramLane, self.users)
        verifyObject(IPiecesReceiver, self.users)
        leg, _ = self.user(ALICE, b"x")
        verifyObject(IDatagramLeg, leg)
        self.assertEqual((leg.peer, self.accepting.legs[0].peer), (ALICE, ALICE))

    def test_both_ways(self) -> None:
        """Datagrams of several users pass both ways, each to whom it is for; empty ones, too."""
        for codec in CODECS:
            self.make(codec)
            (alice, to_alice), (_, to_bob) = self.user(ALICE, b"one", b""), self.user(BOB, b"two")
            alice.send(b"three")
            self.network.flush()
            self.assertEqual(self.accepting.origins, [Origin(ALICE), Origin(BOB)])
            at_alice, at_bob = map(RecordingDatagrams, self.accepting.legs)
            self.assertEqual((at_alice.got, at_bob.got), ([b"one", b"", b"three"], [b"two"]))
            for leg, answer in zip(self.accepting.legs, (b"1", b""), strict=True):
                self.assertTrue(leg.send(answer))
            self.network.flush()
            self.assertEqual((to_alice.got, to_bob.got), ([b"1"], [b""]))
            self.assertEqual((self.users.users, self.service.users), (2, 2))

    def test_full_size(self) -> None:
        """The largest datagram passes in relaykit's format, both ways."""
        largest = bytes(MOST_DATAGRAM_BYTES)
        _, got = self.user(ALICE, largest)
        (leg,) = self.accepting.legs
        self.assertEqual(RecordingDatagrams(leg).got, [largest])
        leg.send(largest)
        self.network.flush()
        self.assertEqual(got.got, [largest])

    def test_too_large(self) -> None:
        """What the format has no room for is dropped, counted and told; the next one passes."""
        self.make(CODECS[1])
        leg, _ = self.user(ALICE, b"small")
        self.assertFalse(leg.send(bytes(1501)))
        leg.send(b"small again")
        self.network.flush()
        self.assertEqual((leg.dropped, len(self.too_large)), (1, 1))
        self.assertEqual(RecordingDatagrams(self.accepting.legs[0]).got, [b"small", b"small again"])

    def test_batches(self) -> None:
        """What is sent within a turn goes out together when it ends; a lot of it does not wait."""
        leg, _ = self.user(ALICE)
        for _ in range(3):
            leg.send(b"x")
        self.assertEqual(self.stream.queued, 0)
        self.network.turn()
        for _ in range(2):
            leg.send(bytes(FLUSH_BYTES // 2))
        self.assertGreater(self.stream.queued, FLUSH_BYTES)

    def test_pieces(self) -> None:
        """What comes in pieces is as good as what comes in one, wherever it was cut."""
        for make in CODECS:
            self.make(make)
            codec = make()
            frames = b"".join(codec.encode(codec.key_of(ALICE), data) for data in (b"one", b"two"))
            self.service.pieces_received([frames[:3], memoryview(frames)[3:]])
            self.assertEqual(RecordingDatagrams(self.accepting.legs[0]).got, [b"one", b"two"])

    def test_portions(self) -> None:
        """Many datagrams are handed on in portions, in order; nothing is read before all of them are."""
        leg, _ = self.user(ALICE, b"first")
        got = RecordingDatagrams(self.accepting.legs[0])
        seconds = self.network.clock.seconds

        def look() -> float:
            self.network.clock.rightNow += PORTION_S
            return seconds()

        self.patch(self.network.clock, "seconds", look)
        sent = [b"%d" % number for number in range(1000)]
        for each in sent:
            leg.send(each)
        before, turns = len(got.got), 0
        while len(got.got) <= 1000:
            self.network.turn()
            self.assertLessEqual(len(got.got) - before, 64)
            before = len(got.got)
            leg.send(b"later") if turns == 5 else None
            turns += 1
        self.network.flush()
        self.assertEqual(got.got, [b"first", *sent, b"later"])
        self.assertGreater(turns, 10)

    def test_closed_between_portions(self) -> None:
        """What a lane that is closed had left is dropped."""
        leg, _ = self.user(ALICE, b"first")
        got = RecordingDatagrams(self.accepting.legs[0])
        self.patch(lanes, "Portion", lambda clock: mock.Mock(is_over=True))
        for _ in range(200):
            leg.send(b"x")
        self.network.turn()
        self.network.turn()
        self.service.close()
        self.network.flush()
        self.assertLess(len(got.got), 200)

    def test_full_stream(self) -> None:
        """While the stream takes no more, datagrams are dropped and counted; later ones pass again."""
        self.service._lower.pauseProducing()
        leg, _ = self.user(ALICE)
        piece = bytes(CAPACITY_BYTES // 4)
        taken = sum(leg.send(piece) for _ in range(100))
        self.network.turn()
        self.assertFalse(leg.send(b"no room"))
        self.assertEqual((taken < 100, leg.dropped), (True, 101 - taken))
        self.service._lower.resumeProducing()
        self.network.flush()
        self.assertTrue(leg.send(b"room"))
        self.network.flush()
        got = RecordingDatagrams(self.accepting.legs[0]).got
        self.assertEqual((len(got), got[-1]), (taken + 1, b"room"))

    def test_gone(self) -> None:
        """In relaykit's format a leg that is over at one end is over at the other; who comes again is new."""
        leg, _ = self.user(ALICE, b"1")
        at_service = RecordingDatagrams(self.accepting.legs[0])
        leg.close()
        _, got = self.user(ALICE, b"2")
        self.assertEqual((at_service.lost, len(self.accepting.legs)), (Ended.FINISHED, 2))
        self.accepting.legs[1].close()
        self.network.flush()
        self.assertEqual((got.lost, self.users.users, self.service.users), (Ended.FINISHED, 0, 0))

    def test_closed_leg(self) -> None:
        """In frp's, what comes for a user who is gone is dropped; who sends again is new to a new leg."""
        self.make(CODECS[1])
        leg, got = self.user(ALICE, b"1")
        leg.close()
        self.accepting.legs[0].send(b"late")
        self.network.flush()
        self.assertEqual((got.got, got.lost, self.users.dropped), ([], Ended.FINISHED, 1))
        self.accepting.legs[0].close()
        self.user(ALICE, b"2")
        self.assertEqual(RecordingDatagrams(self.accepting.legs[1]).got, [b"2"])

    def test_nobody(self) -> None:
        """A datagram of what is no address is dropped, and that is all."""
        self.make(CODECS[1])
        self.stream.write(b'u\x00\x00\x00\x00\x00\x00\x00\x10{"r":{"IP":"?"}}')
        self.network.flush()
        self.assertEqual((self.accepting.legs, self.service.dropped), ([], 1))
        self.user(ALICE, b"x")
        self.assertEqual(len(self.accepting.legs), 1)

    def test_close(self) -> None:
        """What was taken before the close is still sent; both ends and all legs learn of it."""
        leg, got = self.user(ALICE, b"first")
        at_service = RecordingDatagrams(self.accepting.legs[0])
        leg.send(b"last")
        self.users.close()
        self.users.close()
        self.assertFalse(leg.send(b"late"))
        self.network.flush()
        self.assertEqual((at_service.got, at_service.lost), ([b"first", b"last"], Ended.FINISHED))
        self.assertIs(got.lost, Ended.FINISHED)
        for lane in (self.users, self.service):
            self.assertIs(self.successResultOf(lane.when_lost()), Ended.FINISHED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_before_it_began(self) -> None:
        """A lane that was never started can be closed; a leg that it is asked for then is lost."""
        lane = DatagramLane(self.network, self.network.pair()[0], BinaryCodec(), self.too_large.append)
        lost = lane.when_lost()
        lane.close()
        got = RecordingDatagrams(lane.open(ALICE))
        self.network.flush()
        self.assertEqual((self.successResultOf(lost), got.lost), (Ended.FINISHED, Ended.FINISHED))

    def test_lost(self) -> None:
        """A reset of the stream is the loss of the lane and all its legs, at both ends."""
        _, got = self.user(ALICE, b"x")
        at_service = RecordingDatagrams(self.accepting.legs[0])
        self.stream.cut()
        self.network.flush()
        self.assertEqual((got.lost, at_service.lost), (Ended.RESET, Ended.RESET))
        self.assertIs(self.successResultOf(self.service.when_lost()), Ended.RESET)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nonsense(self) -> None:
        """A peer that breaks the rules is cut off."""
        _, got = self.user(ALICE)
        self.service._lower.write(b"\xff\xff\xff")
        self.network.flush()
        self.assertEqual(got.lost, Ended.PROTOCOL_ERROR)
        self.assertIs(self.successResultOf(self.users.when_lost()), Ended.PROTOCOL_ERROR)
        self.assertIs(self.successResultOf(self.service.when_lost()), Ended.RESET)

    def test_keep_alive(self) -> None:
        """The service's end says that it is there, the users' end never does; that keeps the lane."""
        for codec in CODECS:
            self.make(codec)
            self.users.close()
            self.network.flush()
            for is_service in (True, False):
                near, far = self.network.pair()
                got = RecordingReceiver(near)
                lane = DatagramLane(self.network, far, codec(), self.too_large.append)
                lane.start(self.accepting if is_service else None)
                self.network.advance(KEEP_ALIVE_S)
                self.assertEqual(got.data, codec().keep_alive if is_service else b"")
                lane.close()
        self.make()
        self.network.advance(10 * SILENCE_S)
        self.assertNoResult(self.users.when_lost())

    def test_silence(self) -> None:
        """The users' end gives a lane up on which nothing comes any more, and the legs with it."""
        _, got = self.user(ALICE)
        self.service._lower.stalled = True  # type: ignore[attr-defined]  # a leg in memory
        lost = self.users.when_lost()
        self.network.advance(SILENCE_S)
        self.assertNoResult(lost)
        self.network.advance(SILENCE_S / 4)
        self.assertEqual((self.successResultOf(lost), got.lost), (Ended.TIMEOUT, Ended.TIMEOUT))

    def test_let_go(self) -> None:
        """Where there is no room for all users the longest silent one is let go."""
        self.user(ALICE, b"x")
        self.user(BOB, b"x")
        got = [RecordingDatagrams(leg) for leg in self.accepting.legs]
        self.service.let_go_oldest()
        self.network.flush()
        self.assertEqual([each.lost for each in got], [Ended.REFUSED, None])

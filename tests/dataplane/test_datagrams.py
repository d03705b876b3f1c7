"""Datagrams framed in a stream, and what all datagram legs share."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.datagrams import HELD_DATAGRAMS, FramedDatagramLeg
from relaykit.interfaces import IDatagramLeg
from relaykit.sansio.datagram_frames import MOST_DATAGRAM_BYTES
from relaykit.testing.memory import CAPACITY_BYTES, MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.values import Ended


class FramedDatagramLegTests(SynchronousTestCase):
    """Two legs over one stream."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.stream, far = self.network.pair()
        self.near = FramedDatagramLeg(self.network, self.stream)
        self.far = FramedDatagramLeg(self.network, far)

    def test_interface(self) -> None:
        """It is a datagram leg with the addresses of the stream."""
        verifyObject(IDatagramLeg, self.near)
        self.assertEqual((self.near.peer, self.near.host), (self.stream.peer, self.stream.host))

    def test_both_ways(self) -> None:
        """Datagrams pass both ways as they were sent: empty ones, and those of full size."""
        near, far = RecordingDatagrams(self.near), RecordingDatagrams(self.far)
        sent = [b"one", b"", bytes(MOST_DATAGRAM_BYTES)]
        for data in sent:
            self.assertTrue(self.near.send(data))
            self.network.flush()
        self.assertTrue(self.far.send(b"back"))
        self.network.flush()
        self.assertEqual((far.got, near.got, self.near.dropped), (sent, [b"back"], 0))

    def test_lent(self) -> None:
        """What was lent for the call may change after it."""
        far = RecordingDatagrams(self.far)
        lent = bytearray(b"mine")
        self.near.send(memoryview(lent))
        lent[:] = b"gone"
        self.network.flush()
        self.assertEqual(far.got, [b"mine"])

    def test_too_long(self) -> None:
        """A datagram that could not be one is dropped and counted."""
        self.assertFalse(self.near.send(bytes(MOST_DATAGRAM_BYTES + 1)))
        self.assertEqual(self.near.dropped, 1)

    def test_full_stream(self) -> None:
        """While the stream takes no more, datagrams are dropped and counted; later ones pass again."""
        piece = bytes(CAPACITY_BYTES // 4)
        taken = sum(self.near.send(piece) for _ in range(100))
        self.network.turn()
        self.assertFalse(self.near.send(b"no room"))
        self.assertEqual((taken < 100, self.near.dropped), (True, 101 - taken))
        far = RecordingDatagrams(self.far)
        self.network.flush()
        self.assertTrue(self.near.send(b"room"))
        self.network.flush()
        self.assertEqual((len(far.got), far.got[-1]), (taken + 1, b"room"))

    def test_paused(self) -> None:
        """A paused leg delivers nothing; what it cannot hold is dropped, the rest comes when it goes on."""
        far = RecordingDatagrams(self.far)
        self.near.send(b"before")
        self.network.flush()
        self.far.pause()
        for number in range(HELD_DATAGRAMS):
            self.near.send(b"%d" % number)
        self.network.flush()
        self.assertEqual(far.got, [b"before"])
        self.far.resume()
        self.network.flush()
        self.assertEqual(len(far.got), HELD_DATAGRAMS + 1)

    def test_held(self) -> None:
        """Datagrams that come within one piece while the receiver pauses are held."""
        leg = self.far

        class Pausing(RecordingDatagrams):
            """Pauses after each one."""

            def datagram_received(self, data: object) -> None:
                """Takes it."""
                super().datagram_received(data)  # type: ignore[arg-type]  # it is one
                leg.pause()

        far = Pausing(leg)
        for size in (1, 10, 11, 12, 2):
            self.near.send(bytes(size))
        self.network.flush()
        for number in range(1, 6):
            self.assertEqual(len(far.got), number)
            leg.resume()
            self.network.flush()
        self.assertEqual([len(each) for each in far.got], [1, 10, 11, 12, 2])

    def test_close(self) -> None:
        """What was taken before the close is still sent; both ends learn of it, and nothing is sent after."""
        near, far = RecordingDatagrams(self.near), RecordingDatagrams(self.far)
        self.near.send(b"last")
        self.near.close()
        self.near.close()
        self.assertFalse(self.near.send(b"late"))
        self.network.flush()
        self.assertEqual((far.got, far.lost, near.lost), ([b"last"], Ended.FINISHED, Ended.FINISHED))

    def test_close_unattached(self) -> None:
        """A leg that nobody was attached to can be closed; its loss is told to who comes late."""
        self.near.close()
        self.network.flush()
        self.assertIs(RecordingDatagrams(self.near).lost, Ended.FINISHED)

    def test_lost(self) -> None:
        """A reset of the stream is the loss of the leg."""
        far = RecordingDatagrams(self.far)
        self.stream.abort()
        self.network.flush()
        self.assertIs(far.lost, Ended.RESET)

    def test_nonsense(self) -> None:
        """A peer that announces more than a datagram can be is cut off."""
        stream, far = self.network.pair()
        leg = FramedDatagramLeg(self.network, far)
        received = RecordingDatagrams(leg)
        end = RecordingReceiver(stream)
        stream.write(b"\xff\xff")
        self.network.flush()
        self.assertEqual((received.lost, end.lost), (Ended.PROTOCOL_ERROR, Ended.RESET))

    def test_handed_on(self) -> None:
        """Another receiver may take a leg over."""
        first = RecordingDatagrams(self.far)
        self.near.send(b"1")
        self.network.flush()
        second = RecordingDatagrams(self.far)
        self.near.send(b"2")
        self.network.flush()
        self.assertEqual((first.got, second.got), ([b"1"], [b"2"]))

"""What all datagram legs share, shown with legs in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from relaykit.dataplane.datagrams import HELD_BYTES, HELD_DATAGRAMS, sender_of_many
from relaykit.interfaces import IBatchedDatagramLeg, IDatagramLeg
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import Ended
from tests.dataplane.fakes import RecordingBatches


class DatagramLegTests(SynchronousTestCase):
    """Two legs that are connected."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = datagram_pair(self.network)

    def test_interface(self) -> None:
        """It is a datagram leg."""
        verifyObject(IDatagramLeg, self.near)

    def test_sent_together(self) -> None:
        """Several datagrams go by one call where the leg has one for that, and one by one elsewhere."""
        far = RecordingDatagrams(self.far)
        sender_of_many(self.near)([b"1", b"2"])
        self.network.flush()
        self.assertEqual(far.got, [b"1", b"2"])
        batches: list[object] = []
        alsoProvides(self.near, IBatchedDatagramLeg)
        self.near.send_many = batches.append  # type: ignore[attr-defined]  # it has one now
        sender_of_many(self.near)([b"3", b"4"])
        self.assertEqual(batches, [[b"3", b"4"]])

    def test_arrived_together(self) -> None:
        """Several go by one call to who takes them so, one by one to others, and are held before."""
        self.near._arrived_together([b"1", b"2"])
        one_by_one = RecordingDatagrams(self.near)
        self.near._arrived_together([b"3", b"4"])
        self.assertEqual(one_by_one.got, [b"1", b"2", b"3", b"4"])
        together = RecordingBatches(self.near)
        self.near._arrived_together([b"5", b"6"])
        self.near.pause()
        self.near._arrived_together([b"7", b"8"])
        self.near.resume()
        self.assertEqual((together.batches, together.got), ([[b"5", b"6"]], [b"5", b"6", b"7", b"8"]))

    def test_held(self) -> None:
        """Without a receiver a few datagrams are held, as many as fit; the rest are dropped and counted."""
        for size in (HELD_BYTES // 5, 0, *[HELD_BYTES // 5] * 5):
            self.near.send(bytes(size))
        self.network.flush()
        self.assertEqual((len(RecordingDatagrams(self.far).got), self.far.dropped), (6, 1))

    def test_paused(self) -> None:
        """A paused leg delivers nothing; what it cannot hold is dropped, the rest comes when it goes on."""
        far = RecordingDatagrams(self.far)
        self.near.send(b"before")
        self.network.flush()
        self.far.pause()
        for number in range(HELD_DATAGRAMS + 1):
            self.near.send(b"%d" % number)
        self.network.flush()
        self.assertEqual((far.got, self.far.dropped), ([b"before"], 1))
        self.far.resume()
        self.network.flush()
        self.assertEqual(len(far.got), HELD_DATAGRAMS + 1)

    def test_paused_by_the_receiver(self) -> None:
        """Datagrams that come at once while the receiver pauses are held."""
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
        self.assertEqual([len(each) for each in far.got], [1, 10, 11, 12, 2])

    def test_close(self) -> None:
        """Both ends learn of a close; a leg that nobody was attached to tells its loss to who comes late."""
        far = RecordingDatagrams(self.far)
        self.near.send(b"last")
        self.near.close()
        self.near.close()
        self.assertFalse(self.near.send(b"late"))
        self.network.flush()
        self.assertEqual((far.got, far.lost), ([b"last"], Ended.FINISHED))
        self.assertIs(RecordingDatagrams(self.near).lost, Ended.FINISHED)

    def test_lost(self) -> None:
        """The loss of a leg is told once, after what it held."""
        self.near.send(b"held")
        self.network.flush()
        self.near.cut()
        self.network.flush()
        far = RecordingDatagrams(self.far)
        self.assertEqual((far.got, far.lost), ([b"held"], Ended.RESET))

    def test_handed_on(self) -> None:
        """Another receiver may take a leg over."""
        first = RecordingDatagrams(self.far)
        self.near.send(b"1")
        self.network.flush()
        second = RecordingDatagrams(self.far)
        self.near.send(b"2")
        self.network.flush()
        self.assertEqual((first.got, second.got), ([b"1"], [b"2"]))

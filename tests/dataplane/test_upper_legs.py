"""Tests for :mod:`relaykit.dataplane.upper_legs`; the conformance suite of legs runs on each kind of them."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane.upper_legs import UpperLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended


class _Shouting(UpperLeg):
    """A leg in capital letters, which ends with a full stop."""

    __slots__ = ()

    def write(self, data: Buffer) -> None:
        self._lower.write(bytes(data).upper())

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def data_received(self, data: Buffer) -> None:
        self._arrived(data)

    def leg_lost(self, reason: Ended) -> None:
        self._lower_lost(reason, in_order=self._ended_by_peer)

    def cut_off(self) -> None:
        """The peer did not say that it ends."""
        self._cut_off()

    def end_broken(self) -> None:
        """The peer broke the rules."""
        self._end_broken()

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted:
            self._watch_lower()
            self._lower.resumeProducing()
        else:
            self._lower.pauseProducing()

    def _end_output(self) -> None:
        self._lower.write(b".")


class UpperLegTests(SynchronousTestCase):
    """Tests for what all legs on other legs do."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.below, lower = self.network.pair()
        self.lower = lower
        self.leg = _Shouting(lower)
        self.got = RecordingReceiver(self.leg)
        self.peer = RecordingReceiver(self.below)

    def test_below(self) -> None:
        """It is where the leg below is, and has its turns and its connection."""
        self.assertEqual((self.leg.peer, self.leg.host), (self.lower.peer, self.lower.host))
        self.assertIs(self.leg.turns, self.lower.turns)
        self.assertIs(self.leg.connection, self.lower.connection)
        self.assertEqual(repr(self.leg), f"<_Shouting on {self.lower!r}>")

    def test_ends_once(self) -> None:
        """Each orderly end is said to the peer, once, and none is where there is no order."""
        for ends, said in (
            (["finish_writing", "finish_writing", "close", "close"], b"A."),
            (["break_off", "close"], b"A."),
            (["abort", "close"], b""),
        ):
            self.setUp()
            self.leg.write(b"a")
            for end in ends:
                getattr(self.leg, end)()
            self.network.flush()
            self.assertEqual(self.peer.data, said)

    def test_never_watched(self) -> None:
        """Who closes a leg that nobody attached to learns all the same how it went."""
        leg = _Shouting(self.network.pair()[0])
        gone: list[bool] = []
        leg.when_gone(lambda: gone.append(True))
        leg.abort()
        self.network.flush()
        self.assertEqual(gone, [True])

    def test_cut(self) -> None:
        """An end below that the peer has not announced is a reset."""
        self.below.close()
        self.leg.finish_writing()
        self.network.flush()
        self.assertEqual((self.got.ended, self.got.lost), (True, Ended.FINISHED))
        self.setUp()
        self.leg.cut_off()
        self.network.flush()
        self.assertEqual((self.got.ended, self.got.lost), (False, Ended.RESET))
        self.assertIs(self.peer.lost, Ended.RESET)

    def test_broken(self) -> None:
        """Who broke the rules is left, and it is told when the turn ends."""
        self.leg.end_broken()
        self.assertIsNone(self.got.lost)
        self.network.flush()
        self.assertIs(self.got.lost, Ended.PROTOCOL_ERROR)
        self.assertTrue(self.peer.ended)

    def test_output(self) -> None:
        """Who writes is paused while the leg below is full, also when it was before."""
        self.below.pauseProducing()
        self.lower.write(bytes(1 << 20))
        self.network.flush()
        calls: list[str] = []

        @implementer(IPushProducer)
        class Producer:
            def pauseProducing(self) -> None:
                calls.append("pause")

            def resumeProducing(self) -> None:
                calls.append("resume")

            def stopProducing(self) -> None:
                pass

        self.leg.registerProducer(Producer(), True)
        self.below.resumeProducing()
        self.network.flush()
        self.assertEqual(calls, ["pause", "resume"])

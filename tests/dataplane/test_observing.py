"""Tests of legs that are observed; the conformance suite of legs is in test_conformance."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane.observing import ObservedLeg
from relaykit.interfaces import ILegObserver
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended


@implementer(ILegObserver)
class RecordingObserver:
    """Keeps what it is shown; fails at ``fails_at``."""

    def __init__(self, fails_at: bytes = b"") -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._fails_at = fails_at

    def bytes_read(self, data: Buffer) -> None:
        self._see("read", data)

    def bytes_written(self, data: Buffer) -> None:
        self._see("written", data)

    def leg_lost(self) -> None:
        self._see("lost", b"")

    def _see(self, what: str, data: Buffer) -> None:
        self.seen.append((what, bytes(data)))
        if data and data == self._fails_at:
            raise ZeroDivisionError("an observer that fails")


class ObservedLegTests(SynchronousTestCase):
    """Tests for :class:`ObservedLeg`."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.lower, self.far = self.network.pair()

    def talk(self, observer: RecordingObserver) -> tuple[bytes, bytes, Ended | None]:
        """What either end gets of a talk, and how it ends."""
        leg = ObservedLeg(self.lower, observer)
        here, there = RecordingReceiver(leg), RecordingReceiver(self.far)
        self.far.write(b"question")
        self.network.flush()
        leg.write(b"ans")
        leg.write_sequence([b"w", b"er"])
        leg.finish_writing()
        self.far.finish_writing()
        self.network.flush()
        return here.data, there.data, here.lost

    def test_shown(self) -> None:
        """What passes is shown in order, and the end of the leg."""
        observer = RecordingObserver()
        self.assertEqual(self.talk(observer), (b"question", b"answer", Ended.FINISHED))
        self.assertEqual(
            observer.seen,
            [
                ("read", b"question"),
                ("written", b"ans"),
                ("written", b"w"),
                ("written", b"er"),
                ("lost", b""),
            ],
        )

    def test_fails(self) -> None:
        """An observer that fails is logged and shown nothing more; nobody else notices."""
        for fails_at, shown in ((b"question", 1), (b"w", 3)):
            self.lower, self.far = self.network.pair()
            observer = RecordingObserver(fails_at)
            self.assertEqual(self.talk(observer), (b"question", b"answer", Ended.FINISHED))
            self.assertEqual(len(observer.seen), shown)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

"""Tests of the streams of a QUIC connection as legs, with each library that is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.carriers.quic import adapter, path
from relaykit.carriers.quic.streams import HIGH_WATER_BYTES, QuicStreamLeg
from relaykit.interfaces import IMuxedLeg, IStreamLeg
from relaykit.testing.legs import ExactPrefix, LegTests, RecordingProducer
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import LOST_LINGER_S, Ended
from tests.carriers.quic.lines import Ends, libraries, missing

_BOUNDS = (
    (adapter, "CONNECTION_WINDOW_BYTES"),
    (adapter, "STREAM_WINDOW_BYTES"),
    (path, "HELD_BYTES"),
)


class _Conformance(LegTests):
    """What every leg must do, of streams with one library at each end."""

    library = ("qh3", "qh3")
    frp = False

    def setUp(self) -> None:
        self.opened: list[Ends] = []
        if self.frp:
            # What may arrive unread is bounded by these; smaller ones are reached sooner.
            for module, name in _BOUNDS:
                self.patch(module, name, 1024 * 1024)

    def tearDown(self) -> None:
        """Nothing is left once the paths are closed."""
        for ends in self.opened:
            ends.close()
            self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        here, there = (next(each for each in libraries() if each.name == name) for name in self.library)
        ends = Ends(here, there, frp=self.frp).open()
        self.opened.append(ends)
        near = ends.leg()
        near.write(b"!")
        ends.until(lambda: ends.acceptors[1].legs)
        (far,) = ends.acceptors[1].legs
        first = far.take(ExactPrefix(1))
        ends.until(lambda: first.called)
        return near, far

    async def until(self, condition: Callable[[], Any]) -> None:
        self.opened[-1].until(condition)

    async def rest(self) -> None:
        self.opened[-1].rest()

    async def linger(self) -> None:
        self.opened[-1].rest(2 * LOST_LINGER_S)


class Qh3Conformance(_Conformance, TestCase):
    """Streams of our own, by qh3."""

    skip = missing("qh3")


class AioquicConformance(_Conformance, TestCase):
    """Streams of our own, by aioquic."""

    skip = missing("aioquic")
    library = ("aioquic", "aioquic")


class FrpQh3Conformance(_Conformance, TestCase):
    """Streams as frp has them, by qh3 as the visitor and aioquic as the provider."""

    skip = missing("qh3") or missing("aioquic")
    library = ("qh3", "aioquic")
    frp = True


class FrpAioquicConformance(_Conformance, TestCase):
    """The same the other way round."""

    skip = missing("qh3") or missing("aioquic")
    library = ("aioquic", "qh3")
    frp = True


del _Conformance


class QuicStreamLegTests(SynchronousTestCase):
    """What is special about these legs."""

    skip = missing()

    def ends(self, **given: Any) -> Ends:
        """Both ends of a connection of the best library."""
        ends = Ends(libraries()[0], **given).open()
        self.addCleanup(ends.close)
        return ends

    def test_provides(self) -> None:
        """A leg is a muxed one, with the addresses of its path."""
        ends = self.ends()
        leg = ends.leg()
        verifyObject(IMuxedLeg, leg)
        self.assertEqual((leg.peer, leg.host), (ends.paths[0].peer, ends.paths[0].host))
        self.assertIn("QuicStreamLeg 4", repr(leg))

    def test_silent_user(self) -> None:
        """Between our own ends the peer sees a stream before there is payload: a service may speak first."""
        ends = self.ends()
        user = RecordingReceiver(ends.leg())
        ends.until(lambda: ends.acceptors[1].legs)
        ends.acceptors[1].legs[0].write(b"SSH-2.0-")
        ends.until(lambda: user.data)
        self.assertEqual(user.data, b"SSH-2.0-")

    def test_slow_reader(self) -> None:
        """A stream that is not read holds back its own sender, little of it is held, and no other waits."""
        for library in libraries():
            ends = Ends(library).open()
            slow, quick = ends.leg(), ends.leg()
            producer = RecordingProducer()
            slow.registerProducer(producer, True)
            written = 0
            while not producer.paused:
                slow.write(bytes(100_000))
                written += 100_000
                ends.rest(0.05)
            self.assertLess(written, 3 * HIGH_WATER_BYTES)
            data = bytes(range(250)) * 5_000
            quick.write(data)
            ends.until(lambda ends=ends: len(ends.acceptors[1].legs) == 2)  # type: ignore[misc]
            held, read = ends.acceptors[1].legs
            received = RecordingReceiver(read)
            ends.until(lambda received=received, data=data: len(received.data) == len(data))  # type: ignore[misc]
            assert isinstance(held, QuicStreamLeg)
            self.assertLess(held.held_bytes, 300_000)
            late = RecordingReceiver(held)
            ends.until(lambda late=late, written=written: len(late.data) == written)  # type: ignore[misc]
            self.assertFalse(producer.paused)
            slow.unregisterProducer()
            ends.close()

    def test_closed_and_not_read(self) -> None:
        """A closed stream whose peer never reads what was written is given up after a while."""
        ends = self.ends()
        leg = ends.leg()
        received = RecordingReceiver(leg)
        leg.write(bytes(HIGH_WATER_BYTES))
        leg.close()
        ends.rest(59.0)
        self.assertIsNone(received.lost)
        ends.rest(2.0)
        self.assertIs(received.lost, Ended.TIMEOUT)

    def test_peer_closes(self) -> None:
        """What a peer that has closed is sent still is dropped, and the end is in order."""
        ends = self.ends()
        near = ends.leg()
        here = RecordingReceiver(near)
        near.write(b"question")
        ends.until(lambda: ends.acceptors[1].legs)
        far = ends.acceptors[1].legs[0]
        there = RecordingReceiver(far)
        far.write(b"answer")
        far.close()
        ends.until(lambda: here.lost is not None and there.lost is not None)
        self.assertEqual((here.data, here.ended, here.lost), (b"answer", True, Ended.FINISHED))
        near.write(b"too late")
        self.assertIs(there.lost, Ended.FINISHED)

    def test_producer(self) -> None:
        """A producer that writes as soon as it may go on gets everything through."""
        ends = self.ends()
        leg = ends.leg()
        producer = _Eager(leg, 6 * HIGH_WATER_BYTES)
        leg.registerProducer(producer, True)
        producer.resumeProducing()
        ends.until(lambda: ends.acceptors[1].legs)
        received = RecordingReceiver(ends.acceptors[1].legs[0])
        ends.until(lambda: len(received.data) >= 6 * HIGH_WATER_BYTES)
        self.assertGreater(producer.pauses, 3)

    def test_cut(self) -> None:
        """Large writes, of which only a part has room at a time, arrive whole, and then the end."""
        ends = self.ends()
        leg = ends.leg()
        written = [bytes([number]) * (300_000 + number) for number in range(9)]
        leg.write_sequence(written)
        leg.finish_writing()
        ends.until(lambda: ends.acceptors[1].legs)
        received = RecordingReceiver(ends.acceptors[1].legs[0])
        ends.until(lambda: received.ended)
        self.assertEqual(received.data, b"".join(written))

    def test_ends_with_its_last_bytes(self) -> None:
        """The end goes with what was written in the same turn, and does not wait until that has arrived."""
        ends = self.ends()
        leg = ends.leg()
        ends.rest()
        connection, written = ends.paths[0].connection, []
        original = connection.write

        def write(stream: int, data: bytes, fin: bool) -> None:
            written.append((bytes(data), fin))
            original(stream, data, fin)

        self.patch(connection, "write", write)
        leg.write(b"the last")
        leg.write(b" bytes")
        leg.finish_writing()
        ends.rest()
        self.assertEqual(written, [(b"the last", False), (b" bytes", True)])

    def test_many_small_parts(self) -> None:
        """Many small writes arrive whole, also where they have to wait to be read."""
        ends = self.ends()
        leg = ends.leg()
        for number in range(2000):
            leg.write(b"%04d" % number)
            if number % 100 == 0:
                ends.rest(0.05)
        ends.until(lambda: ends.acceptors[1].legs)
        received = RecordingReceiver(ends.acceptors[1].legs[0])
        ends.until(lambda: len(received.data) == 8000)
        self.assertEqual(received.data, b"".join(b"%04d" % number for number in range(2000)))


@implementer(IPushProducer)
class _Eager:
    """Writes so much, as soon as it may."""

    def __init__(self, leg: IStreamLeg, size: int) -> None:
        self._leg = leg
        self._left = size
        self._paused = False
        self.pauses = 0

    def pauseProducing(self) -> None:
        self._paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self._paused = False
        while self._left > 0 and not self._paused:
            self._leg.write(bytes(65536))
            self._left -= 65536

    def stopProducing(self) -> None:
        """Nothing to do."""

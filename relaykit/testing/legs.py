"""What every leg must do, as tests to inherit.

A test module says how a pair of its legs is made and how to wait; see :class:`MemoryWaiting` and
:class:`LegTests`::

    class TlsLegConformance(LegTests, MemoryWaiting, TestCase):
        async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
            ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IStreamLeg
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import LOST_LINGER_S, Ended

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase as _TestCase
else:
    _TestCase = object

__all__ = ["ExactPrefix", "LegTests", "MemoryWaiting", "RecordingProducer"]

BULK = bytes(range(251)) * 8000
"""About 2 MB in which no 64 KiB look like the next: more than any leg may hold."""

MOST_HELD_BYTES = 1024 * 1024 * 1024
"""What may disappear between two legs before the writer must have been paused: far above the buffers
of a kernel, tens of megabytes for a connection where somebody has tuned them, far below no limit at all."""


@frozen
class ExactPrefix:
    """Recognizes so many bytes."""

    count: int

    @property
    def limit(self) -> int:
        """As many as there are."""
        return self.count

    def feed(self, data: bytes) -> tuple[bytes, int] | None:
        """The first bytes, once all of them are there."""
        return (data[: self.count], self.count) if len(data) >= self.count else None


@implementer(IPushProducer)
class RecordingProducer:
    """Knows whether it was told to pause."""

    def __init__(self) -> None:
        self.paused = False
        self.pauses = 0

    def pauseProducing(self) -> None:
        assert not self.paused, "paused twice"
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        assert self.paused, "resumed without having been paused"
        self.paused = False

    def stopProducing(self) -> None:
        """Nothing to stop."""


class MemoryWaiting:
    """Waits by letting legs in memory move until they rest; :attr:`network` makes them."""

    network: MemoryNetwork

    def setUp(self) -> None:
        self.network = MemoryNetwork()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Returns once the condition holds.

        :raises AssertionError: everything rests, and it does not.
        """
        self.network.flush()
        assert condition(), "everything is at rest, and what was waited for has not come"

    async def rest(self) -> None:
        """Returns when nothing moves any more."""
        self.network.flush()

    async def linger(self) -> None:
        """Lets pass what a leg that is broken off may take to drop what its peer does not read."""
        self.network.advance(2 * LOST_LINGER_S)


class LegTests(_TestCase):
    """Tests for any kind of leg."""

    half_closes = True
    """Whether the end of one direction leaves the other one open."""

    resets = True
    """Whether the peer of an aborted leg can tell it from one that was closed."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two legs that are connected with each other; both are paused."""
        raise NotImplementedError

    async def until(self, condition: Callable[[], Any]) -> None:
        """Returns once the condition holds; fails if it never does."""
        raise NotImplementedError

    async def rest(self) -> None:
        """Returns when nothing moves any more."""
        raise NotImplementedError

    async def linger(self) -> None:
        """Lets pass what a leg that is broken off may take, where that time is not the real one."""

    async def test_provides(self) -> None:
        """The leg provides IStreamLeg."""
        near, far = await self.make_pair()
        verifyObject(IStreamLeg, near)
        verifyObject(IStreamLeg, far)
        await self.end(near, far)

    async def test_both_ways(self) -> None:
        """What is written arrives whole and in order, in both directions, however it was written."""
        near, far = await self.make_pair()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.write(b"one ")
        near.write_sequence([b"two ", bytearray(b"three "), memoryview(b"four")])
        far.write(memoryview(bytearray(b"five")))
        near.write(b"")
        near.write_sequence([])
        await self.until(lambda: len(there.data) >= 18 and len(here.data) >= 4)
        self.assertEqual((there.data, here.data), (b"one two three four", b"five"))
        await self.end(near, far)

    async def test_bulk(self) -> None:
        """Much more than any buffer holds arrives whole, in both directions at once."""
        near, far = await self.make_pair()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.write(BULK)
        far.write_sequence([BULK[at : at + 10_000] for at in range(0, len(BULK), 10_000)])
        await self.until(lambda: len(there.data) >= len(BULK) and len(here.data) >= len(BULK))
        self.assertEqual((there.data == BULK, here.data == BULK), (True, True))
        await self.end(near, far)

    async def test_lent_bytes(self) -> None:
        """What was lent to write may be changed afterwards."""
        near, far = await self.make_pair()
        lent = bytearray(BULK)
        near.write(memoryview(lent))
        near.write_sequence([b"-", memoryview(lent)[:3]])
        lent[:] = bytes(len(lent))
        there = RecordingReceiver(far)
        await self.until(lambda: len(there.data) >= len(BULK) + 4)
        self.assertEqual(there.data == BULK + b"-" + BULK[:3], True)
        await self.end(near, far)

    async def test_paused(self) -> None:
        """A paused leg delivers nothing; resumed, it goes on where it was."""
        near, far = await self.make_pair()
        there = RecordingReceiver(far)
        far.pauseProducing()
        near.write(b"later")
        await self.rest()
        self.assertEqual(there.data, b"")
        far.resumeProducing()
        await self.until(lambda: there.data == b"later")
        await self.end(near, far)

    async def test_bounded(self) -> None:
        """Who writes to a peer that does not read is paused, and resumed when it reads."""
        near, far = await self.make_pair()
        producer = RecordingProducer()
        near.registerProducer(producer, True)
        written = 0
        while not producer.paused:
            near.write(BULK[: 64 * 1024])
            written += 64 * 1024
            self.assertLess(written, MOST_HELD_BYTES, "nobody was paused")
            if not written % (1024 * 1024):
                await self.rest()
        there = RecordingReceiver(far)
        await self.until(lambda: len(there.data) >= written and not producer.paused)
        self.assertEqual((len(there.data), producer.paused), (written, False))
        near.unregisterProducer()
        await self.end(near, far)

    async def test_half_close(self) -> None:
        """The end of one direction passes, after all that was written; the other direction goes on."""
        near, far = await self.make_pair()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.write(BULK)
        near.finish_writing()
        near.write(b"ignored")
        await self.until(lambda: there.ended)
        self.assertEqual(there.data == BULK, True)
        if self.half_closes:
            self.assertIsNone(there.lost)
            far.write(b"answer")
            await self.until(lambda: here.data == b"answer")
        far.finish_writing()
        await self.until(lambda: here.lost is not None and there.lost is not None)
        self.assertEqual((here.lost, there.lost, here.ended), (Ended.FINISHED, Ended.FINISHED, True))

    async def test_close(self) -> None:
        """Closing sends what was written, then ends; the loss is told, later, and nothing else is."""
        near, far = await self.make_pair()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.write(BULK)
        near.close()
        self.assertIsNone(here.lost)
        near.write(b"ignored")
        far.write(b"not delivered")
        await self.until(lambda: there.ended)
        self.assertEqual(there.data == BULK, True)
        far.close()
        await self.until(lambda: here.lost is not None and there.lost is not None)
        self.assertEqual((here.data, here.ended, here.lost), (b"", False, Ended.FINISHED))
        near.close()
        near.abort()
        await self.rest()

    async def test_closed_while_loss_waits(self) -> None:
        """A leg that has ended while it was paused, and is then closed, tells its loss all the same."""
        for unread in (b"more", b""):
            near, far = await self.make_pair()
            here, there = RecordingReceiver(near), RecordingReceiver(far)
            near.pauseProducing()
            far.write(unread)
            far.finish_writing()
            near.finish_writing()
            await self.until(lambda there=there: there.ended)  # type: ignore[misc]
            await self.rest()
            self.assertIsNone(here.lost)
            near.close()
            self.assertIsNone(here.lost)
            far.close()
            await self.until(
                lambda here=here, there=there: here.lost is not None and there.lost is not None  # type: ignore[misc]
            )
            self.assertEqual((here.data, here.ended), (b"", False))

    async def test_break_off(self) -> None:
        """Breaking off sends what was written, then both ends are told, whatever the peer does."""
        near, far = await self.make_pair()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.write(BULK)
        near.break_off()
        near.write(b"ignored")
        far.write(b"not delivered")
        await self.until(lambda: len(there.data) == len(BULK))
        await self.linger()
        await self.until(lambda: here.lost is not None)
        self.assertEqual((there.data == BULK, here.data), (True, b""))

        def told() -> bool:
            far.write(b"anybody there?")
            return there.lost is not None

        if self.resets:
            await self.until(told)
            self.assertIs(there.lost, Ended.RESET)
        await self.end(near, far)

    async def test_abort(self) -> None:
        """Aborting drops the leg at once; both ends are told, the peer that it was cut."""
        near, far = await self.make_pair()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.abort()
        self.assertIsNone(here.lost)
        near.write(b"ignored")
        await self.until(lambda: here.lost is not None and (there.lost is not None or there.ended))
        self.assertIs(here.lost, Ended.CANCELLED)
        if self.resets:
            self.assertEqual((there.ended, there.lost), (False, Ended.RESET))
        else:
            far.close()
            await self.until(lambda: there.lost is not None)

    async def test_prefix(self) -> None:
        """The first bytes can be peeked at and taken; the rest is delivered once, then the end."""
        near, far = await self.make_pair()
        near.write(b"prefix, then the rest")
        near.finish_writing()
        peeked = far.peek(ExactPrefix(6))
        await self.until(lambda: peeked.called)
        self.assertEqual(await peeked, b"prefix")
        taken = far.take(ExactPrefix(7))
        await self.until(lambda: taken.called)
        self.assertEqual(await taken, b"prefix,")
        there = RecordingReceiver(far)
        await self.until(lambda: there.ended)
        self.assertEqual(there.data, b" then the rest")
        await self.end(near, far)

    async def test_prefix_never_comes(self) -> None:
        """An end before the prefix is a failed connection."""
        near, far = await self.make_pair()
        taking = far.take(ExactPrefix(100))
        failures: list[Any] = []
        taking.addErrback(failures.append)
        near.write(b"too short")
        near.close()
        await self.until(lambda: failures)
        self.assertIsNotNone(failures[0].check(ConnectionFailed))
        await self.end(near, far)

    async def test_unread(self) -> None:
        """Bytes put back come first, to whom the leg is handed on."""
        near, far = await self.make_pair()
        first, second = RecordingReceiver(far), RecordingReceiver()
        near.write(b"abc")
        await self.until(lambda: first.data == b"abc")
        far.unread(b"bc")
        near.write(b"de")
        await self.rest()
        far.attach(second)
        await self.until(lambda: second.data == b"bcde")
        await self.end(near, far)

    async def test_lost_before_attached(self) -> None:
        """Who gets a leg that is gone already is told so."""
        near, far = await self.make_pair()
        far.close()
        near.close()
        await self.rest()
        receiver = RecordingReceiver(near)
        await self.until(lambda: receiver.lost is not None)
        receiver = RecordingReceiver(far)
        await self.until(lambda: receiver.lost is not None)

    async def end(self, *legs: IStreamLeg) -> None:
        """Drops legs and waits until they are gone."""
        receivers = []
        for leg in legs:
            leg.abort()
            receivers.append(RecordingReceiver(leg))
        await self.until(lambda: all(receiver.lost is not None for receiver in receivers))

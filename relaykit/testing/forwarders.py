"""What every forwarder must do, as tests to inherit; the same for copying, splicing, or anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from relaykit.interfaces import IFlow, IForwarder, IStreamLeg
from relaykit.testing.legs import BULK, MOST_HELD_BYTES, ExactPrefix, RecordingProducer
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Ended, Traffic

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase as _TestCase
else:
    _TestCase = object

__all__ = ["ForwarderTests"]


STANDSTILL = 5
"""Looks in a row at a flow that has not moved, after which it is stuck."""


@frozen
class _Scene:
    """A user and a service with a forwarder between them: the two ends that nobody forwards."""

    user: IStreamLeg
    service: IStreamLeg
    flow: IFlow
    done: Deferred[Traffic] = field(init=False)
    at_user: RecordingReceiver = field(factory=RecordingReceiver)
    at_service: RecordingReceiver = field(factory=RecordingReceiver)

    @done.default
    def _when_ended(self) -> Deferred[Traffic]:
        done: Deferred[Traffic] = self.flow.when_ended()
        return done

    def both_receive(self) -> _Scene:
        """Lets both ends take what comes."""
        self.user.attach(self.at_user)
        self.service.attach(self.at_service)
        return self


class ForwarderTests(_TestCase):
    """Tests for any forwarder, over any kind of leg."""

    half_closes = True
    """Whether the legs have half-close."""

    resets = True
    """Whether the peer of an aborted leg can tell it from one that was closed."""

    def make_forwarder(self) -> IForwarder:
        """What is tested."""
        raise NotImplementedError

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

    async def scene(self, half_close: bool = True) -> _Scene:
        """A user and a service, and a flow between them."""
        user, near = await self.make_pair()
        far, service = await self.make_pair()
        return _Scene(user, service, self.make_forwarder().forward(near, far, half_close))

    async def stuck(self, scene: _Scene) -> None:
        """Returns when the flow has moved all that it can for the time being, however busy the machine is."""
        before: list[tuple[int, int]] = []
        while len(before) < STANDSTILL or len(set(before)) > 1:
            await self.rest()
            before = [*before, scene.flow.moved()][-STANDSTILL:]

    async def traffic(self, scene: _Scene) -> Traffic:
        """The flow's traffic, once it has ended and both ends are gone, too."""
        await self.until(lambda: scene.done.called)
        await self.until(lambda: scene.at_user.lost is not None and scene.at_service.lost is not None)
        return await scene.done

    async def test_provides(self) -> None:
        """The forwarder provides IForwarder and can forward these legs."""
        forwarder = self.make_forwarder()
        verifyObject(IForwarder, forwarder)
        near, far = await self.make_pair()
        self.assertTrue(forwarder.can_forward(near, far))
        near.abort()
        far.abort()
        await self.rest()

    async def test_moved(self) -> None:
        """A flow counts what it has moved so far, and knows it when it has ended."""
        scene = (await self.scene()).both_receive()
        user, service = scene.user, scene.service
        user.write(b"ping")
        await self.until(lambda: scene.at_service.data == b"ping")
        service.write(b"pong!")
        await self.until(lambda: scene.at_user.data == b"pong!")
        self.assertEqual(scene.flow.moved(), (4, 5))
        user.finish_writing()
        service.finish_writing()
        traffic = await self.traffic(scene)
        self.assertEqual(scene.flow.moved(), (4, 5))
        self.assertEqual(await scene.flow.when_ended(), traffic)

    async def test_small(self) -> None:
        """Small bytes pass both ways; the traffic counts them, and the flow ends in order."""
        scene = (await self.scene()).both_receive()
        for _ in range(3):
            scene.user.write(b"ping")
            await self.until(lambda: scene.at_service.data.endswith(b"ping"))
            scene.at_service.data = b""
            scene.service.write(b"pong!")
            await self.until(lambda: scene.at_user.data.endswith(b"pong!"))
            scene.at_user.data = b""
        scene.user.finish_writing()
        scene.service.finish_writing()
        traffic = await self.traffic(scene)
        self.assertEqual((traffic.near_to_far, traffic.far_to_near), (12, 15))
        self.assertIs(traffic.ended, Ended.FINISHED)
        self.assertGreaterEqual(traffic.seconds, 0)

    async def test_bulk_both_ways(self) -> None:
        """Bulk passes both ways at once, byte-exact, and both ends learn of the end."""
        scene = (await self.scene()).both_receive()
        scene.user.write(BULK * 4)
        scene.service.write(BULK * 3)
        scene.user.finish_writing()
        scene.service.finish_writing()
        traffic = await self.traffic(scene)
        await self.until(lambda: scene.at_user.ended and scene.at_service.ended)
        self.assertEqual(scene.at_service.data == BULK * 4, True)
        self.assertEqual(scene.at_user.data == BULK * 3, True)
        self.assertEqual((traffic.near_to_far, traffic.far_to_near), (len(BULK) * 4, len(BULK) * 3))

    async def test_bulk_then_quiet_then_bulk(self) -> None:
        """Changing between bulk and small bytes neither loses nor reorders any."""
        scene = (await self.scene()).both_receive()
        expected = b""
        for number in range(5):
            for data in (BULK, b"-%d-" % number, b"x"):
                scene.user.write(data)
                expected += data
                await self.until(lambda: len(scene.at_service.data) == len(expected))  # noqa: B023  # at once
        self.assertEqual(scene.at_service.data == expected, True)
        scene.user.abort()
        scene.service.close()
        await self.traffic(scene)

    async def test_unread_bytes_go_first(self) -> None:
        """What was peeked at before forwarding is forwarded, and first."""
        user, near = await self.make_pair()
        far, service = await self.make_pair()
        user.write(b"hello, world")
        peeked = near.peek(ExactPrefix(5))
        await self.until(lambda: peeked.called)
        self.assertEqual(await peeked, b"hello")
        far.unread(b"banner ")
        scene = _Scene(user, service, self.make_forwarder().forward(near, far, True)).both_receive()
        service.write(b"follows")
        await self.until(lambda: scene.at_service.data and len(scene.at_user.data) == 14)
        await self.until(lambda: scene.at_service.data == b"hello, world")
        self.assertEqual(scene.at_user.data, b"banner follows")
        scene.user.abort()
        scene.service.abort()
        await self.traffic(scene)

    async def test_half_close(self) -> None:
        """With half-close the end of one direction passes, and the answer still comes."""
        if not self.half_closes:
            return
        for first, second in (("user", "service"), ("service", "user")):
            scene = (await self.scene()).both_receive()
            asking, answering = getattr(scene, first), getattr(scene, second)
            at_asking, at_answering = getattr(scene, f"at_{first}"), getattr(scene, f"at_{second}")
            asking.write(BULK)
            asking.finish_writing()
            await self.until(lambda: at_answering.ended)  # noqa: B023  # called at once
            self.assertEqual((at_answering.data == BULK, scene.done.called), (True, False))
            answering.write(BULK)
            answering.finish_writing()
            traffic = await self.traffic(scene)
            await self.until(lambda: at_asking.ended)  # noqa: B023  # called at once
            self.assertEqual((at_asking.data == BULK, traffic.ended), (True, Ended.FINISHED))

    async def test_no_half_close(self) -> None:
        """Without half-close the first end ends both, after what came before it was delivered."""
        for first, second in (("user", "service"), ("service", "user")):
            scene = (await self.scene(half_close=False)).both_receive()
            ending, other = getattr(scene, first), getattr(scene, second)
            at_ending, at_other = getattr(scene, f"at_{first}"), getattr(scene, f"at_{second}")
            ending.write(BULK)
            ending.finish_writing()
            await self.until(lambda: at_other.ended and at_ending.ended)  # noqa: B023  # called at once
            self.assertEqual(at_other.data == BULK, True)
            other.close()
            self.assertIs((await self.traffic(scene)).ended, Ended.FINISHED)

    async def test_lost_leg(self) -> None:
        """A cut leg is an ending, not a failure: what came before it arrives, and the other leg ends."""
        for first, second, why in (
            ("user", "service", Ended.NEAR_LOST),
            ("service", "user", Ended.FAR_LOST),
        ):
            scene = (await self.scene()).both_receive()
            at_other = getattr(scene, f"at_{second}")
            getattr(scene, first).write(b"last words")
            await self.until(lambda: at_other.data == b"last words")  # noqa: B023  # called at once
            getattr(scene, first).abort()
            await self.until(lambda: at_other.ended or at_other.lost)  # noqa: B023  # called at once
            getattr(scene, second).close()
            self.assertIs((await self.traffic(scene)).ended, why if self.resets else Ended.FINISHED)

    async def test_lost_while_stuck(self) -> None:
        """A cut leg ends the flow, and its other end is told, though neither reads nor says anything more."""
        if not self.resets:
            return
        for first, second in (("user", "service"), ("service", "user")):
            scene = await self.scene()
            cut, other = getattr(scene, first), getattr(scene, second)
            for leg in (cut, other):
                leg.write(BULK * 8)
            await self.stuck(scene)
            cut.abort()
            await self.linger()
            await self.until(lambda: scene.done.called)  # noqa: B023  # called at once
            scene.both_receive()
            await self.traffic(scene)

    async def test_bounded(self) -> None:
        """A writer is paused while the other end does not read, also in the middle of bulk."""
        scene = (await self.scene()).both_receive()
        producer = RecordingProducer()
        scene.user.registerProducer(producer, True)
        scene.user.write(BULK * 4)
        await self.until(lambda: len(scene.at_service.data) == 4 * len(BULK))
        scene.service.pauseProducing()
        times = 4
        while not producer.paused:
            scene.user.write(BULK)
            times += 1
            await self.rest()
            self.assertLess(times * len(BULK), MOST_HELD_BYTES, "nobody was paused")
        scene.service.resumeProducing()
        await self.until(lambda: len(scene.at_service.data) == times * len(BULK))
        self.assertEqual((scene.at_service.data == BULK * times, producer.paused), (True, False))
        scene.user.unregisterProducer()
        scene.user.close()
        scene.service.close()
        await self.traffic(scene)

    async def test_ended_by_policy(self) -> None:
        """Ending a flow drops both legs at once, and the traffic says why; once more changes nothing."""
        scene = (await self.scene()).both_receive()
        scene.user.write(BULK)
        await self.rest()
        scene.flow.end(Ended.WITHDRAWN)
        scene.flow.end(Ended.STOPPED)
        await self.until(lambda: scene.done.called)
        self.assertIs((await scene.done).ended, Ended.WITHDRAWN)
        at_user, at_service = scene.at_user, scene.at_service
        await self.until(lambda: (at_user.lost or at_user.ended) and (at_service.lost or at_service.ended))
        scene.user.close()
        scene.service.close()
        await self.until(lambda: at_user.lost is not None and at_service.lost is not None)

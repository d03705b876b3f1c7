"""Tests for :mod:`relaykit.server.handing`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed, NoWorkConnection, SessionLost
from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.wire.framing import Framing
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.values import Ended
from tests.server.scene import Client, Scene, versions

SID = NatHoleSid(sid="1700000000aaaaaaaaaaaaaaaa")


class HandoverTests(SynchronousTestCase):
    """Tests for messages that clients are handed on work connections."""

    def scene(self, framing: Framing) -> tuple[Scene, Client, Any]:
        """A server, a client, and its proxy, which is encrypted and compressed."""
        scene = Scene()
        client = Client(scene, framing=framing)
        client.register("x", "stcp", sk="k", use_encryption=True, use_compression=True)
        return scene, client, scene.registry.get("x")

    def offer(self, client: Client) -> tuple[MemoryLeg, RecordingReceiver]:
        """A work connection, and what comes on it after the assignment."""
        leg, assigned = client.offer_work()
        self.assertEqual(self.successResultOf(assigned).proxy_name, "x")
        received = RecordingReceiver(leg)
        client.scene.flush()
        return leg, received

    def test_handed(self) -> None:
        """The message follows the assignment, without transforms, and then the connection ends."""
        for framing in versions():
            _, client, proxy = self.scene(framing)
            done = proxy.hand(SID)
            self.assertNoResult(done)
            _, received = self.offer(client)
            self.successResultOf(done)
            self.assertEqual((received.data, received.ended), (framing.encode(SID), True))
            self.assertEqual((len(proxy.flows), proxy.totals.connections), (0, 0))

    def test_nobody(self) -> None:
        """Without a work connection in time, or a session, it fails."""
        for framing in versions():
            scene, client, proxy = self.scene(framing)
            late = proxy.hand(SID)
            scene.advance(10.0)
            self.failureResultOf(late, NoWorkConnection)
            waiting = proxy.hand(SID)
            client.leg.abort()
            scene.flush()
            self.failureResultOf(waiting, SessionLost)
            self.failureResultOf(proxy.hand(SID), SessionLost)

    def test_cancelled(self) -> None:
        """Cancelling ends the wait: the next work connection is for somebody else."""
        for framing in versions():
            scene, client, proxy = self.scene(framing)
            waiting = proxy.hand(SID)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            _, assigned = client.offer_work()
            scene.flush()
            self.assertNoResult(assigned)

    def test_died_while_idle(self) -> None:
        """A work connection that died while it was idle is replaced by another one."""
        for framing in versions():
            scene, client, proxy = self.scene(framing)
            leg, assigned = client.offer_work()
            scene.advance(60.0)
            leg.cut(Ended.RESET)
            assigned.addErrback(lambda failure: failure.trap(ConnectionFailed))
            done = proxy.hand(SID)
            scene.advance(5.0)
            self.assertNoResult(done)
            _, received = self.offer(client)
            self.successResultOf(done)
            self.assertEqual(received.data, framing.encode(SID))

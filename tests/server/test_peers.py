"""Tests of whom proxy types can speak to."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control import events
from relaykit.sansio.nathole.messages import NatHoleResp
from relaykit.sansio.wire.framing import V1, V2
from relaykit.server.peers import MessagePeer, VisitorPeer
from tests.server.scene import Client, Scene


class VisitorPeerTests(SynchronousTestCase):
    """Who takes signals, and who does not."""

    def setUp(self) -> None:
        self.scene = Scene()

    def test_signal(self) -> None:
        """A signal reaches the visitor's client under the visitor's name."""
        client = Client(self.scene)
        session: Any = self.scene.sessions.get(client.run_id)
        VisitorPeer(session, "db", "v").signal({"a": 1})
        self.scene.flush()
        self.assertEqual(client.of(events.SignalReceived), [events.SignalReceived("db", "v", {"a": 1})])

    def test_signals_need_the_extension(self) -> None:
        """Only clients that agreed on signals take them."""
        for framing, takes in ((V1, False), (V2, True)):
            client = Client(self.scene, framing=framing)
            session: Any = self.scene.sessions.get(client.run_id)
            self.assertEqual(VisitorPeer(session, "db", "v").takes_signals, takes)


class MessagePeerTests(SynchronousTestCase):
    """A client that an ingress can answer."""

    def test_answered(self) -> None:
        """A message reaches the client, whatever wire it speaks, as long as it is there."""
        for framing in (V1, V2):
            scene = Scene()
            client = Client(scene, framing=framing, user="ann")
            client.core.understand([NatHoleResp])
            session: Any = scene.sessions.get(client.run_id)
            peer = MessagePeer(session)
            self.assertEqual((peer.identity.user, peer.identity.run_id), ("ann", client.run_id))
            for _ in range(2):
                peer.send_message(NatHoleResp(sid="1"))
                scene.flush()
                self.assertEqual(
                    client.of(events.MessageReceived), [events.MessageReceived(NatHoleResp(sid="1"))]
                )
                client.leg.abort()
                scene.flush()

"""Tests for :mod:`relaykit.proxies.sudp.backend`."""

from __future__ import annotations

from typing import Any

from relaykit.sansio.nat.path_keys import rendezvous_key
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Origin
from tests.proxies.sudp.direct_scene import DirectSudpTestCase, User
from tests.proxies.sudp.scene import KEY


class DirectSudpBackendTests(DirectSudpTestCase):
    """The client of a proxy that is reached directly, too."""

    def test_told(self) -> None:
        """Every server is told the rendezvous key in place of the secret, and that the proxy is direct."""
        for wire in ("v1", "v2"):
            self.relay.wire_protocol = wire
            published = self.publish(direct=True)
            self.assertEqual(published.proxy.options.secret_key, rendezvous_key(KEY, "alice.dns"))
            published.withdraw()

    def test_two_visitors(self) -> None:
        """Users of two visitors who have one address are two users."""
        published, visiting, _ = self.begin()
        (origin,) = (each.origin for each in visiting.host.flows.values())
        other = self.visit(direct=True)
        leg = other.dial_datagrams(Origin(origin.source, origin.destination))
        leg.send(b"x")
        self.relay.advance(1.0)
        self.assertEqual(len(published.host.flows), 2)
        self.assertEqual(published.host.way, "2 direct paths")

    def test_one_lane(self) -> None:
        """A path has one lane: whatever else the visitor opens is refused."""
        _, visiting, user = self.begin()
        visitor: Any = visiting.visitor
        leg = self.successResultOf(visitor.path.open_leg(False))
        received = RecordingReceiver(leg)
        leg.write(b"x")
        self.relay.advance(1.0)
        self.assertTrue(received.ended or received.lost is not None)
        self.assertEqual(user.asks(b"on"), [b"on"])

    def test_withdrawn(self) -> None:
        """With the proxy its direct paths go."""
        published, visiting, user = self.begin()
        published.withdraw()
        self.relay.advance(5.0)
        self.assertNotIn("a direct path with", visiting.host.way)
        self.assertEqual(user.asks(b"x"), [])

    def test_visitor_came_back(self) -> None:
        """A visitor that was started anew has users of its own."""
        _, visiting, _ = self.begin()
        visiting.stop()
        self.visit(direct=True)
        user = User(self)
        self.assertEqual(user.asks(b"x", 1.0), [b"x"])
        self.assertEqual(user.asks(b"y"), [b"y"])

"""Tests for the proxy type ``room``."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from relaykit.errors import ProxyRefusedError, RemoteProtocolError
from relaykit.options import LoadBalancer
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import MemoryRelay, echoing
from relaykit.values import Secret
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import room
from relaykit_knock.room import Greeting, RoomOptions


class RoomConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """What every proxy type must do."""

    proxy_type = room.proxy_type

    def options(self) -> RoomOptions:
        """A room."""
        return RoomOptions(room="kitchen")


class RoomTests(SynchronousTestCase):
    """Tests for what the proxies of a server share."""

    def test_name_taken(self) -> None:
        """Two proxies cannot have one room; when the first is gone the second may have it."""
        relay = MemoryRelay()
        first = relay.publish(room.proxy_type, RoomOptions(room="kitchen"), name="a", local=echoing)
        second = lambda: relay.publish(  # noqa: E731
            room.proxy_type, RoomOptions(room="kitchen"), name="b", local=echoing
        )
        self.assertRaises(ProxyRefusedError, second)
        first.withdraw()
        second()

    def test_dead_client(self) -> None:
        """A room whose client is dead goes to the next one who asks for it, once that is known."""
        relay = MemoryRelay()
        first = relay.publish(room.proxy_type, RoomOptions(room="kitchen"), name="a", local=echoing)
        for connection in first.connections:
            connection.stall()
        with self.assertRaises(AssertionError):  # it takes time to know that
            relay.publish(room.proxy_type, RoomOptions(room="kitchen"), name="b", local=echoing)
        relay.advance(30.0)
        open_ = {each.name: each.is_open for each in relay.server.status().proxies}
        self.assertEqual(open_, {"a": False, "b": True})

    def test_group(self) -> None:
        """Several clients serve one room in turn, if they all say so and know the key."""
        relay = MemoryRelay()

        def join(name: str, room_name: str = "kitchen", key: str = "k") -> None:
            said = name.encode()
            relay.publish(
                room.proxy_type,
                RoomOptions(room=room_name),
                name=name,
                local=lambda leg: leg.write(said),
                load_balancer=LoadBalancer(group="cooks", group_key=Secret(key)),
            )

        for name in ("ann", "bob"):
            join(name)
        heard = []
        for _ in range(3):
            leg = relay.dial(7003)
            user = RecordingReceiver(leg)
            leg.write(b"room kitchen\n")
            relay.settle()
            heard.append(user.data)
        self.assertEqual(heard, [b"ann", b"bob", b"ann"])
        refused = self.assertRaises(ProxyRefusedError, join, "eve", "cellar")
        self.assertEqual(refused.text, "the group is in another room")
        self.assertEqual(self.assertRaises(ProxyRefusedError, join, "eve", key="?").text, "group auth failed")

    def test_names(self) -> None:
        """A room has a name that fits into the line."""
        for name in ("", "Kitchen", "a b", "x" * 33):
            self.assertEqual([each.key for each in RoomOptions(room=name).problems()], ["room"], name)
        self.assertEqual(list(RoomOptions(room="the-42nd").problems()), [])


class GreetingTests(SynchronousTestCase):
    """Tests for the line that names the room."""

    def test_every_cut(self) -> None:
        """The name is read however the line is cut, with either end of line, and what follows is left."""
        for line in (b"room kitchen\n", b"room kitchen\r\n"):
            for end in range(len(line)):
                self.assertIsNone(Greeting().feed(line[:end]))
            self.assertEqual(Greeting().feed(line + b"hello\n"), ("kitchen", len(line)))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=80))
    def test_junk(self, data: bytes) -> None:
        """Whatever comes, it is recognized or not, and read, refused or waited for."""
        greeting = Greeting()
        if data:
            self.assertIn(greeting.recognizes(data), (True, False, None))
        try:
            found = greeting.feed(data)
        except RemoteProtocolError:
            return
        self.assertTrue(found is None or data.startswith(b"room " + found[0].encode()))

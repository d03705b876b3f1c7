"""A relay with a ``sudp`` proxy and a visitor that go past it, in memory."""

from __future__ import annotations

from typing import Any

from relaykit.carriers.quic.adapter import available
from relaykit.carriers.quic.opening import QuicStreams
from relaykit.interfaces import IDatagramLeg
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.relay import Published, Visiting
from tests.proxies.sudp.scene import SudpTestCase

__all__ = ["DirectSudpTestCase", "User"]


class User:
    """Somebody at the visitor's port."""

    def __init__(self, case: DirectSudpTestCase) -> None:
        self._case = case
        self.leg: IDatagramLeg = case.relay.ports.dial_datagrams(9000)
        self.received = RecordingDatagrams(self.leg)

    def asks(self, data: bytes, seconds: float = 0.05) -> list[bytes]:
        """What the user gets within this time after sending something."""
        before = len(self.received.got)
        self.leg.send(data)
        self._case.relay.settle()
        self._case.relay.advance(seconds)
        return self.received.got[before:]


class DirectSudpTestCase(SudpTestCase):
    """A relay of relaykit; direct paths are made of UDP, or of TCP where QUIC is missing or not wanted."""

    def setUp(self) -> None:
        super().setUp()
        if available():
            self.relay.path_streams = QuicStreams(self.relay.network, self.relay.clock)
        else:
            self.relay.paths_of_tcp = True

    def relayed(self, published: Published) -> int:
        """Bytes that the server has carried for the proxy."""
        moved = [flow.moved() for flow in published.proxy.flows]
        moved += [(each.near_to_far, each.far_to_near) for each in published.flows]
        return sum(there + back for there, back in moved)

    def begin(self) -> tuple[Published, Visiting, User]:
        """Both ends, and a user whose datagrams go directly."""
        published, visiting = self.publish(direct=True), self.visit(direct=True)
        user = User(self)
        self.assertEqual(user.asks(b"first", 1.0), [b"first"])
        self.assertEqual(user.asks(b"second"), [b"second"])
        self.assertIn("a direct path with", visiting.host.way)
        return published, visiting, user

    def lower(self, visiting: Visiting) -> Any:
        """What is below the direct path of a visitor: a leg, or a path of UDP."""
        visitor: Any = visiting.visitor
        path = visitor.path
        return path._driver.lower if hasattr(path, "_driver") else path.lower

    def cut(self, visiting: Visiting) -> None:
        """Has both ends lose the direct path."""
        lower = self.lower(visiting)
        (lower.abort if self.relay.paths_of_tcp else lower.lose)()
        self.relay.settle()

    def mute(self, visiting: Visiting) -> None:
        """Has nothing get through the direct path any more, which nobody is told of."""
        lower = self.lower(visiting)
        lower.loses = lower.other.loses = True

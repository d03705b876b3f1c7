"""A plugin over HTTP in memory, which answers what the test says."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from relaykit.interfaces import IStreamLeg
from relaykit.policies.http.asking import Asking
from relaykit.sansio.http_plugins import Place
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver

PLACE = Place.of("http://me:sesame@plugin.example:9000", "/handler")


@define(eq=False)
class Plugin:
    """Where it is asked, and the connections to it."""

    clock: Clock = field(factory=Clock)
    network: MemoryNetwork = field(factory=MemoryNetwork)
    legs: list[MemoryLeg] = field(factory=list)
    received: list[RecordingReceiver] = field(factory=list)
    down: Exception | None = None

    def asking(self) -> Asking:
        """What asks it."""
        return Asking(self.clock, self.network, self._connect, PLACE)

    def _connect(self) -> Deferred[IStreamLeg]:
        if self.down is not None:
            return fail(self.down)
        near, far = self.network.pair()
        self.legs.append(far)
        self.received.append(RecordingReceiver(far))
        return succeed(near)

    def answer(self, raw: bytes, connection: int = -1) -> None:
        """Says this on one of the connections, the last one unless told otherwise."""
        self.legs[connection].write(raw)
        self.network.flush()

    def is_left(self, connection: int = -1) -> bool:
        """Whether the other end of it is gone."""
        self.network.flush()
        received = self.received[connection]
        return received.ended or received.lost is not None

    def said(self, connection: int = -1) -> bytes:
        """What it was asked on it."""
        self.network.flush()
        return self.received[connection].data


def response(body: bytes, status: int = 200) -> bytes:
    """An answer, after which the connection stays."""
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)

"""A line for datagrams in memory, with time, loss and reordering, and QUIC at both of its ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from relaykit.carriers.quic.adapter import LIBRARIES, Library, available, load
from relaykit.carriers.quic.opening import FrpQuicStreams, QuicStreams
from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.interfaces import IBatchedDatagramLeg, IBatchedDatagramReceiver, ILegAcceptor
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Ended, Origin, Secret

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg

__all__ = ["MISSING", "SECRET", "Accepting", "Ends", "Line", "LineLeg", "libraries", "missing"]

SECRET = Secret("a secret that both ends have")

MISSING = "neither qh3 nor aioquic is installed"

_MOST_STEPS = 200_000


def missing(name: str | None = None) -> str | None:
    """Why tests with a library cannot be run; None where they can."""
    if available(name):
        return None
    return MISSING if name is None else f"{name} is not installed"


def libraries() -> list[Library]:
    """Those that are installed."""
    return [load(name) for name in LIBRARIES if available(name)]


class Line:
    """Carries datagrams between its two legs, as the network whose turns and time it uses goes on.

    :param loss: which part of them is lost.
    :param jitter_s: most seconds that one may take longer than another.
    """

    def __init__(
        self, network: MemoryNetwork, delay_s: float = 0.01, loss: float = 0.0, jitter_s: float = 0.0
    ) -> None:
        self.network = network
        self.delay_s = delay_s
        self.loss = loss
        self.jitter_s = jitter_s
        self.most_bytes = 65507
        self.cut = False
        self.sent = 0
        self.chance = random.Random(7)
        one, two = network.addresses()
        self.legs = LineLeg(self, two, one), LineLeg(self, one, two)
        self.legs[0].other, self.legs[1].other = self.legs[1], self.legs[0]

    def carry(self, leg: LineLeg, data: bytes) -> None:
        """Lets a datagram arrive at a leg, or not."""
        self.sent += 1
        if self.cut or len(data) > self.most_bytes or self.chance.random() < self.loss:
            return
        delay = self.delay_s + self.chance.uniform(0.0, self.jitter_s)
        self.network.clock.callLater(delay, leg.arrive, data)


@implementer(IBatchedDatagramLeg)
class LineLeg(DatagramLeg):
    """One end of a line."""

    def __init__(self, line: Line, peer: Any, host: Any) -> None:
        super().__init__(line.network, peer, host)
        self.line = line
        self.other = self
        self.batches = 0

    def send(self, data: Any) -> bool:
        if self._closed:
            return False
        self.line.carry(self.other, bytes(data))
        return True

    def send_many(self, datagrams: Sequence[bytes]) -> int:
        self.batches += 1
        return sum(map(self.send, datagrams))

    def arrive(self, data: bytes) -> None:
        """A datagram is there."""
        if self._flowing and IBatchedDatagramReceiver.providedBy(self._receiver):
            self._receiver.datagrams_received([data])
        else:
            self._arrived(data)

    def close(self) -> None:
        self._silence()
        self._lose_soon(Ended.FINISHED)


@implementer(ILegAcceptor)
class Accepting:
    """Keeps the legs that it is given."""

    def __init__(self) -> None:
        self.legs: list[IStreamLeg] = []
        self.origins: list[Origin] = []

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self.legs.append(leg)
        self.origins.append(origin)


class Ends:
    """Both ends of a connection over a line: the initiator's first."""

    def __init__(
        self,
        one: Library,
        two: Library | None = None,
        frp: bool = False,
        secrets: tuple[Secret, Secret] = (SECRET, SECRET),
        **line: float,
    ) -> None:
        self.network = MemoryNetwork()
        self.line = Line(self.network, **line)
        self.acceptors = Accepting(), Accepting()
        self.streams = [
            (FrpQuicStreams if frp else QuicStreams)(self.network, self.network.clock, library)
            for library in (one, two or one)
        ]
        self.opening = [
            streams.open_path(leg, role, secret, acceptor)
            for streams, leg, role, secret, acceptor in zip(
                self.streams, self.line.legs, PeerRole, secrets, self.acceptors, strict=True
            )
        ]
        self.paths: list[Any] = []
        """Each a QuicPath."""

    def open(self) -> Ends:
        """Lets time pass until both ends have a path."""
        for each in self.opening:
            each.addCallback(self.paths.append)
        self.until(lambda: len(self.paths) == 2)
        # The initiator's first, whoever was done first.
        self.paths.sort(key=lambda path: not path.connection.is_client)
        return self

    def leg(self, end: int = 0) -> IStreamLeg:
        """A new leg that this end opens."""
        opened: list[IStreamLeg] = []
        self.paths[end].open_leg(False).addCallback(opened.append)
        self.until(lambda: opened)
        return opened[0]

    def until(self, condition: Callable[[], Any], most_s: float = 60.0) -> None:
        """Lets time pass until the condition holds.

        :raises AssertionError: it does not in time.
        """
        clock = self.network.clock
        end = clock.seconds() + most_s
        for _ in range(_MOST_STEPS):
            self.network.flush()
            if condition():
                return
            calls = [call.getTime() for call in clock.getDelayedCalls()]
            if not calls or min(calls) > end:
                break
            clock.advance(max(0.0, min(calls) - clock.seconds()))
        raise AssertionError("what was waited for has not come")

    def rest(self, seconds: float = 1.0) -> None:
        """Lets time pass."""
        self.network.advance(seconds)

    def close(self) -> None:
        """Ends both paths."""
        for path in self.paths:
            path.close()
        self.rest(5.0)

"""Ports in memory: what servers and clients open in a test, and what the test dials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import define, field
from zope.interface import implementer

from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.dataplane.listening import PortInUse
from relaykit.dataplane.sockets import KEEPALIVE_IDLE_S
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IListeningPort
from relaykit.values import MOST_DATAGRAM_BYTES, Address, Ended, Origin

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg, ILegAcceptor
    from relaykit.sansio.contract import Buffer
    from relaykit.testing.memory import MemoryLeg, MemoryNetwork

__all__ = ["MemoryDatagramLeg", "MemoryPorts", "datagram_pair"]

_FIRST_PICKED_PORT = 50_000
"""Where the search for a port begins when somebody asks for port 0."""


def datagram_pair(
    network: MemoryNetwork, source: Address | None = None
) -> tuple[MemoryDatagramLeg, MemoryDatagramLeg]:
    """Two datagram legs that are connected with each other; none of their datagrams is lost on the way.

    The first one is that of who sends first, from ``source`` if that is given.
    """
    here, there = network.addresses(source)
    near, far = MemoryDatagramLeg(network, there, here), MemoryDatagramLeg(network, here, there)
    near.other, far.other = far, near
    return near, far


class MemoryDatagramLeg(DatagramLeg):
    """One end of such a pair."""

    def __init__(self, network: MemoryNetwork, peer: Address, host: Address) -> None:
        super().__init__(network, peer, host)
        self.other = self
        self.full = False
        """Whether it takes no datagrams for the time being."""
        self._sent: list[bytes] = []

    def send(self, data: Buffer) -> bool:
        if self.full or self._closed or len(data) > MOST_DATAGRAM_BYTES:
            self.dropped += 1
            return False
        self._sent.append(bytes(data))
        self._turns.at_turn_end(self._deliver_sent)
        return True

    def close(self) -> None:
        if not self._closed:
            self._silence()
            self._turns.at_turn_end(self._end)

    def cut(self) -> None:
        """Breaks it: both ends are told when the network moves on."""
        for leg in (self, self.other):
            leg._lose_soon(Ended.RESET)

    def lose(self) -> None:
        """Is lost with its port; the other end is told, unlike with UDP, for the sake of tests."""
        if not self._closed:
            self._silence()
            for leg in (self, self.other):
                leg._lose_soon(Ended.STOPPED)

    def _deliver_sent(self) -> None:
        sent, self._sent = self._sent, []
        for data in sent:
            lent = bytearray(data)
            self.other._arrived(memoryview(lent))
            lent[:] = bytes(len(lent))

    def _end(self) -> None:
        self._deliver_sent()
        self._lost(Ended.FINISHED)
        self.other._lost(Ended.FINISHED)


@implementer(IListeningPort)
@define(eq=False)
class _Port:
    """A port that is open until it is closed."""

    address: Address
    acceptor: Any
    _open: dict[int, _Port] = field(repr=False)
    legs: list[MemoryDatagramLeg] = field(factory=list, repr=False)
    """Those that are lost with a UDP port."""

    def close(self) -> None:
        if self._open.get(self.address.port) is self:
            del self._open[self.address.port]
        for leg in self.legs:
            leg.lose()


class MemoryPorts(Mapping[int, Any]):
    """The ports of one machine: a mapping of its open TCP ports to who accepts there."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._streams: dict[int, _Port] = {}
        self._datagrams: dict[int, _Port] = {}

    def __getitem__(self, port: int) -> Any:
        return self._streams[port].acceptor

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._streams))

    def __len__(self) -> int:
        return len(self._streams)

    def listen(
        self,
        host: str,
        port: int,
        acceptor: ILegAcceptor,
        for_users: bool = False,
        keepalive_s: int = KEEPALIVE_IDLE_S,
    ) -> IListeningPort:
        """Opens a TCP port; 0 picks one.

        :raises PortInUse: it is open already.
        """
        return _open(self._streams, host, port, acceptor)

    def listen_datagrams(self, host: str, port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        """Opens a UDP port; 0 picks one.

        :raises PortInUse: it is open already.
        """
        return _open(self._datagrams, host, port, acceptor)

    def dial(self, port: int, source: Address | None = None) -> MemoryLeg:
        """Connects to a port; answers the end of who dials.

        :raises ConnectionFailed: nobody listens there.
        """
        listening = _dialed(self._streams, port)
        near, far = self._network.pair(source=source)
        listening.acceptor.leg_accepted(far, Origin(far.peer, listening.address))
        return near

    def dial_datagrams(self, port: int, source: Address | None = None) -> IDatagramLeg:
        """A peer of a UDP port; the port gets its leg at once, not with the first datagram.

        :raises ConnectionFailed: nobody listens there.
        """
        listening = _dialed(self._datagrams, port)
        near, far = datagram_pair(self._network, source)
        listening.legs.append(far)
        listening.acceptor.leg_accepted(far, Origin(far.peer, listening.address))
        return near


def _open(table: dict[int, _Port], host: str, port: int, acceptor: object) -> _Port:
    if port == 0:
        port = next(each for each in count(_FIRST_PICKED_PORT) if each not in table)
    if port in table:
        why = "another program listens there"
        raise PortInUse(f"cannot listen on {host}:{port}: {why}", why)
    table[port] = _Port(Address(host, port), acceptor, table)
    return table[port]


def _dialed(table: dict[int, _Port], port: int) -> _Port:
    listening = table.get(port)
    if listening is None:
        raise ConnectionFailed(f"nobody listens on port {port}")
    return listening

"""Which stream a packet of the virtual network goes to, and which packets a stream may bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from relaykit.sansio.packets.headers import addresses_of

if TYPE_CHECKING:
    from relaykit.sansio.packets.headers import Interface, IpAddress

__all__ = ["MOST_ADDRESSES", "MOST_WAITING_BYTES", "Branch", "PacketSwitch"]

MOST_WAITING_BYTES: Final = 256 * 1024
"""Bytes of packets that wait for a stream which takes nothing: a burst of a fast connection within.  What
comes then is dropped, as on any way that is too narrow, and who has sent it goes more slowly."""

MOST_ADDRESSES: Final = 1024
"""Addresses that are learned of one stream, where it may have several: a network behind a visitor."""


class Branch:
    """One stream of the network: what its packets are known by, and what waits for it.

    :ivar destination: the address that its packets go to; empty for those that it has sent from.
    :ivar learned: these.
    :ivar dropped: packets that it was not given, and of it that were not taken.
    :ivar is_over: whether another one has its address: it brings nothing any more.
    """

    __slots__ = ("_waiting", "_waiting_bytes", "destination", "dropped", "is_over", "learned")

    def __init__(self, destination: bytes = b"") -> None:
        self.destination = destination
        self.learned: set[bytes] = set()
        self.dropped = 0
        self.is_over = False
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def put(self, packet: bytes) -> None:
        """Has a packet wait, or drops it."""
        if self._waiting_bytes + len(packet) > MOST_WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting.append(packet)
        self._waiting_bytes += len(packet)

    def take(self) -> Sequence[bytes]:
        """Takes what waits."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting


class PacketSwitch:
    """Passes packets between the system and the streams of the network.

    A stream of a visitor leads to one address.  It takes what goes there, and brings what comes from there.

    A stream that a proxy was given leads to its visitor, whose address is not known before its first packet.
    It may be any of the network that is not this end's own, and it stays the one.  Where another stream has
    it, that one loses it: a visitor that comes again must not wait until it is known that it was gone.  Who
    has lost it is told by ``taken_over``.

    Either brings packets for this end alone, unless ``is_gateway``: then whatever a stream brings is handed
    to the system, which may forward it, and who brought a packet from an address last gets those for it.

    :param own: the address of this end, with its network.
    """

    def __init__(self, own: Interface, is_gateway: bool = False) -> None:
        self._own = own
        self._own_address = own.ip.packed
        self._is_gateway = is_gateway
        self._led: dict[bytes, Branch] = {}
        self._learned: dict[bytes, Branch] = {}
        self._taken_over: list[tuple[Branch, bytes]] = []
        self.unknown = 0
        """Packets of the system that no stream leads to the destination of, or that are none."""

    def join(self, destination: IpAddress | None) -> Branch:
        """A stream that leads to an address, in place of any other; None for one that shows its own."""
        branch = Branch(b"" if destination is None else destination.packed)
        if destination is not None:
            self._led[branch.destination] = branch
        return branch

    def leave(self, branch: Branch) -> None:
        """A stream is gone."""
        if self._led.get(branch.destination) is branch:
            del self._led[branch.destination]
        for address in branch.learned:
            del self._learned[address]
        branch.learned.clear()

    def sent(self, packets: Iterable[bytes]) -> Iterable[Branch]:
        """Packets that the system sends; answers those for which some wait now, or were dropped."""
        led, learned = self._led, self._learned
        found: dict[Branch, None] = {}
        for packet in packets:
            addresses = addresses_of(packet)
            branch = addresses and (led.get(addresses[1]) or learned.get(addresses[1]))
            if branch:
                branch.put(packet)
                found[branch] = None
            else:
                self.unknown += 1
        return found

    def brought(self, branch: Branch, packets: Iterable[bytearray]) -> list[bytearray]:
        """Packets that a stream brings; answers those for the system."""
        found = []
        for packet in packets:
            addresses = addresses_of(packet)
            if addresses and self._may_bring(branch, *addresses):
                found.append(packet)
            else:
                branch.dropped += 1
        return found

    def taken_over(self) -> Sequence[tuple[Branch, IpAddress]]:
        """Takes the streams that have lost their address, and which, since the last call."""
        lost, self._taken_over = self._taken_over, []
        return [(branch, ip_address(address)) for branch, address in lost]

    def _may_bring(self, branch: Branch, source: bytes, destination: bytes) -> bool:
        if branch.is_over or (destination != self._own_address and not self._is_gateway):
            return False
        if branch.destination:
            return source == branch.destination or self._is_gateway
        return source in branch.learned or self._learns(branch, source)

    def _learns(self, branch: Branch, source: bytes) -> bool:
        """Whether an address becomes one of a stream."""
        if source == self._own_address or source in self._led:
            return False
        most = MOST_ADDRESSES if self._is_gateway else 1
        if len(branch.learned) >= most or not (self._is_gateway or self._is_of_network(source)):
            return False
        former = self._learned.get(source)
        if former is not None:
            former.learned.discard(source)
            if not self._is_gateway:
                former.is_over = True
                self._taken_over.append((former, source))
        branch.learned.add(source)
        self._learned[source] = branch
        return True

    def _is_of_network(self, source: bytes) -> bool:
        address, network = ip_address(source), self._own.network
        return address.version == network.version and address in network

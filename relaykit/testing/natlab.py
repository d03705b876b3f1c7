"""NATs, machines and the Internet between them, in memory, on a clock of their own, seeded.

It runs the cores of :mod:`relaykit.sansio.nat` (or anybody's that keep
:class:`relaykit.sansio.nat.datagrams.DatagramCore`) against every kind of NAT, without privileges
and without waiting::

    lab = Lab(seed=1, delay_s=0.025)
    home = lab.nat("198.51.100.2", Mapping.ADDRESS_AND_PORT_DEPENDENT, allocation=PortAllocation.RANDOM)
    node = lab.machine("192.168.1.100", behind=home).run(core, sockets=[0, 0])
    lab.run(10.0)

A datagram crosses the Internet after the delay, if it is not lost; inside a LAN it arrives at once.
Each NAT and the Internet itself count as one router towards the TTL.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen

from relaykit.sansio.nat.behavior import Filtering, Mapping, PortAllocation
from relaykit.sansio.nat.datagrams import Datagram, DatagramCore
from relaykit.sansio.nat.stun_server import StunServer
from relaykit.sansio.rates import RateLimit
from relaykit.values import Address

__all__ = ["Lab", "LabCall", "LabMachine", "LabNat", "LabNode", "LabReactor"]

_TTL = 64


@frozen
class _Packet:
    payload: bytes
    source: Address
    destination: Address
    ttl: int = _TTL


@define(eq=False)
class _Mapped:
    """One entry of a NAT's table."""

    inside: Address
    port: int
    towards: tuple[str, int]
    used_at: float
    sent_to: dict[Address, float] = field(factory=dict)


class _Segment:
    """A network that machines and NATs are attached to."""

    def __init__(self, lab: Lab, gateway: LabNat | None) -> None:
        self.lab = lab
        self.gateway = gateway
        self.machines: dict[str, LabMachine] = {}
        self.nats: dict[str, LabNat] = {}

    def carry(self, packet: _Packet) -> None:
        """Delivers within the network, or hands the packet to the way out."""
        host = packet.destination.host
        crossing = self.gateway is None
        if host in self.machines:
            self.lab.deliver(crossing, packet, self.machines[host].arrived)
        elif host in self.nats:
            self.lab.deliver(crossing, packet, self.nats[host].inbound)
        elif self.gateway is not None:
            self.gateway.outbound(packet)


class LabNat:
    """A NAT with the behaviors of RFC 4787; mapping and filtering each blank a strategy of a key.

    With ``keeps_unsolicited`` it does what a Linux router without a firewall does: it remembers a
    datagram that nobody inside asked for, and then gives a socket that sends to where that came
    from another port.
    """

    def __init__(
        self,
        outside: _Segment,
        wan: str,
        mapping: Mapping,
        filtering: Filtering,
        allocation: PortAllocation,
        block: tuple[int, int],
        lifetime_s: float,
        hairpin: bool,
        keeps_unsolicited: bool,
        blocks_udp: bool,
    ) -> None:
        self.wan = wan
        self.inside = _Segment(outside.lab, self)
        self._outside = outside
        self._mapping = mapping
        self._filtering = filtering
        self._allocation = allocation
        self._block = block
        self._lifetime_s = lifetime_s
        self._hairpin = hairpin
        self._keeps_unsolicited = keeps_unsolicited
        self._blocks_udp = blocks_udp
        self._next_port = 20000
        self._mappings: dict[tuple[Address, str, int], _Mapped] = {}
        self._by_port: dict[int, list[_Mapped]] = {}
        self._unsolicited: dict[tuple[Address, int], float] = {}

    def forget(self) -> None:
        """Loses the whole table, as a router does that starts again."""
        self._mappings.clear()
        self._by_port.clear()
        self._unsolicited.clear()

    def outbound(self, packet: _Packet) -> None:
        """A datagram from the inside, on its way out."""
        if self._blocks_udp or packet.ttl <= 1:
            return
        if packet.destination.host == self.wan and not self._hairpin:
            return
        mapped = self._map(packet.source, packet.destination)
        external = Address(self.wan, mapped.port)
        out = _Packet(packet.payload, external, packet.destination, packet.ttl - 1)
        if packet.destination.host == self.wan:
            self.inbound(out)
        else:
            self._outside.carry(out)

    def inbound(self, packet: _Packet) -> None:
        """A datagram from outside, to one of the external ports."""
        now = self._outside.lab.now
        for mapped in self._by_port.get(packet.destination.port, ()):
            if self._is_alive(mapped, now) and self._admits(mapped, packet.source, now):
                if packet.ttl > 1:
                    self.inside.carry(_Packet(packet.payload, packet.source, mapped.inside, packet.ttl - 1))
                return
        if self._keeps_unsolicited:
            self._unsolicited[packet.source, packet.destination.port] = now

    def _map(self, inside: Address, destination: Address) -> _Mapped:
        now = self._outside.lab.now
        exact = (inside, destination.host, destination.port)
        towards = self._blanked(self._mapping, destination)
        key = (inside, *towards)
        mapped = self._mappings.get(exact) or self._mappings.get(key)
        clash = mapped is not None and self._is_unsolicited(destination, mapped.port, now)
        if mapped is None or not self._is_alive(mapped, now) or clash:
            port = self._choose(inside, destination, towards, now)
            mapped = _Mapped(inside, port, towards, now)
            self._mappings[exact if clash else key] = mapped
            self._by_port.setdefault(port, []).insert(0, mapped)
        mapped.used_at = now
        mapped.sent_to[Address(*self._blanked(self._filtering, destination))] = now
        return mapped

    def _choose(self, inside: Address, destination: Address, towards: tuple[str, int], now: float) -> int:
        """A port that no other mapping towards the same destination has."""
        low, high = self._block if self._allocation is PortAllocation.BLOCK else (1024, 65535)
        for attempt in range(1000):
            if self._allocation is PortAllocation.STEPPED:
                port, self._next_port = self._next_port, self._next_port + 1
            elif self._allocation is PortAllocation.PRESERVED and attempt == 0:
                port = inside.port
            else:
                port = self._outside.lab.chance.randint(low, high)
            taken = any(
                mapped.towards == towards and self._is_alive(mapped, now)
                for mapped in self._by_port.get(port, ())
            )
            if not taken and not self._is_unsolicited(destination, port, now):
                return port
        raise LookupError("the NAT has no free port")

    def _is_unsolicited(self, source: Address, port: int, now: float) -> bool:
        at = self._unsolicited.get((source, port))
        return at is not None and now - at < self._lifetime_s

    def _is_alive(self, mapped: _Mapped, now: float) -> bool:
        return now - mapped.used_at < self._lifetime_s

    def _admits(self, mapped: _Mapped, source: Address, now: float) -> bool:
        return Address(*self._blanked(self._filtering, source)) in mapped.sent_to

    def _blanked(self, behavior: Mapping | Filtering, address: Address) -> tuple[str, int]:
        if behavior.value == "endpoint-independent":
            return ("", 0)
        return (address.host, 0) if behavior.value == "address-dependent" else (address.host, address.port)


class LabMachine:
    """A machine with one address; cores run on it."""

    def __init__(self, segment: _Segment, host: str) -> None:
        self.host = host
        self._segment = segment
        self._sockets: dict[int, Callable[[bytes, Address], None]] = {}

    def run(self, core: DatagramCore[Any], sockets: Sequence[int]) -> LabNode:
        """Runs a core with sockets on these ports; 0 is a random one."""
        return LabNode(self._segment.lab, self, core, sockets)

    def bind(self, port: int, receiver: Callable[[bytes, Address], None]) -> Address:
        """Opens a socket; ``receiver`` is called with what arrives and from where."""
        while port == 0 or port in self._sockets:
            port = self._segment.lab.chance.randint(32768, 60999)
        self._sockets[port] = receiver
        return Address(self.host, port)

    def close(self, address: Address) -> None:
        """Closes a socket."""
        self._sockets.pop(address.port, None)

    def send(self, source: Address, datagram: Datagram) -> None:
        """Sends from a socket."""
        ttl = _TTL if datagram.ttl is None else datagram.ttl
        self._segment.carry(_Packet(datagram.payload, source, datagram.destination, ttl))

    def arrived(self, packet: _Packet) -> None:
        """A datagram reached this machine."""
        receiver = self._sockets.get(packet.destination.port)
        if receiver is not None:
            receiver(packet.payload, packet.source)


class LabNode:
    """A core at work on a machine: feeds it, sends for it, keeps its events."""

    def __init__(
        self, lab: Lab, machine: LabMachine, core: DatagramCore[Any], sockets: Sequence[int]
    ) -> None:
        self._lab = lab
        self._machine = machine
        self.core = core
        self.addresses = [machine.bind(port, partial(self._arrived, via)) for via, port in enumerate(sockets)]
        self.events: list[tuple[float, Any]] = []
        """What the core told, each with the time."""
        self.sent = 0
        """How many datagrams it sent."""
        lab.nodes.append(self)

    def open(self, count: int) -> None:
        """Opens further sockets on random ports, until there are this many."""
        for via in range(len(self.addresses), count):
            self.addresses.append(self._machine.bind(0, partial(self._arrived, via)))

    def close(self) -> None:
        """Stops the core and closes its sockets."""
        self._lab.nodes.remove(self)
        for address in self.addresses:
            self._machine.close(address)

    def flush(self) -> None:
        """Carries out what the core wants after an input; commands to a core need it, too."""
        now = self._lab.now
        self.events.extend((now, event) for event in self.core.events())
        for datagram in self.core.to_send(now):
            self.sent += 1
            self._machine.send(self.addresses[datagram.via], datagram)

    def wake(self) -> None:
        """Wakes the core and carries out what it wants."""
        self.core.wake(self._lab.now)
        self.flush()

    def _arrived(self, via: int, data: bytes, source: Address) -> None:
        self.core.receive(data, source, via, self._lab.now)
        self.flush()


class LabCall:
    """Something that will happen, until it is cancelled."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()

    def active(self) -> bool:
        """Whether it will still happen."""
        return self._action is not None

    def cancel(self) -> None:
        """Makes it not happen."""
        self._action = None


class LabReactor:
    """The lab's time, as drivers want it: the two methods of a reactor that only waits."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def seconds(self) -> float:
        """The time in the lab."""
        return self._lab.now

    def callLater(self, delay: float, function: Callable[..., object], *args: object) -> LabCall:
        """Calls a function later."""
        call = LabCall(partial(function, *args))
        self._lab.call_later(delay, call)
        return call


class Lab:
    """The Internet: NATs and machines are attached to it, time passes in :meth:`run`.

    ``delay_s`` is for one crossing, ``jitter_s`` varies it, ``loss`` is the strategy of all crossings
    that are lost.  Two labs of one seed do the same.
    """

    def __init__(self, seed: int, delay_s: float = 0.0, jitter_s: float = 0.0, loss: float = 0.0) -> None:
        self.now = 1000.0
        self.chance = random.Random(seed)
        self.nodes: list[LabNode] = []
        self.reactor = LabReactor(self)
        self._internet = _Segment(self, None)
        self.delay_s = delay_s
        self._jitter_s = jitter_s
        self._loss = loss
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def nat(
        self,
        wan: str,
        mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT,
        filtering: Filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT,
        allocation: PortAllocation = PortAllocation.PRESERVED,
        *,
        behind: LabNat | None = None,
        block: tuple[int, int] = (20480, 21503),
        lifetime_s: float = 120.0,
        hairpin: bool = False,
        keeps_unsolicited: bool = False,
        blocks_udp: bool = False,
    ) -> LabNat:
        """Attaches a NAT to the Internet, or to the inside of another one."""
        outside = self._segment(behind)
        outside.nats[wan] = nat = LabNat(
            outside,
            wan,
            mapping,
            filtering,
            allocation,
            block,
            lifetime_s,
            hairpin,
            keeps_unsolicited,
            blocks_udp,
        )
        return nat

    def machine(self, host: str, behind: LabNat | None = None) -> LabMachine:
        """Attaches a machine to the Internet, or to the inside of a NAT."""
        segment = self._segment(behind)
        segment.machines[host] = machine = LabMachine(segment, host)
        return machine

    def stun_server(self, sockets: Sequence[Address], own: Sequence[Address] = ()) -> None:
        """Starts a STUN server on these public addresses; it answers without limit.

        ``own`` are those of the machine, where the public ones are those of a NAT that it does not know of.
        """
        server = StunServer(own or sockets, RateLimit(1_000_000, 1_000_000.0, 1_000_000))
        machines = {address.host: self.machine(address.host) for address in sockets}

        def answer(via: int, data: bytes, source: Address) -> None:
            reply = server.answer(data, source, via, self.now)
            if reply is not None:
                sender = sockets[reply.via]
                machines[sender.host].send(sender, reply)

        for via, address in enumerate(sockets):
            machines[address.host].bind(address.port, partial(answer, via))

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Does something at a later time of the lab."""
        self._count += 1
        heapq.heappush(self._agenda, (self.now + delay_s, self._count, action))

    def deliver(self, crossing: bool, packet: _Packet, receiver: Callable[[_Packet], None]) -> None:
        """Takes a packet to its next stop: over the Internet, or within a LAN."""
        if not crossing:
            self.call_later(0.0, lambda: receiver(packet))
            return
        if packet.ttl <= 1 or self.chance.random() < self._loss:
            return
        carried = _Packet(packet.payload, packet.source, packet.destination, packet.ttl - 1)
        late = self.delay_s + self._jitter_s * self.chance.random()
        self.call_later(late, lambda: receiver(carried))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets time pass, at most this much; answers whether ``until`` came true."""
        end = self.now + seconds
        for node in self.nodes:
            node.flush()
        while not until():
            due = min(
                (wakeup for node in self.nodes if (wakeup := node.core.next_wakeup()) is not None),
                default=end,
            )
            if self._agenda and self._agenda[0][0] <= due:
                due, _, action = heapq.heappop(self._agenda)
                if due > end:
                    self.now = end
                    return until()
                self.now = max(self.now, due)
                action()
                continue
            if due >= end:
                self.now = end
                return until()
            self.now = max(self.now, due)
            for node in list(self.nodes):
                wakeup = node.core.next_wakeup()
                if wakeup is not None and wakeup <= self.now:
                    node.wake()
        return True

    def _segment(self, behind: LabNat | None) -> _Segment:
        return self._internet if behind is None else behind.inside

"""Tests of the NATs in memory: each behaves as its name says."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import Filtering, Mapping, PortAllocation
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.testing.natlab import Lab, LabMachine
from relaykit.values import Address

ONE, OTHER_PORT, OTHER_HOST = Address("203.0.113.2", 1), Address("203.0.113.2", 2), Address("203.0.113.3", 1)


class _World:
    """A machine behind a NAT, and two hosts with two ports outside that note what reaches them."""

    def __init__(self, mapping: Mapping, filtering: Filtering, **options: object) -> None:
        self.lab = Lab(seed=7)
        self.nat = self.lab.nat("198.51.100.2", mapping, filtering, **options)  # type: ignore[arg-type]
        self.inside = self.lab.machine("192.168.1.100", behind=self.nat)
        self.heard: list[tuple[Address, Address]] = []
        self.came_in: list[Address] = []
        self.source = self.inside.bind(5000, lambda data, source: self.came_in.append(source))
        self.hosts: dict[str, LabMachine] = {}
        for address in (ONE, OTHER_PORT, OTHER_HOST):
            if address.host not in self.hosts:
                self.hosts[address.host] = self.lab.machine(address.host)
            self.hosts[address.host].bind(address.port, partial(self._hear, address))

    def _hear(self, address: Address, data: bytes, source: Address) -> None:
        self.heard.append((address, source))

    def say(self, *destinations: Address, ttl: int | None = None) -> list[Address]:
        """Sends to each, and answers from where they saw it come."""
        for destination in destinations:
            self.inside.send(self.source, Datagram(b"x", destination, ttl=ttl))
            self.lab.run(0.1)
        seen, self.heard = [source for _, source in self.heard], []
        return seen

    def reply(self, sender: Address, to: Address) -> bool:
        """Sends inwards, and answers whether it came in."""
        self.came_in.clear()
        self.hosts[sender.host].send(sender, Datagram(b"y", to))
        self.lab.run(0.1)
        return bool(self.came_in)


class NatTests(SynchronousTestCase):
    """Mapping, filtering, allocation and the rest."""

    def test_mapping(self) -> None:
        """A mapping depends on as much of the destination as the behavior says."""
        for mapping, expected in (
            (Mapping.ENDPOINT_INDEPENDENT, 1),
            (Mapping.ADDRESS_DEPENDENT, 2),
            (Mapping.ADDRESS_AND_PORT_DEPENDENT, 3),
        ):
            world = _World(mapping, Filtering.ENDPOINT_INDEPENDENT, allocation=PortAllocation.RANDOM)
            seen = world.say(ONE, OTHER_PORT, OTHER_HOST)
            self.assertEqual(len(seen), 3)
            self.assertEqual(len(set(seen)), expected)

    def test_filtering(self) -> None:
        """A filter looks at as much of the source as the behavior says."""
        for filtering, expected in (
            (Filtering.ENDPOINT_INDEPENDENT, [True, True, True]),
            (Filtering.ADDRESS_DEPENDENT, [True, True, False]),
            (Filtering.ADDRESS_AND_PORT_DEPENDENT, [True, False, False]),
        ):
            world = _World(Mapping.ENDPOINT_INDEPENDENT, filtering)
            (external,) = world.say(ONE)
            self.assertEqual(
                [world.reply(sender, external) for sender in (ONE, OTHER_PORT, OTHER_HOST)], expected
            )

    def test_allocation(self) -> None:
        """Ports are kept, counted up, or drawn from a block."""
        every = Mapping.ADDRESS_AND_PORT_DEPENDENT
        world = _World(Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT)
        self.assertEqual([each.port for each in world.say(ONE)], [5000])
        world = _World(every, Filtering.ENDPOINT_INDEPENDENT, allocation=PortAllocation.STEPPED)
        self.assertEqual([each.port for each in world.say(ONE, OTHER_PORT)], [20000, 20001])
        world = _World(
            every, Filtering.ENDPOINT_INDEPENDENT, allocation=PortAllocation.BLOCK, block=(3000, 3003)
        )
        ports = [each.port for each in world.say(ONE, OTHER_PORT, OTHER_HOST)]
        self.assertTrue(all(3000 <= port <= 3003 for port in ports), ports)

    def test_time_to_live(self) -> None:
        """A datagram that two routers may pass opens the NAT and dies in the Internet."""
        world = _World(Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT)
        self.assertEqual(world.say(ONE, ttl=2), [])
        self.assertTrue(world.reply(ONE, Address("198.51.100.2", 5000)))
        self.assertEqual(len(world.say(ONE, ttl=3)), 1)

    def test_lifetime(self) -> None:
        """An idle mapping dies, and the next one is new."""
        world = _World(Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT, lifetime_s=10.0)
        (external,) = world.say(ONE)
        world.lab.run(5.0)
        self.assertTrue(world.reply(ONE, external))
        world.lab.run(10.0)
        self.assertFalse(world.reply(ONE, external))

    def test_unsolicited_datagram_takes_the_port(self) -> None:
        """Where a router remembers what nobody asked for, the later mapping gets another port."""
        for keeps, expected in ((False, 5000), (True, None)):
            world = _World(
                Mapping.ENDPOINT_INDEPENDENT,
                Filtering.ADDRESS_AND_PORT_DEPENDENT,
                keeps_unsolicited=keeps,
            )
            world.say(OTHER_HOST)
            self.assertFalse(world.reply(ONE, Address("198.51.100.2", 5000)))
            (seen,) = world.say(ONE)
            (again,) = world.say(ONE)
            self.assertEqual(seen, again)
            self.assertEqual(seen.port == 5000, expected == 5000)

    def test_blocked(self) -> None:
        """A network without UDP lets nothing out."""
        world = _World(Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT, blocks_udp=True)
        self.assertEqual(world.say(ONE, OTHER_HOST), [])

    def test_carrier(self) -> None:
        """Behind two NATs the outer address is seen, and answers find the way back."""
        lab = Lab(seed=1)
        carrier = lab.nat("198.51.100.18")
        home = lab.nat("100.64.0.2", behind=carrier)
        inside = lab.machine("192.168.1.100", behind=home)
        came: list[Address] = []
        source = inside.bind(0, lambda data, source: came.append(source))
        server = lab.machine("203.0.113.2")
        server.bind(1, lambda data, source: server.send(ONE, Datagram(b"y", source)))
        inside.send(source, Datagram(b"x", ONE))
        lab.run(1.0)
        self.assertEqual(came, [ONE])

    def test_loss_is_seeded(self) -> None:
        """Loss loses its strategy, and the same datagrams each time."""
        counts = []
        for _ in range(2):
            lab = Lab(seed=3, loss=0.5)
            heard: dict[bytes, Address] = {}
            lab.machine("203.0.113.2").bind(1, heard.__setitem__)
            sender = lab.machine("203.0.113.9")
            for place in range(100):
                sender.send(Address("203.0.113.9", 9), Datagram(bytes([place]), ONE))
            lab.run(1.0)
            counts.append(list(heard))
        self.assertEqual(counts[0], counts[1])
        self.assertTrue(30 < len(counts[0]) < 70, len(counts[0]))

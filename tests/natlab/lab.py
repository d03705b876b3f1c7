r"""The laboratory: a server, two routers with two machines each, and the Internet between them.

::

          core          a router; delay and loss are made here
         / |  \  \
        s  ra  rb  cgn  s: the server, two addresses.  ra, rb: the routers.  cgn: a carrier's, if any
           |   |        ca, ca2, cb, cb2: machines
          ca   cb

The Internet is a router and not a bridge, so that datagrams with a low TTL have a place to die.  Clients tell
by its number whether an address is of the real Internet, so those of this one are; there, nobody has
192.0.1.0/24, and the others belong to services that nobody in here asks (RFC 7450, RFC 7534, RFC 7535).
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from relaykit.commands.demo.namespaces import configure
from relaykit.nat.network import HostNetwork
from relaykit.nat.sockets import DatagramReceiver, UdpSocket
from relaykit.sansio.nat.candidates import Interface
from relaykit.values import Address
from tests.natlab.namespaces import entered, ip_batch, run, within
from tests.natlab.rules import KINDS, parse_kind, ruleset
from tests.natlab.weather import Weather

if TYPE_CHECKING:
    import socket

    from twisted.internet.defer import Deferred

    from relaykit.nat.network import HostReactor

__all__ = ["SERVER", "SERVER_6", "NamespaceNetwork", "NatLab"]

STOP_S = 60
"""The longest that a program may take to end."""

SERVER = ("192.52.193.2", "192.52.193.3")
SERVER_6 = "2620:4f:8000:5::2"

_numbers = itertools.count()

ResultT = TypeVar("ResultT")

_SETTINGS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/icmp_ratelimit": "0",
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
}
"""Set before any interface is made: duplicate address detection would cost a second, and bridged
frames of a LAN must not be translated."""

_CLOUD = """table ip cloud {{
 chain in {{ type nat hook prerouting priority -100; ip daddr {public} dnat to {private}; }}
 chain out {{ type nat hook postrouting priority 100; ip saddr {private} snat to {public}; }}
}}
"""
"""A one-to-one NAT, as clouds put it in front of their machines."""

_FORWARDING = {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"}


class NatLab:
    """Made by :meth:`up`, removed by :meth:`down`; a context manager does both.

    ``a`` and ``b`` are kinds of NAT as in :func:`tests.natlab.rules.parse_kind`; ``carrier`` is one
    in front of the sides in ``carrier_for``.  With ``same_lan`` both LANs have the same addresses, with
    ``six`` the machines have IPv6, too.
    """

    def __init__(
        self,
        a: str,
        b: str,
        carrier: str = "",
        carrier_for: str = "a",
        same_lan: bool = False,
        net_a: str = "192.0.1",
        six: bool = False,
    ) -> None:
        self._name = f"rk{os.getpid()}x{next(_numbers)}"
        self._kinds = {"a": a, "b": b}
        self._carrier = carrier
        self._carrier_for = carrier_for if carrier else ""
        self._same_lan = same_lan
        self._six = six
        self._nets = {"a": net_a, "b": "192.175.48"}
        self._programs: list[subprocess.Popen[bytes]] = []
        self._weather: Weather | None = None
        self.wan = {
            side: f"100.64.0.{place}" if side in self._carrier_for else f"{self._nets[side]}.2"
            for place, side in ((2, "a"), (3, "b"))
        }
        """The routers' outer addresses."""

    def __enter__(self) -> NatLab:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def space(self, role: str) -> str:
        """The name of the namespace of a role."""
        return self._name + role

    def network(self, role: str, reactor: Any) -> NamespaceNetwork:
        """What punching needs of a machine's network."""
        return NamespaceNetwork(reactor, self.space(role))

    def up(self) -> None:
        """Makes everything; nothing is left if that fails."""
        try:
            self._make()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Removes everything."""
        if self._weather is not None:
            self._weather.stop()
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            program.wait(STOP_S)
        for role in self._roles():
            run(["ip", "netns", "del", self.space(role)], check=False)

    def cloud(self) -> str:
        """From now on the server has a private address only; answers the public one that leads to it."""
        public, private = "192.52.193.4", "10.9.9.2"
        ip_batch(
            [
                f"addr add {private}/24 dev eth0",
                *(f"addr del {host}/28 dev eth0" for host in reversed(SERVER)),
                "route replace default via 10.9.9.1",
            ],
            self.space("s"),
        )
        # The gateway of the public address answers for it, which nobody there has.
        ip_batch(["addr add 10.9.9.1/24 dev s", f"addr add {public}/32 dev lo"], self.space("core"))
        run([*within(self.space("core")), "nft", "-f", "-"], _CLOUD.format(public=public, private=private))
        return public

    def set_nat(self, side: str, text: str) -> None:
        """Makes a router (``a``, ``b`` or ``cgn``) another kind; its table is forgotten."""
        kind = parse_kind(text)
        router = self.space("cgn" if side == "cgn" else f"r{side}")
        wan = "192.0.1.18" if side == "cgn" else self.wan[side]
        run([*within(router), "nft", "-f", "-"], ruleset(kind, wan))
        with entered(router):
            configure(
                {
                    "netfilter/nf_conntrack_udp_timeout": str(min(kind.timeout_s, 30)),
                    "netfilter/nf_conntrack_udp_timeout_stream": str(min(kind.timeout_s, 120)),
                }
            )
        run([*within(router), "conntrack", "-F"], check=False)

    def move(self, side: str, host: str) -> None:
        """Gives a router, and with it all behind it, another outer address of its network."""
        before, self.wan[side] = self.wan[side], host
        gateway = f"{self._nets[side]}.1"
        moved = (
            f"addr del {before}/28 dev wan0",
            f"addr add {host}/28 dev wan0",
            f"route replace default via {gateway}",
        )
        ip_batch(moved, self.space(f"r{side}"))
        self.set_nat(side, self._kinds[side])

    def flows(self, side: str) -> int:
        """How many flows a router keeps in its table."""
        return int(run([*within(self.space(f"r{side}")), "conntrack", "-C"]))

    def weather(self, reactor: Any, delay_s: float = 0.0, loss: float = 0.0, seed: int = 1) -> None:
        """From now on all datagrams through the Internet are late by ``delay_s``, or lost."""
        with entered(self.space("core")):
            self._weather = Weather(reactor, delay_s, loss, seed=seed)
        self.route_through_weather()

    def route_through_weather(self) -> None:
        """From now on all datagrams go through the device of :mod:`tests.natlab.weather`, which is there."""
        core = self.space("core")
        with entered(core):
            configure({"ipv4/conf/all/rp_filter": "0", f"ipv4/conf/{Weather.NAME}/rp_filter": "0"})
        ip_batch([f"link set {Weather.NAME} up mtu 1500 txqueuelen 5000"], core)
        routing = [f"rule add iif {each} lookup 100" for each in self._core_interfaces()]
        for family in ("-4", "-6"):
            ip_batch([*routing, f"route add default dev {Weather.NAME} table 100"], core, family)

    def start_program(self, role: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts a program on a machine; it ends with the laboratory."""
        program = subprocess.Popen(
            [*within(self.space(role)), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._programs.append(program)
        return program

    # --- making it

    def _roles(self) -> list[str]:
        roles = ["core", "s", "ra", "ca", "ca2", "rb", "cb", "cb2"]
        return [*roles, "cgn"] if self._carrier else roles

    def _core_interfaces(self) -> list[str]:
        sides = [f"r{side}" for side in "ab" if side not in self._carrier_for]
        return ["s", *sides, "cgn"] if self._carrier else ["s", *sides]

    def _make(self) -> None:
        ip_batch([f"netns add {self.space(role)}" for role in self._roles()])
        for role in self._roles():
            with entered(self.space(role)):
                configure(_SETTINGS)
                if role in ("core", "ra", "rb", "cgn"):
                    configure(_FORWARDING)
        self._connect()
        self._make_server()
        for side in "ab":
            self._make_side(side)
        if self._carrier:
            self._make_carrier()
            self.set_nat("cgn", self._carrier)
        for side in "ab":
            self.set_nat(side, self._kinds[side])

    def _connect(self) -> None:
        links = [("core", "s", "s", "eth0")]
        if self._carrier:
            links.append(("core", "cgn", "cgn", "wan0"))
        for side in "ab":
            links.append(("cgn" if side in self._carrier_for else "core", f"r{side}", f"r{side}", "wan0"))
            links.append((f"r{side}", "p0", f"c{side}", "eth0"))
            links.append((f"r{side}", "p1", f"c{side}2", "eth0"))
        ip_batch(
            [
                f"link add {name} netns {self.space(near)} type veth peer name {peer} netns {self.space(far)}"
                for near, name, far, peer in links
            ]
        )

    def _make_server(self) -> None:
        ip_batch(
            [
                "link set lo up",
                "link set s up",
                "addr add 192.52.193.1/28 dev s",
                "addr add 2620:4f:8000:5::1/64 dev s nodad",
            ],
            self.space("core"),
        )
        ip_batch(
            [
                "link set lo up",
                "link set eth0 up",
                *(f"addr add {host}/28 dev eth0" for host in SERVER),
                f"addr add {SERVER_6}/64 dev eth0 nodad",
                "route add default via 192.52.193.1",
                "route add default via 2620:4f:8000:5::1",
            ],
            self.space("s"),
        )

    def _make_side(self, side: str) -> None:
        net, wan = self._nets[side], self.wan[side]
        is_inner = side in self._carrier_for
        gateway, length = ("100.64.0.1", 24) if is_inner else (f"{net}.1", 28)
        if not is_inner:
            ip_batch(
                [
                    f"link set r{side} up",
                    f"addr add {gateway}/28 dev r{side}",
                    f"addr add 2620:4f:8000:1{side}::1/64 dev r{side} nodad",
                    f"route add 2620:4f:8000:{side}::/64 via 2620:4f:8000:1{side}::2",
                    f"route add {net}.64/28 via {wan}",
                ],
                self.space("core"),
            )
        is_routed = KINDS[self._kinds[side].partition("+")[0]].is_routed
        number = 1 if side == "a" or self._same_lan else 2
        lan = f"{net}." if is_routed else f"192.168.{number}."
        prefix, hosts = (28, (65, 66, 67)) if is_routed else (24, (1, 100, 101))
        router = [
            "link set lo up",
            "link set wan0 up",
            f"addr add {wan}/{length} dev wan0",
            f"route add default via {gateway}",
            "link add lan0 type bridge mcast_snooping 0",
            "link set lan0 up",
            "link set p0 master lan0",
            "link set p1 master lan0",
            "link set p0 up",
            "link set p1 up",
            f"addr add {lan}{hosts[0]}/{prefix} dev lan0",
            f"addr add 2620:4f:8000:{side}::1/64 dev lan0 nodad",
        ]
        if not is_inner:
            router += [
                f"addr add 2620:4f:8000:1{side}::2/64 dev wan0 nodad",
                f"route add default via 2620:4f:8000:1{side}::1",
            ]
        ip_batch(router, self.space(f"r{side}"))
        for machine, host in ((f"c{side}", hosts[1]), (f"c{side}2", hosts[2])):
            ip_batch(
                [
                    "link set lo up",
                    "link set eth0 up",
                    f"addr add {lan}{host}/{prefix} dev eth0",
                    f"route add default via {lan}{hosts[0]}",
                    *(
                        [
                            f"addr add 2620:4f:8000:{side}::{host}/64 dev eth0 nodad",
                            f"route add default via 2620:4f:8000:{side}::1",
                        ]
                        if self._six
                        else []
                    ),
                ],
                self.space(machine),
            )

    def _make_carrier(self) -> None:
        ip_batch(["link set cgn up", "addr add 192.0.1.17/28 dev cgn"], self.space("core"))
        inner = [f"r{side}" for side in self._carrier_for]
        ip_batch(
            [
                "link set lo up",
                "link set wan0 up",
                "addr add 192.0.1.18/28 dev wan0",
                "route add default via 192.0.1.17",
                "link add lan0 type bridge mcast_snooping 0",
                "link set lan0 up",
                "addr add 100.64.0.1/24 dev lan0",
                *(f"link set {each} master lan0" for each in inner),
                *(f"link set {each} up" for each in inner),
            ],
            self.space("cgn"),
        )


class NamespaceNetwork(HostNetwork):
    """The network of one machine of the laboratory."""

    def __init__(self, reactor: HostReactor, space: str) -> None:
        super().__init__(reactor)
        self._space = space

    def open_udp(self, host: str, port: int, receiver: DatagramReceiver) -> UdpSocket:
        with entered(self._space):
            return super().open_udp(host, port, receiver)

    def open_tcp(self, six: bool = False) -> socket.socket:
        with entered(self._space):
            return super().open_tcp(six)

    def local_host_towards(self, destination: Address) -> str:
        with entered(self._space):
            return super().local_host_towards(destination)

    def interfaces(self) -> Sequence[Interface]:
        with entered(self._space):
            return super().interfaces()

    def default_gateway(self) -> str:
        with entered(self._space):
            return super().default_gateway()

    def call_in_thread(self, function: Callable[[], ResultT]) -> Deferred[ResultT]:
        def call() -> ResultT:
            with entered(self._space):
                return function()

        return super().call_in_thread(call)

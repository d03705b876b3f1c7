r"""A network that lets little out: a client behind a router with a firewall, and a server on the other side.

::

    c  fd77:1::2, 10.77.1.2 --- r --- 10.77.2.2, fd77:2::2  s

The router lies where it is told to: it is the name server, and it may answer HTTPS itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

from relaykit.commands.demo.namespaces import configure
from tests.integration.certificates import Certified
from tests.natlab.namespaces import entered, ip_batch, run, within

__all__ = ["ROUTER", "ROUTER_6", "RULES", "SERVER", "SERVER_6", "Captive", "StrictNetwork"]

ROUTER = "10.77.1.1"
ROUTER_6 = "fd77:1::1"
SERVER = "10.77.2.2"
SERVER_6 = "fd77:2::2"

_RULES = """
table inet strict
delete table inet strict
table inet strict {{
 set fresh {{ type inet_service; flags timeout; timeout 1s; }}
 chain forward {{ type filter hook forward priority 0; policy accept; {rules} }}
}}
"""

_ONLY_443 = 'iifname "c" meta l4proto udp drop; iifname "c" tcp dport != 443 drop;'

RULES = {
    "open": "",
    "no UDP": 'iifname "c" meta l4proto udp drop;',
    "no TCP": 'iifname "c" meta l4proto tcp drop;',
    "only 443": _ONLY_443,
    "only the router": 'iifname "c" drop;',
    "UDP for a second": (
        'iifname "c" meta l4proto udp ct state new add @fresh { udp sport };'
        'iifname "c" udp sport @fresh accept; iifname "c" meta l4proto udp drop;'
    ),
}
"""What the firewall of the router does, by name."""


class StrictNetwork:
    """Three namespaces; made at once, removed by :meth:`remove`.

    :param front: nftables' rules at the server.
    """

    def __init__(self, front: Path) -> None:
        self._name = f"rk{os.getpid()}w"
        try:
            for role in "crs":
                run(["ip", "netns", "add", self.space(role)])
            self._connect(front)
        except BaseException:
            self.remove()
            raise

    def space(self, role: str) -> str:
        """The name of the namespace of ``c``, ``r`` or ``s``."""
        return self._name + role

    def set_rules(self, name: str) -> None:
        """Makes the firewall another one of :data:`RULES`."""
        text = _RULES.format(rules=RULES[name])
        run([*within(self.space("r")), "nft", "-f", "-"], text)

    def remove(self) -> None:
        """Removes everything."""
        for role in "crs":
            run(["ip", "netns", "del", self.space(role)], check=False)

    def _connect(self, front: Path) -> None:
        router = self.space("r")
        for number, role in enumerate("cs", 1):
            space = self.space(role)
            ip_batch([f"link add {role} netns {router} type veth peer name e netns {space}"])
            ip_batch(
                [
                    "link set lo up",
                    f"addr add 10.77.{number}.2/24 dev e",
                    f"addr add fd77:{number}::2/64 dev e nodad",
                    "link set e up",
                    f"route add default via 10.77.{number}.1",
                    f"route add ::/0 via fd77:{number}::1 dev e",
                ],
                space,
            )
            ip_batch(
                [
                    f"addr add 10.77.{number}.1/24 dev {role}",
                    f"addr add fd77:{number}::1/64 dev {role} nodad",
                    f"link set {role} up",
                ],
                router,
            )
        ip_batch(["link set lo up"], router)
        with entered(router):
            configure({"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"})
        run([*within(self.space("s")), "nft", "-f", str(front)])


class Captive:
    """What some networks put in the place of every server: it answers TLS with a certificate of its own.

    It listens at the router until :meth:`stop`.
    """

    def __init__(self, network: StrictNetwork, certified: Certified, ports: Sequence[int]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certified.certificate, certified.key)
        self.asked = 0
        """Connections that it has taken."""
        with entered(network.space("r")):
            self._sockets = [
                socket.create_server((host, port), family=family)
                for host, family in ((ROUTER, socket.AF_INET), (ROUTER_6, socket.AF_INET6))
                for port in ports
            ]
        for each in self._sockets:
            threading.Thread(target=self._serve, args=[each], daemon=True).start()

    def stop(self) -> None:
        """Answers no more."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listening.accept()
                self.asked += 1
                with (
                    contextlib.suppress(OSError),
                    self._context.wrap_socket(plain, server_side=True) as secured,
                ):
                    secured.recv(4096)
                    secured.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://captive.example/\r\n\r\n")
                plain.close()

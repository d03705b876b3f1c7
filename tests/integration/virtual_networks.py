"""Three machines: a server, and two clients that reach nothing but that; and users who are on such a machine.

::

    p  10.79.1.2 --- 10.79.1.1  s  10.79.2.1 --- 10.79.2.2  v

Whatever gets from ``p`` to ``v`` goes through the server's program, since its machine forwards nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from ipaddress import ip_address

from relaykit.commands.demo.namespaces import configure
from tests.integration.programs import PATIENCE_S
from tests.natlab.namespaces import entered, ip_batch, run, within

__all__ = ["SERVER_OF", "ThreeMachines", "ping"]

SERVER_OF = {"p": "10.79.1.1", "v": "10.79.2.1"}
"""Where the server is, by the machine of who dials it."""

_ECHO = struct.Struct("!BBHHH")
"""Source: RFC 792, RFC 4443 section 4.1."""

_REQUEST_AND_ANSWER = {4: (8, 0), 6: (128, 129)}

_AGAIN_S = 0.2


class ThreeMachines:
    """Namespaces; made at once, removed by :meth:`remove`."""

    def __init__(self) -> None:
        self._name = f"rk{os.getpid()}n"
        try:
            for role in "spv":
                run(["ip", "netns", "add", self.space(role)])
                ip_batch(["link set lo up"], self.space(role))
            with entered(self.space("s")):
                configure({"ipv4/ip_forward": "0"})
            for role, server in SERVER_OF.items():
                self._connect(role, server)
        except BaseException:
            self.remove()
            raise

    def space(self, role: str) -> str:
        """The name of the namespace of ``s``, ``p`` or ``v``."""
        return self._name + role

    def devices(self, role: str) -> str:
        """The network devices of a machine, as ``ip`` tells them."""
        return run(["ip", "-n", self.space(role), "-o", "link"])

    def route(self, role: str, address: str) -> str:
        """Where a machine sends what goes to an address, as ``ip`` tells it; empty for nowhere."""
        return run(["ip", "-n", self.space(role), "route", "get", address], check=False)

    def command(self, role: str, *command: str) -> tuple[str, ...]:
        """The command line that runs another one on a machine."""
        return (*within(self.space(role)), *command)

    def remove(self) -> None:
        """Removes everything."""
        for role in "spv":
            run(["ip", "netns", "del", self.space(role)], check=False)

    def _connect(self, role: str, server: str) -> None:
        ip_batch(
            [f"link add name to{role} netns {self.space('s')} type veth peer name e netns {self.space(role)}"]
        )
        for where, name, address in (
            ("s", f"to{role}", server),
            (role, "e", server.removesuffix("1") + "2"),
        ):
            ip_batch([f"addr add {address}/24 dev {name}", f"link set {name} up"], self.space(where))


def ping(space: str, address: str, size: int = 56) -> None:
    """Asks an address for an echo, from a namespace, until there is one.

    :raises AssertionError: there is none.
    """
    version = ip_address(address).version
    request, answer = _REQUEST_AND_ANSWER[version]
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    said = os.urandom(size)
    number = int.from_bytes(said[:2], "big")
    message = _ECHO.pack(request, 0, 0, number, 1) + said
    message = _ECHO.pack(request, 0, _checksum(message), number, 1) + said
    awaited = bytes([answer, 0])
    deadline = time.monotonic() + PATIENCE_S
    with entered(space), socket.socket(family, socket.SOCK_RAW, protocol) as plain:
        plain.settimeout(_AGAIN_S)
        while time.monotonic() < deadline:
            # There may be no device yet, or no route.
            with contextlib.suppress(OSError):
                plain.sendto(message, (address, 0))
                while True:
                    heard = plain.recv(65536)
                    if version == 4:
                        heard = heard[(heard[0] & 15) * 4 :]
                    if heard[:2] == awaited and heard[_ECHO.size :] == said:
                        return
            time.sleep(_AGAIN_S)  # the system may have refused it at once
    raise AssertionError(f"{address} does not answer")


def _checksum(message: bytes) -> int:
    """Source: RFC 1071.  The system makes that of IPv6."""
    total: int = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

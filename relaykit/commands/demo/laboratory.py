"""A laboratory of network namespaces: two homes behind routers, and an Internet between them.

::

    the visitor's machine -- router --+
                                      +-- the Internet, and the server in it
    the owner's machine ---- router --+

No namespace has a link to the machine's own network.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable

from attrs import define, field, frozen

from relaykit.commands.demo.namespaces import Namespace, configure, entered, run
from relaykit.errors import RelaykitError

__all__ = ["OWNER", "ROUTERS", "SERVER", "VISITOR", "Counted", "Home", "Laboratory", "check_machine"]

SERVER = ("192.0.1.1", "192.0.1.2")
"""Addresses of the server.  By its number 192.0.1.0/24 is of the Internet; nobody there has it."""

ROUTERS = {"cone": "masquerade", "symmetric": "masquerade random,fully-random"}
"""Kinds of routers, and how nftables has them translate: one outer port of a socket for all its peers, or one
drawn at random for each peer."""

_TOOLS = {"ip": "iproute2", "nft": "nftables", "setpriv": "util-linux"}
"""Programs that are needed, and the package that each usually comes with."""


@frozen
class Home:
    """A LAN with one machine, behind a router."""

    name: str
    wan: str
    """The router's outer address."""
    machine: str
    gateway: str
    """The router's inner address."""


VISITOR = Home("visitor", "192.0.1.10", "192.168.10.2", "192.168.10.1")
OWNER = Home("owner", "192.0.1.20", "192.168.20.2", "192.168.20.1")

_FORWARDING = {"ipv4/ip_forward": "1"}

_ROUTER = """
table ip router {{
 chain outwards {{ type nat hook postrouting priority srcnat; oifname "wan" {translation}; }}
 chain through {{ type filter hook forward priority filter; policy drop;
  iifname "lan" accept
  ct state established,related accept
 }}
 chain itself {{ type filter hook input priority filter; policy accept;
  iifname "wan" ct state != {{ established, related }} drop
 }}
}}
"""
"""Inwards goes only what answers something; what is unasked for the router drops silently."""

_COUNTERS = """
table ip traffic {
 counter direct { }
 counter by_server { }
 chain between { type filter hook forward priority filter; counter name "direct"; }
 chain to_server { type filter hook input priority filter; iifname != "lo" counter name "by_server"; }
 chain from_server { type filter hook output priority filter; oifname != "lo" counter name "by_server"; }
}
"""
"""Of the Internet, where the homes are all that is forwarded between."""

_COUNTER = re.compile(r"counter (\w+) \{\s+packets \d+ bytes (\d+)")


@frozen
class Counted:
    """Bytes of IP packets in the laboratory's Internet: between the homes, and to and from the server."""

    direct: int
    by_server: int

    def __sub__(self, before: Counted) -> Counted:
        return Counted(self.direct - before.direct, self.by_server - before.by_server)


def check_machine(
    platform: str = sys.platform,
    is_root: Callable[[], bool] = lambda: os.geteuid() == 0,
    find: Callable[[str], str | None] = shutil.which,
) -> None:
    """Looks whether there can be a laboratory here, and makes nothing that stays.

    :raises RelaykitError: there can be none; the text says why, and what to do.
    """
    why = _why_not(platform, is_root, find)
    if why:
        raise RelaykitError(why, problem="laboratory")


def _why_not(platform: str, is_root: Callable[[], bool], find: Callable[[str], str | None]) -> str:
    if platform != "linux":
        return (
            "relaykit demo --nat needs network namespaces, which only Linux has; relaykit demo runs anywhere"
        )
    if not is_root():
        return "relaykit demo --nat makes network namespaces, which only root may: run it by sudo"
    for tool, package in _TOOLS.items():
        if find(tool) is None:
            return f"relaykit demo --nat needs the program {tool}, which is not here: install {package}"
    try:
        probe = Namespace()
    except OSError as error:
        return (
            f"this machine lets nobody make network namespaces ({error.strerror}): in a container, give it "
            "the capability SYS_ADMIN, or run relaykit demo --nat outside of it"
        )
    try:
        with entered(probe.path):
            _ip("link add lan type veth peer name wan")
            _nft(_ROUTER.format(translation=ROUTERS["symmetric"]))
    except RelaykitError as error:
        why = str(error).splitlines()[0]
        return (
            f"this machine lets nobody make links and NATs in network namespaces ({why}): in a "
            "container, give it the capability NET_ADMIN, or run relaykit demo --nat outside of it"
        )
    finally:
        probe.close()
    return ""


@define(eq=False)
class Laboratory:
    """Made by :meth:`up`, and gone after :meth:`down` with the last program in it.

    ``internet`` and ``machines`` (by the names of the homes) are where :func:`entered` leads.
    """

    translation: str
    """What the routers do, a value of :data:`ROUTERS`."""
    internet: str = field(default="", init=False)
    machines: dict[str, str] = field(factory=dict, init=False)
    _made: list[Namespace] = field(factory=list, init=False)

    def up(self) -> None:
        """Makes everything.

        :raises RelaykitError: a tool failed.
        :raises OSError: the system does not let it.
        """
        self.internet = self._make()
        with entered(self.internet):
            _ip("link set lo up", f"addr add {SERVER[1]}/32 dev lo")
            configure(_FORWARDING)
            _nft(_COUNTERS)
        for home in (VISITOR, OWNER):
            self._make_home(home)

    def down(self) -> None:
        """Lets everything go; nothing happens where it was not made."""
        while self._made:
            self._made.pop().close()

    def counted(self) -> Counted:
        """All bytes so far."""
        with entered(self.internet):
            found = dict(_COUNTER.findall(run(["nft", "list", "counters"])))
        return Counted(int(found["direct"]), int(found["by_server"]))

    def _make(self) -> str:
        namespace = Namespace()
        self._made.append(namespace)
        return namespace.path

    def _make_home(self, home: Home) -> None:
        router, machine = self._make(), self._make()
        with entered(self.internet):
            _ip(
                f"link add {home.name} type veth peer name wan netns {router}",
                f"addr add {SERVER[0]} peer {home.wan} dev {home.name}",
                f"link set {home.name} up",
            )
        with entered(router):
            _ip(
                f"link add lan type veth peer name lan netns {machine}",
                f"addr add {home.wan} peer {SERVER[0]} dev wan",
                f"addr add {home.gateway}/24 dev lan",
                "link set wan up",
                "link set lan up",
                f"route add default via {SERVER[0]}",
            )
            configure(_FORWARDING)
            _nft(_ROUTER.format(translation=self.translation))
        with entered(machine):
            _ip(
                "link set lo up",
                f"addr add {home.machine}/24 dev lan",
                "link set lan up",
                f"route add default via {home.gateway}",
            )
        self.machines[home.name] = machine


def _ip(*commands: str) -> None:
    run(["ip", "-batch", "-"], "\n".join(commands) + "\n")


def _nft(rules: str) -> None:
    run(["nft", "-f", "-"], rules)

"""A router that maps ports: miniupnpd, which speaks PCP, NAT-PMP and UPnP."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.natlab.lab import NatLab
from tests.natlab.namespaces import entered, ip_batch, run, within

__all__ = ["PROGRAM", "forget_pcp", "start_igd"]

PROGRAM = shutil.which("miniupnpd") or shutil.which("miniupnpd", path="/usr/sbin") or ""

_TABLE = """table inet miniupnpd {
 chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
 chain miniupnpd { }
 chain prerouting { type nat hook prerouting priority -110; policy accept; jump prerouting_miniupnpd; }
 chain postrouting { type nat hook postrouting priority 90; policy accept; jump postrouting_miniupnpd; }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
}
"""

_SETTINGS = """ext_ifname=wan0
listening_ip=lan0
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode=yes
system_uptime=yes
min_lifetime=2
max_lifetime=86400
http_port=5000
clean_ruleset_interval=2
notify_interval=30
uuid=6b0ca3d1-3b1c-4b53-9f3e-9d8b6d1c5a01
serial=1
model_number=1
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


_NO_PCP = """table inet nopcp {
 chain input { type filter hook input priority -10; udp dport 5351 @th,64,8 2 drop; }
}
"""
"""Whatever has PCP's version in its first byte does not reach the program."""


_ASKED_PORT = 5351
"""Where PCP and NAT-PMP are spoken."""

_TOLD_PORT = 1900
"""Where UPnP is."""


def is_listening(lab: NatLab, side: str) -> bool:
    """Whether the program on a router, which does not say when it is ready, can be asked."""
    with entered(lab.space(f"r{side}")):
        sockets = Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]
    ports = {int(each.split()[1].rpartition(":")[2], 16) for each in sockets}
    return bool(ports & {_ASKED_PORT, _TOLD_PORT})


def forget_pcp(lab: NatLab, side: str) -> None:
    """Makes the program a router that is older than PCP."""
    run([*within(lab.space(f"r{side}")), "nft", "-f", "-"], _NO_PCP)


def start_igd(
    lab: NatLab, side: str, folder: Path, natpmp: bool = True, upnp: bool = True
) -> subprocess.Popen[bytes]:
    """Starts it on a router.  It refuses outer addresses that are reserved for documentation."""
    router = lab.space(f"r{side}")
    run([*within(router), "nft", "-f", "-"], _TABLE)
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "miniupnpd.conf"
    settings.write_text(_SETTINGS.format(natpmp="yes" if natpmp else "no", upnp="yes" if upnp else "no"))
    ip_batch(["route add 239.0.0.0/8 dev lan0"], router)
    for machine in (f"c{side}", f"c{side}2"):
        ip_batch(["route add 239.0.0.0/8 dev eth0"], lab.space(machine))
    return lab.start_program(
        f"r{side}", [PROGRAM, "-d", "-f", str(settings), "-P", str(folder / "miniupnpd.pid")]
    )

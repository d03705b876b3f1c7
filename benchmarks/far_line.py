"""A far line in a process of its own: ``python -m benchmarks.far_line DELAY_S LOSS CONGESTION``.

The kernel of this machine is at both ends of it: packets that are sent to :data:`FAR` come out of a TUN
device, and go back into it late, or never, from :data:`FAR` to :data:`NEAR`, which is this machine.  So TCP
loses segments as UDP does datagrams, and the kernel's own TCP deals with that.  Root only; the line is gone
with the program.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor

from tests.natlab.namespaces import ip_batch
from tests.natlab.weather import READY, Weather

__all__ = ["FAR", "NEAR", "READY", "FarLine", "main"]

NEAR = "198.18.0.1"
"""Who listens here is reached there.  Source: RFC 2544 appendix C.2.2, addresses for benchmarks."""

FAR = "198.18.0.2"
"""What to dial to reach who listens at :data:`NEAR`, by way of the line."""

_SOURCE, _DESTINATION, _REST = slice(12, 16), slice(16, 20), slice(20, None)
"""Parts of a packet of IPv4.  Source: RFC 791 section 3.1."""

_QUEUE = 5000
"""Packets that wait for this program: more than all that any of the measured ends has on its way."""


class FarLine(Weather):
    """Both directions of the line: all packets are as late, and as likely lost."""

    NAME = "rkfar0"

    def _turned(self, packet: bytes) -> bytes:
        """The packet with both addresses exchanged, which leaves every checksum as it is."""
        return packet[:12] + packet[_DESTINATION] + packet[_SOURCE] + packet[_REST]


def main(delay_s: float, loss: float, congestion: str) -> None:
    """Carries packets, each ``delay_s`` late, but for the part ``loss`` of them, until it is ended.

    :param congestion: the kernel's name of how TCP finds out its speed on this line.
    """
    running: Any = reactor
    FarLine(running, delay_s, loss)
    ip_batch(
        [
            f"addr add {NEAR}/30 dev {FarLine.NAME}",
            f"link set {FarLine.NAME} up mtu 1500 txqueuelen {_QUEUE}",
            f"route replace {FAR} dev {FarLine.NAME} src {NEAR} congctl {congestion}",
        ]
    )
    print(READY, flush=True)
    running.run()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3])

"""The keys of the proxy type ``sudp``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from relaykit.options import Problem, doc, extension
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.proxies.udp import PacketSize
from relaykit.values import Secret

__all__ = ["SudpOptions", "SudpVisitorOptions"]


class SudpOptions(StcpOptions, frozen=True, kw_only=True):
    """The own keys of a ``sudp`` proxy."""

    udp_packet_size: PacketSize = 1500
    direct: Annotated[
        bool, extension("direct"), doc("Has visitors that say so, too, come past the server where they can.")
    ] = False

    def problems(self) -> Iterable[Problem]:
        yield from _direct_problems(self.direct, self.secret_key)


class SudpVisitorOptions(StcpVisitorOptions, frozen=True, kw_only=True):
    """The own keys of a ``sudp`` visitor."""

    udp_packet_size: PacketSize = 1500
    direct: Annotated[bool, doc("Goes past the server where it can; the proxy must say so, too.")] = False

    def problems(self) -> Iterable[Problem]:
        yield from _direct_problems(self.direct, self.secret_key)


def _direct_problems(direct: bool, secret: Secret) -> Iterable[Problem]:
    if direct and not secret:
        yield Problem("direct", "needs secretKey: inside a direct path both ends prove that they know it")

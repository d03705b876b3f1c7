"""The keys of the proxy type ``xtcp``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from relaykit.options import (
    CountOrOff,
    Options,
    Problem,
    SecondsOrOff,
    VisitorName,
    advanced,
    choice,
    doc,
    file_key,
)
from relaykit.proxies.peers import Peers
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions

__all__ = ["PROTOCOLS", "NatTraversal", "XtcpIngressOptions", "XtcpOptions", "XtcpVisitorOptions"]

PROTOCOLS = ("kcp", "quic")
"""What a visitor of frp's can choose."""


class XtcpIngressOptions(Options, frozen=True, kw_only=True):
    """The server's keys of ``xtcp``."""

    analysis_hours: Annotated[
        CountOrOff,
        file_key("natholeAnalysisDataReserveHours"),
        doc("Hours that results of hole punching are kept; 0 for the default, negative for not at all."),
    ] = 168


class NatTraversal(Options, frozen=True, kw_only=True):
    """How a direct path is looked for."""

    disable_assisted_addrs: Annotated[bool, doc("Does not offer addresses of local interfaces.")] = False


class XtcpOptions(StcpOptions, frozen=True, kw_only=True):
    """The own keys of an ``xtcp`` proxy."""

    nat_traversal: Annotated[NatTraversal, doc("How a direct path is looked for.")] = NatTraversal()
    peers: Annotated[
        str,
        advanced(),
        choice(*(each.value for each in Peers)),
        doc("Whose programs the other end may be: relaykit, any, or auto: frp's only with frp's server."),
    ] = Peers.AUTO.value

    def problems(self) -> Iterable[Problem]:
        yield from _peers_problems(self.peers)


class XtcpVisitorOptions(StcpVisitorOptions, frozen=True, kw_only=True):
    """The own keys of an ``xtcp`` visitor."""

    protocol: Annotated[
        str, advanced(), choice(*PROTOCOLS), doc("Protocol of the direct path: quic or kcp.")
    ] = "quic"
    keep_tunnel_open: Annotated[bool, doc("Opens the path before it is needed, and again.")] = False
    max_retries_an_hour: Annotated[
        CountOrOff, advanced(), doc("Most attempts in an hour, with keepTunnelOpen.")
    ] = 8
    min_retry_interval: Annotated[SecondsOrOff, advanced(), doc("Seconds between two attempts.")] = 90
    fallback_to: Annotated[VisitorName, doc("Visitor that serves if there is no direct path.")] = ""
    fallback_timeout_ms: Annotated[CountOrOff, advanced(), doc("Milliseconds until that visitor serves.")] = (
        1000
    )
    nat_traversal: Annotated[NatTraversal, doc("How a direct path is looked for.")] = NatTraversal()
    peers: Annotated[
        str,
        advanced(),
        choice(*(each.value for each in Peers)),
        doc("Whose programs the other end may be: relaykit, any, or auto: frp's only with frp's server."),
    ] = Peers.AUTO.value

    def problems(self) -> Iterable[Problem]:
        yield from _peers_problems(self.peers)
        if self.protocol and self.protocol not in PROTOCOLS:
            yield Problem("protocol", f"must be one of {', '.join(PROTOCOLS)}")


def _peers_problems(peers: str) -> Iterable[Problem]:
    known = [each.value for each in Peers]
    if peers not in known:
        yield Problem("peers", f"must be one of {', '.join(known)}")

"""The proxy types of frp that no installed package provides yet: their keys and rules.

Files that use them are checked in full, so that mistakes in them are found, and then refused as
"not available yet".  An entry is not looked at once a package provides the type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from attrs import frozen

from relaykit.config.schema.sections import choice_problems
from relaykit.options import (
    CountOrOff,
    Options,
    Problem,
    SecondsOrOff,
    doc,
    file_key,
)
from relaykit.values import NO_SECRET, Secret

__all__ = ["NOT_IMPLEMENTED_TYPES", "NotImplementedType"]

_TUNNEL_PROTOCOLS = ("kcp", "quic")


class XtcpKeys(Options, frozen=True, kw_only=True):
    """The server's keys of ``xtcp``."""

    analysis_hours: Annotated[
        CountOrOff,
        file_key("natholeAnalysisDataReserveHours"),
        doc("Hours that results of hole punching are kept."),
    ] = 168


class NatTraversal(Options, frozen=True, kw_only=True):
    """How a direct path is looked for."""

    disable_assisted_addrs: Annotated[bool, doc("Does not offer addresses of local interfaces.")] = False


class XtcpOptions(Options, frozen=True, kw_only=True):
    """The own keys of an ``xtcp`` proxy."""

    secret_key: Annotated[Secret, doc("What a visitor must know.")] = NO_SECRET
    allow_users: Annotated[
        tuple[str, ...], doc("Users whose visitors are let in; empty: only the own user, *: everybody.")
    ] = ()
    nat_traversal: NatTraversal = NatTraversal()


class XtcpVisitorOptions(Options, frozen=True, kw_only=True):
    """The own keys of an ``xtcp`` visitor."""

    secret_key: Annotated[Secret, doc("The secret key of the proxy.")] = NO_SECRET
    protocol: Annotated[str, doc("Protocol of the direct path: quic or kcp.")] = "quic"
    keep_tunnel_open: Annotated[bool, doc("Opens the path before it is needed, and again.")] = False
    max_retries_an_hour: Annotated[CountOrOff, doc("Most attempts in an hour, with keepTunnelOpen.")] = 8
    min_retry_interval: Annotated[SecondsOrOff, doc("Seconds between two attempts.")] = 90
    fallback_to: Annotated[str, doc("Visitor that serves if there is no direct path.")] = ""
    fallback_timeout_ms: Annotated[CountOrOff, doc("Milliseconds until that visitor serves.")] = 1000
    nat_traversal: NatTraversal = NatTraversal()

    def problems(self) -> Iterable[Problem]:
        yield from choice_problems("protocol", self.protocol or "quic", _TUNNEL_PROTOCOLS)


class NoKeys(Options, frozen=True, kw_only=True):
    """The server's keys of a type that has none."""


@frozen(kw_only=True)
class NotImplementedType:
    """The own keys of a proxy type, of its visitors if it has any, and of the server for it."""

    proxy_options: type[Options]
    visitor_options: type[Options] | None = None
    ingress_options: type[Options] = NoKeys


NOT_IMPLEMENTED_TYPES: Mapping[str, NotImplementedType] = {
    "xtcp": NotImplementedType(
        proxy_options=XtcpOptions, visitor_options=XtcpVisitorOptions, ingress_options=XtcpKeys
    ),
}
"""By name; delete an entry when its type gets its module."""

"""How a server's configuration decides when a silent client is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.sansio.control.session import Heartbeat

if TYPE_CHECKING:
    from relaykit.config.schema import ServerTransport

__all__ = ["DEFAULT_HEARTBEAT_TIMEOUT_S", "heartbeat_of"]

DEFAULT_HEARTBEAT_TIMEOUT_S = 90.0
"""Seconds without a heartbeat of a client without mux after which it is lost, as frp; three of its default
intervals, for the server cannot know whether the client has chosen longer ones."""


def heartbeat_of(transport: ServerTransport, muxed: bool) -> Heartbeat:
    """What is demanded of a client whose control connection is a stream of a mux link, or is not.

    A link that is pinged needs no heartbeats, and clients with mux send none: a timeout that is configured
    for the others must not end their sessions.
    """
    timeout_s: float = transport.heartbeat_timeout
    if muxed and transport.tcp_mux_keepalive_interval > 0:
        timeout_s = -1.0
    elif timeout_s == 0:
        timeout_s = -1.0 if muxed else DEFAULT_HEARTBEAT_TIMEOUT_S
    return Heartbeat(timeout_s=float(timeout_s) if timeout_s > 0 else None)

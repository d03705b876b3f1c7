"""How a client's configuration decides when the server is asked for a sign of life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.sansio.control.liveness import SILENT_INTERVALS
from relaykit.sansio.control.session import Heartbeat

if TYPE_CHECKING:
    from relaykit.config.schema import ClientTransport

__all__ = ["DEFAULT_HEARTBEAT_S", "heartbeat_of", "keepalive_of"]

DEFAULT_HEARTBEAT_S = 30.0
"""Seconds between heartbeats without mux, as frp; a mux link has pings of its own."""


def heartbeat_of(transport: ClientTransport) -> Heartbeat:
    """The heartbeats of the control connection: always without mux, with mux where they are configured.

    An interval that is not configured is 30 s without mux and none with mux; a timeout that is not is two
    intervals.  Negative is "not at all" for either.
    """
    interval_s: float = transport.heartbeat_interval
    if interval_s == 0:
        interval_s = -1.0 if transport.tcp_mux else DEFAULT_HEARTBEAT_S
    timeout_s: float = transport.heartbeat_timeout
    if timeout_s == 0:
        timeout_s = interval_s * SILENT_INTERVALS
    return Heartbeat(interval_s=_positive(interval_s), timeout_s=_positive(timeout_s))


def keepalive_of(transport: ClientTransport) -> float | None:
    """Seconds between the pings of a mux link: the interval of heartbeats where one is configured."""
    return _positive(transport.heartbeat_interval) or _positive(transport.tcp_mux_keepalive_interval)


def _positive(seconds: float) -> float | None:
    """A time of the configuration, where zero and less mean "not at all"."""
    return float(seconds) if seconds > 0 else None

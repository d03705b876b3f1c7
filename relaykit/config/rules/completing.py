"""Fills in what a configuration leaves open: 0 and an empty text mean the default, as in frp."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.options import HealthCheck, Options, ProxyCommon, VisitorCommon, option_fields
from relaykit.sansio.control.liveness import SILENT_INTERVALS

__all__ = ["complete_client", "complete_proxy", "complete_server", "complete_visitor"]

OptionsT = TypeVar("OptionsT", bound=Options)

_HEARTBEAT_TIMEOUT = 90
_HEARTBEAT_INTERVAL = 30
_OFF = -1


def complete_server(config: ServerConfig) -> ServerConfig:
    """The same configuration with nothing left open."""
    config = _with_defaults(config)
    transport = config.transport
    tls = transport.tls
    transport = msgspec.structs.replace(
        transport,
        heartbeat_timeout=transport.heartbeat_timeout or (_OFF if transport.tcp_mux else _HEARTBEAT_TIMEOUT),
        tls=msgspec.structs.replace(tls, force=tls.force or bool(tls.trusted_ca_file)),
    )
    return msgspec.structs.replace(
        config, proxy_bind_addr=config.proxy_bind_addr or config.bind_addr, transport=transport
    )


def complete_client(config: ClientConfig) -> ClientConfig:
    """The same configuration with nothing left open."""
    config = _with_defaults(config)
    transport = config.transport
    mux = transport.tcp_mux
    interval_s = transport.heartbeat_interval or (_OFF if mux else _HEARTBEAT_INTERVAL)
    timeout_s = transport.heartbeat_timeout or (_OFF if mux or interval_s < 0 else _timeout_of(interval_s))
    transport = msgspec.structs.replace(transport, heartbeat_interval=interval_s, heartbeat_timeout=timeout_s)
    return msgspec.structs.replace(config, transport=transport)


def _timeout_of(interval_s: int) -> int:
    """Two intervals, but no later than frp's client, to which an interval beyond that is a mistake."""
    return min(int(interval_s * SILENT_INTERVALS), _HEARTBEAT_TIMEOUT)


def complete_proxy(common: ProxyCommon) -> ProxyCommon:
    """The same keys with nothing left open; negative numbers of a health check mean the default, too."""
    common = _with_defaults(common)
    health, usual = common.health_check, HealthCheck()
    health = msgspec.structs.replace(
        health,
        **{
            key: getattr(usual, key)
            for key in ("interval_seconds", "timeout_seconds", "max_failed")
            if getattr(health, key) < 0
        },
    )
    return msgspec.structs.replace(common, health_check=health)


def complete_visitor(common: VisitorCommon, user: str) -> VisitorCommon:
    """The same keys with nothing left open; ``user`` is the client's own."""
    common = _with_defaults(common)
    return msgspec.structs.replace(common, server_user=common.server_user or user)


def _with_defaults(options: OptionsT) -> OptionsT:
    """Puts defaults in the place of 0 and of empty texts; false stays false."""
    changes: dict[str, object] = {}
    for each in option_fields(type(options)):
        value = getattr(options, each.name)
        if isinstance(value, Options):
            changes[each.name] = _with_defaults(value)
        elif not value and not isinstance(value, bool) and each.default:
            changes[each.name] = each.default
    return msgspec.structs.replace(options, **changes)

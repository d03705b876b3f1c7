"""Every key of the two configuration files, except those of proxies and visitors, and what values may be.

:class:`ServerConfig` is what ``frps.toml`` holds, :class:`ClientConfig` what ``frpc.toml`` holds besides
``[[proxies]]`` and ``[[visitors]]``, whose keys are in :mod:`relaykit.options` and in the options classes of
the proxy types.  Keys of types, such as ``vhostHTTPPort``, are declared by the types
(:func:`relaykit.options.file_key`).
"""

from relaykit.config.schema.client import (
    ClientConfig,
    ClientTls,
    ClientTransport,
    StoreConfig,
    VirtualNet,
)
from relaykit.config.schema.server import (
    HttpPlugin,
    PortRange,
    ProxyProtocol,
    ServerConfig,
    ServerTls,
    ServerTransport,
    SshTunnelGateway,
)

__all__ = [
    "ClientConfig",
    "ClientTls",
    "ClientTransport",
    "HttpPlugin",
    "PortRange",
    "ProxyProtocol",
    "ServerConfig",
    "ServerTls",
    "ServerTransport",
    "SshTunnelGateway",
    "StoreConfig",
    "VirtualNet",
]

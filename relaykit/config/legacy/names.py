"""What the keys of frp's old INI files are called today: the one table of old names.

Source: frp's package ``config/legacy``, which is where frp itself still reads them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from attrs import frozen

__all__ = ["CLIENT", "HTTP_PLUGIN", "PROXY", "SERVER", "VISITOR", "Kind", "Name", "Names"]


class Kind(enum.Enum):
    """What the text of an old key stands for today."""

    TEXT = "text"
    NUMBER = "a whole number"
    FLAG = "true or false"
    LIST = "texts with commas between them"
    PORTS = "ports and ranges of ports with commas between them"
    SCOPE = "true or false: whether the scope is in the list"
    NOTHING = "nothing: the key never had an effect, or is read by itself"


@frozen
class Name:
    """What a key is called today, as a dotted path, and what its value is; ``scope`` is for that kind."""

    today: str
    kind: Kind
    scope: str = ""


@frozen
class Names:
    """The keys that a section may have, by their old names.

    ``beginnings`` are those of keys that end in a name of the user's own, with the table that has it today.
    """

    keys: Mapping[str, Name]
    beginnings: Mapping[str, str] = {}


def _of(kind: Kind) -> Callable[[str], Name]:
    return lambda today: Name(today, kind)


def _scope(name: str) -> Name:
    return Name("auth.additionalScopes", Kind.SCOPE, name)


_text, _number, _flag, _list, _ports = map(_of, (Kind.TEXT, Kind.NUMBER, Kind.FLAG, Kind.LIST, Kind.PORTS))
_nothing = Name("", Kind.NOTHING)

_BOTH = {
    "token": _text("auth.token"),
    "authentication_method": _text("auth.method"),
    "authenticate_heartbeats": _scope("HeartBeats"),
    "authenticate_new_work_conns": _scope("NewWorkConns"),
    "oidc_audience": _text("auth.oidc.audience"),
    "log_file": _text("log.to"),
    "log_level": _text("log.level"),
    "log_max_days": _number("log.maxDays"),
    "disable_log_color": _flag("log.disablePrintColor"),
    "log_way": _nothing,
    "tcp_mux": _flag("transport.tcpMux"),
    "tcp_mux_keepalive_interval": _number("transport.tcpMuxKeepaliveInterval"),
    "heartbeat_timeout": _number("transport.heartbeatTimeout"),
    "quic_keepalive_period": _number("transport.quic.keepalivePeriod"),
    "quic_max_idle_timeout": _number("transport.quic.maxIdleTimeout"),
    "quic_max_incoming_streams": _number("transport.quic.maxIncomingStreams"),
    "tls_cert_file": _text("transport.tls.certFile"),
    "tls_key_file": _text("transport.tls.keyFile"),
    "tls_trusted_ca_file": _text("transport.tls.trustedCaFile"),
    "udp_packet_size": _number("udpPacketSize"),
    "assets_dir": _text("webServer.assetsDir"),
    "pprof_enable": _flag("webServer.pprofEnable"),
}

SERVER = Names(
    {
        **_BOTH,
        "bind_addr": _text("bindAddr"),
        "bind_port": _number("bindPort"),
        "kcp_bind_port": _number("kcpBindPort"),
        "quic_bind_port": _number("quicBindPort"),
        "proxy_bind_addr": _text("proxyBindAddr"),
        "vhost_http_port": _number("vhostHTTPPort"),
        "vhost_https_port": _number("vhostHTTPSPort"),
        "vhost_http_timeout": _number("vhostHTTPTimeout"),
        "tcpmux_httpconnect_port": _number("tcpmuxHTTPConnectPort"),
        "tcpmux_passthrough": _flag("tcpmuxPassthrough"),
        "subdomain_host": _text("subDomainHost"),
        "custom_404_page": _text("custom404Page"),
        "enable_prometheus": _flag("enablePrometheus"),
        "detailed_errors_to_client": _flag("detailedErrorsToClient"),
        "max_ports_per_client": _number("maxPortsPerClient"),
        "user_conn_timeout": _number("userConnTimeout"),
        "allow_ports": _ports("allowPorts"),
        "nat_hole_analysis_data_reserve_hours": _number("natholeAnalysisDataReserveHours"),
        "max_pool_count": _number("transport.maxPoolCount"),
        "tcp_keepalive": _number("transport.tcpKeepalive"),
        "tls_only": _flag("transport.tls.force"),
        "dashboard_addr": _text("webServer.addr"),
        "dashboard_port": _number("webServer.port"),
        "dashboard_user": _text("webServer.user"),
        "dashboard_pwd": _text("webServer.password"),
        "dashboard_tls_mode": _nothing,
        "dashboard_tls_cert_file": _text("webServer.tls.certFile"),
        "dashboard_tls_key_file": _text("webServer.tls.keyFile"),
        "oidc_issuer": _text("auth.oidc.issuer"),
        "oidc_skip_expiry_check": _flag("auth.oidc.skipExpiryCheck"),
        "oidc_skip_issuer_check": _flag("auth.oidc.skipIssuerCheck"),
    }
)
"""Of the section ``[common]`` of a server's file."""

HTTP_PLUGIN = Names(
    {
        "addr": _text("addr"),
        "path": _text("path"),
        "ops": _list("ops"),
        "tlsVerify": _flag("tlsVerify"),
    }
)
"""Of a section ``[plugin.NAME]`` of a server's file."""

CLIENT = Names(
    {
        **_BOTH,
        "server_addr": _text("serverAddr"),
        "server_port": _number("serverPort"),
        "user": _text("user"),
        "nat_hole_stun_server": _text("natHoleStunServer"),
        "dns_server": _text("dnsServer"),
        "login_fail_exit": _flag("loginFailExit"),
        "start": _list("start"),
        "includes": _list("includes"),
        "dial_server_timeout": _number("transport.dialServerTimeout"),
        "dial_server_keepalive": _number("transport.dialServerKeepalive"),
        "connect_server_local_ip": _text("transport.connectServerLocalIP"),
        "http_proxy": _text("transport.proxyURL"),
        "pool_count": _number("transport.poolCount"),
        "protocol": _text("transport.protocol"),
        "heartbeat_interval": _number("transport.heartbeatInterval"),
        "tls_enable": _flag("transport.tls.enable"),
        "tls_server_name": _text("transport.tls.serverName"),
        "disable_custom_tls_first_byte": _flag("transport.tls.disableCustomTLSFirstByte"),
        "admin_addr": _text("webServer.addr"),
        "admin_port": _number("webServer.port"),
        "admin_user": _text("webServer.user"),
        "admin_pwd": _text("webServer.password"),
        "oidc_client_id": _text("auth.oidc.clientID"),
        "oidc_client_secret": _text("auth.oidc.clientSecret"),
        "oidc_scope": _text("auth.oidc.scope"),
        "oidc_token_endpoint_url": _text("auth.oidc.tokenEndpointURL"),
    },
    {"meta_": "metadatas", "oidc_additional_": "auth.oidc.additionalEndpointParams"},
)
"""Of the section ``[common]`` of a client's file."""

PROXY = Names(
    {
        "role": _nothing,
        "type": _text("type"),
        "local_ip": _text("localIP"),
        "local_port": _number("localPort"),
        "remote_port": _number("remotePort"),
        "custom_domains": _list("customDomains"),
        "subdomain": _text("subdomain"),
        "locations": _list("locations"),
        "http_user": _text("httpUser"),
        "http_pwd": _text("httpPassword"),
        "host_header_rewrite": _text("hostHeaderRewrite"),
        "route_by_http_user": _text("routeByHTTPUser"),
        "multiplexer": _text("multiplexer"),
        "sk": _text("secretKey"),
        "allow_users": _list("allowUsers"),
        "use_encryption": _flag("transport.useEncryption"),
        "use_compression": _flag("transport.useCompression"),
        "bandwidth_limit": _text("transport.bandwidthLimit"),
        "bandwidth_limit_mode": _text("transport.bandwidthLimitMode"),
        "proxy_protocol_version": _text("transport.proxyProtocolVersion"),
        "group": _text("loadBalancer.group"),
        "group_key": _text("loadBalancer.groupKey"),
        "health_check_type": _text("healthCheck.type"),
        "health_check_timeout_s": _number("healthCheck.timeoutSeconds"),
        "health_check_max_failed": _number("healthCheck.maxFailed"),
        "health_check_interval_s": _number("healthCheck.intervalSeconds"),
        "health_check_url": _text("healthCheck.path"),
        "plugin": _text("plugin.type"),
        "plugin_local_addr": _text("plugin.localAddr"),
        "plugin_host_header_rewrite": _text("plugin.hostHeaderRewrite"),
        "plugin_crt_path": _text("plugin.crtPath"),
        "plugin_key_path": _text("plugin.keyPath"),
        "plugin_http_user": _text("plugin.httpUser"),
        "plugin_http_passwd": _text("plugin.httpPassword"),
        "plugin_user": _text("plugin.username"),
        "plugin_passwd": _text("plugin.password"),
        "plugin_local_path": _text("plugin.localPath"),
        "plugin_strip_prefix": _text("plugin.stripPrefix"),
        "plugin_unix_path": _text("plugin.unixPath"),
    },
    {
        "meta_": "metadatas",
        "header_": "requestHeaders.set",
        "plugin_header_": "plugin.requestHeaders.set",
    },
)
"""Of any other section of a client's file."""

VISITOR = Names(
    {
        "role": _nothing,
        "type": _text("type"),
        "sk": _text("secretKey"),
        "server_name": _text("serverName"),
        "server_user": _text("serverUser"),
        "bind_addr": _text("bindAddr"),
        "bind_port": _number("bindPort"),
        "use_encryption": _flag("transport.useEncryption"),
        "use_compression": _flag("transport.useCompression"),
        "protocol": _text("protocol"),
        "keep_tunnel_open": _flag("keepTunnelOpen"),
        "max_retries_an_hour": _number("maxRetriesAnHour"),
        "min_retry_interval": _number("minRetryInterval"),
        "fallback_to": _text("fallbackTo"),
        "fallback_timeout_ms": _number("fallbackTimeoutMs"),
    }
)
"""Of one with ``role = visitor``."""

"""Every key of the two configuration files, except those of proxies and visitors.

:class:`ServerConfig` is what ``frps.toml`` holds, :class:`ClientConfig` what ``frpc.toml`` holds
besides ``[[proxies]]`` and ``[[visitors]]``, whose keys are in :mod:`relaykit.options` and in the
options classes of the proxy types.  Keys of types, such as ``vhostHTTPPort``, are declared by the types
(:func:`relaykit.options.file_key`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from relaykit.config.credentials import ClientAuth, ServerAuth
from relaykit.config.fingerprints import parse_fingerprint
from relaykit.config.sections import (
    LogConfig,
    QuicConfig,
    WebServerConfig,
    choice_problems,
)
from relaykit.options import (
    CountOrOff,
    Host,
    HostAndPort,
    ListeningPort,
    ListeningPortOrOff,
    Options,
    Port,
    Problem,
    Seconds,
    SecondsOrOff,
    doc,
)

__all__ = [
    "HTTP_PLUGIN_OPERATIONS",
    "TRANSPORT_PROTOCOLS",
    "WIRE_PROTOCOLS",
    "ClientConfig",
    "ClientTls",
    "ClientTransport",
    "HttpPlugin",
    "PortRange",
    "ServerConfig",
    "ServerTls",
    "ServerTransport",
    "SshTunnelGateway",
    "StoreConfig",
    "VirtualNet",
    "port_allowed",
]

TRANSPORT_PROTOCOLS = ("tcp", "kcp", "quic", "websocket", "wss")
"""What the client's ``transport.protocol`` may be."""

WIRE_PROTOCOLS = ("auto", "v1", "v2")
"""What the client's ``transport.wireProtocol`` may be."""

HTTP_PLUGIN_OPERATIONS = ("Login", "NewProxy", "CloseProxy", "Ping", "NewWorkConn", "NewUserConn")
"""What ``ops`` of ``[[httpPlugins]]`` may name."""


class PortRange(Options, frozen=True, kw_only=True):
    """Ports that proxies may ask for: one, or a range with both ends."""

    start: Annotated[CountOrOff, doc("First port.")] = 0
    end: Annotated[CountOrOff, doc("Last port; below start, the range allows nothing.")] = 0
    single: Annotated[CountOrOff, doc("One port; if it is positive, start and end do not count.")] = 0

    @property
    def ports(self) -> range:
        """The ports themselves."""
        return range(self.single, self.single + 1) if self.single > 0 else range(self.start, self.end + 1)


def port_allowed(port: int, ranges: Sequence[PortRange]) -> bool:
    """Whether ``allowPorts`` lets a proxy have this port; an empty list allows every port."""
    return not ranges or any(port in each.ports for each in ranges)


class HttpPlugin(Options, frozen=True, kw_only=True):
    """A web service that is asked before the server does something."""

    name: Annotated[str, doc("Name for the log.")] = ""
    addr: Annotated[str, doc("host:port, or the beginning of a URL.")] = ""
    path: Annotated[str, doc("Path that is appended to addr.")] = ""
    ops: Annotated[
        tuple[str, ...],
        doc("Operations to ask about: Login, NewProxy, CloseProxy, Ping, NewWorkConn, NewUserConn."),
    ] = ()
    tls_verify: Annotated[bool, doc("Verifies the service's certificate.")] = False

    def problems(self) -> Iterable[Problem]:
        for operation in self.ops:
            yield from choice_problems("ops", operation, HTTP_PLUGIN_OPERATIONS)


class SshTunnelGateway(Options, frozen=True, kw_only=True):
    """The gateway for SSH clients without frpc."""

    bind_port: Annotated[ListeningPortOrOff, doc("Port to listen on; 0 or less for no gateway.")] = 0
    private_key_file: Annotated[str, doc("Host key (PEM or OpenSSH).")] = ""
    auto_gen_private_key_path: Annotated[str, doc("Where a host key is generated if there is none.")] = (
        "./.autogen_ssh_key"
    )
    authorized_keys_file: Annotated[str, doc("Public keys that may log in; empty: everybody may.")] = ""


class ServerTls(Options, frozen=True, kw_only=True):
    """TLS between clients and the server."""

    force: Annotated[bool, doc("Accepts clients with TLS only; true once trustedCaFile is given.")] = False
    cert_file: Annotated[
        str,
        doc("Certificate chain (PEM); without it and keyFile, one is made and kept in the state directory."),
    ] = ""
    key_file: Annotated[str, doc("Private key (PEM).")] = ""
    trusted_ca_file: Annotated[str, doc("Authorities (PEM) that client certificates must come from.")] = ""
    server_name: Annotated[str, doc("Accepted for frp's files; unused.")] = ""


class ServerTransport(Options, frozen=True, kw_only=True):
    """How clients reach the server."""

    tcp_mux: Annotated[
        bool, doc("Many streams over one connection; relaykit recognizes either kind of client.")
    ] = True
    tcp_mux_keepalive_interval: Annotated[Seconds, doc("Seconds between two pings of a mux link.")] = 30
    tcp_keepalive: Annotated[SecondsOrOff, doc("Seconds between two TCP keepalives; negative: none.")] = 7200
    max_pool_count: Annotated[CountOrOff, doc("Most idle work connections that a client may ask for.")] = 5
    heartbeat_timeout: Annotated[
        SecondsOrOff,
        doc("Seconds of silence until a client without mux is lost; negative: not checked; 0: 90."),
    ] = 0
    quic: QuicConfig = QuicConfig()
    tls: ServerTls = ServerTls()


class ServerConfig(Options, frozen=True, kw_only=True):
    """The relay server."""

    version: Annotated[str, doc("Accepted for frp's files; unused.")] = ""
    auth: ServerAuth = ServerAuth()
    bind_addr: Annotated[Host, doc("Address to listen on for clients.")] = "0.0.0.0"
    bind_port: Annotated[ListeningPort, doc("TCP port to listen on for clients.")] = 7000
    kcp_bind_port: Annotated[ListeningPort, doc("UDP port for KCP; 0: off.")] = 0
    quic_bind_port: Annotated[ListeningPort, doc("UDP port for QUIC; 0: off.")] = 0
    stun_port: Annotated[
        ListeningPortOrOff,
        doc("UDP port of the STUN server, which tells clients how they are seen; 0: bindPort, -1: off."),
    ] = 0
    proxy_bind_addr: Annotated[Host, doc("Address of the proxies' ports; empty: bindAddr.")] = ""
    enable_prometheus: Annotated[bool, doc("Metrics at /metrics of the web server.")] = False
    detailed_errors_to_client: Annotated[bool, doc("Tells clients the reason of a refusal.")] = True
    max_ports_per_client: Annotated[CountOrOff, doc("Most ports that one client may have; 0: no limit.")] = 0
    user_conn_timeout: Annotated[
        SecondsOrOff,
        doc("Seconds that a user waits for a work connection; negative: only idle ones are used."),
    ] = 10
    allow_ports: Annotated[tuple[PortRange, ...], doc("Ports that proxies may have; empty: all.")] = ()
    http_plugins: Annotated[tuple[HttpPlugin, ...], doc("Web services to ask.")] = ()
    log: LogConfig = LogConfig()
    web_server: WebServerConfig = WebServerConfig()
    transport: ServerTransport = ServerTransport()
    ssh_tunnel_gateway: SshTunnelGateway = SshTunnelGateway()
    proxy_types: Annotated[
        dict[str, dict[str, Any]], doc("The server's options of a proxy type, in [proxyTypes.NAME].")
    ] = msgspec.field(default_factory=dict)
    state_dir: Annotated[str, doc("Directory of what outlives a restart: keys, certificates.")] = ""


class ClientTls(Options, frozen=True, kw_only=True):
    """TLS between the client and the server."""

    enable: Annotated[bool, doc("Uses TLS.")] = True
    disable_custom_tls_first_byte: Annotated[
        bool, doc("Leaves out the byte 0x17 that old servers expect before TLS.")
    ] = msgspec.field(default=True, name="disableCustomTLSFirstByte")
    cert_file: Annotated[str, doc("The client's certificate chain (PEM); used together with keyFile.")] = ""
    key_file: Annotated[str, doc("The client's private key (PEM).")] = ""
    trusted_ca_file: Annotated[
        str, doc("Authorities (PEM) that the server's certificate must come from; empty: any is accepted.")
    ] = ""
    server_name: Annotated[Host, doc("Name that the server's certificate must have; empty: serverAddr.")] = ""
    server_fingerprint: Annotated[
        str, doc("SHA-256 of the server's certificate, in hexadecimal: only that one is accepted.")
    ] = ""

    def problems(self) -> Iterable[Problem]:
        if self.server_fingerprint:
            try:
                parse_fingerprint(self.server_fingerprint)
            except ValueError as error:
                yield Problem("serverFingerprint", str(error))
            if not self.enable:
                yield Problem("serverFingerprint", "cannot be checked while transport.tls.enable is false")


class ClientTransport(Options, frozen=True, kw_only=True):
    """How the client reaches the server."""

    protocol: Annotated[str, doc("tcp, kcp, quic, websocket or wss.")] = "tcp"
    wire_protocol: Annotated[str, doc("v1, v2, or auto: v2, and v1 with a server that does not know v2.")] = (
        "auto"
    )
    dial_server_timeout: Annotated[Seconds, doc("Seconds until a connection to the server is given up.")] = 10
    dial_server_keepalive: Annotated[
        SecondsOrOff, doc("Seconds between two TCP keepalives; negative: none.")
    ] = 7200
    connect_server_local_ip: Annotated[Host, doc("Address to connect from.")] = msgspec.field(
        default="", name="connectServerLocalIP"
    )
    proxy_url: Annotated[str, doc("Proxy to the server; empty: the environment variable http_proxy.")] = (
        msgspec.field(default="", name="proxyURL")
    )
    pool_count: Annotated[CountOrOff, doc("Idle work connections to keep.")] = 1
    tcp_mux: Annotated[bool, doc("Many streams over one connection.")] = True
    tcp_mux_keepalive_interval: Annotated[Seconds, doc("Seconds between two pings of a mux link.")] = 30
    heartbeat_interval: Annotated[
        SecondsOrOff,
        doc("Seconds between heartbeats, and between pings with mux; negative: none; 0: 30, -1 with mux."),
    ] = 0
    heartbeat_timeout: Annotated[
        SecondsOrOff,
        doc(
            "Seconds of silence until the server is lost; negative: not checked; 0: two heartbeat intervals, "
            "at most 90, -1 with mux."
        ),
    ] = 0
    quic: QuicConfig = QuicConfig()
    tls: ClientTls = ClientTls()

    def problems(self) -> Iterable[Problem]:
        yield from choice_problems("protocol", self.protocol, TRANSPORT_PROTOCOLS)
        yield from choice_problems("wireProtocol", self.wire_protocol, WIRE_PROTOCOLS)
        if 0 < self.heartbeat_timeout < self.heartbeat_interval:
            yield Problem(
                "heartbeatTimeout",
                f"{self.heartbeat_timeout} s is less than heartbeatInterval, {self.heartbeat_interval} s",
            )


class VirtualNet(Options, frozen=True, kw_only=True):
    """A virtual network device."""

    address: Annotated[str, doc("Address and prefix length of the device.")] = ""


class StoreConfig(Options, frozen=True, kw_only=True):
    """Proxies and visitors that the administration API keeps."""

    path: Annotated[str, doc("JSON file, relative to the configuration file's directory; empty: none.")] = ""


class ClientConfig(Options, frozen=True, kw_only=True):
    """The client."""

    version: Annotated[str, doc("Accepted for frp's files; unused.")] = ""
    auth: ClientAuth = ClientAuth()
    user: Annotated[str, doc("Put before the names of the proxies, with a dot between.")] = ""
    client_id: Annotated[str, doc("Name of this client on the server's dashboard.")] = msgspec.field(
        default="", name="clientID"
    )
    server_addr: Annotated[Host, doc("Host of the server.")] = "0.0.0.0"
    server_port: Annotated[Port, doc("Port of the server.")] = 7000
    nat_hole_stun_server: Annotated[HostAndPort, doc("STUN server of frpc nathole discover, host:port.")] = (
        "stun.easyvoip.com:3478"
    )
    dns_server: Annotated[HostAndPort, doc("Name server to resolve names with, host or host:port.")] = ""
    login_fail_exit: Annotated[
        bool | None,
        doc("Ends the program if the first login fails; absent: true for relaykit frpc, false elsewhere."),
    ] = None
    start: Annotated[tuple[str, ...], doc("Names of the proxies and visitors to start; empty: all.")] = ()
    log: LogConfig = LogConfig()
    web_server: WebServerConfig = WebServerConfig()
    transport: ClientTransport = ClientTransport()
    virtual_net: VirtualNet = VirtualNet()
    feature_gates: Annotated[dict[str, bool], doc("Experimental features to switch on.")] = msgspec.field(
        default_factory=dict
    )
    store: StoreConfig = StoreConfig()
    metadatas: Annotated[dict[str, str], doc("Values handed to the server's plugins at login.")] = (
        msgspec.field(default_factory=dict)
    )
    includes: Annotated[
        tuple[str, ...],
        doc("Further files with proxies and visitors, DIRECTORY/PATTERN, from the working directory."),
    ] = ()
    state_dir: Annotated[str, doc("Directory of what outlives a restart: keys, remembered servers.")] = ""

    def problems(self) -> Iterable[Problem]:
        if self.auth.bound == "require":
            if not self.transport.tls.enable:
                yield Problem("auth.bound", 'is "require", which needs TLS: transport.tls.enable is false')
            if self.transport.wire_protocol == "v1":
                yield Problem(
                    "auth.bound", 'is "require", which needs version 2: transport.wireProtocol is "v1"'
                )

"""The keys of the server's file, ``frps.toml``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Self

import msgspec

from relaykit.config.schema.addresses import interface_problem, network_problem
from relaykit.config.schema.auth import ServerAuth
from relaykit.config.schema.carriers import with_carriers
from relaykit.config.schema.sections import (
    LogConfig,
    QuicConfig,
    WebServerConfig,
    choice_problems,
)
from relaykit.options import (
    CountOrOff,
    Effect,
    FileUse,
    Host,
    ListeningPort,
    ListeningPortOrOff,
    Options,
    Port,
    Problem,
    Seconds,
    SecondsOrOff,
    bandwidth_problem,
    doc,
    effect,
    file,
    secret,
)
from relaykit.sansio.http_plugins import Place
from relaykit.values import NO_SECRET, Secret

__all__ = [
    "CONSOLE",
    "HTTP_PLUGIN_OPERATIONS",
    "MAX_PROXIES_PER_CLIENT",
    "STUN_ADDRS_MAX",
    "Bandwidth",
    "HttpPlugin",
    "PortRange",
    "ProxyProtocol",
    "ServerConfig",
    "ServerLogConfig",
    "ServerTls",
    "ServerTransport",
    "SshTunnelGateway",
]

CONSOLE = "console"
"""What stands for standard output where a file could be."""

HTTP_PLUGIN_OPERATIONS = ("Login", "NewProxy", "CloseProxy", "Ping", "NewWorkConn", "NewUserConn")
"""What ``ops`` of ``[[httpPlugins]]`` may name."""


MAX_PROXIES_PER_CLIENT = 4096
"""Proxies of one client, those being exposed included, unless ``maxProxiesPerClient`` says otherwise:
several ranges of a thousand ports, and yet no single client has a sixteenth of what the server takes."""


STUN_ADDRS_MAX = 2
"""Addresses of the STUN server in one family: RFC 5780 knows a first and a second one."""


class PortRange(Options, frozen=True, kw_only=True):
    """Ports that proxies may ask for: one, or a range with both ends."""

    start: Annotated[Port, doc("First port; 0 is as good as 1.")] = 0
    end: Annotated[Port, doc("Last port, not below start.")] = 0
    single: Annotated[Port, doc("One port; where it is not 0, start and end do not count.")] = 0

    @property
    def ports(self) -> range:
        """The ports themselves."""
        if self.single:
            return range(self.single, self.single + 1)
        return range(max(1, self.start), self.end + 1)

    def problems(self) -> Iterable[Problem]:
        if self.ports:
            return
        if self.end:
            advice = f"start is above end; write start = {self.end} and end = {self.start}"
        elif self.start:
            advice = f"it has no end; for one port alone write single = {self.start}"
        else:
            advice = "write such as single = 6000, or start = 6000 and end = 6999"
        yield Problem("", f"allows no port: {advice}")


class HttpPlugin(Options, frozen=True, kw_only=True):
    """A web service that is asked before the server does something."""

    name: Annotated[str, doc("Name for the log.")] = ""
    addr: Annotated[
        Secret,
        secret(optional=True),
        doc(
            "host:port, or the beginning of a URL; may have a user and a password: http://user:password@host."
        ),
    ] = NO_SECRET
    path: Annotated[
        Secret, secret(optional=True), doc("Path that is appended to addr; begins with a slash.")
    ] = NO_SECRET
    ops: Annotated[
        tuple[str, ...],
        doc("Operations to ask about: Login, NewProxy, CloseProxy, Ping, NewWorkConn, NewUserConn."),
    ] = ()
    tls_verify: Annotated[
        bool, doc("Verifies the service's certificate by the authorities that this system trusts.")
    ] = True

    @property
    def shown_name(self) -> str:
        """What to call it in the log: its name, or where it is, without anything secret."""
        return self.name or str(self._place)

    @property
    def _place(self) -> Place:
        return Place.of(self.addr.reveal(), self.path.reveal())

    def problems(self) -> Iterable[Problem]:
        for operation in self.ops:
            yield from choice_problems("ops", operation, HTTP_PLUGIN_OPERATIONS)
        if self.path and not self.path.reveal().startswith("/"):
            yield Problem("path", "must begin with a slash")
            return
        try:
            str(self._place)
        except ValueError as error:
            yield Problem("addr", str(error))


class SshTunnelGateway(Options, frozen=True, kw_only=True):
    """The gateway for SSH clients without frpc."""

    bind_port: Annotated[ListeningPortOrOff, doc("Port to listen on; 0 or less for no gateway.")] = 0
    private_key_file: Annotated[
        str,
        file(FileUse.SECRET),
        doc("Host key (PEM or OpenSSH); without it, one is made and kept in the state directory."),
    ] = ""
    auto_gen_private_key_path: Annotated[
        str,
        file(FileUse.WRITTEN),
        doc(
            "Where a host key is kept instead, which is made if there is none; the default counts only where "
            "frp has left one there."
        ),
    ] = "./.autogen_ssh_key"
    authorized_keys_file: Annotated[
        str,
        file(FileUse.READ),
        effect(Effect.AT_LOGIN),
        doc(
            "Public keys that may log in, as OpenSSH writes them, whose comments are the users; no token is "
            "asked for then.  Empty: everybody may who knows the token."
        ),
    ] = ""


class ProxyProtocol(Options, frozen=True, kw_only=True):
    """Load balancers in front of the server that announce users and clients by the PROXY protocol."""

    trusted: Annotated[
        tuple[str, ...],
        doc(
            "Their addresses and networks, such as 10.0.0.0/8: each connection and each datagram from there "
            "must begin with a PROXY header, v1 or v2 (datagrams: v2), and comes from where that says."
        ),
    ] = ()

    @property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The same, read; an address is a network of one."""
        return tuple(map(ipaddress.ip_network, self.trusted))

    def problems(self) -> Iterable[Problem]:
        for position, each in enumerate(self.trusted):
            if reason := network_problem(each):
                yield Problem(f"trusted[{position}]", reason)


class Bandwidth(Options, frozen=True, kw_only=True):
    """What users of this server's proxies may move, beside the limit that a proxy has of its own."""

    per_client: Annotated[
        str,
        doc("Bytes a second of all proxies of one client, both directions, such as 20MB; empty: no limit."),
    ] = ""
    per_user: Annotated[
        str,
        doc(
            "Bytes a second of all connections from one address of users (IPv6: one /64), both directions, "
            "such as 2MB; empty: no limit."
        ),
    ] = ""

    def problems(self) -> Iterable[Problem]:
        for key, text in (("perClient", self.per_client), ("perUser", self.per_user)):
            if reason := bandwidth_problem(text):
                yield Problem(key, reason)


class ServerTls(Options, frozen=True, kw_only=True):
    """TLS between clients and the server."""

    force: Annotated[bool, doc("Accepts clients with TLS only; true once trustedCaFile is given.")] = False
    cert_file: Annotated[
        str,
        file(FileUse.CERTIFICATE),
        doc("Certificate chain (PEM); without it and keyFile, one is made and kept in the state directory."),
    ] = ""
    key_file: Annotated[str, file(FileUse.KEY), doc("Private key (PEM).")] = ""
    trusted_ca_file: Annotated[
        str,
        file(FileUse.AUTHORITIES),
        doc("Authorities (PEM) that client certificates must come from."),
    ] = ""
    server_name: Annotated[str, doc("Accepted for frp's files; unused.")] = ""


class ServerTransport(Options, frozen=True, kw_only=True):
    """How clients reach the server."""

    tcp_mux: Annotated[
        bool,
        effect(Effect.AT_ONCE),
        doc("Many streams over one connection; relaykit recognizes either kind of client."),
    ] = True
    tcp_mux_keepalive_interval: Annotated[
        Seconds, effect(Effect.AT_LOGIN), doc("Seconds between two pings of a mux link.")
    ] = 30
    tcp_keepalive: Annotated[
        SecondsOrOff,
        doc("Seconds of silence until the kernel asks a client for a sign of life; negative: never."),
    ] = 60
    max_pool_count: Annotated[
        CountOrOff, effect(Effect.AT_LOGIN), doc("Most idle work connections that a client may ask for.")
    ] = 5
    heartbeat_timeout: Annotated[
        SecondsOrOff,
        effect(Effect.AT_LOGIN),
        doc("Seconds of silence until a client without mux is lost; negative: not checked; 0: 90."),
    ] = 0
    quic: QuicConfig = QuicConfig()
    tls: Annotated[ServerTls, effect(Effect.AT_LOGIN)] = ServerTls()

    @classmethod
    def widened(cls, keys: Iterable[str]) -> type[Self]:
        return with_carriers(cls, "accept_options", keys)


class ServerLogConfig(LogConfig, frozen=True, kw_only=True):
    """Where the log goes and what is in it, and that of users."""

    access: Annotated[
        str,
        file(FileUse.WRITTEN),
        doc(
            "Log of users: a line for each connection that has ended; console for standard output, else the "
            "path of a file; empty: none.  format and maxDays count for it, too."
        ),
    ] = ""

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.access not in ("", CONSOLE) and self.access == self.to:
            yield Problem("access", f"is the file of log.to, {self.to}: name another one")
        elif self.access.endswith("/"):
            yield Problem("access", f'"{self.access}" is a folder: name a file in it')


class ServerConfig(Options, frozen=True, kw_only=True):
    """The relay server."""

    version: Annotated[str, effect(Effect.AT_ONCE), doc("Accepted for frp's files; unused.")] = ""
    auth: Annotated[ServerAuth, effect(Effect.AT_LOGIN)] = ServerAuth()
    bind_addr: Annotated[Host, doc("Address to listen on for clients.")] = "0.0.0.0"
    bind_port: Annotated[ListeningPort, doc("TCP port to listen on for clients.")] = 7000
    kcp_bind_port: Annotated[ListeningPort, doc("UDP port for KCP; 0: off.")] = 0
    quic_bind_port: Annotated[ListeningPort, doc("UDP port for QUIC; 0: off.")] = 0
    stun_port: Annotated[
        ListeningPortOrOff,
        doc("UDP port of the STUN server, which tells clients how they are seen; 0: bindPort, -1: off."),
    ] = 0
    stun_addrs: Annotated[
        tuple[str, ...],
        doc(
            "IP addresses of the STUN server, up to two of IPv4 and two of IPv6, those that clients dial "
            "first; empty: bindAddr.  With two, clients learn more of their NATs."
        ),
    ] = ()
    stun_public_addrs: Annotated[
        tuple[str, ...],
        doc(
            "What clients know stunAddrs by, in the same order (without stunAddrs: bindAddr), where a NAT is "
            "in front of the server, as in most clouds."
        ),
    ] = ()
    proxy_bind_addr: Annotated[Host, doc("Address of the proxies' ports; empty: bindAddr.")] = ""
    enable_prometheus: Annotated[bool, doc("Metrics at /metrics of the web server.")] = False
    detailed_errors_to_client: Annotated[
        bool, effect(Effect.AT_LOGIN), doc("Tells clients the reason of a refusal.")
    ] = True
    max_ports_per_client: Annotated[
        CountOrOff, effect(Effect.AT_ONCE), doc("Most ports that one client may have; 0: no limit.")
    ] = 0
    max_proxies_per_client: Annotated[
        CountOrOff, effect(Effect.AT_ONCE), doc("Most proxies that one client may have; negative: no limit.")
    ] = MAX_PROXIES_PER_CLIENT
    user_conn_timeout: Annotated[
        SecondsOrOff,
        effect(Effect.AT_LOGIN),
        doc(
            "Seconds that a user waits for a work connection, and longer while others are served; negative: "
            "only idle ones are used."
        ),
    ] = 10
    probe_interval: Annotated[
        Seconds,
        effect(Effect.AT_ONCE),
        doc(
            "Seconds between two looks whether users of each proxy would be served, over the way that they "
            "take; 0: only when asked."
        ),
    ] = 0
    allow_ports: Annotated[
        tuple[PortRange, ...], effect(Effect.AT_ONCE), doc("Ports that proxies may have; empty: all.")
    ] = ()
    bandwidth: Annotated[Bandwidth, effect(Effect.AT_ONCE)] = Bandwidth()
    proxy_protocol: ProxyProtocol = ProxyProtocol()
    http_plugins: Annotated[tuple[HttpPlugin, ...], effect(Effect.AT_ONCE), doc("Web services to ask.")] = ()
    log: Annotated[ServerLogConfig, effect(Effect.AT_ONCE)] = ServerLogConfig()
    web_server: WebServerConfig = WebServerConfig()
    keep_history: Annotated[
        bool | None,
        doc(
            "Keeps what was moved, by minute, hour and day, in the state directory; absent: where "
            "webServer.port is given."
        ),
    ] = None
    transport: ServerTransport = ServerTransport()
    ssh_tunnel_gateway: SshTunnelGateway = SshTunnelGateway()
    proxy_types: Annotated[
        dict[str, dict[str, Any]], doc("The server's options of a proxy type, in [proxyTypes.NAME].")
    ] = msgspec.field(default_factory=dict)
    policies: Annotated[
        dict[str, dict[str, Any]],
        doc(
            "What decides about clients and users besides, in [policies.NAME] with the options of each; "
            "asked in the order of the file."
        ),
    ] = msgspec.field(default_factory=dict)
    state_dir: Annotated[
        str, file(FileUse.WRITTEN), doc("Directory of what outlives a restart: keys, certificates.")
    ] = ""

    def problems(self) -> Iterable[Problem]:
        for key, hosts in (("stunAddrs", self.stun_addrs), ("stunPublicAddrs", self.stun_public_addrs)):
            yield from _address_problems(key, hosts)
            if hosts and self.stun_port < 0:
                yield Problem(key, "there is no STUN server that could have them: stunPort is negative")
        for name, is_six in (("IPv4", False), ("IPv6", True)):
            bound, public = (
                sum((":" in each) is is_six for each in hosts)
                for hosts in (self.stun_addrs, self.stun_public_addrs)
            )
            if bound > STUN_ADDRS_MAX:
                yield Problem("stunAddrs", f"names {bound} addresses of {name}, and two are of use")
            wanted = bound if self.stun_addrs else 1
            if public and public != wanted:
                where = "stunAddrs" if self.stun_addrs else "bindAddr"
                yield Problem(
                    "stunPublicAddrs",
                    f"names {public} of {name}, where {where} has {wanted or 'none'}",
                )


def _address_problems(key: str, hosts: Sequence[str]) -> Iterable[Problem]:
    for position, each in enumerate(hosts):
        if reason := interface_problem(each):
            yield Problem(f"{key}[{position}]", reason)
        elif each in hosts[:position]:
            yield Problem(f"{key}[{position}]", f"{each} is there twice")

"""The keys of the client's file, ``frpc.toml``, but for ``[[proxies]]`` and ``[[visitors]]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

import msgspec

from relaykit.config.schema.addresses import host_and_port, is_ip_address
from relaykit.config.schema.auth import ClientAuth
from relaykit.config.schema.carriers import AUTO, with_carriers
from relaykit.config.schema.sections import (
    LogConfig,
    QuicConfig,
    WebServerConfig,
    choice_problems,
)
from relaykit.config.schema.texts import parse_fingerprint
from relaykit.errors import PluginError
from relaykit.options import (
    CountOrOff,
    Effect,
    FileUse,
    Host,
    HostAndPort,
    Options,
    Port,
    Problem,
    Seconds,
    SecondsOrOff,
    doc,
    effect,
    file,
    secret,
)
from relaykit.plugins import Carriers
from relaykit.sansio.packets.headers import parse_interface
from relaykit.sansio.service_records import is_service_name
from relaykit.values import NO_SECRET, Secret

__all__ = [
    "FRP_CARRIERS",
    "WIRE_PROTOCOLS",
    "ClientConfig",
    "ClientTls",
    "ClientTransport",
    "StoreConfig",
    "VirtualNet",
]

FRP_CARRIERS = ("tcp", "kcp", "quic", "websocket", "wss")
"""What frp's ``transport.protocol`` may be: known, also where no such carrier is installed."""

WIRE_PROTOCOLS = ("auto", "v1", "v2")
"""What the client's ``transport.wireProtocol`` may be."""


class ClientTls(Options, frozen=True, kw_only=True):
    """TLS between the client and the server."""

    enable: Annotated[bool, doc("Uses TLS.")] = True
    disable_custom_tls_first_byte: Annotated[
        bool, doc("Leaves out the byte 0x17 that old servers expect before TLS.")
    ] = msgspec.field(default=True, name="disableCustomTLSFirstByte")
    cert_file: Annotated[
        str,
        file(FileUse.CERTIFICATE),
        doc("The client's certificate chain (PEM); used together with keyFile."),
    ] = ""
    key_file: Annotated[str, file(FileUse.KEY), doc("The client's private key (PEM).")] = ""
    trusted_ca_file: Annotated[
        str,
        file(FileUse.AUTHORITIES),
        doc("Authorities (PEM) that the server's certificate must come from; empty: any is accepted."),
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

    protocol: Annotated[
        str,
        doc("tcp, kcp, quic, websocket or wss, or that of another package; auto: whichever gets through."),
    ] = "tcp"
    wire_protocol: Annotated[str, doc("v1, v2, or auto: v2, and v1 with a server that does not know v2.")] = (
        "auto"
    )
    dial_server_timeout: Annotated[
        Seconds, doc("Seconds until a connection to the server, or a step through a proxy, is given up.")
    ] = 10
    dial_server_keepalive: Annotated[
        SecondsOrOff,
        doc("Seconds of silence until the kernel asks the server for a sign of life; negative: never."),
    ] = 60
    connect_server_local_ip: Annotated[
        Host, doc("IP address of this machine to connect from, to the server or its proxy.")
    ] = msgspec.field(default="", name="connectServerLocalIP")
    proxy_url: Annotated[
        Secret,
        secret(optional=True),
        doc(
            "Proxy to the server: http, https, socks5 or ntlm, as http://user:password@proxy.example:3128; "
            "direct: none; empty: the environment's, by https_proxy, http_proxy, all_proxy and no_proxy."
        ),
    ] = msgspec.field(default=NO_SECRET, name="proxyURL")
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

    @classmethod
    def widened(cls, keys: Iterable[str]) -> type[Self]:
        return with_carriers(cls, "dial_options", keys)

    def problems(self) -> Iterable[Problem]:
        if self.protocol not in (*FRP_CARRIERS, AUTO):
            carriers: set[str] = {carrier.name for carrier in Carriers.installed()}
            yield from choice_problems(
                "protocol", self.protocol, (*FRP_CARRIERS, *sorted(carriers - set(FRP_CARRIERS)), AUTO)
            )
        yield from choice_problems("wireProtocol", self.wire_protocol, WIRE_PROTOCOLS)
        if self.connect_server_local_ip and not is_ip_address(self.connect_server_local_ip):
            yield Problem(
                "connectServerLocalIP",
                f'"{self.connect_server_local_ip}" must be an IP address of this machine, such as 192.0.2.1',
            )
        yield from self._proxy_problems()
        if 0 < self.heartbeat_timeout < self.heartbeat_interval:
            yield Problem(
                "heartbeatTimeout",
                f"{self.heartbeat_timeout} s is less than heartbeatInterval, {self.heartbeat_interval} s",
            )

    def _proxy_problems(self) -> Iterable[Problem]:
        text = self.proxy_url.reveal()
        if not text:
            return
        # Few clients have one.
        from relaykit.sansio.forward_proxies.urls import DIRECT, parse_proxy_url

        if text == DIRECT:
            return
        try:
            parse_proxy_url(text)
        except ValueError as error:
            yield Problem("proxyURL", str(error))
        if self._goes_by_udp():
            yield Problem(
                "proxyURL",
                f'cannot be used with transport.protocol = "{self.protocol}", which goes by UDP: '
                "leave it out, or use tcp",
            )

    def _goes_by_udp(self) -> bool:
        try:
            return bool(Carriers.installed().get(self.protocol).capabilities.own_port)
        except PluginError:
            # It is missing or broken, which is told where it is used.
            return False


class VirtualNet(Options, frozen=True, kw_only=True):
    """The virtual network: a device of this machine (Linux, CAP_NET_ADMIN)."""

    address: Annotated[
        str, doc("Address of the device, with the length of its network's prefix, as 100.86.0.1/24.")
    ] = ""
    gateway: Annotated[
        bool,
        doc("Also takes packets for other machines, and from any address: the system may forward them."),
    ] = False

    def problems(self) -> Iterable[Problem]:
        if not self.address:
            return
        try:
            parse_interface(self.address)
        except ValueError as error:
            yield Problem("address", str(error))


class StoreConfig(Options, frozen=True, kw_only=True):
    """Proxies and visitors that the administration API keeps."""

    path: Annotated[
        str,
        file(FileUse.WRITTEN),
        doc("JSON file, relative to the configuration file's directory; empty: none."),
    ] = ""


class ClientConfig(Options, frozen=True, kw_only=True):
    """The client."""

    version: Annotated[str, effect(Effect.AT_ONCE), doc("Accepted for frp's files; unused.")] = ""
    auth: Annotated[ClientAuth, effect(Effect.AT_LOGIN)] = ClientAuth()
    user: Annotated[str, doc("Put before the names of the proxies, with a dot between.")] = ""
    client_id: Annotated[
        str, effect(Effect.AT_LOGIN), doc("Name of this client on the server's dashboard.")
    ] = msgspec.field(default="", name="clientID")
    server_addr: Annotated[
        Host,
        effect(Effect.AT_LOGIN),
        doc(
            "Host of the server; one such as _relaykit._tcp.example.com is looked up as SRV record, which "
            "has the port, too."
        ),
    ] = "0.0.0.0"
    server_port: Annotated[Port, effect(Effect.AT_LOGIN), doc("Port of the server.")] = 7000
    nat_hole_stun_server: Annotated[HostAndPort, doc("STUN server of frpc nathole discover, host:port.")] = (
        "stun.easyvoip.com:3478"
    )
    dns_server: Annotated[
        HostAndPort,
        doc("IP address, and port if it is not 53, of the name server that names are looked up at."),
    ] = ""
    login_fail_exit: Annotated[
        bool | None,
        doc("Ends the program if the first login fails; absent: true for relaykit frpc, false elsewhere."),
    ] = None
    start: Annotated[
        tuple[str, ...],
        effect(Effect.AT_ONCE),
        doc("Names of the proxies and visitors to start; empty: all."),
    ] = ()
    log: Annotated[LogConfig, effect(Effect.AT_ONCE)] = LogConfig()
    web_server: WebServerConfig = WebServerConfig()
    keep_history: Annotated[
        bool | None,
        doc(
            "Keeps what was moved, by minute, hour and day, in the state directory; absent: where "
            "webServer.port is given."
        ),
    ] = None
    enable_prometheus: Annotated[bool, doc("Metrics at /metrics of the web server.")] = False
    transport: Annotated[ClientTransport, effect(Effect.AT_LOGIN)] = ClientTransport()
    virtual_net: VirtualNet = VirtualNet()
    feature_gates: Annotated[
        dict[str, bool],
        doc("Experimental features of frp; virtualNet.address needs VirtualNet = true."),
    ] = msgspec.field(default_factory=dict)
    store: StoreConfig = StoreConfig()
    metadatas: Annotated[
        dict[str, str], effect(Effect.AT_LOGIN), doc("Values handed to the server's plugins at login.")
    ] = msgspec.field(default_factory=dict)
    includes: Annotated[
        tuple[str, ...],
        effect(Effect.AT_ONCE),
        doc("Further files with proxies and visitors, DIRECTORY/PATTERN, from the working directory."),
    ] = ()
    state_dir: Annotated[
        str, file(FileUse.WRITTEN), doc("Directory of what outlives a restart: keys, remembered servers.")
    ] = ""

    def problems(self) -> Iterable[Problem]:
        if self.dns_server and not is_ip_address(host_and_port(self.dns_server)[0]):
            yield Problem(
                "dnsServer",
                f'"{self.dns_server}" must be an IP address, with or without a port, such as 192.0.2.53: '
                "a name server cannot be asked for its own name",
            )
        if is_service_name(self.server_addr) and self.server_port not in (0, type(self)().server_port):
            yield Problem(
                "serverPort", f"cannot be given with {self.server_addr}, whose SRV record has the port"
            )
        if self.auth.bound == "require":
            if not self.transport.tls.enable:
                yield Problem("auth.bound", 'is "require", which needs TLS: transport.tls.enable is false')
            if self.transport.wire_protocol == "v1":
                yield Problem(
                    "auth.bound", 'is "require", which needs version 2: transport.wireProtocol is "v1"'
                )

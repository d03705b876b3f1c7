"""The keys that every proxy and every visitor has, whatever its type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from relaykit.options.annotations import annotation_problems
from relaykit.options.bandwidth import bandwidth_problem, parse_bandwidth
from relaykit.options.fields import (
    Bandwidth,
    CountOrOff,
    Host,
    ListeningPortOrOff,
    Options,
    Port,
    Problem,
    SecondsOrOff,
    advanced,
    choice,
    doc,
    extension,
    flag,
    secret,
    wire,
)
from relaykit.values import NO_SECRET, Balance, Secret

__all__ = [
    "HealthCheck",
    "HttpHeader",
    "LoadBalancer",
    "ProxyCommon",
    "ProxyTransport",
    "VisitorCommon",
    "VisitorTransport",
]


class ProxyTransport(Options, frozen=True, kw_only=True):
    """How the work connections of a proxy carry their bytes."""

    use_encryption: Annotated[
        bool,
        wire("use_encryption"),
        doc("Encrypt work connections with a key made from the token (frp's cipher, no integrity)."),
    ] = False
    use_compression: Annotated[
        bool, wire("use_compression"), doc("Compress work connections with snappy.")
    ] = False
    bandwidth_limit: Annotated[
        Bandwidth,
        wire("bandwidth_limit"),
        flag("bandwidth-limit"),
        doc("Bytes a second of all users together, both directions, such as 1MB or 512KB; empty: no limit."),
    ] = ""
    bandwidth_limit_mode: Annotated[
        str,
        wire("bandwidth_limit_mode"),
        flag("bandwidth-limit-mode"),
        choice("client", "server"),
        doc("Which end limits: client or server."),
    ] = "client"
    proxy_protocol_version: Annotated[
        str,
        flag("proxy-protocol"),
        choice("", "v1", "v2"),
        doc("Announce the user's address to the local service: v1, v2 or empty."),
    ] = ""

    def limit_at(self, end: str) -> int:
        """Bytes a second that this end, client or server, holds the proxy to; 0 for no limit.

        As in frp, what is no limit of bandwidth does not limit.
        """
        if self.bandwidth_limit_mode != end or bandwidth_problem(self.bandwidth_limit):
            return 0
        return parse_bandwidth(self.bandwidth_limit)


class LoadBalancer(Options, frozen=True, kw_only=True):
    """Several proxies behind one exposure."""

    group: Annotated[
        str, wire("group"), flag("group"), doc("Proxies of the same group share one exposure.")
    ] = ""
    group_key: Annotated[
        Secret,
        wire("group_key"),
        flag("group-key"),
        secret(needed_with="group", may_be_empty=True),
        doc("What a proxy must know to join the group."),
    ] = NO_SECRET
    balance: Annotated[
        str,
        extension("balance"),
        flag("balance"),
        choice("", *(each.value for each in Balance)),
        doc("How users are distributed: roundRobin, leastConnections or sourceAddress; empty for any."),
    ] = ""


class HttpHeader(Options, frozen=True, kw_only=True):
    """One header of a health check's request."""

    name: Annotated[str, doc("Name of the header.")] = ""
    value: Annotated[str, doc("Its value.")] = ""


class HealthCheck(Options, frozen=True, kw_only=True):
    """Registers the proxy only while its local service answers."""

    type: Annotated[
        str, flag("health-check"), choice("", "tcp", "http"), doc("tcp, http, or empty for no check.")
    ] = ""
    timeout_seconds: Annotated[
        SecondsOrOff, doc("Seconds until a check counts as failed; negative: the default.")
    ] = 3
    max_failed: Annotated[
        CountOrOff, doc("Failures in a row that withdraw the proxy; negative: the default.")
    ] = 1
    interval_seconds: Annotated[
        SecondsOrOff, doc("Seconds from the end of a check to the next one; negative: the default.")
    ] = 10
    path: Annotated[
        str,
        flag("health-check-path"),
        doc("Path that an http check asks for; with a query, if there is one."),
    ] = ""
    http_headers: Annotated[
        tuple[HttpHeader, ...], doc("Headers that an http check sends; Host is the service's name in it.")
    ] = ()


class ProxyCommon(Options, frozen=True, kw_only=True):
    """The keys that every proxy has, whatever its type."""

    name: Annotated[str, doc("Name of the proxy, unique in the file.")] = ""
    type: Annotated[str, doc("The proxy type, such as tcp or stcp.")] = ""
    enabled: Annotated[bool, doc("False leaves this entry out.")] = True
    annotations: Annotated[
        dict[str, str], wire("annotations"), doc("Labels for people and programs that watch the server.")
    ] = msgspec.field(default_factory=dict)
    transport: ProxyTransport = ProxyTransport()
    metadatas: Annotated[dict[str, str], wire("metas"), doc("Values handed to the server's plugins.")] = (
        msgspec.field(default_factory=dict)
    )
    load_balancer: LoadBalancer = LoadBalancer()
    health_check: HealthCheck = HealthCheck()
    local: Annotated[
        str,
        advanced(),
        doc("The local service as a Twisted endpoint string, such as unix:/run/app.sock."),
    ] = ""
    local_ip: Annotated[Host, doc("Host of the local service.")] = msgspec.field(
        default="127.0.0.1", name="localIP"
    )
    local_port: Annotated[Port, doc("Port of the local service.")] = 0

    def problems(self) -> Iterator[Problem]:
        for reason in annotation_problems(self.annotations):
            yield Problem("annotations", reason)
        balance, known = self.load_balancer.balance, [each.value for each in Balance]
        if balance and balance not in known:
            yield Problem("loadBalancer.balance", f'"{balance}" is not one of {", ".join(known)}')

    @property
    def is_checked(self) -> bool:
        """Whether its local service is checked; where there is none, a check has nothing to look at."""
        return bool(self.health_check.type and (self.local or self.local_port))

    @property
    def local_endpoint(self) -> str:
        """The endpoint string of the local service, whichever way it was configured."""
        return self.local or self._endpoint("tcp")

    @property
    def local_datagram_endpoint(self) -> str:
        """The same for a service that takes datagrams."""
        return self.local or self._endpoint("udp")

    def _endpoint(self, kind: str) -> str:
        host = self.local_ip.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
        return f"{kind}:{host}:{self.local_port}"


class VisitorTransport(Options, frozen=True, kw_only=True):
    """How the visits of a visitor carry their bytes."""

    use_encryption: Annotated[
        bool, doc("Encrypt visits with a key made from the secret (frp's cipher, no integrity).")
    ] = False
    use_compression: Annotated[bool, doc("Compress visits with snappy.")] = False


class VisitorCommon(Options, frozen=True, kw_only=True):
    """The keys that every visitor has, whatever its type."""

    name: Annotated[str, doc("Name of the visitor, unique in the file.")] = ""
    type: Annotated[str, doc("The proxy type that it visits, such as stcp.")] = ""
    enabled: Annotated[bool, doc("False leaves this entry out.")] = True
    transport: VisitorTransport = VisitorTransport()
    server_user: Annotated[str, doc("User of the client that has the proxy; empty for the own user.")] = ""
    server_name: Annotated[str, doc("Name of the proxy to visit, without its user.")] = ""
    bind_addr: Annotated[Host, doc("Address to listen on.")] = "127.0.0.1"
    bind_port: Annotated[
        ListeningPortOrOff, doc("Port to listen on; negative: no port, only what other code hands over.")
    ] = 0
    local: Annotated[
        str,
        advanced(),
        doc("A local service that is connected to the proxy at once, and again, as an endpoint string."),
    ] = ""

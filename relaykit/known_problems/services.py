"""What is wrong with local services, and on the way to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.problem import KnownProblem

__all__ = ["SERVICES"]

SERVICES: Final[Mapping[str, KnownProblem]] = {
    "local-service": KnownProblem(
        "The local service cannot be reached",
        "A user came, but the client could not connect to the local service; the user was let go.",
        "Start the service, or correct its address: localPort, localIP or local, or the word after the "
        "command.",
    ),
    "probe-failed": KnownProblem(
        "Users of a proxy would not be served",
        "The server looked whether users of a proxy are served, over the way that they take, and they would "
        "not be: the message says why.",
        "Where it names the local service, start that, or correct its address at the client; where the "
        "client has not answered, look whether its machine and its network are well.",
    ),
    "leads-back": KnownProblem(
        "The local service leads back to the proxy",
        "The user that came is this client's own connection to the local service: that is a port of the "
        "server which leads to this client, so that it would serve itself without end; it was let go.",
        "Write the address of the service itself: localPort, localIP or local, or the word after the "
        "command.",
    ),
    "user-not-announced": KnownProblem(
        "A user cannot be announced to the local service",
        "By transport.proxyProtocolVersion the local service gets a header with the user's address, and what "
        "the server sent in its place is no IP address; the user was let go.",
        "Look what the server is: no server of frp or relaykit sends that.",
    ),
    "health-check": KnownProblem(
        "A health check failed",
        "The local service of a proxy did not pass the checks that healthCheck asks for; until it does, the "
        "proxy is not registered, and no users come.",
        "Look whether the service runs and answers; if it does, look at healthCheck.path, its headers and "
        "healthCheck.timeoutSeconds.",
    ),
    "proxy-header": KnownProblem(
        "A load balancer sends no PROXY header",
        "The server's file has its address in proxyProtocol.trusted, and a connection or a datagram from "
        "there did not begin with a PROXY header that makes sense; it was closed, or dropped.",
        "Have the load balancer send the header (send-proxy-v2 of HAProxy, proxy_protocol of nginx, "
        "useProxyProtocol of dnsdist), of version 2 in front of each datagram, or take its address out of "
        "proxyProtocol.trusted.  Clients and users on that machine have to go through it.",
    ),
    "not-an-endpoint": KnownProblem(
        "Not an endpoint",
        "The local service is named by a text that Twisted cannot connect to.",
        "Write a port, host:port, or an endpoint string such as unix:/run/app.sock.",
    ),
    "virtual-network": KnownProblem(
        "The virtual network has no device",
        "By virtualNet.address the client has a TUN device of the system; that cannot be made, or was taken "
        "away.",
        "Do what the message says: the program needs the right CAP_NET_ADMIN, and the system TUN devices; or "
        "take virtualNet.address out of the file.",
    ),
    "address-taken-over": KnownProblem(
        "An address of the virtual network has changed hands",
        "A visitor of a proxy with the plugin virtual_net uses the address that another one has; the former "
        "one was let go.",
        "Nothing, where one visitor came again.  Where it happens again and again, two clients have the same "
        "virtualNet.address: give each of them its own.",
    ),
}

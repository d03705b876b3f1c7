"""Hosts, and endpoint strings: whether anybody can make sense of them, found out before the first user comes.

A host that cannot be one would fail at its first use only, in the encoder of host names (IDNA), which
name resolution and TLS call far from the configuration.
"""

from __future__ import annotations

import ipaddress
import re

from attrs import define

from relaykit.sansio.hostnames import ANY, WILDCARD, encode_host_name

__all__ = [
    "bare_host",
    "domain_problem",
    "endpoint_problem",
    "host_and_port",
    "host_and_port_problem",
    "host_problem",
    "interface_problem",
    "is_ip_address",
    "is_loopback",
    "network_problem",
]

_ENDPOINTS = {"tcp": "tcp:HOST:PORT", "udp": "udp:HOST:PORT", "unix": "unix:PATH"}
"""Kinds that are dialed without asking Twisted, which takes the same arguments, ``udp`` those of ``tcp``."""

_ALWAYS = ("ssl",)
"""A kind that Twisted itself takes besides those; all others are plugins."""

_FRACTION = re.compile(r"(?<!\\)(:timeout=\d+)\.\d+(?=:|$)")
"""A part of a second, which Twisted does not take."""


def bare_host(text: str) -> str:
    """A host without the brackets that people put around IPv6 addresses, and that no host name can have."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def host_problem(text: str) -> str:
    """Why a text is no host name and no IP address; empty if it may be one."""
    if any(character.isspace() for character in text):
        return f'"{text}" must be a host, without blanks'
    if "/" in text:
        return f'"{text}" must be a host, not a URL or a path'
    host = bare_host(text)
    if host != text or host.count(":") > 1:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return f'"{text}" is neither a host name nor an IPv6 address without a port'
        return ""
    if ":" in host:
        return f'"{text}" must be a host without a port'
    return _name_problem(host)


def domain_problem(text: str) -> str:
    """Why a text is no host, and no ``*.`` with one, nor ``*`` for all; empty if it may be one of them."""
    return "" if text == ANY else host_problem(text.removeprefix(WILDCARD))


def is_loopback(host: str) -> bool:
    """Whether only programs of the same machine reach who listens on this host."""
    return ipaddress.ip_address(host).is_loopback if is_ip_address(host) else host.lower() == "localhost"


def is_ip_address(text: str) -> bool:
    """Whether a host is given by its address, with a zone or without."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def host_and_port(text: str, port: int = 0) -> tuple[str, int]:
    """Both of a text that :func:`host_and_port_problem` has nothing against; ``port`` where it has none."""
    host, colon, own = text.rpartition(":")
    if not (colon and own.isdecimal()) or (":" in bare_host(host) and host == bare_host(host)):
        return bare_host(text), port
    return bare_host(host), int(own)


def host_and_port_problem(text: str) -> str:
    """Why a text is no host with or without a port, such as ``example.com:3478``; empty if it may be one."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in bare_host(host) and host == bare_host(host)):
        return host_problem(text)
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        return f'the port "{port}" must be a number from 1 to 65535'
    return host_problem(host)


def network_problem(text: str) -> str:
    """Why a text is no IP address and no network, such as ``10.0.0.0/8``; empty if it is one."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f'"{text}" must be an IP address or a network, such as 10.0.0.0/8'
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        return f"{text} is one of IPv4, which is to be written without ::ffff:"
    try:
        ipaddress.ip_network(text)
    except ValueError:
        address = ipaddress.ip_interface(text).ip
        return f'"{text}" must be {network} for the network, or {address} for one address of it'
    return ""


def interface_problem(text: str) -> str:
    """Why a text is no IP address that one machine can have, such as ``192.0.2.1``; empty if it is one."""
    try:
        host = ipaddress.ip_address(text)
    except ValueError:
        return f'"{text}" must be an IP address, such as 192.0.2.1'
    if host.is_unspecified:
        return f"{text} stands for all addresses; name the one that is meant"
    if host.is_multicast or text == "255.255.255.255":
        return f"{text} is no address of a single machine"
    if str(host) != text:
        return f'"{text}" is written as {host}'
    return ""


def _name_problem(name: str) -> str:
    try:
        encode_host_name(name)
    except ValueError as error:
        return str(error)
    return ""


def endpoint_problem(endpoint: str) -> str:
    """What is wrong with an endpoint string of a client; empty if somebody takes it.

    Arguments are looked at where they are ours; those of other kinds are their parser's affair, which may
    want a reactor, or files that only the daemon can read.
    """
    kind, colon, _ = endpoint.partition(":")
    if not colon or not kind.isidentifier():
        return "it does not begin as tcp:127.0.0.1:22 does, or unix:/run/app.sock"
    # Twisted is slow to import, and few configurations have endpoint strings.
    from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor

    from relaykit.plugins import installed_plugins

    if kind.lower() in _ENDPOINTS:
        return _our_endpoint_problem(kind.lower(), endpoint)
    plugins = (each.prefix for each in installed_plugins(IStreamClientEndpointStringParserWithReactor))
    kinds = {*_ALWAYS, *(each.lower() for each in plugins)}
    if kind.lower() in kinds:
        return ""
    return f"nobody takes {kind}: here; there are {', '.join(sorted({*_ENDPOINTS, *kinds}))}"


def _our_endpoint_problem(kind: str, endpoint: str) -> str:
    from twisted.internet.endpoints import clientFromString
    from twisted.internet.protocol import Factory

    dialed = _Dialed()
    known = "tcp" + endpoint[len(kind) :] if kind == "udp" else endpoint
    try:
        clientFromString(dialed, _FRACTION.sub(r"\1", known)).connect(Factory())
    except TypeError:
        return f"it should look like {_ENDPOINTS[kind]}"
    except ValueError as error:
        return str(error)
    return host_problem(dialed.host) if dialed.host else ""


@define
class _Dialed:
    """Stands for a reactor: learns which host an endpoint would dial."""

    host: str = ""

    def connectTCP(self, host: str, *others: object, **named: object) -> None:
        self.host = host

    def connectUNIX(self, *others: object, **named: object) -> None:
        pass

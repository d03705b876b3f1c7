"""Which forward proxy the environment of a process names, by the variables that curl and others read.

Source: curl(1), ENVIRONMENT and ``--noproxy``.  A connection to a relay server is a tunnel, so
``https_proxy`` is the first that counts; ``http_proxy``, the only one that frp reads, is the next.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

from relaykit.values import Secret

__all__ = ["EXCEPTIONS", "VARIABLES", "proxy_of_environment"]

VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY")
"""Variables that name a proxy, the first that is set counts.

There is no ``HTTP_PROXY``: a web server puts the header ``Proxy`` of a request there."""

EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
"""Variables with the hosts that are reached without it."""

_SEPARATOR = re.compile(r"[,\s]+")
_EVERYTHING = "*"


def proxy_of_environment(environ: Mapping[str, str], host: str, port: int) -> tuple[str, Secret] | None:
    """The variable that names a proxy to a port of a host, and its value; None where there is none.

    This machine itself is reached without one, always.
    """
    named = next((name for name in VARIABLES if environ.get(name)), None)
    if named is None or _is_this_machine(host):
        return None
    exceptions = next((environ[name] for name in EXCEPTIONS if environ.get(name)), "")
    if any(_is_excepted(each, host, port) for each in _SEPARATOR.split(exceptions)):
        return None
    return named, Secret(environ[named])


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else _key(host) == "localhost"


def _is_excepted(entry: str, host: str, port: int) -> bool:
    """Whether an entry means a host: by its name or that of a domain above it, by address or network."""
    if entry == _EVERYTHING:
        return True
    address = _address(host)
    if address is not None and _has_address(entry, address):
        return True
    entry, colon, number = entry.rpartition(":") if _has_port(entry) else (entry, "", "")
    if colon and int(number) != port:
        return False
    if address is not None:
        return address == _address(entry)
    domain = _key(entry.removeprefix(_EVERYTHING))
    return bool(domain) and (_key(host) == domain or _key(host).endswith(f".{domain}"))


def _has_address(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry.removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        return False


def _has_port(entry: str) -> bool:
    host, colon, number = entry.rpartition(":")
    return bool(colon and number.isdecimal()) and (":" not in host or host.endswith("]"))


def _key(name: str) -> str:
    return name.lower().strip(".")

"""Reverse proxies in front of a web service, named by what they speak on either side.

What the service is told of the user by ``X-Forwarded-For``, ``-Host`` and ``-Proto`` is what frp tells it.
"""

from __future__ import annotations

from typing import Final

from relaykit.local_services.reverse_proxies.service import WebService
from relaykit.local_services.reverse_proxies.users import PlainUsers
from relaykit.local_services.targets import parse_target
from relaykit.sansio.http.rewriting import FORWARDED, HeaderRules, Rules, host_problem

__all__ = ["http2http"]

HEADER: Final = "requestHeaders.set."
"""How the arguments begin that set a field of requests, as frp's key for it; the rest is its name."""


def http2http(localAddr: str, hostHeaderRewrite: str = "", **headers: str) -> PlainUsers:
    """HTTP on both sides; the service is told nothing of the user.

    :raises ValueError: an argument makes no sense.
    """
    rules = _rules(hostHeaderRewrite, headers, tells_user=False)
    return PlainUsers(WebService("http2http", parse_target(localAddr)), rules)


def _rules(
    host: str, headers: dict[str, str], tells_user: bool = True, hidden: frozenset[bytes] = FORWARDED
) -> Rules:
    """What is changed in requests.

    :raises ValueError: an argument makes no sense.
    """
    if unknown := [name for name in headers if not name.startswith(HEADER)]:
        raise ValueError(f"there is no {' and no '.join(unknown)}, but {HEADER}NAME")
    if why := host_problem(host):
        raise ValueError(f"hostHeaderRewrite: {why}")
    fields = {name.removeprefix(HEADER): value for name, value in headers.items()}
    return Rules(host.encode(), HeaderRules.of(fields), to_origin=True, tells_user=tells_user, hidden=hidden)

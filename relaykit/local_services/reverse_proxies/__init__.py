"""Reverse proxies in front of a web service, named by what they speak with users, and with the service.

==============  ===========  ============  =======================================================
name            users        the service   ``X-Forwarded-For``, ``-Host``, ``-Proto`` to the service
==============  ===========  ============  =======================================================
``http2http``   HTTP         HTTP          none
``http2https``  HTTP         HTTPS         those that the user, or a proxy in front, sent
``https2http``  HTTPS        HTTP          ours; the user's address after those that were sent
``https2https`` HTTPS        HTTPS         likewise
==============  ===========  ============  =======================================================

What the service is told of the user is what frp tells it.
"""

from __future__ import annotations

from typing import Final

from relaykit.local_services.certificates import ServiceCertificate, ServiceTrust
from relaykit.local_services.reverse_proxies.service import WebService
from relaykit.local_services.reverse_proxies.users import PlainUsers, SecureUsers
from relaykit.local_services.targets import parse_target
from relaykit.sansio.http.rewriting import FORWARDED, HeaderRules, Rules, host_problem

__all__ = ["http2http", "http2https", "https2http", "https2https"]

HEADER: Final = "requestHeaders.set."
"""How the arguments begin that set a field of requests, as frp's key for it; the rest is its name."""

PROTOCOLS: Final = (b"h2", b"http/1.1")
"""What is spoken within TLS, the best first.  Source: RFC 7301 section 6."""

_BOOLEANS = {"true": True, "false": False}


def http2http(localAddr: str, hostHeaderRewrite: str = "", **headers: str) -> PlainUsers:
    """HTTP on both sides.

    :raises ValueError: an argument makes no sense.
    """
    rules = _rules(hostHeaderRewrite, headers, tells_user=False)
    return PlainUsers(_service("http2http", localAddr), rules)


def http2https(
    localAddr: str, hostHeaderRewrite: str = "", trustedCaFile: str = "", **headers: str
) -> PlainUsers:
    """The same for a service that speaks TLS; only a ``trustedCaFile`` (PEM) has its certificate verified.

    :raises ValueError: an argument makes no sense.
    """
    rules = _rules(hostHeaderRewrite, headers, tells_user=False, hidden=frozenset({b"forwarded"}))
    return PlainUsers(_secure_service("http2https", localAddr, trustedCaFile), rules)


def https2http(
    localAddr: str,
    hostHeaderRewrite: str = "",
    crtPath: str = "",
    keyPath: str = "",
    enableHTTP2: str = "true",
    **headers: str,
) -> SecureUsers:
    """TLS ends here, with the certificate in these files (PEM), or one made.

    :raises ValueError: an argument makes no sense.
    """
    service = _service("https2http", localAddr)
    return _secure_users(service, hostHeaderRewrite, headers, crtPath, keyPath, enableHTTP2)


def https2https(
    localAddr: str,
    hostHeaderRewrite: str = "",
    crtPath: str = "",
    keyPath: str = "",
    enableHTTP2: str = "true",
    trustedCaFile: str = "",
    **headers: str,
) -> SecureUsers:
    """The same for a service that speaks TLS itself, as that of :func:`http2https`.

    :raises ValueError: an argument makes no sense.
    """
    service = _secure_service("https2https", localAddr, trustedCaFile)
    return _secure_users(service, hostHeaderRewrite, headers, crtPath, keyPath, enableHTTP2)


def _service(name: str, where: str) -> WebService:
    return WebService(name, parse_target(where))


def _secure_service(name: str, where: str, authorities: str) -> WebService:
    address = parse_target(where)
    return WebService(name, address, ServiceTrust(address.host, authorities))


def _secure_users(
    service: WebService,
    host: str,
    headers: dict[str, str],
    certificate: str,
    key: str,
    enable_http2: str,
) -> SecureUsers:
    offers_http2 = _BOOLEANS.get(enable_http2)
    if offers_http2 is None:
        raise ValueError("enableHTTP2 is true or false")
    shown = ServiceCertificate(certificate, key, PROTOCOLS if offers_http2 else PROTOCOLS[1:])
    return SecureUsers(service, _rules(host, headers), shown, offers_http2)


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

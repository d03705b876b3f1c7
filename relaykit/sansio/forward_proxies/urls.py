"""What names a forward proxy: ``http://user:password@proxy.example:3128``.

No error here quotes what it is about, since that may be a password.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from relaykit.sansio.hostnames import encode_host_name
from relaykit.values import HIGHEST_PORT, Address

if TYPE_CHECKING:
    from relaykit.sansio.http.credentials import Credentials

__all__ = ["DIRECT", "PROXY_KEY", "ForwardProxy", "Scheme", "parse_proxy_url"]

DIRECT: Final = "direct"
"""What stands in the place of a URL where no proxy is to be used, whatever the environment says."""

PROXY_KEY: Final = "transport.proxyURL"
"""The key of a client's file that names the proxy."""

MOST_CREDENTIAL_BYTES = 255
"""Most bytes of a user, and of a password.  Source: RFC 1929 section 2, which is the narrowest."""


class Scheme(enum.Enum):
    """How a proxy is spoken to."""

    HTTP = "http"
    """By CONNECT, in the clear."""
    HTTPS = "https"
    """By CONNECT, within TLS."""
    NTLM = "ntlm"
    """By CONNECT, in the clear, the user proved by NTLM."""
    SOCKS5 = "socks5"


_SCHEMES: Mapping[str, Scheme] = {each.value: each for each in Scheme} | {"socks5h": Scheme.SOCKS5}
"""By the beginning of a URL; curl's ``socks5h`` says what is always so here: the proxy resolves names."""

_USUAL_PORTS: Mapping[Scheme, int] = {Scheme.HTTPS: 443, Scheme.SOCKS5: 1080}
"""Where all programs look for such a proxy; those of HTTP are looked for at 80, 1080 and 3128."""

_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:(?P<user>[^/?#]*)@)?"
    r"(?P<host>\[[^\]/?#@]*\]|[^\[\]:/?#@]*)(?::(?P<port>[0-9]*))?/?"
)


@frozen
class ForwardProxy:
    """A forward proxy, and who asks it; its text tells where it is, and nothing of the user.

    :ivar named_by: what named it, for messages: a key of the configuration or an environment variable.
    """

    scheme: Scheme
    address: Address
    credentials: Credentials | None = field(default=None, repr=False)
    named_by: str = PROXY_KEY

    def __str__(self) -> str:
        return f"{self.scheme.value}://{self.address}"


def parse_proxy_url(text: str, named_by: str = PROXY_KEY, usual_scheme: str = "") -> ForwardProxy:
    """Reads a URL; user and password may be percent-encoded.

    :param usual_scheme: what is meant where it has none; empty if it must have one.
    :raises ValueError: it names no proxy that can be used; the text says why, without any part of the URL.
    """
    url = _URL.fullmatch(text)
    if url is None:
        raise ValueError(
            "must be a URL such as http://proxy.example:3128, with / ? # @ : in a password percent-encoded"
        )
    scheme = _SCHEMES.get((url["scheme"] or usual_scheme).lower())
    if scheme is None:
        raise ValueError(f"must begin with one of {', '.join(f'{each}://' for each in _SCHEMES)}")
    port = int(url["port"]) if url["port"] else _USUAL_PORTS.get(scheme, 0)
    if not 0 < port <= HIGHEST_PORT:
        raise ValueError(f"must end with the port of the proxy, such as :3128, from 1 to {HIGHEST_PORT}")
    credentials = None if url["user"] is None else _credentials(url["user"], scheme)
    if scheme is Scheme.NTLM and credentials is None:
        raise ValueError("must have a user and a password for NTLM, as ntlm://user:password@proxy.example:80")
    return ForwardProxy(scheme, Address(_host(url["host"]), port), credentials, named_by)


def _host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]")
    try:
        if host != text or ":" in host:
            return str(ipaddress.IPv6Address(host))
        encode_host_name(host)
    except ValueError:
        raise ValueError(
            "must have the host of the proxy between the scheme, or the @, and the port"
        ) from None
    return host


def _credentials(text: str, scheme: Scheme) -> Credentials:
    # What reads HTTP takes its time to load.
    from relaykit.sansio.http.credentials import Credentials

    user, _, password = text.partition(":")
    found = Credentials(unquote_to_bytes(user), unquote_to_bytes(password))
    if not found.user:
        raise ValueError("must have a user before the password, as http://user:password@proxy.example:3128")
    if max(len(found.user), len(found.password)) > MOST_CREDENTIAL_BYTES:
        raise ValueError(f"user and password must have no more than {MOST_CREDENTIAL_BYTES} bytes each")
    if scheme in (Scheme.HTTP, Scheme.HTTPS) and b":" in found.user:
        raise ValueError("the user must not have a colon: HTTP cannot tell it from the password")
    return found

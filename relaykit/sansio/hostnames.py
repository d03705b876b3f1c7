"""Names of hosts, as DNS and TLS have them."""

from __future__ import annotations

import functools
import ipaddress
import re

__all__ = [
    "ANY",
    "HIGHEST_NAME_BYTES",
    "MOST_REMEMBERED_CHARACTERS",
    "WILDCARD",
    "domain_key",
    "encode_host_name",
    "host_key",
]

ANY = "*"
"""The domain that every host belongs to."""

WILDCARD = "*."
"""What a domain begins with that all hosts below it belong to."""

HIGHEST_NAME_BYTES = 253
"""Most bytes of a name.  Source: RFC 1035 section 2.3.4, as text and without the final dot."""

HIGHEST_LABEL_BYTES = 63
"""Most bytes between two dots.  Source: RFC 1035 section 2.3.4."""

REMEMBERED_HOSTS = 16 * 1024
"""Hosts whose keys are remembered, since those that are asked for come again and again: those of a large
server.  They are 10 MB at most."""

MOST_REMEMBERED_CHARACTERS = HIGHEST_NAME_BYTES + len(".:65535")
"""Most characters of one that is: a peer may name what no host can be called, and what takes as much room as
a whole head."""

_DOT = re.compile("[.\u3002\uff0e\uff61]")
"""What ends a label.  Source: RFC 3490 section 3.1."""

_LEGAL = re.compile(rb"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
"""Labels of letters, digits and hyphens, and the underscore that real names have in spite of RFC 1123."""

_PORT = re.compile("(:[0-9]*)?")
"""What may follow a host.  Source: RFC 3986 section 3.2.3."""


def encode_host_name(name: str) -> bytes:
    """The ASCII form of a host's name, which is what resolvers and TLS want.

    Neither an IP address in brackets nor a name with a port, a scheme or a blank is one.

    Names that are not ASCII get the form that browsers ask for: that of IDNA 2008, by the mapping of UTS 46,
    and where that knows none, as for emoji, that of IDNA 2003.

    :raises ValueError: no host can have this name; the text says so and why.
        Source: RFC 1123 section 2.1, RFC 5891, UTS 46, RFC 3490.
    """
    try:
        encoded = name.encode("ascii") if name.isascii() else _encode_international(name)
    except UnicodeError:
        encoded = b""
    if len(encoded.removesuffix(b".")) > HIGHEST_NAME_BYTES:
        reason = f"it is longer than {HIGHEST_NAME_BYTES} characters"
    elif _LEGAL.fullmatch(encoded) is None:
        reason = _wrong_label(name)
    else:
        return encoded
    raise ValueError(f'"{name}" is not the name of a host: {reason}')


def host_key(host: str) -> str:
    """What a host is compared by: small letters; without port, final dot, and brackets.

    ``host`` is what a peer names: a Host header, the target of CONNECT, the server name of TLS.  What can be
    no host is compared as it stands.  Source: RFC 9110 section 4.2.3, RFC 4343.
    """
    return _remembered_key(host) if len(host) <= MOST_REMEMBERED_CHARACTERS else _host_key(host)


def _host_key(host: str) -> str:
    if host.startswith("["):
        address, bracket, rest = host[1:].partition("]")
        if bracket and _PORT.fullmatch(rest):
            return _address_key(address)
    elif host.count(":") > 1:
        return _address_key(host)
    elif ":" in host:
        name, _, port = host.partition(":")
        host = name if _PORT.fullmatch(":" + port) else host
    return host.lower().removesuffix(".")


_remembered_key = functools.lru_cache(maxsize=REMEMBERED_HOSTS)(_host_key)


def domain_key(domain: str) -> str:
    """The same for a domain that somebody configures: a host, ``*.`` and a host, or ``*`` for every host.

    Names that are not ASCII get the form in which they are asked for (IDNA).

    :raises ValueError: it can be none of them; the text says so and why.
    """
    if domain == ANY:
        return ANY
    key = host_key(domain)
    if ":" in key:
        try:
            return ipaddress.IPv6Address(key).compressed
        except ValueError as error:
            raise ValueError(f'"{domain}" is neither the name of a host nor an IPv6 address') from error
    wildcard = WILDCARD if key.startswith(WILDCARD) else ""
    return wildcard + encode_host_name(key.removeprefix(wildcard)).decode("ascii").lower().removesuffix(".")


def _address_key(text: str) -> str:
    try:
        return ipaddress.IPv6Address(text).compressed
    except ValueError:
        return text.lower()


def _encode_international(name: str) -> bytes:
    """:raises UnicodeError: it has no ASCII form."""
    # Its tables take a while, and few names need them.
    import idna

    try:
        return idna.encode(name, uts46=True)
    except idna.IDNAError:
        return name.encode("idna")


def _wrong_label(name: str) -> str:
    """Which label, a part between dots, keeps a text from being a name."""
    labels = _DOT.split(name)
    if not all(labels[:-1]) or not labels[0]:
        return "a part between its dots is empty"
    long = next((label for label in labels if len(label) > HIGHEST_LABEL_BYTES), None)
    if long is not None:
        return f'its part "{long}" is longer than {HIGHEST_LABEL_BYTES} characters'
    return f"it must be 1 to {HIGHEST_LABEL_BYTES} letters, digits and hyphens between dots"

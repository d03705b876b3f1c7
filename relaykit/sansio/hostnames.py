"""Names of hosts, as DNS and TLS have them."""

from __future__ import annotations

import re

__all__ = ["encode_host_name"]

HIGHEST_NAME_BYTES = 253
"""Most bytes of a name.  Source: RFC 1035 section 2.3.4, as text and without the final dot."""

_LEGAL = re.compile(rb"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
"""Labels of letters, digits and hyphens, and the underscore that real names have in spite of RFC 1123."""


def encode_host_name(name: str) -> bytes:
    """The ASCII form of a host's name, which is what resolvers and TLS want.

    Neither an IP address in brackets nor a name with a port, a scheme or a blank is one.

    :raises ValueError: no host can have this name; the text says so and why.
        Source: RFC 1123 section 2.1, RFC 3490 (IDNA) for names that are not ASCII.
    """
    try:
        encoded = name.encode("idna")
    except UnicodeError:
        encoded = b""
    if len(encoded.removesuffix(b".")) > HIGHEST_NAME_BYTES:
        raise ValueError(
            f'"{name}" is not the name of a host: it is longer than {HIGHEST_NAME_BYTES} characters'
        )
    if _LEGAL.fullmatch(encoded) is None:
        raise ValueError(
            f'"{name}" is not the name of a host: it must be 1 to 63 letters, digits and hyphens between dots'
        )
    return encoded

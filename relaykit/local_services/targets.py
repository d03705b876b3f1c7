"""Where a local service leads to: a host and a port in one text, as frp's tables have it."""

from __future__ import annotations

from urllib.parse import urlsplit

from relaykit.values import Address

__all__ = ["parse_target"]


def parse_target(text: str, port: int = 0) -> Address:
    """The host and the port of ``localhost:8080`` or ``[::1]:8080``; ``port`` where there is none.

    :raises ValueError: it is not of this form.
    """
    try:
        found = urlsplit(f"//{text}")
        target = Address(found.hostname or "", found.port or port)
    except ValueError as error:
        raise ValueError(f'"{text}" is no host with a port: {error}') from error
    if not (target.host and target.port) or found.netloc != text or found.username is not None:
        raise ValueError(f'"{text}" is no host with a port, such as 127.0.0.1:8080')
    return target

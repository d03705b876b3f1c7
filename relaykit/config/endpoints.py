"""Whether somebody can make sense of an endpoint string, found out before the first user comes."""

from __future__ import annotations

import re

__all__ = ["endpoint_trouble"]

_OURS = {"tcp": "tcp:HOST:PORT", "unix": "unix:PATH"}
"""Kinds that are dialed without asking Twisted, which takes the same arguments."""

_ALWAYS = ("ssl",)
"""A kind that Twisted itself takes besides those; all others are plugins."""

_FRACTION = re.compile(r"(?<!\\)(:timeout=\d+)\.\d+(?=:|$)")
"""A part of a second, which Twisted does not take."""


def endpoint_trouble(endpoint: str) -> str:
    """What is wrong with an endpoint string of a client; empty if somebody takes it.

    Arguments are looked at where they are ours; those of other kinds are their parser's affair, which may
    want a reactor, or files that only the daemon can read.
    """
    kind, colon, _ = endpoint.partition(":")
    if not colon or not kind.isidentifier():
        return "it does not begin as tcp:127.0.0.1:22 does, or unix:/run/app.sock"
    # Twisted is slow to import, and few configurations have endpoint strings.
    from twisted.internet.endpoints import clientFromString
    from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
    from twisted.plugin import getPlugins

    if kind.lower() in _OURS:
        try:
            clientFromString(None, _FRACTION.sub(r"\1", endpoint))
        except TypeError:
            return f"it should look like {_OURS[kind.lower()]}"
        except ValueError as error:
            return str(error)
        return ""
    plugins = (each.prefix for each in getPlugins(IStreamClientEndpointStringParserWithReactor))
    kinds = {*_ALWAYS, *(each.lower() for each in plugins)}
    if kind.lower() in kinds:
        return ""
    return f"nobody takes {kind}: here; there are {', '.join(sorted({*_OURS, *kinds}))}"

"""The configuration files of a direct path: a server, an owner's client, and a visitor's."""

from __future__ import annotations

from collections.abc import Mapping

from relaykit.commands.demo.laboratory import SERVER
from relaykit.commands.token import new_token

__all__ = ["SERVICE_PORT", "USER_PORT", "configuration_files"]

SERVICE_PORT = 7
"""Where the owner's service listens: that of echo.  Source: RFC 862."""

USER_PORT = 1007
"""Where the visitor's machine has that service."""

FALLBACK_MS = 2000
"""How long users wait for a direct path; on a machine that is not busy there is one after half a second."""

_SERVER = """\
bindPort = 7000
stunAddrs = ["{0}", "{1}"]
auth.token = "{token}"
log.format = "json"
"""

_CLIENT = """\
serverAddr = "{0}"
serverPort = 7000
auth.token = "{token}"
log.format = "json"
"""

_OWNER = """
[[proxies]]
name = "echo"
type = "xtcp"
localPort = {service}
secretKey = "{key}"
peers = "relaykit"

[[proxies]]
name = "echo-through-the-relay"
type = "stcp"
localPort = {service}
secretKey = "{key}"
"""

_VISITOR = """
[[visitors]]
name = "direct"
type = "xtcp"
serverName = "echo"
secretKey = "{key}"
peers = "relaykit"
bindPort = {user}
fallbackTo = "relayed"
fallbackTimeoutMs = {fallback_ms}

[[visitors]]
name = "relayed"
type = "stcp"
serverName = "echo-through-the-relay"
secretKey = "{key}"
bindPort = -1
"""


def configuration_files() -> Mapping[str, str]:
    """The texts of the files, by who reads them, with secrets of their own."""
    words = {
        "token": new_token().reveal(),
        "key": new_token().reveal(),
        "service": SERVICE_PORT,
        "user": USER_PORT,
        "fallback_ms": FALLBACK_MS,
    }
    texts = {"server": _SERVER, "owner": _CLIENT + _OWNER, "visitor": _CLIENT + _VISITOR}
    return {who: text.format(*SERVER, **words) for who, text in texts.items()}

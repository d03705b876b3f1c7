"""What the gateway says to who runs ssh: frp's words, and what is shown where there is a terminal."""

from __future__ import annotations

from io import StringIO

import segno

from relaykit.escaping import printable, told
from relaykit.ssh_gateway.asking import TunnelRequest

__all__ = [
    "LOGIN_FAILED",
    "NO_COMMAND",
    "NO_FORWARD",
    "ONE_FORWARD",
    "STOPPED",
    "TOO_MANY",
    "announcement",
    "qr_code",
    "url_of",
    "users_line",
]

LOGIN_FAILED = (
    "login to the server failed: {reason}. "
    "With loginFailExit enabled, no additional retries will be attempted"
)
"""Frp's words; to be formatted."""

STOPPED = "ssh tunnel server closed"
"""Frp's words."""

NO_COMMAND = "no command: say what to publish, as in: ssh -R :80:127.0.0.1:8080 v0@SERVER -p PORT http --help"
"""To who asks for a shell, or for nothing."""

NO_FORWARD = "no port is forwarded: say where the service is, as in: ssh -R :80:127.0.0.1:8080 ..."
"""To who gives a command and no ``-R``."""

ONE_FORWARD = "of several -R only the first one is used; run ssh once for each proxy"
"""To who gives more."""

TOO_MANY = "there are too many tunnels, of your address or in all"
"""To who wants one more."""

QUIET_ZONE = 2
"""Light modules around a QR code; four by the standard (ISO/IEC 18004), and readers need two."""

MOST_URL_LETTERS = 120
"""Of a URL that is made a code: more give one that is too large for most terminals."""

_SCHEMES = {"http": ("http", 80), "https": ("https", 443)}
_UNITS = ("B", "KB", "MB", "GB", "TB")
_UNIT = 1000


def announcement(request: TunnelRequest, address: str) -> str:
    """What is said once users can come."""
    lines = (
        "",
        "frp (via SSH) (Ctrl+C to quit)",
        "",
        f"User: {printable(request.user)}",
        f"ProxyName: {printable(request.name)}",
        f"Type: {request.type}",
        f"RemoteAddress: {told(address)}",
        "",
    )
    return "\n".join(lines)


def url_of(type_name: str, address: str) -> str:
    """What a browser opens; empty where none can."""
    scheme, usual = _SCHEMES.get(type_name, ("", 0))
    first = address.partition(",")[0].removesuffix(f":{usual}")
    return f"{scheme}://{first}" if scheme and first and "*" not in first else ""


def qr_code(url: str, columns: int, rows: int) -> str:
    """The URL as a QR code in lines of half blocks, or empty where it does not fit."""
    if not 0 < len(url) <= MOST_URL_LETTERS:
        return ""
    code = segno.make(url, error="l")
    width = code.symbol_size(border=QUIET_ZONE)[0]
    if width > columns or (width + 1) // 2 >= rows:
        return ""
    drawn = StringIO()
    code.terminal(drawn, border=QUIET_ZONE, compact=True)
    return drawn.getvalue()


def users_line(present: int, total: int, to_users: int, from_users: int, columns: int) -> str:
    """How many users there are and were, and the bytes that they moved, in one line."""
    users = "1 user" if present == 1 else f"{present} users"
    return f"{users} now, {total} in all, {_size(to_users)} to them, {_size(from_users)} from them"[:columns]


def _size(count: float) -> str:
    for unit in _UNITS:
        if count < _UNIT or unit == _UNITS[-1]:
            break
        count /= _UNIT
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"

"""SOCKS 5, from the side of who asks; names are resolved by the proxy.  Source: RFC 1928, RFC 1929."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.forward_proxies.conversation import (
    Conversation,
    Step,
    login_refused,
    refused,
    unreachable,
)
from relaykit.sansio.forward_proxies.urls import ForwardProxy
from relaykit.sansio.hostnames import encode_host_name
from relaykit.values import Address

__all__ = ["connect_by_socks5"]

_VERSION = b"\x05"
_LOGIN_VERSION = b"\x01"
_CONNECT = b"\x05\x01\x00"
_NO_LOGIN, _PASSWORD, _NOTHING = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_NOT_ALLOWED = 2

_REASONS: Mapping[int, str] = {
    1: "it failed, and does not say why",
    _NOT_ALLOWED: "its rules do not allow it: ask who runs it",
    3: "it has no way to that network",
    4: "it has no way to that host, or cannot resolve its name",
    5: "the connection was refused: look whether the server runs, and at serverPort",
    6: "the server did not answer",
    7: "it knows no CONNECT",
    8: "it takes no addresses of this kind",
}
"""Source: RFC 1928 section 6."""


class _PairParser:
    """Reads two bytes: a version, and a code, which is the answer."""

    limit = 2

    def __init__(self, version: bytes) -> None:
        self._version = version

    def feed(self, data: bytes) -> tuple[int, int] | None:
        """Answers the code.

        :raises RemoteProtocolError: it is of another version.
        """
        _check_version(data, self._version)
        return (data[1], 2) if len(data) >= 2 else None


class _ReplyParser:
    """Reads the answer to a request; of one that says yes also the address, which nobody needs."""

    limit = 4 + 1 + 255 + 2

    def feed(self, data: bytes) -> tuple[int, int] | None:
        """Answers the code.

        :raises RemoteProtocolError: it is no answer.
        """
        _check_version(data, _VERSION)
        if len(data) < 2:
            return None
        if data[1]:
            # The connection ends behind it, and some leave out the rest.
            return data[1], 2
        if len(data) < 5:
            return None
        length = {_IPV4: 4, _IPV6: 16, _NAME: 1 + data[4]}.get(data[3])
        if length is None:
            raise RemoteProtocolError("its answer has an address of no known kind")
        end = 4 + length + 2
        return (0, end) if len(data) >= end else None


def connect_by_socks5(proxy: ForwardProxy, target: Address) -> Conversation:
    """Asks for a connection to ``target``; user and password are sent only to a proxy that asks for them."""
    methods = bytes([_NO_LOGIN] if proxy.credentials is None else [_NO_LOGIN, _PASSWORD])
    method = yield Step(_VERSION + bytes([len(methods)]) + methods, _PairParser(_VERSION))
    if method == _PASSWORD and proxy.credentials is not None:
        login = _LOGIN_VERSION + _counted(proxy.credentials.user) + _counted(proxy.credentials.password)
        if (yield Step(login, _PairParser(_LOGIN_VERSION))):
            raise login_refused(proxy, f"does not accept the user and the password in {proxy.named_by}")
    elif method == _NOTHING and proxy.credentials is None:
        raise login_refused(
            proxy,
            f"wants to know who asks: put user and password into {proxy.named_by}, "
            "as socks5://user:password@host:port",
        )
    elif method == _NOTHING:
        raise login_refused(proxy, "takes neither a user with a password nor nobody")
    elif method != _NO_LOGIN:
        raise login_refused(proxy, f"chose a way to log in that was not offered: {method}")
    code = yield Step(_CONNECT + _encode(target), _ReplyParser())
    if code:
        error = refused if code == _NOT_ALLOWED else unreachable
        raise error(proxy, target, _REASONS.get(code, f"it says {code}, which has no meaning"))


def _check_version(data: bytes, version: bytes) -> None:
    if data and data[:1] != version:
        what = "HTTP" if data[:1] == b"H" else "something else"
        raise RemoteProtocolError(f"it speaks {what}, not SOCKS 5")


def _counted(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _encode(target: Address) -> bytes:
    port = target.port.to_bytes(2, "big")
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        return bytes([_NAME]) + _counted(encode_host_name(target.host)) + port
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed + port

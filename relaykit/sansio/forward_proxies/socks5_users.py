"""SOCKS 5 from the side of who is asked, for CONNECT alone, as frp has it.  Source: RFC 1928, RFC 1929."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Mapping
from typing import Any, Final, TypeAlias

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.forward_proxies.conversation import Step
from relaykit.sansio.hostnames import encode_host_name
from relaykit.sansio.http.credentials import Credentials
from relaykit.values import Address

__all__ = ["Requesting", "SocksRefused", "connected", "refusal_of", "serve_socks5"]

_VERSION = 5
_LOGIN_VERSION = 1
_NO_LOGIN, _PASSWORD, _NOTHING = 0, 2, 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_LENGTHS: Mapping[int, int] = {_IPV4: 4, _IPV6: 16}

_NETWORK_UNREACHABLE, _HOST_UNREACHABLE, _REFUSED = 3, 4, 5
_NO_SUCH_COMMAND, _NO_SUCH_ADDRESS = 7, 8
_REPLIES: Mapping[str, int] = {
    "connection-refused": _REFUSED,
    "network-unreachable": _NETWORK_UNREACHABLE,
}
"""What a failure to connect is called in a reply, by its problem; any other means that there is no way."""

_NOWHERE = Address("0.0.0.0", 0)


class SocksRefused(Exception):
    """The user does not get what it asks for; ``answer`` is what it is told before the connection ends."""

    def __init__(self, answer: bytes, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer


Requesting: TypeAlias = Generator[Step, Any, Address]
"""What a user says and is told, up to where it wants to be connected to: the address at the end.

It yields steps and is sent what their parsers answer."""


def serve_socks5(expected: Credentials | None) -> Requesting:
    """Speaks with a user, of whom these credentials are wanted, or none.

    :raises SocksRefused: the user is to be told so and left.
    :raises RemoteProtocolError: it does not speak SOCKS 5 at all.
    """
    method = _NO_LOGIN if expected is None else _PASSWORD
    methods = yield Step(b"", _GREETING)
    if method not in methods:
        raise SocksRefused(bytes([_VERSION, _NOTHING]), _NO_METHOD[method])
    said = bytes([_VERSION, method])
    if expected is not None:
        given = yield Step(said, _LOGIN)
        if not given.match(expected):
            raise SocksRefused(bytes([_LOGIN_VERSION, 1]), "wrong user or password")
        said = bytes([_LOGIN_VERSION, 0])
    target: Address = yield Step(said, _REQUEST)
    return target


def connected(host: Address | None) -> bytes:
    """What a user is told whose connection was made, from this address."""
    return _reply(0, host or _NOWHERE)


def refusal_of(problem: str) -> bytes:
    """What a user is told whose connection could not be made, by the problem of that."""
    return _reply(_REPLIES.get(problem, _HOST_UNREACHABLE), _NOWHERE)


_NO_METHOD: Mapping[int, str] = {
    _NO_LOGIN: "it does not offer to go without a user and a password",
    _PASSWORD: "it does not offer to name a user and a password",
}


def _reply(code: int, host: Address) -> bytes:
    address = ipaddress.ip_address(host.host.partition("%")[0])
    kind = _IPV4 if address.version == 4 else _IPV6
    return bytes([_VERSION, code, 0, kind]) + address.packed + host.port.to_bytes(2, "big")


class _GreetingParser:
    """Reads the greeting; answers the methods that are offered."""

    limit: Final = 2 + 255

    def feed(self, data: bytes) -> tuple[bytes, int] | None:
        _check_version(data, _VERSION)
        if len(data) < 2 or len(data) < 2 + data[1]:
            return None
        end = 2 + data[1]
        return data[2:end], end


class _LoginParser:
    """Reads user and password."""

    limit: Final = 1 + 2 * (1 + 255)

    def feed(self, data: bytes) -> tuple[Credentials, int] | None:
        _check_version(data, _LOGIN_VERSION)
        if len(data) < 2:
            return None
        user_end = 2 + data[1]
        if len(data) <= user_end:
            return None
        end = user_end + 1 + data[user_end]
        return (Credentials(data[2:user_end], data[user_end + 1 : end]), end) if len(data) >= end else None


class _RequestParser:
    """Reads a request; answers where the user wants to be connected to."""

    limit: Final = 4 + 1 + 255 + 2

    def feed(self, data: bytes) -> tuple[Address, int] | None:
        _check_version(data, _VERSION)
        if len(data) < 5:
            return None
        length = 1 + data[4] if data[3] == _NAME else _LENGTHS.get(data[3])
        if length is None:
            raise SocksRefused(_reply(_NO_SUCH_ADDRESS, _NOWHERE), "it names an address of no known kind")
        end = 4 + length + 2
        if len(data) < end:
            return None
        if data[1] != _CONNECT:
            raise SocksRefused(_reply(_NO_SUCH_COMMAND, _NOWHERE), "it wants something other than CONNECT")
        port = int.from_bytes(data[end - 2 : end], "big")
        return Address(_host(data[3], data[4 : end - 2]), port), end


_GREETING, _LOGIN, _REQUEST = _GreetingParser(), _LoginParser(), _RequestParser()


def _check_version(data: bytes, version: int) -> None:
    if data and data[0] != version:
        raise RemoteProtocolError("it does not speak SOCKS 5")


def _host(kind: int, address: bytes) -> str:
    if kind != _NAME:
        return str(ipaddress.ip_address(address))
    name = address[1:].decode("utf-8", "replace")
    try:
        encode_host_name(name)
    except ValueError as error:
        raise SocksRefused(_reply(_HOST_UNREACHABLE, _NOWHERE), f"it names no host: {error}") from error
    return name

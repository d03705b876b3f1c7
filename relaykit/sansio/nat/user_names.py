"""What the users of one visitor are called on its lanes, by whatever way those go.

The relay and a direct path lead to the same backend, which has to know a user who comes by both, and to tell
that user from one who has the same address at another visitor.  So a user is called by an address that no
user has: one for local use (RFC 4193), with a *scope* that the visitor made by chance.  For an IPv4 user it
has the user's own address at its end; one of IPv6 has no room there, and is digested.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from relaykit.values import Address

__all__ = ["SCOPE_BYTES", "UserNames", "is_name", "user_named"]

SCOPE_BYTES: Final = 11
"""Bytes of a scope: nobody guesses that of another visitor, whose users' answers could be had by it."""

_OF_IPV4, _OF_IPV6 = b"\xfd", b"\xfc"
_DIGEST_BYTES: Final = 8
"""Two of one visitor's users with the same port are taken for one with a chance of one in 2 to the 64th."""


class UserNames:
    """The names of one visitor's users."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._scope = entropy(SCOPE_BYTES)

    def name_of(self, user: Address) -> Address:
        """What a user is called, always the same.

        :raises ValueError: the address is none of the Internet protocol.
        """
        parsed = ip_address(user.host)
        if isinstance(parsed, IPv4Address):
            packed = _OF_IPV4 + self._scope + parsed.packed
        else:
            digest = blake2b(user.host.encode(), digest_size=_DIGEST_BYTES, key=self._scope).digest()
            packed = _OF_IPV6 + self._scope[: 15 - _DIGEST_BYTES] + digest
        return Address(str(IPv6Address(packed)), user.port)


def is_name(user: Address) -> bool:
    """Whether an address of a lane is such a name."""
    return _first_byte(user) in (_OF_IPV4, _OF_IPV6)


def user_named(name: Address) -> Address:
    """The user's own address, where the name has it; else the name."""
    if _first_byte(name) != _OF_IPV4:
        return name
    return Address(str(IPv4Address(IPv6Address(name.host).packed[-4:])), name.port)


def _first_byte(user: Address) -> bytes:
    parsed = ip_address(user.host)
    return parsed.packed[:1] if isinstance(parsed, IPv6Address) else b""

"""Who asks: Basic authentication, a user and a password in one field.  Source: RFC 7617."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error

from attrs import field, frozen

from relaykit.sansio.http.answers import PROXY_UNAUTHORIZED, UNAUTHORIZED, Answer
from relaykit.sansio.http.requests import RequestHead

__all__ = ["Credentials", "parse_basic", "unauthorized", "user_of"]


@frozen
class Credentials:
    """A user and a password, as bytes: nobody says in which character set."""

    user: bytes = field(repr=False)
    password: bytes = field(repr=False)

    def match(self, expected: Credentials) -> bool:
        """Whether they are the expected ones; how long that takes tells nothing of those."""
        user = hmac.compare_digest(self.user, expected.user)
        password = hmac.compare_digest(self.password, expected.password)
        return user and password


def parse_basic(value: bytes | None) -> Credentials | None:
    """What ``Authorization`` or ``Proxy-Authorization`` says; None if it says nothing of this kind."""
    if value is None:
        return None
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = b64decode(encoded.strip(b" "), validate=True)
    except Error:
        return None
    user, colon, password = decoded.partition(b":")
    return Credentials(user, password) if colon else None


def user_of(head: RequestHead) -> str:
    """The user that a request names, for its route; empty for nobody.

    Who takes this for a forward proxy may name it to the proxy, or to the site.
    """
    said = head.said
    value = said.authorization
    if head.is_for_proxy and said.proxy_authorization is not None:
        value = said.proxy_authorization
    named = parse_basic(value)
    return "" if named is None else named.user.decode("utf-8", "surrogateescape")


def unauthorized(head: RequestHead, expected: Credentials) -> Answer | None:
    """The answer to a request that does not prove to be of this user; None if it does."""
    said = head.said
    given = parse_basic(said.proxy_authorization if head.is_for_proxy else said.authorization)
    if given is not None and given.match(expected):
        return None
    return PROXY_UNAUTHORIZED if head.is_for_proxy else UNAUTHORIZED

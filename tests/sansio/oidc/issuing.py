"""Tokens as a provider would sign them."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from relaykit.sansio.oidc.answers import Keys

__all__ = ["AUDIENCE", "ISSUER", "KEY", "KEYS", "NEXT_KEY", "UNIX_TIME", "bare", "claims", "public", "signed"]

ISSUER, AUDIENCE = "https://id.example", "relay"
UNIX_TIME = 1_700_000_000.0
KEY = RSAKey.generate_key(2048, {"kid": "now"}, private=True)
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "next"}, private=True)


def public(key: RSAKey) -> RSAKey:
    """What a provider shows of a key."""
    return RSAKey.import_key(key.as_dict(private=False))


KEYS = Keys((public(KEY),))


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says, with changes; None leaves something out."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "edge", "exp": UNIX_TIME + 300, **changes}
    return {name: value for name, value in said.items() if value is not None}


def signed(key: RSAKey = KEY, algorithm: str = "RS256", header: Any = None, **changes: Any) -> str:
    """A token."""
    head = {"alg": algorithm, "kid": key.kid, **(header or {})}
    return jwt.encode(head, claims(**changes), key, algorithms=[algorithm])


def bare(header: bytes, body: bytes = b"{}", signature: bytes = b"") -> str:
    """What looks like a token."""
    parts = (header, body, signature)
    return ".".join(urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts)

"""What a token is worth: who signed it, for whom, for how long; and when newer keys are asked for."""

from __future__ import annotations

import binascii
import json
import warnings
from base64 import urlsafe_b64decode
from typing import Any, Final

from attrs import frozen
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning

from relaykit.escaping import told
from relaykit.sansio.oidc.answers import MOST_TOKEN_BYTES, Keys

__all__ = ["ALGORITHMS", "CLOCK_SKEW_S", "KeyAge", "TokenRefused", "TokenRules", "UnknownKey"]

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signatures that are taken: those that need a private key.  ``none`` and HMAC, whose key would be a public
one, are not among them."""

CLOCK_SKEW_S: Final = 60.0
"""Seconds that the provider's clock and ours may differ."""

FRESH_S: Final = 3600.0
"""Seconds after which keys are asked for again, so that one that was withdrawn does not hold for ever."""

KEPT_S: Final = 24 * 3600.0
"""Seconds that keys hold while the provider cannot be reached."""

PAUSE_S: Final = 10.0
"""Seconds between two times that keys are asked for: anybody can send tokens with unknown keys."""


class TokenRefused(Exception):
    """A token does not hold; the text says why, and has nothing of its secret part."""


class UnknownKey(TokenRefused):
    """No key that is known has signed it; a newer one may have."""


@frozen(kw_only=True)
class TokenRules:
    """What a token must be."""

    issuer: str
    audience: str = ""
    skip_expiry_check: bool = False
    skip_issuer_check: bool = False

    def subject_of(self, token: str, keys: Keys, unix_time: float) -> str:
        """Whom the token is about.

        :raises TokenRefused: it does not hold.
        """
        claims = _signed_claims(token, keys)
        issuer = claims.get("iss")
        if not self.skip_issuer_check and issuer != self.issuer:
            raise TokenRefused(f'its issuer is "{_told(issuer)}" and not "{self.issuer}"')
        audience = claims.get("aud")
        if self.audience and self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefused(f'it is not for the audience "{self.audience}"')
        if not self.skip_expiry_check:
            _check_time(claims, unix_time)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise TokenRefused("it does not say whom it is about (sub)")
        return subject


class KeyAge:
    """When keys are asked for, and how long they hold.

    ``now`` is always in seconds of a clock that goes on.
    """

    def __init__(self) -> None:
        self._had_at: float | None = None
        self._asked_at: float | None = None

    def holds(self, now: float) -> bool:
        """Whether there are keys that may be used."""
        return self._had_at is not None and now - self._had_at < KEPT_S

    def is_due(self, now: float) -> bool:
        """Whether to ask again, whatever arrives."""
        return (self._had_at is None or now - self._had_at >= FRESH_S) and self.may_ask(now)

    def may_ask(self, now: float) -> bool:
        """Whether it is long enough ago that they were asked for."""
        return self._asked_at is None or now - self._asked_at >= PAUSE_S

    def ask(self, now: float) -> None:
        """They are asked for."""
        self._asked_at = now

    def had(self, now: float) -> None:
        """They came."""
        self._had_at = now


def _signed_claims(token: str, keys: Keys) -> dict[str, Any]:
    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused(f'it is signed by "{_told(algorithm)}", which is not taken')
    if kid is not None and not isinstance(kid, str):
        raise TokenRefused("the name of its key is no text")
    for key in keys.for_token(kid, algorithm):
        try:
            # It warns of EdDSA, which has only got further names.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)
                return jwt.decode(token, key, algorithms=[algorithm]).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
    raise UnknownKey("no key of the provider has signed it")


def _header(token: str) -> dict[str, Any]:
    """What is said of the signature; nothing of it holds yet."""
    if len(token) > MOST_TOKEN_BYTES or token.count(".") != 2 or not token.isascii():
        raise TokenRefused("it is no signed JWT: the provider must give out such access tokens")
    encoded = token.partition(".")[0]
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise TokenRefused("it is no signed JWT: the provider must give out such access tokens")
    return header


def _check_time(claims: dict[str, Any], unix_time: float) -> None:
    expires = _number(claims, "exp")
    if expires is None:
        raise TokenRefused("it does not say when it expires (exp)")
    if unix_time >= expires + CLOCK_SKEW_S:
        raise TokenRefused("it has expired; if it is new, compare the clocks of provider and server")
    begins = _number(claims, "nbf")
    if begins is not None and unix_time < begins - CLOCK_SKEW_S:
        raise TokenRefused("it is not valid yet; compare the clocks of provider and server")


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # Infinite and not-a-number compare as nobody expects.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise TokenRefused(f"it has a time that is none ({name})")
    return float(value)


def _told(value: object) -> str:
    return told(str(value)[:200])

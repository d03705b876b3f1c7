"""What a provider answers: its discovery document, its keys, and a token that was asked for."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from attrs import field, frozen
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from relaykit.errors import CredentialError
from relaykit.escaping import told
from relaykit.values import Secret

__all__ = [
    "MOST_KEYS",
    "MOST_TOKEN_BYTES",
    "AnswerError",
    "Grant",
    "Keys",
    "PublicKey",
    "TokenRequest",
    "discovery_url",
    "keys_url",
    "parse_grant",
    "parse_keys",
]

MOST_KEYS: Final = 64
"""Keys of a provider that are kept; one has two or three."""

MOST_TOKEN_BYTES: Final = 16 * 1024
"""Bytes of a token; a login of version 1 of the wire holds 10 KiB."""

_LONGEST_TEXT = 200
"""Characters of a provider's text that are told."""

_LONGEST_LIFE_S = 24 * 3600.0
"""Seconds that a token is kept at most, whatever the provider says."""

PublicKey = RSAKey | ECKey | OKPKey
"""Keys that only a provider can sign with; one of HMAC would let whoever verifies sign, too."""


class AnswerError(CredentialError):
    """A provider answered something else than such a provider does; the text says what."""


@frozen
class Keys:
    """The keys that a provider signs with."""

    keys: tuple[PublicKey, ...] = ()

    def for_token(self, kid: str | None, algorithm: str) -> tuple[PublicKey, ...]:
        """Those that may have signed a token whose header says this; all that fit where it names none."""
        return tuple(each for each in self.keys if _fits(each, kid, algorithm))


@frozen
class Grant:
    """A token, and until when it is good, in seconds of the clock; None for a provider that does not say."""

    token: Secret
    renew_at: float | None
    ends_at: float | None


@frozen(kw_only=True)
class TokenRequest:
    """What asks for a token, by the grant for programs.  Source: RFC 6749 section 4.4."""

    client_id: str
    client_secret: Secret = field(repr=False)
    scope: str = ""
    audience: str = ""
    further: Mapping[str, str] = field(factory=dict, repr=False)

    def body(self, *, with_secret: bool) -> bytes:
        """The form; a provider that takes no HTTP Basic wants id and secret in it."""
        # The scope is there also where it is empty, as frp sends it.
        form = {"grant_type": "client_credentials", "scope": self.scope}
        if self.audience:
            form["audience"] = self.audience
        form.update(self.further)
        if with_secret:
            form.update(client_id=self.client_id, client_secret=self.client_secret.reveal())
        return urlencode(form).encode("ascii")

    def basic(self) -> str:
        """The header ``Authorization``.  Source: RFC 6749 section 2.3.1."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret.reveal())}"
        return "Basic " + b64encode(pair.encode("ascii")).decode("ascii")


def discovery_url(issuer: str) -> str:
    """Where a provider says what it has.  Source: OpenID Connect Discovery 1.0 section 4.1."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def keys_url(body: bytes, issuer: str) -> str:
    """Where the provider's keys are, by its discovery document.

    :raises AnswerError: it is not one, or is that of another issuer.
    """
    document = _object(body)
    told_issuer = document.get("issuer")
    if told_issuer != issuer:
        raise AnswerError(
            f'the provider calls itself "{_told(told_issuer)}": write exactly that as auth.oidc.issuer'
        )
    found = document.get("jwks_uri")
    if not isinstance(found, str) or not found.startswith(("https://", "http://")):
        raise AnswerError("the provider does not say where its keys are (jwks_uri)")
    if issuer.startswith("https://") and not found.startswith("https://"):
        raise AnswerError("the provider offers its keys without TLS, where anybody could replace them")
    return found


def parse_keys(body: bytes) -> Keys:
    """The provider's keys; what is no key for signatures, or is not understood, is passed over.

    :raises AnswerError: there is none.  Source: RFC 7517 section 5.
    """
    listed = _object(body).get("keys")
    if not isinstance(listed, list):
        raise AnswerError("the provider's keys are no set of keys")
    found = [key for each in listed[:MOST_KEYS] if (key := _key(each)) is not None]
    if not found:
        raise AnswerError("the provider has no key that signs tokens")
    return Keys(tuple(found))


def parse_grant(status: int, body: bytes, now: float) -> Grant:
    """The token in an answer.

    :raises AnswerError: there is none; the text has the provider's reason.
    """
    if status != 200:
        raise AnswerError(_refusal(status, body))
    answer = _object(body)
    token = answer.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or len(token) > MOST_TOKEN_BYTES:
        raise AnswerError("the answer has no access_token that could be used")
    life = _seconds(answer.get("expires_in"))
    if life is None:
        return Grant(Secret(token), None, None)
    life = min(life, _LONGEST_LIFE_S)
    return Grant(Secret(token), now + life - min(60.0, life / 4), now + life)


def _refusal(status: int, body: bytes) -> str:
    try:
        answer = _object(body)
    except AnswerError:
        answer = {}
    error, description = answer.get("error"), answer.get("error_description")
    why = ": ".join(_told(each) for each in (error, description) if isinstance(each, str) and each)
    what = _WHAT_TO_DO.get(error if isinstance(error, str) else "", "look at auth.oidc.tokenEndpointURL")
    return f"it answers with status {status}{f' ({why})' if why else ''}: {what}"


_WHAT_TO_DO: Mapping[str, str] = {
    "invalid_client": "look at auth.oidc.clientID and auth.oidc.clientSecret",
    "unauthorized_client": "allow this client the grant client_credentials at the provider",
    "unsupported_grant_type": "allow this client the grant client_credentials at the provider",
    "invalid_scope": "look at auth.oidc.scope, and at what the provider allows this client",
    "invalid_target": "look at auth.oidc.audience and auth.oidc.additionalEndpointParams",
    "invalid_request": "look at auth.oidc.audience, scope and additionalEndpointParams",
    "access_denied": "allow this client the audience and the scope at the provider",
}
"""By the provider's code.  Source: RFC 6749 section 5.2, RFC 8707 section 2."""


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AnswerError("the answer is no JSON object, as that of a provider is")
    return found


def _seconds(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found > 0 else None


def _told(text: object) -> str:
    return told(str(text)[:_LONGEST_TEXT])


def _key(value: object) -> PublicKey | None:
    if not isinstance(value, dict) or value.get("use", "sig") != "sig":
        return None
    try:
        key = JWKRegistry.import_key(value)
        key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _fits(key: PublicKey, kid: str | None, algorithm: str) -> bool:
    given = key.as_dict(private=False)
    if given.get("alg", algorithm) != algorithm or key.key_type != _KEY_TYPES.get(algorithm[:2]):
        return False
    return kid is None or given.get("kid", kid) == kid


_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""The type of key by the beginning of an algorithm's name.  Source: RFC 7518 section 3.1, RFC 8037."""

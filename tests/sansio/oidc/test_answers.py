from __future__ import annotations

import json
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, RSAKey
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.oidc.answers import (
    MOST_KEYS,
    MOST_TOKEN_BYTES,
    AnswerError,
    TokenRequest,
    discovery_url,
    keys_url,
    parse_grant,
    parse_keys,
)
from relaykit.values import Secret

ISSUER = "https://id.example"
RSA = RSAKey.generate_key(2048, {"kid": "one"}, private=True).as_dict(private=False)
EC = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"}, private=True).as_dict(private=False)
JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


class DiscoveryTests(SynchronousTestCase):
    """Tests for the discovery document."""

    def test_urls(self) -> None:
        """The document is below the issuer, and says where the keys are."""
        for issuer in (ISSUER, ISSUER + "/"):
            self.assertEqual(discovery_url(issuer), ISSUER + "/.well-known/openid-configuration")
        document = _json(issuer=ISSUER, jwks_uri=ISSUER + "/keys")
        self.assertEqual(keys_url(document, ISSUER), ISSUER + "/keys")

    def test_wrong(self) -> None:
        """Another issuer, no keys, keys without TLS, and what is no document are refused, with what to do."""
        for body, part in (
            (_json(issuer=ISSUER + "/", jwks_uri="https://k"), "write exactly that as auth.oidc.issuer"),
            (_json(issuer=ISSUER), "jwks_uri"),
            (_json(issuer=ISSUER, jwks_uri="file:///etc/passwd"), "jwks_uri"),
            (_json(issuer=ISSUER, jwks_uri="http://id.example/keys"), "without TLS"),
            (b"<html>", "no JSON object"),
            (b"[" * 100_000, "no JSON object"),
        ):
            error = self.assertRaises(AnswerError, keys_url, body, ISSUER)
            self.assertIn(part, str(error))


class KeysTests(SynchronousTestCase):
    """Tests for sets of keys."""

    def test_chosen(self) -> None:
        """A token gets the keys that fit its header; without a name, all of the right type."""
        keys = parse_keys(_json(keys=[RSA, EC]))
        for kid, algorithm, names in (
            ("one", "RS256", ["one"]),
            (None, "PS256", ["one"]),
            ("two", "ES256", ["two"]),
            ("two", "RS256", []),
            ("three", "RS256", []),
            ("one", "HS256", []),
        ):
            self.assertEqual([each.kid for each in keys.for_token(kid, algorithm)], names)
        bound = parse_keys(_json(keys=[{**RSA, "alg": "RS512"}]))
        self.assertEqual(bound.for_token("one", "RS256"), ())

    def test_passed_over(self) -> None:
        """Keys for encryption, secret ones, those of unknown types and broken ones are; others stay."""
        secret = OctKey.generate_key(256, private=True).as_dict(private=True)
        others = [{**RSA, "use": "enc"}, secret, {"kty": "XMSS"}, {"kty": "RSA", "n": 1}, 5, None, []]
        self.assertEqual(len(parse_keys(_json(keys=[*others, EC])).keys), 1)
        self.assertRaises(AnswerError, parse_keys, _json(keys=others))
        self.assertRaises(AnswerError, parse_keys, _json(keys={}))

    def test_bounded(self) -> None:
        """No more keys are kept than any provider has."""
        self.assertEqual(len(parse_keys(_json(keys=[EC] * (MOST_KEYS + 9))).keys), MOST_KEYS)

    @given(JUNK)
    def test_junk(self, junk: object) -> None:
        """Whatever is there in place of keys is refused, and nothing else happens."""
        for body in (_json(keys=junk), _json(keys=[junk]), _json(keys=[{**EC, "x": junk}])):
            self.assertRaises(AnswerError, parse_keys, body)


class GrantTests(SynchronousTestCase):
    """Tests for asking for a token."""

    request = TokenRequest(
        client_id="an id", client_secret=Secret("a:b"), audience="relay", further={"resource": "r"}
    )

    def test_request(self) -> None:
        """The form is that of frp, an empty scope included; the secret is in the header or in the form."""
        form = b"grant_type=client_credentials&scope=&audience=relay&resource=r"
        self.assertEqual(self.request.body(with_secret=False), form)
        with_secret = form + b"&client_id=an+id&client_secret=a%3Ab"
        self.assertEqual(self.request.body(with_secret=True), with_secret)
        self.assertEqual(b64decode(self.request.basic().removeprefix("Basic ")), b"an+id:a%3Ab")
        self.assertNotIn("a:b", repr(self.request))

    def test_grant(self) -> None:
        """A token is renewed before it ends, by a quarter of its life or a minute."""
        for life, renew_at in ((3600, 3640.0), ("40", 130.0)):
            grant = parse_grant(200, _json(access_token="t", expires_in=life), 100.0)
            self.assertEqual((grant.token, grant.renew_at), (Secret("t"), renew_at))
            self.assertNotIn("'t'", repr(grant))

    def test_without_end(self) -> None:
        """One of which nobody says how long it is good is not kept."""
        lives: tuple[object, ...] = (None, 0, -1, True, "x", "nan", "inf", [], 10**400)
        for life in lives:
            body = json.dumps({"access_token": "t", "expires_in": life}).encode()
            self.assertIsNone(parse_grant(200, body, 0.0).renew_at)

    def test_refused(self) -> None:
        """The provider's reason is told, in a line, with what to do."""
        body = _json(error="invalid_client", error_description="bad\nsecret" + "x" * 9999)
        text = str(self.assertRaises(AnswerError, parse_grant, 401, body, 0.0))
        self.assertIn("auth.oidc.clientSecret", text)
        self.assertNotIn("\n", text)
        self.assertLess(len(text), 600)
        text = str(self.assertRaises(AnswerError, parse_grant, 404, b"<html>", 0.0))
        self.assertIn("auth.oidc.tokenEndpointURL", text)

    def test_unusable(self) -> None:
        """What cannot be a token is refused."""
        for token in (None, 5, "", "\u00e4", "x" * (MOST_TOKEN_BYTES + 1)):
            self.assertRaises(AnswerError, parse_grant, 200, _json(access_token=token), 0.0)

    @given(st.binary(max_size=60) | JUNK.map(lambda junk: json.dumps(junk).encode()), st.integers(200, 500))
    def test_junk(self, body: bytes, status: int) -> None:
        """Junk is refused."""
        self.assertRaises(AnswerError, parse_grant, status, body, 0.0)

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.oidc.answers import MOST_TOKEN_BYTES, Keys, PublicKey
from relaykit.sansio.oidc.tokens import (
    CLOCK_SKEW_S,
    FRESH_S,
    KEPT_S,
    PAUSE_S,
    KeyAge,
    TokenRefused,
    TokenRules,
    UnknownKey,
)
from tests.sansio.oidc.issuing import AUDIENCE, ISSUER, KEY, KEYS, NEXT_KEY, UNIX_TIME, bare, claims, signed

RULES = TokenRules(issuer=ISSUER, audience=AUDIENCE)


class TokenTests(SynchronousTestCase):
    """Tests for what a token is worth."""

    def refused(self, token: str, rules: TokenRules = RULES) -> TokenRefused:
        """A token does not hold; the error."""
        error: TokenRefused = self.assertRaises(TokenRefused, rules.subject_of, token, KEYS, UNIX_TIME)
        return error

    def test_holds(self) -> None:
        """A token that is as it should be tells its subject, whichever good signature it has."""
        for algorithm in ("RS256", "PS512"):
            self.assertEqual(RULES.subject_of(signed(algorithm=algorithm), KEYS, UNIX_TIME), "edge")
        self.assertEqual(RULES.subject_of(signed(aud=["x", AUDIENCE]), KEYS, UNIX_TIME), "edge")
        others: list[tuple[str, PublicKey]] = [
            ("ES256", ECKey.generate_key("P-256", private=True)),
            ("EdDSA", OKPKey.generate_key("Ed25519", private=True)),
        ]
        for algorithm, key in others:
            token = jwt.encode({"alg": algorithm}, claims(), key, algorithms=[algorithm])
            self.assertEqual(RULES.subject_of(token, Keys((key,)), UNIX_TIME), "edge")
        self.flushWarnings()

    def test_claims(self) -> None:
        """Another issuer, another audience, no subject and times that are none are refused."""
        for changes, part in (
            ({"iss": "https://evil.example"}, "issuer"),
            ({"iss": None}, "issuer"),
            ({"aud": "other"}, "audience"),
            ({"aud": None}, "audience"),
            ({"aud": {AUDIENCE: 1}}, "audience"),
            ({"aud": [[AUDIENCE]]}, "audience"),
            ({"sub": None}, "sub"),
            ({"sub": ""}, "sub"),
            ({"sub": 5}, "sub"),
            ({"exp": None}, "exp"),
            ({"exp": "9999999999"}, "exp"),
            ({"exp": True}, "exp"),
            ({"exp": float("inf")}, "exp"),
            ({"exp": float("nan")}, "exp"),
            ({"nbf": "x"}, "nbf"),
        ):
            self.assertIn(part, str(self.refused(signed(**changes))))

    def test_time(self) -> None:
        """A token holds from its beginning to its end, and as long as clocks may differ."""
        cases: tuple[tuple[dict[str, Any], bool], ...] = (
            ({"exp": UNIX_TIME - CLOCK_SKEW_S + 1}, True),
            ({"exp": UNIX_TIME - CLOCK_SKEW_S}, False),
            ({"nbf": UNIX_TIME + CLOCK_SKEW_S}, True),
            ({"nbf": UNIX_TIME + CLOCK_SKEW_S + 1}, False),
        )
        for changes, holds in cases:
            if holds:
                RULES.subject_of(signed(**changes), KEYS, UNIX_TIME)
            else:
                self.assertIn("clocks", str(self.refused(signed(**changes))))

    def test_skipped(self) -> None:
        """What the file skips is not looked at, and all else is."""
        lax = TokenRules(issuer=ISSUER, skip_expiry_check=True, skip_issuer_check=True)
        self.assertEqual(lax.subject_of(signed(iss="x", aud=None, exp=1), KEYS, UNIX_TIME), "edge")
        self.refused(signed(NEXT_KEY), lax)

    def test_signature(self) -> None:
        """Another key, another text and a cut one are refused, as what a newer key may have signed."""
        token = signed()
        self.assertIsInstance(self.refused(signed(NEXT_KEY)), UnknownKey)
        self.assertIsInstance(self.refused(signed(NEXT_KEY, header={"kid": "now"})), UnknownKey)
        head, _, tail = token.split(".")
        self.assertIsInstance(self.refused(f"{head}.{signed(sub='root').split('.')[1]}.{tail}"), UnknownKey)
        for cut in range(0, len(token), 7):
            self.refused(token[:cut])

    def test_never(self) -> None:
        """No signature, and one by HMAC with the public key, are refused whatever the header says."""
        said = json.dumps(claims()).encode()
        for name in ("none", "None", "HS256", "", None, 5, ["RS256"]):
            text = str(self.refused(bare(json.dumps({"alg": name, "kid": "now"}).encode(), said)))
            self.assertIn("not taken", text)
        head = bare(b'{"alg":"HS256","kid":"now"}', said).rpartition(".")[0]
        mac = hmac.digest(KEY.as_pem(private=False), head.encode(), hashlib.sha256)
        self.refused(f"{head}.{bare(mac).partition('.')[0]}")

    def test_keys_of_tokens(self) -> None:
        """A key that the token brings along counts for nothing."""
        token = signed(NEXT_KEY, header={"jwk": NEXT_KEY.as_dict(private=False)})
        self.assertIsInstance(self.refused(token), UnknownKey)

    def test_secret(self) -> None:
        """No error has the token in it."""
        token = signed(aud="other")
        self.assertNotIn(token.rpartition(".")[2], repr(self.refused(token)))

    @given(st.text(max_size=40) | st.binary(max_size=60).map(lambda head: bare(head, b"{}", head)))
    def test_junk(self, junk: str) -> None:
        """Junk is refused, and so is what is too long."""
        self.refused(junk)
        self.refused(signed() + "x" * MOST_TOKEN_BYTES)

    @given(st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.text(max_size=4), max_size=4))
    def test_junk_headers(self, junk: dict[str, object]) -> None:
        """So is a header that has anything else in it."""
        self.refused(bare(json.dumps({**junk, "alg": "RS256", "kid": "now"}).encode(), b"{}", b"x"))

    def test_critical(self) -> None:
        """A header that must be understood, and is not, is refused."""
        self.refused(bare(b'{"alg":"RS256","crit":["x"],"x":1}'))


class KeyAgeTests(SynchronousTestCase):
    """Tests for when keys are asked for."""

    def test_first(self) -> None:
        """At first there is nothing that holds, and they are asked for, again after a pause."""
        age = KeyAge()
        self.assertEqual((age.holds(0), age.is_due(0), age.may_ask(0)), (False, True, True))
        age.ask(0)
        self.assertEqual((age.is_due(PAUSE_S - 1), age.may_ask(PAUSE_S - 1)), (False, False))
        self.assertTrue(age.is_due(PAUSE_S))

    def test_later(self) -> None:
        """Those that came are fresh for a while, and hold longer where no newer ones come."""
        age = KeyAge()
        age.ask(0)
        age.had(1)
        self.assertEqual((age.holds(FRESH_S), age.is_due(FRESH_S), age.may_ask(FRESH_S)), (True, False, True))
        self.assertTrue(age.is_due(FRESH_S + 1))
        self.assertTrue(age.holds(KEPT_S))
        self.assertFalse(age.holds(KEPT_S + 1))

"""Who asks."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.answers import PROXY_UNAUTHORIZED, UNAUTHORIZED
from relaykit.sansio.http.credentials import Credentials, parse_basic, unauthorized, user_of
from relaykit.sansio.http.requests import RequestHead, RequestHeads

ALICE = Credentials(b"alice", b"s3:cret")


def basic(credentials: Credentials) -> bytes:
    """The value that says who one is."""
    return b"Basic " + b64encode(credentials.user + b":" + credentials.password)


def asked(line: bytes = b"GET / HTTP/1.1", **fields: bytes) -> RequestHead:
    """A head with these fields, underscores for hyphens."""
    lines = b"".join(
        b"%b: %b\r\n" % (name.replace("_", "-").encode(), value) for name, value in fields.items()
    )
    found = RequestHeads().feed(line + b"\r\nHost: web.example\r\n" + lines + b"\r\n")
    assert found is not None
    return found[0]


class CredentialsTests(SynchronousTestCase):
    """Basic authentication."""

    def test_parsed(self) -> None:
        """The scheme has any case; the password may have colons, and either may be empty."""
        self.assertEqual(parse_basic(basic(ALICE)), ALICE)
        self.assertEqual(parse_basic(b"bASIC  Og=="), Credentials(b"", b""))

    def test_nonsense(self) -> None:
        """What says nothing of this kind is nobody."""
        for value in (
            None,
            b"",
            b"Basic",
            b"Basic ",
            b"Basic !!!!",
            b"Basic YQ==",
            b"Bearer YTpi",
            b"Basic YTpi x",
        ):
            self.assertIsNone(parse_basic(value))

    @given(st.binary(max_size=40))
    def test_junk(self, value: bytes) -> None:
        """Any value is somebody or nobody."""
        parse_basic(b"Basic " + value)

    def test_secrets(self) -> None:
        """No repr tells them."""
        self.assertNotIn("cret", repr(ALICE))

    def test_access(self) -> None:
        """Both must be the expected ones; a head that names nobody is asked to."""
        self.assertIsNone(unauthorized(asked(Authorization=basic(ALICE)), ALICE))
        for fields in ({}, {"Authorization": b"x"}, {"Proxy_Authorization": basic(ALICE)}):
            self.assertIs(unauthorized(asked(**fields), ALICE), UNAUTHORIZED)
        for wrong in (
            Credentials(b"alice", b""),
            Credentials(b"", ALICE.password),
            Credentials(b"alic", b"s3:cret"),
        ):
            self.assertIs(unauthorized(asked(Authorization=basic(wrong)), ALICE), UNAUTHORIZED)

    def test_forward_proxy(self) -> None:
        """Who takes this for a forward proxy names itself to the proxy; for the route, to either."""
        for line in (b"GET http://web.example/ HTTP/1.1", b"CONNECT web.example:80 HTTP/1.1"):
            to_site, to_proxy = (
                asked(line, Authorization=basic(ALICE)),
                asked(line, Proxy_Authorization=basic(ALICE)),
            )
            self.assertIs(unauthorized(to_site, ALICE), PROXY_UNAUTHORIZED)
            self.assertIsNone(unauthorized(to_proxy, ALICE))
            self.assertEqual((user_of(to_site), user_of(to_proxy)), ("alice", "alice"))

    def test_user(self) -> None:
        """The route of a request depends on the user that it names, proven or not."""
        self.assertEqual(user_of(asked(Authorization=basic(ALICE))), "alice")
        self.assertEqual(user_of(asked(Proxy_Authorization=basic(ALICE))), "")
        self.assertEqual(user_of(asked(Authorization=b"Bearer x")), "")

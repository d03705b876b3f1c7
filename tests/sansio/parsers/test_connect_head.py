"""Tests for heads of requests for tunnels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.http.credentials import Credentials
from relaykit.sansio.parsers.connect_head import (
    MOST_HEAD_BYTES,
    NO_CREDENTIALS,
    ConnectHead,
    ConnectHeadParser,
)
from relaykit.testing.cuts import recognize, refuse

U_P = b"Basic dTpw"
"""The user ``u`` with the password ``p``."""


def head(*fields: bytes, line: bytes = b"CONNECT a.example:443 HTTP/1.1") -> bytes:
    """A request."""
    return b"\r\n".join((line, *fields, b"", b""))


class ConnectHeadTests(SynchronousTestCase):
    """Tests for :class:`ConnectHeadParser`."""

    def read(self, data: bytes) -> ConnectHead:
        """What a head says, which is cut in every way."""
        found = recognize(ConnectHeadParser(), data)
        assert isinstance(found, ConnectHead)
        return found

    def test_target(self) -> None:
        """The host of the target counts, with or without a port; no field is needed."""
        for target, host in (
            (b"a.example:443", "a.example"),
            (b"A.example.", "A.example."),
            (b"192.0.2.1:22", "192.0.2.1"),
            (b"[2001:db8::1]:22", "[2001:db8::1]"),
            (b"my_host:1", "my_host"),
        ):
            for version in (b"1.0", b"1.1"):
                line = b"CONNECT " + target + b" HTTP/" + version
                self.assertEqual(self.read(head(line=line)), ConnectHead(host, NO_CREDENTIALS))
                self.assertEqual(self.read(head(b"Host: other.example", line=line)).host, host)

    def test_credentials(self) -> None:
        """Users name themselves to the proxy by Basic; what cannot be read is nobody."""
        for value, found in (
            (U_P, Credentials(b"u", b"p")),
            (b"basic   dTpw  ", Credentials(b"u", b"p")),
            (b"Basic dTpwOng=", Credentials(b"u", b"p:x")),
            (b"Basic Og==", NO_CREDENTIALS),
            (b"Basic dQ==", NO_CREDENTIALS),
            (b"Basic dTp", NO_CREDENTIALS),
            (b"Basic d!Tpw", NO_CREDENTIALS),
            (b"Bearer dTpw", NO_CREDENTIALS),
            (b"", NO_CREDENTIALS),
        ):
            self.assertEqual(self.read(head(b"PROXY-authorization:" + value)).credentials, found)
        self.assertEqual(self.read(head(b"Authorization: " + U_P)).credentials, NO_CREDENTIALS)

    def test_largest(self) -> None:
        """A head may have so many bytes."""
        filling = b"X: " + b"x" * (MOST_HEAD_BYTES - len(head(b"X: ")))
        self.assertEqual(len(head(filling)), MOST_HEAD_BYTES)
        self.assertEqual(ConnectHeadParser().feed(head(filling)), (self.read(head()), MOST_HEAD_BYTES))
        self.assertIsNone(ConnectHeadParser().feed(head(filling + b"x")))

    def test_refused(self) -> None:
        """What is no request for a tunnel, or could be read in two ways, is refused."""
        for data in (
            b"GET http://a.example/ HTTP/1.1\r\n\r\n",
            b"connect a.example:443 HTTP/1.1\r\n\r\n",
            b"HELLO\r\n\r\n",
            b"\r\n" + head(),
            head(line=b"CONNECT  a.example:443 HTTP/1.1"),
            head(line=b"CONNECT a.example:443"),
            head(line=b"CONNECT a.example:443 HTTP/2.0"),
            head(line=b"CONNECT a.example:443 HTTP/1.1 "),
            head(line=b"CONNECT a.example:4\x0043 HTTP/1.1"),
            head(line=b"CONNECT http://a.example/ HTTP/1.1"),
            head(line=b"CONNECT u@a.example:443 HTTP/1.1"),
            head(line=b"CONNECT :443 HTTP/1.1"),
            head(line=b"CONNECT a.example:443:1 HTTP/1.1"),
            head(line=b"CONNECT a.example:443 HTTP/1.1\nX: y"),
            head(b"X : y"),
            head(b" folded"),
            head(b"X: y\rz"),
            head(b"X: y\nz"),
            head(b"X: \0"),
            head(b"no colon"),
            head(b"Content-Length: 5"),
            head(b"Transfer-Encoding: chunked"),
            head(b"Transfer-Encoding: 0"),
            head(b"Content-Length: 0", b"Content-Length: 5"),
            head(b"Proxy-Authorization: " + U_P, b"proxy-authorization: " + U_P),
        ):
            refuse(ConnectHeadParser(), data)
        self.assertEqual(self.read(head(b"Content-Length: 0")).host, "a.example")

    @given(st.binary(max_size=200), st.integers(0, 60))
    def test_junk(self, junk: bytes, at: int) -> None:
        """Whatever comes is read, refused or waited for."""
        good = head(b"Proxy-Authorization: " + U_P)
        for data in (junk, good[:at] + junk, good[:at] + junk + good[at:]):
            try:
                found = ConnectHeadParser().feed(data)
            except RemoteProtocolError:
                continue
            if found is not None:
                self.assertLessEqual(found[1], len(data))

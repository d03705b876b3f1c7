"""CONNECT: what is said, what is read, what a refusal means; and NTLM over it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ForwardProxyError, RemoteProtocolError
from relaykit.sansio.forward_proxies.http_connect import (
    MOST_BODY_BYTES,
    MOST_INTERIM,
    AnswerParser,
    connect_by_http,
)
from relaykit.sansio.forward_proxies.urls import ForwardProxy, parse_proxy_url
from relaykit.testing.cuts import feed_every_cut, refuse
from relaykit.values import Address
from tests.sansio.forward_proxies.conversing import sent_in

NOBODY = parse_proxy_url("http://p.example:3128")
SOMEBODY = parse_proxy_url("http://user:hush@p.example:3128")
OF_NTLM = parse_proxy_url("ntlm://user:hush@p.example:3128")
TARGET = Address("relay.example", 7000)
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def head(status: bytes, *fields: bytes) -> bytes:
    """An answer without body."""
    return b"\r\n".join((b"HTTP/1.1 " + status, *fields, b"", b""))


class Proof:
    """Stands for NTLM: its messages tell what it was asked."""

    def step(self, challenge: bytes | None) -> bytes:
        """The next message."""
        return b"hello" if challenge is None else b"answer to " + challenge


def said(
    proxy: ForwardProxy,
    *answers: bytes,
    make_ntlm: Callable[[], Proof] | None = None,
    target: Address = TARGET,
) -> list[bytes]:
    """What is sent to a proxy that answers so."""
    return sent_in(connect_by_http(proxy, target, make_ntlm), *answers)


def ntlm(name: bytes, message: bytes) -> bytes:
    """The request with a message of NTLM."""
    return (
        b"CONNECT relay.example:7000 HTTP/1.1\r\nHost: relay.example:7000\r\nUser-Agent: relaykit\r\n"
        b"Proxy-Authorization: " + name + b" " + b64encode(message) + b"\r\n\r\n"
    )


class ConnectTests(SynchronousTestCase):
    """Tests for :func:`connect_by_http` without NTLM."""

    def test_open(self) -> None:
        """One request; the tunnel begins right behind the head of the answer, whatever that has in it."""
        request = (
            b"CONNECT relay.example:7000 HTTP/1.1\r\nHost: relay.example:7000\r\nUser-Agent: relaykit\r\n\r\n"
        )
        for answer in (
            OPEN,
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            head(b"204 Fine", b"Content-Length: 10", b"Proxy-Agent: x"),
        ):
            self.assertEqual(said(NOBODY, answer), [request, b"open"])

    def test_ipv6(self) -> None:
        """An address of IPv6 has its brackets."""
        (request,) = said(NOBODY, target=Address("2001:db8::1", 443))
        self.assertTrue(
            request.startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n")
        )

    def test_other_letters(self) -> None:
        """A name that is not ASCII is asked for in the form that is."""
        (request,) = said(NOBODY, target=Address("b\u00fccher.example", 443))
        self.assertTrue(request.startswith(b"CONNECT xn--bcher-kva.example:443 HTTP/1.1\r\n"))

    def test_password(self) -> None:
        """User and password are shown at once."""
        request, opened = said(SOMEBODY, OPEN)
        self.assertIn(b"\r\nProxy-Authorization: Basic " + b64encode(b"user:hush") + b"\r\n", request)
        self.assertEqual(opened, b"open")

    def test_interim(self) -> None:
        """Answers before the real one are passed over, but not for ever."""
        interim = head(b"103 Early Hints")
        self.assertEqual(said(NOBODY, *[interim] * MOST_INTERIM, OPEN)[1:], [b""] * MOST_INTERIM + [b"open"])
        self.assertRaises(ForwardProxyError, said, NOBODY, *[interim] * (MOST_INTERIM + 1))

    def test_refusals(self) -> None:
        """What the proxy said, what it means, and what to do."""
        basic = b'Proxy-Authenticate: Basic realm="x"'
        for proxy, answer, problem, parts in (
            (
                NOBODY,
                head(b"407 Proxy Authentication Required", basic, b"Proxy-Authenticate: NTLM"),
                "proxy-login",
                [
                    "407 Proxy Authentication Required",
                    "by Basic, NTLM",
                    "into transport.proxyURL, as http://u",
                ],
            ),
            (
                SOMEBODY,
                head(b"407 No", basic, b"Connection: close"),
                "proxy-login",
                ["does not accept the user and the password in transport.proxyURL (407 No); it takes Basic"],
            ),
            (
                NOBODY,
                head(b"407 No", b"Connection: close"),
                "proxy-login",
                ["a way that it does not name"],
            ),
            (
                NOBODY,
                head(b"403 Forbidden", b"X-Squid-Error: ERR_ACCESS_DENIED 0"),
                "proxy-refused",
                ["403 Forbidden, ERR_ACCESS_DENIED 0", "the port 443 only"],
            ),
            (NOBODY, head(b"405 No"), "proxy-refused", ["no proxy for tunnels"]),
            (NOBODY, head(b"302 Found"), "proxy-refused", ["302 Found"]),
            (
                NOBODY,
                head(b"503 Service Unavailable", b"X-Squid-Error: ERR_DNS_FAIL 0"),
                "proxy-cannot-connect",
                ["503 Service Unavailable, ERR_DNS_FAIL 0; look at serverAddr"],
            ),
            (NOBODY, head(b"504 \x1b[2J\xff"), "", []),
            (NOBODY, head(b"504 \xff" + b"x" * 2000), "proxy-cannot-connect", ["504 \ufffdxxx", "xxx..."]),
        ):
            if not problem:
                self.assertRaises(RemoteProtocolError, AnswerParser().feed, answer)
                continue
            error = self.assertRaises(ForwardProxyError, said, proxy, answer)
            self.assertEqual(error.problem, problem)
            for part in ["http://p.example:3128", *parts]:
                self.assertIn(part, str(error))
            self.assertNotIn("hush", str(error))

    def test_not_http(self) -> None:
        """What is not HTTP is noticed at its first byte, and a head has an end."""
        for data in (b"\x05\x00", b"SSH-2.0-x\r\n", b"HTTP/2"):
            refuse(AnswerParser(), data)
        endless = b"HTTP/1.1 200 OK\r\nX: " + b"x" * AnswerParser.limit
        self.assertRaises(RemoteProtocolError, AnswerParser().feed, endless)

    @given(st.binary(max_size=200))
    def test_junk(self, data: bytes) -> None:
        """Any bytes are an answer, the beginning of one, or refused, wherever they are cut."""

        def fed(portions: object) -> object:
            held = b""
            for portion in portions:  # type: ignore[attr-defined]  # a sequence of bytes
                held += portion
                try:
                    found = AnswerParser().feed(held)
                except RemoteProtocolError as error:
                    return type(error)
                if found is not None:
                    return found[1]
            return None

        for start in (b"", b"HTTP/1.1 200", b"HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"):
            feed_every_cut(start + data, fed)


class NtlmTests(SynchronousTestCase):
    """The same with NTLM."""

    def said(self, *answers: bytes) -> list[bytes]:
        """As :func:`said`."""
        return said(OF_NTLM, *answers, make_ntlm=Proof)

    def test_proved(self) -> None:
        """The challenge comes with a page, in one of three forms, behind which the connection goes on."""
        challenge = b"Proxy-Authenticate: NTLM " + b64encode(b"you")
        for body in (
            head(b"407 No", challenge, b"Content-Length: 5") + b"<html",
            head(b"407 No", b"Proxy-Authenticate: Negotiate", challenge, b"Content-Length: 0"),
            head(b"407 No", challenge, b"Transfer-Encoding: chunked") + b"5\r\n<html\r\n0\r\n\r\n",
        ):
            self.assertEqual(
                self.said(body, OPEN), [ntlm(b"NTLM", b"hello"), ntlm(b"NTLM", b"answer to you"), b"open"]
            )

    def test_other_name(self) -> None:
        """Who does not know the one name is asked by the other."""
        self.assertEqual(
            self.said(
                head(b"407 No", b"Proxy-Authenticate: Negotiate", b"Content-Length: 0"),
                head(
                    b"407 No",
                    b"Proxy-Authenticate: Negotiate " + b64encode(b"you"),
                    b"Content-Length: 0",
                ),
                OPEN,
            ),
            [
                ntlm(b"NTLM", b"hello"),
                ntlm(b"Negotiate", b"hello"),
                ntlm(b"Negotiate", b"answer to you"),
                b"open",
            ],
        )

    def test_nobody_asks(self) -> None:
        """A proxy that lets in without a proof gets none."""
        self.assertEqual(self.said(OPEN), [ntlm(b"NTLM", b"hello"), b"open"])

    def test_refused(self) -> None:
        """A proof that is not accepted, one that is not asked for, and a connection that does not go on."""
        challenge = b"Proxy-Authenticate: NTLM " + b64encode(b"you")
        asked = head(b"407 No", challenge, b"Content-Length: 0")
        nothing = head(b"407 No", b"Proxy-Authenticate: Basic", b"Content-Length: 0")
        for answers, why in (
            ((asked, nothing), "does not accept the user and the password"),
            ((nothing, nothing), "it takes Basic"),
            ((head(b"407 No", b"Proxy-Authenticate: NTLM !", b"Connection: close"),), "does not accept"),
            ((head(b"407 No", challenge, b"Connection: close"),), "ends the connection amid NTLM"),
            ((head(b"407 No", challenge),), "ends the connection amid NTLM"),
            (
                (head(b"407 No", challenge, b"Content-Length: %d" % (MOST_BODY_BYTES + 1)),),
                "ends the connection amid NTLM",
            ),
        ):
            error = self.assertRaises(ForwardProxyError, self.said, *answers)
            self.assertIn(why, str(error))
            self.assertEqual(error.problem, "proxy-login")

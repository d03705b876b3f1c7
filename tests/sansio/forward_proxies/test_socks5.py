"""SOCKS 5: what is said, what is read, what a refusal means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ForwardProxyError, RemoteProtocolError
from relaykit.sansio.forward_proxies.socks5 import _PairParser, _ReplyParser, connect_by_socks5
from relaykit.sansio.forward_proxies.urls import ForwardProxy, parse_proxy_url
from relaykit.testing.cuts import refuse
from relaykit.values import Address
from tests.sansio.forward_proxies.conversing import sent_in

NOBODY = parse_proxy_url("socks5://p.example:1080")
SOMEBODY = parse_proxy_url("socks5://user:hush@p.example:1080")
TARGET = Address("relay.example", 7000)
REQUEST = b"\x05\x01\x00\x03\x0drelay.example\x1b\x58"


def said(proxy: ForwardProxy, target: Address, *answers: bytes) -> list[bytes]:
    """What is sent to a proxy that answers so."""
    return sent_in(connect_by_socks5(proxy, target), *answers)


class Socks5Tests(SynchronousTestCase):
    """Tests for :func:`connect_by_socks5`."""

    def test_nobody(self) -> None:
        """Without credentials none are offered; the name is for the proxy to resolve."""
        for reply in (b"\x01" + bytes(6), b"\x03\x05hello\0\0", b"\x04" + bytes(18)):
            self.assertEqual(
                said(NOBODY, TARGET, b"\x05\x00", b"\x05\x00\x00" + reply),
                [b"\x05\x01\x00", REQUEST, b"open"],
            )

    def test_password(self) -> None:
        """User and password are sent to a proxy that asks for them, and to no other."""
        reply = b"\x05\x00\x00\x01" + bytes(6)
        self.assertEqual(
            said(SOMEBODY, TARGET, b"\x05\x02", b"\x01\x00", reply),
            [b"\x05\x02\x00\x02", b"\x01\x04user\x04hush", REQUEST, b"open"],
        )
        self.assertEqual(said(SOMEBODY, TARGET, b"\x05\x00", reply), [b"\x05\x02\x00\x02", REQUEST, b"open"])

    def test_targets(self) -> None:
        """Addresses travel as such, and names in the form of DNS."""
        for host, encoded in (
            ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
            ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
            ("bücher.example", b"\x03\x15xn--bcher-kva.example"),
        ):
            sent = said(NOBODY, Address(host, 443), b"\x05\x00")
            self.assertEqual(sent[1], b"\x05\x01\x00" + encoded + b"\x01\xbb")

    def test_logins(self) -> None:
        """Whom it does not let in is told so, and what to do."""
        for proxy, answers, why in (
            (NOBODY, [b"\x05\xff"], "put user and password into transport.proxyURL, as socks5://"),
            (SOMEBODY, [b"\x05\xff"], "takes neither a user with a password nor nobody"),
            (NOBODY, [b"\x05\x02"], "chose a way to log in that was not offered: 2"),
            (SOMEBODY, [b"\x05\x01"], "chose a way to log in that was not offered: 1"),
            (SOMEBODY, [b"\x05\x02", b"\x01\x01"], "does not accept the user and the password"),
        ):
            error = self.assertRaises(ForwardProxyError, said, proxy, TARGET, *answers)
            self.assertIn(why, str(error))
            self.assertIn("socks5://p.example:1080", str(error))
            self.assertNotIn("hush", str(error))
            self.assertEqual(error.problem, "proxy-login")

    def test_refusals(self) -> None:
        """Each code is told in words; the rest of such an answer may be missing."""
        for code, problem, why in (
            (1, "proxy-cannot-connect", "does not say why"),
            (2, "proxy-refused", "its rules do not allow it"),
            (3, "proxy-cannot-connect", "no way to that network"),
            (4, "proxy-cannot-connect", "cannot resolve its name"),
            (5, "proxy-cannot-connect", "the connection was refused"),
            (6, "proxy-cannot-connect", "did not answer"),
            (7, "proxy-cannot-connect", "knows no CONNECT"),
            (8, "proxy-cannot-connect", "no addresses of this kind"),
            (77, "proxy-cannot-connect", "it says 77"),
        ):
            error = self.assertRaises(ForwardProxyError, said, NOBODY, TARGET, b"\x05\x00", bytes([5, code]))
            self.assertIn(why, str(error))
            self.assertIn("relay.example:7000", str(error))
            self.assertEqual(error.problem, problem)

    def test_malformed(self) -> None:
        """What is not SOCKS 5 is noticed at its first byte, and an address of no kind at its fifth."""
        parsers = _PairParser(b"\x05"), _ReplyParser()
        for parser in parsers:
            self.assertIn("it speaks HTTP", str(refuse(parser, b"HTTP/1.1 400 Bad Request\r\n")))
            self.assertIn("it speaks something else", str(refuse(parser, b"\x04\x5b")))
        self.assertIn("no known kind", str(refuse(_ReplyParser(), b"\x05\x00\x00\x02\x00")))

    @given(st.binary(max_size=300))
    def test_junk(self, data: bytes) -> None:
        """Any bytes are an answer, the beginning of one, or refused; none is longer than the limit."""
        for parser in (_PairParser(b"\x05"), _PairParser(b"\x01"), _ReplyParser()):
            for start in (b"", b"\x05", b"\x05\x00\x00"):
                try:
                    found = parser.feed(start + data)
                except RemoteProtocolError:
                    continue
                if found is None:
                    self.assertLess(len(start + data), parser.limit)
                else:
                    self.assertLessEqual(found[1], parser.limit)

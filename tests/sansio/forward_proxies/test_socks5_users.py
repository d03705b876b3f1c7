"""SOCKS 5 from the side of who is asked: what is told to whom, however its bytes are cut."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.forward_proxies.socks5_users import (
    SocksRefused,
    connected,
    refusal_of,
    serve_socks5,
)
from relaykit.sansio.http.credentials import Credentials
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import Address

ALICE = Credentials(b"alice", b"wonder")
LOGIN = b"\x01\x05alice\x06wonder"
REQUEST = b"\x05\x01\x00\x03\x0bexample.com\x00\x50"
NOWHERE = b"\x00\x01" + bytes(6)


def served(expected: Credentials | None, portions: Sequence[bytes]) -> tuple[bytes, object]:
    """What a user is told that sends this, and what becomes of it: where it goes, why not, or what waits."""
    serving = serve_socks5(expected)
    said, held = b"", b""
    step = next(serving)
    try:
        said += step.request
        for portion in portions:
            held += portion
            while (found := step.answer.feed(held)) is not None:
                assert len(held) <= step.answer.limit + len(portion)
                answer, length = found
                held = held[length:]
                step = serving.send(answer)
                said += step.request
    except StopIteration as end:
        return said, end.value
    except SocksRefused as refused:
        return said + refused.answer, str(refused)
    except RemoteProtocolError as error:
        return said, str(error)
    return said, len(held)


class ServeSocks5Tests(SynchronousTestCase):
    """Tests for :func:`serve_socks5`."""

    def told(self, data: bytes, expected: Credentials | None = None) -> tuple[bytes, object]:
        """What comes of these bytes, however they are cut."""
        return feed_every_cut(data, lambda portions: served(expected, portions))

    def test_anybody(self) -> None:
        """Without credentials anybody is connected to a name, an address of IPv4 or one of IPv6."""
        for address, host in (
            (b"\x03\x0bexample.com", "example.com"),
            (b"\x01\x7f\x00\x00\x01", "127.0.0.1"),
            (b"\x04" + bytes(15) + b"\x01", "::1"),
        ):
            data = b"\x05\x02\x02\x00\x05\x01\x00" + address + b"\x01\xbb"
            self.assertEqual(self.told(data), (b"\x05\x00", Address(host, 443)))

    def test_password(self) -> None:
        """Where credentials are wanted, the right ones let in."""
        self.assertEqual(
            self.told(b"\x05\x02\x00\x02" + LOGIN + REQUEST, ALICE),
            (b"\x05\x02\x01\x00", Address("example.com", 80)),
        )

    def test_wrong_password(self) -> None:
        """Others are told so, a right user with a wrong password and the other way round alike."""
        for login in (b"\x01\x05alice\x01x", b"\x01\x03bob\x06wonder", b"\x01\x00\x00"):
            said, why = self.told(b"\x05\x01\x02" + login, ALICE)
            self.assertEqual((said, why), (b"\x05\x02\x01\x01", "wrong user or password"))

    def test_no_method(self) -> None:
        """Who offers no acceptable way to log in is told so."""
        for methods, expected in ((b"\x02", None), (b"\x00", ALICE), (b"\x01\x80", ALICE)):
            said, _ = self.told(b"\x05%c" % len(methods) + methods, expected)
            self.assertEqual(said, b"\x05\xff")
        self.assertEqual(self.told(b"\x05\x00")[0], b"\x05\xff")

    def test_commands(self) -> None:
        """Nothing but CONNECT is done, as at frp: neither BIND, nor UDP ASSOCIATE, nor what nobody knows."""
        for command in (0, 2, 3, 9, 255):
            said, why = self.told(b"\x05\x01\x00\x05%c\x00\x01\x7f\x00\x00\x01\x00\x50" % command)
            self.assertEqual(said, b"\x05\x00\x05\x07" + NOWHERE)
            self.assertEqual(why, "it wants something other than CONNECT")

    def test_addresses(self) -> None:
        """A kind of address that nobody knows, and a name that no host can have, are refused."""
        said, _ = self.told(b"\x05\x01\x00\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x50")
        self.assertEqual(said, b"\x05\x00\x05\x08" + NOWHERE)
        for name in (b"a b", b"", b"\xff\xff", b"-" * 64):
            said, _ = self.told(b"\x05\x01\x00\x05\x01\x00\x03%c%b\x00\x50" % (len(name), name))
            self.assertEqual(said, b"\x05\x00\x05\x04" + NOWHERE)

    def test_something_else(self) -> None:
        """Who speaks SOCKS 4, HTTP or nothing known is told nothing."""
        for data in (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
            self.assertEqual(self.told(data), (b"", "it does not speak SOCKS 5"))
        self.assertEqual(self.told(b"\x05\x01\x00\x04"), (b"\x05\x00", "it does not speak SOCKS 5"))

    @given(st.binary(max_size=700), st.booleans())
    def test_junk(self, data: bytes, with_password: bool) -> None:
        """Whatever comes is answered, refused or waited for, and what is waited for is bounded."""
        greeting = b"\x05\x01\x02" if with_password else b"\x05\x01\x00"
        for begun in (b"", greeting, greeting + LOGIN):
            _, outcome = served(ALICE if with_password else None, [begun + data])
            if isinstance(outcome, int):
                self.assertLess(outcome, 514)


class RepliesTests(SynchronousTestCase):
    """Tests for what a user is told of its connection."""

    def test_connected(self) -> None:
        """It is told from where the connection was made, as far as that is known."""
        self.assertEqual(connected(Address("192.0.2.1", 258)), b"\x05\x00\x00\x01\xc0\x00\x02\x01\x01\x02")
        self.assertEqual(connected(Address("::1", 1))[:4], b"\x05\x00\x00\x04")
        self.assertEqual(connected(None), b"\x05\x00" + NOWHERE)
        self.assertEqual(len(connected(Address("fe80::1%eth0", 1))), 22)

    def test_refusals(self) -> None:
        """It is told the kind of failure: refused, no network, or no way to the host."""
        for problem, code in (
            ("connection-refused", 5),
            ("network-unreachable", 3),
            ("unknown-host", 4),
            ("no-answer", 4),
        ):
            self.assertEqual(refusal_of(problem), b"\x05%c" % code + NOWHERE)

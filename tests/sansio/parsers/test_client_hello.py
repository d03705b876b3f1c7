"""Tests for the ClientHello of TLS."""

from __future__ import annotations

import ssl

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.parsers.client_hello import (
    MOST_HELLO_BYTES,
    MOST_RECORDS,
    ClientHello,
    ClientHelloParser,
    ServerNames,
)
from relaykit.testing.cuts import recognize, refuse
from tests.sansio.parsers.hellos import client_hello, extension, records, server_name


def _real_hello(name: str | None) -> bytes:
    """What OpenSSL sends."""
    context = ssl.create_default_context()
    if name is None:
        context.check_hostname = False
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(received, sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake is not over before the server has spoken")


class ClientHelloTests(SynchronousTestCase):
    """Tests for :class:`ClientHelloParser`."""

    def read(self, data: bytes) -> str:
        """The server name of a hello, which is cut in every way."""
        hello = recognize(ClientHelloParser(), data)
        assert isinstance(hello, ClientHello)
        return hello.server_name

    def test_real(self) -> None:
        """The name that OpenSSL sends is read, or that it sends none."""
        self.assertEqual(self.read(_real_hello("www.example.com")), "www.example.com")
        self.assertEqual(self.read(_real_hello(None)), "")

    def test_sizes(self) -> None:
        """Hellos of 250, 1,700 and 9,000 bytes are read, in one record and in three."""
        for size in (250, 1700, 9000):
            message = client_hello(b"WWW.example.com", size=size)
            for cuts in ((), (1, 100), (4, 60)):
                self.assertEqual(self.read(records(message, cuts)), "WWW.example.com")

    def test_largest(self) -> None:
        """A hello may have as many bytes as the limit says, records included, and no more."""
        message = client_hello(b"a.example", size=MOST_HELLO_BYTES - 200)
        self.assertEqual(self.read(records(message, (16_000, 32_000))), "a.example")
        self.refused(records(client_hello(b"a.example", size=MOST_HELLO_BYTES), (16_000, 32_000)))

    def test_tiny_records(self) -> None:
        """A hello may be cut into so many records, and not into more."""
        message = client_hello(b"a.example")
        self.assertEqual(self.read(records(message, range(1, MOST_RECORDS))), "a.example")
        self.refused(records(message, range(1, MOST_RECORDS + 1)))

    def test_hidden(self) -> None:
        """With Encrypted Client Hello the outer name counts; the encrypted one is no business of ours."""
        message = client_hello(b"public.example", extension(0xFE0D, bytes(200)))
        self.assertEqual(self.read(records(message)), "public.example")

    def test_other_names(self) -> None:
        """Names of another kind are no host's, and a hello without extensions has none."""
        self.assertEqual(self.read(records(client_hello(b"", extension(0, server_name(b"x", kind=1))))), "")
        bare = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
        self.assertEqual(self.read(records(b"\x01" + len(bare).to_bytes(3) + bare)), "")

    def test_beyond_ascii(self) -> None:
        """A name that nobody can have is a name all the same."""
        self.assertEqual(self.read(records(client_hello(b"\xe9.example"))), "\xe9.example")

    def test_refused(self) -> None:
        """What is no hello is refused as soon as that is clear."""
        for data in (
            b"GET / HTTP/1.1\r\n",
            b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
            b"\x16\x02",
            b"\x16\x03\x01\x00\x00",  # an empty record
            b"\x16\x03\x01\x40\x01",  # one that is too long
            records(b"\x02" + client_hello(b"a.example")[1:]),
            records(client_hello(b"", extension(0, server_name(b"")))),
            records(client_hello(b"", extension(0, server_name(b"a.example", b"b.example")))),
            records(client_hello(b"", extension(0, server_name(b"a.example") + b"x"))),
            records(client_hello(b"a.example", extension(0, server_name(b"b.example")))),
            records(client_hello(b"", extension(0, b"\x00\x09\x00\x00\x20short"))),
            records(client_hello(b"a.example", trailing=b"more")),
        ):
            self.refused(data)

    def test_another_record(self) -> None:
        """Between the records of a hello there are none of another kind."""
        message = client_hello(b"a.example")
        cut = records(message[:50])
        self.refused(cut + b"\x17\x03\x03\x00\x01x")

    def refused(self, data: bytes) -> None:
        """Fails if this is read, however it is cut."""
        refuse(ClientHelloParser(), data)

    @given(st.binary(max_size=400), st.integers(0, 300))
    def test_junk(self, junk: bytes, at: int) -> None:
        """Whatever comes is read, refused or waited for."""
        good = records(client_hello(b"a.example", size=250))
        for data in (junk, good[:at] + junk, good[:at] + junk + good[at:]):
            try:
                found = ClientHelloParser().feed(data)
            except RemoteProtocolError:
                continue
            if found is not None:
                self.assertLessEqual(found[1], len(data))


class ServerNamesTests(SynchronousTestCase):
    """Tests for :class:`ServerNames`."""

    names = ServerNames({"a.example", "xn--bro-hoa.example"}.__contains__)

    def answer(self, data: bytes) -> bool | None:
        """The first answer as the bytes come one by one, which must be that to all of them."""
        answers = [self.names.recognizes(data[:end]) for end in range(1, len(data) + 1)]
        known = next((each for each in answers if each is not None), None)
        self.assertEqual({each for each in answers if each is not None} | {known}, {known})
        self.assertIs(self.names.recognizes(data + b"behind it"), known)
        return known

    def test_names(self) -> None:
        """Users are recognized by one of the names, in any spelling; who names none is not."""
        for name, expected in (
            (b"a.example", True),
            (b"A.Example.", True),
            (b"xn--bro-hoa.example", True),
            (b"b.example", False),
            (b"\xe9.example", False),
            (b"", False),
        ):
            for size in (0, 1700):
                message = client_hello(name, size=size)
                for cuts in ((), (1,), (3, 90)):
                    self.assertIs(self.answer(records(message, cuts)), expected, name)

    def test_nothing_before_all(self) -> None:
        """A hello is awaited whole: more than a part of it is never an answer."""
        hello = records(client_hello(b"a.example"), (60,))
        for end in range(1, len(hello)):
            self.assertIsNone(self.names.recognizes(hello[:end]))

    def test_other(self) -> None:
        """What is no hello is not recognized, as soon as that is known."""
        for data in (b"GET / HTTP/1.1", b"\x17", b"\x16\x02", b"\x15\x03\x01\x00\x02", b"\0"):
            self.assertIs(self.names.recognizes(data), False)

    def test_limit(self) -> None:
        """The largest hello in as many records as there may be is within the limit."""
        message = client_hello(b"a.example", size=MOST_HELLO_BYTES - 200)
        step = -(-len(message) // MOST_RECORDS)
        hello = records(message, range(step, len(message), step))
        self.assertIs(self.names.recognizes(hello), True)
        self.assertLessEqual(len(hello), self.names.limit)

    @given(st.binary(max_size=400), st.integers(0, 80))
    def test_junk(self, junk: bytes, kept: int) -> None:
        """Nothing that anybody sends raises."""
        self.names.recognizes(records(client_hello(b"a.example"))[:kept] + junk or b"\0")

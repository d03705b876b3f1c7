"""How HTTP is told from other things at a port, and its versions from each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.parsers.http_opening import HTTP_OPENING, PREFACE, HttpVersion, HttpVersionParser
from relaykit.testing.cuts import TRAILING


class HttpOpeningTests(SynchronousTestCase):
    """Tests for :data:`HTTP_OPENING`."""

    def test_requests(self) -> None:
        """A request is recognized by its method and the blank behind it, and not before."""
        for method in (b"GET", b"HEAD", b"POST", b"CONNECT", b"OPTIONS", b"PROPFIND", b"QUERY"):
            for count in range(len(method) + 1):
                self.assertIsNone(HTTP_OPENING.recognizes(method[:count]), method)
            self.assertTrue(HTTP_OPENING.recognizes(method + b" "))
            self.assertTrue(HTTP_OPENING.recognizes(method + b" / HTTP/1.1\r\n"))
            self.assertEqual(HTTP_OPENING.recognizes(method + b"\t/"), False)

    def test_preface(self) -> None:
        """So is the beginning of HTTP/2."""
        for count in range(len(b"PRI * HTTP/2")):
            self.assertIsNone(HTTP_OPENING.recognizes(PREFACE[:count]))
        self.assertTrue(HTTP_OPENING.recognizes(PREFACE))

    def test_others(self) -> None:
        """What else is said at a port is not: TLS, SSH, a client of frp in both versions, small letters."""
        for data in (b"\x16\x03\x01", b"SSH-2.0", b"o\0\0\0", b"FRP\0", b"get / ", b"GETX /", b"\r\nGET / "):
            self.assertEqual(HTTP_OPENING.recognizes(data), False, data)

    @given(st.binary(max_size=40), st.binary(max_size=8))
    def test_junk(self, data: bytes, more: bytes) -> None:
        """Whatever comes there is an answer within the limit, and more bytes do not change it."""
        found = HTTP_OPENING.recognizes(data)
        if len(data) >= HTTP_OPENING.limit:
            self.assertIsNotNone(found)
        if found is not None:
            self.assertEqual(HTTP_OPENING.recognizes(data + more), found)


class HttpVersionParserTests(SynchronousTestCase):
    """Tests for :class:`HttpVersionParser`."""

    def setUp(self) -> None:
        self.parser = HttpVersionParser()

    def test_two(self) -> None:
        """HTTP/2 is known with the last byte of its preface, which stays for who reads it."""
        for count in range(len(PREFACE)):
            self.assertIsNone(self.parser.feed(PREFACE[:count]))
        for more in (b"", TRAILING):
            self.assertEqual(self.parser.feed(PREFACE + more), (HttpVersion.TWO, 0))
        self.assertEqual(self.parser.limit, len(PREFACE))

    def test_one(self) -> None:
        """Everything else is for who reads HTTP/1, from the first byte on that tells it from the preface."""
        for data in (b"GET / HTTP/1.1\r\n", b"PROPFIND / ", b"PRI * HTTP/2.1", b"\x16\x03\x01", b"\r\n"):
            differs = next(count for count in range(1, len(data) + 1) if data[:count] != PREFACE[:count])
            for count in range(len(data) + 1):
                expected = None if count < differs else (HttpVersion.ONE, 0)
                self.assertEqual(self.parser.feed(data[:count]), expected, data[:count])

    @given(st.integers(min_value=0, max_value=len(PREFACE)), st.binary(max_size=40))
    def test_junk(self, kept: int, data: bytes) -> None:
        """Whatever comes, also behind a part of the preface, has its answer within the limit for good."""
        stream = PREFACE[:kept] + data
        answers = [self.parser.feed(stream[:count]) for count in range(len(stream) + 1)]
        found = [each for each in answers if each is not None]
        self.assertLessEqual(len(set(found)), 1)
        self.assertEqual(answers[len(answers) - len(found) :], found)
        if len(stream) >= self.parser.limit:
            self.assertNotEqual(found, [])

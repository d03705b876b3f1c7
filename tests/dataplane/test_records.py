"""Tests of the inner loops of TLS: the direct calls and the public ones do the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import OpenSSL
from OpenSSL import SSL
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.dataplane import records
from relaykit.dataplane.records import (
    BUFFER_BYTES,
    BUFFERS,
    PROVEN_RELEASES,
    BufferPool,
    RecordBuffer,
    is_proven,
)
from relaykit.dataplane.tls import client_context, server_context
from tests.dataplane.test_tls import signed

PAYLOAD = bytes(range(251)) * 2000
"""More than fits into the memory at once."""


class DirectRecordsTests(SynchronousTestCase):
    """Records in and out, by the calls beneath pyOpenSSL where it has them."""

    read: Callable[[Any, Any], bool] = staticmethod(records.read_payload)
    take: Callable[[Any, Any], bool] = staticmethod(records.take_output)
    write: Callable[[Any, Any], None] = staticmethod(records.write_payload)
    put: Callable[[Any, Any], None] = staticmethod(records.put_input)

    def setUp(self) -> None:
        pair = signed()
        self.near = SSL.Connection(client_context().context, None)
        self.far = SSL.Connection(server_context(pair.certificate, pair.key).context, None)
        self.near.set_connect_state()
        self.far.set_accept_state()
        for _ in range(4):
            for end, other in ((self.near, self.far), (self.far, self.near)):
                with contextlib.suppress(SSL.WantReadError):
                    end.do_handshake()
                self.move(end, other)

    def move(self, end: SSL.Connection, other: SSL.Connection) -> int:
        """Takes all output of one end to the other; how often there was more."""
        buffer, more = BUFFERS.acquire(), 0
        while True:
            again = self.take(end, buffer)
            if buffer.filled:
                self.put(other, buffer.view[: buffer.filled])
            if not again:
                break
            more += 1
        BUFFERS.release(buffer)
        return more

    def test_round_trip(self) -> None:
        """What one end writes the other end reads, in several fillings."""
        for payload in (PAYLOAD, bytearray(PAYLOAD), memoryview(bytearray(PAYLOAD))):
            self.round_trip(payload)

    def round_trip(self, payload: bytes | bytearray | memoryview) -> None:
        self.write(self.near, payload)
        self.assertGreater(self.move(self.near, self.far), 0)
        buffer, got, fillings = BUFFERS.acquire(), b"", 0
        more = True
        while more:
            more = self.read(self.far, buffer)
            got += bytes(buffer.view[: buffer.filled])
            fillings += 1
        BUFFERS.release(buffer)
        self.assertEqual(got, PAYLOAD)
        self.assertGreater(fillings, len(PAYLOAD) // BUFFER_BYTES)

    def test_nothing(self) -> None:
        """Where there is nothing, nothing is read or taken."""
        buffer = BUFFERS.acquire()
        self.assertFalse(self.read(self.far, buffer))
        self.assertEqual(buffer.filled, 0)
        self.assertFalse(self.take(self.near, buffer))
        self.assertEqual(buffer.filled, 0)
        BUFFERS.release(buffer)

    def test_end(self) -> None:
        """The peer's close_notify is told by an exception, and what came before it is there."""
        self.write(self.near, b"last words")
        self.near.shutdown()
        self.move(self.near, self.far)
        buffer = BUFFERS.acquire()
        self.assertRaises(SSL.ZeroReturnError, self.read, self.far, buffer)
        self.assertEqual(bytes(buffer.view[: buffer.filled]), b"last words")
        BUFFERS.release(buffer)

    def test_ended(self) -> None:
        """Who has ended his direction writes no more."""
        self.near.shutdown()
        self.assertRaises(SSL.Error, self.write, self.near, b"late")

    def test_tampered(self) -> None:
        """A record that was tampered with is an error."""
        self.write(self.near, b"words")
        buffer = BUFFERS.acquire()
        self.take(self.near, buffer)
        record = bytearray(buffer.view[: buffer.filled])
        record[-1] ^= 1
        self.put(self.far, record)
        self.assertRaises(SSL.Error, self.read, self.far, buffer)
        BUFFERS.release(buffer)


class PublicRecordsTests(DirectRecordsTests):
    """The same by pyOpenSSL's public calls."""

    read = staticmethod(records._read_publicly)
    take = staticmethod(records._take_publicly)
    write = staticmethod(records._write_publicly)
    put = staticmethod(records._put_publicly)


class ProofTests(SynchronousTestCase):
    """Whether the private calls may be made."""

    def test_this_release(self) -> None:
        """They are, with the releases that this was tried with: else TLS costs twice as much."""
        if OpenSSL.__version__.partition(".")[0] not in PROVEN_RELEASES:
            raise SkipTest(f"nobody has tried pyOpenSSL {OpenSSL.__version__}")
        self.assertTrue(is_proven())
        self.assertIs(records.read_payload, records._read_directly)
        self.assertIs(records.write_payload, records._write_directly)

    def test_other_releases(self) -> None:
        """A release that nobody has tried is left alone."""
        self.assertFalse(is_proven("99.0.0"))

    def test_other_meaning(self) -> None:
        """Calls that are not there, or do something else, are found out."""

        def wrong(connection: Any, buffer: Any) -> bool:
            if isinstance(buffer, RecordBuffer):
                buffer.filled = 3
            return False

        def broken(connection: Any, buffer: Any) -> bool:
            raise AttributeError("_ssl")

        for name in ("_read_directly", "_take_directly", "_write_directly", "_put_directly"):
            for function in (wrong, broken):
                patch = self.patch(records, name, function)
                self.assertFalse(is_proven())
                patch.restore()


class BufferPoolTests(SynchronousTestCase):
    """Buffers that are used again."""

    def test_reused(self) -> None:
        """A buffer that was released is used again; two uses at once have two."""
        pool = BufferPool()
        first = pool.acquire()
        self.assertIsNot(first, pool.acquire())
        pool.release(first)
        self.assertIs(pool.acquire(), first)

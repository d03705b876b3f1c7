"""Tests of the inner loops of TLS: the direct calls and the public ones do the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane import records
from relaykit.dataplane.records import SCRATCH_BYTES, borrow, give_back
from relaykit.dataplane.tls import client_context, server_context
from tests.dataplane.test_tls import signed

PAYLOAD = bytes(range(251)) * 2000
"""More than fits into the memory at once."""


class DirectRecordsTests(SynchronousTestCase):
    """Records in and out, by the calls beneath pyOpenSSL where it has them."""

    read: Callable[[Any, Any], bool] = staticmethod(records.read_payload)
    take: Callable[[Any, Any], bool] = staticmethod(records.take_output)

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
        scratch, more = borrow(), 0
        while True:
            again = self.take(end, scratch)
            if scratch.filled:
                other.bio_write(bytes(scratch.view[: scratch.filled]))
            if not again:
                break
            more += 1
        give_back(scratch)
        return more

    def test_round_trip(self) -> None:
        """What one end writes the other end reads, in several fillings."""
        self.near.sendall(PAYLOAD)
        self.assertGreater(self.move(self.near, self.far), 0)
        scratch, got, fillings = borrow(), b"", 0
        more = True
        while more:
            more = self.read(self.far, scratch)
            got += bytes(scratch.view[: scratch.filled])
            fillings += 1
        give_back(scratch)
        self.assertEqual(got, PAYLOAD)
        self.assertGreater(fillings, len(PAYLOAD) // SCRATCH_BYTES)

    def test_nothing(self) -> None:
        """Where there is nothing, nothing is read or taken."""
        scratch = borrow()
        self.assertFalse(self.read(self.far, scratch))
        self.assertEqual(scratch.filled, 0)
        self.assertFalse(self.take(self.near, scratch))
        self.assertEqual(scratch.filled, 0)
        give_back(scratch)

    def test_end(self) -> None:
        """The peer's close_notify is told by an exception, and what came before it is there."""
        self.near.sendall(b"last words")
        self.near.shutdown()
        self.move(self.near, self.far)
        scratch = borrow()
        self.assertRaises(SSL.ZeroReturnError, self.read, self.far, scratch)
        self.assertEqual(bytes(scratch.view[: scratch.filled]), b"last words")
        give_back(scratch)

    def test_tampered(self) -> None:
        """A record that was tampered with is an error."""
        self.near.sendall(b"words")
        scratch = borrow()
        self.take(self.near, scratch)
        record = bytearray(scratch.view[: scratch.filled])
        record[-1] ^= 1
        self.far.bio_write(bytes(record))
        self.assertRaises(SSL.Error, self.read, self.far, scratch)
        give_back(scratch)


class PublicRecordsTests(DirectRecordsTests):
    """The same by pyOpenSSL's public calls."""

    read = staticmethod(records._read_publicly)
    take = staticmethod(records._take_publicly)


class ScratchTests(SynchronousTestCase):
    """The memory that is lent."""

    def test_reused(self) -> None:
        """Memory that was given back is lent again; two uses at once have two."""
        first = borrow()
        second = borrow()
        self.assertIsNot(first, second)
        give_back(first)
        self.assertIs(borrow(), first)
        give_back(first)
        give_back(second)

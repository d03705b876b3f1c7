"""Tests for :mod:`relaykit.sansio.control.probing`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.control.probing import MOST_REPORT_BYTES, ProbeReport, ReportParser
from relaykit.values import Reach


class ProbeReportTests(SynchronousTestCase):
    """Tests for what a client answers."""

    def test_every_cut(self) -> None:
        """The answer is understood once its line is whole, and what follows is not touched."""
        for reached in (Reach.CLIENT, Reach.SERVICE, Reach.ANSWER):
            report = ProbeReport(reached=reached, error="n\xf6\n")
            line = report.encode()
            for end in range(len(line)):
                self.assertIsNone(ReportParser().feed(line[:end]))
            said, count = ReportParser().feed(line + b"more") or (None, 0)
            self.assertEqual(count, len(line))
            assert said is not None
            self.assertEqual((said.reached, said.error), (reached, "n\xf6\\n"))

    def test_long(self) -> None:
        """Long words are cut, so that an answer has room wherever it is read."""
        line = ProbeReport(reached=Reach.CLIENT, error="\x00" * 10_000).encode()
        self.assertLess(len(line), 2 * MOST_REPORT_BYTES)
        self.assertIsNotNone(
            ReportParser().feed(ProbeReport(reached=Reach.CLIENT, error="x" * 9999).encode())
        )

    def test_nonsense(self) -> None:
        """What is no answer is an error, also one that says that nobody answered."""
        lines = [b"\n", b"{}\n", b'{"reached":"moon"}\n', b'{"reached":"nobody"}\n', b'{"reached":1}\n']
        for line in (*lines, b'{"x":' + 3000 * b"[" + b"\n"):
            with self.subTest(line=line):
                self.assertRaises(RemoteProtocolError, ReportParser().feed, line)

    @given(st.binary(max_size=200))
    def test_junk(self, data: bytes) -> None:
        """Whatever comes is an answer, none yet, or an error."""
        try:
            found = ReportParser().feed(data)
        except RemoteProtocolError:
            return
        if found is None:
            self.assertNotIn(b"\n", data)

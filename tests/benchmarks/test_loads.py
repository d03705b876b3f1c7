"""Tests for :mod:`benchmarks.loads`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.loads import EXTRA, LOADS, MEASURES, parse_iperf, parse_wrk
from benchmarks.programs import ProgramFailed
from benchmarks.subjects import FAR_LOSS, Stage

WRK = """\
Running 2s test @ http://127.0.0.1:21410/
  2 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.25ms    0.91ms  14.86ms   86.30%
    Req/Sec    20.28k     2.39k   26.03k    65.00%
  80785 requests in 2.00s, 14.25MB read
Requests/sec:  40345.12
Transfer/sec:      7.12MB
"""


class ParseTests(SynchronousTestCase):
    """Tests for reading what the programs report."""

    def test_wrk(self) -> None:
        """Rate and number of requests are read from wrk's report."""
        self.assertEqual(parse_wrk(WRK), (40345.12, 80785))

    def test_wrk_failed(self) -> None:
        """A run in which connecting or requests failed is no figure."""
        for line in (
            "  Socket errors: connect 3, read 0, write 0, timeout 0\n",
            "  Non-2xx or 3xx responses: 5\n",
        ):
            self.assertRaises(ProgramFailed, parse_wrk, WRK + line)
        self.assertRaises(ProgramFailed, parse_wrk, WRK.replace("80785 requests", "0 requests"))
        self.assertRaises(ProgramFailed, parse_wrk, "unable to connect to 127.0.0.1:1 Connection refused")

    def test_iperf(self) -> None:
        """Rate and bytes are those that arrived, not those that were sent."""
        report = (
            '{"end": {"sum_sent": {"bytes": 2000, "bits_per_second": 16000.0},'
            ' "sum_received": {"bytes": 1000, "bits_per_second": 8000.0}}}'
        )
        self.assertEqual(parse_iperf(report), (8000.0, 1000))

    def test_iperf_failed(self) -> None:
        """An error that iperf3 reports is raised."""
        error = self.assertRaises(ProgramFailed, parse_iperf, '{"error": "the server is busy"}')
        self.assertIn("the server is busy", str(error))


class LoadTests(SynchronousTestCase):
    """Tests for the table of loads."""

    def test_sites(self) -> None:
        """The loads of sites share a start of a subject, and each has a measure of its name at least."""
        names = [load.name for load in LOADS.values() if load.stage is Stage.SITES]
        self.assertIn("http-keep-alive", names)
        self.assertEqual(
            [name for name in names if not any(measure.startswith(name) for measure in MEASURES)], []
        )

    def test_extra(self) -> None:
        """Loads that need root, or take minutes, are not put on anything unless they are named."""
        self.assertIn("churn", EXTRA)
        self.assertLessEqual(EXTRA, set(LOADS))
        for load in LOADS.values():
            needs_root = load.stage in {Stage.PUNCHED, *FAR_LOSS}
            self.assertEqual(load.name in EXTRA, needs_root or load.name == "churn")

    def test_far_lines(self) -> None:
        """Over each far line there are the same loads, with a measure of its name each."""
        named: list[list[str]] = []
        for stage, prefix in zip(FAR_LOSS, ("far-", "far-0.5-", "far-2-"), strict=True):
            names = [load.name for load in LOADS.values() if load.stage is stage]
            self.assertEqual([name for name in names if name not in MEASURES], [])
            named.append([name.removeprefix(prefix) for name in names])
        self.assertIn("bulk-1-up", named[0])
        self.assertEqual(named[1:], [named[0], named[0]])

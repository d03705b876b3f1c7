"""Tests for :mod:`benchmarks.results`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.loads import MEASURES
from benchmarks.results import GATES, GOALS, Results, Wanted, as_csv, as_json, table, verdicts


def _results() -> Results:
    results = Results()
    for ours, theirs, best in ((9.0, 4.0, 5.0), (10.0, 5.0, 6.0), (99.0, 1.0, 1.0)):
        results.add("ours", {"bulk-1-up": ours, "ping-p50": theirs})
        results.add("theirs", {"bulk-1-up": theirs, "ping-p50": ours})
        results.add("best", {"bulk-1-up": best})
    return results


class ResultsTests(SynchronousTestCase):
    """Tests for medians, ratios and what is made of them."""

    def test_median(self) -> None:
        """One round that went astray does not move the figure."""
        self.assertEqual(_results().median("ours", "bulk-1-up"), 10.0)
        self.assertIsNone(_results().median("ours", "keep-alive"))
        self.assertIsNone(_results().median("nobody", "bulk-1-up"))

    def test_ratio_to_the_best(self) -> None:
        """With several peers the best of them counts, whichever direction is better."""
        wanted = Wanted("bulk", "ours", ("bulk-1-up",), ("theirs", "best"), 2.0)
        self.assertEqual(wanted.reached(_results(), "bulk-1-up"), 2.0)
        self.assertTrue(wanted.met(2.0, "bulk-1-up"))
        self.assertFalse(wanted.met(1.99, "bulk-1-up"))

    def test_less_is_better(self) -> None:
        """Where less is better, a smaller ratio meets the bound."""
        wanted = Wanted("ping", "ours", ("ping-p50",), ("theirs",), 1.0)
        self.assertEqual(wanted.reached(_results(), "ping-p50"), 0.4)
        self.assertTrue(wanted.met(0.4, "ping-p50"))
        self.assertFalse(wanted.met(1.1, "ping-p50"))

    def test_not_measured(self) -> None:
        """A peer that is not there makes no verdict."""
        wanted = Wanted("bulk", "ours", ("bulk-1-up",), ("nobody",), 2.0)
        self.assertEqual(len(verdicts(_results(), [wanted])), 1)
        self.assertTrue(verdicts(_results(), [wanted])[0].endswith("not measured"))

    def test_what_is_reachable(self) -> None:
        """A verdict says what ratio a relay that costs nothing would reach, where that was measured."""
        results = _results()
        wanted = Wanted("bulk", "ours", ("bulk-1-up",), ("best",), 2.0)
        self.assertTrue(verdicts(results, [wanted])[0].endswith("2.00  met"))
        results.add("direct", {"bulk-1-up": 20.0})
        self.assertEqual(wanted.reachable(results, "bulk-1-up"), 4.0)
        self.assertTrue(verdicts(results, [wanted])[0].endswith("2.00  met (direct: 4.00)"))

    def test_csv(self) -> None:
        """The same rows are there for programs."""
        lines = as_csv(_results(), {"ours": "Ours", "best": "Best"}).splitlines()
        self.assertEqual(lines[0], ",Ours,Best")
        self.assertEqual(lines[1], '"bulk, 1 stream, to the service, Gbit/s",10.0,5.00')

    def test_known_measures(self) -> None:
        """Gates and goals ask for measures that exist."""
        asked = {measure for wanted in (*GATES, *GOALS) for measure in wanted.measures}
        self.assertEqual(asked - set(MEASURES), set())

    def test_bound(self) -> None:
        """Without peers the median itself is held to the bound, whatever is reached without a relay."""
        results = Results()
        results.add("ours", {"proxies": 2.5})
        results.add("direct", {"proxies": 0.1})
        wanted = Wanted("sites", "ours", ("proxies",), (), 3.0)
        self.assertTrue(verdicts(results, [wanted])[0].endswith("2.50  met"))

    def test_table(self) -> None:
        """The table has a row for each measure that was taken, and empty cells for what was not."""
        lines = table(_results(), {"ours": "Ours", "best": "Best", "absent": "Absent"}).splitlines()
        self.assertEqual(
            [line.split("  ")[0] for line in lines[1:]],
            [
                "bulk, 1 stream, to the service, Gbit/s",
                "ping-pong of 64 bytes, median, us",
            ],
        )
        self.assertEqual(lines[0].split(), ["Ours", "Best"])
        self.assertEqual(lines[2].split()[-1], "4.00")

    def test_json(self) -> None:
        """The report holds every round beside the medians."""
        report = as_json(_results(), {"processors": 2}, {"theirs": "1.0"})
        self.assertEqual(report["medians"]["best"], {"bulk-1-up": 5.0})
        self.assertEqual(report["rounds"]["best"], {"bulk-1-up": [5.0, 6.0, 1.0]})
        self.assertEqual((report["machine"], report["versions"]), ({"processors": 2}, {"theirs": "1.0"}))

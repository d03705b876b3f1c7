"""Tests for :mod:`relaykit.commands.status.parts`."""

from __future__ import annotations

from io import StringIO

from attrs import evolve
from rich.console import Console
from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.parts import Letters, datagrams, duration, framed, grid, problem_text, traffic
from relaykit.dataplane.datagram_flows import DatagramCounts
from relaykit.dataplane.plane import FlowCounts
from tests.commands.status.snapshots import problem


class PartsTests(SynchronousTestCase):
    """Tests for what all pictures are made of."""

    def letters(self, encoding: str) -> Letters:
        """The letters of a terminal."""
        self.patch(Console, "encoding", encoding)
        return Letters(Console(file=StringIO()))

    def test_letters(self) -> None:
        """A terminal that knows no Unicode gets words."""
        flows = FlowCounts(present=1, total=3, near_to_far=2000, far_to_near=5)
        for encoding, words in (("utf-8", ("↓", "↑")), ("ascii", ("from users", "to users"))):
            self.assertEqual(
                traffic(flows, evolve(flows, near_to_far=0), 2.0, self.letters(encoding)).plain,
                f"1 user now, 3 so far   {words[0]} 2.0 kB (1.0 kB/s)   {words[1]} 5 bytes (0 bytes/s)",
            )

    def test_no_rate(self) -> None:
        """A rate needs time."""
        flows = FlowCounts(near_to_far=2000)
        for before, seconds in ((None, 1.0), (FlowCounts(), 0.0)):
            self.assertIn("2.0 kB (0 bytes/s)", traffic(flows, before, seconds, self.letters("utf-8")).plain)

    def test_duration(self) -> None:
        """Times are never negative."""
        self.assertEqual((duration(3723.9), duration(-1.0)), ("1:02:03", "0:00:00"))

    def test_datagrams(self) -> None:
        """What was dropped is told where there was some."""
        self.assertEqual(datagrams(DatagramCounts(1, 2)).plain, "datagrams: 1 from users, 2 to users")
        self.assertTrue(datagrams(DatagramCounts(1, 2, 3)).plain.endswith(", 3 dropped"))

    def test_problem(self) -> None:
        """What is solved needs no remedy; at the server it is said which one is the client's."""
        last = problem("[ssh] start error: port already used")
        assert last.known is not None
        self.assertTrue(problem_text(last, 10.0).plain.endswith(last.known.remedy))
        at_server = problem_text(last, 10.0, at_server=True).plain
        self.assertTrue(at_server.endswith(f"{last.known.cause} At the client: {last.known.remedy}"))
        own = evolve(last, known=evolve(last.known, is_for_client=False))
        self.assertTrue(problem_text(own, 10.0, at_server=True).plain.endswith(f". {last.known.remedy}"))
        solved = problem_text(evolve(last, solved=True), 10.0).plain
        self.assertEqual(solved, f"\n0:00:01 ago, solved: {last.text}")

    def test_frame(self) -> None:
        """Titles and keys are no markup; a table's columns keep what fits."""
        console = Console(width=40, color_system=None, file=StringIO(), legacy_windows=False)
        table = grid([(Text(50 * "x"), Text("7")), (Text("y"), Text("10"))], "left", "right", ratio=0)
        with console.capture() as drawn:
            console.print(framed([table], "a [bold] title", "[q] ends it", "green"))
        first, row, short, last = drawn.get().splitlines()
        self.assertIn("a [bold] title", first)
        self.assertTrue(row.endswith("x…   7 │"), row)
        self.assertTrue(short.endswith("  10 │"), short)
        self.assertIn("[q] ends it", last)

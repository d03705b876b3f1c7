"""Tests for :mod:`relaykit.commands.top.picture`."""

from __future__ import annotations

from io import StringIO

from attrs import evolve
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.parts import Letters
from relaykit.commands.top.picture import TopPicture
from relaykit.commands.top.sample import BusyProxy, BusyUser, Sample


def sample(at: float, moved: int, rows: int = 3) -> Sample:
    """A server with so many proxies and users."""
    return Sample(
        at=at,
        role="server",
        state="ready",
        clients=2,
        proxies=500,
        users=rows,
        moved=(moved, 2 * moved),
        busiest=[
            BusyProxy(
                name=f"proxy-{number}",
                type="tcp",
                whose="ann.c1",
                state="online",
                users=1,
                moved=(moved, 0),
            )
            for number in range(rows)
        ],
        user_rows=[
            BusyUser(
                address=f"192.0.2.{number}:1",
                proxy="proxy-0",
                path="",
                is_waiting=number == 0,
                seconds=75.0,
                moved=(moved, 0),
            )
            for number in range(rows)
        ],
    )


class TopPictureTests(SynchronousTestCase):
    """What is drawn, and what is printed."""

    def drawn(self, now: Sample, before: Sample | None, width: int = 80, height: int = 24) -> list[str]:
        """The rows of a terminal."""
        stream = StringIO()
        console = Console(file=stream, width=width, height=height, force_terminal=True, color_system=None)
        console.print(TopPicture().drawn(now, before, console, "q ends it"))
        return stream.getvalue().splitlines()

    def test_drawn(self) -> None:
        """The program is in one line, then its proxies and users, with rates, on 80 columns."""
        rows = self.drawn(sample(3.0, 3000), sample(1.0, 1000))
        self.assertIn("ready; 2 clients; 500 proxies; 3 users; ↓ 1.0 kB/s ↑ 2.0 kB/s", rows[1])
        self.assertTrue(any("500 proxies, the busiest 3 of them" in row for row in rows))
        self.assertTrue(any("proxy-0" in row and "1.0 kB/s" in row for row in rows))
        self.assertTrue(any("192.0.2.0:1" in row and "waits" in row and "0:01:15" in row for row in rows))
        self.assertTrue(all(len(row) <= 80 for row in rows))

    def test_room(self) -> None:
        """However many there are, and however small the terminal is, it fits."""
        for height in (1, 5, 10, 24, 60):
            with self.subTest(height=height):
                rows = self.drawn(sample(1.0, 5, rows=100), None, height=height)
                self.assertLessEqual(len(rows), max(height, 9))
        self.assertEqual(len(self.drawn(sample(1.0, 5, rows=100), None, height=60)), 60)

    def test_few(self) -> None:
        """Where there are few users, their room is for proxies."""
        now = evolve(sample(1.0, 5, rows=50), user_rows=())
        rows = self.drawn(now, None, height=30)
        self.assertEqual(sum("proxy-" in row for row in rows), 23)

    def test_lines(self) -> None:
        """Into a pipe there are lines, without what a terminal would need."""
        lines = list(
            TopPicture().lines(sample(3.0, 3000), sample(1.0, 1000), Letters(Console(file=StringIO())))
        )
        self.assertIn("ready; 2 clients", lines[0])
        self.assertEqual(lines[1], "")
        self.assertEqual(len([line for line in lines if line.startswith("proxy-")]), 3)
        self.assertNotIn("\x1b", "".join(lines))

    def test_last(self) -> None:
        """What stays is the line of the program."""
        console = Console(file=StringIO())
        self.assertIn("ready; 2 clients", str(TopPicture().last(sample(1.0, 0), console)))

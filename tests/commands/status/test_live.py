"""Tests for :mod:`relaykit.commands.status.live`; a real terminal is in ``tests/integration``."""

from __future__ import annotations

from io import StringIO
from typing import Any

from attrs import evolve
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status import live
from relaykit.commands.status.live import LiveRenderer
from relaykit.commands.status.view import ConnectionState, Snapshot
from relaykit.dataplane.datagram_flows import DatagramCounts
from relaykit.dataplane.plane import FlowCounts
from tests.commands.status.snapshots import CONNECTED, CONNECTING, OPEN, asked, problem, with_entry_points

WEB = evolve(OPEN, name="web", where="http://relay.example:6000/", url="http://relay.example:6000/")


class LiveRendererTests(SynchronousTestCase):
    """Tests for what is drawn."""

    def screen(self, height: int = 50, encoding: str = "utf-8", codes: bool = True) -> LiveRenderer:
        """A screen of 100 columns."""
        self.stream = StringIO()
        console = Console(file=self.stream, force_terminal=True, width=100, height=height, color_system=None)
        self.patch(Console, "encoding", encoding)
        return LiveRenderer("relaykit tcp", self.stream, console, codes=codes)

    def lines(self, snapshot: Snapshot, shown: LiveRenderer | None = None, **terminal: Any) -> list[str]:
        """The lines that a snapshot is drawn in, borders left out."""
        shown = shown or self.screen(**terminal)
        capturing = Console(width=100, color_system=None, file=StringIO(), legacy_windows=False)
        with capturing.capture() as drawn:
            capturing.print(shown.drawn(snapshot))
        return [line.strip(" │|") for line in drawn.get().splitlines()]

    def text(self, snapshot: Snapshot, **terminal: Any) -> str:
        """All that is drawn."""
        return "\n".join(self.lines(snapshot, **terminal))

    def test_frame(self) -> None:
        """The command is shown, and how to end it."""
        text = self.text(CONNECTING)
        self.assertIn("relaykit tcp", text)
        self.assertIn("Ctrl-C ends it", text)

    def test_state(self) -> None:
        """The state of the connection is shown, with its duration and the round trip."""
        self.assertIn("connecting to relay.example:7000", self.text(CONNECTING))
        connected = self.text(evolve(CONNECTED, round_trip_s=0.0123))
        for part in ("connected to relay.example:7000", "1:02:03", "12.3 ms"):
            self.assertIn(part, connected)
        waiting = evolve(CONNECTING, state=ConnectionState.WAITING, seconds=7.4)
        self.assertIn("next attempt in 7 s", self.text(waiting))

    def test_entry_points(self) -> None:
        """Each has its line, and tells when it is not open."""
        closed = evolve(OPEN, name="web", open=False, where="")
        lines = [line.split() for line in self.lines(with_entry_points(OPEN, closed))]
        self.assertIn(["ssh", "relay.example:6000", "→", "127.0.0.1:22"], lines)
        self.assertIn(["web", "not", "open", "→", "127.0.0.1:22"], lines)

    def test_reason(self) -> None:
        """What is known of why it is not open is there, in place of how it would be reached."""
        closed = evolve(OPEN, open=False, reason="check failed: refused")
        self.assertIn("not open: check failed: refused", self.text(with_entry_points(closed)))

    def test_traffic(self) -> None:
        """Users and bytes are counted; rates are those since the snapshot before."""
        shown = self.screen()
        before = evolve(CONNECTED, flows=FlowCounts(present=1, total=3, near_to_far=1000, far_to_near=0))
        shown.show(before)
        after = FlowCounts(present=2, total=4, near_to_far=3000, far_to_near=10_000_000)
        lines = self.lines(evolve(before, at=12.0, flows=after), shown)
        (line,) = [line for line in lines if "2 users now, 4 so far" in line]
        for part in ("3.0 kB (1.0 kB/s)", "10.0 MB (5.0 MB/s)"):
            self.assertIn(part, line)
        shown.close()

    def test_datagrams(self) -> None:
        """Datagrams have a line of their own where there are any, and those that were dropped are told."""
        self.assertNotIn("datagrams", self.text(CONNECTED))
        some = evolve(CONNECTED, flows=FlowCounts(datagrams=DatagramCounts(120, 118)))
        self.assertIn("datagrams: 120 from users, 118 to users\n", self.text(some))
        lossy = evolve(CONNECTED, flows=FlowCounts(datagrams=DatagramCounts(120, 118, 2)))
        self.assertIn("datagrams: 120 from users, 118 to users, 2 dropped", self.text(lossy))

    def test_problem(self) -> None:
        """The last problem is there with its age, and with what to do."""
        text = self.text(evolve(CONNECTED, problem=problem("[ssh] start error: port already used")))
        self.assertIn("0:00:01 ago: [ssh] start error: port already used", text)
        self.assertIn("Ask for another remotePort", text)
        self.assertIn("0:00:01 ago: odd", self.text(evolve(CONNECTED, problem=problem("odd"))))

    def test_markup(self) -> None:
        """What stands in brackets is a name, not a style."""
        self.assertIn("[bold]", self.text(evolve(CONNECTED, problem=problem("[bold] is odd"))))
        self.assertIn("[red]", self.text(with_entry_points(evolve(OPEN, name="[red]"))))

    def test_requests(self) -> None:
        """What users asked for last is shown with its answer, each in a row, as many as there is room for."""
        long = asked("/" + 300 * "x", status=None, took="2.0 s")
        lines = [line.split() for line in self.lines(evolve(CONNECTED, requests=(asked("/a?b"), long)))]
        at = lines.index(["last", "requests"])
        self.assertEqual(lines[at + 1], ["200", "GET", "/a?b", "12", "ms", "1.2", "kB"])
        self.assertEqual(lines[at + 2][:3], ["no", "answer", "GET"])
        self.assertTrue(lines[at + 2][3].endswith("x…"))
        many = evolve(CONNECTED, requests=tuple(asked(f"/{number}") for number in range(50)))
        for height, count in ((3, 0), (6, 0), (7, 1), (20, 14), (60, 50)):
            drawn = self.lines(many, height=height)
            self.assertEqual(sum(line.startswith("200") for line in drawn), count)
            self.assertLessEqual(len(drawn), max(height, 4))

    def test_requests_and_code(self) -> None:
        """A code leaves room for three requests, or is not drawn; without it there is room for more."""
        requests = tuple(asked(f"/{number}") for number in range(50))
        for height, count, rows in ((20, 0, 15), (24, 2, 15), (24, 3, 0), (25, 3, 15), (25, 50, 15)):
            snapshot = with_entry_points(WEB, requests=requests[:count])
            lines = self.lines(snapshot, height=height)
            self.assertEqual(sum(line.startswith(("█", "▀")) for line in lines), rows, (height, count))
            self.assertEqual(sum(line.startswith("200") for line in lines), min(count, 3))
            self.assertLessEqual(len(lines), height)

    def test_code(self) -> None:
        """What another device can open has a QR code, where it is open and there is room."""
        corner = "██ ▄▄▄▄▄ █"
        self.assertIn(corner, self.text(with_entry_points(WEB)))
        for snapshot, terminal in (
            (with_entry_points(OPEN), {}),
            (with_entry_points(evolve(WEB, open=False)), {}),
            (with_entry_points(evolve(WEB, url="http://127.0.0.1:6000/")), {}),
            (with_entry_points(WEB), {"height": 19}),
            (with_entry_points(WEB), {"codes": False}),
            (with_entry_points(WEB), {"encoding": "ascii"}),
        ):
            self.assertNotIn(corner, self.text(snapshot, **terminal))

    def test_plain_letters(self) -> None:
        """A terminal that knows no Unicode gets none."""
        text = self.text(with_entry_points(WEB), encoding="ascii")
        body = [line for line in text.splitlines()[1:-1]]
        self.assertTrue(all(line.isascii() for line in body), body)

    def test_told(self) -> None:
        """A text is printed above; closing leaves what is there."""
        shown = self.screen()
        shown.show(CONNECTED)
        shown.tell("Traceback [of] something")
        shown.close()
        self.assertIn("Traceback [of] something", self.stream.getvalue())
        self.assertTrue(self.stream.getvalue().endswith("\x1b[?25h"))

    def test_stopped_terminal(self) -> None:
        """Nothing is drawn while the terminal takes nothing."""
        shown = self.screen()
        self.patch(live, "takes_output", lambda stream: False)
        shown.show(CONNECTED)
        self.assertEqual(self.stream.getvalue(), "")

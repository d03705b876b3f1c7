"""Tests for :mod:`relaykit.commands.status.client_picture`."""

from __future__ import annotations

from io import StringIO
from typing import Any

from attrs import evolve
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.client_picture import ClientPicture
from relaykit.commands.status.view import ConnectionState, Snapshot
from relaykit.dataplane.datagram_flows import DatagramCounts
from relaykit.dataplane.plane import FlowCounts
from tests.commands.status.snapshots import CONNECTED, CONNECTING, OPEN, asked, problem, with_entry_points
from tests.commands.terminal import draw_as_xterm

WEB = evolve(OPEN, name="web", where="http://relay.example:6000/", url="http://relay.example:6000/")


KEYS = "q ends it"


class ClientPictureTests(SynchronousTestCase):
    """Tests for what is drawn."""

    def lines(
        self,
        snapshot: Snapshot,
        before: Snapshot | None = None,
        *,
        width: int = 100,
        height: int = 50,
        encoding: str = "utf-8",
        codes: bool = True,
    ) -> list[str]:
        """The lines that a snapshot is drawn in, borders left out."""
        self.patch(Console, "encoding", encoding)
        console = Console(
            width=width, height=height, color_system=None, file=StringIO(), legacy_windows=False
        )
        picture = ClientPicture("relaykit tcp", codes=codes)
        with console.capture() as drawn:
            console.print(picture.drawn(snapshot, before, console, KEYS))
        return [line.strip(" │|") for line in drawn.get().splitlines()]

    def text(self, snapshot: Snapshot, **terminal: Any) -> str:
        """All that is drawn."""
        return "\n".join(self.lines(snapshot, **terminal))

    def test_frame(self) -> None:
        """The command is shown, and how to end it."""
        text = self.text(CONNECTING)
        self.assertIn("relaykit tcp", text)
        self.assertIn(KEYS, text)

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

    def test_way(self) -> None:
        """How users get to the other end stands beside where they come in, as long as they can."""
        going = evolve(OPEN, where="127.0.0.1:5432", way="a direct path, over udp")
        self.assertIn("127.0.0.1:5432  a direct path, over udp", self.text(with_entry_points(going)))
        closed = evolve(going, open=False, reason="port already used")
        self.assertNotIn("direct", self.text(with_entry_points(closed)))

    def test_line(self) -> None:
        """What reaches a service from another machine is below the panel, in lines that a shell takes."""
        line = "relaykit visit db --port 5432 --server relay.example:7000 --token-file token"
        secret = with_entry_points(evolve(OPEN, name="db", where="open to visitors", line=line))
        text = self.text(secret)
        self.assertIn("open to visitors", text)
        self.assertTrue(text.endswith(f"\n\nOn the other machine, run:\n\n{line}\n"), text)
        lines = self.lines(secret, width=60)
        first = lines.index("relaykit visit db --port 5432 --server relay.example:7000 \\")
        self.assertEqual(lines[first + 1], "--token-file token")
        closed = with_entry_points(evolve(OPEN, name="db", where="", line=line, open=False))
        self.assertNotIn("relaykit visit", self.text(closed))

    def test_reason(self) -> None:
        """What is known of why it is not open is there, in place of how it would be reached."""
        closed = evolve(OPEN, open=False, reason="check failed: refused")
        self.assertIn("not open: check failed: refused", self.text(with_entry_points(closed)))

    def test_traffic(self) -> None:
        """Users and bytes are counted; rates are those since the snapshot before."""
        before = evolve(CONNECTED, flows=FlowCounts(present=1, total=3, near_to_far=1000, far_to_near=0))
        after = FlowCounts(present=2, total=4, near_to_far=3000, far_to_near=10_000_000)
        lines = self.lines(evolve(before, at=12.0, flows=after), before)
        (line,) = [line for line in lines if "2 users now, 4 so far" in line]
        for part in ("3.0 kB (1.0 kB/s)", "10.0 MB (5.0 MB/s)"):
            self.assertIn(part, line)

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

    def test_solved_problem(self) -> None:
        """A problem that is solved has one line, and nothing is to be done about it."""
        solved = evolve(problem("[ssh] start error: port already used " + 100 * "x"), solved=True)
        lines = self.lines(evolve(CONNECTED, problem=solved))
        (line,) = [each for each in lines if "ago, solved: [ssh] start error: port already used" in each]
        self.assertTrue(line.endswith("…"))
        self.assertNotIn("Ask for another remotePort", "".join(lines))

    def test_color(self) -> None:
        """Green is for what is of use."""
        draw_as_xterm(self)
        for entry_points, color in (
            ((OPEN,), "32"),
            ((evolve(OPEN, open=False, reason="taken"), OPEN), "32"),
            ((evolve(OPEN, open=False),), "32"),
            ((evolve(OPEN, open=False, reason="taken"),), "33"),
            ((evolve(OPEN, reason="nobody offers it now"),), "33"),
        ):
            console = Console(width=100, file=StringIO(), force_terminal=True, legacy_windows=False)
            snapshot = with_entry_points(*entry_points)
            with console.capture() as drawn:
                console.print(ClientPicture("relaykit tcp").drawn(snapshot, None, console, KEYS))
            self.assertIn(f"\x1b[1;{color}m", drawn.get().splitlines()[1])

    def test_nothing_open(self) -> None:
        """A connection that is of no use says so, and when that may change."""
        refused = evolve(OPEN, open=False, reason="port already used", asks_again_s=27.4)
        text = self.text(with_entry_points(refused))
        self.assertIn("connected to relay.example:7000, but nothing is open", text)
        self.assertIn("not open: port already used; asks again in 27 s", text)

    def test_nobody_offers(self) -> None:
        """What is open in vain says why."""
        self.assertIn(
            "6000  nobody offers it now",
            self.text(with_entry_points(evolve(OPEN, reason="nobody offers it now"))),
        )

    def test_narrow(self) -> None:
        """An address is never broken: what it is called is given up first, then where it leads."""
        address = "http://relay.example:6000/"
        for width, row in (
            (100, f"web  {address}  → 127.0.0.1:22"),
            (50, f"{address}  → 127.0.0.1:22"),
            (32, address),
        ):
            self.assertIn(row, self.lines(with_entry_points(WEB), width=width))
        self.assertLess(max(map(len, self.lines(with_entry_points(WEB), width=20))), 21)

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

    def test_no_room_for_a_code(self) -> None:
        """Where it does not fit, it is told what would make it."""
        for width, height, hint in (
            (100, 19, "make the window 20 rows high for a QR code"),
            (20, 60, "make the window 29 columns wide for a QR code"),
        ):
            text = " ".join(
                self.lines(
                    with_entry_points(WEB), width=max(width, 60) if height == 19 else width, height=height
                )
            )
            self.assertIn(hint[:19], text)

    def test_impossible_urls(self) -> None:
        """What the server says may be no URL, or one that fits no code."""
        for url in ("http://[x", "http://" + 5000 * "x"):
            drawn = self.lines(with_entry_points(evolve(WEB, url=url)))
            self.assertIn("relaykit tcp", drawn[0])

    def test_last(self) -> None:
        """What stays has neither keys nor codes."""
        console = Console(width=100, height=50, color_system=None, file=StringIO(), legacy_windows=False)
        ended = with_entry_points(
            WEB, state=ConnectionState.ENDED, flows=FlowCounts(total=3, near_to_far=234, far_to_near=1600)
        )
        with console.capture() as drawn:
            console.print(ClientPicture("relaykit tcp").last(ended, console))
        self.assertIn("ended: 3 users, 234 bytes down, 1.6 kB up", drawn.get())
        solved = evolve(ended, problem=evolve(problem("it was lost"), solved=True))
        self.assertNotIn("lost", "".join(self.lines(solved)))
        self.assertNotIn("▀", drawn.get())
        self.assertNotIn(KEYS, drawn.get())

    def test_plain_letters(self) -> None:
        """A terminal that knows no Unicode gets none."""
        text = self.text(with_entry_points(WEB), encoding="ascii")
        body = [line for line in text.splitlines()[1:-1]]
        self.assertTrue(all(line.isascii() for line in body), body)

"""Tests for :mod:`relaykit.commands.status.server_picture`."""

from __future__ import annotations

from io import StringIO

from attrs import evolve
from rich.console import Console, RenderableType
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.server import ClientRow, ProxyRow, ServerSnapshot
from relaykit.commands.status.server_picture import ServerPicture
from relaykit.dataplane.datagram_flows import DatagramCounts
from relaykit.dataplane.plane import FlowCounts
from relaykit.sansio.control.server_life import ServerState
from tests.commands.status.snapshots import problem

CLIENT = ClientRow(name="alice.vm", address="203.0.113.9", version="0.1.0", is_bound=True, seconds=61.0)
PROXY = ProxyRow(
    name="ssh", type="tcp", address=":6000", client="alice.vm", users=1, connections=3, moved=1234
)
READY = ServerSnapshot(
    at=10.0,
    state=ServerState.READY,
    seconds=3723.0,
    port=7000,
    fingerprint="sha256:" + 32 * "ab",
    clients=(CLIENT,),
    client_count=1,
    proxies=(PROXY,),
    proxy_count=1,
)


class ServerPictureTests(SynchronousTestCase):
    """Tests for what is drawn."""

    def setUp(self) -> None:
        """Makes a picture, on a terminal that knows Unicode."""
        self.patch(Console, "encoding", "utf-8")
        self.picture = ServerPicture("relaykit server")

    def printed(self, console: Console, what: RenderableType) -> list[str]:
        """The lines of it, borders left out."""
        with console.capture() as drawn:
            console.print(what)
        return [line.strip(" │|") for line in drawn.get().splitlines()]

    def lines(self, snapshot: ServerSnapshot, height: int = 40, width: int = 100) -> list[str]:
        """The lines that a snapshot is drawn in."""
        console = Console(
            width=width, height=height, color_system=None, file=StringIO(), legacy_windows=False
        )
        return self.printed(console, self.picture.drawn(snapshot, None, console, "q ends it"))

    def test_all(self) -> None:
        """What it is, who is there, what is open, and what moved."""
        lines = self.lines(
            evolve(READY, flows=FlowCounts(present=1, total=3, datagrams=DatagramCounts(1, 2)))
        )
        self.assertIn("relaykit server", lines[0])
        self.assertEqual(lines[1], "● ready: clients dial port 7000  for 1:02:03")
        self.assertEqual(lines[2], "fingerprint " + 32 * "ab")
        self.assertEqual(self.lines(READY, width=80)[2], lines[2])
        self.assertTrue(lines[3].startswith("1 user now, 3 so far"))
        self.assertTrue(lines[4].startswith("datagrams: 1 from users"))
        rows = [line.split() for line in lines]
        self.assertIn(["1", "client"], rows)
        self.assertIn(["alice.vm", "203.0.113.9", "0.1.0", "bound", "login", "0:01:01"], rows)
        self.assertIn(["1", "proxy"], rows)
        self.assertIn(["ssh", "tcp", ":6000", "→", "alice.vm", "1", "user", "of", "3", "1.2", "kB"], rows)
        self.assertIn("q ends it", lines[-1])

    def test_unbound(self) -> None:
        """A login that is bound to nothing says so."""
        lines = self.lines(evolve(READY, clients=(evolve(CLIENT, is_bound=False),)))
        self.assertTrue(any("login not bound" in line for line in lines))

    def test_room(self) -> None:
        """It never has more rows than the window; how many are left out is told."""
        many = evolve(
            READY,
            clients=100 * (CLIENT,),
            client_count=250,
            proxies=100 * (PROXY,),
            proxy_count=300,
            problems=tuple(problem(f"problem {number}") for number in range(5)),
            note="RELAYKIT_TOKEN=...\nmore",
        )
        for height in range(14, 60):
            lines = self.lines(many, height=height)
            self.assertLessEqual(len(lines), height)
        self.assertTrue(any(line.startswith("250 clients, ") for line in lines))
        self.assertTrue(any(line.startswith("300 proxies, ") for line in lines))
        self.assertEqual(len(lines), 59)
        few = self.lines(evolve(many, clients=(CLIENT,), client_count=1), height=40)
        self.assertGreater(sum(line.startswith("ssh") for line in few), 15)

    def test_problems(self) -> None:
        """The last problem has what to do about it, some before it a line each."""
        problems = (
            problem("port already used"),
            *(problem(f"old {number} " + 200 * "x") for number in range(4)),
        )
        lines = self.lines(evolve(READY, problems=problems))
        self.assertEqual(sum("ago: " in line for line in lines), 3)
        self.assertTrue(any("Ask for another remotePort" in line for line in lines))
        self.assertEqual(sum(line.endswith("…") for line in lines), 2)

    def test_note(self) -> None:
        """What may be copied has no border."""
        console = Console(width=80, height=40, color_system=None, file=StringIO(), legacy_windows=False)
        with console.capture() as drawn:
            console.print(self.picture.drawn(evolve(READY, note=80 * "x"), None, console, ""))
        self.assertIn(f"\n{80 * 'x'}\n", drawn.get())

    def test_last(self) -> None:
        """At the end it is told what it was, and what was wrong with it."""
        console = Console(width=100, height=40, color_system=None, file=StringIO(), legacy_windows=False)
        ended = evolve(READY, ended=True, has_run=True, note="a secret", problems=(problem("too bad"),))
        lines = self.printed(console, self.picture.last(ended, console))
        self.assertEqual(lines[1], "● ended: 0 users, 0 bytes down, 0 bytes up")
        self.assertTrue(any("too bad" in line for line in lines))
        self.assertFalse(any("a secret" in line for line in lines))

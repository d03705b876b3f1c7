"""Tests for :mod:`relaykit.commands.status.plain`."""

from __future__ import annotations

from io import StringIO

from attrs import evolve
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.context import CommandContext
from relaykit.commands.status import plain
from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.view import ConnectionState, Snapshot
from relaykit.dataplane.plane import FlowCounts
from tests.commands.status.snapshots import CONNECTED, CONNECTING, OPEN, asked, problem, with_entry_points


class PlainRendererTests(SynchronousTestCase):
    """Tests for :class:`PlainRenderer`."""

    def setUp(self) -> None:
        """Makes a renderer."""
        self.out, self.err = StringIO(), StringIO()
        self.renderer = PlainRenderer(CommandContext(self.out, self.err, {}))

    def said(self, *snapshots: Snapshot) -> str:
        """What is said to these snapshots."""
        self.out.seek(0)
        self.out.truncate()
        for snapshot in snapshots:
            self.renderer.show(snapshot)
        return self.out.getvalue()

    def test_state(self) -> None:
        """Each change of the connection is a line, and only a change."""
        waiting = evolve(CONNECTING, state=ConnectionState.WAITING, seconds=2.6)
        self.assertEqual(
            self.said(CONNECTING, evolve(CONNECTING, seconds=1.0), CONNECTED, waiting, CONNECTING),
            "connecting to relay.example:7000\n"
            "connected to relay.example:7000\n"
            "not connected to relay.example:7000, next attempt in 3 s\n"
            "connecting to relay.example:7000\n",
        )

    def test_stopping(self) -> None:
        """That a client stops is told where it was connected; else there is nothing to wait for."""
        stopping = evolve(CONNECTING, state=ConnectionState.STOPPING)
        self.assertEqual(self.said(CONNECTED, stopping), "connected to relay.example:7000\nstopping\n")
        self.assertEqual(
            self.said(evolve(stopping, state=ConnectionState.ENDED)),
            "ended: 0 users, 0 bytes down, 0 bytes up\n",
        )

    def test_never_connected(self) -> None:
        """Who was never connected has nothing to tell of its end."""
        stopping = evolve(CONNECTING, state=ConnectionState.STOPPING)
        ended = evolve(CONNECTING, state=ConnectionState.ENDED)
        self.assertEqual(self.said(CONNECTING, stopping, ended), "connecting to relay.example:7000\n")

    def test_nothing_open(self) -> None:
        """A connection that is of no use says so once, and when that may change."""
        refused = evolve(OPEN, open=False, reason="port already used", asks_again_s=30.0)
        self.assertEqual(
            self.said(CONNECTED, *2 * [with_entry_points(refused)], with_entry_points(OPEN)),
            "connected to relay.example:7000\n"
            "connected to relay.example:7000, but nothing is open; asks again in 30 s\n"
            "[ssh] open: relay.example:6000 -> 127.0.0.1:22\n",
        )

    def test_ways(self) -> None:
        """How users get to the other end is told when it changes."""
        direct, relayed = evolve(OPEN, way="a direct path"), evolve(OPEN, way="no direct path: reset")
        self.said(with_entry_points(OPEN))
        shown = (with_entry_points(each) for each in (OPEN, direct, direct, relayed, direct))
        self.assertEqual(
            self.said(*shown), "[ssh] a direct path\n[ssh] no direct path: reset\n[ssh] a direct path\n"
        )

    def test_entry_points(self) -> None:
        """Where users come in is told when it opens, again after it was closed."""
        closed = evolve(OPEN, open=False)
        self.said(CONNECTED)
        line = "[ssh] open: relay.example:6000 -> 127.0.0.1:22\n"
        self.assertEqual(
            self.said(with_entry_points(closed), with_entry_points(OPEN), with_entry_points(OPEN)), line
        )
        self.assertEqual(self.said(with_entry_points(closed), with_entry_points(OPEN)), line)

    def test_forms_of_address(self) -> None:
        """What is dialed is told, and where it leads if that is known."""
        self.said(CONNECTED)
        web = evolve(OPEN, name="web", where="http://relay.example:6000/")
        hinted = evolve(OPEN, name="db", where="", line="relaykit visit db", leads_to="")
        self.assertEqual(
            self.said(with_entry_points(web, hinted)),
            "[web] open: http://relay.example:6000/ -> 127.0.0.1:22\n"
            "[db] open: on the other machine: relaykit visit db\n",
        )

    def test_problems(self) -> None:
        """A problem goes to standard error, with what to do; its repetition is not told."""
        refused = "[ssh] start error: port already used"
        first, again, other = problem(refused), problem(refused, 10.0), problem("nobody knows this", 11.0)
        for each in (first, first, again, other):
            self.renderer.show(evolve(CONNECTED, problem=each))
        assert first.known is not None
        self.assertEqual(
            self.err.getvalue(),
            f"problem: {refused}\n  {first.known.cause}\n  {first.known.remedy}\n"
            "problem: nobody knows this\n",
        )

    def test_traffic(self) -> None:
        """Traffic is no news."""
        self.said(CONNECTED)
        self.assertEqual(self.said(evolve(CONNECTED, flows=FlowCounts(present=1, total=1))), "")

    def test_requests(self) -> None:
        """Each request is a line."""
        for each in (asked("/a?b=c"), asked("/b", status=None)):
            self.renderer.tell_request(each)
        self.assertEqual(
            self.out.getvalue(),
            "[web] GET /a?b=c -> 200 (12 ms, 1.2 kB)\n[web] GET /b -> no answer (12 ms, 1.2 kB)\n",
        )

    def test_nobody_reads(self) -> None:
        """Requests are left out while nobody takes the lines, which is told with the next one."""
        takes = False
        self.patch(plain, "takes_output", lambda stream: takes)
        for number in range(3):
            self.renderer.tell_request(asked(f"/{number}"))
        self.assertEqual(self.out.getvalue(), "")
        takes = True
        for number in range(3, 5):
            self.renderer.tell_request(asked(f"/{number}"))
        self.assertEqual(
            self.out.getvalue(),
            "(3 requests are left out)\n"
            "[web] GET /3 -> 200 (12 ms, 1.2 kB)\n"
            "[web] GET /4 -> 200 (12 ms, 1.2 kB)\n",
        )

    def test_told(self) -> None:
        """Any other text goes to standard error, and closing says nothing."""
        self.renderer.begin(lambda letter: None)
        self.renderer.tell_log("a line", LogLevel.warn)
        self.renderer.tell("Traceback")
        self.renderer.close()
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("", "Traceback\n"))

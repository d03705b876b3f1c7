"""Tests for :mod:`relaykit.commands.status.plain`."""

from __future__ import annotations

from io import StringIO

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.context import CommandContext
from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.view import ConnectionState, Snapshot
from relaykit.dataplane.plane import FlowCounts
from tests.commands.status.snapshots import CONNECTED, CONNECTING, OPEN, problem, with_entrances


class NarratorTests(SynchronousTestCase):
    """Tests for :class:`PlainRenderer`."""

    def setUp(self) -> None:
        """Makes a narrator."""
        self.out, self.err = StringIO(), StringIO()
        self.narrator = PlainRenderer(CommandContext(self.out, self.err, {}))

    def said(self, *pictures: Snapshot) -> str:
        """What is said to these pictures."""
        self.out.seek(0)
        self.out.truncate()
        for picture in pictures:
            self.narrator.show(picture)
        return self.out.getvalue()

    def test_standing(self) -> None:
        """Each change of the connection is a line, and only a change."""
        waiting = evolve(CONNECTING, standing=ConnectionState.WAITING, seconds=2.6)
        self.assertEqual(
            self.said(CONNECTING, evolve(CONNECTING, seconds=1.0), CONNECTED, waiting, CONNECTING),
            "connecting to relay.example:7000\n"
            "connected to relay.example:7000\n"
            "not connected to relay.example:7000, next attempt in 3 s\n"
            "connecting to relay.example:7000\n",
        )

    def test_stopping(self) -> None:
        """That a client stops is told where it was connected; else there is nothing to wait for."""
        stopping = evolve(CONNECTING, standing=ConnectionState.STOPPING)
        self.assertEqual(self.said(CONNECTED, stopping), "connected to relay.example:7000\nstopping\n")
        self.assertEqual(self.said(CONNECTING, stopping), "connecting to relay.example:7000\n")

    def test_entrances(self) -> None:
        """Where users come in is told when it opens, again after it was closed."""
        closed = evolve(OPEN, open=False)
        self.said(CONNECTED)
        line = "[ssh] open: relay.example:6000 -> 127.0.0.1:22\n"
        self.assertEqual(self.said(with_entrances(closed), with_entrances(OPEN), with_entrances(OPEN)), line)
        self.assertEqual(self.said(with_entrances(closed), with_entrances(OPEN)), line)

    def test_forms_of_address(self) -> None:
        """A URL is better than an address, and a hint better than nothing."""
        self.said(CONNECTED)
        web = evolve(OPEN, name="web", url="http://relay.example:6000/")
        hinted = evolve(OPEN, name="db", address="", hint="relaykit visit db", leads_to="")
        self.assertEqual(
            self.said(with_entrances(web, hinted)),
            "[web] open: http://relay.example:6000/ -> 127.0.0.1:22\n[db] open: relaykit visit db\n",
        )

    def test_problems(self) -> None:
        """A problem goes to standard error, with what to do; its repetition is not told."""
        refused = "[ssh] start error: port already used"
        first, again, other = problem(refused), problem(refused, 10.0), problem("nobody knows this", 11.0)
        for each in (first, first, again, other):
            self.narrator.show(evolve(CONNECTED, problem=each))
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

    def test_told(self) -> None:
        """Any other text goes to standard error, and closing says nothing."""
        self.narrator.tell("Traceback")
        self.narrator.close()
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("", "Traceback\n"))

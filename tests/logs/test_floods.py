"""Tests for the limit of lines about strangers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.logs.floods import (
    INTERVAL_S,
    LINES,
    LINES_OF_CLIENTS,
    LINES_PER_CLIENT_HOST,
    LINES_PER_HOST,
    FloodLimit,
    limited,
)
from relaykit.logs.observers import LogSettings, log_writer
from tests.layering import ROOT, modules

REFUSED = "a connection from {peer} is refused: {reason}"


class FloodLimitTests(SynchronousTestCase):
    """Tests for :class:`FloodLimit`."""

    def setUp(self) -> None:
        """A log that is limited."""
        self.clock = Clock()
        self.events: list[LogEvent] = []
        self.limit = FloodLimit(self.events.append, self.clock)
        self.log = Logger("relaykit.server", observer=self.limit)

    def refuse(self, host: str = "192.0.2.1", times: int = 1, reason: str = "HTTP", **fields: Any) -> None:
        """A stranger was refused."""
        for port in range(times):
            self.log.warn(REFUSED, peer=f"{host}:{port}", reason=reason, stranger=host, **fields)

    def counts(self) -> list[int]:
        """How many were told to be left out, each time."""
        return [event["more"] for event in self.events if "more" in event]

    def test_interface(self) -> None:
        """It is an observer of the log."""
        verifyObject(ILogObserver, self.limit)

    def test_honest_rate(self) -> None:
        """Nothing is left out of what people, clients and slow attackers cause."""
        for _ in range(20):
            self.refuse(times=LINES_PER_HOST)
            self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.events), 20 * LINES_PER_HOST)

    def test_flood(self) -> None:
        """Of a flood the first lines are written, and when the time is over, how many more there were."""
        self.refuse(times=LINES_PER_HOST + 5812)
        self.assertEqual(len(self.events), LINES_PER_HOST)
        self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.events), LINES_PER_HOST + 1)
        last = self.events[-1]
        self.assertEqual(last["more"], 5812)
        self.assertGreaterEqual(last["log_time"], self.events[-2]["log_time"])
        self.assertEqual((last["log_level"].name, last["log_namespace"]), ("warn", "relaykit.server"))
        self.assertEqual(last["example"], "a connection from 192.0.2.1:10 is refused: HTTP")
        self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.events), LINES_PER_HOST + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_flood_that_lasts(self) -> None:
        """Each interval begins anew, so that whoever bans hosts by the log sees those that go on."""
        for _ in range(3):
            self.refuse(times=100)
            self.clock.advance(INTERVAL_S)
        self.assertEqual(self.counts(), 3 * [100 - LINES_PER_HOST])

    def test_other_hosts(self) -> None:
        """One host cannot keep another one out of the log; many can, for they are a flood, too."""
        self.refuse("192.0.2.1", 1000)
        self.refuse("192.0.2.2")
        self.assertEqual(self.events[-1]["stranger"], "192.0.2.2")
        for number in range(1000):
            self.refuse(f"2001:db8::{number:x}", 3)
        self.assertEqual(len(self.events), LINES)
        self.clock.advance(INTERVAL_S)
        self.assertEqual(self.counts(), [1000 + 1 + 3000 - LINES])

    def test_clients(self) -> None:
        """A client that is logged in has a line for each of its proxies, but not for thousands of them."""
        for number in range(5000):
            self.log.info("new proxy [{proxy}]", proxy=f"p{number}", by_client="192.0.2.1")
            self.log.warn("start error of [{proxy}]", proxy=f"p{number}", by_server="192.0.2.3")
        self.assertEqual(len(self.events), 2 * LINES_PER_CLIENT_HOST)
        self.log.info("new proxy [{proxy}]", proxy="mine", by_client="192.0.2.2")
        self.assertEqual(self.events[-1]["proxy"], "mine")
        self.clock.advance(INTERVAL_S)
        self.assertEqual(self.counts(), [5000 - LINES_PER_CLIENT_HOST] * 2)
        for number in range(LINES_OF_CLIENTS + 100):
            self.log.info("new proxy [{proxy}]", proxy="p", by_client=f"2001:db8::{number:x}")
        self.clock.advance(INTERVAL_S)
        self.assertEqual(self.counts()[-1], 100)

    def test_kinds(self) -> None:
        """Lines of another kind are counted for themselves; what a stranger sent makes no kind of its own."""
        self.refuse(times=100)
        self.refuse(problem="tls-failed")
        self.log.warn("something else", stranger="192.0.2.1")
        self.log.error(REFUSED, peer="", reason="", stranger="192.0.2.1")
        self.assertEqual(len(self.events), LINES_PER_HOST + 3)
        for number in range(100):
            self.refuse(reason=f"junk {number}")
        self.assertEqual(len(self.events), LINES_PER_HOST + 3)
        self.assertEqual(len(self.clock.getDelayedCalls()), 4)

    def test_others(self) -> None:
        """What is not about strangers is never left out."""
        for _ in range(1000):
            self.log.info("login to server success")
        self.assertEqual(len(self.events), 1000)

    def test_end(self) -> None:
        """At the end of the program it is told what was left out until then, once."""
        self.refuse(times=LINES_PER_HOST + 7)
        self.limit.tell_rest()
        self.limit.tell_rest()
        self.clock.advance(INTERVAL_S)
        self.assertEqual(self.counts(), [7])

    def test_end_of_reactor(self) -> None:
        """That is when the reactor has ended."""
        reactor = MemoryReactorClock()
        self.limit = limited(self.events.append, reactor)
        self.log = Logger("relaykit.server", observer=self.limit)
        self.refuse(times=LINES_PER_HOST + 7)
        ((function, arguments, keywords),) = reactor.triggers["after"]["shutdown"]
        function(*arguments, **keywords)
        self.assertEqual(self.counts(), [7])

    def test_written(self) -> None:
        """What was left out has a line in text and in JSON, with the place that the others came from."""
        for form in ("text", "json"):
            console = StringIO()
            clock = Clock()
            limit = FloodLimit(log_writer(LogSettings(format=form, color=False), console), clock)
            log = Logger("relaykit.server", observer=limit)
            for _ in range(LINES_PER_HOST + 5812):
                log.warn(
                    REFUSED, peer="\x1b[2J" + 5000 * "\x7f", reason="x", stranger="192.0.2.1", problem="p"
                )
            clock.advance(INTERVAL_S)
            *_, line = console.getvalue().splitlines()
            text = line if form == "text" else json.loads(line)["message"]
            self.assertIn(
                "... and 5812 more like this within 60 s, such as: a connection from \\x1b[2J", text
            )
            self.assertIn("logs/test_floods.py:", line)
            self.assertLess(len(line), 4000)


_OTHERS = {
    # Those of load balancers have a limit of their own, with how many there were.
    "relaykit/dataplane/load_balancers.py",
    # The host is that of a route, and whoever logs in is no stranger.
    "relaykit/proxies/domains.py",
    "relaykit/server/observers.py",
}


class EveryLineTests(SynchronousTestCase):
    """No line about a stranger gets past the limit."""

    def lines(self) -> Iterator[tuple[str, set[str | None]]]:
        """The lines of the usual levels, by their files, with their fields."""
        for path in modules():
            for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
                if isinstance(node, ast.Call) and _is_usual(node.func):
                    yield str(path), {each.arg for each in node.keywords}

    def test_marked(self) -> None:
        """Whatever names a peer, or where a user comes from, says who the stranger is."""
        marked = 0
        for path, names in self.lines():
            if names & {"peer", "origin"} and path not in _OTHERS:
                self.assertTrue("stranger" in names, f"{path}: {names}")
                marked += 1
        self.assertGreater(marked, 10)


def _is_usual(function: ast.expr) -> bool:
    """Whether a call is one of a logger, at a level that is written by default."""
    if isinstance(function, ast.Name):
        return function.id == "level"
    if not isinstance(function, ast.Attribute) or function.attr not in ("info", "warn", "error"):
        return False
    return getattr(function.value, "attr", getattr(function.value, "id", "")) == "log"

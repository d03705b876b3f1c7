"""Tests for :mod:`relaykit.history.service`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.history import keeper as keeper_module
from relaykit.history.grains import DAY_S, Grain, number_of
from relaykit.history.keeper import HistoryKeeper
from relaykit.history.service import PRUNE_S, STEADY_S, History
from relaykit.history.subjects import WHOLE
from relaykit.timer import PORTION_S
from relaykit.values import NOTHING, Amount, Usage
from tests.history.threads import ThreadAtOnce, clock_of_threads

BEGIN = 1_780_000_000.0 // 60 * 60
ONE = Amount(1, 2, 3)


class HistoryTests(SynchronousTestCase):
    """Tests for the history of a role."""

    def setUp(self) -> None:
        self.patch(keeper_module, "OneThread", ThreadAtOnce)
        self.path = Path(self.mktemp(), "history.sqlite")
        self.clock = clock_of_threads()
        self.step = 0.0
        """How far the wall clock was put ahead."""
        self.totals: dict[str, Amount] = {"web": NOTHING}
        self.costs = 0.0
        """Seconds that a look at one proxy takes."""
        self.history = History(
            self.usage,
            lambda client: client.run_id,
            HistoryKeeper(self.path, self.clock),
            self.clock,
            self.now,
        )
        self.history.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self.history.running:
            self.successResultOf(self.history.stopService())

    def now(self) -> float:
        """The wall clock."""
        seconds: float = self.clock.seconds()
        return BEGIN + self.step + seconds

    def usage(self) -> Iterator[Usage]:
        """What proxies were used for."""
        for name, amount in list(self.totals.items()):
            self.clock.rightNow += self.costs
            yield Usage(name, None, amount)

    def moves(self) -> None:
        """Something is moved."""
        self.totals["web"] += ONE

    def told(self, grain: Grain, first: float, last: float) -> list[int]:
        """The connections of a span."""
        numbers = range(number_of(grain, first), number_of(grain, last) + 1)
        return list(self.successResultOf(self.history.read(WHOLE, grain, numbers)).connections)

    def test_minutes(self) -> None:
        """What is moved in a minute is written when it is over, and counts for it."""
        self.clock.advance(10)
        self.moves()
        self.assertEqual(self.told(Grain.MINUTE, BEGIN, BEGIN), [0])
        self.clock.advance(50)
        self.assertEqual(self.told(Grain.MINUTE, BEGIN, BEGIN + 60), [3, 0])
        self.clock.advance(30)
        self.moves()
        self.moves()
        self.clock.advance(30)
        self.assertEqual(self.told(Grain.MINUTE, BEGIN, BEGIN + 120), [3, 6, 0])

    def test_idle(self) -> None:
        """Where nothing moves nothing is written, and there is not even a file."""
        for _ in range(5):
            self.clock.advance(60)
        self.assertFalse(self.path.exists())

    def test_end(self) -> None:
        """What was moved until the end is written, and the totals of another start count as a whole."""
        self.clock.advance(20)
        self.moves()
        self.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.totals["web"] = ONE + ONE
        self.history.startService()
        self.clock.advance(40)
        self.assertEqual(self.told(Grain.MINUTE, BEGIN, BEGIN), [9])
        day = date.fromtimestamp(BEGIN)
        found = self.successResultOf(self.history.days_of_proxies(day, day))
        self.assertEqual(found, {day: {"web": ONE + ONE + ONE}})

    def test_steps(self) -> None:
        """A clock that is set, ahead or back, costs nothing: what was moved counts for what it says then."""
        year = 365 * DAY_S
        for step in (0.0, year, -year):
            self.step = step
            self.moves()
            self.clock.advance(60)
            self.clock.advance(60)
            now = self.now()
            self.assertEqual(sum(self.told(Grain.MINUTE, now - 180, now)), 3)

    def test_before_any_time(self) -> None:
        """A clock far off, as on a machine that has lost its time, is no defect."""
        for step in (-BEGIN, -2 * BEGIN, 1e12):
            self.step = step
            self.moves()
            self.clock.advance(60)
            self.clock.advance(60)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_pruned(self) -> None:
        """What is old is forgotten, yet only once the clock has not been set for long."""
        self.moves()
        self.clock.advance(60)
        self.step = 100 * DAY_S
        for _ in range(int(STEADY_S // 60) - 1):
            self.clock.advance(60)
        self.assertEqual(self.told(Grain.DAY, BEGIN, BEGIN), [3])
        self.step = 0.0
        for _ in range(int(STEADY_S // 60) + 5):
            self.clock.advance(60)
        self.assertEqual(self.told(Grain.DAY, BEGIN, BEGIN), [3])
        self.step = 100 * DAY_S
        for _ in range(int((STEADY_S + PRUNE_S) // 60) + 5):
            self.clock.advance(60)
        self.assertEqual(self.told(Grain.DAY, BEGIN, BEGIN), [0])

    def test_in_portions(self) -> None:
        """Others have their turns while many proxies are looked at, and each counts once."""
        self.totals = {f"p{number}": ONE for number in range(100)}
        self.costs = PORTION_S / 4
        waits: list[float] = []
        call_later = self.clock.callLater

        def wait(delay: float, *call: Any) -> Any:
            waits.append(delay)
            return call_later(delay, *call)

        self.clock.callLater = wait
        self.clock.advance(60)
        self.assertGreater(waits.count(0), 10)
        self.assertEqual(sum(self.told(Grain.MINUTE, BEGIN, BEGIN + 60)), 300)
        self.costs = 0.0

    def test_end_within_a_look(self) -> None:
        """An end that comes while proxies are looked at counts nothing twice."""
        self.totals = {f"p{number}": ONE for number in range(10)}
        self.clock.advance(59)
        waiting: list[Any] = []
        call_later = self.clock.callLater

        def wait(delay: float, *call: Any) -> Any:
            if delay:
                return call_later(delay, *call)
            waiting.append(call)

        self.clock.callLater = wait
        self.costs = PORTION_S / 4
        self.clock.advance(1)
        self.assertEqual(len(waiting), 1)
        stopped = self.history.stopService()
        while waiting:
            function, *arguments = waiting.pop()
            function(*arguments)
        self.successResultOf(stopped)
        self.costs = 0.0
        self.assertEqual(sum(self.told(Grain.MINUTE, BEGIN - 60, BEGIN + 60)), 30)

    def test_gaps(self) -> None:
        """A file that cannot be written is told of once, and how much is missing once it can be again."""
        self.path.parent.write_bytes(b"a file, where the folder should be")
        with capturedLogs() as events:
            for _ in range(3):
                self.moves()
                self.clock.advance(60)
            self.path.parent.unlink()
            self.moves()
            self.clock.advance(60)
        self.assertEqual(
            [(each["log_level"], each.get("lost")) for each in events],
            [(LogLevel.warn, None), (LogLevel.info, 3)],
        )
        self.assertEqual(self.told(Grain.MINUTE, BEGIN, BEGIN + 180), [0, 0, 0, 3])

"""Keeps the history of a role while it runs: looks at the totals each minute, and has what is new written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from relaykit.history.grains import LATEST_S, MINUTE_S
from relaykit.history.keeper import HistoryKeeper, HistoryUnavailable
from relaykit.history.tally import Tally
from relaykit.timer import Portion, Timer

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.history.file import HistoryFile
    from relaykit.history.grains import Grain
    from relaykit.history.subjects import Columns, Subject
    from relaykit.values import Amount, ClientIdentity, Usage

__all__ = ["PRUNE_S", "STEADY_S", "STEP_S", "History"]

STEP_S: Final = 2.0
"""Seconds that the wall clock may go astray between two looks: more is a step, or the machine was asleep."""

STEADY_S: Final = 3600.0
"""Seconds without a step until the wall clock is believed when it says that something is old: one that is
wrong for a while, as on machines without a battery, must not have everything forgotten."""

PRUNE_S: Final = 3600.0
"""Seconds between two times that what is old is forgotten."""

_LEAST_WAIT_S = 1.0
"""Seconds between two looks at least, whatever the wall clock says."""


class History(Service):
    """Has what proxies move written, each minute, and reads it.

    Times are those of the wall clock: what was moved between two looks counts for the minute in the middle.
    What is still moved while the role ends does not count.

    :param usage: what each proxy was used for; others have turns while it goes through them.
    :param client_key: the name of a client over its logins.
    :param clock: with monotonic time.
    :param wall_clock: seconds since 1970.
    """

    log = Logger()

    def __init__(
        self,
        usage: Callable[[], Iterable[Usage]],
        client_key: Callable[[ClientIdentity], str],
        keeper: HistoryKeeper,
        clock: Any,
        wall_clock: Callable[[], float],
    ) -> None:
        self._usage = usage
        self._client_key = client_key
        self._keeper = keeper
        self._clock = clock
        self._wall_clock = wall_clock
        self._timer = Timer(clock, self._on_time)
        self._tally = Tally(client_key)
        self._looking = DeferredLock()
        """One look after the other: it takes several turns."""
        self._looked_at = 0.0
        """By the clock, as all of these but the next."""
        self._wall = 0.0
        """What the wall clock said then."""
        self._steady_since = 0.0
        self._pruned_at = 0.0
        self._lost = 0
        """Minutes that could not be written."""

    def startService(self) -> None:
        super().startService()
        self._tally = Tally(self._client_key)
        self._wall = self._wall_clock()
        self._looked_at = self._steady_since = self._pruned_at = self._clock.seconds()
        self._wait()

    def stopService(self) -> Deferred[None]:
        """Fires when what was moved until now is written, or a short time is over."""
        super().stopService()
        self._timer.set(None)
        return Deferred.fromCoroutine(self._end())

    def read(self, subject: Subject, grain: Grain, numbers: range) -> Deferred[Columns]:
        """What was moved in some minutes, hours or days; fails with :class:`HistoryUnavailable`."""
        return self._keeper.do(lambda file: file.read(subject, grain, numbers))

    def days_of_proxies(self, first: date, last: date) -> Deferred[Mapping[date, Mapping[str, Amount]]]:
        """What each proxy has moved on each of these days; fails with :class:`HistoryUnavailable`."""

        def read(file: HistoryFile) -> Mapping[date, Mapping[str, Amount]]:
            found = file.days_of_proxies(range(first.toordinal(), last.toordinal() + 1))
            return {date.fromordinal(number): proxies for number, proxies in found.items()}

        return self._keeper.do(read)

    # --- looking ----------------------------------------------------------------------------------

    def _on_time(self) -> None:
        self._look_in_turn().addBoth(lambda _: self._wait())

    def _look_in_turn(self) -> Deferred[None]:
        looking: Deferred[None] = self._looking.run(lambda: Deferred.fromCoroutine(self._look()))
        return looking.addErrback(self._defect)

    def _wait(self) -> None:
        """Until the next minute begins."""
        if self.running:
            rest = MINUTE_S - self._wall_clock() % MINUTE_S
            self._timer.set(self._clock.seconds() + max(_LEAST_WAIT_S, rest))

    async def _end(self) -> None:
        await self._look_in_turn()
        await self._keeper.stop()

    async def _look(self) -> None:
        tally, portion = self._tally, Portion(self._clock)
        for each in self._usage():
            if portion.is_over:
                await portion.next()
            tally.take(each)
        moved, time = tally.finish(), self._time_of_look()
        if moved:
            writing = self._keeper.do(lambda file: file.write(moved, time))
            writing.addCallbacks(self._written, self._not_written)
        now = self._looked_at
        if now - self._pruned_at >= PRUNE_S and now - self._steady_since >= STEADY_S:
            self._pruned_at = now
            pruning = self._keeper.do(lambda file: file.prune(time))
            pruning.addErrback(lambda failure: failure.trap(HistoryUnavailable))

    def _time_of_look(self) -> float:
        """The time in the middle between this look and the one before."""
        now: float = self._clock.seconds()
        wall = self._wall_clock()
        passed = now - self._looked_at
        if abs(wall - self._wall - passed) > STEP_S:
            self._steady_since = now
        self._looked_at, self._wall = now, wall
        return min(max(0.0, wall - passed / 2), float(LATEST_S))

    def _written(self, _: None) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self.log.info("the history is written again; {lost} minutes are missing", lost=lost)

    def _not_written(self, failure: Failure) -> None:
        if not failure.check(HistoryUnavailable):
            self._defect(failure)
            return
        self._lost += 1
        if self._lost == 1:
            self.log.warn(
                "the history of traffic has gaps: {reason}",
                reason=failure.getErrorMessage(),
                problem="history-file",
            )

    def _defect(self, failure: Failure) -> None:
        self.log.failure("a defect of the history", failure)

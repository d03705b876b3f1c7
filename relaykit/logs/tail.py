"""The last lines of the log, for who asks a program that runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from relaykit.logs.floods import FloodLimit
from relaykit.logs.lines import told_text
from relaykit.logs.observers import is_told
from relaykit.logs.place import PLACE, place_of_caller

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.logger import LogLevel

__all__ = ["MOST_CHARACTERS", "MOST_LINES", "LogLine", "LogTail"]

MOST_LINES: Final = 2000
"""Lines that are remembered: what an ordinary program says in a day."""

MOST_CHARACTERS: Final = 512 * 1024
"""Characters of all of them together, so that long ones cost no more; the oldest are forgotten first."""

_OF_ONE: Final = 200
"""Characters that a line counts for besides its text."""


@frozen(kw_only=True)
class LogLine:
    """One line, with the traceback of a defect below it.

    :ivar number: one more than that of the line before, from 1 on, so that what was forgotten is missed.
    :ivar at: seconds since 1970.
    :ivar text: as the log has it behind the place in the source.
    :ivar problem: the id of a known problem; empty for none.
    """

    number: int
    at: float
    level: LogLevel
    source: str
    text: str
    problem: str


@implementer(ILogObserver)
class LogTail(Service):
    """Remembers what is logged while it runs, as far as the log has it; floods are counted as there.

    :param level: answers the level that the log has at the moment.
    """

    def __init__(self, level: Callable[[], str], reactor: Any) -> None:
        self._level = level
        self._limit = FloodLimit(self._keep, reactor)
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self._number = 0
        self._readers: tuple[Callable[[LogLine], None], ...] = ()

    def startService(self) -> None:
        super().startService()
        globalLogPublisher.addObserver(self)

    def stopService(self) -> Deferred[None] | None:
        globalLogPublisher.removeObserver(self)
        stopped: Deferred[None] | None = super().stopService()
        return stopped

    def __call__(self, event: LogEvent) -> None:
        if is_told(event, self._level()):
            self._limit(event)

    @property
    def last_number(self) -> int:
        """That of the last line; 0 before the first."""
        return self._number

    def lines(self, after: int = 0, level: LogLevel | None = None) -> Iterator[LogLine]:
        """Those that are remembered, the oldest first: those behind a number, and of a level or above it."""
        return (
            each for each in self._lines if each.number > after and (level is None or each.level >= level)
        )

    def last(self, count: int, after: int = 0, level: LogLevel | None = None) -> Sequence[LogLine]:
        """The last ones of those."""
        return tuple(deque(self.lines(after, level), maxlen=count))

    def follow(self, reader: Callable[[LogLine], None]) -> Callable[[], None]:
        """Tells this one of each line from now on; answers what ends that."""
        self._readers = (*self._readers, reader)

        def stop() -> None:
            self._readers = tuple(each for each in self._readers if each is not reader)

        return stop

    def _keep(self, event: LogEvent) -> None:
        self._number += 1
        line = LogLine(
            number=self._number,
            at=event["log_time"],
            level=event["log_level"],
            source=event.get(PLACE) or place_of_caller(),
            text=told_text(event),
            problem=str(event.get("problem", "")),
        )
        self._lines.append(line)
        self._characters += _size_of(line)
        while len(self._lines) > MOST_LINES or self._characters > MOST_CHARACTERS:
            self._characters -= _size_of(self._lines.popleft())
        for reader in self._readers:
            reader(line)


def _size_of(line: LogLine) -> int:
    return len(line.text) + _OF_ONE

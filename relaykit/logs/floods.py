"""Lines about what others did, as many as people and programs make use of: a flood is counted, not written.

Whoever logs what a stranger did puts a field ``stranger`` into the event, with the host that it came from;
``by_client`` for what a client did that is logged in, and ``by_server`` for what the server had this client
say, with anything that stands for it: there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

from relaykit.escaping import told
from relaykit.logs.place import PLACE, place_of_caller

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = [
    "INTERVAL_S",
    "LINES",
    "LINES_OF_CLIENTS",
    "LINES_PER_CLIENT_HOST",
    "LINES_PER_HOST",
    "FloodLimit",
    "limited",
]

INTERVAL_S = 60.0
"""Seconds that lines of one kind about strangers are counted, from the first one on; then it is told how many
were left out."""

LINES_PER_HOST = 10
"""Lines of one kind about one host in that time.  A program that bans hosts by the log, such as fail2ban,
does so after five by default; who mistypes a token, or a client that tries again and again, makes fewer."""

LINES = 60
"""Lines of one kind about all hosts in that time, one a second: whoever comes from many hosts writes some
15 KB a minute of each kind, whatever it sends."""

LINES_PER_CLIENT_HOST = 100
"""Lines of one kind about clients of one host, and about a client's server, in that time: every proxy of an
ordinary client, and of one that has proxy after proxy registered, or refused, enough to see it."""

LINES_OF_CLIENTS = 1000
"""Lines of one kind about all clients in that time: those of a site that come back together."""

_MORE = "... and {more} more like this within {seconds:g} s, such as: {example}"

_KEPT = ("log_level", "log_namespace", "log_time", "problem")
"""Fields that are the same for all lines of a kind, and the time, which is that of the last one."""

_Kind: TypeAlias = tuple[object, ...]


@frozen
class _Bounds:
    """How many lines of one kind are written in an interval."""

    per_host: int
    of_all: int


_BOUNDS: Mapping[str, _Bounds] = {
    "stranger": _Bounds(LINES_PER_HOST, LINES),
    "by_client": _Bounds(LINES_PER_CLIENT_HOST, LINES_OF_CLIENTS),
    "by_server": _Bounds(LINES_PER_CLIENT_HOST, LINES_OF_CLIENTS),
}
"""By the field that names the host."""


def limited(observer: Callable[[LogEvent], None], reactor: Any) -> FloodLimit:
    """An observer of the log, limited until the reactor ends; then it is told the rest."""
    limit = FloodLimit(observer, reactor)
    reactor.addSystemEventTrigger("after", "shutdown", limit.tell_rest)
    return limit


@define
class _Interval:
    """What there was of one kind of line since the interval began."""

    written: Counter[str] = field(factory=Counter)
    left_out: LogEvent | None = None
    """What stands for all that were left out, made of the first one."""
    count: int = 0

    def admits(self, host: str, bounds: _Bounds) -> bool:
        """Whether one more about a host is written."""
        if self.written.total() >= bounds.of_all or self.written[host] >= bounds.per_host:
            return False
        self.written[host] += 1
        return True


@implementer(ILogObserver)
@define(eq=False)
class FloodLimit:
    """Hands on all events, but of those about others only the first ones of each kind, and how many more.

    A kind is what has the same text, fields aside, the same level and the same known problem: there are as
    many as there are places in the code, whatever is sent.

    :ivar clock: what waits for the end of an interval.
    """

    _observer: Callable[[LogEvent], None]
    _clock: IReactorTime
    _intervals: dict[_Kind, _Interval] = field(factory=dict, init=False)

    def __call__(self, event: LogEvent) -> None:
        about = next((name for name in _BOUNDS if event.get(name) is not None), None)
        if about is None:
            self._observer(event)
            return
        kind = (about, event.get("log_level"), event.get("log_format"), event.get("problem"))
        interval = self._intervals.get(kind)
        if interval is None:
            interval = self._intervals[kind] = _Interval()
            self._clock.callLater(INTERVAL_S, self._end, kind)
        if interval.admits(str(event[about]), _BOUNDS[about]):
            self._observer(event)
            return
        interval.count += 1
        if interval.left_out is not None:
            interval.left_out["log_time"] = event.get("log_time")
        else:
            kept = {name: event[name] for name in _KEPT if name in event}
            interval.left_out = {**kept, PLACE: place_of_caller(), "example": told(formatEvent(event))}

    def tell_rest(self) -> None:
        """Tells what has not been told yet; for the end of a program."""
        for kind in list(self._intervals):
            self._tell(self._intervals[kind])

    def _end(self, kind: _Kind) -> None:
        self._tell(self._intervals.pop(kind))

    def _tell(self, interval: _Interval) -> None:
        """Tells how many were left out, if any were, as one event like them."""
        event, count = interval.left_out, interval.count
        interval.left_out, interval.count = None, 0
        if event is not None:
            self._observer({**event, "log_format": _MORE, "more": count, "seconds": INTERVAL_S})

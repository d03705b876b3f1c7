"""``/metrics``: what the sources have, in the text format of Prometheus.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import define, field
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from twisted.internet.defer import Deferred

from relaykit.administration.calls import Answer, Call
from relaykit.administration.routes import Route
from relaykit.blocking import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric
    from twisted.python.failure import Failure

__all__ = ["Exposition", "Families", "Source"]

Families: TypeAlias = Callable[[], Iterable["Metric"]]
"""Makes metrics of what was taken down; called in another thread than the reactor's."""


class Source(Protocol):
    """Something that has metrics."""

    def take(self) -> Families:
        """Takes down how things stand, in the reactor's thread; quick also with 10,000 proxies."""


@define(eq=False)
class _Taken:
    """What all sources had at one moment, as prometheus_client reads it."""

    _families: Sequence[Families]

    def collect(self) -> Iterator[Metric]:
        for each in self._families:
            yield from each()


@define(eq=False)
class Exposition:
    """Answers scrapes.

    The text is made in a thread, since with thousands of proxies it takes the time of many users' turns; who
    asks while one is made gets the same.

    :param reactor: an IReactorFromThreads.
    :ivar renamed: names that are told without the ``_total`` that others get.
    """

    _reactor: Any
    _sources: Sequence[Source]
    renamed: Sequence[str] = ()
    _waiting: list[Deferred[_Texts]] = field(factory=list, init=False)

    def route(self) -> Route:
        """Where they are."""
        return Route(method="", path="/metrics", handler=self._answer)

    async def _answer(self, call: Call) -> Answer:
        text, compressed = await self._made()
        if _ACCEPTS_GZIP.search(call.header("Accept-Encoding")) is None:
            return Answer(type=_TYPE, body=text, headers={"Vary": "Accept-Encoding"})
        headers = {"Vary": "Accept-Encoding", "Content-Encoding": "gzip"}
        return Answer(type=_TYPE, body=compressed, headers=headers)

    def _made(self) -> Deferred[_Texts]:
        made: Deferred[_Texts] = Deferred()
        if not self._waiting:
            taken = _Taken([each.take() for each in self._sources])
            call_in_thread(self._reactor, lambda: self._text(taken)).addBoth(self._tell)
        self._waiting.append(made)
        return made

    def _text(self, taken: Any) -> _Texts:
        text = generate_latest(taken)
        for name in self.renamed:
            for word in ("HELP", "TYPE"):
                text = text.replace(f"# {word} {name}_total ".encode(), f"# {word} {name} ".encode(), 1)
        return text, gzip.compress(text, _LEVEL, mtime=0)

    def _tell(self, result: _Texts | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(result)


_ACCEPTS_GZIP = re.compile(r"(?:^|[,\s])(?:gzip|\*)\s*(?:,|;(?!\s*q=0(?:\.0*)?\s*(?:,|$))|$)")
"""Source: RFC 9110 12.5.3."""

_LEVEL = 1
"""Of compression: the texts are names again and again, of which more effort saves little."""

_Texts: TypeAlias = tuple[bytes, bytes]
"""A text, and the same compressed."""

_TYPE = f"{CONTENT_TYPE_PLAIN_0_0_4}; escaping=values"

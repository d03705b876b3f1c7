"""What happens on a server, as server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.5.
"""

from __future__ import annotations

import enum
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
from attrs import define, field
from zope.interface import implementer

from relaykit.administration.own.shapes import Refusal
from relaykit.administration.own.users import client_key
from relaykit.errors import problem_of
from relaykit.interfaces import IServerObserver
from relaykit.server.events import ClientDisconnected, ProxyClosed, ProxyExposed, ProxyRefused
from relaykit.values import ClientIdentity, Origin, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaykit.server.events import ServerEvent
    from relaykit.server.service import RelayServer

__all__ = ["MOST_REFUSALS", "SIGN", "EventFeed", "RefusalNotes", "frame", "told_event"]

MOST_REFUSALS = 1000
"""Refused proxies that are remembered; the oldest is forgotten first."""

SIGN = b":\n\n"
"""A comment, which readers pass over."""

_BEFORE_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")


@implementer(IServerObserver)
@define(eq=False)
class EventFeed:
    """Tells any number of readers what happens; observes the server only while there are some.

    :ivar follows_users: whether they are told of each user.
    """

    _server: RelayServer
    follows_users: bool
    _wall_clock: Callable[[], float]
    _readers: list[Callable[[bytes], None]] = field(factory=list, init=False)

    def follow(self, reader: Callable[[bytes], None]) -> Callable[[], None]:
        """Tells this one from now on; answers what ends that."""
        if not self._readers:
            self._server.observe(self)
        self._readers = [*self._readers, reader]

        def stop() -> None:
            self._readers = [each for each in self._readers if each is not reader]
            if not self._readers:
                self._server.stop_observing(self)

        return stop

    def on_event(self, event: ServerEvent) -> None:
        part = frame(event, self._wall_clock())
        for reader in self._readers:
            reader(part)


@implementer(IServerObserver)
@define(eq=False)
class RefusalNotes:
    """Remembers which proxies were refused, until they are up or their client is gone."""

    _wall_clock: Callable[[], float]
    follows_users = False
    _refused: OrderedDict[tuple[str, str], Refusal] = field(factory=OrderedDict, init=False)

    def __iter__(self) -> Iterator[Refusal]:
        return iter(self._refused.values())

    def on_event(self, event: ServerEvent) -> None:
        if isinstance(event, ProxyRefused):
            key = event.client.run_id, event.name
            self._refused[key] = Refusal(
                proxy=event.name,
                type=event.type,
                client=client_key(event.client),
                reason=event.reason,
                code=event.code,
                problem=problem_of(event.reason),
                at=self._wall_clock(),
            )
            self._refused.move_to_end(key)
            if len(self._refused) > MOST_REFUSALS:
                self._refused.popitem(last=False)
        elif isinstance(event, ProxyExposed | ProxyClosed):
            self._refused.pop((event.client.run_id, event.name), None)
        elif isinstance(event, ClientDisconnected):
            gone = [key for key in self._refused if key[0] == event.client.run_id]
            for key in gone:
                del self._refused[key]


def frame(event: ServerEvent, now: float) -> bytes:
    """An event as a reader gets it: its kind, and what it tells as JSON on one line."""
    kind = _BEFORE_CAPITALS.sub("-", type(event).__name__).lower()
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"at": now, **told_event(event)}))


def told_event(event: ServerEvent) -> Mapping[str, Any]:
    """What an event tells, by keys like those of all other answers."""
    told: dict[str, Any] = {}
    for each in attrs.fields(type(event)):
        first, *more = each.name.split("_")
        told[first + "".join(map(str.capitalize, more))] = _plain(getattr(event, each.name))
    return told


def _plain(value: Any) -> Any:
    match value:
        case ClientIdentity():
            return client_key(value)
        case Origin():
            return "" if value.source is None else str(value.source)
        case Traffic():
            return {
                "bytesIn": value.near_to_far,
                "bytesOut": value.far_to_near,
                "seconds": value.seconds,
                "ended": value.ended.value,
            }
        case enum.Enum():
            return value.value
        case Exception():
            return str(value)
    return value

"""Tells the access log of each connection of a user that has ended, and of those that were refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define
from zope.interface import implementer

from relaykit.interfaces import IServerObserver
from relaykit.logs.access import AccessEntry
from relaykit.logs.access_log import AccessLog, AccessSettings
from relaykit.server.events import UserLeft, VisitRefused
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.config.schema.server import ServerLogConfig
    from relaykit.server.events import ServerEvent

__all__ = ["AccessObserver", "access_settings"]


@implementer(IServerObserver)
@define(eq=False)
class AccessObserver:
    """Makes entries of events, while there is a log for them.

    :param wall_clock: seconds since 1970.
    """

    _log: AccessLog
    _wall_clock: Callable[[], float]

    @property
    def follows_users(self) -> bool:
        return self._log.is_on

    def on_event(self, event: ServerEvent) -> None:
        if isinstance(event, UserLeft):
            traffic = event.traffic
            self._log.add(
                AccessEntry(
                    time=self._wall_clock(),
                    address=event.origin.source,
                    proxy=event.proxy,
                    client=event.client.name,
                    bytes_in=traffic.near_to_far,
                    bytes_out=traffic.far_to_near,
                    seconds=traffic.seconds,
                    reason=traffic.ended.value,
                )
            )
        elif isinstance(event, VisitRefused):
            self._log.add(
                AccessEntry(
                    time=self._wall_clock(),
                    address=event.origin.source,
                    proxy=event.proxy,
                    client="",
                    bytes_in=0,
                    bytes_out=0,
                    seconds=0.0,
                    reason=Ended.REFUSED.value,
                )
            )


def access_settings(config: ServerLogConfig) -> AccessSettings | None:
    """What a configuration says of the access log; None if there is none."""
    if not config.access:
        return None
    return AccessSettings(to=config.access, max_days=config.max_days, format=config.format)

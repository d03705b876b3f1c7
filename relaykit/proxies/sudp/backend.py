"""The client half of a ``sudp`` proxy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IBackend, IRegistrant, ISignalReceiver
from relaykit.proxies.direct import AnsweredPaths, told_options
from relaykit.proxies.direct_datagrams import PathWatch, RelayOnly, RoamingUsers, Way
from relaykit.sansio.nat.checks import PeerRole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

    from relaykit.interfaces import (
        IClientHost,
        ISignalPeer,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.proxies.sudp.options import SudpOptions
    from relaykit.values import Origin

__all__ = ["DirectSudpBackend", "SudpBackend"]


@implementer(IBackend)
class SudpBackend(Service):
    """Serves the users of each lane."""

    def __init__(self, options: SudpOptions, host: IClientHost) -> None:
        self._host = host
        self._most_bytes = options.udp_packet_size

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        await self._host.serve_lane(leg, origin, self._most_bytes)


@implementer(IRegistrant, ISignalReceiver)
class DirectSudpBackend(SudpBackend):
    """Serves the users of each lane, be it by the relay or by a direct path, and of both together.

    Once it is stopped it has no direct paths.
    """

    log = Logger()

    def __init__(self, options: SudpOptions, host: IClientHost) -> None:
        super().__init__(options, host)
        self._options = options
        self._users = RoamingUsers(host.reactor)
        self._answered = AnsweredPaths(host, options.secret_key, self._serve_path)
        self._paths: set[IStreamPath] = set()
        self._relay_only = RelayOnly(host)

    def startService(self) -> None:
        super().startService()
        self._answered.start()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        closed = self._answered.stop()
        for path in tuple(self._paths):
            path.close()
        return closed

    def registered_options(self) -> SudpOptions:
        if not self._relay_only.look():
            self._host.direct_paths.prepare(PeerRole.RESPONDER)
        return told_options(self._host, self._options)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self._host.direct_paths.signal_received(body):
            raise RemoteProtocolError("it is about no rendezvous")

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        admit_user = partial(self._users.admit, Way.RELAY)
        await self._host.serve_lane(leg, origin, self._most_bytes, admit=admit_user)

    async def _serve_path(self, leg: IStreamLeg, origin: Origin, path: IStreamPath) -> None:
        if path in self._paths:
            # Each has one lane.
            leg.abort()
            return
        self._paths.add(path)
        watch = PathWatch(path, self._host.reactor, path.close)
        admit_user = partial(self._users.admit, Way.DIRECT)
        try:
            await self._host.serve_lane(leg, origin, path=path, admit=admit_user)
        finally:
            watch.stop()
            self._paths.discard(path)
            path.close()

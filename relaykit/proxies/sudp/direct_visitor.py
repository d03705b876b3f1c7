"""The visitor of a ``sudp`` proxy whose users go past the server where they can."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from zope.interface import implementer

from relaykit.errors import (
    ConnectionFailed,
    RelaykitError,
    RemoteProtocolError,
    problem_of,
)
from relaykit.interfaces import ISessionFollower, ISignalReceiver
from relaykit.proxies.direct import call
from relaykit.proxies.direct_datagrams import PathWatch, RelayOnly, RoamingLeg, Way
from relaykit.proxies.sudp.visitor import SudpVisitor
from relaykit.sansio.control.backoff import STOOD_S, Pace
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_keys import rendezvous_key
from relaykit.sansio.nat.user_names import UserNames
from relaykit.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IDatagramLane,
        IDatagramLeg,
        ISignalPeer,
        IStreamPath,
        IVisitorHost,
    )
    from relaykit.proxies.sudp.options import SudpVisitorOptions
    from relaykit.values import Origin

__all__ = ["PATH_PACE", "DirectSudpVisitor"]

PATH_PACE = Pace(5.0, 300.0)
"""Seconds between two attempts at a direct path: some pairs of networks have none, and each attempt costs the
server a few messages and both networks some hundred datagrams."""


@implementer(ISessionFollower, ISignalReceiver)
class DirectSudpVisitor(SudpVisitor):
    """Forwards all users over a lane by a direct path, and over one through the server until there is one.

    As long as there are users, it makes a path whenever there is none.
    """

    def __init__(self, options: SudpVisitorOptions, host: IVisitorHost) -> None:
        super().__init__(options, host)
        self._path_secret = options.secret_key
        self.secret = rendezvous_key(options.secret_key, host.proxy_name)
        self._names = UserNames(os.urandom)
        self._users: dict[RoamingLeg, Origin] = {}
        self.path: IStreamPath | None = None
        """The direct path, while there is one."""
        self._direct: IDatagramLane | None = None
        self._going: Deferred[None] | None = None
        self._failures = 0
        self._next_path = Timer(host.reactor, self._need_path)
        self._relay_only = RelayOnly(host)

    def stopService(self) -> Deferred[Any]:
        """Fires once there is no path."""
        super().stopService()
        self._next_path.set(None)
        lost: Deferred[Any] = succeed(None) if self.path is None else self.path.when_lost()
        if self._going is not None:
            self._going.cancel()
        return lost

    def session_started(self) -> None:
        self._failures = 0
        self._next_path.set(None)
        if not self._relay_only.look():
            self.host.direct_paths.prepare(PeerRole.INITIATOR)
        self._need_path()

    def session_ended(self) -> None:
        """Nothing: a path that stands lives on."""

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self.host.direct_paths.signal_received(body):
            raise RemoteProtocolError("it is about no rendezvous")

    # --- users

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        if self._direct is None:
            super().leg_accepted(leg, origin)
        else:
            self._join(leg, origin, self._direct)

    def _join(self, leg: IDatagramLeg, origin: Origin, lane: IDatagramLane) -> None:
        user = RoamingLeg(origin.source, self.host.reactor, self._strand, self._forget)
        self._users[user] = origin
        try:
            self._place(user)
        except ValueError:
            user.close()
            leg.close()
            return
        self.host.forward_datagrams(leg, user, origin)
        self._need_path()

    def _place(self, user: RoamingLeg) -> None:
        """Gives a user the best way that there is.

        :raises ValueError: they come from no address.
        """
        source = self._users[user].source
        if source is None:
            raise ValueError("who comes from no address cannot be told from others")
        name = self._names.name_of(source)
        if self._direct is not None:
            user.use(Way.DIRECT, self._direct.open(name))
        elif self._lane is not None:
            user.use(Way.RELAY, self._lane.open(name))
        else:
            self.need_lane(self._users[user])

    def _strand(self, user: RoamingLeg) -> None:
        if self.running:
            self._place(user)

    def _forget(self, user: RoamingLeg) -> None:
        self._users.pop(user, None)

    # --- the direct path

    def _need_path(self) -> None:
        """Makes a path, if somebody is there to use it and it is time for one."""
        if self._users and self._going is None and not self._next_path.is_set and self.running:
            if self._relay_only.look():
                return
            self._going = Deferred.fromCoroutine(self._go())
            self._going.addBoth(self._gone)

    async def _go(self) -> None:
        """Makes a path, and has it until it is lost, silent, or used by nobody."""
        host, began = self.host, self.host.reactor.seconds()
        host.way = "by the relay, until there is a direct path"
        try:
            path = await call(host, self._path_secret, "by the relay: the direct path ended")
        except RelaykitError as error:
            self._failures += 1
            host.way = f"by the relay: no direct path: {error}"
            self.log.info(
                "[{visitor}] the relay carries datagrams on: {reason}",
                visitor=host.name,
                reason=str(error),
                problem=problem_of(error, "rendezvous-failed"),
            )
            return
        self.path = path
        try:
            lane = await host.open_direct_lane(path)
            watch = PathWatch(path, host.reactor, path.close)
            self._direct = lane
            try:
                for user in tuple(self._users):
                    self._place(user)
                await self.used(lane)
            finally:
                self._direct = None
                watch.stop()
                lane.close()
        except ConnectionFailed:
            # The path is gone already, and that has been said.
            pass
        finally:
            self.path = None
            path.close()
            stood = host.reactor.seconds() - began >= STOOD_S
            self._failures = 1 if stood else self._failures + 1

    def _gone(self, result: Failure | None) -> None:
        """There is no path, or none any more."""
        self._going = None
        if result is not None and not result.check(CancelledError):
            self.log.failure("[{visitor}] a defect in a direct path", result, visitor=self.host.name)
        if self.running:
            self._next_path.set(self.host.reactor.seconds() + PATH_PACE.delay_s(max(1, self._failures)))

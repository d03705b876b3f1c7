"""Direct paths to other clients: what this client knows of its network, and the meetings it takes part in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import Service

from relaykit.nat.meetings import ClientMeetings
from relaykit.nat.punch import Traversal
from relaykit.values import Address

if TYPE_CHECKING:
    from relaykit.client.session import ServerSession
    from relaykit.interfaces import IMeetings, ISignalPeer
    from relaykit.nat.punch import Surroundings
    from relaykit.sansio.nat.meetings import Met

__all__ = ["DirectPaths"]


class DirectPaths(Service):
    """Makes the meetings of backends and visitors, and ends them when it stops.

    ``session()`` answers the session with the server, if there is one at the moment.
    """

    def __init__(
        self, reactor: Any, surroundings: Surroundings, session: Callable[[], ServerSession | None]
    ) -> None:
        self._reactor = reactor
        self._surroundings = surroundings
        self._session = session
        self._meetings: list[ClientMeetings] = []

    def stopService(self) -> None:
        super().stopService()
        for each in self._meetings:
            each.close()

    def make_meetings(self, peer: ISignalPeer) -> IMeetings:
        """The meetings of one backend or visitor."""
        meetings = ClientMeetings(peer, self._reactor, self._traverse, os.urandom)
        self._meetings.append(meetings)
        return meetings

    def _traverse(self, met: Met, send_offer: Callable[[dict[str, object]], None]) -> Traversal:
        surroundings = evolve(
            self._surroundings,
            stun_servers=self._stun_servers(met.stun_ports),
            stream_seen_as=met.seen_as,
            seconds=self._reactor.seconds,
        )
        return Traversal(self._reactor, surroundings, met.role, met.key, send_offer)

    def _stun_servers(self, ports: Sequence[int]) -> Sequence[Address]:
        """The relay server's own, at the address where it was reached."""
        session = self._session()
        if session is None or session.peer is None:
            return ()
        return [Address(session.peer.host, port) for port in ports]

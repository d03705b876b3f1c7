"""Direct paths to other clients: what this client knows of its network, and the meetings it takes part in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.nat.examining import lookup
from relaykit.nat.meetings import ClientMeetings
from relaykit.nat.punch import Traversal
from relaykit.nat.surveying import Surveyor
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.client.session import Session
    from relaykit.interfaces import IMeetings, ISignalPeer
    from relaykit.nat.punch import Surroundings
    from relaykit.sansio.nat.meetings import Met

__all__ = ["DirectPaths"]


class DirectPaths(MultiService):
    """Makes the meetings of backends and visitors, and ends them when it stops.

    A client without meetings asks nobody about its network.

    :param session: answers the session with the server, if there is one at the moment.
    :param server: the name of the server, which may have an address of either family.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        surroundings: Surroundings,
        session: Callable[[], Session | None],
        server: str,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._session = session
        self._server = server
        self._network = surroundings.network
        self._hosts: Sequence[str] = ()
        self._surveyor = Surveyor(reactor, surroundings)
        self._surveyor.setServiceParent(self)
        self._meetings: list[ClientMeetings] = []

    def stopService(self) -> Deferred[None]:
        for each in self._meetings:
            each.close()
        stopped: Deferred[None] = super().stopService()
        return stopped

    def make_meetings(self, peer: ISignalPeer) -> IMeetings:
        """The meetings of one backend or visitor."""
        meetings = ClientMeetings(peer, self._reactor, self._traverse, os.urandom)
        self._meetings.append(meetings)
        self.session_started()
        return meetings

    def session_started(self) -> None:
        """There is a session: its server may be asked about the network, if anybody wants to know.

        STUN is on the port of the server unless that says otherwise, which it does at a meeting.
        """
        session = self._session()
        if self._meetings and session is not None and session.peer is not None:
            self._surveyor.begin([session.peer])
            found = self._network.call_in_thread(partial(lookup, self._server, session.peer.port))
            found.addCallbacks(self._resolved, self._not_resolved)

    def network_changed(self) -> None:
        """Nothing that was known of the network counts any more."""
        self._surveyor.network_changed()

    def _traverse(self, met: Met, send_offer: Callable[[dict[str, object]], None]) -> Traversal:
        session = self._session()
        shared = None if session is None else session.host
        servers = self._stun_servers(session, met.stun_ports)
        if servers and self._surveyor.behavior is None:
            self._surveyor.begin(servers)
        surroundings = evolve(
            self._surveyor.surroundings(),
            stun_servers=servers,
            stream_port=0 if shared is None else shared.port,
            stream_seen_as=met.seen_as,
            seconds=self._reactor.seconds,
        )
        return Traversal(self._reactor, surroundings, met.role, met.key, send_offer)

    def _stun_servers(self, session: Session | None, ports: Sequence[int]) -> Sequence[Address]:
        """The relay server's own, where it was reached, and at its address of the other family."""
        if session is None or session.peer is None:
            return ()
        here = session.peer.host
        others = [host for host in self._hosts if (":" in host) != (":" in here)]
        return [Address(host, port) for host in (here, *others) for port in ports]

    def _resolved(self, addresses: Sequence[Address]) -> None:
        self._hosts = [each.host for each in addresses]

    def _not_resolved(self, failure: Failure) -> None:
        """Its other address is worth a try, nothing else: without it a path may still be found."""
        self.log.debug(
            "the addresses of {server} cannot be looked up: {reason}",
            server=self._server,
            reason=failure.getErrorMessage(),
        )

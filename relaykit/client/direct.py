"""Direct paths to other clients: what this client knows of its network, and its hole punching sessions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.nat.detection import lookup
from relaykit.nat.direct_paths import DirectPaths
from relaykit.nat.periodic_detection import PeriodicDetection
from relaykit.nat.session import HolePunchingSession
from relaykit.values import Address, PathProtocol

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.client.session import Session
    from relaykit.interfaces import IDirectPaths, ISignalPeer
    from relaykit.nat.direct_paths import PathSession
    from relaykit.nat.network_info import NetworkInfo
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.sansio.nat.client_rendezvous import RendezvousBegun

__all__ = ["HolePunchingService", "MakePunching"]

MakePunching: TypeAlias = Callable[..., "PathSession"]
"""Makes what finds a path, with the arguments of :class:`relaykit.nat.session.HolePunchingSession`."""


class HolePunchingService(MultiService):
    """Makes the direct paths of backends and visitors, and ends their rendezvous when it stops.

    A client whose types use no direct paths asks nobody about its network.

    :param session: answers the session with the server, if there is one at the moment.
    :param server: answers the name of the server, which may have an address of either family.
    :param make_punching: what makes each attempt to find a path; None for a hole punching session.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        network_info: NetworkInfo,
        session: Callable[[], Session | None],
        server: Callable[[], str],
        make_punching: MakePunching | None = None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._session = session
        self._server = server
        self._make_punching = make_punching or HolePunchingSession
        self._network = network_info.network
        self._streams = network_info.datagram_streams
        self._hosts: Sequence[str] = ()
        self._detection = PeriodicDetection(reactor, network_info)
        self._detection.setServiceParent(self)
        self._paths: list[IDirectPaths] = []

    def stopService(self) -> Deferred[None]:
        for each in self._paths:
            each.close()
        stopped: Deferred[None] = super().stopService()
        return stopped

    def make_direct_paths(self, peer: ISignalPeer) -> IDirectPaths:
        """The direct paths of one backend or visitor, until :meth:`drop_direct_paths`."""
        paths = DirectPaths(peer, self._reactor, self._make_session, os.urandom, self._prepare)
        self._paths.append(paths)
        self.session_started()
        return paths

    def drop_direct_paths(self, direct_paths: IDirectPaths) -> None:
        """Ends the rendezvous of a backend or visitor that is gone."""
        if direct_paths in self._paths:
            self._paths.remove(direct_paths)
            direct_paths.close()

    def session_started(self) -> None:
        """There is a session: its server may be asked about the network, if anybody wants to know.

        STUN is on the port of the server unless that says otherwise, which it does at a rendezvous.
        """
        session = self._session()
        if self._paths and session is not None and session.peer is not None:
            self._detection.begin([session.peer])
            found = self._network.call_in_thread(partial(lookup, self._server(), session.peer.port))
            found.addCallbacks(self._resolved, self._not_resolved)

    def network_changed(self) -> None:
        """Nothing that was known of the network counts any more."""
        self._detection.network_changed()

    def _prepare(self, role: PeerRole) -> None:
        if self._streams is not None:
            self._streams.prepare(role)

    def _make_session(
        self,
        begun: RendezvousBegun,
        send_candidates: Callable[[dict[str, object]], None],
        for_datagrams: bool = False,
    ) -> PathSession:
        session = self._session()
        shared = None if session is None else session.host
        servers = self._stun_servers(session, begun.stun_ports)
        if servers and self._detection.behavior is None:
            self._detection.begin(servers)
        known = self._detection.network_info()
        is_udp_of_use = for_datagrams or known.datagram_streams is not None
        network_info = evolve(
            known,
            protocols=tuple(PathProtocol) if is_udp_of_use else (PathProtocol.TCP,),
            stun_servers=servers,
            stream_port=0 if shared is None else shared.port,
            stream_seen_as=begun.seen_as,
            seconds=self._reactor.seconds,
        )
        return self._make_punching(self._reactor, network_info, begun.role, begun.key, send_candidates)

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
            server=self._server(),
            reason=failure.getErrorMessage(),
        )

"""One run of a client, from its start to its end: its parts, and the session that there is at the moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from relaykit.client.accounting import Accounting
from relaykit.client.connector import Connector
from relaykit.client.exchanges import ExchangeObservers
from relaykit.client.identity import Identity
from relaykit.client.loops import OwnConnections
from relaykit.client.registrar import ProxyRegistrar, wire_name
from relaykit.client.remembered import RememberedServers
from relaykit.client.type_messages import HalfMessages
from relaykit.client.visits import Visitors, visit
from relaykit.client.work import WorkConnections
from relaykit.dataplane.local_services import NOBODY, announce_nobody
from relaykit.errors import RemoteProtocolError, SessionLost
from relaykit.interfaces import ISignalReceiver
from relaykit.sansio.control import events
from relaykit.sansio.control.credentials import digest
from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.sansio.packets.headers import parse_interface
from relaykit.sansio.service_records import domain_of
from relaykit.values import ClientIdentity, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.client.direct import HolePunchingService
    from relaykit.client.hosts import BackendHost, ServedUser, VisitorHost
    from relaykit.client.network import Network
    from relaykit.client.session import Session
    from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor
    from relaykit.config.schema import ClientConfig
    from relaykit.dataplane.plane import DataPlane
    from relaykit.interfaces import (
        IDatagramAcceptor,
        IDatagramLeg,
        IDatagramStreams,
        IDirectPaths,
        IFlow,
        IForwardingHost,
        IHoles,
        ILegAcceptor,
        IListeningPort,
        IProver,
        ISignalPeer,
        IStreamLeg,
    )
    from relaykit.options import VisitorCommon
    from relaykit.plugins import ProxyTypes
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.messages import Message
    from relaykit.state import StateDirectory
    from relaykit.values import Origin, Secret

__all__ = ["ClientRun"]

NO_SESSION = "there is no session with the server at the moment"

MOST_OUTLIVED = 8
"""Sessions that were given up for others while users of theirs went on; for one more the oldest loses them.
Each has a connection to a server."""

_PROOFS = {
    PeerProof.TOKEN: "[{run}] the server proved itself: it has the token",
    PeerProof.CERTIFICATE: "[{run}] the server proved itself: it has the certificate that is expected",
    PeerProof.NONE: (
        "[{run}] the server did not prove itself: whoever is in between can read and change everything, and "
        "log in with what it saw; pin the server's certificate (transport.tls.serverFingerprint), or have "
        'both ends require bound logins (auth.bound = "require")'
    ),
}


@frozen
class _Access:
    """How the client gets in."""

    config: ClientConfig
    token: Secret = field(repr=False)
    connector: Connector


class _Heard:
    """What the server says in one session: kept while that is not served yet, because another one is."""

    def __init__(self, act: Callable[[events.SessionEvent], None]) -> None:
        self._act = act
        self._kept: list[events.SessionEvent] | None = None

    def __call__(self, event: events.SessionEvent) -> None:
        if self._kept is None:
            self._act(event)
        else:
            self._kept.append(event)

    def keep(self, session: Session) -> None:
        """Acts on nothing from now on, and has the server say no more than it has said."""
        self._kept = []
        session.hold(True)

    def act(self, session: Session) -> None:
        """Acts on what was said, and on what will be."""
        kept, self._kept = self._kept or [], None
        for event in kept:
            self._act(event)
        session.hold(False)


class ClientRun(MultiService):
    """What a client consists of while it runs.  It provides what hosts want of the client.

    :param run_id: answers what the server calls this client.
    :param exchange_observers: outlive the run.
    :param prover: proves who it is; None for one that proves the token.
    :ivar session: the session with the server, if there is one.
    """

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        token: Secret,
        types: ProxyTypes,
        reactor: Any,
        state: StateDirectory | None,
        network: Network,
        run_id: Callable[[], str],
        exchange_observers: ExchangeObservers,
        prover: IProver | None = None,
    ) -> None:
        super().__init__()
        self.exchange_observers = exchange_observers
        self.accounting = Accounting()
        self._run_id = run_id
        self.clock: IReactorTime = reactor
        self.network = network
        self.data_plane: DataPlane = network.data_plane
        self.own_connections = OwnConnections()
        self.session: Session | None = None
        self.half_close = False
        """Whether the server passes half-close through; without a session that of the last one, for users of
        direct paths."""
        self._work: WorkConnections | None = None
        self._identity = Identity.taken(state)
        self._servers = RememberedServers(state)
        self._prover = prover
        self._access = self._next_access = self._access_by(config, token)
        self._heard = _Heard(self._on_event)
        self._outlived: list[Session] = []
        self._direct: HolePunchingService | None = None
        self.messages = HalfMessages(self._halves, run_id)
        self._holes: IHoles | None = None
        self.proxies = ProxyRegistrar(
            self, types, config.user, lambda: domain_of(self._access.config.server_addr)
        )
        self.proxies.setServiceParent(self)
        self.visitors = Visitors(self, types, config.user)
        self._warned_of_no_proof = False
        self._former: Sequence[BackendHost | VisitorHost] = ()
        self._replaces = False
        """Whether another session was given up for the one that is served next."""
        """Of proxies and visitors that are gone while users of theirs go on."""

    def open_virtual_network(self) -> None:
        """Makes the device of the virtual network, where the configuration has one.

        :raises VirtualNetworkError: it cannot be made.
        """
        wanted = self._access.config.virtual_net
        if wanted.address:
            own = parse_interface(wanted.address)
            self.network.virtual_network.open(own, is_gateway=wanted.gateway)

    def stopService(self) -> Deferred[Any]:
        """Ends what users have no part in; streams of the virtual network would not end by themselves."""
        self.network.virtual_network.close()
        stopped: Deferred[Any] = super().stopService()
        return stopped

    # --- what is registered and visited -----------------------------------------------------------------

    def check(self, proxies: Sequence[ConfiguredProxy], visitors: Sequence[ConfiguredVisitor]) -> None:
        """Looks whether these can be what is registered and visited; changes nothing.

        :raises PluginError: an entry cannot be used; the text names it.
        """
        present: set[object] = {*self._hosts()}
        visitor_plan, proxy_plan = self.visitors.planned(visitors), self.proxies.planned(proxies)
        hosts: tuple[BackendHost | VisitorHost, ...] = (
            *(each.host for each in visitor_plan.values()),
            *(each.host for each in proxy_plan.values()),
        )
        for host in hosts:
            if host not in present:
                host.close()

    def update(self, proxies: Sequence[ConfiguredProxy], visitors: Sequence[ConfiguredVisitor]) -> None:
        """Makes these what is registered and visited; see :meth:`RelayClient.update`."""
        visitor_plan, proxy_plan = self.visitors.planned(visitors), self.proxies.planned(proxies)
        if self.session is not None:
            self.session.understand(self.messages.classes())
        before = self._hosts()
        removed, added = self.visitors.update(visitor_plan)
        if self.visitors.parent is not None:
            self._tell_changes("visitor", removed, added)
        removed, added = self.proxies.update(proxy_plan)
        if self.session is not None:
            self._tell_changes("proxy", removed, added)
        present: set[object] = {*self.proxies.hosts(), *self.visitors.hosts()}
        self._former = [each for each in before if each not in present and each.flows]
        self.accounting.keep(self.proxies.names)

    def _hosts(self) -> tuple[BackendHost | VisitorHost, ...]:
        return (*self.proxies.hosts(), *self.visitors.hosts(), *self._former)

    def flows(self) -> Iterator[tuple[str, IFlow, ServedUser]]:
        """All flows: of which proxy or visitor, and whose they are."""
        for host in self._hosts():
            for flow, user in host.flows.items():
                yield host.name, flow, user

    def _tell_changes(self, kind: str, removed: Sequence[str], added: Sequence[str]) -> None:
        for names, what in ((removed, "removed"), (added, "added")):
            if names:
                self.log.info(
                    "[{run}] {kind} {what}: [{names}]",
                    run=self._run_id(),
                    kind=kind,
                    what=what,
                    names=" ".join(names),
                )

    # --- sessions -------------------------------------------------------------------------------------

    def log_in(self, *, stand_by: bool) -> Deferred[Session]:
        """A new session, under the run id that the last one had; see :meth:`Connector.log_in`."""
        heard = self._heard = _Heard(self._on_event)
        return Deferred.fromCoroutine(self._access.connector.log_in(self._run_id(), heard, stand_by=stand_by))

    def prepare_access(self, config: ClientConfig, token: Secret) -> None:
        """Has the next login be this one, from :meth:`take_access` on or as :meth:`renew` makes it."""
        self._next_access = self._access_by(config, token)

    def take_access(self) -> None:
        """Makes every login from now on the one that was prepared."""
        self._access = self._next_access

    def renew(self) -> Deferred[Session]:
        """A session of the login that was prepared, once the present one has been given up for it.

        Users who came through that one stay.  It fails as :meth:`Connector.log_in` does, with nothing given
        up; cancelled, it drops what it has.
        """
        return Deferred.fromCoroutine(self._renewed())

    async def _renewed(self) -> Session:
        former = self.session
        assert former is not None
        heard = _Heard(self._on_event)
        # Who has shown a server no key, nor a name, is somebody else to it while the former session is there.
        run_id = self._run_id() if former.is_identified or self._access.config.client_id else ""
        former.outlived = True
        try:
            session = await self._next_access.connector.log_in(run_id, heard)
        except Exception:
            former.outlived = False
            raise
        heard.keep(session)
        try:
            await former.give_up(self.proxies.wire_names)
        except Exception:
            session.abort(Ended.CANCELLED)
            raise
        self._heard = heard
        self._replaces = True
        self._outlived = [each for each in (*self._outlived, former) if each.has_users]
        for each in self._outlived[:-MOST_OUTLIVED]:
            each.path.close()
        return session

    def _access_by(self, config: ClientConfig, token: Secret) -> _Access:
        route = self.network.make_route(config)
        return _Access(
            config,
            token,
            Connector(config, token, route, self.clock, self._identity, self._servers, self._prover),
        )

    def serve(self) -> None:
        """Registers the proxies in the session, and starts the visitors at the first one.

        What cannot begin because of a defect ends the session.
        """
        session = self.session
        assert session is not None
        try:
            self._serve(session)
        except Exception:
            self.log.failure("[{run}] a defect at the beginning of a session", run=session.run_id)
            session.close(Ended.INTERNAL_ERROR)

    def _serve(self, session: Session) -> None:
        run = session.run_id
        self.half_close = session.half_close
        session.understand(self.messages.classes())
        self._work = WorkConnections(
            session, self.proxies.exposed, self._access.token, os.urandom, self.messages.give
        )
        self._heard.act(session)
        self.log.info(
            "[{run}] login to server success, get run id [{run}]",
            run=run,
            wire=session.framing.version,
            bound=session.is_bound,
        )
        self._tell_proof(session)
        self._tell_changes("proxy", (), self.proxies.names)
        self.proxies.session_started(session, replaces=self._replaces)
        self._replaces = False
        if self._direct is not None:
            self._direct.session_started()
        if self.visitors.parent is None:
            self.visitors.setServiceParent(self)
            self._tell_changes("visitor", (), self.visitors.names)
        self.visitors.session_started()

    @property
    def server_proof(self) -> PeerProof | None:
        """How the server has proved itself in the session; None while there is none."""
        session = self.session
        if session is None:
            return None
        if session.is_bound:
            return PeerProof.TOKEN
        return PeerProof.CERTIFICATE if session.server_is_verified else PeerProof.NONE

    def _tell_proof(self, session: Session) -> None:
        """Says whether the server proved itself; that it did not is a warning once a run."""
        proof = self.server_proof
        assert proof is not None
        problem = {} if proof is not PeerProof.NONE else {"problem": "server-not-proved"}
        level = self.log.warn if problem and not self._warned_of_no_proof else self.log.info
        level(_PROOFS[proof], run=session.run_id, proof=proof.value, **problem)
        self._warned_of_no_proof |= bool(problem)

    @property
    def way(self) -> str:
        """How the server is reached, where that was not configured; empty without a session."""
        return self._access.connector.way

    @property
    def way_reason(self) -> str:
        """Why so."""
        return self._access.connector.way_reason

    def session_ended(self, why: Ended) -> None:
        """The session is gone, and with it every registration and whatever waited for a user."""
        ended, self.session = self.session, None
        if ended is not None:
            self._access.connector.session_ended(ended, why)
        if self._work is not None:
            self._work.close()
            self._work = None
        self.proxies.session_ended()
        self.visitors.session_ended()

    def abort_session(self, why: Ended) -> None:
        """Drops the session, if there is one."""
        if self.session is not None:
            self.session.abort(why)

    def release(self) -> None:
        """Gives back what a next run may want to have, and what would stay open."""
        for each in self._outlived:
            each.path.close()
        self.network.virtual_network.close()
        self.data_plane.close()
        self._identity.release()

    # --- what hosts see of the client -----------------------------------------------------------------

    @property
    def identity(self) -> ClientIdentity:
        """Who this client is to its server."""
        return ClientIdentity(self._run_id(), self._access.config.user, self._access.config.client_id)

    @property
    def takes_signals(self) -> bool:
        """Whether there is a server that takes signals."""
        return self.session is not None and self.session.takes_signals

    def dial(
        self, endpoint: str, origin: Origin = NOBODY, announce: Callable[[Any], object] = announce_nobody
    ) -> Deferred[IStreamLeg]:
        """A leg to a local service for a user."""
        return self.network.dial(endpoint, origin, announce)

    def dial_datagrams(self, endpoint: str) -> Deferred[IDatagramLeg]:
        """A datagram leg to a local service."""
        return self.network.dial_datagrams(endpoint)

    def listen(self, host: str, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        """Opens a TCP port of this machine."""
        return self.network.listen(host, port, acceptor)

    def listen_datagrams(self, host: str, port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        """Opens a UDP port of this machine."""
        return self.network.listen_datagrams(host, port, acceptor)

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to the server half of a proxy type; lost where there is no session."""
        if self.session is not None:
            self.session.signal(proxy_name, visitor_name, body)

    def send_message(self, message: Message) -> None:
        """Sends a message to the server half of a proxy type; lost where there is no session."""
        if self.session is not None:
            self.session.send_message(message)

    def open_visit(self, common: VisitorCommon, secret: Secret, origin: Origin) -> Deferred[IStreamLeg]:
        """A leg through the server to the proxy that a visitor visits, transforms included."""
        if self.session is None:
            return fail(SessionLost(NO_SESSION))
        name = wire_name(common.server_user or self._access.config.user, common.server_name)
        return Deferred.fromCoroutine(
            visit(self.session, common, name, secret, origin, self._access.connector.unix_time, os.urandom)
        )

    def lane_codec(self, most_bytes: int) -> LaneCodec:
        """The format of a new lane with the server; ``most_bytes`` is the largest datagram in frp's.

        :raises SessionLost: there is no session.
        """
        if self.session is None:
            raise SessionLost(NO_SESSION)
        return self.session.lane_codec(most_bytes)

    def make_direct_paths(self, peer: ISignalPeer) -> IDirectPaths:
        """What makes direct paths for one backend or visitor."""
        if self._direct is None:
            # Two megabytes, which a client whose types use no direct paths does without.
            from relaykit.client.direct import HolePunchingService

            self._direct = HolePunchingService(
                self.clock,
                self.network.network_info,
                lambda: self.session,
                lambda: domain_of(self._access.config.server_addr),
                self.network.make_punching,
            )
            self._direct.setServiceParent(self)
        return self._direct.make_direct_paths(peer)

    @property
    def holes(self) -> IHoles:
        """Hole punching as frp's clients do it."""
        if self._holes is None:
            network, stun_server = self.network, self._access.config.nat_hole_stun_server
            self._holes = network.make_holes(self.clock, network.network_info, stun_server)
        return self._holes

    def datagram_streams(self, protocol: str) -> IDatagramStreams:
        """What makes streams of datagrams as frp's clients do."""
        return self.network.datagram_streams(protocol)

    def sign(self, secret: Secret) -> tuple[str, int]:
        """What shows the server that a proxy's secret is known, and the Unix time of it."""
        now = int(self._access.connector.unix_time())
        return digest(secret.to_bytes(), now), now

    def taker(self, name: str, instead_of: str) -> ILegAcceptor:
        """The visitor that takes a user from another one."""
        return self.visitors.taker(name, instead_of)

    def network_changed(self) -> None:
        """The way to the server may be another one."""
        if self._direct is not None:
            self._direct.network_changed()

    def drop_direct_paths(self, direct_paths: IDirectPaths) -> None:
        """Ends them, with all direct paths that are being made."""
        if self._direct is not None:
            self._direct.drop_direct_paths(direct_paths)

    # --- what the server says -------------------------------------------------------------------------

    def _on_event(self, event: events.SessionEvent) -> None:
        if isinstance(event, events.WorkRequested):
            if self._work is not None:
                self._work.open(1)
        elif isinstance(event, events.ProxyRegistered):
            self.proxies.accepted(event.name, event.address)
        elif isinstance(event, events.ProxyRefused):
            self.proxies.refused(event.name, event.text)
        elif isinstance(event, events.SignalReceived):
            self._on_signal(event)
        elif isinstance(event, events.MessageReceived):
            self.messages.offer(event.message)

    def _halves(self, type_name: str) -> Iterator[tuple[object, IForwardingHost]]:
        """The backends of a proxy type and then its visitors, each with its host."""
        yield from self.proxies.of_type(type_name)
        yield from self.visitors.of_type(type_name)

    def _on_signal(self, event: events.SignalReceived) -> None:
        found: tuple[object, ISignalPeer] | None
        if event.visitor_name:
            found = self.visitors.find(event.visitor_name)
        else:
            found = self.proxies.find(event.proxy_name)
        if found is None:
            return
        receiver, host = found
        if ISignalReceiver.providedBy(receiver):
            Deferred.fromCoroutine(receiver.signal_received(host, event.body)).addErrback(
                self._signal_failed, event.visitor_name or event.proxy_name
            )

    def _signal_failed(self, failure: Failure, name: str) -> None:
        run = self._run_id()
        if failure.check(RemoteProtocolError):
            self.log.warn(
                "[{run}] [{name}] a signal makes no sense: {reason}",
                run=run,
                name=name,
                reason=failure.getErrorMessage(),
                problem="broke-the-rules",
            )
        else:
            self.log.failure(
                "[{run}] [{name}] a defect while a signal was taken", failure, run=run, name=name
            )

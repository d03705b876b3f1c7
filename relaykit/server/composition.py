"""What a relay server is made of: which part gets which, and what the parts do together."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit import __version__
from relaykit.config.schema.carriers import carrier_options
from relaykit.dataplane.listening import has_kept_descriptor, most_ports
from relaykit.dataplane.load_balancers import LoadBalancers
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.shared_ports import SharedPorts
from relaykit.dataplane.tls import start_tls
from relaykit.descriptors import for_strangers
from relaykit.errors import BrokenCarrier
from relaykit.interfaces import IServerHost
from relaykit.nat.rendezvous import RendezvousPoints
from relaykit.nat.server import RelayStun
from relaykit.plugins import Carriers, Policies
from relaykit.sansio.control.extensions import BOUND, EXTENSIONS, IDENTITY
from relaykit.sansio.control.login_proofs import BoundLogin
from relaykit.sansio.control.server_life import DRAIN_S
from relaykit.sansio.control.server_opening import ServerOpening
from relaykit.sansio.control.session import Heartbeat, SessionSettings
from relaykit.sansio.control.texts import PeerTexts
from relaykit.sansio.nat.server_rendezvous import ServerRendezvous
from relaykit.server.acceptor import BindPort, BindRules, CarrierEntrance
from relaykit.server.accounting import Accounting
from relaykit.server.admission import MAX_PENDING, most_asked
from relaykit.server.binding import ServerBinding, load_or_create_salt
from relaykit.server.budgets import Budgets
from relaykit.server.entrances import EntranceHost
from relaykit.server.first_messages import FirstMessages
from relaykit.server.ingresses import RunningIngresses
from relaykit.server.liveness import heartbeat_of
from relaykit.server.logins import Logins
from relaykit.server.network import Network, make_network
from relaykit.server.policies import NamedJudge, ServerPolicies
from relaykit.server.ports import PortProtocol, ServerPorts
from relaykit.server.probes import Probes
from relaykit.server.registry import Registry
from relaykit.server.sessions import SessionRules, Sessions
from relaykit.server.tls_identity import TlsIdentity
from relaykit.server.verifiers import make_verifier
from relaykit.server.visits import Visits
from relaykit.timer import Portion
from relaykit.token_key import TokenKey, in_thread_of
from relaykit.values import Ended, Secret

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema import ServerConfig
    from relaykit.dataplane.tls import TlsContext
    from relaykit.interfaces import (
        ICarrierReference,
        IDataPlane,
        IEntrance,
        IListeningPort,
        IPortHolder,
        IPorts,
        IProxyType,
        IRendezvous,
        IVerifier,
    )
    from relaykit.options import Options
    from relaykit.plugins import ProxyTypes
    from relaykit.server.acceptor import Link
    from relaykit.server.observers import Observers
    from relaykit.state import StateDirectory

__all__ = ["HTTP_POLICY", "Composition", "ServerParts", "wall_clock"]

HTTP_POLICY = "http"
"""The policy that each table of ``[[httpPlugins]]`` is one of."""


@implementer(IServerHost)
@frozen
class ServerHost:
    """What ingresses may use."""

    reactor: IReactorTime
    ports: IPorts
    data_plane: IDataPlane
    rendezvous: IRendezvous
    _release: Callable[[str], Deferred[bool]]
    _passed_through: list[Callable[[str], bool]] = field(factory=list, init=False)

    def pass_through(self, has: Callable[[str], bool]) -> None:
        self._passed_through.append(has)

    def passes_through(self, host: str) -> bool:
        return any(has(host) for has in self._passed_through)

    def release_if_dead(self, holder: IPortHolder) -> Deferred[bool]:
        return self._release(holder.identity.run_id)


@define(eq=False, kw_only=True)
class ServerParts:
    """The parts of one run of a server, from the opening of its ports to their end."""

    data_plane: DataPlane
    registry: Registry
    sessions: Sessions
    accounting: Accounting
    _tls: TlsIdentity
    _rules: SessionRules
    _logins: Logins
    _visits: Visits
    _ports: ServerPorts
    _budgets: Budgets
    _acceptor: BindPort
    _ingresses: RunningIngresses
    _composition: Composition
    _network: Network
    _shared_ports: SharedPorts
    probes: Probes
    _entrance_host: EntranceHost
    _rendezvous: RendezvousPoints
    _bind_port: IListeningPort | None = field(default=None, init=False)
    _stun: RelayStun | None = field(default=None, init=False)

    log = Logger()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate; what clients may pin."""
        return self._tls.fingerprint

    @property
    def tls(self) -> TlsContext:
        """What the next connection gets."""
        return self._tls.context

    def settings(self, link: Link) -> SessionSettings:
        """What the two ends of the next session on a link need."""
        return self._rules.settings(link)

    @property
    def salt(self) -> bytes:
        """What the token is derived with for the next login; empty for none."""
        return self._rules.binding.salt

    def adopt(self, composition: Composition) -> None:
        """Goes on with another composition, as far as its configuration can be changed meanwhile.

        Sessions that there are keep what they began with, but for policies.

        :raises TransportSecurityError: a file of TLS cannot be used; nothing is changed then.
        :raises RelaykitError: a proxy type cannot go on with its options, or a policy is missing; likewise.
        """
        config, former = composition.config, self._composition
        policies = self._rules.policies
        judges = composition.judges(policies.judges)
        ingresses = self._ingresses.prepare(composition.changed_ingresses(former))
        try:
            tls = self._tls
            if config.transport.tls != former.config.transport.tls:
                tls = TlsIdentity(config.transport.tls, composition.state, composition.reactor)
        except Exception:
            ingresses.abandon()
            raise
        ingresses.commit()
        if tls is not self._tls:
            self._tls.stop()
            self._tls = tls
            tls.start()
            self.log.info("certificate fingerprint {fingerprint}", fingerprint=self.fingerprint)
        is_same_login = (config.auth, composition.token) == (former.config.auth, former.token)
        texts = PeerTexts(config.detailed_errors_to_client)
        self._rules = composition.rules(
            texts,
            self.accounting,
            self._rules.is_deaf_since,
            self._rules.binding if is_same_login else composition.binding(),
            self._rules.verifier if is_same_login else composition.verifying(),
            policies,
        )
        policies.judges = tuple(judges)
        self.sessions.rules = self._logins.rules = self._rules
        self._visits.texts = texts
        self._acceptor.rules = composition.bind_rules()
        self._ports.restrict([each.ports for each in config.allow_ports], config.max_ports_per_client)
        self._budgets.change(config.bandwidth)
        self.registry.limit(config.max_proxies_per_client)
        self.probes.change(config.probe_interval)
        for each in composition.entrances:
            each.adopt(config)
        self._composition = composition

    @property
    def port(self) -> int:
        """The port that clients dial; 0 while it is not open."""
        return self._bind_port.address.port if self._bind_port is not None else 0

    def open(self) -> None:
        """Opens what may need privileges: the bind port, the ports of the configured proxy types, and STUN's.

        :raises Exception: it cannot be; what was opened is closed.
        """
        config, types = self._composition.config, self._composition.types
        try:
            self._acceptor.startService()
            self._bind_port = self._network.listen(
                config.bind_addr,
                config.bind_port,
                self._acceptor,
                keepalive_s=config.transport.tcp_keepalive,
            )
            self._shared_ports.adopt(config.bind_addr, self._bind_port, self._acceptor)
            self._ingresses.open(types.get(name) for name in self._composition.ingress_options)
            for each in self._composition.entrances:
                each.open(self._entrance_host)
            self._tls.start()
        except Exception:
            self.close_soon()
            raise
        if config.stun_port >= 0:
            self._stun = RelayStun(
                self._composition.reactor,
                config.bind_addr,
                config.stun_port or self._free_pair(),
                config.stun_addrs,
                config.stun_public_addrs,
            )
            self._stun.startService()
        self.log.info("listening for clients on {address}", address=self._bind_port.address)
        self.log.info("certificate fingerprint {fingerprint}", fingerprint=self.fingerprint)

    def _free_pair(self) -> int:
        """The first of two UDP ports that no carrier has, from the number of the bind port on."""
        taken, first = self._composition.carrier_ports(), self.port
        while {first, first + 1} & set(taken.values()):
            first += 1
        return first

    async def start(self) -> None:
        """Starts what is more than a port.

        :raises Exception: a configured proxy type cannot start.
        """
        await self._ingresses.start()
        self.probes.startService()
        if unused := self._network.unused():
            self.log.info(
                "sockets that this process was started with wait for proxies with their ports: {sockets}",
                sockets=", ".join(unused),
            )

    def close_port(self) -> None:
        """Takes no connections any more."""
        bind_port, self._bind_port = self._bind_port, None
        if bind_port is not None:
            bind_port.close()
        for each in self._composition.entrances:
            each.close_port()

    async def drain(self) -> None:
        """Lets nobody in any more; done when no flow is left."""
        self.close_port()
        self.sessions.drain()
        self.registry.draining = True
        portion = Portion(self._composition.reactor)
        for proxy in self.registry:
            if portion.is_over:
                await portion.next()
            try:
                await self.registry.withdraw(proxy, Ended.STOPPED)
            except Exception:
                self.log.failure("[{proxy}] a defect while it was withdrawn", proxy=proxy.name)
        users = list(self.registry.flows())
        flows = max(len(users), len(self.data_plane.flows))
        if flows:
            self.log.info(
                "no new users from now on; {flows} flows get {seconds:g} s to end",
                flows=flows,
                seconds=DRAIN_S,
            )
        for user in users:
            await user.when_ended()
        await self.data_plane.when_idle()

    def end_flows(self) -> None:
        """Ends every flow, those of users who wait and those that a proxy type speaks over included."""
        for flow in self.registry.flows():
            flow.end(Ended.STOPPED)
        self.data_plane.end_all(Ended.STOPPED)

    async def close(self) -> None:
        """Ends everything that is left."""
        self.close_port()
        if self.probes.running:
            self.probes.stopService()
        self._tls.stop()
        self.end_flows()
        entrances = [each.close() for each in self._composition.entrances]
        await self.sessions.end_all()
        for each in entrances:
            await each
        self._acceptor.close_connections()
        await maybeDeferred(self._acceptor.stopService)
        if self._stun is not None:
            await maybeDeferred(self._stun.stopService)
        await self._ingresses.close()

    def close_soon(self) -> None:
        """Closes all of it after a start that failed, and gives it back as soon as it is closed."""
        closing = Deferred.fromCoroutine(self.close())
        closing.addErrback(
            lambda failure: self.log.failure("a defect while a failed start was undone", failure)
        )
        closing.addCallback(lambda _: self.release())

    def release(self) -> None:
        """Gives back what the data plane holds, once its last leg is gone."""
        self.data_plane.close()

    def queues(self) -> dict[str, int]:
        """How long each queue is, by what waits in it."""
        return {
            "users": sum(each.is_waiting for each in self.registry.flows()),
            "work_connections": sum(each.idle_work for each in self.sessions),
            "registrations": sum(each.waiting_steps for each in self.sessions),
            "connections": self._acceptor.pending,
            "probes": self.probes.waiting,
        }

    def rendezvous_outcomes(self) -> Mapping[str, int]:
        """How rendezvous of two clients have ended, by the reason."""
        return self._rendezvous.outcomes

    def stun_ports(self) -> Sequence[int]:
        """The ports of the STUN server, if there is one."""
        return () if self._stun is None else self._stun.ports


@frozen(kw_only=True)
class Composition:
    """All that a relay server is made of, and how: see :class:`relaykit.server.service.RelayServer`."""

    config: ServerConfig
    token: Secret
    types: ProxyTypes
    reactor: Any
    state: StateDirectory | None
    ingress_options: Mapping[str, Options]
    observers: Observers
    verifier: IVerifier | None = None
    policies: Mapping[str, Options] = {}
    log = Logger()
    make_network: Callable[[Any], Network] = make_network
    entrances: Sequence[IEntrance] = ()

    def compose(self) -> ServerParts:
        """The parts, wired; nothing is open yet.

        :raises TransportSecurityError: a file of TLS cannot be used.
        :raises BrokenCarrier: a carrier that the configuration names a port of cannot be used.
        :raises PluginError: so does a policy that it names.
        """
        config, reactor = self.config, self.reactor
        tls = TlsIdentity(config.transport.tls, self.state, reactor)
        network = self.make_network(reactor)
        if trusted := config.proxy_protocol.networks:
            balancers = LoadBalancers(trusted, reactor)
            network = evolve(
                network,
                listen=partial(balancers.listen, network.listen),
                listen_datagrams=partial(
                    balancers.listen_datagrams, network.poller, network.listen_datagrams
                ),
            )
        data_plane = network.data_plane
        shared_ports = SharedPorts(partial(network.listen, for_users=True), reactor)
        texts = PeerTexts(config.detailed_errors_to_client)
        accounting = Accounting(self.observers, wall_clock)
        rules = self.rules(
            texts,
            accounting,
            lambda time: network.poller.exhaustion.met_since(time) or acceptor.is_deaf_since(time),
            self.binding(),
            self.verifying(),
            ServerPolicies(self.judges(), reactor),
        )
        budgets = Budgets(config.bandwidth)
        sessions = Sessions(rules)
        rendezvous = RendezvousPoints(ServerRendezvous(os.urandom, lambda: parts.stun_ports()), reactor)
        ports = self._ports(network, sessions, shared_ports)
        host = ServerHost(
            reactor,
            ports,
            data_plane,
            rendezvous,
            sessions.release_if_dead,
        )
        ingresses = RunningIngresses(host, self.ingress_options, reactor)
        registry = Registry(
            self.types,
            ingresses,
            data_plane,
            reactor,
            accounting,
            budgets,
            sessions.release_if_dead,
            config.max_proxies_per_client,
            rendezvous.astray,
        )
        logins = Logins(sessions, registry, rules)
        visits = Visits(sessions, registry, texts, os.urandom, self.observers)
        told_ports = self._told_ports()
        first_messages = FirstMessages(
            lambda now, link: _make_opening(parts.salt, told_ports, now, link),
            logins,
            sessions,
            visits,
            reactor,
        )
        acceptor = BindPort(
            first_messages.on_opened,
            lambda leg: start_tls(network.poller, leg, parts.tls, server_side=True),
            lambda: parts.tls,
            partial(network.listen_datagrams, config.bind_addr),
            self.bind_rules(),
            network.poller,
            reactor,
            sessions.is_known,
            has_kept_descriptor,
            for_strangers(MAX_PENDING),
        )
        for reference, port in self.carrier_ports().items():
            try:
                carrier = reference.load()
            except BrokenCarrier as error:
                if port:
                    raise
                self.log.error("{reason}", reason=str(error), problem=error.problem)
                continue
            options = carrier_options(config.transport, carrier.table, carrier.accept_options)
            entrance = CarrierEntrance(acceptor, reference.name)
            carrier.make_acceptor(options, port, entrance).setServiceParent(acceptor)
        parts: ServerParts = ServerParts(
            tls=tls,
            rules=rules,
            logins=logins,
            visits=visits,
            ports=ports,
            budgets=budgets,
            data_plane=data_plane,
            registry=registry,
            sessions=sessions,
            accounting=accounting,
            acceptor=acceptor,
            ingresses=ingresses,
            composition=self,
            network=network,
            shared_ports=shared_ports,
            rendezvous=rendezvous,
            probes=Probes(
                lambda proxy: self.types.get(proxy.type),
                lambda: iter(registry),
                reactor,
                wall_clock,
                config.probe_interval,
            ),
            entrance_host=EntranceHost(
                reactor=reactor,
                turns=network.poller,
                listen=partial(network.listen, config.bind_addr, keepalive_s=config.transport.tcp_keepalive),
                connect=data_plane.connect,
                is_known=sessions.is_known,
                on_opened=first_messages.on_opened,
                settings=lambda link: parts.settings(link),
            ),
        )
        return parts

    def changed_ingresses(self, former: Composition) -> dict[IProxyType, Options]:
        """The proxy types that have other options than in a former one, with those."""
        return {
            self.types.get(name): options
            for name, options in self.ingress_options.items()
            if options != former.ingress_options.get(name, type(options)())
        }

    def carrier_ports(self) -> dict[ICarrierReference, int]:
        """The carriers that are installed, each with the port that the file gives it; 0 for none."""
        return {each: getattr(self.config, f"{each.name}_bind_port", 0) for each in Carriers.installed()}

    def _told_ports(self) -> Mapping[str, int]:
        """What clients are told of these ports."""
        return {each.name: port for each, port in self.carrier_ports().items() if port}

    def _ports(self, network: Network, sessions: Sessions, shared_ports: SharedPorts) -> ServerPorts:
        """The ports that proxies and their types may open."""
        config = self.config
        address = config.proxy_bind_addr or config.bind_addr
        return ServerPorts(
            {
                PortProtocol.TCP: partial(network.listen, address, for_users=True),
                PortProtocol.UDP: partial(network.listen_datagrams, address),
            },
            self.reactor,
            secrets.randbelow,
            [each.ports for each in config.allow_ports],
            config.max_ports_per_client,
            most_ports(),
            sessions.release_if_dead,
            partial(shared_ports.claim, address),
        )

    def bind_rules(self) -> BindRules:
        """What holds for connections that are accepted."""
        transport = self.config.transport
        return BindRules(
            tls_only=transport.tls.force or bool(transport.tls.trusted_ca_file),
            mux_keepalive_s=_positive(transport.tcp_mux_keepalive_interval),
        )

    def rules(
        self,
        texts: PeerTexts,
        accounting: Accounting,
        is_deaf_since: Callable[[float], bool],
        binding: ServerBinding,
        verifier: IVerifier,
        policies: ServerPolicies,
    ) -> SessionRules:
        """What all sessions have in common."""
        config = self.config
        return SessionRules(
            clock=self.reactor,
            entropy=os.urandom,
            verifier=verifier,
            version=__version__,
            texts=texts,
            max_pool_count=config.transport.max_pool_count,
            user_timeout_s=float(config.user_conn_timeout),
            settings=self._session_settings,
            binding=binding,
            accounting=accounting,
            is_deaf_since=is_deaf_since,
            certified=bool(config.transport.tls.trusted_ca_file),
            most_asked=most_asked(for_strangers(MAX_PENDING)),
            policies=policies,
        )

    def judges(self, former: Sequence[NamedJudge] = ()) -> list[NamedJudge]:
        """The policies of the file, at work, in its order; frp's plugins over HTTP come last.

        :param former: of these go on those that are wanted as they are.
        :raises PluginError: one cannot be used.
        """
        wanted = [(name, name, options) for name, options in self.policies.items()]
        wanted += [(each.shown_name, HTTP_POLICY, each) for each in self.config.http_plugins]
        installed = Policies.installed() if wanted else Policies()
        judges = []
        for name, policy, options in wanted:
            same = (each for each in former if (each.name, each.options) == (name, options))
            judges.append(
                next(same, None)
                or NamedJudge(name, installed.get(policy).make_judge(options, self.reactor), options)
            )
        return judges

    def _session_settings(self, link: Link) -> SessionSettings:
        # A part of this process does not die alone.
        heartbeat = Heartbeat() if link.is_inside else heartbeat_of(self.config.transport, link.muxed)
        return SessionSettings(token=self.token, entropy=os.urandom, heartbeat=heartbeat)

    def verifying(self) -> IVerifier:
        """What decides who is let in."""
        return self.verifier or make_verifier(self.config.auth, self.token, self.reactor)

    def binding(self) -> ServerBinding:
        """How logins are bound; the token is made a key right away, so that no login waits for it."""
        auth = self.config.auth
        # A bound login proves the token: where something else lets clients in, it must not.
        token = self.token if auth.method == "token" else Secret("")
        token_key = TokenKey(token, in_thread_of(self.reactor))
        binding = ServerBinding.of(
            BoundLogin(auth.bound), token, lambda: load_or_create_salt(self.state, os.urandom), token_key
        )
        if binding.salt:
            self.reactor.callWhenRunning(binding.key)
        return binding


def _make_opening(salt: bytes, carriers: Mapping[str, int], now: float, link: Link) -> ServerOpening:
    """What reads the first message of a logical connection: a login is bound only to a TLS session."""
    secure = bool(link.exporter)
    extensions = EXTENSIONS | {BOUND, IDENTITY}
    return ServerOpening(
        now,
        __version__,
        os.urandom,
        extensions,
        salt=salt if secure else b"",
        secure=secure,
        carriers=carriers,
    )


def _positive(seconds: int) -> float | None:
    """A time of the configuration, where zero and less mean "not at all"."""
    return float(seconds) if seconds > 0 else None


def wall_clock() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()

"""The relay server as a Twisted service: builds and owns everything that serves clients and users."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit import __version__
from relaykit.certificates import fingerprint, load_or_create
from relaykit.clock import monotonic
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.plane import make_data_plane
from relaykit.dataplane.poller import make_poller
from relaykit.dataplane.tls import TlsContext, server_context, start_tls
from relaykit.errors import problem_of
from relaykit.interfaces import IServerHost
from relaykit.nat.rendezvous import RendezvousPoints
from relaykit.nat.server import RelayStun
from relaykit.sansio.control.credentials import Scope, TokenVerifier
from relaykit.sansio.control.greeting import BOUND, EXTENSIONS, IDENTITY
from relaykit.sansio.control.opening import ServerOpening
from relaykit.sansio.control.proving import BoundLogin
from relaykit.sansio.control.session import SessionSettings
from relaykit.sansio.control.texts import PeerTexts
from relaykit.sansio.nat.server_rendezvous import ServerRendezvous
from relaykit.server.acceptor import BindPort
from relaykit.server.binding import ServerBinding, load_or_create_salt
from relaykit.server.heartbeats import heartbeat_of
from relaykit.server.logins import Logins
from relaykit.server.ports import ServerPorts
from relaykit.server.reception import Reception
from relaykit.server.registry import Registry
from relaykit.server.sessions import SessionRules, Sessions
from relaykit.server.visits import Visits
from relaykit.token_key import TokenKey, in_thread_of
from relaykit.values import Ended, Secret

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema import ServerConfig
    from relaykit.interfaces import (
        IDataPlane,
        IIngress,
        ILegAcceptor,
        IListeningPort,
        IPorts,
        IProxyType,
        IRendezvous,
    )
    from relaykit.options import Options
    from relaykit.plugins import ProxyTypes
    from relaykit.server.acceptor import Link
    from relaykit.state import StateDirectory

__all__ = ["DRAIN_S", "RelayServer"]

DRAIN_S = 10.0
"""Seconds that running flows get to end when the server stops; then they are cut."""


@implementer(IServerHost)
@frozen
class ServerHost:
    """What ingresses may use."""

    reactor: IReactorTime
    ports: IPorts
    data_plane: IDataPlane
    rendezvous: IRendezvous
    public_name: str = ""


class RelayServer(MultiService):
    """The relay server.

    Constructing opens nothing.  ``privilegedStartService`` opens the bind port, so that a daemon may
    give up its privileges between the two; ``startService`` does it where that was not called.

    :param types: the proxy types that clients may ask for.
    :param state: where a certificate of its own is kept; None for a new one at each start.
    :param ingress_options: of the proxy types that are configured; the others have their defaults.
    """

    log = Logger()

    def __init__(
        self,
        config: ServerConfig,
        token: Secret,
        types: ProxyTypes,
        reactor: Any,
        state: StateDirectory | None = None,
        ingress_options: Mapping[str, Options] = {},  # it is only read
    ) -> None:
        super().__init__()
        self._config = config
        self._token = token
        self._types = types
        self._reactor = monotonic(reactor)
        self._state = state
        self._ingress_options = dict(ingress_options)
        self._ingresses: dict[str, IIngress] = {}
        self._bind_port: IListeningPort | None = None
        self._failure: Exception | None = None
        self._stun: RelayStun | None = None
        self.fingerprint = ""
        """SHA-256 of the server's certificate, once started; what clients may pin."""

    # --- the life of the service ------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._open()

    def startService(self) -> None:
        super().startService()
        self._open()
        if self._bind_port is not None:
            self.log.info("frps started successfully")

    def when_ready(self) -> Deferred[None]:
        """Fires once clients can log in.

        Fails with :class:`relaykit.dataplane.listening.ListenFailed`,
        :class:`relaykit.errors.TransportSecurityError` or an OSError that names the file.
        """
        if self._failure is not None:
            failed: Deferred[None] = Deferred()
            failed.errback(self._failure)
            return failed
        return succeed(None)

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    @property
    def port(self) -> int:
        """The port that clients dial; 0 while there is none."""
        return self._bind_port.address.port if self._bind_port is not None else 0

    async def _stop(self) -> None:
        if self._bind_port is not None:
            self._bind_port.close()
            self._bind_port = None
            self._sessions.drain()
            self._registry.draining = True
            for proxy in self._registry:
                await self._registry.withdraw(proxy, Ended.STOPPED)
            if self._data_plane.flows:
                self.log.info(
                    "no new users from now on; {flows} flows get {seconds:g} s to end",
                    flows=len(self._data_plane.flows),
                    seconds=DRAIN_S,
                )
            with contextlib.suppress(DeadlinePassed):
                await self._data_plane.when_idle().addTimeout(DRAIN_S, self._reactor)
            self._data_plane.end_all(Ended.STOPPED)
            await self._sessions.end_all()
            self._acceptor.close_links()
            self._data_plane.close()
        await MultiService.stopService(self)

    # --- building ---------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._bind_port is not None or self._failure is not None:
            return
        try:
            self._build()
        except Exception as error:
            self._failure = error
            self.log.error(
                "the server cannot start: {reason}",
                reason=str(error),
                problem=problem_of(error, "cannot-start"),
            )

    def _build(self) -> None:
        config = self._config
        poller = make_poller(self._reactor)
        self._data_plane = make_data_plane(poller)
        context = self._make_context()
        proxy_bind_addr = config.proxy_bind_addr or config.bind_addr

        def listen(port: int, acceptor: ILegAcceptor) -> IListeningPort:
            return listen_tcp(poller, proxy_bind_addr, port, acceptor, for_users=True)

        ports = ServerPorts(
            listen,
            self._reactor,
            secrets.randbelow,
            [each.ports for each in config.allow_ports],
            config.max_ports_per_client,
            self._release_if_silent,
        )
        rendezvous = RendezvousPoints(ServerRendezvous(os.urandom, self._stun_ports), self._reactor)
        self._host = ServerHost(self._reactor, ports, self._data_plane, rendezvous)
        self._registry = Registry(self._types, self, self._data_plane, self._reactor, self._release_if_silent)
        texts = PeerTexts(config.detailed_errors_to_client)
        verifier = TokenVerifier(self._token, [Scope(scope) for scope in config.auth.additional_scopes])
        rules = SessionRules(
            clock=self._reactor,
            entropy=os.urandom,
            verifier=verifier,
            version=__version__,
            texts=texts,
            max_pool_count=config.transport.max_pool_count,
            user_timeout_s=float(config.user_conn_timeout),
            settings=self._session_settings,
            binding=self._binding(),
        )
        self._sessions = Sessions(self._registry, rules)
        reception = Reception(
            partial(_make_opening, rules.binding.salt),
            Logins(self._sessions, self._registry, rules),
            self._sessions,
            Visits(self._sessions, self._registry, texts, os.urandom),
            self._reactor,
        )
        self._acceptor = BindPort(
            reception.opened,
            lambda leg: start_tls(poller, leg, context, server_side=True),
            poller,
            self._reactor,
            tls_only=config.transport.tls.force or bool(config.transport.tls.trusted_ca_file),
            mux_keepalive_s=_positive(config.transport.tcp_mux_keepalive_interval),
            is_known=self._sessions.is_known,
        )
        self._bind_port = listen_tcp(poller, config.bind_addr, config.bind_port, self._acceptor)
        self.log.info("frps tcp listen on {address}", address=self._bind_port.address)
        if config.stun_port >= 0:
            self._stun = RelayStun(self._reactor, config.bind_addr, config.stun_port or self.port)
            self._stun.setServiceParent(self)
        self.log.info("certificate fingerprint {fingerprint}", fingerprint=self.fingerprint)

    def ingress_of(self, proxy_type: IProxyType) -> IIngress:
        """The ingress of a type, started on first use."""
        ingress = self._ingresses.get(proxy_type.name)
        if ingress is None:
            options = self._ingress_options.get(proxy_type.name) or proxy_type.ingress_options()
            ingress = self._ingresses[proxy_type.name] = proxy_type.make_ingress(options, self._host)
            ingress.setServiceParent(self)
        return ingress

    def _make_context(self) -> TlsContext:
        tls = self._config.transport.tls
        if tls.cert_file and tls.key_file:
            certificate, key = Path(tls.cert_file).read_bytes(), Path(tls.key_file).read_bytes()
        else:
            pair = load_or_create(self._state, datetime.now(UTC))
            certificate, key = pair.certificate, pair.key
        authorities = Path(tls.trusted_ca_file).read_bytes() if tls.trusted_ca_file else None
        context = server_context(certificate, key, authorities)
        leaf = load_pem_x509_certificate(certificate)
        self.fingerprint = fingerprint(leaf.public_bytes(Encoding.DER))
        return context

    def _binding(self) -> ServerBinding:
        """How logins are bound; the token is made a key right away, so that no login waits for it."""
        auth = self._config.auth
        # A bound login proves the token: where something else lets clients in, it must not.
        token = self._token if auth.method == "token" else Secret("")
        token_key = TokenKey(token, in_thread_of(self._reactor))
        binding = ServerBinding.of(
            BoundLogin(auth.bound), token, lambda: load_or_create_salt(self._state, os.urandom), token_key
        )
        if binding.salt:
            self._reactor.callWhenRunning(binding.key)
        return binding

    def _release_if_silent(self, run_id: str) -> Deferred[bool]:
        return self._sessions.release_if_silent(run_id)

    def _stun_ports(self) -> Sequence[int]:
        return () if self._stun is None else self._stun.ports

    def _session_settings(self, link: Link) -> SessionSettings:
        return SessionSettings(
            token=self._token,
            entropy=os.urandom,
            heartbeat=heartbeat_of(self._config.transport, link.muxed),
        )


def _make_opening(salt: bytes, now: float, link: Link) -> ServerOpening:
    """What reads the first message of a logical connection: a login is bound only to a TLS session."""
    secure = bool(link.exporter)
    extensions = EXTENSIONS | {BOUND, IDENTITY}
    return ServerOpening(
        now, __version__, os.urandom, extensions, salt=salt if secure else b"", secure=secure
    )


def _positive(seconds: int) -> float | None:
    """A time of the configuration, where zero and less mean "not at all"."""
    return float(seconds) if seconds > 0 else None

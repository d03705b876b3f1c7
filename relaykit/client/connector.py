"""Getting in: connects to the server as configured and logs in, in the version that it speaks."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from relaykit import __version__
from relaykit.certificates.own import fingerprint
from relaykit.client.binding import BindingPolicy
from relaykit.client.heartbeats import heartbeat_of
from relaykit.client.provers import make_prover
from relaykit.client.remembered import Remembered
from relaykit.client.session import Session
from relaykit.dataplane.tls import channel_binding
from relaykit.errors import BindingFailedError, SessionLost, TransportSecurityError
from relaykit.interfaces import ISecureSession
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.login_proofs import NOTHING_PROVEN, BoundLogin, ClientProofs
from relaykit.sansio.control.negotiation import KnownVersion, WireNegotiation, WireProtocol
from relaykit.sansio.control.session import SessionSettings
from relaykit.sansio.wire.framing import V1, V2
from relaykit.sansio.wire.hello import Bootstrap
from relaykit.sansio.wire.messages import Login
from relaykit.token_key import TokenKey, in_thread_of
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.client.paths import OneRoute
    from relaykit.client.racing import AnyRoute
    from relaykit.client.remembered import RememberedServers
    from relaykit.config.schema import ClientConfig
    from relaykit.interfaces import IEnd, IProver, IStreamLeg, IStreamPath
    from relaykit.sansio.control.events import SessionEvent
    from relaykit.sansio.control.identity import Signer
    from relaykit.values import Secret

__all__ = ["Connector"]

NO_ANSWER = "frp's server wants transport.tcpMux to be the same at both ends"
"""What may be wrong where a server ends a connection without having said anything."""

NO_TLS = "a server whose transport.tls.force is on answers nobody without TLS"
"""The same on a connection without TLS; a carrier that tells no ends does not even tell that one."""

GO_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""What frp calls processors, for its dashboard."""


class Connector:
    """One server, and how this client gets in.

    :param identity: what the client signs its logins with.
    :param servers: what is known of servers, and where what is learned is kept.
    :param prover: proves who the client is; None for one as the configuration says.
    """

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        token: Secret,
        route: AnyRoute,
        reactor: Any,
        identity: Signer | None,
        servers: RememberedServers,
        prover: IProver | None = None,
    ) -> None:
        self._config = config
        self._token = token
        self._route = route
        self._clock: IReactorTime = reactor
        self._identity = identity
        self._servers = servers
        self._token_key = TokenKey(token, in_thread_of(reactor))
        self.server = str(Address(config.server_addr, config.server_port))
        """What the server is remembered by."""
        self._binding = BindingPolicy.of(config, token, self.server)
        wire = WireProtocol(config.transport.wire_protocol)
        if self._binding.required and wire is WireProtocol.AUTO:
            wire = WireProtocol.V2
        self._spoke_v2 = servers.get(self.server).speaks_v2
        """Whether it was remembered, when that was last looked up, that the server speaks version 2."""
        known = KnownVersion.SPEAKS_V2 if self._spoke_v2 else KnownVersion.NOTHING
        self._negotiation = WireNegotiation(wire, known)
        self.unix_time = time.time  # noqa: TID251  # frp's proofs carry the time of day
        self._prover: IProver = prover or make_prover(config.auth, token, reactor, self.unix_time)

    async def log_in(
        self, run_id: str, on_event: Callable[[SessionEvent], None], *, stand_by: bool = False
    ) -> Session:
        """Connects and logs in, again with the run id that an earlier session had.

        Tries the older version of the wire at once where the server does not seem to know the newer.
        With ``stand_by`` it takes nothing from another client with the same identity that is alive.

        :raises ConnectionFailed: the server cannot be reached.
        :raises TransportSecurityError: TLS failed, or the server is not the expected one.
        :raises LoginRefusedError: the server said no.
        :raises BindingFailedError: the login must be bound to its TLS session, and is not.
        :raises SessionLost: the connection ended before the answer.
        :raises NoWayError: there is none of several ways.
        """

        def log_in_by(route: OneRoute) -> Awaitable[Session]:
            return self._log_in_by(route, run_id, on_event, stand_by)

        return await self._route.reach(log_in_by, self._servers)

    def session_ended(self, session: Session, why: Ended) -> None:
        """A session is over, of this connector or of one before."""
        self._route.session_ended(session, why)

    @property
    def way(self) -> str:
        """How the server is reached, where that was not configured; empty without a session."""
        return self._route.way

    @property
    def way_reason(self) -> str:
        """Why so."""
        return self._route.way_reason

    async def _log_in_by(
        self, route: OneRoute, run_id: str, on_event: Callable[[SessionEvent], None], stand_by: bool
    ) -> Session:
        while True:
            self._forget_if_forgotten()
            version = self._negotiation.version(self._clock.seconds())
            path = await route.open_path()
            leg: IStreamLeg | None = None
            session: Session | None = None
            try:
                leg = await path.open_leg(True)
                core = self._make_core(version, run_id, path.connection_of(leg), stand_by, route.carrier)
                session = Session(
                    core,
                    path,
                    leg,
                    self._clock,
                    self._watched(version, on_event, core),
                    self._prover,
                    self._token_key,
                )
                await session.log_in()
            except SessionLost as error:
                broken_by = _broken_by(path, leg)
                _drop(path, leg)
                if session is not None and session.peer_answered:
                    self._negotiation.answered(version, self._clock.seconds())
                    raise
                if broken_by:
                    # In TLS 1.3 a server says what it has against a certificate after the handshake.
                    raise TransportSecurityError(f"TLS with {self.server} failed: {broken_by}") from error
                silent = session is not None and session.was_silent
                if not silent and self._negotiation.closed_without_answer(version):
                    self.log.debug("the server does not seem to know wire v2; trying v1")
                    continue
                raise SessionLost(f"{error}; {self._no_answer(path, leg)}") from error
            except BindingFailedError as error:
                _drop(path, leg)
                raise self._unbound(error, session) from None
            except Exception:
                if session is not None and session.peer_answered:
                    self._negotiation.answered(version, self._clock.seconds())
                _drop(path, leg)
                raise
            self._negotiation.answered(version, self._clock.seconds())
            if session.is_bound:
                self._learn_proof(_fingerprint(session))
            return session

    def _forget_if_forgotten(self) -> None:
        """Somebody may have had the server forgotten, for this client as for every other one."""
        spoke_v2 = self._servers.get(self.server).speaks_v2
        if self._spoke_v2 and not spoke_v2:
            self._negotiation.forget()
        self._spoke_v2 = spoke_v2

    def _watched(
        self,
        version: int,
        on_event: Callable[[SessionEvent], None],
        core: ClientControl,
    ) -> Callable[[SessionEvent], None]:
        """What gets the events of a session, and remembers what the first one proves.

        In version 2 it was sealed with a key that comes from the token and from both hellos: the server
        has the token, and nobody has changed a hello.  A login that was answered does not show that.
        """
        learned = version != 2

        def watched(event: SessionEvent) -> None:
            nonlocal learned
            if not learned:
                learned = True
                self._servers.learn(self.server, Remembered(speaks_v2=True, carriers=core.carriers))
            on_event(event)

        return watched

    def _learn_proof(self, certificate: str) -> None:
        """Remembers that the server proved itself in a bound login, and with which certificate."""
        known = self._servers.get(self.server)
        if known.certificate not in ("", certificate):
            self.log.warn(
                "{server} proved itself with another certificate than before: {certificate}",
                server=self.server,
                certificate=certificate,
                problem="new-certificate",
            )
        learned = Remembered(speaks_v2=True, bound=True, certificate=certificate)
        self._servers.learn(self.server, learned)

    def _unbound(self, error: BindingFailedError, session: Session | None) -> BindingFailedError:
        """A failure with all that is known about its cause."""
        if session is None or session.binding_failure is None:
            return error
        known = self._servers.get(self.server)
        return BindingFailedError(
            self._binding.explained(session.binding_failure, known, _fingerprint(session))
        )

    def _no_answer(self, path: IStreamPath, leg: IStreamLeg | None) -> str:
        """What may be the reason where a server ends a connection without a word."""
        is_secure = leg is not None and ISecureSession.providedBy(path.connection_of(leg))
        why = NO_ANSWER if is_secure else f"{NO_TLS}, and {NO_ANSWER}"
        if self._negotiation.known is not KnownVersion.SPEAKS_V2:
            return why
        return (
            f"{why}; {self.server} spoke version 2 of the wire before, so version 1 is not tried: "
            f"if it was replaced by an older server, then: relaykit forget {self.server}"
        )

    def _proofs(self, connection: IEnd, stand_by: bool) -> ClientProofs:
        """What this client can prove on a connection.

        :raises BindingFailedError: a bound login is required and not possible there.
        """
        exporter = channel_binding(connection)
        mode = self._binding.mode(self._servers.get(self.server))
        secure = ISecureSession.providedBy(connection)
        if mode is BoundLogin.REQUIRE and not (exporter and self._binding.possible):
            tls_version = connection.tls_version if ISecureSession.providedBy(connection) else ""
            raise BindingFailedError(self._binding.impossible(tls_version))
        # Before TLS 1.3 a signature would be good for another TLS session, too.
        signer = self._identity if exporter or not secure else None
        return ClientProofs(exporter=exporter, signer=signer, bound=mode, stands_by=stand_by)

    def _make_core(
        self, version: int, run_id: str, connection: IEnd, stand_by: bool, carrier: str
    ) -> ClientControl:
        config, transport = self._config, self._config.transport
        login = Login(
            version=__version__,
            hostname=socket.gethostname(),
            os=platform.system().lower(),
            arch=GO_ARCHITECTURES.get(platform.machine(), platform.machine()),
            user=config.user,
            run_id=run_id,
            client_id=config.client_id,
            metas=dict(config.metadatas),
            pool_count=transport.pool_count,
        )
        settings = SessionSettings(
            token=self._token,
            entropy=os.urandom,
            heartbeat=heartbeat_of(transport),
        )
        return ClientControl(
            login,
            V1 if version == 1 else V2,
            settings,
            self._clock.seconds(),
            bootstrap=Bootstrap(
                transport=carrier or transport.protocol,
                tls=ISecureSession.providedBy(connection),
                tcp_mux=transport.tcp_mux,
            ),
            proofs=self._proofs(connection, stand_by) if version == 2 else NOTHING_PROVEN,
            scopes=self._prover.scopes,
        )


def _drop(path: IStreamPath, leg: IStreamLeg | None) -> None:
    """Ends what a login that failed, or was cancelled, has opened; closing the path alone is not enough
    where each stream is a connection of its own.
    """
    if leg is not None:
        leg.abort()
    path.close()


def _broken_by(path: IStreamPath, leg: IStreamLeg | None) -> str:
    """Why TLS with the server broke; empty if it has not."""
    connection: object = None if leg is None else path.connection_of(leg)
    return connection.broken_by if ISecureSession.providedBy(connection) else ""


def _fingerprint(session: Session) -> str:
    return fingerprint(session.certificate) if session.certificate else ""

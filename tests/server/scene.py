"""A relay server in memory, and clients that speak to it: what the tests of the server stand on."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import define
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from relaykit.authentication import TokenProver, TokenVerifier
from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.carriers.tcp import TlsRecognition
from relaykit.certificates.own import KeyPair, self_signed
from relaykit.config.schema.server import Bandwidth
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.tls import TlsContext, client_context, server_context, start_tls
from relaykit.driver import LegDriver
from relaykit.interfaces import (
    IIngress,
    IPortHolder,
    IProxyType,
    ISecureLeg,
    IServerHost,
    IStreamLeg,
    IVerifier,
)
from relaykit.nat.rendezvous import RendezvousPoints
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.sansio.control import events
from relaykit.sansio.control.channel_binding import derive_token_key
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.client_opening import open_work, work_answer
from relaykit.sansio.control.credentials import NO_PROOF, Proof, Scope
from relaykit.sansio.control.extensions import BOUND, EXTENSIONS, IDENTITY
from relaykit.sansio.control.login_proofs import NOTHING_PROVEN, BoundLogin, ClientProofs
from relaykit.sansio.control.server_opening import ServerOpening
from relaykit.sansio.control.session import Heartbeat, SessionSettings
from relaykit.sansio.control.texts import PeerTexts
from relaykit.sansio.nat.server_rendezvous import ServerRendezvous
from relaykit.sansio.wire.framing import V1, V2, Framing
from relaykit.sansio.wire.hello import Bootstrap
from relaykit.sansio.wire.messages import Login
from relaykit.server.acceptor import BindPort, BindRules, Link
from relaykit.server.accounting import Accounting
from relaykit.server.admission import MAX_PENDING, most_asked
from relaykit.server.binding import ServerBinding
from relaykit.server.budgets import Budgets
from relaykit.server.first_messages import FirstMessages
from relaykit.server.logins import Logins
from relaykit.server.observers import LogObserver, Observers
from relaykit.server.policies import NamedJudge, ServerPolicies
from relaykit.server.ports import PortProtocol, ServerPorts
from relaykit.server.registry import Registry
from relaykit.server.sessions import SessionRules, Sessions
from relaykit.server.visits import Visits
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver, Weather
from relaykit.testing.ports import MemoryPorts
from relaykit.token_key import TokenKey
from relaykit.values import Origin, Secret

NO_HEARTBEAT = Heartbeat()

TOKEN = Secret("a token")
"""What server and clients share."""

SALT = bytes(range(16))
DERIVED = derive_token_key(TOKEN.to_bytes(), SALT)
TOKEN_KEY = TokenKey(TOKEN, lambda function, *arguments: succeed(DERIVED))
"""What bound logins take; nothing is done in threads."""


def token_key(token: Secret) -> TokenKey:
    """Another token as a key; nothing is done in threads."""
    return TokenKey(token, lambda function, *arguments: succeed(function(*arguments)))


EXPORTER = bytes(range(32))
"""What tells one TLS session from another."""

TYPES = ProxyTypes.from_references(
    [
        ProxyTypeReference("tcp", "relaykit.proxies.tcp"),
        ProxyTypeReference("stcp", "relaykit.proxies.stcp"),
        ProxyTypeReference("direct", "tests.nat.direct"),
        ProxyTypeReference("broken", "tests.server.no_such_module"),
    ]
)


class ThreadlessClock(Clock):
    """A clock that is reactor enough for work in other threads, which it does at once."""

    def getThreadPool(self) -> ThreadlessClock:
        """The pool: itself."""
        return self

    def callInThreadWithCallback(self, told: Any, work: Any, *arguments: Any) -> None:
        """What a pool does, without threads."""
        told(True, work(*arguments))

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        """What a reactor does, in the same thread."""
        call(*arguments)


OWN = "the server's own"
"""The name of the certificate of a server."""


@functools.cache
def certificate(name: str) -> KeyPair:
    """A certificate that is made once for all tests, one for each name."""
    return self_signed(datetime(2026, 1, 1, tzinfo=UTC))


class Scene:
    """The parts of a server, wired as the service wires them, without sockets.

    Connections that begin with TLS get it; the server has ``certificate(OWN)``.
    """

    def __init__(
        self,
        *,
        scopes: tuple[Scope, ...] = (),
        detailed: bool = True,
        tls_only: bool = False,
        max_pool_count: int = 5,
        heartbeat: Heartbeat = NO_HEARTBEAT,
        bound: BoundLogin = BoundLogin.PREFER,
        token: Secret = TOKEN,
        weather: Weather | None = None,
        verifier: IVerifier | None = None,
        most_pending: int = MAX_PENDING,
        beside: Scene | None = None,
        judges: Sequence[NamedJudge] = (),
    ) -> None:
        """A server; ``beside`` another one it has the same time and network."""
        self.is_scarce = False
        """Whether the next connections take the last descriptors."""
        self.clock: ThreadlessClock = ThreadlessClock() if beside is None else beside.clock
        self.network: MemoryNetwork = MemoryNetwork(weather, self.clock) if beside is None else beside.network
        self.ports = MemoryPorts(self.network)
        self.data_plane = DataPlane([CopyForwarder()], self.network)
        self.services = MultiService()
        self.services.startService()
        self._ingresses: dict[str, IIngress] = {}
        self._entropy = itertools.count(1)
        self.reactor = self.clock
        self.certificate_name = OWN
        self.salt = b"" if bound is BoundLogin.OFF else SALT
        self.server_ports = ServerPorts(
            {PortProtocol.TCP: partial(self.ports.listen, "192.0.2.1")},
            self.clock,
            lambda below: 0,
            release=self._release,
        )
        self.rendezvous_points = RendezvousPoints(ServerRendezvous(self.entropy), self.clock)
        self.observers = Observers()
        self.observers.add(LogObserver(True))
        self.accounting = Accounting(self.observers, self.clock.seconds)
        self.registry = Registry(
            TYPES, self, self.data_plane, self.clock, self.accounting, Budgets(Bandwidth()), self._release
        )
        rules = SessionRules(
            clock=self.clock,
            entropy=self.entropy,
            verifier=verifier or TokenVerifier(token, scopes),
            version="0.0.0",
            texts=PeerTexts(detailed),
            max_pool_count=max_pool_count,
            user_timeout_s=10.0,
            settings=lambda link: SessionSettings(token=token, entropy=self.entropy, heartbeat=heartbeat),
            binding=ServerBinding(bound, self.salt, TOKEN_KEY if token == TOKEN else token_key(token)),
            accounting=self.accounting,
            is_deaf_since=lambda time: self.bind_port.is_deaf_since(time),
            most_asked=most_asked(most_pending),
            policies=ServerPolicies(judges, self.clock),
        )
        self.sessions = Sessions(rules)
        self.visits = Visits(self.sessions, self.registry, PeerTexts(detailed), self.entropy, self.observers)
        logins = Logins(self.sessions, self.registry, rules)
        self.first_messages = FirstMessages(self._opening, logins, self.sessions, self.visits, self.clock)
        self.bind_port = BindPort(
            self.first_messages.on_opened,
            self._secure,
            self._tls_terms,
            partial(self.ports.listen_datagrams, ""),
            BindRules(tls_only=tls_only, mux_keepalive_s=30.0),
            self.network,
            self.clock,
            self.sessions.is_known,
            lambda leg: self.is_scarce,
            most_pending,
        )
        TlsRecognition(self.bind_port).setServiceParent(self.bind_port)
        self.bind_port.startService()

    def entropy(self, length: int) -> bytes:
        """Bytes that never come twice."""
        return next(self._entropy).to_bytes(length, "big")

    async def ingress_of(self, proxy_type: IProxyType) -> IIngress:
        """The ingress of a type."""
        if proxy_type.name not in self._ingresses:
            host = ServerHost(self)
            ingress = proxy_type.make_ingress(proxy_type.ingress_options(), host)
            ingress.setServiceParent(self.services)
            self._ingresses[proxy_type.name] = ingress
        return self._ingresses[proxy_type.name]

    def accept(self) -> MemoryLeg:
        """A connection to the bind port: its client's end."""
        near, far = self.network.pair()
        self.bind_port.leg_accepted(far, Origin(far.peer, far.host))
        return near

    def accept_tls(self) -> Deferred[ISecureLeg]:
        """A connection to the bind port with TLS, which nobody verifies."""
        return start_tls(self.network, self.accept(), client_context(), server_side=False)

    def open(self, link: Link | None = None) -> MemoryLeg:
        """A logical connection that the bind port has understood: its client's end."""
        near, far = self.network.pair()
        self.first_messages.on_opened(
            far, Origin(far.peer, far.host), link or Link(False, False, lambda: None)
        )
        return near

    def dial(self, port: int) -> tuple[MemoryLeg, RecordingReceiver]:
        """A user's connection to a port of a proxy."""
        near = self.ports.dial(port)
        receiver = RecordingReceiver(near)
        self.flush()
        return near, receiver

    def flush(self) -> None:
        """Lets everything come to rest."""
        self.network.flush()

    def advance(self, seconds: float) -> None:
        """Lets time pass, from one thing that happens to the next."""
        self.network.advance(seconds)

    def _release(self, run_id: str) -> Deferred[bool]:
        return self.sessions.release_if_dead(run_id)

    def _opening(self, now: float, link: Link) -> ServerOpening:
        secure = bool(link.exporter)
        return ServerOpening(
            now,
            "0.0.0",
            self.entropy,
            EXTENSIONS | {BOUND, IDENTITY},
            salt=self.salt if secure else b"",
            secure=secure,
        )

    def _tls_terms(self) -> TlsContext:
        pair = certificate(self.certificate_name)
        return server_context(pair.certificate, pair.key)

    def _secure(self, leg: IStreamLeg) -> Deferred[Any]:
        return start_tls(self.network, leg, self._tls_terms(), server_side=True)


@implementer(IServerHost)
@define
class ServerHost:
    """What ingresses may use of the scene."""

    _scene: Scene

    @property
    def reactor(self) -> Clock:
        return self._scene.clock

    @property
    def ports(self) -> ServerPorts:
        return self._scene.server_ports

    @property
    def data_plane(self) -> DataPlane:
        return self._scene.data_plane

    @property
    def rendezvous(self) -> RendezvousPoints:
        return self._scene.rendezvous_points

    def pass_through(self, has: Callable[[str], bool]) -> None:
        """Nobody ends TLS in a scene."""

    def passes_through(self, host: str) -> bool:
        """Nothing is said of any host."""
        return False

    def release_if_dead(self, holder: IPortHolder) -> Deferred[bool]:
        """Has the client of a proxy show that it is there."""
        return self._scene.sessions.release_if_dead(holder.identity.run_id)


@define(eq=False)
class Key:
    """An identity."""

    seed: int = 0

    @property
    def public_key(self) -> bytes:
        return self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, statement: bytes) -> bytes:
        return self._private.sign(statement)

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)


class Client:
    """A client's control session with a scene.

    One that is not ``alive`` does not open the work connections that it is asked for.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        framing: Framing = V2,
        token: Secret = TOKEN,
        run_id: str = "",
        user: str = "",
        client_id: str = "",
        pool_count: int = 0,
        scopes: tuple[Scope, ...] = (),
        link: Link | None = None,
        leg: IStreamLeg | None = None,
        proofs: ClientProofs = NOTHING_PROVEN,
        alive: bool = False,
        heartbeat: Heartbeat = NO_HEARTBEAT,
    ) -> None:
        self.scene = scene
        self.framing = framing
        self.alive = alive
        self.prover = TokenProver(token, lambda: 1_700_000_000.0, scopes)
        self.told: list[events.SessionEvent] = []
        self.core = ClientControl(
            Login(run_id=run_id, user=user, client_id=client_id, pool_count=pool_count, version="0.0.0"),
            framing,
            SessionSettings(token=token, entropy=scene.entropy, heartbeat=heartbeat),
            scene.clock.seconds(),
            bootstrap=Bootstrap(tls=bool(proofs.exporter)),
            proofs=proofs,
            scopes=self.prover.scopes,
        )
        self.leg = leg if leg is not None else scene.open(link)
        self.driver: LegDriver[events.SessionEvent] = LegDriver(
            self.core, self.leg, scene.clock, self._happened
        )
        self.driver.start()
        scene.flush()

    def _happened(self, event: events.SessionEvent) -> None:
        if isinstance(event, events.ProofNeeded):
            self.core.proof_made(event, self.prover.prove(event.scope, event.bound))
            return
        self.told.append(event)
        if isinstance(event, events.KeyNeeded):
            self.core.key_derived(DERIVED)
        elif isinstance(event, events.WorkRequested) and self.alive:
            self.scene.open().write(open_work(self.framing, self.run_id, self._work_proof()))

    def _work_proof(self) -> Proof:
        scope = Scope.WORK_CONNECTIONS
        return self.prover.prove(scope, False) if scope in self.prover.scopes else NO_PROOF

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind, so far."""
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def run_id(self) -> str:
        """What the server calls this client."""
        run_id: str = self.of(events.LoggedIn)[0].run_id
        return run_id

    def register(self, name: str, type: str = "tcp", **fields: Any) -> None:
        """Asks for a proxy."""
        self.core.register(name, type, fields)
        self.driver.step()
        self.scene.flush()

    def withdraw(self, name: str) -> None:
        """Takes a proxy back."""
        self.core.withdraw(name)
        self.driver.step()
        self.scene.flush()

    def offer_work(self) -> tuple[MemoryLeg, Deferred[Any]]:
        """Opens a work connection; the Deferred has its assignment or refusal."""
        leg = self.scene.open()
        leg.write(open_work(self.framing, self.run_id, self._work_proof()))
        answer = leg.take(work_answer(self.framing))
        self.scene.flush()
        return leg, answer


def versions() -> Iterator[Framing]:
    """Both versions of the wire."""
    yield V1
    yield V2


def muxed(scene: Scene) -> MuxLink:
    """A client's link to the scene's bind port, with one stream on which nothing has been said."""
    link = MuxLink(scene.accept(), MuxRole.CLIENT, scene.network, scene.clock, None)
    link.start()
    link.open_leg()
    scene.flush()
    return link

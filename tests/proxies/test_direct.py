"""Tests of direct paths between two clients of relaykit, with a type that has nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError, VisitRefusedError
from relaykit.interfaces import (
    IClientHost,
    IDirectPath,
    IExposure,
    IIngress,
    IInitiator,
    IRegisteredProxy,
    IRegistrant,
    IServerHost,
    ISignalPeer,
    ISignalReceiver,
    IStreamLeg,
    IStreamPath,
    IVisitableProxyType,
    IVisitorHost,
)
from relaykit.options import VisitorCommon
from relaykit.proxies import direct
from relaykit.proxies.direct import AnsweredPaths, admit_initiator, call, told_options
from relaykit.proxies.stcp import StcpOptions, StcpVisitor, StcpVisitorOptions
from relaykit.proxies.tcp import LocalServiceBackend, NoIngressOptions
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_keys import path_key, rendezvous_key
from relaykit.testing.direct_paths import MemoryPunching
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing
from relaykit.values import ClientIdentity, Ended, Origin, Secret
from tests.nat.direct import Hearing

SECRET = Secret("s3cret")
NAME = "alice.db"


@implementer(IExposure, ISignalReceiver)
class _Exposure:
    """The server half: lets callers in."""

    address = ""

    def __init__(self, host: IServerHost, proxy: IRegisteredProxy) -> None:
        self._point = host.rendezvous.open(proxy, partial(admit_initiator, proxy))
        self.heard: list[Mapping[str, Any]] = []

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        self.heard.append(body)
        if not self._point.signal_received(sender, body):
            raise RemoteProtocolError("no rendezvous")

    async def withdraw(self) -> None:
        self._point.close()


@implementer(IIngress)
class Ingress(Service):
    """Exposes proxies to callers."""

    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> _Exposure:
        return _Exposure(self._host, proxy)


@implementer(IRegistrant, ISignalReceiver)
class _Backend(LocalServiceBackend):
    def __init__(self, options: StcpOptions, host: IClientHost) -> None:
        super().__init__(host)
        self._options = options
        self.paths = AnsweredPaths(host, options.secret_key, self._serve)

    def startService(self) -> None:
        super().startService()
        self.paths.start()

    def stopService(self) -> None:
        super().stopService()
        self.paths.stop()

    async def _serve(self, leg: IStreamLeg, origin: Origin, path: IStreamPath) -> None:
        await self.work_assigned(leg, origin)

    def registered_options(self) -> StcpOptions:
        return told_options(self.host, self._options)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        self.host.direct_paths.signal_received(body)


@implementer(ISignalReceiver)
class _Visitor(StcpVisitor):
    """Makes a path for its first user, and for the next one after it was lost."""

    path: IStreamPath | None = None

    async def open_visit(self, origin: Origin) -> IStreamLeg:
        if self.path is None:
            self.path = await call(self.host, self.secret)
            self.path.when_lost().addCallback(lambda _: setattr(self, "path", None))
        leg: IStreamLeg = await self.path.open_leg(False)
        return leg

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        self.host.direct_paths.signal_received(body)


@implementer(IVisitableProxyType)
@frozen
class _Type:
    name = "direct"
    summary = "direct paths, for tests"
    proxy_options = StcpOptions
    visitor_options = StcpVisitorOptions
    ingress_options = NoIngressOptions

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> Ingress:
        return Ingress(host)

    def make_backend(self, options: StcpOptions, host: IClientHost) -> _Backend:
        return _Backend(options, host)

    def make_visitor(self, options: StcpVisitorOptions, host: IVisitorHost) -> _Visitor:
        return _Visitor(options.secret_key, host)


@frozen
class _User:
    """A user's own end."""

    leg: MemoryLeg
    heard: RecordingReceiver

    @property
    def is_let_go(self) -> bool:
        """Whether the other end has ended it."""
        return self.heard.ended or self.heard.lost is not None


class DirectTests(SynchronousTestCase):
    """A server, the client of a proxy, and visitors."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.relay.paths_of_tcp = True

    def publish(self, local: Any = echoing) -> Published:
        """Starts alice's proxy ``db``."""
        options = StcpOptions(secret_key=SECRET, allow_users=("*",))
        return self.relay.publish(_Type(), options, name="db", local=local, user="alice")

    def visit(self, key: Secret = SECRET, user: str = "bob") -> Visiting:
        """Starts a visitor to it."""
        common = VisitorCommon(name="v", server_user="alice", server_name="db", bind_port=-1)
        return self.relay.visit(_Type(), common, StcpVisitorOptions(secret_key=key), user=user)

    def echoed(self, visiting: Visiting, payload: bytes = b"hello") -> _User:
        """A user who is served."""
        user = self.dialed(visiting)
        user.leg.write(payload)
        self.relay.settle()
        self.assertEqual(user.heard.data, payload)
        return user

    def dialed(self, visiting: Visiting) -> _User:
        """A user who has connected."""
        leg = visiting.dial()
        user = _User(leg, RecordingReceiver(leg))
        self.relay.settle()
        return user

    def test_users(self) -> None:
        """All users of a visitor are served over one path, and the server accounts none of them."""
        published, visiting = self.publish(), self.visit()
        users = [self.echoed(visiting, b"%d" % number) for number in range(3)]
        backend: Any = published.backend
        self.assertEqual((len(backend.paths), len(published.host.flows), published.flows), (1, 3, []))
        (visitor,), (proxy,) = visiting.client.status().visitors, published.client.status().proxies
        self.assertRegex(visitor.way, r"^a direct path with [0-9.]+:[0-9]+, over tcp$")
        self.assertEqual(proxy.way, "1 direct path")
        self.assertEqual([each.is_let_go for each in users], [False] * 3)

    def test_half_close(self) -> None:
        """A user who has said all there is still hears the answer."""
        self.publish()
        user = self.dialed(self.visit())
        user.leg.write(b"all of it")
        user.leg.finish_writing()
        self.relay.settle()
        self.assertEqual((user.heard.data, user.is_let_go), (b"all of it", True))

    def test_server_knows_no_secret(self) -> None:
        """The server gets the rendezvous key, and proofs of it; neither the secret nor the path key."""
        published, visiting = self.publish(), self.visit()
        self.echoed(visiting)
        self.assertEqual(published.proxy.options.secret_key, rendezvous_key(SECRET, NAME))
        exposure: Any = published.exposure
        said = repr(exposure.heard).encode()
        for secret in (SECRET, path_key(SECRET, NAME)):
            self.assertNotIn(secret.to_bytes(), said)

    def test_wrong_secret(self) -> None:
        """Who does not know the secret is not let in."""
        self.publish()
        visiting = self.visit(Secret("another"))
        with capturedLogs() as logged:
            user = self.dialed(visiting)
        self.assertTrue(user.is_let_go)
        said = [formatEvent(each) or "" for each in logged]
        self.assertTrue(any("[v] no visit for" in each and "auth failed" in each for each in said), said)

    def test_lost(self) -> None:
        """When a path is lost its users' flows end, and the next user has a new one."""
        published, visiting = self.publish(), self.visit()
        first = self.echoed(visiting)
        visitor: Any = visiting.visitor
        link = visitor.path.lower
        link.abort()
        self.relay.settle()
        self.assertTrue(first.is_let_go)
        self.assertEqual((visitor.path, len(published.host.flows)), (None, 0))
        (status,), (proxy,) = visiting.client.status().visitors, published.client.status().proxies
        self.assertEqual((status.way, proxy.way), ("no direct path: cancelled", "0 direct paths"))
        self.echoed(visiting)

    def test_withdrawn(self) -> None:
        """A proxy that is taken back gets no new users; its path is closed once the last one is gone."""
        published, visiting = self.publish(), self.visit()
        first = self.echoed(visiting)
        backend, visitor = published.backend, visiting.visitor
        assert isinstance(backend, _Backend)
        assert isinstance(visitor, _Visitor)
        published.withdraw()
        refused = self.dialed(visiting)
        self.assertEqual((refused.is_let_go, first.is_let_go, len(backend.paths)), (True, False, 1))
        first.leg.close()
        self.relay.settle()
        self.relay.network.expire_linger()
        self.assertEqual((visitor.path, len(backend.paths)), (None, 0))

    def test_withdrawn_unused(self) -> None:
        """A path without users is closed when its proxy is taken back."""
        published, visiting = self.publish(), self.visit()
        self.echoed(visiting).leg.close()
        self.relay.settle()
        published.withdraw()
        self.relay.settle()
        visitor: Any = visiting.visitor
        self.assertIsNone(visitor.path)

    def test_peer_unproven(self) -> None:
        """A server that comes itself has no proof that the backend takes; the log says so."""
        published = self.publish()
        backend: Any = published.backend
        here, there = self.pair()
        with capturedLogs() as logged:
            backend.paths._on_path(here)
            there.open_streams(rendezvous_key(SECRET, NAME), Hearing()).addErrback(lambda _: None)
            self.relay.settle()
        (said,) = (each for each in logged if each.get("problem") == "peer-unproven")
        self.assertIn("[db] a direct path from", formatEvent(said) or "")
        self.assertEqual(len(backend.paths), 0)

    def test_too_many(self) -> None:
        """There is a limit to the paths of one backend, those included that prove nothing."""
        published = self.publish()
        backend: Any = published.backend
        self.patch(direct, "MOST_PATHS", 1)
        (first, _), (second, _) = self.pair(), self.pair()
        lost = second.when_lost()
        with capturedLogs() as logged:
            for each in (first, second):
                backend.paths._on_path(each)
        self.assertIs(self.successResultOf(lost), Ended.FINISHED)
        self.assertEqual(len(backend.paths), 1)
        self.assertEqual([each["problem"] for each in logged], ["too-many-rendezvous"])
        backend.paths.stop()
        self.assertEqual(len(backend.paths), 0)

    def test_nobody_visits_a_visitor(self) -> None:
        """What a proxy opens to its visitor is refused."""
        self.publish()
        visiting = self.visit()
        self.echoed(visiting)
        link: Any = visiting.visitor.path  # type: ignore[attr-defined]  # of this module's visitor
        leg, far = self.relay.network.pair()
        heard = RecordingReceiver(far)
        link._acceptor.leg_accepted(leg, Origin())
        self.relay.settle()
        self.assertIsNotNone(heard.lost)

    def pair(self) -> tuple[IDirectPath, IDirectPath]:
        """Both ends of a path that somebody else has made: the backend's first."""
        paths: dict[bytes, IDirectPath] = {}
        made: list[IDirectPath] = []
        for role in (PeerRole.RESPONDER, PeerRole.INITIATOR):
            punching = MemoryPunching(role, b"", lambda _: None, None, paths, self.relay.network)
            punching.start().addCallback(made.append)
            punching.candidates_received({})
        return made[0], made[1]


@implementer(IInitiator)
class _Initiator:
    identity = ClientIdentity("run", "alice")

    def __init__(self, known: Secret) -> None:
        self._known = known

    def proves(self, secret: Secret) -> bool:
        return secret == self._known


class AdmitCallerTests(SynchronousTestCase):
    """Who is let in by the server."""

    def test_keys(self) -> None:
        """The rendezvous key counts, whether it was registered or can be made of what was."""
        key = rendezvous_key(SECRET, NAME)
        for registered, known, admitted in (
            (key, key, True),
            (SECRET, key, True),
            (key, SECRET, False),
            (key, path_key(SECRET, NAME), False),
            (SECRET, rendezvous_key(SECRET, "alice.other"), False),
        ):
            options = StcpOptions(secret_key=registered)
            proxy: Any = SimpleNamespace(name=NAME, options=options, identity=_Initiator.identity)
            if admitted:
                admit_initiator(proxy, _Initiator(known))
            else:
                self.assertRaises(VisitRefusedError, admit_initiator, proxy, _Initiator(known))

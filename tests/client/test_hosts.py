"""Tests of what backends and visitors may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast
from unittest import mock

from attrs import Factory, define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.accounting import Accounting
from relaykit.client.exchanges import ExchangeObservers
from relaykit.client.hosts import PORT_RETRY_S, BackendHost, VisitorHost
from relaykit.client.loops import OwnConnections
from relaykit.client.type_messages import HalfMessages
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.lanes import DatagramLane
from relaykit.dataplane.local_services import NOBODY, announce_nobody
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import (
    ConnectionFailed,
    OutOfDescriptors,
    RefusalCode,
    RefusedError,
    SessionLost,
    VisitRefusedError,
)
from relaykit.interfaces import (
    IDatagramAcceptor,
    IDatagramLeg,
    IDatagramStreams,
    IDirectPaths,
    IFlow,
    ILegAcceptor,
    IListeningPort,
    ISignalPeer,
    IStreamLeg,
)
from relaykit.options import ProxyCommon, ProxyTransport, VisitorCommon, VisitorTransport
from relaykit.sansio.control.extensions import EXTENSIONS
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec
from relaykit.sansio.wire.framing import V2
from relaykit.sansio.wire.messages import Message, Ping
from relaykit.testing.holes import MemoryHoles
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.testing.ports import MemoryDatagramLeg, MemoryPorts, datagram_pair
from relaykit.values import Address, ClientIdentity, Ended, Exchange, Origin, Secret
from tests.client.scene import no_messages
from tests.client.test_exchanges import RecordingExchanges
from tests.dataplane.test_observing import RecordingObserver

ALICE = Address("203.0.113.9", 40000)


@define(eq=False)
class Client:
    """The client, as hosts see it."""

    network: MemoryNetwork = field(factory=MemoryNetwork)
    ports: MemoryPorts = field(default=Factory(lambda self: MemoryPorts(self.network), takes_self=True))
    clock: Clock = field(factory=Clock)
    data_plane: DataPlane = field(
        default=Factory(lambda self: DataPlane([CopyForwarder()], self.network), takes_self=True)
    )

    exchange_observers: ExchangeObservers = field(factory=ExchangeObservers)
    accounting: Accounting = field(factory=Accounting)
    own_connections: OwnConnections = field(factory=OwnConnections)
    identity: ClientIdentity = field(factory=lambda: ClientIdentity("run", "alice"))
    half_close: bool = True
    takes_signals: bool = True
    sent: list[Any] = field(factory=list)
    visited: list[tuple[VisitorCommon, Secret, Origin]] = field(factory=list)
    servers: list[MemoryLeg] = field(factory=list)
    meeting: list[ISignalPeer] = field(factory=list)
    dropped: list[IDirectPaths] = field(factory=list)
    dialed: list[str] = field(factory=list)
    services: list[MemoryLeg] = field(factory=list)
    datagram_services: list[MemoryDatagramLeg] = field(factory=list)
    extensions: frozenset[str] | None = EXTENSIONS
    failure: Exception | None = None
    messages: HalfMessages = field(factory=no_messages)
    takers: dict[tuple[str, str], Any] = field(factory=dict)
    holes: MemoryHoles = field(default=Factory(lambda self: MemoryHoles(self.network), takes_self=True))

    def send_message(self, message: Message) -> None:
        self.sent.append(message)

    def dial(
        self,
        endpoint: str,
        origin: Origin = NOBODY,
        announce: Callable[[Any], object] = announce_nobody,
    ) -> Deferred[IStreamLeg]:
        self.dialed.append(endpoint)
        if self.failure is not None:
            return fail(self.failure)
        leg, service = self.network.pair()
        self.services.append(service)
        return succeed(leg)

    def dial_datagrams(self, endpoint: str) -> Deferred[IDatagramLeg]:
        self.dialed.append(endpoint)
        if self.failure is not None:
            return fail(self.failure)
        leg, service = datagram_pair(self.network)
        self.datagram_services.append(service)
        return succeed(leg)

    def lane_codec(self, most_bytes: int) -> LaneCodec:
        if self.extensions is None:
            raise SessionLost("there is no session with the server")
        return agreed_codec(V2, self.extensions, most_bytes)

    def listen(self, host: str, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        return self.ports.listen(host, port, acceptor)

    def listen_datagrams(self, host: str, port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        return self.ports.listen_datagrams(host, port, acceptor)

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        self.sent.append((proxy_name, visitor_name, body))

    def open_visit(self, common: VisitorCommon, secret: Secret, origin: Origin) -> Deferred[IStreamLeg]:
        self.visited.append((common, secret, origin))
        leg, server = self.network.pair()
        self.servers.append(server)
        return succeed(leg)

    def make_direct_paths(self, peer: ISignalPeer) -> IDirectPaths:
        self.meeting.append(peer)
        return cast(IDirectPaths, object())

    def drop_direct_paths(self, direct_paths: IDirectPaths) -> None:
        self.dropped.append(direct_paths)

    def datagram_streams(self, protocol: str) -> IDatagramStreams:
        return self.holes.streams(protocol)

    def sign(self, secret: Secret) -> tuple[str, int]:
        return f"signed by {secret.reveal()}", 1_700_000_000

    def taker(self, name: str, instead_of: str) -> ILegAcceptor:
        taker: ILegAcceptor = self.takers[name, instead_of]
        return taker


class HostTests(SynchronousTestCase):
    """What goes through to the session."""

    def setUp(self) -> None:
        self.client = Client()
        self.network = self.client.network
        self.backend = BackendHost(self.client, ProxyCommon(name="web", local_port=80), "alice.web")
        self.visitor = VisitorHost(self.client, VisitorCommon(name="v"), "bob.db")
        self.too_large: list[DatagramTooLarge] = []

    def test_names(self) -> None:
        """A host knows the configured name and the client's identity."""
        self.assertEqual((self.backend.name, self.visitor.name), ("web", "v"))
        self.assertEqual(self.backend.identity.user, "alice")

    def forward(self, origin: Origin) -> tuple[IFlow, MemoryLeg, MemoryLeg]:
        """A flow of the backend, with the ends of its user and of the local service."""
        user, near = self.network.pair()
        far, local = self.network.pair()
        return self.backend.forward(near, far, origin), user, local

    def test_flow(self) -> None:
        """A flow is listed while it lasts; how it ended is logged with the proxy, the user and what moved."""
        origin = Origin(Address("192.0.2.7", 7))
        flow, user, local = self.forward(origin)
        self.assertEqual({each: user.origin for each, user in self.backend.flows.items()}, {flow: origin})
        served = RecordingReceiver(local)
        user.write(b"four")
        local.write(b"eleven here")
        self.network.flush()
        with capturedLogs() as logged:
            user.close()
            local.close()
            self.network.flush()
        self.assertEqual((served.data, self.backend.flows), (b"four", {}))
        (event,) = [each for each in logged if "ended" in each]
        self.assertEqual(
            (event["run"], event["proxy"], str(event["origin"]), event["ended"]),
            ("run", "web", "192.0.2.7:7", "finished"),
        )
        self.assertEqual((event["sent"], event["received"]), (4, 11))

    def test_observed(self) -> None:
        """Exchanges are told with the proxy's name to who wants to know of them, and only then looked for."""
        exchange = Exchange(method="GET", target="/", status=200, seconds=0.1)
        self.assertFalse(self.backend.is_observed)
        observer = RecordingExchanges()
        self.client.exchange_observers.add(observer)
        self.assertTrue(self.backend.is_observed)
        self.backend.tell(exchange)
        self.assertEqual(observer.told, [("web", exchange)])

    def test_observed_leg(self) -> None:
        """What passes a leg is shown to an observer."""
        near, user = self.network.pair()
        observer = RecordingObserver()
        received = RecordingReceiver(self.backend.observed(near, observer))
        user.write(b"hello")
        self.network.flush()
        self.assertEqual((observer.seen, received.data), ([("read", b"hello")], b"hello"))

    def limited(self) -> BackendHost:
        """The backend of a proxy that this end holds to 10 KB a second."""
        transport = ProxyTransport(bandwidth_limit="10KB")
        return BackendHost(self.client, ProxyCommon(name="web", transport=transport), "alice.web")

    def test_limited(self) -> None:
        """What users and a service, or a protocol, send each other is held to one budget."""
        backend = self.limited()
        received = []
        for _ in range(2):
            (user, near), (far, service) = self.network.pair(), self.network.pair()
            received.append(RecordingReceiver(user))
            backend.forward(near, far, Origin())
            service.write(bytes(10_000))
        user, near = self.network.pair()
        received.append(RecordingReceiver(user))
        protocol = Protocol()
        backend.connect(near, protocol)
        assert protocol.transport is not None
        protocol.transport.write(bytes(10_000))
        self.network.advance(1.0)
        self.assertApproximates(sum(len(each.data) for each in received), 10_240, 1000)

    def test_limited_datagrams(self) -> None:
        """Datagrams beyond the budget are dropped."""
        (user, near), (far, service) = datagram_pair(self.network), datagram_pair(self.network)
        received = RecordingDatagrams(service)
        self.limited().forward_datagrams(near, far, Origin())
        for _ in range(20):
            user.send(bytes(1000))
        self.network.flush()
        self.assertEqual(received.got, [bytes(1000)])

    def test_limited_elsewhere(self) -> None:
        """A limit that is the server's is not kept to here."""
        transport = ProxyTransport(bandwidth_limit="10KB", bandwidth_limit_mode="server")
        backend = BackendHost(self.client, ProxyCommon(name="web", transport=transport), "alice.web")
        self.assertEqual(backend.budgets, ())

    def test_half_close(self) -> None:
        """The end of one direction passes through where the server lets it, and else ends the flow."""
        for passes in (True, False):
            self.client.half_close = passes
            flow, user, local = self.forward(Origin())
            served = RecordingReceiver(local)
            user.finish_writing()
            self.network.flush()
            self.assertEqual((served.ended, flow in self.backend.flows), (True, passes))

    def lane(self, *, alone: bool = False) -> tuple[DatagramLane, Deferred[None]]:
        """The users' end of a lane that the backend serves, and what tells its end there."""
        near, far = self.network.pair()
        served = self.backend.serve_lane(far, Origin(), 1500, alone)
        lane = DatagramLane(self.network, near, self.client.lane_codec(1500), self.too_large.append)
        lane.start()
        self.network.flush()
        return lane, served

    def test_served_lane(self) -> None:
        """Each user of a lane has a flow like any other to the local service."""
        lane, served = self.lane()
        user = lane.open(ALICE)
        got = RecordingDatagrams(user)
        user.send(b"query")
        self.network.flush()
        self.assertEqual(self.client.dialed, ["udp:127.0.0.1:80"])
        (flow,) = self.backend.flows
        self.assertEqual(
            {each: user.origin for each, user in self.backend.flows.items()}, {flow: Origin(ALICE)}
        )
        self.client.datagram_services[0].send(b"answer")
        self.network.flush()
        self.assertEqual((got.got, flow.moved()), ([b"answer"], (5, 6)))
        self.backend.end_flows(Ended.STOPPED)
        self.network.flush()
        self.assertEqual(self.backend.flows, {})
        self.assertNoResult(served)
        lane.close()
        self.network.flush()
        self.successResultOf(served)

    def test_lane_alone(self) -> None:
        """In frp's format, where it is said so, a lane takes the place of the one before."""
        self.client.extensions = frozenset()
        _, plain = self.lane()
        _, first = self.lane(alone=True)
        second_lane, second = self.lane(alone=True)
        self.successResultOf(first)
        for each in (plain, second):
            self.assertNoResult(each)
        second_lane.close()
        self.network.flush()
        self.successResultOf(second)
        self.client.extensions = EXTENSIONS
        for _ in range(2):
            _, shared = self.lane(alone=True)
        self.assertNoResult(shared)

    def test_no_session(self) -> None:
        """A lane that comes as the session ends is given up."""
        near, far = self.network.pair()
        got = RecordingReceiver(near)
        self.client.extensions = None
        self.successResultOf(self.backend.serve_lane(far, Origin()))
        self.network.flush()
        self.assertIs(got.lost, Ended.RESET)

    def test_datagrams_unreachable(self) -> None:
        """A local service that cannot be opened for datagrams is told of as any other is."""
        self.client.failure = ConnectionFailed("no such host")
        with capturedLogs() as logged:
            self.failureResultOf(self.backend.open_local_datagrams(Origin()), ConnectionFailed)
        self.assertEqual([event["endpoint"] for event in logged], ["udp:127.0.0.1:80"])

    def test_flows_ended(self) -> None:
        """Every flow can be ended, for a reason that is told."""
        flow, user, _ = self.forward(Origin())
        ended = flow.when_ended()
        received = RecordingReceiver(user)
        self.backend.end_flows(Ended.WITHDRAWN)
        self.network.flush()
        self.assertIs(self.successResultOf(ended).ended, Ended.WITHDRAWN)
        self.assertTrue(received.lost)

    def test_signals(self) -> None:
        """A backend signals for its proxy, a visitor for itself to the proxy that it visits."""
        self.backend.signal({"a": 1})
        self.visitor.signal({"b": 2})
        self.assertEqual(self.client.sent, [("alice.web", "", {"a": 1}), ("bob.db", "v", {"b": 2})])

    def test_messages(self) -> None:
        """Messages go to the server; hosts know what that calls their proxies."""
        self.backend.send_message(Ping())
        self.visitor.send_message(Ping())
        self.assertEqual(self.client.sent, [Ping(), Ping()])
        self.assertEqual((self.backend.proxy_name, self.visitor.proxy_name), ("alice.web", "bob.db"))

    def test_direct_paths(self) -> None:
        """Each host has direct paths of its own, which are made when they are wanted."""
        self.assertEqual(self.client.meeting, [])
        self.assertIs(self.backend.direct_paths, self.backend.direct_paths)
        self.assertIsNot(self.backend.direct_paths, self.visitor.direct_paths)
        self.assertEqual(self.client.meeting, [self.backend, self.visitor])
        self.backend.close()
        self.assertEqual(self.client.dropped, [self.backend.direct_paths])

    def test_holes(self) -> None:
        """Holes and their streams are the client's."""
        self.assertIs(self.backend.holes, self.client.holes)
        self.assertIs(self.visitor.datagram_streams("kcp"), self.client.holes)
        self.assertEqual(self.client.holes.protocols, ["kcp"])

    def test_transformed(self) -> None:
        """A leg is encrypted and compressed as the entry says, by the secret, and only then."""
        transport = VisitorTransport(use_encryption=True, use_compression=True)
        visitor = VisitorHost(self.client, VisitorCommon(name="v", transport=transport), "bob.db")
        both = ProxyTransport(use_encryption=True, use_compression=True)
        backend = BackendHost(self.client, ProxyCommon(name="web", transport=both), "alice.web")
        here, there = self.network.pair()
        self.assertIs(self.backend.transformed(here, Secret("s")), here)
        near, far = visitor.transformed(here, Secret("s")), backend.transformed(there, Secret("s"))
        received = RecordingReceiver(far)
        near.write(b"hello")
        self.network.flush()
        self.assertEqual(received.data, b"hello")

    def test_signed(self) -> None:
        """A visitor's proof is the client's."""
        self.assertEqual(self.visitor.sign(Secret("s")), ("signed by s", 1_700_000_000))

    def test_handed_over(self) -> None:
        """A user goes to the visitor that takes them instead, and is its own from then on."""
        taker = self.client.takers["other", "v"] = mock.Mock()
        leg, _ = self.network.pair()
        self.visitor.hand_over("other", leg, Origin(ALICE))
        taker.leg_accepted.assert_called_once_with(leg, Origin(ALICE))

    def test_signals_refused(self) -> None:
        """Where the server takes no signals, sending one is refused."""
        self.client.takes_signals = False
        self.assertRaises(RefusedError, self.backend.signal, {})
        self.assertRaises(RefusedError, self.visitor.signal, {})

    def test_too_few_descriptors(self) -> None:
        """That there are too few descriptors is told where they are made, not for each user again."""
        self.client.failure = OutOfDescriptors("too many open files")
        with capturedLogs() as logged:
            self.failureResultOf(self.backend.connect_local(Origin()), OutOfDescriptors)
        self.assertEqual([event["log_level"] for event in logged], [LogLevel.debug])

    def test_local(self) -> None:
        """The local service is what the configuration says."""
        self.successResultOf(self.backend.connect_local(Origin()))
        self.assertEqual(self.client.dialed, ["tcp:127.0.0.1:80"])

    def test_ports(self) -> None:
        """A visitor opens its port, of either kind, and tries again while another program has it."""
        common = VisitorCommon(name="v", bind_addr="127.0.0.5", bind_port=5300)
        for listen, opened in (
            (self.client.listen, VisitorHost.listen),
            (self.client.listen_datagrams, VisitorHost.listen_datagrams),
        ):
            acceptor: Any = object()
            visitor = VisitorHost(self.client, common, "bob.db")
            taken = listen("127.0.0.5", 5300, acceptor)
            opening = opened(visitor, acceptor)
            self.assertNoResult(opening)
            self.assertEqual(visitor.next_try, self.client.clock.seconds() + PORT_RETRY_S)
            self.assertIn("127.0.0.5:5300", visitor.reason)
            taken.close()
            self.client.clock.advance(PORT_RETRY_S)
            port = self.successResultOf(opening)
            assert port is not None
            self.assertEqual((port.address, visitor.listening), (Address("127.0.0.5", 5300),) * 2)
            self.assertEqual((visitor.reason, visitor.next_try), ("", None))

    def test_no_ports(self) -> None:
        """A visitor whose port is negative opens none, of neither kind."""
        visitor = VisitorHost(self.client, VisitorCommon(name="v", bind_port=-1), "bob.db")
        acceptor: Any = object()
        for opening in (visitor.listen(acceptor), visitor.listen_datagrams(acceptor)):
            self.assertIsNone(self.successResultOf(opening))

    def test_announced(self) -> None:
        """A local service that is to be told who the user is gets a header first, with datagrams too."""
        transport = ProxyTransport(proxy_protocol_version="v1")
        backend = BackendHost(self.client, ProxyCommon(name="web", local_port=80, transport=transport), "web")
        origin = Origin(Address("192.0.2.7", 7), Address("192.0.2.1", 80))
        self.successResultOf(backend.connect_local(origin))
        self.successResultOf(backend.open_local_datagrams(origin)).send(b"query")
        stream = RecordingReceiver(self.client.services[0])
        datagrams = RecordingDatagrams(self.client.datagram_services[0])
        self.network.flush()
        self.assertEqual(stream.data, b"PROXY TCP4 192.0.2.7 192.0.2.1 7 80\r\n")
        self.assertEqual(datagrams.got, [b"PROXY UNKNOWN\r\nquery"])

    def test_not_announced(self) -> None:
        """A user whose address is none is not served, which is told with what they called themselves."""
        transport = ProxyTransport(proxy_protocol_version="v2")
        backend = BackendHost(self.client, ProxyCommon(name="web", local_port=80, transport=transport), "web")
        with capturedLogs() as logged:
            self.failureResultOf(backend.connect_local(Origin(Address("nobody", 7))), ConnectionFailed)
        self.assertEqual(
            [(event["proxy"], event["problem"], event["ended"]) for event in logged],
            [("web", "user-not-announced", "protocol-error")],
        )

    def test_visit(self) -> None:
        """A visit is opened by the session, as the visitor is configured."""
        origin = Origin(Address("192.168.0.7", 5000))
        self.visitor.open_visit(origin, Secret("k"))
        ((common, secret, user),) = self.client.visited
        self.assertEqual((common.name, secret, user), ("v", Secret("k"), origin))

    def test_visit_refused(self) -> None:
        """Why the server refused the last visit is kept until it lets one in."""
        refusals = [VisitRefusedError(RefusalCode.OTHER, "nobody is there"), ConnectionFailed("lost"), None]

        def answer(client: object, *asked: Any) -> Deferred[Any]:
            refusal = refusals.pop(0)
            return succeed(object()) if refusal is None else fail(refusal)

        self.patch(type(self.client), "open_visit", answer)
        for reason in ("nobody is there", "nobody is there", ""):
            self.visitor.open_visit(Origin(), Secret("k")).addErrback(lambda failure: None)
            self.assertEqual(self.visitor.reason, reason)

    def test_lane(self) -> None:
        """A lane is a visit in the format of the session; what has no room there is told once."""
        self.client.extensions = frozenset()
        lane = self.successResultOf(self.visitor.open_lane(Secret("k"), 1500))
        self.assertEqual([(each.name, key) for each, key, _ in self.client.visited], [("v", Secret("k"))])
        received = RecordingReceiver(self.client.servers[0])
        user = lane.open(Address("192.0.2.7", 7))
        with capturedLogs() as logged:
            self.assertEqual([user.send(bytes(size)) for size in (1501, 1502, 3)], [False, False, True])
        self.network.flush()
        self.assertEqual(len(agreed_codec(V2, ()).receive(received.data)), 1)
        self.assertEqual([event["problem"] for event in logged], ["datagram-too-large"])
        self.client.servers[0].close()
        self.network.flush()
        self.assertIs(self.successResultOf(lane.when_lost()), Ended.FINISHED)

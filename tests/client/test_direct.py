"""Tests of a client's direct paths: two clients in memory that meet through a server and punch."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest import mock

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client import direct
from relaykit.client.direct import HolePunchingService
from relaykit.client.service import RelayClient
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor
from relaykit.errors import RefusalCode, RefusedError, RendezvousFailedError, RendezvousRefusedError
from relaykit.interfaces import IDirectPath
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.paths import UdpPath
from relaykit.options import ProxyCommon, VisitorCommon
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.sansio.nat.checks import KEY_BYTES, PeerRole
from relaykit.sansio.nat.client_rendezvous import RendezvousBegun
from relaykit.sansio.nat.rendezvous_messages import KEY, EndReason
from relaykit.testing.direct_paths import MemoryPunching
from relaykit.testing.natlab import Lab
from relaykit.values import Address, ClientIdentity, Secret
from tests.client.scene import SERVICE, Machine, started
from tests.nat.direct import carry
from tests.nat.memory import MemoryNetwork, NoMapper
from tests.server.scene import Scene

SERVER = "203.0.113.2"
PORTS = (7000, 7001)


class _Session:
    """The session with the server, as far as direct paths look at it."""

    peer: Address | None = Address(SERVER, 7000)
    host: Address | None = Address("192.168.1.100", 55555)


class _Peer:
    """The server's half of a proxy type."""

    identity = ClientIdentity("run")
    takes_signals = True

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def signal(self, body: Any) -> None:
        """Hears."""
        self.heard.append(body[KEY])


class HolePunchingServiceTests(SynchronousTestCase):
    """What a client does with what its server says."""

    def setUp(self) -> None:
        self.lab = Lab(1, delay_s=0.02)
        self.lab.stun_server([Address(SERVER, port) for port in PORTS])
        self.session: _Session | None = _Session()
        self.streams: Any = None
        self.patch(direct, "lookup", lambda host, port: [Address(SERVER, port), Address("2001:db8::2", port)])

    def client(self, number: int) -> HolePunchingService:
        """A client behind a NAT."""
        nat = self.lab.nat(f"198.51.100.{number}")
        network = MemoryNetwork(self.lab.machine(f"192.168.{number}.100", behind=nat))
        network_info = NetworkInfo(
            network=network,
            opening_ttl=2,
            internet=lambda host: host.startswith("198."),
            entropy=self.lab.chance.randbytes,
            mapper=NoMapper(),
            datagram_streams=self.streams,
        )
        session: Any = lambda: self.session  # noqa: E731
        direct = HolePunchingService(self.lab.reactor, network_info, session, lambda: "relay.example")
        direct.startService()
        self.addCleanup(direct.stopService)
        return direct

    def test_punch(self) -> None:
        """Both ends ask the STUN of the server that they reached, send candidates, and have a path."""
        sent: list[tuple[int, dict[str, Any]]] = []
        found: list[Any] = []
        ends = []
        for place, role in enumerate(PeerRole):
            begun = RendezvousBegun("m", role, bytes(KEY_BYTES), Address(f"198.51.100.{place + 1}", 5), PORTS)
            paths: Any = self.client(place + 1)
            end = paths._make_session(
                begun,
                lambda candidates, other=1 - place: sent.append((other, candidates)),
                for_datagrams=True,
            )
            end.start().addCallback(found.append)
            ends.append(end)

        def carried() -> bool:
            while sent:
                place, candidates = sent.pop(0)
                ends[place].candidates_received(candidates, f"198.51.100.{2 - place}")
            return len(found) == 2

        self.assertTrue(self.lab.run(2.0, until=carried))
        for path in found:
            self.assertIsInstance(path, UdpPath)
            path.close()

    def test_unknown_name(self) -> None:
        """A server whose name cannot be looked up has fewer addresses, and the log says why."""
        self.patch(direct, "lookup", lambda host, port: "".encode("idna") + "a..b".encode("idna"))
        paths = self.client(1)
        peer: Any = _Peer()
        with capturedLogs() as logged:
            paths.make_direct_paths(peer)
        (event,) = [each for each in logged if "looked up" in each["log_format"]]
        self.assertEqual(event["server"], "relay.example")

    def test_without_session(self) -> None:
        """Without a session nobody is asked; what is known of the network is still sent."""
        self.session = None
        paths: Any = self.client(1)
        sent: list[dict[str, Any]] = []
        end = paths._make_session(
            RendezvousBegun("m", PeerRole.INITIATOR, bytes(KEY_BYTES), None, PORTS), sent.append
        )
        result = end.start()
        self.assertEqual([each["kind"] for each in sent[0]["udp"]], ["host"])
        result.cancel()
        self.failureResultOf(result, CancelledError)

    def test_who_is_asked(self) -> None:
        """A client without rendezvous asks nobody; one that has some asks once there is a session."""
        paths: Any = self.client(1)
        sockets = paths._detection.network_info().network.sockets
        paths.session_started()
        paths.network_changed()
        self.lab.run(10.0)
        self.assertEqual(sockets, [])
        session, self.session = self.session, None
        peer: Any = _Peer()
        paths.make_direct_paths(peer)
        self.assertEqual(sockets, [])
        self.session = session
        paths.session_started()
        self.lab.run(10.0)
        servers = paths._stun_servers(self.session, PORTS)
        self.assertEqual([each.host for each in servers], [SERVER, SERVER, "2001:db8::2", "2001:db8::2"])
        known = paths._detection.behavior
        self.assertIsNotNone(known)
        paths.network_changed()
        self.assertIsNone(paths._detection.behavior)
        self.lab.run(10.0)
        self.assertIsNotNone(paths._detection.behavior)

    def test_streams(self) -> None:
        """The port of the control connection is a candidate for TCP, as the server sees it."""
        paths: Any = self.client(1)
        seen_as = Address("198.51.100.1", 4444)
        sent: list[dict[str, Any]] = []
        paths._make_session(
            RendezvousBegun("m", PeerRole.INITIATOR, bytes(KEY_BYTES), seen_as, PORTS), sent.append
        ).start()
        self.lab.run(2.0, until=lambda: bool(sent))
        streams = [(each["kind"], each["address"]["port"]) for each in sent[0]["tcp"]]
        self.assertEqual(streams, [("reflexive", 4444), ("host", 55555)])

    def test_protocols(self) -> None:
        """A path of UDP is wanted where something makes streams of it, or datagrams will do."""
        for streams, for_datagrams, wanted in (
            (None, False, ["tcp"]),
            (None, True, ["udp", "tcp"]),
            (object(), False, ["udp", "tcp"]),
        ):
            paths: Any = self.client(1)
            paths._detection._info = evolve(paths._detection._info, datagram_streams=streams)
            sent: list[dict[str, Any]] = []
            begun = RendezvousBegun("m", PeerRole.INITIATOR, bytes(KEY_BYTES), None, PORTS)
            paths._make_session(begun, sent.append, for_datagrams).start()
            self.lab.run(2.0, until=partial(bool, sent))
            self.assertEqual(list(sent[0]["protocols"]), wanted)

    def test_loaded_ahead(self) -> None:
        """What makes streams of paths of UDP is loaded for who says that it will be needed."""
        peer: Any = _Peer()
        self.client(1).make_direct_paths(peer).prepare(PeerRole.INITIATOR)
        streams = self.streams = mock.Mock()
        paths = self.client(2).make_direct_paths(peer)
        streams.prepare.assert_not_called()
        paths.prepare(PeerRole.RESPONDER)
        streams.prepare.assert_called_once_with(PeerRole.RESPONDER)

    def test_stop(self) -> None:
        """When it stops, all rendezvous of all halves end."""
        paths = self.client(1)
        peer: Any = _Peer()
        called = paths.make_direct_paths(peer).call(Secret("s"))
        paths.stopService()
        self.failureResultOf(called, CancelledError)
        self.assertEqual([each["do"] for each in peer.heard], ["request", "end"])


class RendezvousTests(SynchronousTestCase):
    """Two clients and a server that speak as they do over a network; what punches is in memory."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.paths: dict[bytes, IDirectPath] = {}
        self.patch(HolePunchingService, "_make_session", self.make_session)
        self.patch(HolePunchingService, "session_started", lambda direct: None)

    def make_session(self, begun: RendezvousBegun, send_candidates: Any, _: bool) -> MemoryPunching:
        """What punches."""
        return MemoryPunching(begun.role, begun.key, send_candidates, None, self.paths)

    def meet(self, **settings: Any) -> tuple[RelayClient, Any, Any]:
        """A client with a proxy, its backend, and the visitor of another client."""
        options = StcpOptions(secret_key=Secret("k"))
        registered = ConfiguredProxy(ProxyCommon(name="p", type="direct", local=SERVICE), options, "direct")
        answering = started(Machine(self.scene), registered)
        common = VisitorCommon(name="v", type="direct", server_name="p", bind_port=-1)
        visiting = ConfiguredVisitor(common, StcpVisitorOptions(secret_key=Secret("k")), "direct")
        calling = started(Machine(self.scene), visiting, **settings)
        return answering, answering.backend("p"), calling.visitor("v")

    def test_path(self) -> None:
        """A call crosses both control connections, and both ends have the path."""
        _, backend, visitor = self.meet()
        called = visitor.call()
        self.scene.flush()
        here = self.successResultOf(called)
        heard = Deferred.fromCoroutine(carry(here, backend.paths[0], b"hello", Secret("k")))
        self.assertEqual((self.successResultOf(heard), here.role), (b"hello", PeerRole.INITIATOR))
        self.assertEqual(len(self.scene.rendezvous_points._core), 0)

    def test_older_wire(self) -> None:
        """Over the older version of the wire there are no rendezvous, which is told at once."""
        _, _, visitor = self.meet(wire_protocol="v1")
        refusal = self.failureResultOf(visitor.call(), RefusedError).value
        self.assertIs(refusal.code, RefusalCode.NOT_AVAILABLE)

    def test_refused(self) -> None:
        """The server's rules are those of visits."""
        _, _, visitor = self.meet()
        called = visitor.host.direct_paths.call(Secret("another"))
        self.scene.flush()
        self.assertIs(
            self.failureResultOf(called, RendezvousRefusedError).value.code, RefusalCode.BAD_CREDENTIALS
        )

    def test_responder_is_gone(self) -> None:
        """When the responder's client stops, the initiator is told, and the server keeps nothing."""
        answering, backend, visitor = self.meet()
        self.patch(backend, "signal_received", _ignore)
        called = visitor.call()
        self.scene.flush()
        self.assertNoResult(called)
        answering.stopService()
        self.scene.flush()
        self.assertIs(self.failureResultOf(called, RendezvousFailedError).value.reason, EndReason.GONE)
        self.assertEqual(len(self.scene.rendezvous_points._core), 0)

    def test_cancelled(self) -> None:
        """An initiator that gives up ends the rendezvous at the server."""
        _, backend, visitor = self.meet()
        self.patch(backend, "signal_received", _ignore)
        called = visitor.call()
        self.scene.flush()
        self.assertEqual(len(self.scene.rendezvous_points._core), 1)
        called.cancel()
        self.failureResultOf(called, CancelledError)
        self.scene.flush()
        self.assertEqual(len(self.scene.rendezvous_points._core), 0)


async def _ignore(sender: Any, body: Any) -> None:
    """Takes a signal and does nothing."""

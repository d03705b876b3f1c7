"""A client in memory, before the server of :mod:`tests.server.scene`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed

from relaykit.client.heartbeats import keepalive_of
from relaykit.client.network import Network
from relaykit.client.paths import Route
from relaykit.client.service import RelayClient
from relaykit.client.type_messages import HalfMessages
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor, LoadedClient
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport, VirtualNet
from relaykit.config.schema.auth import ClientAuth
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.listening import PortInUse
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.dataplane.virtual_network import VirtualNetwork
from relaykit.errors import ConnectionFailed, VirtualNetworkError
from relaykit.interfaces import IDatagramLeg, IListeningPort, IProver, IStreamLeg
from relaykit.nat.network_info import NetworkInfo
from relaykit.options import ProxyCommon, VisitorCommon
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.state import StateDirectory
from relaykit.testing.holes import MemoryHoles
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.ports import MemoryPorts
from relaykit.values import Secret
from tests.dataplane.fakes import FakeTun
from tests.server.scene import TOKEN, TYPES, Scene


def no_messages() -> HalfMessages:
    """What a client without sessions has of the messages of proxy types."""
    return HalfMessages(lambda type_name: (), lambda: "run")


SERVICE = "tcp:127.0.0.1:80"
"""The endpoint string of the local service."""


_TLS = ClientTls()


class Machine:
    """The machine that a client runs on: its local services, its ports, its way to the server."""

    def __init__(self, scene: Scene, muxed: bool = True, tls: bool = False) -> None:
        self.scene = scene
        self.tls = tls
        self.muxed = muxed
        self.others: dict[str, Scene] = {}
        """Further servers, by their hosts."""
        self.reachable = True
        self.answered = True
        """Whether the server, if it is reachable, answers; if not, whoever dials it waits for ever."""
        self.dialed = 0
        self.connections: list[MemoryLeg] = []
        self.services: dict[str, list[MemoryLeg]] = {SERVICE: []}
        self.ports = MemoryPorts(scene.network)
        self.taken: set[int] = set()
        self.pinned = ""
        """The one certificate that the server may have; empty for any."""
        self.moved = False
        """Whether its connections to the server can only come from another address than before."""
        self.devices: list[tuple[str, FakeTun]] = []
        """Those of virtual networks that were made, with their addresses."""
        self.no_device = ""
        """Why there can be none."""
        nothing: Any = None
        self.network_info = NetworkInfo(network=nothing)
        """What direct paths are made through, which few tests need."""
        self.network_changed: Callable[[str], None] = lambda reason: None
        """Tells the client that the way to the server may be another one."""

    def make_network(self, config: ClientConfig, reactor: Any) -> Network:
        """What :class:`RelayClient` takes for the network."""
        holes = MemoryHoles(self.scene.network)
        return Network(
            self._make_route,
            lambda endpoint, origin, announce: self._dial(endpoint),
            self._dial_datagrams,
            self._listen,
            self.ports.listen_datagrams,
            DataPlane([CopyForwarder()], self.scene.network),
            self._watch,
            self.network_info,
            lambda clock, network_info, stun_server: holes,
            holes.streams,
            VirtualNetwork(self.scene.network, self._open_device),
            lambda host, peer: self.moved,
        )

    def _open_device(self, poller: object, own: object) -> Any:
        if self.no_device:
            raise VirtualNetworkError(self.no_device)
        self.devices.append((str(own), FakeTun()))
        return self.devices[-1][1]

    def _make_route(self, config: ClientConfig) -> Route:
        return Route(
            lambda: self._connect(config),
            self.muxed,
            self.scene.network,
            self.scene.clock,
            keepalive_of(config.transport),
        )

    def user(self, port: int) -> tuple[MemoryLeg, RecordingReceiver]:
        """A local user's connection to a visitor's port."""
        near = self.ports.dial(port)
        receiver = RecordingReceiver(near)
        self.scene.flush()
        return near, receiver

    def _watch(self, on_change: Callable[[str], None]) -> Service:
        self.network_changed = on_change
        return Service()

    def _connect(self, config: ClientConfig) -> Deferred[Any]:
        self.dialed += 1
        scene = self.others.get(config.server_addr, self.scene)
        if not self.reachable:
            return fail(ConnectionFailed("cannot connect to the server: there is no network"))
        if not self.answered:
            return Deferred()
        leg = scene.accept()
        self.connections.append(leg)
        if self.tls:
            return start_tls(
                self.scene.network, leg, client_context(fingerprint=self.pinned), server_side=False
            )
        return succeed(leg)

    def _dial(self, endpoint: str) -> Deferred[IStreamLeg]:
        if endpoint not in self.services:
            return fail(ConnectionFailed(f"cannot connect to {endpoint}: connection refused"))
        near, far = self.scene.network.pair()
        self.services[endpoint].append(far)
        return succeed(near)

    def _dial_datagrams(self, endpoint: str) -> Deferred[IDatagramLeg]:
        return fail(ConnectionFailed(f"cannot reach {endpoint}: no way there"))

    def _listen(self, host: str, port: int, acceptor: Any) -> IListeningPort:
        if port in self.taken:
            raise PortInUse(f"cannot listen on {host}:{port}: another program listens there")
        return self.ports.listen(host, port, acceptor)


def tcp_proxy(name: str = "web", port: int = 6000, **common: Any) -> ConfiguredProxy:
    """A ``tcp`` proxy."""
    return ConfiguredProxy(
        ProxyCommon(name=name, type="tcp", local=common.pop("local", SERVICE), **common),
        TcpOptions(remote_port=port),
        "tcp",
    )


def stcp_proxy(name: str = "db", key: str = "k") -> ConfiguredProxy:
    """An ``stcp`` proxy."""
    common = ProxyCommon(name=name, type="stcp", local=SERVICE)
    return ConfiguredProxy(common, StcpOptions(secret_key=Secret(key)), "stcp")


def stcp_visitor(name: str = "v", key: str = "k", bind_port: int = 7000, **common: Any) -> ConfiguredVisitor:
    """A visitor of the ``stcp`` proxy ``db``."""
    return ConfiguredVisitor(
        VisitorCommon(name=name, type="stcp", server_name="db", bind_port=bind_port, **common),
        StcpVisitorOptions(secret_key=Secret(key)),
        "stcp",
    )


def make_client(
    machine: Machine,
    *configured: ConfiguredProxy | ConfiguredVisitor,
    token: Secret = TOKEN,
    user: str = "",
    wire_protocol: str = "auto",
    login_fail_exit: bool | None = None,
    pool_count: int = 1,
    bound: str = "prefer",
    tls: ClientTls = _TLS,
    state: StateDirectory | None = None,
    prover: IProver | None = None,
    virtual_net: str = "",
) -> RelayClient:
    """A client that is not started."""
    config = ClientConfig(
        user=user,
        auth=ClientAuth(bound=bound),
        server_addr="relay.example",
        login_fail_exit=login_fail_exit,
        transport=ClientTransport(
            tcp_mux=machine.muxed, wire_protocol=wire_protocol, pool_count=pool_count, tls=tls
        ),
        virtual_net=VirtualNet(address=virtual_net),
    )
    loaded = LoadedClient(
        config,
        tuple(each for each in configured if isinstance(each, ConfiguredProxy)),
        tuple(each for each in configured if isinstance(each, ConfiguredVisitor)),
        (),
    )
    return RelayClient(loaded, token, TYPES, machine.scene.clock, state, machine.make_network, prover)


def started(machine: Machine, *configured: Any, **settings: Any) -> RelayClient:
    """A client that is started and logged in."""
    client = make_client(machine, *configured, **settings)
    client.startService()
    machine.scene.flush()
    return client

"""A real relay server and two real clients behind routers: one visits a service of the other directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from relaykit.client.network import Network, make_network
from relaykit.client.paths import Route
from relaykit.client.service import RelayClient
from relaykit.client.status import RegistrationState
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor, LoadedClient
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.nat.network_info import NetworkInfo
from relaykit.options import ProxyCommon, VisitorCommon
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.proxies.sudp.options import SudpOptions, SudpVisitorOptions
from relaykit.proxies.xtcp.options import XtcpOptions, XtcpVisitorOptions
from relaykit.server.service import RelayServer
from relaykit.values import Secret
from tests.nat.memory import NoMapper
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered, within
from tests.natlab.relay import all_closed
from tests.natlab.rendezvous import network_info

__all__ = ["PAGE", "DatagramPair", "DirectPair"]

PAGE = b"directly, " * 100_000
"""What the web server serves: a megabyte."""

_TYPES = ProxyTypes.from_references(
    [ProxyTypeReference(name, f"relaykit.proxies.{name}") for name in ("sudp", "xtcp")]
)
_TOKEN = Secret("a token")
_SECRET = Secret("a secret that the server does not know")
_WEB_PORT, _VISITOR_PORT = 8080, 5432
_POLL_S = 0.01
_ASK_AGAIN_S = 0.5
_MOST_BYTES = 65_507

_reactor: Any = reactor


@frozen
class DirectPair:
    """The server, the client with the web server on ``cb``, and the visitor's client on ``ca``."""

    lab: NatLab
    with_quic: bool = True
    _cleanups: list[Callable[[], Any]] = field(factory=list)
    _made: dict[str, Any] = field(factory=dict)

    async def begin(self) -> None:
        """Starts everything, and waits until the proxy is registered."""
        before = set(_reactor.getReaders())
        self._cleanups.append(lambda: Deferred.fromCoroutine(all_closed(before)))
        with entered(self.lab.space("s")):
            server = RelayServer(ServerConfig(bind_addr="0.0.0.0", bind_port=7000), _TOKEN, _TYPES, _reactor)
            server.startService()
        self._cleanups.append(server.stopService)
        await server.when_ready()
        self._made["server"] = server
        with entered(self.lab.space("cb")):
            port = self.serve()
        self._cleanups.append(port.stopListening)
        proxy, visitor = self.entries()
        owner = await self._client("cb", proxy)
        while owner.status().proxies[0].state is not RegistrationState.RUNNING:
            await deferLater(_reactor, _POLL_S)
        self._made["visitor"] = await self._client("ca", visitor)

    def serve(self) -> Any:
        """Starts the web server; answers its port."""
        root = Resource()
        root.putChild(b"page", Data(PAGE, "text/plain"))
        return _reactor.listenTCP(_WEB_PORT, Site(root), interface="127.0.0.1")

    def entries(self) -> tuple[ConfiguredProxy, ConfiguredVisitor]:
        """The proxy, and the visitor."""
        common = ProxyCommon(name="web", type="xtcp", local_port=_WEB_PORT)
        options = XtcpOptions(secret_key=_SECRET, peers="relaykit")
        visiting = VisitorCommon(name="v", type="xtcp", server_name="web", bind_port=_VISITOR_PORT)
        made = XtcpVisitorOptions(secret_key=_SECRET, peers="relaykit")
        return ConfiguredProxy(common, options, "xtcp"), ConfiguredVisitor(visiting, made, "xtcp")

    async def end(self) -> None:
        """Stops everything."""
        for each in reversed(self._cleanups):
            await maybeDeferred(each)

    async def fetch(self) -> bytes:
        """What curl gets at the visitor's port, on the visitor's machine."""
        url = f"http://127.0.0.1:{_VISITOR_PORT}/page"
        command = [*within(self.lab.space("ca")), "curl", "--silent", "--show-error", "--max-time", "60", url]
        output, errors, code = await getProcessOutputAndValue(
            command[0], command[1:], env=None, reactor=_reactor
        )
        assert code == 0, errors
        return bytes(output)

    @property
    def way(self) -> str:
        """How the visitor says that its users go."""
        return str(self._made["visitor"].status().visitors[0].way)

    @property
    def relayed(self) -> int:
        """Bytes of users that the server has carried."""
        flows = self._made["server"].status().flows
        return int(flows.near_to_far + flows.far_to_near)

    async def _client(self, role: str, configured: ConfiguredProxy | ConfiguredVisitor) -> RelayClient:
        around = network_info(self.lab, role)
        space = self.lab.space(role)

        def network(config: ClientConfig, reactor: Any) -> Network:
            made = make_network(config, reactor)
            route = made.make_route(config)
            assert isinstance(route, Route), "a carrier without streams of its own"
            return evolve(
                made,
                make_route=lambda config: evolve(route, connect=_in(space, route._connect)),
                dial=_in(space, made.dial),
                dial_datagrams=_in(space, made.dial_datagrams),
                listen=_in(space, made.listen),
                listen_datagrams=_in(space, made.listen_datagrams),
                network_info=self._info(around, made.network_info),
            )

        loaded = LoadedClient(
            ClientConfig(server_addr=SERVER[0], server_port=7000),
            (configured,) if isinstance(configured, ConfiguredProxy) else (),
            (configured,) if isinstance(configured, ConfiguredVisitor) else (),
            (),
        )
        client = RelayClient(loaded, _TOKEN, _TYPES, _reactor, make_network=network)
        client.startService()
        self._cleanups.append(client.stopService)
        await client.when_first_login()
        return client

    def _info(self, around: NetworkInfo, made: NetworkInfo) -> NetworkInfo:
        """Seconds after its start a client knows that its router maps no ports; here that is now."""
        return evolve(
            around,
            mapper=NoMapper(),
            stream_opener=made.stream_opener,
            datagram_streams=made.datagram_streams if self.with_quic else None,
        )


class DatagramPair(DirectPair):
    """The same with a service that sends datagrams back, by ``sudp``."""

    def serve(self) -> Any:
        """Starts the service."""
        self._made["echo"] = _Echo()
        return _reactor.listenUDP(_WEB_PORT, self._made["echo"], "127.0.0.1", _MOST_BYTES)

    def entries(self) -> tuple[ConfiguredProxy, ConfiguredVisitor]:
        """The proxy, and the visitor."""
        common = ProxyCommon(name="echo", type="sudp", local_port=_WEB_PORT)
        visiting = VisitorCommon(name="v", type="sudp", server_name="echo", bind_port=_VISITOR_PORT)
        return (
            ConfiguredProxy(common, SudpOptions(secret_key=_SECRET, direct=True), "sudp"),
            ConfiguredVisitor(visiting, SudpVisitorOptions(secret_key=_SECRET, direct=True), "sudp"),
        )

    @property
    def sources(self) -> set[Any]:
        """Where the service's datagrams came from."""
        sources: set[Any] = self._made["echo"].sources
        return sources

    def user(self) -> DatagramAsker:
        """Somebody on the visitor's machine, at the visitor's port."""
        asker = DatagramAsker()
        with entered(self.lab.space("ca")):
            port = _reactor.listenUDP(0, asker, "127.0.0.1", _MOST_BYTES)
        self._cleanups.append(port.stopListening)
        return asker


class _Echo(DatagramProtocol):
    """Sends datagrams back."""

    def __init__(self) -> None:
        self.sources: set[Any] = set()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.sources.add(addr)
        assert self.transport is not None
        self.transport.write(datagram, addr)


class DatagramAsker(DatagramProtocol):
    """A user who asks until there is an answer, as whoever uses UDP must."""

    def __init__(self) -> None:
        self._wanted = b""
        self._answer: Deferred[None] | None = None

    async def ask(self, data: bytes) -> None:
        """Returns once the answer is there."""
        self._wanted = data
        assert self.transport is not None
        while True:
            answer = self._answer = Deferred()
            self.transport.write(data, ("127.0.0.1", _VISITOR_PORT))
            try:
                await answer.addTimeout(_ASK_AGAIN_S, _reactor)
            except TimeoutError:
                continue
            return

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        answer, self._answer = self._answer, None
        if datagram == self._wanted and answer is not None:
            answer.callback(None)
        else:
            self._answer = answer


def _in(space: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which makes its sockets in a namespace."""

    def there(*arguments: Any) -> Any:
        with entered(space):
            return function(*arguments)

    return there

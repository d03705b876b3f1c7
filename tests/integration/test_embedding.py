"""A server and a client inside of a process that lives longer than they do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from twisted.application.service import Service as ApplicationService
from twisted.internet import reactor as installed_reactor
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface import implementer

from relaykit.client.service import RelayClient
from relaykit.config.load import client_from_table, server_from_table
from relaykit.dataplane.poller import Poller
from relaykit.interfaces import IExposure, IIngress
from relaykit.options import Options
from relaykit.plugins import ProxyTypes
from relaykit.sansio.parsers.recognizing import Opening
from relaykit.server.service import RelayServer
from relaykit.values import Origin, Secret
from tests.integration.programs import PATIENCE_S, free_port, free_ports
from tests.integration.traffic import LOOPBACK, Service, obey, order_download

reactor: Any = installed_reactor

TYPES = ProxyTypes.installed()
BULK_BYTES = 4 * 1024 * 1024
LOOK_EVERY_S = 0.01


def descriptors() -> set[str]:
    """The descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


@implementer(IAgentEndpointFactory)
class Through:
    """Reaches every host by the work connections of a proxy."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        """The same for all."""
        endpoint: IStreamClientEndpoint = self.proxy.endpoint(Origin())
        return endpoint


@implementer(IIngress)
class Entrance(ApplicationService):
    """Serves a page to whoever speaks HTTP to the bind port."""

    def __init__(self, host: Any, port: int) -> None:
        page = Data(b"a page", "text/plain")
        page.isLeaf = True
        acceptor = host.data_plane.protocol_acceptor(Site(page))
        self.part = host.ports.share_stream(port, acceptor, "pagesPort", Opening(b"GET "))

    async def expose(self, proxy: Any) -> IExposure:
        """Nobody asks for that."""
        raise NotImplementedError


class Pages:
    """The installed types, and one of web pages on this port."""

    name = "pages"

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, name: str) -> Any:
        """A type by its name."""
        return self if name == self.name else TYPES.get(name)

    def __iter__(self) -> Iterator[Any]:
        """What names the installed types."""
        return iter(TYPES)

    def make_ingress(self, options: Options, host: Any) -> Entrance:
        """The entrance."""
        return Entrance(host, self.port)


class EmbeddingTests(TestCase):
    """Tests with both roles in this process."""

    timeout = 600

    def setUp(self) -> None:
        if not os.path.isdir("/proc/self/fd"):
            raise SkipTest("this platform does not tell which descriptors a process has")
        self.service = Service(obey)
        self.addCleanup(self.service.stop)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once the condition holds."""
        deadline = reactor.seconds() + PATIENCE_S
        while not condition():
            assert reactor.seconds() < deadline, "what was waited for has not come"
            await deferLater(reactor, LOOK_EVERY_S)

    async def serve_once(self, mux: bool, bind_port: int, remote_port: int) -> None:
        """Starts both on these ports, downloads through them, stops both."""
        server, client, _ = await self.start(mux, self.service.port, bind_port, remote_port=remote_port)
        await deferToThread(order_download, remote_port, BULK_BYTES)
        await self.stop(server, client)

    async def stop(self, server: RelayServer, client: RelayClient) -> None:
        """Stops both, and returns when the last leg that lingered is gone, too."""
        await client.stopService()
        await server.stopService()
        await self.until(lambda: not any(isinstance(each, Poller) for each in reactor.getReaders()))

    async def start(
        self,
        mux: bool,
        local_port: int,
        bind_port: int = 0,
        types: Any = TYPES,
        options: Mapping[str, Options] = MappingProxyType({}),
        remote_port: int = 0,
    ) -> tuple[Any, RelayClient, int]:
        """A server and a client that publishes a local port there, and the port of its users.

        ``options`` are those of the proxy types that start with the server, which ``types`` has.
        """
        bind_port, remote_port = bind_port or free_port(), remote_port or free_port()
        transport = {"tcpMux": mux}
        table: dict[str, Any] = {
            "bindAddr": LOOPBACK,
            "bindPort": bind_port,
            "auth": {"token": "t"},
            "transport": transport,
        }
        config = server_from_table(table, types=TYPES).config
        server = RelayServer(config, Secret("t"), types, reactor, None, options)
        server.startService()
        proxy = {"name": "a", "type": "tcp", "localPort": local_port, "remotePort": remote_port}
        table = {
            "serverAddr": LOOPBACK,
            "serverPort": bind_port,
            "transport": {**transport, "tls": {"enable": mux}},
            "proxies": [proxy],
        }
        loaded = client_from_table(table, types=TYPES, environ={})
        client = RelayClient(loaded, Secret("t"), TYPES, reactor)
        client.startService()
        await self.until(lambda: any(each.address for each in client.status().proxies))
        return server, client, remote_port

    async def test_protocol_over_a_work_connection(self) -> None:
        """A Twisted client on the server speaks with a Twisted server behind the client, by a work leg."""
        page = Data(b"hello " * 100_000, "text/plain")
        page.isLeaf = True
        site = reactor.listenTCP(0, Site(page), interface=LOOPBACK)
        self.addCleanup(site.stopListening)
        for mux in (False, True):
            server, client, _ = await self.start(mux, site.getHost().port)
            (proxy,) = server._parts.registry
            pool = HTTPConnectionPool(reactor, persistent=False)
            agent = Agent.usingEndpointFactory(reactor, Through(proxy), pool)
            response = await agent.request(b"GET", b"http://behind.the.client.example/")
            self.assertEqual(await readBody(response), b"hello " * 100_000)
            await self.stop(server, client)

    async def test_shared_bind_port(self) -> None:
        """A proxy type may serve web users on the bind port, where clients go on to log in."""
        port = free_port()
        pages = Pages(port)
        server, client, remote_port = await self.start(
            True, self.service.port, port, pages, {"pages": Options()}
        )
        agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        for _ in range(2):
            response = await agent.request(b"GET", b"http://%s:%d/" % (LOOPBACK.encode(), port))
            self.assertEqual(await readBody(response), b"a page")
        await deferToThread(order_download, remote_port, BULK_BYTES)
        await self.stop(server, client)

    async def test_descriptors(self) -> None:
        """Whoever starts and stops them again and again has the descriptors afterwards that it had before."""
        # All at once: a test process holds a socket for each block of ports that it has.
        ports = iter(free_ports(12))
        for mux in (False, True):
            await self.serve_once(mux, next(ports), next(ports))
        before = descriptors()
        for mux in (False, True, False, True):
            await self.serve_once(mux, next(ports), next(ports))
        await self.until(lambda: len(descriptors()) <= len(before))

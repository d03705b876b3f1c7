"""The real relay server of a laboratory, and real clients on its machines, in one process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from relaykit.client.network import Network, make_network
from relaykit.client.paths import Route
from relaykit.client.service import RelayClient
from relaykit.client.status import RegistrationState
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor, LoadedClient
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.dataplane.poller import EpollPoller
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.sockets import UdpSocket
from relaykit.options import ProxyCommon, VisitorCommon
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.server.service import RelayServer
from relaykit.values import Secret
from tests.nat.direct import DirectBackend, DirectVisitor
from tests.nat.memory import NoMapper
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered
from tests.natlab.rendezvous import Result, network_info

__all__ = ["RelayRendezvous", "all_closed"]

_TYPES = ProxyTypes.from_references([ProxyTypeReference("direct", "tests.nat.direct")])
_TOKEN = Secret("a token")
_SECRET = Secret("a secret")

_POLL_S = 0.01
_LOOKS = 12_000
"""Two minutes' worth, on a machine that is busy or stands still; what is closed lingers for two seconds."""

_reactor: Any = reactor


@frozen
class RelayRendezvous:
    """A relay server, and two clients that meet through it as often as one likes.

    It has ended once the last of its connections is closed at both ends.
    """

    lab: NatLab
    _cleanups: list[Callable[[], Any]] = field(factory=list)

    async def begin(self) -> None:
        """Starts the server."""
        before = set(_reactor.getReaders())
        self._cleanups.append(lambda: Deferred.fromCoroutine(all_closed(before)))
        config = ServerConfig(bind_addr="0.0.0.0", bind_port=7000)
        server = RelayServer(config, _TOKEN, _TYPES, _reactor)
        with entered(self.lab.space("s")):
            server.startService()
        self._cleanups.append(server.stopService)
        await server.when_ready()

    async def end(self) -> None:
        """Stops everything."""
        for each in reversed(self._cleanups):
            await maybeDeferred(each)

    async def punch(
        self,
        roles: tuple[str, str] = ("ca", "cb"),
        around: tuple[NetworkInfo, NetworkInfo] | None = None,
    ) -> Result:
        """Two new clients; the first one's visitor calls the second one's proxy.

        The time is measured from the visitor's wish until both ends have the path.
        """
        around = around or (network_info(self.lab, roles[0]), network_info(self.lab, roles[1]))
        common = VisitorCommon(name="v", type="direct", server_name="p", bind_port=-1)
        options = StcpVisitorOptions(secret_key=_SECRET)
        calling = self._client(roles[0], around[0], ConfiguredVisitor(common, options, "direct"))
        registered = ProxyCommon(name="p", type="direct", local_port=1)
        answering = self._client(
            roles[1], around[1], ConfiguredProxy(registered, StcpOptions(secret_key=_SECRET), "direct")
        )
        for client in (answering, calling):
            client.startService()
            await client.when_first_login()
        visitor: Any = calling.visitor("v")
        backend: Any = answering.backend("p")
        while answering.status().proxies[0].state is not RegistrationState.RUNNING:
            await deferLater(_reactor, _POLL_S)
        try:
            return await _meet(visitor, backend)
        finally:
            for client in (calling, answering):
                await maybeDeferred(client.stopService)

    def _client(
        self, role: str, around: NetworkInfo, configured: ConfiguredProxy | ConfiguredVisitor
    ) -> RelayClient:
        space = self.lab.space(role)

        def network(config: ClientConfig, reactor: Any) -> Network:
            made = make_network(config, reactor)
            made_route = made.make_route(config)
            assert isinstance(made_route, Route), "a carrier without streams of its own"
            connect = made_route._connect

            def connect_there() -> Deferred[Any]:
                with entered(space):
                    return connect()

            route = evolve(made_route, connect=connect_there)
            # Seconds after its start a client knows that its router maps no ports; here that is now.
            return evolve(
                made,
                make_route=lambda config: route,
                network_info=evolve(around, mapper=NoMapper(), stream_opener=made.network_info.stream_opener),
            )

        config = ClientConfig(server_addr=SERVER[0], server_port=7000)
        loaded = LoadedClient(
            config,
            (configured,) if isinstance(configured, ConfiguredProxy) else (),
            (configured,) if isinstance(configured, ConfiguredVisitor) else (),
            (),
        )
        return RelayClient(loaded, _TOKEN, _TYPES, _reactor, make_network=network)


async def _meet(visitor: DirectVisitor, backend: DirectBackend) -> Result:
    began = reactor.seconds()
    called, answered = visitor.call(), backend.next_path()
    called.addErrback(partial(_cancel, answered))
    outcome = await DeferredList([called, answered], consumeErrors=True)
    seconds = reactor.seconds() - began
    return Result(outcome[0][1], outcome[1][1], seconds, seconds)


async def all_closed(before: set[Any]) -> None:
    """Waits until every new poller watches nothing any more, and every new UDP socket is closed.

    That takes the lingering of legs at most, or what QUIC takes to end.
    """
    for _ in range(_LOOKS):
        left = (each for each in _reactor.getReaders() if each not in before)
        if not any(isinstance(each, (EpollPoller, UdpSocket)) for each in left):
            return
        await deferLater(_reactor, _POLL_S)
    raise AssertionError("connections are left open")


def _cancel(other: Deferred[Any], why: Failure) -> Failure:
    other.cancel()
    return why

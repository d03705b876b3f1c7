"""Two machines of the laboratory that meet through its server and make a path."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from relaykit.carriers.direct import streams_over_socket
from relaykit.dataplane.poller import make_poller
from relaykit.interfaces import IDirectPath
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.paths import TcpPath, UdpPath
from relaykit.nat.server import StunService
from relaykit.nat.session import HolePunchingSession
from relaykit.nat.sockets import share_port
from relaykit.sansio.nat.behavior import Filtering, NatBehavior, PortAllocation, Ports
from relaykit.sansio.nat.checks import PeerRole
from relaykit.values import Address, Ended
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered

__all__ = ["STUN", "Rendezvous", "Result", "known", "network_info"]

STUN = [Address(host, port) for host in SERVER for port in (3478, 3479)]

_CONTROL_PORT = 7000

_PATIENCE_S = 180.0
"""How long a control connection may take to stand."""

_reactor: Any = reactor


@define
class _Server:
    """Who is connected, and what was said while nobody else was: an end may believe that it is connected
    before the server does.
    """

    here: list[_Forwarding] = field(factory=list)
    kept: list[bytes] = field(factory=list)


class _Forwarding(LineReceiver):
    """Half of a rendezvous: what one end says, the other hears."""

    delimiter = b"\n"
    MAX_LENGTH = 65536

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        peer: Any = self.transport.getPeer()
        self.sendLine(json.dumps({"host": peer.host, "port": peer.port}).encode())
        if self._server.here:
            for line in self._server.kept:
                self.sendLine(line)
            self._server.kept.clear()
        self._server.here.append(self)

    def lineReceived(self, line: bytes) -> None:
        others = [each for each in self._server.here if each is not self]
        for each in others:
            each.sendLine(line)
        if not others:
            self._server.kept.append(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.here.remove(self)
        self.lost.callback(None)


class _Control(LineReceiver):
    """A control connection; the first line tells where it is seen to come from."""

    delimiter = b"\n"
    MAX_LENGTH = 65536

    def __init__(self) -> None:
        self.seen_as: Deferred[Address] = Deferred()
        self.on_candidates: Callable[[object], None] | None = None
        self.lost: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        said = json.loads(line)
        if not self.seen_as.called:
            self.seen_as.callback(Address(said["host"], said["port"]))
        elif self.on_candidates is not None:
            self.on_candidates(said)

    def send_candidates(self, candidates: dict[str, object]) -> None:
        """Sends candidates to the other end."""
        self.sendLine(json.dumps(candidates).encode())

    def close(self) -> Deferred[None]:
        """Ends the connection; fires once it is gone."""
        assert self.transport is not None
        self.transport.loseConnection()
        return self.lost

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


def known(kind: str) -> NatBehavior:
    """What a thorough discovery would have found of a kind: filters and blocks."""
    name = kind.partition("+")[0]
    filtering = {
        "none": Filtering.ENDPOINT_INDEPENDENT,
        "full": Filtering.ENDPOINT_INDEPENDENT,
        "fullshift": Filtering.ENDPOINT_INDEPENDENT,
        "addr": Filtering.ADDRESS_DEPENDENT,
    }.get(name, Filtering.ADDRESS_AND_PORT_DEPENDENT)
    ports = {
        "symseq": Ports(PortAllocation.STEPPED, step=1),
        "symblk": Ports(PortAllocation.BLOCK, low=20480, high=21503),
        "blk64": Ports(PortAllocation.BLOCK, low=20480, high=20543),
        **dict.fromkeys(("none", "fw", "full", "addr", "port", "presym"), Ports(PortAllocation.PRESERVED)),
    }.get(name, Ports(PortAllocation.RANDOM))
    return NatBehavior(udp_works=True, filtering=filtering, ports=ports)


def network_info(lab: NatLab, role: str, **more: Any) -> NetworkInfo:
    """A machine's network_info; the laboratory's Internet is one router deep."""
    opener = partial(streams_over_socket, make_poller(_reactor))
    usual = {"stun_servers": STUN, "opening_ttl": 2, "stream_opener": opener}
    return NetworkInfo(network=lab.network(role, reactor), **{**usual, **more})


@frozen
class Result:
    """How a rendezvous ended: the paths of both ends, or why there are none."""

    initiator: IDirectPath | Failure
    responder: IDirectPath | Failure
    seconds: float
    """From the moment when the later end had the other's first candidates."""
    total_s: float

    @property
    def worked(self) -> bool:
        """Whether both ends have a path."""
        return not isinstance(self.initiator, Failure) and not isinstance(self.responder, Failure)

    @property
    def paths(self) -> Sequence[UdpPath]:
        """The paths of UDP there are."""
        return [end for end in (self.initiator, self.responder) if isinstance(end, UdpPath)]

    @property
    def streams(self) -> Sequence[TcpPath]:
        """The paths of TCP there are."""
        return [end for end in (self.initiator, self.responder) if isinstance(end, TcpPath)]

    def close(self) -> Deferred[list[Ended]]:
        """Closes all paths; fires once they are gone."""
        paths = (*self.paths, *self.streams)
        lost = gatherResults([path.when_lost() for path in paths])
        for path in paths:
            path.close()
        return lost


@frozen
class Rendezvous:
    """The server of a laboratory, and two machines that meet through it, as often as one likes."""

    lab: NatLab
    stun_hosts: Sequence[str] = SERVER
    _server: _Server = field(factory=_Server)
    _cleanups: list[Callable[[], Any]] = field(factory=list)

    async def begin(self) -> None:
        """Starts the server."""
        with entered(self.lab.space("s")):
            port = reactor.listenTCP(_CONTROL_PORT, _factory(lambda: _Forwarding(self._server)))
            service = StunService(reactor, self.stun_hosts, 3478)
            service.startService()
        self._cleanups.append(port.stopListening)
        self._cleanups.append(service.stopService)

    async def end(self) -> None:
        """Stops the server."""
        for each in self._cleanups:
            await maybeDeferred(each)
        lost = [each.lost for each in self._server.here]
        for connection in list(self._server.here):
            assert ITCPTransport.providedBy(connection.transport)
            connection.transport.abortConnection()
        await gatherResults(lost)

    async def connect(self, role: str) -> tuple[_Control, int, Address]:
        """Opens a machine's control connection; answers also its local port and where it is seen."""
        network = self.lab.network(role, reactor)
        with network.open_tcp() as plain:
            share_port(plain)
            plain.bind(("0.0.0.0", 0))
            plain.settimeout(_PATIENCE_S)
            await network.call_in_thread(lambda: plain.connect((SERVER[0], _CONTROL_PORT)))
            plain.setblocking(False)
            control = _Control()
            _reactor.adoptStreamConnection(plain.fileno(), plain.family, _factory(lambda: control))
            port: int = plain.getsockname()[1]
        return control, port, await control.seen_as

    async def punch(
        self,
        roles: tuple[str, str] = ("ca", "cb"),
        around: tuple[NetworkInfo, NetworkInfo] | None = None,
        keys: tuple[bytes, bytes] | None = None,
    ) -> Result:
        """Both machines connect, and the first calls the second."""
        around = around or (network_info(self.lab, roles[0]), network_info(self.lab, roles[1]))
        key = os.urandom(32)
        connected = [await self.connect(role) for role in roles]
        met: list[float] = []
        ends: list[Deferred[IDirectPath]] = []
        began = reactor.seconds()
        for place, role in enumerate(PeerRole):
            control, port, seen_as = connected[place]
            own_key = key if keys is None else keys[place]
            own = evolve(around[place], stream_port=port, stream_seen_as=seen_as)
            session = HolePunchingSession(_reactor, own, role, own_key, control.send_candidates)
            control.on_candidates = partial(_note, met, session)
            ends.append(session.start())
        ends[0].addErrback(partial(_cancel, ends[1]))
        outcome = await DeferredList(ends, consumeErrors=True)
        now = reactor.seconds()
        await gatherResults([control.close() for control, _, _ in connected])
        return Result(outcome[0][1], outcome[1][1], now - max(met[:2], default=now), now - began)


def _factory(make: Callable[[], Any]) -> ServerFactory:
    factory = ServerFactory()
    factory.protocol = make
    return factory


def _note(met: list[float], session: HolePunchingSession, wire: object) -> None:
    met.append(reactor.seconds())
    session.candidates_received(wire)


def _cancel(other: Deferred[Any], why: Failure) -> Failure:
    """An initiator that has given up tells the responder, as a rendezvous would."""
    other.cancel()
    return why

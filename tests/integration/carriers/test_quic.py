"""QUIC over UDP: between two ends of our own, and with frp's programs at the other end.

Frp's xtcp has the streams of its carrier ``quic``: so a bridge of ours stands between its programs, speaks
QUIC with one of them, and passes on by TCP what each stream says.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from relaykit.carriers.quic import opening
from relaykit.carriers.quic.adapter import LIBRARIES, Library, available, load
from relaykit.carriers.quic.opening import FrpQuicStreams, QuicStreams
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.datagram_sockets import listen_datagrams
from relaykit.dataplane.dialing import dial, dial_datagrams
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.plane import DataPlane
from relaykit.interfaces import (
    IDatagramAcceptor,
    IDatagramLeg,
    IFlow,
    ILegAcceptor,
    ILegReceiver,
    IStreamLeg,
    IStreamPath,
)
from relaykit.nat.paths import UdpPath
from relaykit.nat.sockets import UdpSocket, drop
from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.pairing import Strategy
from relaykit.sansio.nat.punching import Punched
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Ended, Origin, Secret
from tests.carriers.quic.lines import SECRET, Accepting, missing
from tests.integration.dataplane.waiting import SocketWaiting, reactor
from tests.integration.programs import PATIENCE_S, Program, free_port, frp_command, missing_frp

HOST = "127.0.0.1"
BYTES = 3_000_000


class _NoDriver:
    """Nothing keeps a path of this machine."""

    def stop(self) -> None:
        """Nothing to do."""


class _QuicTestCase(SocketWaiting, TestCase):
    """Both ends wait for as long as a machine takes."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("HANDSHAKE_S", "PROOF_S"):
            self.patch(opening, name, PATIENCE_S)


class QuicOverPathsTests(_QuicTestCase):
    """Two ends of our own, over paths of UDP as punching makes them."""

    skip = missing()

    def paths(self) -> tuple[UdpPath, ...]:
        """Both ends of a path."""
        sockets = [UdpSocket(reactor, HOST, 0, drop) for _ in range(2)]
        return tuple(
            UdpPath(
                socket,
                Punched(0, Address(HOST, other.address.port), CandidateKind.HOST, Strategy.CHECK, 0.0, None),
                role,
                cast("Any", _NoDriver()),
            )
            for role, socket, other in zip(PeerRole, sockets, reversed(sockets), strict=True)
        )

    async def open(self, library: Library) -> tuple[list[Any], tuple[Accepting, ...]]:
        """Both ends of a connection."""
        acceptors = Accepting(), Accepting()
        opened = [
            QuicStreams(self.poller, reactor, library).open_path(path, path.role, SECRET, acceptor)
            for path, acceptor in zip(self.paths(), acceptors, strict=True)
        ]
        return list(await gatherResults(opened)), acceptors

    async def test_all_bytes(self) -> None:
        """Everything passes, both ways at once, whichever library is there, and nothing stays open."""
        data = random.Random(2).randbytes(BYTES)
        for name in LIBRARIES:
            if not available(name):
                continue
            paths, acceptors = await self.open(load(name))
            near = await paths[0].open_leg(False)
            near.write(data)
            await self.until(lambda acceptors=acceptors: acceptors[1].legs)  # type: ignore[misc]
            far = acceptors[1].legs[0]
            far.write(data)
            received = [RecordingReceiver(near), RecordingReceiver(far)]
            near.finish_writing()
            far.finish_writing()
            await self.until(lambda received=received: all(each.lost for each in received))  # type: ignore[misc]
            self.assertEqual([each.data == data for each in received], [True, True])
            lost = [path.when_lost() for path in paths]
            paths[0].close()
            await gatherResults(lost)

    async def test_datagrams(self) -> None:
        """Datagrams pass beside the streams."""
        paths, _ = await self.open(load())
        got: list[bytes] = []
        paths[1].datagrams().attach(_Noting(got))
        paths[0].datagrams().send(b"a datagram")
        await self.until(lambda: got)
        self.assertEqual(got, [b"a datagram"])
        lost = [path.when_lost() for path in paths]
        paths[1].close()
        await gatherResults(lost)


class _Noting:
    """Keeps datagrams."""

    def __init__(self, got: list[bytes]) -> None:
        self._got = got

    def datagram_received(self, data: bytes) -> None:
        """Keeps it."""
        self._got.append(bytes(data))

    def leg_lost(self, reason: Ended) -> None:
        """Nothing."""


@implementer(ILegAcceptor)
class _Bridge:
    """Forwards each leg to one that is dialed."""

    def __init__(self, plane: DataPlane, dial: Callable[[], Deferred[Any]]) -> None:
        self.flows: list[IFlow] = []
        self._plane = plane
        self._dial = dial

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._dial().addCallback(lambda far: self.flows.append(self._plane.forward(leg, far, False)))

    async def end(self) -> None:
        """Ends all that it forwards."""
        for flow in self.flows:
            flow.end(Ended.STOPPED)
            await flow.when_ended()


@implementer(IDatagramAcceptor)
class _QuicPort:
    """Speaks QUIC as the server with whoever sends."""

    def __init__(self, streams: FrpQuicStreams, acceptor: ILegAcceptor) -> None:
        self.paths: list[IStreamPath] = []
        self._streams = streams
        self._acceptor = acceptor

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        opened = self._streams.open_path(leg, PeerRole.RESPONDER, Secret(""), self._acceptor)
        # The client comes again once its connection is closed, and then the port is closed, too.
        opened.addCallbacks(self.paths.append, lambda _: None)


@implementer(ILegAcceptor)
class _Echo:
    """A service that sends back what it gets."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.attach(_Echoing(leg))


@implementer(ILegReceiver)
class _Echoing:
    """Answers with what it gets."""

    def __init__(self, leg: IStreamLeg) -> None:
        self._leg = leg

    def data_received(self, data: Buffer) -> None:
        self._leg.write(data)

    def end_received(self) -> None:
        self._leg.close()

    def leg_lost(self, reason: Ended) -> None:
        """Nothing to do."""


class QuicWithFrpTests(_QuicTestCase):
    """frp's server and client, and our bridge between them."""

    skip = missing_frp() or missing()

    def setUp(self) -> None:
        super().setUp()
        self.plane = DataPlane([CopyForwarder()], self.poller)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.streams, self.datagrams, self.bridge, self.users, self.service = (free_port() for _ in range(5))
        self.addCleanup(self.until, lambda: self.poller not in reactor.getReaders())
        self.addCleanup(listen_tcp(self.poller, HOST, self.service, _Echo()).close)

    def start(self, name: str, configuration: str) -> Program:
        """Starts one of frp's programs."""
        path = self.folder / f"{name}.toml"
        path.write_text(configuration)
        program = Program([*frp_command(name), "-c", str(path.absolute())], self.folder)
        self.addCleanup(program.stop)
        return program

    async def start_server(self) -> None:
        """Starts frp's server."""
        server = self.start(
            "frps",
            f'bindAddr = "{HOST}"\nbindPort = {self.streams}\nquicBindPort = {self.datagrams}\n'
            f'auth.token = "token"\ntransport.tcpMux = false\nuserConnTimeout = {10 * int(PATIENCE_S)}\n',
        )
        await deferToThread(server.wait_for, "started successfully")

    async def start_client(self, protocol: str) -> None:
        """Starts frp's client, which goes to the bridge by a protocol."""
        client = self.start(
            "frpc",
            f'serverAddr = "{HOST}"\nserverPort = {self.bridge}\nauth.token = "token"\n'
            "loginFailExit = false\n"
            f'transport.protocol = "{protocol}"\ntransport.tls.enable = false\ntransport.tcpMux = false\n'
            f'[[proxies]]\nname = "echo"\ntype = "tcp"\nlocalPort = {self.service}\n'
            f"remotePort = {self.users}\n",
        )
        await deferToThread(client.wait_for, "start proxy success")

    async def converse(self) -> None:
        """A user gets back what he sends, all of it."""
        leg = await dial(self.poller, HOST, self.users)
        received = RecordingReceiver(leg)
        data = random.Random(1).randbytes(BYTES)
        leg.write(data)
        await self.until(lambda: len(received.data) >= BYTES or received.lost)
        self.assertEqual(received.data == data, True)
        leg.close()
        await self.until(lambda: received.lost)

    async def check_server(self, library: Library) -> None:
        """The client speaks TCP with the bridge, which is a client of frp's server by QUIC."""
        await self.start_server()
        datagrams = await dial_datagrams(self.poller, HOST, self.datagrams)
        streams = FrpQuicStreams(self.poller, reactor, library)
        path = await streams.open_path(datagrams, PeerRole.INITIATOR, Secret(""), Accepting())
        bridge = _Bridge(self.plane, lambda: path.open_leg(False))
        port = listen_tcp(self.poller, HOST, self.bridge, bridge)
        await self.start_client("tcp")
        for _ in range(2):
            await self.converse()
        port.close()
        await bridge.end()
        lost = path.when_lost()
        path.close()
        await lost

    async def check_client(self, library: Library) -> None:
        """The client speaks QUIC with the bridge, which speaks TCP with the server."""
        bridge = _Bridge(self.plane, lambda: dial(self.poller, HOST, self.streams))
        acceptor = _QuicPort(FrpQuicStreams(self.poller, reactor, library), bridge)
        port = listen_datagrams(self.poller, HOST, self.bridge, acceptor)
        await self.start_server()
        await self.start_client("quic")
        for _ in range(2):
            await self.converse()
        await bridge.end()
        for path in acceptor.paths:
            lost = path.when_lost()
            path.close()
            await lost
        port.close()

    async def test_server(self) -> None:
        """We open streams to frp's server: logins, work connections, and all bytes."""
        await self.check_server(load())

    async def test_client(self) -> None:
        """Frp's client opens streams to us: logins, work connections, and all bytes."""
        await self.check_client(load())

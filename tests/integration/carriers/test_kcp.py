"""KCP with frp's programs at the other end: a bridge of ours passes what they say on, by TCP."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.datagram_sockets import listen_datagrams
from relaykit.dataplane.dialing import dial, dial_datagrams
from relaykit.dataplane.kcp import KcpLeg, KcpPort
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.plane import DataPlane
from relaykit.interfaces import IDatagramLeg, IFlow, ILegAcceptor, ILegReceiver, IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.sansio.kcp.options import FRP_CLIENT, FRP_SERVER
from relaykit.sansio.kcp.session import KcpSession
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Ended, Origin
from tests.integration.dataplane.waiting import SocketWaiting, reactor
from tests.integration.programs import PATIENCE_S, Program, free_port, frp_command, missing_frp

HOST = "127.0.0.1"
BYTES = 3_000_000
"""More than two windows."""


@frozen
class _Way:
    """What a client may choose."""

    wire: str = "v1"
    mux: bool = True


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


@implementer(ILegReceiver)
class _Echoing:
    """Answers with what it gets."""

    def __init__(self, leg: IStreamLeg) -> None:
        self._leg = leg
        leg.attach(self)

    def data_received(self, data: Buffer) -> None:
        self._leg.write(data)

    def end_received(self) -> None:
        self._leg.close()

    def leg_lost(self, reason: Ended) -> None:
        """Nothing to do."""


@implementer(ILegAcceptor)
class _Echo:
    """A service that does."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        _Echoing(leg)


class KcpWithFrpTests(SocketWaiting, TestCase):
    """frp's server and client, and our bridge between them."""

    skip = missing_frp()

    def setUp(self) -> None:
        super().setUp()
        self.plane = DataPlane([CopyForwarder()], self.poller)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.streams, self.datagrams, self.bridge, self.users = (free_port() for _ in range(4))
        self.service = free_port()
        self.addCleanup(self.until, lambda: self.poller not in reactor.getReaders())
        self.addCleanup(listen_tcp(self.poller, HOST, self.service, _Echo()).close)

    def start(self, name: str, configuration: str) -> Program:
        """Starts one of frp's programs."""
        path = self.folder / f"{name}.toml"
        path.write_text(configuration)
        program = Program([*frp_command(name), "-c", str(path.absolute())], self.folder)
        self.addCleanup(program.stop)
        return program

    async def start_both(self, way: _Way, protocol: str) -> None:
        """Starts the server, and a client that goes to the bridge by a protocol."""
        mux = str(way.mux).lower()
        server = self.start(
            "frps",
            f'bindAddr = "{HOST}"\nbindPort = {self.streams}\nkcpBindPort = {self.datagrams}\n'
            f'auth.token = "token"\ntransport.tcpMux = {mux}\nuserConnTimeout = {10 * int(PATIENCE_S)}\n',
        )
        await deferToThread(server.wait_for, "started successfully")
        client = self.start(
            "frpc",
            f'serverAddr = "{HOST}"\nserverPort = {self.bridge}\nauth.token = "token"\n'
            "loginFailExit = false\n"
            f'transport.protocol = "{protocol}"\ntransport.tls.enable = false\ntransport.tcpMux = {mux}\n'
            f'transport.wireProtocol = "{way.wire}"\n[[proxies]]\nname = "echo"\ntype = "tcp"\n'
            f"localPort = {self.service}\nremotePort = {self.users}\n",
        )
        await deferToThread(client.wait_for, "start proxy success")

    async def converse(self) -> None:
        """A user gets back what he sends, all of it."""
        leg = await dial(self.poller, HOST, self.users)
        received = RecordingReceiver(leg)
        data = random.Random(1).randbytes(BYTES)
        leg.write(data)
        await self.until(lambda: len(received.data) >= BYTES or received.lost)
        self.assertEqual(received.data, data)
        leg.close()
        await self.until(lambda: received.lost)

    async def check_server(self, way: _Way) -> None:
        """The client speaks TCP with the bridge, which speaks KCP with the server."""

        def dial_kcp() -> Any:
            return dial_datagrams(self.poller, HOST, self.datagrams).addCallback(begin)

        def begin(datagrams: IDatagramLeg) -> KcpLeg:
            conversation = random.SystemRandom().getrandbits(32)
            session = KcpSession(conversation, FRP_CLIENT, reactor.seconds())
            return KcpLeg(datagrams, session, self.poller, reactor)

        bridge = _Bridge(self.plane, dial_kcp)
        port = listen_tcp(self.poller, HOST, self.bridge, bridge)
        await self.start_both(way, "tcp")
        await self.converse()
        port.close()
        await bridge.end()

    async def check_client(self, way: _Way) -> None:
        """The client speaks KCP with the bridge, which speaks TCP with the server."""
        bridge = _Bridge(self.plane, lambda: dial(self.poller, HOST, self.streams))
        acceptor = KcpPort(FRP_SERVER, bridge, self.poller, reactor)
        port = listen_datagrams(self.poller, HOST, self.bridge, acceptor)
        await self.start_both(way, "kcp")
        for _ in range(2):
            await self.converse()
        await bridge.end()
        port.close()

    async def test_server(self) -> None:
        """We are a client of frp's server: logins, work connections, and all bytes."""
        await self.check_server(_Way())

    async def test_server_v2(self) -> None:
        """The same with the second wire protocol."""
        await self.check_server(_Way(wire="v2"))

    async def test_server_without_mux(self) -> None:
        """The same where each connection is a session of its own."""
        await self.check_server(_Way(mux=False))

    async def test_client(self) -> None:
        """We are the server of frp's client: logins, work connections, and all bytes."""
        await self.check_client(_Way())

    async def test_client_v2(self) -> None:
        """The same with the second wire protocol."""
        await self.check_client(_Way(wire="v2"))

    async def test_client_without_mux(self) -> None:
        """The same where each connection is a session of its own, one user after the other."""
        await self.check_client(_Way(mux=False))

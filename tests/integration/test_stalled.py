"""Hundreds of users who stop reading cost a bounded buffer each, and nobody else's speed."""

from __future__ import annotations

import contextlib
import resource
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SkipTest

from relaykit.carriers.quic.streams import HIGH_WATER_BYTES as QUIC_HIGH_WATER_BYTES
from relaykit.dataplane.poller import PIECE_BYTES
from relaykit.dataplane.sockets import HIGH_WATER_BYTES as SOCKET_HIGH_WATER_BYTES
from relaykit.sansio import stream_credit
from relaykit.sansio.yamux.credit import EXTRA_CREDIT_BYTES
from relaykit.sansio.yamux.outbox import HIGH_WATER_BYTES as STREAM_HIGH_WATER_BYTES
from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES
from tests.integration.faults.case import why_short
from tests.integration.programs import Program, free_ports
from tests.integration.relays import RelayTestCase, Table, Way
from tests.integration.traffic import dial, obey, order_exchange, receive_exactly

STALLED = 200 if why_short() else 1000
"""How many; what lies in the kernel for a thousand is more than some machines let all sockets have."""

MUCH_BYTES = 64 * 1024 * 1024
"""Bytes that the one lively user sends and receives in one exchange."""

ROUNDS = 40
"""Exchanges within which the others have come to a halt."""

SMALL_BUFFER_BYTES = 4096
"""The kernel's buffers of a stalled user, which are not in the memory that is measured."""

POURED_BYTES = 1536 * 1024
"""The most that is sent to somebody who does not read: half as much again as the relay and the buffers of the
local socket take, since all beyond it lies in the kernel."""

KERNEL_BYTES = POURED_BYTES
"""What the kernel may have in its buffers for one stalled user; one megabyte was measured."""

FLOW_BYTES = 256 * 1024
"""What a flow may cost besides its payload: two legs, a stream, a work connection, TLS records, and what
allocators waste.  24 KiB are enough where a thousand were measured; with a queue that has no bound a flow
costs :data:`POURED_BYTES`, twice as much as all that is allowed."""

LIVELY: Table = {"transport.heartbeatInterval": 1, "transport.heartbeatTimeout": 10}
"""Heartbeats that would be missed."""


@frozen
class Bounds:
    """What the streams of a carrier may keep.

    :ivar window_bytes: of one that nobody reads, at the end that receives.
    :ivar shared_bytes: of all of them beyond that.
    :ivar queue_bytes: of one at the end that sends.
    """

    window_bytes: int
    shared_bytes: int
    queue_bytes: int

    @property
    def receiving_bytes(self) -> int:
        """The most that stalled streams may cost the end of the link that receives what nobody takes.

        That are their windows, what was handed to the sockets already, and what all streams share.
        """
        return STALLED * (self.window_bytes + SOCKET_HIGH_WATER_BYTES + FLOW_BYTES) + self.shared_bytes

    @property
    def sending_bytes(self) -> int:
        """The most that they may cost the end that sends: each a queue, and the piece that filled it."""
        return STALLED * (self.queue_bytes + PIECE_BYTES + FLOW_BYTES)


class StalledTests(RelayTestCase):
    """All streams of one link but one stop."""

    way = Way("v2", tls=True, mux=True)
    bounds = Bounds(INITIAL_WINDOW_BYTES, EXTRA_CREDIT_BYTES, STREAM_HIGH_WATER_BYTES)

    def setUp(self) -> None:
        """Allows this process a few thousand sockets."""
        super().setUp()
        pressure = int(Path("/proc/sys/net/ipv4/tcp_mem").read_text().split()[1]) * resource.getpagesize()
        if pressure < STALLED * KERNEL_BYTES:
            raise SkipTest(f"the kernel slows TCP down beyond {pressure} bytes in sockets (net.ipv4.tcp_mem)")
        self.allow_descriptors(4 * STALLED)
        self.over = threading.Event()
        self.poured: Counter[int] = Counter()

    def pour(self, connection: socket.socket) -> None:
        """Sends much to somebody who does not read, counts what the kernel takes, and stays."""
        connection.settimeout(None)
        piece = bytes(PIECE_BYTES)
        me = threading.get_ident()
        with contextlib.suppress(OSError):
            while self.poured[me] < POURED_BYTES:
                self.poured[me] += connection.send(piece[: POURED_BYTES - self.poured[me]])
            self.over.wait()

    def start_relay(self, serve: Callable[[socket.socket], None]) -> tuple[Program, Program, int, int]:
        """Server, client, the port of a service that does this, and that of one that obeys."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        # A unix socket, because what lies in TCP sockets of the loopback is megabytes for each.
        stalling = f"{folder.name}/stalling"
        self.start_service(serve, path=stalling)
        self.lively = self.start_service(obey)
        ports = free_ports(2)
        way = self.way
        server = self.start_server({**way.server(self.bind_port), "transport.heartbeatTimeout": 10})
        client = self.start_client(
            {**way.client, **LIVELY},
            [
                {"name": "stalling", "type": "tcp", "local": f"unix:{stalling}", "remotePort": ports[0]},
                {"name": "lively", "type": "tcp", "localPort": self.lively.port, "remotePort": ports[1]},
            ],
        )
        client.wait_for("start proxy success", 2)
        self.addCleanup(self.over.set)
        # They would wait for the flows to end.
        self.addCleanup(server.kill)
        self.addCleanup(client.kill)
        return server, client, ports[0], ports[1]

    def stall(self, port: int) -> list[socket.socket]:
        """Users of whom each has heard one byte, and takes no more."""
        users = [dial(port, buffers=SMALL_BUFFER_BYTES) for _ in range(STALLED)]
        for user in users:
            self.addCleanup(user.close)
            self.assertEqual(len(receive_exactly(user, 1)), 1)
        return users

    def exchange_beside(self, client: Program, port: int) -> None:
        """Exchanges much in one session, until all of it went while no stalled stream moved a byte."""
        for served in range(1, ROUNDS):
            before = self.poured.total()
            order_exchange(port, MUCH_BYTES)
            self.lively.wait_served(served)
            if before and self.poured.total() == before:
                self.assertEqual(client.output.count("login to server success"), 1)
                return
        self.fail(f"the stalled streams still move: {self.poured.total()} bytes")

    def test_users_do_not_read(self) -> None:
        """Hundreds of users do not read: another one's stream goes on, the memory of both ends is bounded."""
        server, client, stalling, lively = self.start_relay(self.pour)
        before = server.peak_resident_bytes(), client.peak_resident_bytes()
        self.stall(stalling)
        self.exchange_beside(client, lively)
        self.assertLess(server.peak_resident_bytes() - before[0], self.bounds.receiving_bytes)
        self.assertLess(client.peak_resident_bytes() - before[1], self.bounds.sending_bytes)

    def test_services_do_not_read(self) -> None:
        """The same with a local service that does not read what hundreds of users send."""

        def ignore(connection: socket.socket) -> None:
            connection.sendall(b"!")
            self.over.wait()

        server, client, stalling, lively = self.start_relay(ignore)
        before = server.peak_resident_bytes(), client.peak_resident_bytes()
        for user in self.stall(stalling):
            threading.Thread(target=self.pour, args=[user], daemon=True).start()
        self.exchange_beside(client, lively)
        self.assertLess(server.peak_resident_bytes() - before[0], self.bounds.sending_bytes)
        self.assertLess(client.peak_resident_bytes() - before[1], self.bounds.receiving_bytes)


class QuicStalledTests(StalledTests):
    """The same of a connection of QUIC."""

    way = Way("v2", tls=True, mux=True, carrier="quic")
    bounds = Bounds(
        stream_credit.INITIAL_CREDIT_BYTES, stream_credit.EXTRA_CREDIT_BYTES, QUIC_HIGH_WATER_BYTES
    )


class KcpStalledTests(StalledTests):
    """The same of a mux link over KCP."""

    skip = why_short()
    way = Way("v2", tls=True, mux=True, carrier="kcp")


class WssStalledTests(StalledTests):
    """The same of a mux link over WebSocket."""

    skip = why_short()
    way = Way("v2", tls=True, mux=True, carrier="wss")

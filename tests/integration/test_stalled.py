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

from twisted.trial.unittest import SkipTest

from relaykit.dataplane.poller import PIECE_BYTES
from relaykit.dataplane.sockets import HIGH_WATER_BYTES as SOCKET_HIGH_WATER_BYTES
from relaykit.sansio.yamux.credit import EXTRA_CREDIT_BYTES
from relaykit.sansio.yamux.outbox import HIGH_WATER_BYTES as STREAM_HIGH_WATER_BYTES
from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES
from tests.integration.faults.case import why_short
from tests.integration.programs import Program, free_ports
from tests.integration.relays import RelayTestCase
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

RECEIVING_BYTES = STALLED * (INITIAL_WINDOW_BYTES + SOCKET_HIGH_WATER_BYTES + FLOW_BYTES) + EXTRA_CREDIT_BYTES
"""The most that stalled streams may cost the end of the link that receives what nobody takes: their
windows, what was handed to the sockets already, and the credit beyond that all streams share."""

SENDING_BYTES = STALLED * (STREAM_HIGH_WATER_BYTES + PIECE_BYTES + FLOW_BYTES)
"""The most that they may cost the end that sends: the queue of each stream, and the piece that filled it."""


class StalledTests(RelayTestCase):
    """All streams of one link but one stop."""

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
        server = self.start_server()
        client = self.start_client(
            {"transport.wireProtocol": "v2"},
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

    def exchange_beside(self, port: int) -> None:
        """Exchanges much, until all of it went while the stalled streams did not move a byte."""
        for served in range(1, ROUNDS):
            before = self.poured.total()
            order_exchange(port, MUCH_BYTES)
            self.lively.wait_served(served)
            if before and self.poured.total() == before:
                return
        self.fail(f"the stalled streams still move: {self.poured.total()} bytes")

    def test_users_do_not_read(self) -> None:
        """Hundreds of users do not read: another one's stream goes on, the memory of both ends is bounded."""
        server, client, stalling, lively = self.start_relay(self.pour)
        before = server.peak_resident_bytes(), client.peak_resident_bytes()
        self.stall(stalling)
        self.exchange_beside(lively)
        self.assertLess(server.peak_resident_bytes() - before[0], RECEIVING_BYTES)
        self.assertLess(client.peak_resident_bytes() - before[1], SENDING_BYTES)

    def test_services_do_not_read(self) -> None:
        """The same with a local service that does not read what hundreds of users send."""

        def ignore(connection: socket.socket) -> None:
            connection.sendall(b"!")
            self.over.wait()

        server, client, stalling, lively = self.start_relay(ignore)
        before = server.peak_resident_bytes(), client.peak_resident_bytes()
        for user in self.stall(stalling):
            threading.Thread(target=self.pour, args=[user], daemon=True).start()
        self.exchange_beside(lively)
        self.assertLess(server.peak_resident_bytes() - before[0], SENDING_BYTES)
        self.assertLess(client.peak_resident_bytes() - before[1], RECEIVING_BYTES)

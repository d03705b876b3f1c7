"""Local services that fail, and users who stop reading: what it costs them, and that it costs nobody else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from tests.integration.faults.case import FaultTestCase, takes_long, why_short
from tests.integration.programs import PATIENCE_S, free_port
from tests.integration.relays import Table
from tests.integration.traffic import (
    FROM_SERVICE,
    LOOPBACK,
    dial,
    end_of,
    receive,
    receive_exactly,
    reset,
    send,
)

MUX: Table = {}
DIRECT: Table = {"transport.tcpMux": False, "transport.poolCount": 2}

SOON_S = 9.0
"""What users wait at most for something that need not take time, on a busy machine."""

MUCH_BYTES = 48 * 1024 * 1024
"""More than all buffers and windows on the way hold."""

READERS = 3


class ServiceTests(FaultTestCase):
    """A local service that fails is one user's trouble, and only while it fails."""

    def setUp(self) -> None:
        """Publishes a good service, which somebody uses all the time."""
        super().setUp()
        # A user who is let go was told, for who waits may do so for longer than the test.
        self.start_server()
        self.publish_echo()
        self.others = self.crowd(5)
        self.others.wait_served()

    def publish_bad(self, port: int, table: Table = MUX) -> int:
        """Publishes another local port; answers where users find it."""
        public = free_port()
        self.start_client(
            {"user": "bad", **table},
            [{"name": "bad", "type": "tcp", "localPort": port, "remotePort": public}],
        ).wait_for("start proxy success")
        return public

    def check_others(self) -> None:
        """The users of the good service have noticed nothing."""
        self.others.wait_undisturbed()

    def check_down(self, table: Table) -> None:
        """Its user is let go at once, every time; when it is there, the next user is served."""
        local = free_port()
        public = self.publish_bad(local, table)
        for _ in range(3):
            began = time.monotonic()
            with dial(public) as user:
                self.assertEqual(end_of(user), b"")
            self.took("until the user was let go", time.monotonic() - began, SOON_S)
        with socket.create_server((LOOPBACK, local)) as service, dial(public) as user:
            served, _ = service.accept()
            with served:
                served.sendall(b"welcome")
                self.assertEqual(receive_exactly(user, 7), b"welcome")
        self.check_others()

    def test_down(self) -> None:
        """A service that is not there, with mux."""
        self.check_down(MUX)

    @takes_long
    def test_down_direct(self) -> None:
        """A service that is not there, without mux."""
        self.check_down(DIRECT)

    def test_silent(self) -> None:
        """A service that accepts and says nothing keeps its users waiting, as long as they like."""
        gone = threading.Event()

        def say_nothing(connection: socket.socket) -> None:
            with contextlib.suppress(ConnectionError):
                self.assertEqual(end_of(connection), b"hello?")
            gone.set()

        public = self.publish_bad(self.start_service(say_nothing).port)
        with dial(public) as user:
            user.sendall(b"hello?")
            user.settimeout(3.0)
            self.assertRaises(TimeoutError, user.recv, 1)
        self.assertTrue(gone.wait(PATIENCE_S), "the service was not told that its user had left")
        self.check_others()

    @takes_long
    def test_slow(self) -> None:
        """A service that takes a while for each byte gets and gives every one of them."""

        def dawdle(connection: socket.socket) -> None:
            for _ in range(20):
                byte = connection.recv(1)
                self.rest(0.05)
                connection.sendall(byte)

        public = self.publish_bad(self.start_service(dawdle).port)
        with dial(public) as user:
            user.sendall(b"abcdefghijklmnopqrst")
            self.assertEqual(receive_exactly(user, 20), b"abcdefghijklmnopqrst")
        self.check_others()

    @takes_long
    def test_accepts_late(self) -> None:
        """A service that is slow to accept is waited for; what the user said first arrives."""
        service = socket.socket()
        self.addCleanup(service.close)
        service.bind((LOOPBACK, 0))
        service.listen(8)
        public = self.publish_bad(service.getsockname()[1])
        with dial(public) as user:
            user.sendall(b"early")
            self.rest(2.0)
            served, _ = service.accept()
            with served:
                self.assertEqual(receive_exactly(served, 5), b"early")
                served.sendall(b"late")
                self.assertEqual(receive_exactly(user, 4), b"late")
        self.check_others()

    def check_reset(self, table: Table) -> None:
        """Its user gets what came before, and the end, soon."""

        def break_off(connection: socket.socket) -> None:
            receive_exactly(connection, 1)
            send(connection, FROM_SERVICE, 1_000_000)
            # What came before a reset may be lost at the machine that it reaches, so the user says first that
            # everything is there.
            receive_exactly(connection, 1)
            reset(connection)

        public = self.publish_bad(self.start_service(break_off).port, table)
        with dial(public) as user:
            user.sendall(b"x")
            receive(user, FROM_SERVICE, 1_000_000)
            began = time.monotonic()
            user.sendall(b"x")
            self.assertEqual(end_of(user), b"")
            self.took("until the user was told of the reset", time.monotonic() - began, SOON_S)
        self.check_others()

    @takes_long
    def test_reset(self) -> None:
        """A service that resets its connections in the middle, with mux."""
        self.check_reset(MUX)

    def test_reset_direct(self) -> None:
        """A service that resets its connections in the middle, without mux."""
        self.check_reset(DIRECT)


class ReaderTests(FaultTestCase):
    """A user who stops reading in the middle of a download."""

    pause_s = 3.0

    def check_paused(self, table: Table) -> None:
        """All is there when it reads on; meanwhile nobody waits for it and no program grows."""

        def give(connection: socket.socket) -> None:
            # As patient as its users.
            connection.settimeout(None)
            receive_exactly(connection, 1)
            send(connection, FROM_SERVICE, MUCH_BYTES)

        server = self.start_server()
        public = free_port()
        giving, talking = self.start_service(give), self.start_service()
        client = self.start_client(
            table,
            [
                {"name": "give", "type": "tcp", "localPort": giving.port, "remotePort": public},
                {"name": "echo", "type": "tcp", "localPort": talking.port, "remotePort": self.port},
            ],
        )
        client.wait_for("start proxy success", 2)
        others = self.crowd(5)
        others.wait_served()
        before = server.resident_bytes(), client.resident_bytes()
        readers = [dial(public, buffers=65536) for _ in range(READERS)]
        for user in readers:
            self.addCleanup(user.close)
            user.sendall(b"x")
        self.rest(self.pause_s)
        others.wait_served()
        grown = server.resident_bytes() - before[0], client.resident_bytes() - before[1]
        for user in readers:
            receive(user, FROM_SERVICE, MUCH_BYTES)
            self.assertEqual(end_of(user), b"")
        others.wait_undisturbed()
        self.figure("bytes checked", len(readers) * MUCH_BYTES, "bytes")
        for name, growth in zip(("server", "client"), grown, strict=True):
            self.figure(f"growth of the {name} meanwhile", growth / 1024, "KiB")
            # Windows and queues of all flows, and not even one of the downloads.
            self.assertLess(growth, MUCH_BYTES)

    def test_mux(self) -> None:
        """With mux, where all share one connection."""
        self.check_paused(MUX)

    @takes_long
    def test_direct(self) -> None:
        """Without mux, where the kernel moves the bytes."""
        self.check_paused(DIRECT)


class LongReaderTests(ReaderTests):
    """The same with a pause that is longer than any deadline of the kernel for those who are gone."""

    skip = why_short()

    pause_s = 150.0

"""Strangers at the bind port: what they may cost, and that those who belong there do not notice them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time

from relaykit.sansio.control.server_opening import OPENING_TIMEOUT_S
from relaykit.server.acceptor import FIRST_BYTES_TIMEOUT_S, LOGIN_TIMEOUT_S
from relaykit.server.admission import LOGINS_AT_ONCE, LOGINS_PER_S
from tests.integration.faults.case import FaultTestCase, takes_long, why_short
from tests.integration.peers import mux_frame
from tests.integration.programs import PATIENCE_S
from tests.integration.relays import Table
from tests.integration.traffic import LOOPBACK, end_of

STRANGER = "127.0.0.2"
"""Where strangers come from: no client is logged in from there."""

STALLED = 400

LARGE_BYTES = 1 << 30
"""Far less than what is announced to come, far more than what a program takes for anything else."""

DIRECT: Table = {"transport.tcpMux": False}


class StrangerTests(FaultTestCase):
    """Strangers come while somebody is served."""

    def setUp(self) -> None:
        """Starts a server with a client and users."""
        super().setUp()
        self.allow_descriptors(4 * STALLED)
        self.server = self.start_server()
        self.publish_echo()
        self.others = self.crowd(5)
        self.others.wait_served()

    def connect(self) -> socket.socket:
        """A stranger's connection."""
        peer = socket.create_connection((LOOPBACK, self.bind_port), PATIENCE_S, (STRANGER, 0))
        self.addCleanup(peer.close)
        return peer

    def check_others(self) -> None:
        """The users have noticed nothing."""
        self.others.wait_undisturbed()

    def test_stalled_handshakes(self) -> None:
        """Hundreds of TLS handshakes that get stuck delay neither a login nor a user."""
        hello = _client_hello()
        stuck = [self.connect() for _ in range(STALLED)]
        for number, peer in enumerate(stuck):
            # Who took too long, on a machine that stood still, was let go already.
            with contextlib.suppress(ConnectionError):
                # One byte more each: they are stuck in every place of the first flight.
                peer.sendall(hello[: number % (len(hello) - 1) + 1])
        began = time.monotonic()
        self.start_client({"user": "late"}).wait_for("login to server success")
        self.figure("until another client was let in, its start included", time.monotonic() - began)
        self.check_served()
        began = time.monotonic()
        self.check_served()
        self.figure("for a new user, meanwhile", time.monotonic() - began)
        self.check_others()
        if why_short():
            return
        for peer in stuck:
            self.assertLess(len(end_of(peer)), 16384)
        self.figure("until the last stuck one was let go", time.monotonic() - began)
        self.assertLess(time.monotonic() - began, FIRST_BYTES_TIMEOUT_S + 15)
        self.check_others()

    def test_large_announcements(self) -> None:
        """What announces to be large is refused by its size: no memory is taken for it."""
        huge = (
            b"o" + struct.pack(">q", 1 << 34) + b"{",
            b"o" + struct.pack(">q", -1) + b"{",
            b"FRP\x00\x02\r\n" + struct.pack(">HHL", 1, 0, 0xFFFF_FFFF) + b"{",
            mux_frame(1, 1, 1, 0) + mux_frame(0, 0, 1, 0xFFFF_FFFF),
            b"\x16\x03\x01\xff\xff" + bytes(64),
        )
        before = self.server.peak_allocated_bytes()
        for _ in range(20):
            for content in huge:
                peer = self.connect()
                peer.sendall(content)
                end_of(peer)
        grown = self.server.peak_allocated_bytes() - before
        self.figure("growth of the server", grown / 1024, "KiB")
        self.assertLess(grown, LARGE_BYTES)
        self.check_others()

    @takes_long
    def test_first_message(self) -> None:
        """Who says what it is, and then nothing more, is let go in time."""
        allowed = {
            b"": FIRST_BYTES_TIMEOUT_S,
            b"F": FIRST_BYTES_TIMEOUT_S,
            b"o\x00": OPENING_TIMEOUT_S,
            b"FRP\x00\x02\r\n": OPENING_TIMEOUT_S,
            mux_frame(1, 1, 1, 0): LOGIN_TIMEOUT_S,
        }
        peers = {content: self.connect() for content in allowed}
        ended: dict[bytes, float] = {}
        began = time.monotonic()

        def wait(content: bytes, peer: socket.socket) -> None:
            peer.sendall(content)
            end_of(peer)
            ended[content] = time.monotonic() - began

        threads = [threading.Thread(target=wait, args=each) for each in peers.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        for content, at_most in allowed.items():
            self.assertLess(ended[content], at_most + 5.0, content)
            self.assertGreater(ended[content], at_most - 1.0, content)
        self.figure("until the last one was let go", max(ended.values()))
        self.check_others()

    def test_many_logins(self) -> None:
        """Logins without end from one address are not looked at any more; others get in all the time."""
        login = b'{"version":"0.61.0","privilege_key":"wrong","timestamp":1}'
        message = b"o" + struct.pack(">q", len(login)) + login
        refused = turned_away = 0
        began = time.monotonic()
        for _ in range(100):
            # Many at once, so that a slow machine cannot be slower than what is allowed.
            with contextlib.ExitStack() as stack:
                peers = [
                    stack.enter_context(
                        socket.create_connection((LOOPBACK, self.bind_port), PATIENCE_S, (STRANGER, 0))
                    )
                    for _ in range(50)
                ]
                for peer in peers:
                    peer.sendall(message)
                for peer in peers:
                    with contextlib.suppress(ConnectionError):
                        answer = end_of(peer)
                        refused += b"doesn't match" in answer
                        turned_away += b"too many logins" in answer
            if turned_away:
                break
        took_s = time.monotonic() - began
        if not turned_away and refused < 2 * LOGINS_PER_S * took_s:
            self.skipTest(
                f"this machine looks at {refused / took_s:.0f} logins a second, no more than may come"
            )
        self.assertGreaterEqual(refused, LOGINS_AT_ONCE)
        self.assertGreater(turned_away, 0)
        self.figure("logins looked at", refused, "logins")
        self.figure("logins turned away", turned_away, "logins")
        self.figure("within", took_s)
        self.server.wait_for("too many logins")
        self.assertEqual(self.server.output.count("too many logins"), 1)
        self.start_client({"user": "late"}).wait_for("login to server success")
        self.check_others()


def _client_hello() -> bytes:
    """The first flight of a client of TLS."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="relay.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()

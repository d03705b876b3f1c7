"""Strangers at the bind port: what they may cost, and that those who belong there do not notice them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence

from relaykit.logs.floods import INTERVAL_S, LINES_PER_HOST
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

FEW_DESCRIPTORS = 512
"""Files that a server may have open; an eighth of them is what strangers may cost."""

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
        """Logins that prove nothing are reset, and not waited for, when too many came; they keep nobody out.

        They come from the address that the clients have who belong there.
        """
        login = b'{"version":"0.61.0","privilege_key":"wrong","timestamp":1}'
        message = b"o" + struct.pack(">q", len(login)) + login
        answered = dropped = 0
        began = time.monotonic()
        for _ in range(100):
            # Many at once, so that a slow machine cannot be slower than what is allowed.
            with contextlib.ExitStack() as stack:
                peers = [
                    stack.enter_context(
                        socket.create_connection((LOOPBACK, self.bind_port), PATIENCE_S, (LOOPBACK, 0))
                    )
                    for _ in range(50)
                ]
                for peer in peers:
                    peer.sendall(message)
                for peer in peers:
                    if _is_reset(peer):
                        dropped += 1
                    else:
                        answered += 1
            if dropped:
                break
        took_s = time.monotonic() - began
        if not dropped and answered < 2 * LOGINS_PER_S * took_s:
            self.skipTest(
                f"this machine looks at {answered / took_s:.0f} logins a second, no more than may come"
            )
        self.assertGreaterEqual(answered, LOGINS_AT_ONCE)
        self.assertGreater(dropped, 0)
        self.figure("logins answered", answered, "logins")
        self.figure("logins dropped", dropped, "logins")
        self.figure("within", took_s)
        self.server.wait_for("too many logins")
        intervals = 1 + int(took_s / INTERVAL_S)
        self.assertLessEqual(self.server.output.count("too many logins"), (LINES_PER_HOST + 1) * intervals)
        self.start_client({"user": "late"}).wait_for("login to server success")
        self.check_others()


class FewDescriptorsTests(FaultTestCase):
    """Strangers flood a server that may have few files open, while a client without mux serves users."""

    def setUp(self) -> None:
        """Starts a server with a small limit, a client that needs a connection for each user, and users."""
        super().setUp()
        self.allow_descriptors(8 * FEW_DESCRIPTORS)
        limited = ("sh", "-c", f'ulimit -n {FEW_DESCRIPTORS}; exec "$@"', "sh", *self.server_command)
        self.server = self.start_server(command=limited)
        self.publish_echo(DIRECT)
        self.others = self.crowd(5)
        self.others.wait_served()
        self.sockets = self.server.sockets()

    def check_kept_out(self, first_bytes: bytes, each: int) -> None:
        """Strangers say that, from several addresses with so many connections each, all the time.

        While they do, clients log in and new users are served, and strangers have few descriptors.
        """
        flood = Flood(self.bind_port, first_bytes, each, [f"127.0.0.{last}" for last in range(2, 6)])
        self.addCleanup(flood.stop)
        self.until("the flood has come", lambda: flood.made > 4 * FEW_DESCRIPTORS)
        for number in range(2):
            self.start_client({"user": f"late{number}"}).wait_for("login to server success")
        for _ in range(10):
            self.check_served()
        self.assertLess(self.server.sockets() - self.sockets, FEW_DESCRIPTORS // 3)
        self.others.wait_undisturbed()
        self.figure("connections of strangers meanwhile", flood.made, "connections")
        self.assertNotIn("no more connections can be", self.server.output)

    def test_silence(self) -> None:
        """They say one byte: the oldest go when others come."""
        self.check_kept_out(b"o", FEW_DESCRIPTORS // 3)

    def test_wrong_bytes(self) -> None:
        """They say what nobody speaks: they are dropped at once, and hold no descriptor for a while."""
        self.check_kept_out(b"\xff\xfe\xfd\xfc", 50)

    def test_hellos(self) -> None:
        """They begin TLS, and leave it at that."""
        self.check_kept_out(_client_hello(), 50)


class Flood:
    """Strangers who come again whenever they are sent away, in a thread of their own, until :meth:`stop`."""

    def __init__(self, port: int, first_bytes: bytes, each: int, addresses: Sequence[str]) -> None:
        self.made = 0
        """Connections so far."""
        self._where = (LOOPBACK, port)
        self._first_bytes = first_bytes
        self._wanted = {address: each for address in addresses}
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Lets all of them go."""
        self._stopping.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for address, missing in self._wanted.items():
                for _ in range(min(missing, 20)):
                    self._come(address)
            for key, _ in self._selector.select(0.02):
                assert isinstance(key.fileobj, socket.socket)
                if _has_ended(key.fileobj):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()
                    self._wanted[key.data] += 1
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _come(self, address: str) -> None:
        with contextlib.suppress(OSError):
            peer = socket.create_connection(self._where, PATIENCE_S, (address, 0))
            self.made += 1
            self._wanted[address] -= 1
            self._selector.register(peer, selectors.EVENT_READ, address)
            peer.sendall(self._first_bytes)


def _is_reset(peer: socket.socket) -> bool:
    """Whether a connection is reset in the end, whatever comes before."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def _has_ended(peer: socket.socket) -> bool:
    """Whether there is nothing more to read, after what there was."""
    try:
        return not peer.recv(65536)
    except OSError:
        return True


def _client_hello() -> bytes:
    """The first flight of a client of TLS."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="relay.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()

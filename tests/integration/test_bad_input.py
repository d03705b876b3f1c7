"""Peers that break the rules: each gets its documented answer, and nobody else notices."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from relaykit.sansio.control import events
from relaykit.sansio.wire.framing import MAGIC, V2, V2Decoder
from relaykit.sansio.wire.messages import (
    Login,
    LoginResp,
    NewVisitorConnResp,
    NewWorkConn,
    StartWorkConn,
)
from relaykit.server.acceptor import STREAMS_TRIED_BEFORE_LOGIN
from relaykit.server.admission import MAX_PENDING_PER_SOURCE
from tests.integration.peers import TROUBLE, FalseServer, HandClient, answer_of, mux_frame, v1_frame
from tests.integration.programs import PATIENCE_S, free_port, frp_command, missing_frp, relaykit_command
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse, dial, end_of, receive_exactly, reset

V1_HEAD_BYTES = 9
"""The type of a message of wire v1, and its length."""


class ServerTests(RelayTestCase):
    """A server that serves somebody while others misbehave."""

    server_table: Table = NOTHING
    client_table: Table = NOTHING
    counts_descriptors = True

    def setUp(self) -> None:
        """Starts a server, a client of ours, and a user who stays connected."""
        super().setUp()
        self.server = self.start_server(self.server_table)
        self.port = free_port()
        self.client = self.start_client(
            self.client_table,
            [
                {
                    "name": "echo",
                    "type": "tcp",
                    "localPort": self.start_service().port,
                    "remotePort": self.port,
                }
            ],
            command=relaykit_command("client"),
        )
        self.client.wait_for("start proxy success")
        self.user = dial(self.port)
        self.addCleanup(self.user.close)
        self.speak()
        self.descriptors = self.server.descriptors()

    def speak(self) -> None:
        """The user who stays connected is heard."""
        self.user.sendall(b"still there?")
        self.assertEqual(receive_exactly(self.user, 12), b"still there?")

    def check_unharmed(self) -> None:
        """The user who is there is heard, another is let in, and the server holds nothing that is over."""
        converse(self.port)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.speak()
            if not self.counts_descriptors or self.server.descriptors() <= self.descriptors:
                return
            self.assertLess(time.monotonic(), deadline, f"not the {self.descriptors} of before")

    def answer(self, content: bytes, finish: bool = False) -> bytes:
        """What the server answers to these bytes on a connection of their own, until it closes."""
        with dial(self.bind_port) as peer:
            peer.sendall(content)
            if finish:
                peer.shutdown(socket.SHUT_WR)
            return end_of(peer)


class RefusalTests(ServerTests):
    """What our server and frp's answer alike."""

    server_table: Table = {"transport.tcpMux": False}
    no_session = "no client control found for run id []"
    """What a visit of a proxy is told that names no session: frp's server asks for none."""

    def test_trouble(self) -> None:
        """Whatever is no opening of a client is closed without a word."""
        for name, content in TROUBLE.items():
            said = self.answer(content)
            if name in ("TLS record of junk", "first byte and junk"):
                self.assertIn(said[:1], (b"", b"\x15"), name)
            else:
                self.assertEqual(said, b"", name)
        self.check_unharmed()

    def test_truncated(self) -> None:
        """A peer that ends in the middle of its opening is forgotten, wherever it ends."""
        opening = v1_frame(b"o", b'{"version":"0"}')
        for length in (0, 1, 5, 9, 12, len(opening) - 1):
            self.assertEqual(self.answer(opening[:length], finish=True), b"")
        for length in (3, 7, 10):
            self.assertEqual(self.answer((MAGIC + bytes(8))[:length], finish=True), b"")
        self.check_unharmed()

    def test_reset(self) -> None:
        """A peer that drops its connection is forgotten, whatever it had said."""
        for content in (b"", b"o", v1_frame(b"o", b"{", 100), MAGIC, b"\x16\x03\x01", b"\x00\x01"):
            peer = dial(self.bind_port)
            peer.sendall(content)
            reset(peer)
        self.check_unharmed()

    def test_slow(self) -> None:
        """Who has not said in 10 s what the connection is for is let go: all of them, and nobody waits."""
        openings = (b"", b"o", v1_frame(b"o", b"{", 100), MAGIC, b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01")
        peers = []
        for content in openings:
            peer = dial(self.bind_port)
            self.addCleanup(peer.close)
            peer.sendall(content)
            peers.append(peer)
        converse(self.port)
        with ThreadPoolExecutor(len(peers)) as threads:
            for said in threads.map(end_of, peers):
                self.assertIn(said[:1], (b"", b"\x15"))
        for peer in peers:
            peer.close()
        self.check_unharmed()

    def test_wrong_token(self) -> None:
        """A login with a wrong token is told so."""
        body = b'{"privilege_key":"00000000000000000000000000000000","timestamp":1700000000}'
        answer = answer_of(self.answer(v1_frame(b"o", body)))
        assert isinstance(answer, LoginResp)
        self.assertEqual(
            (answer.error, answer.run_id), ("token in login doesn't match token from configuration", "")
        )
        self.check_unharmed()

    def test_login_without_hello(self) -> None:
        """A login in wire v2 without a hello is told so."""
        decoder = V2Decoder()
        decoder.receive(self.answer(MAGIC + V2.encode(Login(version="0"))))
        answer = decoder.next_message()
        assert isinstance(answer, LoginResp)
        self.assertEqual(answer.error, "missing v2 crypto negotiation")
        self.check_unharmed()

    def test_hellos(self) -> None:
        """A hello that cannot be agreed with is answered with what is wrong."""
        random = b'"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="'
        for codec, algorithm, content, error in (
            (b"cbor", b"aes-256-gcm", random, "unsupported message codec"),
            (b"json", b"rot13", random, "no supported crypto algorithm"),
            (b"json", b"aes-256-gcm", b'"AAEC"', "invalid crypto client random length 3, want 32"),
        ):
            hello = (
                b'{"capabilities":{"message":{"codecs":["%b"]},"crypto":{"algorithms":["%b"],"clientRandom":%b}}}'
                % (codec, algorithm, content)
            )
            said = self.answer(MAGIC + struct.pack(">HHI", 1, 0, len(hello)) + hello)
            self.assertIn(error.encode(), said)
        self.check_unharmed()

    def test_work_for_nobody(self) -> None:
        """A work connection of an unknown session is told so, in either version."""
        error = "no client control found for run id [nobody]"
        answer = answer_of(self.answer(v1_frame(b"w", b'{"run_id":"nobody"}')))
        assert isinstance(answer, StartWorkConn)
        self.assertEqual(answer.error, error)
        decoder = V2Decoder()
        decoder.receive(self.answer(MAGIC + V2.encode(NewWorkConn(run_id="nobody"))))
        second = decoder.next_message()
        assert isinstance(second, StartWorkConn)
        self.assertEqual(second.error, error)
        self.check_unharmed()

    def test_visits(self) -> None:
        """A visit without a session, and of an unknown one, is told so."""
        for body, error in (
            (b'{"proxy_name":"missing"}', self.no_session.format(proxy="missing")),
            (b'{"proxy_name":"echo"}', self.no_session.format(proxy="echo")),
            (b'{"run_id":"nobody","proxy_name":"x"}', "no client control found for run id [nobody]"),
        ):
            answer = answer_of(self.answer(v1_frame(b"v", body)))
            assert isinstance(answer, NewVisitorConnResp)
            self.assertEqual(answer.error, error)
        self.check_unharmed()

    def test_refused_proxies(self) -> None:
        """A proxy of an unknown type, with a taken name or port, is refused; the session goes on."""
        client = HandClient(self.bind_port)
        for name, kind, port, error in (
            ("new", "nosuch", 0, "unknown proxy type: nosuch"),
            ("echo", "tcp", free_port(), "proxy [echo] already exists"),
            ("new", "tcp", self.port, "port already used"),
        ):
            client.register(name, kind, {"remote_port": port})
            self.assertEqual(client.wait_for(events.ProxyRefused).text, error)
        client.register("new", "tcp", {"remote_port": free_port()})
        client.wait_for(events.ProxyRegistered)
        client.socket.close()
        self.check_unharmed()

    def test_garbage_after_login(self) -> None:
        """Garbage in a session ends it, and frees its names and ports."""
        port = free_port()
        for times in (1, 2):
            client = HandClient(self.bind_port)
            client.register("brief", "tcp", {"remote_port": port})
            client.wait_for(events.ProxyRegistered)
            client.socket.sendall(b"\xa5" * 4096)
            end_of(client.socket)
            client.socket.close()
            self.server.wait_for("client exit success", times)
        self.check_unharmed()

    def test_session_without_work_connections(self) -> None:
        """A client that opens no work connection costs its users their time, and nobody else's."""
        client = HandClient(self.bind_port)
        port = free_port()
        client.register("idle", "tcp", {"remote_port": port})
        client.wait_for(events.ProxyRegistered)
        with dial(port) as user:
            client.wait_for(events.WorkRequested)
            self.speak()
            client.socket.close()
            self.assertEqual(end_of(user), b"")
        self.check_unharmed()

    def test_pool(self) -> None:
        """A client gets as many requests for work connections as it wants, within the server's limit."""
        for wanted, given in ((0, 0), (3, 3), (50, 5)):
            client = HandClient(self.bind_port, Login(version="0", pool_count=wanted))
            self.assertEqual(client.count(events.WorkRequested), given)
            client.socket.close()
        self.check_unharmed()

    def test_same_client_id(self) -> None:
        """A second client with the same id is refused as long as the first is there."""
        table: Table = {**self.client_table, "clientID": "one", "loginFailExit": True}
        first = self.start_client(table)
        first.wait_for("login to server success")
        second = self.start_client(table)
        self.assertEqual(second.wait_for_end(), 1)
        self.assertIn("client_id [one] for user [] is already online", second.output)
        first.kill()
        self.start_client(table).wait_for("login to server success")


class FrpsRefusalTests(RefusalTests):
    """The same from frp's server: these answers are frp's."""

    skip = missing_frp()
    server_command = frp_command("frps")
    client_table: Table = {"transport.tcpMux": False}
    counts_descriptors = False
    no_session = "custom listener for [{proxy}] doesn't exist"


class OurServerTests(ServerTests):
    """What only our server does."""

    def test_named_strangers(self) -> None:
        """The log says what strangers spoke."""
        for name, spoken in (
            ("HTTP", "this is HTTP, not a client"),
            ("HTTP/2", "this is HTTP/2, not a client"),
            ("SSH", "this is SSH, not a client"),
            ("PROXY header", "this is the PROXY protocol, not a client"),
            ("garbage", "this is an unknown protocol, not a client"),
        ):
            self.answer(TROUBLE[name])
            self.server.wait_for(spoken)
        self.check_unharmed()

    def test_websocket(self) -> None:
        """Who asks for WebSocket in a wrong way is answered why, and the log says it, too."""
        answer = self.answer(b"GET /~!frp HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer)
        self.assertTrue(answer.endswith(b": Connection does not say Upgrade\n"), answer)
        self.server.wait_for("WebSocket: Connection does not say Upgrade")
        self.check_unharmed()

    def test_mux_trouble(self) -> None:
        """What breaks the rules of yamux ends its link, and no other."""
        syn = mux_frame(1, 1, 1, 0)
        for content in (
            mux_frame(7, 0, 0, 0),
            syn + syn,
            mux_frame(1, 1, 2, 0),
            syn + mux_frame(0, 0, 1, 1 << 31),
        ):
            said = self.answer(content)
            self.assertNotIn(b"{", said)
        self.check_unharmed()

    def test_trouble_on_a_stream(self) -> None:
        """What is no opening on a stream of a link ends the stream; the link goes on."""
        trouble = list(TROUBLE.values())
        most = STREAMS_TRIED_BEFORE_LOGIN
        for some in (trouble[first : first + most] for first in range(0, len(trouble), most)):
            with dial(self.bind_port) as peer:
                for number, content in enumerate(some):
                    stream = 2 * number + 1
                    peer.sendall(
                        mux_frame(1, 1, stream, 0)
                        + mux_frame(0, 0, stream, len(content), content)
                        + mux_frame(1, 4, stream, 0)
                    )
                peer.sendall(mux_frame(2, 1, 0, 77))
                said = b""
                while mux_frame(2, 2, 0, 77) not in said:
                    data = peer.recv(65536)
                    if not data:
                        self.fail("the link was closed")
                    said += data
        self.check_unharmed()

    def test_many_who_say_nothing(self) -> None:
        """Of a crowd of silent connections the oldest make room for the next; others get in all the time."""
        where, stranger = (LOOPBACK, self.bind_port), ("127.0.0.2", 0)
        crowd = [
            socket.create_connection(where, PATIENCE_S, stranger) for _ in range(MAX_PENDING_PER_SOURCE + 1)
        ]
        self.assertEqual(end_of(crowd[0]), b"")
        self.speak()
        for peer in crowd:
            peer.close()
        self.speak()
        HandClient(self.bind_port).socket.close()
        self.check_unharmed()

    def test_link_without_login(self) -> None:
        """A link carries only a few streams before somebody has logged in on it, and is closed with more."""
        with dial(self.bind_port) as peer:
            numbers = [2 * number + 1 for number in range(STREAMS_TRIED_BEFORE_LOGIN)]
            peer.sendall(b"".join(mux_frame(1, 1, number, 0) for number in numbers))
            refused = mux_frame(1, 8, numbers[-1], 0)
            said = b""
            while refused not in said:
                data = peer.recv(65536)
                self.assertTrue(data, "the link was closed")
                said += data
            peer.sendall(mux_frame(1, 1, numbers[-1] + 2, 0))
            end_of(peer)
        self.check_unharmed()


class MuxMismatchTests(RelayTestCase):
    """Frp demands ``transport.tcpMux`` to be the same at both ends; our server takes either."""

    def check_taken(self, at_server: bool, at_client: bool) -> None:
        """The client gets in."""
        self.start_server({"transport.tcpMux": at_server})
        port = free_port()
        service = self.start_service()
        self.start_client(
            {"transport.tcpMux": at_client},
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": port}],
        ).wait_for("start proxy success")
        converse(port, users=5)

    def test_mux_at_server_only(self) -> None:
        """A client without mux at a server with it."""
        self.check_taken(True, False)

    def test_mux_at_client_only(self) -> None:
        """A client with mux at a server without it."""
        self.check_taken(False, True)


class FrpcMuxMismatchTests(MuxMismatchTests):
    """The same with frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsMuxMismatchTests(RelayTestCase):
    """Frp's server cuts a client of the other kind off; ours says what may be wrong."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def check_cut_off(self, at_server: bool, at_client: bool) -> None:
        """Our client ends, and names the setting."""
        self.start_server({"transport.tcpMux": at_server})
        client = self.start_client({"transport.tcpMux": at_client})
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn("transport.tcpMux", client.output.splitlines()[-1])

    def test_mux_at_server_only(self) -> None:
        """A client without mux at a server with it."""
        self.check_cut_off(True, False)

    def test_mux_at_client_only(self) -> None:
        """A client with mux at a server without it."""
        self.check_cut_off(False, True)


def silent(client: socket.socket) -> None:
    """A server that hears everything and says nothing."""
    end_of(client)


class ClientTests(RelayTestCase):
    """Our client at servers that are none, or say little."""

    def test_login(self) -> None:
        """What the configuration says of the client reaches the server with the login."""
        first: Queue[bytes] = Queue()

        def hear(client: socket.socket) -> None:
            head = receive_exactly(client, V1_HEAD_BYTES)
            first.put(head + receive_exactly(client, int.from_bytes(head[1:])))

        server = FalseServer(hear)
        self.addCleanup(server.stop)
        self.start_client(
            {
                "serverPort": server.port,
                "user": "alice",
                "clientID": "laptop",
                "metadatas": {"place": "attic"},
                "transport.poolCount": 7,
                "transport.wireProtocol": "v1",
                "transport.tls.enable": False,
                "transport.tcpMux": False,
            }
        )
        login = answer_of(first.get(timeout=PATIENCE_S))
        assert isinstance(login, Login)
        self.assertEqual(
            (login.user, login.client_id, login.metas, login.pool_count),
            ("alice", "laptop", {"place": "attic"}, 7),
        )

    def check_told(self, content: bytes, table: Table = NOTHING) -> str:
        """The client says that it did not get in, and goes on until it is told to end; what it said."""

        def answer(client: socket.socket) -> None:
            client.recv(65536)
            client.sendall(content)

        return self.check_goes_on(answer, table)

    def check_goes_on(self, answer: Callable[[socket.socket], None], table: Table) -> str:
        """The same with a server that does this."""
        server = FalseServer(answer)
        self.addCleanup(server.stop)
        client = self.start_client({"serverPort": server.port, **table}, command=relaykit_command("client"))
        line = client.wait_for("connect to server error")
        client.terminate()
        self.assertEqual(client.wait_for_end(), 0)
        return line

    def test_trouble(self) -> None:
        """Whatever answers that is no server: the client says so, and goes on."""
        plain: Table = {"transport.tls.enable": False, "transport.tcpMux": False}
        for content in (b"", TROUBLE["garbage"], TROUBLE["SSH"], b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            self.check_told(content, plain)

    def test_trouble_instead_of_mux(self) -> None:
        """The same with a link."""
        for content in (b"", TROUBLE["garbage"], b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            self.check_told(content, {"transport.tls.enable": False})

    def test_trouble_instead_of_tls(self) -> None:
        """The same with TLS, where the log says that the peer speaks none."""
        for content in (b"", TROUBLE["garbage"], b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            self.assertIn("TLS", self.check_told(content))

    def test_silence(self) -> None:
        """A server that says nothing is given up after 10 s, with TLS and without."""
        tables: list[Table] = [{}, {"transport.tls.enable": False, "transport.wireProtocol": "v2"}]
        with ThreadPoolExecutor(len(tables)) as threads:
            for line in threads.map(lambda table: self.check_goes_on(silent, table), tables):
                self.assertRegex(line, "within 10 seconds|did not answer the login")

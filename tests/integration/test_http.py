"""The proxy type ``http`` on real sockets: with frp at one end, and with programs that speak HTTP."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.trial.unittest import SkipTest
from wsproto.frame_protocol import FrameProtocol, Opcode

from relaykit.sansio.parsers.proxy_protocol import VERSIONS
from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_port,
    free_ports,
    frp_command,
    missing_frp,
)
from tests.integration.relays import NOTHING, RelayTestCase, Table, Way, every_way
from tests.integration.scenarios import OVER_DATAGRAMS, SOME_WEBSOCKETS, test_each
from tests.integration.test_health_checks import BUSY, UNHURRIED_S, WebService, named
from tests.integration.test_proxy_protocol import take_header
from tests.integration.traffic import (
    FROM_SERVICE,
    FROM_USER,
    LOOPBACK,
    PIECE_BYTES,
    dial,
    end_of,
    receive_exactly,
    reset,
    take_head,
)
from tests.integration.walkthrough import need
from tests.integration.web import Answer, Site, WebUser, basic
from tests.sansio.parsers.hellos import client_hello, records

EACH_WAY_BYTES = 1024 * 1024
"""The size of a body."""

PAGE = b"<p>nobody is here</p>\n"
"""What users get to read who ask for what nobody serves."""

UPGRADE = (("Connection", "keep-alive, UPGRADE"), ("Upgrade", "WebSocket"))
"""How a tunnel within a request is asked for."""

EARLY = b"sent before the answer"

USERS, REQUESTS = 30, 20
"""Users at once, and what each asks for one after the other."""

ANSWER_S = 10
"""Seconds that a service has to begin an answer, where some take longer: more than a busy machine takes."""

FRAMES = 10
"""Of a stream, each way."""

UPLOAD_BYTES = 20 * 1024 * 1024
"""More than a service wants."""

GREETING = b"[secure]"
"""Of a service that has TLS of its own, as far as anybody looks."""

PAUSE_S = 0.05
"""Between two looks at what is to become of a site."""


class HttpTestCase(RelayTestCase):
    """Sites behind one port."""

    server_is_ours = True
    """Whether the server does what relaykit's does and frp's does not."""

    def setUp(self) -> None:
        """Chooses the port, and writes the page for what nobody serves."""
        super().setUp()
        self.port = free_port()
        self.page = self.folder / "404.html"
        self.page.write_bytes(PAGE)

    def start_vhost(self, table: Table = NOTHING, command: Sequence[str] = ()) -> Program:
        """A server with the port."""
        own = {"vhostHTTPPort": self.port, "custom404Page": str(self.page)}
        return self.start_server({**own, **table}, command=command)

    def proxy(self, name: str, domains: Sequence[str], **more: object) -> Table:
        """A site that says its name; the table of its proxy."""
        local = {} if "localPort" in more else {"localPort": self.start_service(Site(name)).port}
        return {"name": name, "type": "http", "customDomains": list(domains), **local, **more}

    def ask(self, host: str, target: str = "/", *fields: tuple[str, str]) -> Answer:
        """What a new user gets."""
        with WebUser.dial(self.port) as user:
            return user.ask(host, target, *fields)

    def check_traffic(self, way: Way) -> None:
        """Each request gets to the site that it asks for, and back comes what that answers."""
        self.start_vhost({**way.server(self.bind_port), "subDomainHost": "sub.example"})
        client = self.start_client(
            way.client,
            [
                self.proxy("all", ["a.example", "*.b.example"], subdomain="one", **way.flow),
                self.proxy("api", ["a.example"], locations=["/api", "/old"], **way.flow),
                self.proxy("deep", ["a.example"], locations=["/api/v2"], **way.flow),
                self.proxy("bob", ["a.example"], routeByHTTPUser="bob", **way.flow),
                self.proxy("auth", ["c.example"], httpUser="u", httpPassword="p", **way.flow),
                {
                    **self.proxy("rules", ["d.example"], hostHeaderRewrite="inner.example:8080", **way.flow),
                    "requestHeaders.set": {"x-from": "relay", "User-Agent": "set"},
                    "responseHeaders.set": {"x-site": "set", "x-new": ""},
                },
                self.proxy("down", ["e.example"], localPort=free_port(), **way.flow),
            ],
        )
        client.wait_for("start proxy success", 7)
        for check in (
            self.check_routes,
            self.check_users,
            self.check_rules,
            self.check_bodies,
            self.check_responses,
            self.check_tunnels,
            self.check_unserved,
        ):
            with WebUser.dial(self.port) as user:
                check(user)

    def check_routes(self, user: WebUser) -> None:
        """Each request of a connection has a route of its own, and work connections serve again."""
        connections = set()
        for host, target, who, site in (
            ("a.example", "/", "", "all"),
            ("A.Example.:99", "/ap", "", "all"),
            ("x.b.example", "/api", "", "all"),
            ("y.x.b.example", "/", "eve:x", "all"),
            ("one.sub.example", "/", "", "all"),
            ("a.example", "/api", "", "api"),
            ("a.example", "/%61pi/v1?/api/v2", "", "api"),
            ("a.example", "/old/", "", "api"),
            ("a.example", "/api/v2/x", "", "deep"),
            ("a.example", "/api/v2/x", "bob:x", "bob"),
            ("ignored", "http://a.example/api/", "", "api"),
        ):
            host = "a.example" if host == "ignored" else host
            told = user.ask(host, target, *([basic(who)] if who else [])).told
            self.assertEqual((told.site, told.target, told.get("host")), (site, target, host))
            connections.add((site, told.connection))
        if self.server_is_ours:
            # Of routes and of domains frp keeps work connections for each, where it has the time.
            self.assertEqual(len(connections), 4)

    def check_users(self, user: WebUser) -> None:
        """Who a user says to be decides, to the site and to the server as a forward proxy."""
        for target, name, status, asks in (
            ("/", "Authorization", 401, "www-authenticate"),
            ("http://c.example/", "Proxy-Authorization", 407, "proxy-authenticate"),
        ):
            for fields in ((), (basic("u:x", name),), (basic("x:p", name),)):
                refused = user.ask("c.example", target, *fields)
                self.assertEqual(refused.status, status)
                self.assertEqual(refused.get(asks), 'Basic realm="Restricted"')
            told = user.ask("c.example", target, basic("u:p", name)).told
            self.assertEqual((told.site, told.target), ("auth", target))
            self.assertEqual(told.get("authorization"), basic("u:p")[1] if status == 401 else None)
            self.assertIsNone(told.get("proxy-authorization"))

    def check_rules(self, user: WebUser) -> None:
        """A site is told whom it serves, and gets and says what the configuration wants."""
        said = (
            *(("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Host", "evil"), ("X-Forwarded-Proto", "https")),
            *(("X-From", "user"), ("X-From", "again"), ("User-Agent", "me"), ("X-Kept", "1")),
            *(("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "9")),
        )
        answer = user.ask("d.example:99", "/", *said)
        told = answer.told
        for name, value in (
            ("host", "inner.example:8080"),
            ("x-forwarded-for", f"192.0.2.1, {LOOPBACK}"),
            ("x-forwarded-host", "d.example:99"),
            ("x-forwarded-proto", "http"),
            ("x-from", "relay"),
            ("user-agent", "set"),
            ("x-kept", "1"),
            ("x-hop", None),
            ("keep-alive", None),
        ):
            self.assertEqual(told.get(name), value, name)
        self.assertEqual((answer.get("x-site"), answer.get("x-new")), ("set", ""))
        told = user.ask("a.example").told
        self.assertEqual((told.get("x-forwarded-for"), told.get("x-from")), (LOOPBACK, None))

    def check_bodies(self, user: WebUser) -> None:
        """Bodies arrive whole, with their trailers, both ways; a site is asked before it is sent one."""
        length = ("Content-Length", f"{EACH_WAY_BYTES}")
        chunked, expects = ("Transfer-Encoding", "chunked"), ("Expect", "100-continue")
        for fields in ((length,), (chunked,), (length, expects), (chunked, expects)):
            trailers = (("X-Sum", "1"),) if chunked in fields else ()
            announced = (("Trailer", "X-Sum"),) if trailers else ()
            answer = user.ask(
                "a.example", "/", *fields, *announced, method="POST", upload=EACH_WAY_BYTES, trailers=trailers
            )
            self.assertEqual(answer.told.bytes, EACH_WAY_BYTES)
            self.assertIn(
                ("content-length" if length in fields else "transfer-encoding"), dict(answer.told.fields)
            )
            if self.server_is_ours:
                # Frp loses trailers, and says that a site wants the body before it does.
                self.assertEqual(answer.told.trailers, [["x-sum", "1"]] if trailers else [])
                self.assertEqual(answer.interim, (100,) if expects in fields else ())
        expected = FROM_SERVICE.at(0, EACH_WAY_BYTES - 1)
        for framing in ("length", "chunked"):
            answer = user.ask("a.example", f"/?{framing}={len(expected)}")
            self.assertEqual(answer.body, expected)
            self.assertEqual(answer.trailers, [("x-sum", f"{len(expected)}")] if framing == "chunked" else [])

    def check_responses(self, user: WebUser) -> None:
        """What has no body has none, and hints pass."""
        head = user.ask("a.example", method="HEAD")
        self.assertEqual((head.status, head.body, head.get("x-site")), (200, b"", "all"))
        self.assertGreater(int(head.get("content-length") or 0), 0)
        for status in (204, 304):
            answer = user.ask("a.example", f"/?status={status}")
            self.assertEqual((answer.status, answer.body, answer.get("etag")), (status, b"", '"x"'))
            if self.server_is_ours:
                self.assertEqual(answer.reason, "As Asked")
        self.assertEqual(user.ask("a.example", "/?hints").interim, (103,))
        closed = user.ask("a.example", "/?close")
        self.assertEqual((closed.status, closed.get("connection")), (200, None))
        self.assertEqual(user.ask("a.example").status, 200)

    def check_tunnels(self, user: WebUser) -> None:
        """Behind an upgrade, and behind CONNECT, what is sent is the site's, whatever it is."""
        early = EARLY if self.server_is_ours else b""
        # Frp loses what is sent with the request.
        switched = user.ask("a.example", "/socket", *UPGRADE, behind=early)
        self.assertEqual((switched.status, switched.interim), (101, (101,)))
        self.assertEqual((switched.get("upgrade"), switched.get("x-site")), ("WebSocket", "all"))
        self.check_tunnel(user, early)
        with WebUser.dial(self.port) as other:
            tunnel = other.ask("a.example:443", "a.example:443", method="CONNECT", behind=early)
            self.assertEqual((tunnel.status, tunnel.reason), (200, "Tunnel To all"))
            self.check_tunnel(other, early)

    def check_tunnel(self, user: WebUser, early: bytes) -> None:
        """A tunnel to an echo."""
        said = FROM_USER.at(0, 64 * 1024)
        user.connection.sendall(said)
        self.assertEqual(user.take_tunneled(len(early) + len(said)), early + said)

    def check_unserved(self, user: WebUser) -> None:
        """Who asks for what nobody serves, or for a service that is down, is told so and may go on."""
        for host, target in (("b.example", "/"), ("nobody.example", "/")):
            answer = user.ask(host, target)
            self.assertEqual((answer.status, answer.body), (404, PAGE))
            self.assertEqual(answer.get("content-type"), "text/html; charset=utf-8")
        for host, target in (("e.example", "/"), ("a.example", "/?drop")):
            self.assertEqual(user.ask(host, target).status, 502 if self.server_is_ours else 404)
        self.assertEqual(user.ask("a.example").status, 200)


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3], *OVER_DATAGRAMS))
class OursTests(HttpTestCase):
    """Both ends are ours."""

    def test_announced(self) -> None:
        """A service is told in front of its requests who came first over the work connection."""
        told: queue.Queue[int] = queue.Queue()
        sites = {version: Site(version) for version in VERSIONS}

        def serve_as(version: str) -> Callable[[socket.socket], None]:
            def serve(connection: socket.socket) -> None:
                origin, header = take_header(connection)
                assert origin.source is not None
                assert origin.source.host == LOOPBACK
                assert header.startswith(b"PROXY TCP4 ") == (version == "v1")
                told.put(origin.source.port)
                sites[version](connection)

            return serve

        self.start_vhost()
        proxies = [
            self.proxy(
                version,
                [f"{version}.example"],
                localPort=self.start_service(serve_as(version)).port,
                **{"transport.proxyProtocolVersion": version},
            )
            for version in VERSIONS
        ]
        self.start_client({}, proxies).wait_for("start proxy success", len(proxies))
        for version in VERSIONS:
            with WebUser.dial(self.port) as user:
                self.assertEqual(user.ask(f"{version}.example").told.site, version)
                self.assertEqual(told.get(timeout=PATIENCE_S), user.connection.getsockname()[1])
                self.assertEqual(user.ask(f"{version}.example").told.connection, 1)
            self.assertEqual(self.ask(f"{version}.example").told.connection, 1)
        self.assertTrue(told.empty())

    def test_health(self) -> None:
        """A site is there while its service is well: what is kept of it does not outlive it."""
        web = WebService(BUSY)
        service = self.start_service(web.serve)
        self.start_vhost()
        checks = {"type": "http", "path": "/health", "timeoutSeconds": UNHURRIED_S, "intervalSeconds": 1}
        proxy = self.proxy("a", ["a.example"], localPort=service.port, healthCheck=checks)
        client = self.start_client({}, [proxy])
        for times in (1, 2):
            self.wait_for_status(404)
            web.answer = named("y")
            client.wait_for("start proxy success", times)
            self.assertEqual(self.ask("a.example").body, b"yyyy")
            web.answer = BUSY

    def wait_for_status(self, status: int) -> None:
        """Asks until this is the answer."""
        deadline = time.monotonic() + PATIENCE_S
        while self.ask("a.example").status != status:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(PAUSE_S)

    def test_many(self) -> None:
        """Users at once get their own answers, also while others leave in the middle of theirs."""
        self.start_vhost()
        self.start_client({}, [self.proxy("a", ["a.example"])]).wait_for("start proxy success")

        def leave(user: WebUser) -> None:
            user.connection.sendall(
                b"GET /?chunked=%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % (16 * EACH_WAY_BYTES)
            )
            receive_exactly(user.connection, PIECE_BYTES)
            reset(user.connection)

        def ask_on(number: int) -> None:
            with WebUser.dial(self.port) as user:
                for turn in range(REQUESTS):
                    target, count = f"/{number}/{turn}", 1000 * number + turn
                    if turn % 3:
                        told = user.ask("a.example", target).told
                        self.assertEqual((told.target, told.bytes), (target, 0))
                    elif turn % 2:
                        length = ("Content-Length", f"{count}")
                        told = user.ask("a.example", target, length, method="POST", upload=count).told
                        self.assertEqual((told.target, told.bytes), (target, count))
                    else:
                        answer = user.ask("a.example", f"{target}?chunked={count}")
                        self.assertEqual(answer.body, FROM_SERVICE.at(0, count))
                if number % 3 == 0:
                    leave(user)

        with ThreadPoolExecutor(USERS) as users:
            list(users.map(ask_on, range(USERS)))
        self.assertEqual(self.ask("a.example").status, 200)

    def test_limited(self) -> None:
        """What a limit of bandwidth holds up arrives whole, on either side; other sites are not held up."""
        self.start_vhost()
        proxies = [
            self.proxy(
                mode,
                [f"{mode}.example"],
                **{"transport.bandwidthLimit": "4MB", "transport.bandwidthLimitMode": mode},
            )
            for mode in ("client", "server")
        ]
        self.start_client({}, proxies).wait_for("start proxy success", len(proxies))
        for mode in ("client", "server"):
            expected = FROM_SERVICE.at(0, EACH_WAY_BYTES - 1)
            self.assertEqual(self.ask(f"{mode}.example", f"/?chunked={len(expected)}").body, expected)
            with WebUser.dial(self.port) as user:
                length = ("Content-Length", f"{EACH_WAY_BYTES}")
                answer = user.ask(f"{mode}.example", "/", length, method="PUT", upload=EACH_WAY_BYTES)
            self.assertEqual(answer.told.bytes, EACH_WAY_BYTES)


class FrpcTests(OursTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsTests(OursTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
    server_is_ours = False


def frames(connection: socket.socket, protocol: FrameProtocol, count: int) -> list[Any]:
    """What so many frames of a WebSocket say, or fewer if there is one that closes."""
    said: list[Any] = []
    while True:
        for frame in protocol.received_frames():
            said.append(frame.opcode.name.encode() if frame.opcode is Opcode.CLOSE else frame.payload)
            if len(said) == count or frame.opcode is Opcode.CLOSE:
                return said
        data = connection.recv(PIECE_BYTES)
        assert data, said
        protocol.receive_bytes(data)


def say_nothing(connection: socket.socket) -> None:
    """A service that only listens."""
    end_of(connection)


def greet(connection: socket.socket) -> None:
    """A service that speaks first, and then only listens."""
    connection.sendall(GREETING)
    end_of(connection)


class StreamTests(HttpTestCase):
    """What lasts longer than the server waits for an answer."""

    def setUp(self) -> None:
        """Starts a server and a client, with a service that never answers."""
        super().setUp()
        self.start_vhost({"vhostHTTPTimeout": ANSWER_S})
        self.start_stream("silent.example", say_nothing)

    def start_stream(self, domain: str, serve: Callable[[socket.socket], None]) -> None:
        """A service."""
        proxy = self.proxy(domain, [domain], localPort=self.start_service(serve).port)
        self.start_client({}, [proxy]).wait_for("start proxy success")

    def outlast(self) -> None:
        """Lets pass what the server waits for an answer; somebody else who asks now gets none."""
        self.assertEqual(self.ask("silent.example").status, 504)

    def test_lasting(self) -> None:
        """A WebSocket and a stream of events last, both at once, however long nobody says anything."""
        with ThreadPoolExecutor(2) as users:
            for each in [users.submit(self.check_websocket), users.submit(self.check_events)]:
                each.result()

    def check_websocket(self) -> None:
        """A WebSocket has its frames, all in order."""
        heard: list[bytes] = []
        words = [b"frame %d" % number for number in range(FRAMES)]
        head = (
            b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        )

        def serve(connection: socket.socket) -> None:
            heard.append(take_head(connection))
            protocol = FrameProtocol(client=False, extensions=[])
            connection.sendall(head)
            for word in words:
                heard.extend(frames(connection, protocol, 1))
                connection.sendall(protocol.send_data(word))
            connection.sendall(protocol.close())
            end_of(connection)

        self.start_stream("socket.example", serve)
        with dial(self.port) as user:
            user.sendall(
                b"GET /chat HTTP/1.1\r\nHost: socket.example\r\nConnection: keep-alive, UPGRADE\r\n"
                b"Upgrade: WEBsocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            _, *lines = take_head(user).lower().split(b"\r\n")
            self.assertEqual(sorted(lines), sorted(head.lower().split(b"\r\n")[1:]))
            protocol = FrameProtocol(client=True, extensions=[])
            for at, word in enumerate(words):
                if at == FRAMES // 2:
                    self.outlast()
                user.sendall(protocol.send_data(word.upper()))
                self.assertEqual(frames(user, protocol, 1), [word])
            self.assertEqual(frames(user, protocol, 1), [b"CLOSE"])
        request = heard.pop(0).lower()
        for line in (b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13"):
            self.assertIn(b"\r\n" + line + b"\r\n", request)
        self.assertEqual(heard, [word.upper() for word in words])

    def check_events(self) -> None:
        """Each event of a stream of them is there before the next one happens."""
        seen = threading.Semaphore(0)

        def serve(connection: socket.socket) -> None:
            take_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            for number in range(FRAMES):
                connection.sendall(b"data: %d\n\n" % number)
                assert seen.acquire(timeout=PATIENCE_S)

        self.start_stream("events.example", serve)
        with WebUser.dial(self.port) as user:
            for number, event in enumerate(user.events("events.example")):
                self.assertEqual(event, b"data: %d\n\n" % number)
                if number == FRAMES // 2:
                    self.outlast()
                seen.release()
            self.assertEqual(number, FRAMES - 1)

    def test_refused_upload(self) -> None:
        """Who sends more than a service wants reads that, before and after it has begun to send."""

        def serve(connection: socket.socket) -> None:
            head = take_head(connection)
            if b"GET /begun " in head or b"POST /begun " in head:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                receive_exactly(connection, PIECE_BYTES)
            connection.sendall(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
            connection.shutdown(socket.SHUT_WR)
            end_of(connection)

        self.start_stream("a.example", serve)
        fields = (("Transfer-Encoding", "chunked"), ("Expect", "100-continue"))
        for target, interim in (("/", ()), ("/begun", (100,))):
            with WebUser.dial(self.port) as user:
                answer = user.ask("a.example", target, *fields, method="POST", upload=UPLOAD_BYTES)
                self.assertEqual((answer.status, answer.body), (413, b"much"))
                if self.server_is_ours:
                    self.assertEqual(answer.interim, interim)


class FrpcStreamTests(StreamTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsStreamTests(StreamTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
    server_is_ours = False


class RefusedTests(HttpTestCase):
    """Proxies that may not be, at our server and at frp's, of both clients."""

    skip = missing_frp()

    def test_refused(self) -> None:
        """Who asks for what another one has is refused in the same words, and nothing else changes."""
        for server in (self.server_command, frp_command("frps")):
            self.start_vhost(command=server)
            first = [
                self.proxy("first", ["a.example"], locations=["/a", "/b"]),
                self.proxy("user", ["a.example"], routeByHTTPUser="u"),
            ]
            holder = self.start_client({}, first)
            holder.wait_for("start proxy success", 2)
            for domains, change, text in (
                (["A.example"], {"locations": ["/c", "/b"]}, "router config conflict"),
                (["b.example", "a.example"], {"routeByHTTPUser": "u"}, "router config conflict"),
                ([], {"subdomain": "one"}, "subdomain is not supported"),
            ):
                for command in (self.client_command, frp_command("frpc")):
                    client = self.start_client({}, [self.proxy("other", domains, **change)], command=command)
                    client.wait_for(text)
                    client.stop()
            for host, target, fields, status in (
                ("a.example", "/a", (), 200),
                ("a.example", "/c", (), 404),
                ("b.example", "/", (basic("u:"),), 404),
                ("a.example", "/", (basic("u:"),), 200),
            ):
                self.assertEqual(self.ask(host, target, *fields).status, status, (server, host, target))
            self.bind_port, self.port = free_ports(2)

    def test_off(self) -> None:
        """A server without the port says so to who registers such a proxy."""
        self.start_server()
        for command in (self.client_command, frp_command("frpc")):
            client = self.start_client({}, [self.proxy("a", ["a.example"])], command=command)
            client.wait_for("type [http] not supported when vhost http port is not set")
            client.stop()


class SharedPortTests(HttpTestCase):
    """The port of the sites is one that others have, too."""

    skip = missing_frp()

    def check(self, server: Sequence[str], client: Sequence[str], table: Table = NOTHING) -> None:
        """A site, and one that has TLS of its own, of a client that dials the same port."""
        self.start_vhost(table, command=server)
        proxies = [self.proxy("a", ["a.example"])]
        if "vhostHTTPSPort" in table:
            secure = {"name": "b", "type": "https", "localPort": self.start_service(greet).port}
            proxies.append({**secure, "customDomains": ["a.example"]})
        # Else its own TLS would be a user's.
        first_byte = {"transport.tls.disableCustomTLSFirstByte": False}
        publishing = self.start_client(first_byte, proxies, command=client)
        publishing.wait_for("start proxy success", len(proxies))
        for method in ("GET", "POST", "OPTIONS", "PATCH"):
            with WebUser.dial(self.port) as user:
                told = user.ask("a.example", "/", method=method).told
                self.assertEqual((told.site, told.method), ("a", method))
        with WebUser.dial(self.port) as user:
            self.assertEqual(user.ask("a.example:1", "a.example:1", method="CONNECT").status, 200)
            self.check_tunnel(user, b"")
        self.assertEqual(self.ask("b.example").status, 404)
        if "vhostHTTPSPort" in table:
            with dial(table["vhostHTTPSPort"]) as user_of_tls:
                user_of_tls.sendall(records(client_hello(b"a.example")))
                self.assertEqual(receive_exactly(user_of_tls, len(GREETING)), GREETING)

    def check_bind_port(self, server: Sequence[str], client: Sequence[str]) -> None:
        """It is the one that clients dial, which those with TLS may have, too."""
        for secure in (None, free_port(), self.bind_port):
            self.port = self.bind_port
            self.check(server, client, {} if secure is None else {"vhostHTTPSPort": secure})
            self.stop_programs()

    def test_ours(self) -> None:
        """Both ends are ours."""
        self.check_bind_port(self.server_command, self.client_command)

    def test_frpc(self) -> None:
        """Frp's client at our server."""
        self.check_bind_port(self.server_command, frp_command("frpc"))

    def test_frps(self) -> None:
        """Our client at frp's server."""
        self.check_bind_port(frp_command("frps"), self.client_command)

    def test_with_tls(self) -> None:
        """Our server lets sites share a port with those that have TLS of their own, and with nobody else."""
        for command in (self.client_command, frp_command("frpc")):
            self.check(self.server_command, command, {"vhostHTTPSPort": self.port})
            self.stop_programs()


class GroupTests(HttpTestCase):
    """Members of a group that are ours and frp's."""

    skip = missing_frp()

    def join(self, name: str, command: Sequence[str], table: Table = NOTHING, **more: object) -> Program:
        """A client with a member."""
        member = self.proxy(name, ["a.example"], **more)
        balancer = {"loadBalancer.group": "g", "loadBalancer.groupKey": "k"}
        client = self.start_client(table, [{**balancer, **member}], command=command)
        client.wait_for("start proxy success")
        return client

    def check_turns(self, server: Sequence[str]) -> None:
        """Each request is another member's, also those of one connection, whichever client a member is of."""
        self.start_vhost(command=server)
        frpc = frp_command("frpc")
        # Ours asks for a password to be written out, also an empty one.
        asked: Table = {"httpUser": "u", "httpPassword": ""}
        self.join("ours-v1", self.client_command, {"transport.wireProtocol": "v1"}, **asked)
        for wire in ("v1", "v2"):
            self.join(f"frpc-{wire}", frpc, {"transport.wireProtocol": wire}, httpUser="u")
        self.join("ours-v2", self.client_command, **asked)
        everyone = {"ours-v1", "frpc-v1", "frpc-v2", "ours-v2"}
        with WebUser.dial(self.port) as user:
            self.wait_for_all(everyone, lambda: user.ask("a.example", "/", basic("u:")))
        self.wait_for_all(everyone, lambda: self.ask("a.example", "/", basic("u:")))

    def wait_for_all(self, sites: set[str], ask: Callable[[], Answer]) -> None:
        """Asks until each of these has answered; nobody else may.

        Who takes long on a busy machine is passed over for a while.
        """
        deadline = time.monotonic() + PATIENCE_S
        seen: set[str] = set()
        while seen != sites:
            self.assertLess(time.monotonic(), deadline, seen)
            seen.add(ask().told.site)
            self.assertLessEqual(seen, sites)

    def test_ours(self) -> None:
        """At our server, where members have their own rules, too."""
        self.check_turns(self.server_command)

    def test_frps(self) -> None:
        """At frp's server."""
        self.check_turns(frp_command("frps"))

    def test_refused(self) -> None:
        """Who does not fit is told so in the same words, whichever client and whichever server it is."""
        for server in (self.server_command, frp_command("frps")):
            self.start_vhost(command=server)
            self.join("first", self.client_command)
            for change, text in (
                ({"customDomains": ["b.example"]}, "group params invalid"),
                ({"locations": ["/x"]}, "group params invalid"),
                ({"routeByHTTPUser": "u"}, "group params invalid"),
                ({"customDomains": ["a.example", "b.example"]}, "group params invalid"),
                ({"loadBalancer.groupKey": "?"}, "group auth failed"),
                ({"loadBalancer.group": ""}, "router config conflict"),
            ):
                for command in (self.client_command, frp_command("frpc")):
                    other = {
                        **self.proxy("other", ["a.example"], localPort=1),
                        **{"loadBalancer.group": "g", "loadBalancer.groupKey": "k", **change},
                    }
                    client = self.start_client({}, [other], command=command)
                    client.wait_for(text)
                    client.stop()
            self.assertEqual([self.ask("a.example").told.site for _ in range(3)], 3 * ["first"])
            self.bind_port, self.port = free_ports(2)

    def test_dead_members(self) -> None:
        """Nobody who may ask again notices a member without a service, or one whose client is gone."""
        self.start_vhost()
        for name, command in (("frpc", frp_command("frpc")), ("ours", self.client_command)):
            self.join(f"{name}-down", command, localPort=free_port())
            self.join(f"{name}-up", command)
        killed = self.join("killed", frp_command("frpc"))
        self.wait_for_all({"frpc-up", "ours-up", "killed"}, lambda: self.ask("a.example"))
        killed.kill()
        for _ in range(2):
            self.wait_for_all({"frpc-up", "ours-up"}, lambda: self.ask("a.example"))


class CurlTests(HttpTestCase):
    """Curl, which asks for sites in every version of HTTP, and takes the server for a proxy."""

    def setUp(self) -> None:
        """Publishes a site that is for some users only."""
        super().setUp()
        need("curl")
        self.start_vhost()
        proxies = [
            self.proxy("a", ["a.example"], httpUser="u", httpPassword="p"),
            self.proxy("down", ["b.example"], localPort=free_port()),
        ]
        self.start_client({}, proxies).wait_for("start proxy success", 2)

    def curl(self, *arguments: str) -> tuple[int, str, bytes]:
        """The status, the version of HTTP, and the body."""
        done = subprocess.run(
            ("curl", "-sS", "-o", "-", "-w", "\n%{http_code} %{http_version}", *arguments),
            # Without the settings and the proxies of whoever runs these tests.
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=True,
        )
        body, _, last = done.stdout.rpartition(b"\n")
        status, version = last.decode().split()
        return int(status), version, body

    def check_version(self, option: str, version: str) -> None:
        """A page, an upload and what is refused, in this version of HTTP."""
        upload = self.folder / "upload"
        upload.write_bytes(FROM_USER.at(0, EACH_WAY_BYTES - 1))
        to = ("--connect-to", f"::{LOOPBACK}:{self.port}", option)
        for more, status in (
            (("-u", "u:p", "http://a.example/page"), 200),
            (("-u", "u:p", "-T", str(upload), "http://a.example/page"), 200),
            (("-u", "u:x", "http://a.example/page"), 401),
            (("http://b.example/",), 502),
            (("http://c.example/",), 404),
        ):
            found, spoken, body = self.curl(*to, *more)
            self.assertEqual((found, spoken), (status, version), more)
            if status == 200:
                told = json.loads(body)
                self.assertEqual((told["site"], told["target"]), ("a", "/page"))
                self.assertEqual(told["bytes"], EACH_WAY_BYTES - 1 if "-T" in more else 0)

    def test_1_0(self) -> None:
        """HTTP/1.0, which the server answers by its own version."""
        self.check_version("--http1.0", "1.1")

    def test_1_1(self) -> None:
        """HTTP/1.1."""
        self.check_version("--http1.1", "1.1")

    def test_2(self) -> None:
        """HTTP/2 with prior knowledge."""
        if b"HTTP2" not in subprocess.check_output(("curl", "--version")):
            raise SkipTest("this curl does not speak HTTP/2")
        self.check_version("--http2-prior-knowledge", "2")

    def test_forward_proxy(self) -> None:
        """As a proxy of curl's it wants to know the user for itself."""
        by = ("-x", f"http://{LOOPBACK}:{self.port}")
        for more, status in ((("-U", "u:p"), 200), (("-U", "u:x"), 407), (("-u", "u:p"), 407)):
            found, _, body = self.curl(*by, *more, "http://a.example/page")
            self.assertEqual(found, status, more)
            if status == 200:
                self.assertEqual(json.loads(body)["target"], "http://a.example/page")


class FrpcCurlTests(CurlTests):
    """The site is one of frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")

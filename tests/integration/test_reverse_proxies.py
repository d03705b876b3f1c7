"""Reverse proxies within a client, on real sockets: at our server and at frp's, and frp's own beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping

from twisted.trial.unittest import SkipTest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request

from tests.integration.certificates import Authority, Certified
from tests.integration.http2_user import Http2User
from tests.integration.programs import PATIENCE_S, Program, free_ports, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.traffic import FROM_SERVICE, LOOPBACK, PIECE_BYTES, dial
from tests.integration.walkthrough import need
from tests.integration.web import Site, WebUser

KINDS = ("http2http", "http2https", "https2http", "https2https")

HOST = "a.example"

FORGED = (("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Host", "fh"), ("X-Forwarded-Proto", "fp"))

TOLD: Mapping[str, tuple[str | None, ...]] = {
    "http2http": (None, None, None),
    "http2https": ("1.1.1.1", "fh", "fp"),
    "https2http": (f"1.1.1.1, {LOOPBACK}", HOST, "https"),
    "https2https": (f"1.1.1.1, {LOOPBACK}", HOST, "https"),
}
"""What services are told of a user who sends :data:`FORGED`."""

LARGE_BYTES = 1024 * 1024

LARGE = b"".join(FROM_SERVICE.at(at, PIECE_BYTES) for at in range(0, LARGE_BYTES, PIECE_BYTES))

ENDLESS_BYTES = 64 * 1024 * 1024
"""More than all buffers between a service and a user who reads nothing."""

STREAMS = 8


def secured_to(connection: socket.socket, name: str, *protocols: str) -> ssl.SSLSocket:
    """The same within TLS, with whoever has this name; nothing of their certificate is verified."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context.wrap_socket(connection, server_hostname=name)


def serve_websocket(connection: socket.socket) -> None:
    """Serves a user of WebSocket: says again whatever they say."""
    server = WSConnection(ConnectionType.SERVER)
    while data := connection.recv(PIECE_BYTES):
        server.receive_data(data)
        for event in server.events():
            if isinstance(event, Request):
                connection.sendall(server.send(AcceptConnection()))
            elif isinstance(event, BytesMessage):
                connection.sendall(server.send(BytesMessage(b">" + event.data)))
            elif isinstance(event, CloseConnection):
                connection.sendall(server.send(event.response()))
                return


def converse_by_websocket(connection: socket.socket, said: bytes) -> bytes:
    """What is answered to a message."""
    user = WSConnection(ConnectionType.CLIENT)
    connection.sendall(user.send(Request(host=HOST, target="/")))
    while data := connection.recv(PIECE_BYTES):
        user.receive_data(data)
        for event in user.events():
            if isinstance(event, AcceptConnection):
                connection.sendall(user.send(BytesMessage(said)))
            elif isinstance(event, BytesMessage):
                connection.sendall(user.send(CloseConnection(code=1000)))
                return bytes(event.data)
    raise AssertionError("the connection ended")


def secured(serve: Callable[[socket.socket], None], shown: Certified) -> Callable[[socket.socket], None]:
    """The same service behind TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate, shown.key)

    def serve_within(connection: socket.socket) -> None:
        # Who does not trust it, or has no more to ask, leaves.
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError),
            context.wrap_socket(connection, server_side=True) as within,
        ):
            serve(within)

    return serve_within


class ReverseProxyTestCase(RelayTestCase):
    """A client with all of them, in front of a site, and of the same behind TLS."""

    client: Program

    def setUp(self) -> None:
        """Starts what is needed."""
        super().setUp()
        self.authority = Authority(self.folder)
        self.shown = self.authority.certify(HOST, [LOOPBACK])
        site = Site("inner")
        plain = self.start_service(site)
        secure = self.start_service(secured(site, self.shown))
        self.services = {kind: (secure if kind.endswith("https") else plain).port for kind in KINDS}
        self.ports = dict(zip(KINDS, free_ports(len(KINDS)), strict=True))

    def start_client_with(self, more: Table = NOTHING, **of_kind: Table) -> None:
        """Publishes the services at ports of the server, with further keys of the plugins."""
        self.start_server()
        self.client = self.start_client(
            proxies=[
                {
                    "name": kind,
                    "type": "tcp",
                    "remotePort": self.ports[kind],
                    "plugin.type": kind,
                    "plugin.localAddr": f"{LOOPBACK}:{self.services[kind]}",
                    **more,
                    **of_kind.get(kind, {}),
                }
                for kind in KINDS
            ]
        )
        self.client.wait_for("start proxy success", len(KINDS))

    @contextlib.contextmanager
    def connect(self, kind: str, *protocols: str) -> Iterator[socket.socket]:
        """A user's connection, within TLS where that is spoken."""
        with dial(self.ports[kind]) as connection:
            if not kind.startswith("https"):
                yield connection
                return
            with secured_to(connection, HOST, *protocols) as within:
                yield within

    @contextlib.contextmanager
    def user(self, kind: str) -> Iterator[WebUser]:
        """One who speaks HTTP/1.1."""
        with self.connect(kind, "http/1.1") as connection:
            yield WebUser(connection)


class ReverseProxyTests(ReverseProxyTestCase):
    """Our client at our server."""

    def test_told(self) -> None:
        """What services are told of users, and what is changed, is as with frp; connections serve again."""
        self.start_client_with(
            {"plugin.hostHeaderRewrite": "b.example", "plugin.requestHeaders.set.X-From": "outside"}
        )
        for kind in KINDS:
            with self.user(kind) as user:
                for _ in range(2):
                    told = user.ask(HOST, "/x?y", *FORGED, ("X-From", "user"), ("Forwarded", "for=1")).told
                    names = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
                    self.assertEqual(tuple(map(told.get, names)), TOLD[kind], kind)
                    self.assertEqual((told.get("host"), told.get("x-from")), ("b.example", "outside"))
                    self.assertEqual((told.target, told.get("forwarded")), ("/x?y", None))
            with self.user(kind) as user:
                self.assertLessEqual(user.ask(HOST).told.connection, told.connection, kind)

    def test_bodies(self) -> None:
        """Large bodies go both ways, with a length and in chunks, and after leave to send them."""
        self.start_client_with()
        for kind in KINDS:
            with self.user(kind) as user:
                for framing in ("length", "chunked"):
                    answer = user.ask(HOST, f"/?{framing}={LARGE_BYTES}")
                    self.assertTrue(answer.body == LARGE, kind)
                for fields in (
                    [("Content-Length", str(LARGE_BYTES))],
                    [("Transfer-Encoding", "chunked")],
                    [("Content-Length", str(LARGE_BYTES)), ("Expect", "100-continue")],
                ):
                    answer = user.ask(HOST, "/", *fields, method="POST", upload=LARGE_BYTES)
                    self.assertEqual(answer.told.bytes, LARGE_BYTES, kind)

    def test_http2(self) -> None:
        """Many are asked at once by HTTP/2, where it is offered."""
        self.start_client_with(https2https={"plugin.enableHTTP2": False})
        with self.connect("https2http", "h2", "http/1.1") as connection:
            assert isinstance(connection, ssl.SSLSocket)
            self.assertEqual(connection.selected_alpn_protocol(), "h2")
            user = Http2User(connection)
            for answer in user.take(*(user.ask(HOST) for _ in range(STREAMS))):
                self.assertEqual(answer.told.get("x-forwarded-proto"), "https")
            large = [user.ask(HOST, f"/?length={LARGE_BYTES}") for _ in range(2)]
            for answer in user.take(*large):
                self.assertTrue(answer.body == LARGE)
            [answer] = user.take(user.ask(HOST, "/", method="POST", sends=LARGE_BYTES))
            self.assertEqual(answer.told.bytes, LARGE_BYTES)
        with self.connect("https2https", "h2", "http/1.1") as connection:
            assert isinstance(connection, ssl.SSLSocket)
            self.assertEqual(connection.selected_alpn_protocol(), "http/1.1")

    def test_websocket(self) -> None:
        """A client of WebSocket speaks with a server of it."""
        port = self.start_service(serve_websocket).port
        self.services["http2http"] = self.services["https2http"] = port
        self.start_client_with()
        for kind in ("http2http", "https2http"):
            with self.connect(kind) as connection:
                self.assertEqual(converse_by_websocket(connection, b"hello"), b">hello")

    def test_errors(self) -> None:
        """A service that hangs up, or is not there, is a bad gateway; hosts other than in TLS are refused."""
        [dead] = free_ports(1)
        self.services["http2https"] = dead
        self.start_client_with()
        with self.user("http2http") as user:
            self.assertEqual(user.ask(HOST, "/?drop").status, 502)
        with self.user("http2https") as user:
            self.assertEqual(user.ask(HOST).status, 502)
        with self.user("https2http") as user:
            self.assertEqual(user.ask("b.example").status, 421)
            self.assertEqual(user.ask(f"{HOST}:8443").status, 200)
        with dial(self.ports["https2http"]) as connection:
            self.assertEqual(WebUser(connection).ask(HOST).status, 400)

    def test_curl(self) -> None:
        """What curl gets, by each version."""
        if (curl := shutil.which("curl")) is None:
            raise SkipTest("curl is not installed")
        self.start_client_with()
        for kind in KINDS:
            is_secure = kind.startswith("https")
            url = f"{'https' if is_secure else 'http'}://{HOST}:{self.ports[kind]}/?length={LARGE_BYTES}"
            for version in ("1.1", "2")[: 1 + is_secure]:
                said = subprocess.run(
                    [
                        *(curl, "-sSk", f"--http{version}", "--resolve"),
                        *(f"{HOST}:{self.ports[kind]}:{LOOPBACK}", "-o", os.devnull),
                        *("-w", "%{http_version} %{http_code} %{size_download}", url),
                    ],
                    env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_S,
                    check=True,
                ).stdout
                self.assertEqual(said, f"{version} 200 {LARGE_BYTES}")


class OursTests(ReverseProxyTestCase):
    """What frp has not."""

    def test_certificate(self) -> None:
        """Users are shown the certificate of the files, also when they have changed."""
        files = {"plugin.crtPath": str(self.shown.certificate), "plugin.keyPath": str(self.shown.key)}
        self.start_client_with(https2http=files)
        context = ssl.create_default_context(cafile=str(self.authority.file))

        def shown() -> bytes:
            with context.wrap_socket(dial(self.ports["https2http"]), server_hostname=HOST) as user:
                return user.getpeercert(binary_form=True) or b""

        first = shown()
        self.authority.certify(HOST, [LOOPBACK])
        self.wait_for_it(lambda: shown() != first)

    def test_verified(self) -> None:
        """A service whose certificate others have signed is asked nothing, if authorities are named."""
        (self.folder / "others").mkdir()
        others = Authority(self.folder / "others", "others")
        self.start_client_with(
            http2https={"plugin.trustedCaFile": str(self.authority.file)},
            https2https={"plugin.trustedCaFile": str(others.file)},
        )
        with self.user("http2https") as user:
            self.assertEqual(user.ask(HOST).status, 200)
        with self.user("https2https") as user:
            self.assertEqual(user.ask(HOST).status, 502)
        self.client.wait_for("is not signed by a trusted CA")

    def test_slow(self) -> None:
        """Who reads nothing costs little memory and nobody else's time."""
        self.start_client_with()
        with contextlib.ExitStack() as stack:
            for kind in KINDS:
                with self.user(kind) as user:
                    user.ask(HOST)
            before = self.client.resident_bytes()
            for kind in KINDS:
                slow = stack.enter_context(self.connect(kind))
                slow.sendall(b"GET /?length=%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % ENDLESS_BYTES)
            with self.user("http2http") as user:
                self.assertEqual(len(user.ask(HOST, f"/?length={ENDLESS_BYTES}").body), ENDLESS_BYTES)
            self.assertLess(self.client.peak_resident_bytes() - before, ENDLESS_BYTES)


class VhostTests(ReverseProxyTestCase):
    """Behind the ports that sites share."""

    def test_hosts(self) -> None:
        """A site of type ``http`` or ``https`` leads to its reverse proxy."""
        need("curl")
        plain_port, secure_port = free_ports(2)
        self.start_server({"vhostHTTPPort": plain_port, "vhostHTTPSPort": secure_port})
        client = self.start_client(
            proxies=[
                {
                    "name": kind,
                    "type": kind.partition("2")[0],
                    "customDomains": [f"{kind}.example"],
                    "plugin.type": kind,
                    "plugin.localAddr": f"{LOOPBACK}:{self.services[kind]}",
                }
                for kind in KINDS
            ]
        )
        client.wait_for("start proxy success", len(KINDS))
        for kind in KINDS:
            self.ports[kind] = secure_port if kind.startswith("https") else plain_port
            with dial(self.ports[kind]) as connection:
                if kind.startswith("https"):
                    connection = secured_to(connection, f"{kind}.example")
                told = WebUser(connection).ask(f"{kind}.example", "/x").told
                expected = None if kind == "http2http" else LOOPBACK
                self.assertEqual((told.get("x-forwarded-for"), told.target), (expected, "/x"), kind)
                connection.close()


class FrpsTests(ReverseProxyTests):
    """Our client at frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")


class FrpsVhostTests(VhostTests):
    """The same for sites."""

    skip = missing_frp()
    server_command = frp_command("frps")


class FrpcTests(ReverseProxyTests):
    """frp's client at our server: users and services see the same."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpcVhostTests(VhostTests):
    """The same for sites."""

    skip = missing_frp()
    client_command = frp_command("frpc")

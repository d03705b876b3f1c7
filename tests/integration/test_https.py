"""The proxy type ``https`` on real sockets: TLS from end to end, with frp at one end, with real programs."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence

from relaykit.sansio.parsers.client_hello import UNRECOGNIZED_NAME
from relaykit.sansio.parsers.proxy_protocol import PROXY_HEADER, VERSIONS
from tests.integration.certificates import Authority
from tests.integration.programs import PATIENCE_S, Program, free_port, free_ports, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table, Way, every_way
from tests.integration.scenarios import SOME_WEBSOCKETS, test_each
from tests.integration.traffic import (
    FROM_SERVICE,
    FROM_USER,
    LOOPBACK,
    Service,
    dial,
    end_of,
    receive,
    receive_exactly,
    send,
    take_head,
)
from tests.integration.walkthrough import HOST, WalkTestCase, need
from tests.sansio.parsers.hellos import client_hello, records

NAME_BYTES = 16
"""A service says its name first, so long."""

EACH_WAY_BYTES = 1024 * 1024
"""What goes each way then."""


def context_of(authority: Authority, name: str) -> ssl.SSLContext:
    """TLS of a service that has a certificate for this name."""
    certified = authority.certify(name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certified.certificate, certified.key)
    return context


def page(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """A web server with one page."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as user:
            take_head(user)
            user.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

    return serve


class HttpsTestCase(RelayTestCase):
    """Services with certificates of their own, behind one port."""

    def setUp(self) -> None:
        """Makes the authority that users trust."""
        super().setUp()
        self.authority = Authority(self.folder)
        self.port = free_port()

    def start_vhost(self, table: Table = NOTHING) -> Program:
        """A server with the port."""
        return self.start_server({"vhostHTTPSPort": self.port, **table})

    def start_secure(self, name: str, greeting: str = "", announced: bool = False) -> Service:
        """A service with a certificate for this name, which is told before TLS who its user is, or not.

        It says its name, takes so many bytes, and sends as many.
        """
        context = context_of(self.authority, name)
        said = (greeting or name).ljust(NAME_BYTES).encode()

        def serve(connection: socket.socket) -> None:
            if announced:
                data = b""
                while (found := PROXY_HEADER.feed(data)) is None:
                    data += receive_exactly(connection, 1)
                assert found[0].source is not None
                self.announced.append(found[0].source.port)
            with context.wrap_socket(connection, server_side=True) as user:
                user.sendall(said)
                receive(user, FROM_USER, EACH_WAY_BYTES)
                send(user, FROM_SERVICE, EACH_WAY_BYTES)
                end_of(user)

        self.announced: list[int] = []
        return self.start_service(serve)

    def proxy(self, name: str, service: Service, domains: Sequence[str], **more: object) -> Table:
        """The table of a proxy."""
        return {
            "name": name,
            "type": "https",
            "localPort": service.port,
            "customDomains": list(domains),
            **more,
        }

    def visit(self, name: str) -> str:
        """What the service that a user gets by this name calls itself, after much has gone both ways.

        The user trusts the service alone: what the server could read of it, it would have to forge.
        """
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with context.wrap_socket(dial(self.port), server_hostname=name) as user:
            said = receive_exactly(user, NAME_BYTES)
            send(user, FROM_USER, EACH_WAY_BYTES)
            receive(user, FROM_SERVICE, EACH_WAY_BYTES)
        return said.decode().strip()

    def answer_to(self, data: bytes) -> bytes:
        """All that comes back to who says this."""
        with dial(self.port) as user:
            user.sendall(data)
            return end_of(user)

    def check_traffic(self, way: Way) -> None:
        """Users get the service whose name they ask for, end to end; who asks for another is told by TLS."""
        one, two = self.start_secure("one.example"), self.start_secure("a.two.example")
        self.start_vhost({**way.server(self.bind_port), "subDomainHost": "sub.example"})
        client = self.start_client(
            way.client,
            [
                self.proxy("one", one, ["one.example"], subdomain="one", **way.flow),
                self.proxy("two", two, ["*.two.example"], **way.flow),
            ],
        )
        client.wait_for("start proxy success", 2)
        self.assertEqual(self.visit("one.example"), "one.example")
        self.assertEqual(self.visit("a.two.example"), "a.two.example")
        for name in (b"two.example", b"example", b""):
            self.assertEqual(self.answer_to(records(client_hello(name))), UNRECOGNIZED_NAME)
        self.assertEqual(self.answer_to(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n"), b"")


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3]))
class OursTests(HttpsTestCase):
    """Both ends are ours."""

    def test_cut(self) -> None:
        """A hello is understood however it is cut, into segments or TLS records; the service gets it all."""
        seen: list[bytes] = []

        def note(connection: socket.socket) -> None:
            seen.append(end_of(connection))

        service = self.start_service(note)
        self.start_vhost()
        self.start_client({}, [self.proxy("one", service, ["one.example"])]).wait_for("start proxy success")
        sent = []
        # Byte by byte where a slow machine is through before the server has waited for long enough.
        for size, cuts, segments in itertools.product((250, 1700, 9000), ((), (1, 90)), (250, 15, 1)):
            segment = max(1, size // segments)
            hello = records(client_hello(b"ONE.example", size=size), cuts)
            sent.append(hello)
            with dial(self.port) as user:
                for begin in range(0, len(hello), segment):
                    user.sendall(hello[begin : begin + segment])
                user.shutdown(socket.SHUT_WR)
                end_of(user)
        service.wait_served(len(sent))
        self.assertEqual(sorted(seen), sorted(sent))

    def test_announced(self) -> None:
        """A service is told in front of TLS where its user comes from."""
        for version in VERSIONS:
            with self.subTest(version):
                name = f"{version}.example"
                service = self.start_secure(name, announced=True)
                if version == VERSIONS[0]:
                    self.start_vhost()
                proxy = self.proxy(version, service, [name])
                announced = {**proxy, "transport.proxyProtocolVersion": version}
                self.start_client({}, [announced]).wait_for("start proxy success")
                context = ssl.create_default_context(cafile=str(self.authority.file))
                with context.wrap_socket(dial(self.port), server_hostname=name) as user:
                    receive_exactly(user, NAME_BYTES)
                    self.assertEqual(self.announced, [user.getsockname()[1]])
                    send(user, FROM_USER, EACH_WAY_BYTES)
                    receive(user, FROM_SERVICE, EACH_WAY_BYTES)

    def test_off(self) -> None:
        """A server without the port says so to who registers such a proxy."""
        self.start_server()
        client = self.start_client({}, [self.proxy("one", self.start_service(), ["one.example"])])
        client.wait_for("type [https] not supported when vhost https port is not set")

    def test_curl(self) -> None:
        """Curl loads a page, and is told that a name is not there."""
        need("curl")
        service = self.start_service(page(context_of(self.authority, "one.example")))
        self.start_vhost()
        client = self.start_client({}, [self.proxy("one", service, ["one.example"])])
        client.wait_for("start proxy success")
        status, output = self.run_program(
            *("curl", "-sS", "--cacert", str(self.authority.file)),
            *("--connect-to", f"::{LOOPBACK}:{self.port}", "https://one.example/"),
        )
        self.assertEqual((status, output), (0, "hello"))
        status, output = self.run_program(
            "curl", "-sS", "--connect-to", f"::{LOOPBACK}:{self.port}", "https://other.example/"
        )
        self.assertEqual(status, 35, output)
        if "OpenSSL" in self.run_program("curl", "--version")[1]:
            self.assertIn("unrecognized name", output)

    def test_openssl(self) -> None:
        """OpenSSL's client gets the service's certificate."""
        need("openssl")
        context = context_of(self.authority, "one.example")

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as user:
                end_of(user)

        self.start_vhost()
        proxy = self.proxy("one", self.start_service(serve), ["one.example"])
        self.start_client({}, [proxy]).wait_for("start proxy success")
        _, output = self.run_program(
            *("openssl", "s_client", "-connect", f"{LOOPBACK}:{self.port}", "-servername", "one.example"),
            *("-CAfile", str(self.authority.file), "-verify_return_error", "-verify_hostname", "one.example"),
        )
        self.assertIn("Verify return code: 0 (ok)", output)

    def run_program(self, *command: str) -> tuple[int, str]:
        """The exit status of a program, and all that it said; it has nobody's settings."""
        done = subprocess.run(
            command,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")


SHARED: Table = {"transport.tls.enable": True, "transport.tls.disableCustomTLSFirstByte": False}
"""Of a client whose server has ``vhostHTTPSPort`` on its bind port, where its own TLS would be a user's."""


class SharedPortTests(HttpsTestCase):
    """The port of the users is the one that clients dial, ours and frp's."""

    skip = missing_frp()

    def setUp(self) -> None:
        """One port for all."""
        super().setUp()
        self.port = self.bind_port

    def check(self, server: Sequence[str], client: Sequence[str]) -> None:
        """Both get through, with ways to begin that tell them apart."""
        service = self.start_secure("one.example")
        self.start_server({"vhostHTTPSPort": self.port}, command=server)
        proxies = [self.proxy("one", service, ["one.example"])]
        self.start_client(SHARED, proxies, command=client).wait_for("start proxy success")
        self.assertEqual(self.visit("one.example"), "one.example")
        self.assertEqual(self.answer_to(records(client_hello(b"other.example"))), UNRECOGNIZED_NAME)

    def test_ours(self) -> None:
        """Both ends are ours."""
        self.check(self.server_command, self.client_command)

    def test_frpc(self) -> None:
        """Frp's client at our server."""
        self.check(self.server_command, frp_command("frpc"))

    def test_frps(self) -> None:
        """Our client at frp's server."""
        self.check(frp_command("frps"), self.client_command)


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3]))
class FrpcTests(HttpsTestCase):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3]))
class FrpsTests(HttpsTestCase):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")


class GroupTests(HttpsTestCase):
    """Members of a group that are ours and frp's, at our server."""

    skip = missing_frp()

    def test_turns(self) -> None:
        """Users get each of them in turn; who asks for another domain, or has another key, is refused."""
        self.start_vhost()
        balancer = {"loadBalancer.group": "g", "loadBalancer.groupKey": "k"}
        for name, command, wire in (
            ("ours", self.client_command, "v2"),
            ("frpc-v1", frp_command("frpc"), "v1"),
            ("frpc-v2", frp_command("frpc"), "v2"),
        ):
            service = self.start_secure("one.example", greeting=name)
            member = {**self.proxy(name, service, ["one.example"]), **balancer}
            client = self.start_client({"transport.wireProtocol": wire}, [member], command=command)
            client.wait_for("start proxy success")
        seen = [self.visit("one.example") for _ in range(6)]
        self.assertEqual(seen, 2 * ["ours", "frpc-v1", "frpc-v2"])
        service = self.start_service()
        for change, text in (
            ({"customDomains": ["two.example"]}, "group params invalid"),
            ({"loadBalancer.groupKey": "?"}, "group auth failed"),
            ({"loadBalancer.group": ""}, "router config conflict"),
        ):
            for command in (self.client_command, frp_command("frpc")):
                other = {**self.proxy("other", service, ["one.example"]), **balancer, **change}
                client = self.start_client({}, [other], command=command)
                client.wait_for(text)
                client.stop()


class EndToEndTests(WalkTestCase):
    """Tests for the howto *TLS from end to end*."""

    def setUp(self) -> None:
        """Starts the server of the howto, and a web server."""
        super().setUp()
        need("curl")
        self.bind_port, self.port = free_ports(2)
        self.authority = Authority(self.folder)
        (self.folder / "token").write_text("5b0ac1f3d80e4c6a97b25d1e3f6478902c4d5e6f")
        self.replace("443", self.port)
        path = self.copy("tls/server.toml")
        here = f'bindAddr = "{LOOPBACK}"\nbindPort = {self.bind_port}\n'
        path.write_text(here + path.read_text())
        server = self.begin("relaykit server -c server.toml")
        server.wait_for("started successfully")
        curl = shutil.which("curl") or ""
        to = f"--connect-to ::{LOOPBACK}:{self.port} --cacert {shlex.quote(str(self.authority.file))}"
        self.command("curl", f'exec {curl} -sS {to} "$@"')

    def begin_line(self, listing: str, name: str) -> Program:
        """Starts a listing for a service that is certified for this name."""
        service = Service(page(context_of(self.authority, name)))
        self.addCleanup(service.stop)
        line = self.listing(listing).replace("8443", str(service.port))
        return self.begin(line.replace(f"--server {HOST}", f"--server {LOOPBACK}:{self.bind_port}"))

    def test_line(self) -> None:
        """One line publishes a web server, and says its URL."""
        self.begin_line("tls/line.sh", "shop.example").wait_for(f"open: https://shop.example:{self.port}/")
        self.assertEqual(self.do(self.listing("tls/use.sh")), "hello")

    def test_subdomain(self) -> None:
        """The same with a name of the server's."""
        line = self.begin_line("tls/subdomain.sh", f"shop.{HOST}")
        line.wait_for(f"open: https://shop.{HOST}:{self.port}/")
        self.assertEqual(self.do(f"curl https://shop.{HOST}/"), "hello")

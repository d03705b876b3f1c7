"""The howtos about sites, followed as a reader would: their files and lines, with curl and nginx."""

from __future__ import annotations

import shlex
import shutil
import socket
import ssl
from collections.abc import Callable

from tests.integration.certificates import Authority
from tests.integration.programs import PATIENCE_S, Program, free_ports
from tests.integration.traffic import LOOPBACK, Service, dial, echo, receive_exactly, take_head
from tests.integration.walkthrough import HOST, WalkTestCase, need

TOKEN = "5b0ac1f3d80e4c6a97b25d1e3f6478902c4d5e6f"
"""The token of the documentation."""

USER = "127.0.0.3"
"""Where a user of these tests comes from."""


def site(name: str) -> Callable[[socket.socket], None]:
    """A web server that answers with its name, the path, and some fields of what it was asked."""

    def serve(connection: socket.socket) -> None:
        lines = take_head(connection).decode().split("\r\n")
        if len(lines) > 1:
            path = lines[0].split()[1]
            told = [line for line in lines if line.startswith(("Host: ", "X-Site: "))]
            page = f"{' '.join([name, path, *told])}\n"
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
            connection.sendall(f"{head}{page}".encode())

    return serve


class SiteHowtoTestCase(WalkTestCase):
    """A server and clients of a howto on the loopback, with its names for a user's curl."""

    def setUp(self) -> None:
        """Chooses the ports."""
        super().setUp()
        need("curl")
        self.bind_port, self.port = free_ports(2)
        (self.folder / "token").write_text(TOKEN)
        self.replace("vhostHTTPPort = 80", f"vhostHTTPPort = {self.port}")
        self.replace(f'serverAddr = "{HOST}"', f'serverAddr = "{LOOPBACK}"\nserverPort = {self.bind_port}')
        self.replace(f"--server {HOST}", f"--server {LOOPBACK}:{self.bind_port}")
        self.have_curl_dial(self.port)

    def have_curl_dial(self, port: int, *more: str) -> None:
        """Leads a user to a port here, whatever the name."""
        options = shlex.join(["--connect-to", f"::{LOOPBACK}:{port}", *more])
        self.command("curl", f'exec {shutil.which("curl")} -sS {options} "$@"')

    def start_service(self, port: str, serve: Callable[[socket.socket], None]) -> None:
        """Starts a web server in the place of the one at this port."""
        service = Service(serve)
        self.addCleanup(service.stop)
        self.replace(port, service.port)

    def begin_server(self, listing: str) -> Program:
        """Starts the server of a listing, here."""
        path = self.copy(listing, "server.toml")
        here = f'bindAddr = "{LOOPBACK}"\n'
        here += "" if "bindPort" in path.read_text() else f"bindPort = {self.bind_port}\n"
        path.write_text(here + path.read_text())
        server = self.begin("relaykit server -c server.toml")
        server.wait_for("started successfully")
        return server

    def begin_client(self, listing: str, proxies: int = 1) -> None:
        """Starts the client of a listing, and waits for its proxies."""
        self.copy(listing, "client.toml")
        self.begin("relaykit client -c client.toml").wait_for("start proxy success", proxies)


class WebsiteTests(SiteHowtoTestCase):
    """Tests for the howto *A website with a domain of your own*."""

    def setUp(self) -> None:
        """Starts the server of the howto, and the website."""
        super().setUp()
        self.start_service("8080", site("shop"))
        self.begin_server("website/server.toml")

    def test_line(self) -> None:
        """One line publishes a website, and says its URL."""
        self.begin(self.listing("website/line.sh")).wait_for(f"http://www.shop.example:{self.port}/")
        self.assertEqual(self.do(self.listing("website/use.sh")), "shop / Host: www.shop.example\n")

    def test_file(self) -> None:
        """A file does the same."""
        self.begin_client("website/client.toml")
        self.assertEqual(self.do(self.listing("website/use.sh")), "shop / Host: www.shop.example\n")


class FolderTests(SiteHowtoTestCase):
    """Tests for the howto *Serve a folder*."""

    def setUp(self) -> None:
        """Starts the server, and makes the folder."""
        super().setUp()
        files = self.folder / "files"
        files.mkdir()
        (files / "handbook.txt").write_text("The handbook.\n")
        self.replace("/srv/files", files)
        self.begin_server("website/server.toml")

    def test_line(self) -> None:
        """One line serves a folder to everybody."""
        self.begin(self.listing("folder/line.sh")).wait_for(f"http://files.shop.example:{self.port}/")
        self.assertEqual(self.do(self.listing("folder/open.sh")), "The handbook.\n")

    def test_file(self) -> None:
        """A file serves it to who has the password, also in parts."""
        self.begin_client("folder/client.toml")
        self.assertEqual(self.do(self.listing("folder/use.sh")), "The handbook.\nhandbook")
        self.assertEqual(self.do(self.listing("folder/open.sh")), "401 Unauthorized\n")


class ManySitesTests(SiteHowtoTestCase):
    """Tests for the howto *Many sites on one port*."""

    def test_sites(self) -> None:
        """Each request gets the site that the howto says."""
        for port, name in (
            ("8080", "shop"),
            ("8081", "shop-api"),
            ("8082", "shop-next"),
            ("8083", "customers"),
            ("8084", "notes"),
        ):
            self.start_service(port, site(name))
        page = self.copy("sites/404.html")
        self.replace("/etc/relaykit/404.html", page)
        self.begin_server("sites/server.toml")
        self.begin_client("sites/client.toml", 5)
        self.assertEqual(
            self.do(self.listing("sites/use.sh")),
            "shop / Host: shop.example\n"
            "shop-api /api/orders Host: shop.example\n"
            "shop-next / Host: shop.example\n"
            "customers / Host: berlin.customers.example\n"
            f"notes / Host: localhost:{self.replaced['8084']} X-Site: notes\n"
            "Unauthorized\n" + page.read_text(),
        )
        head = self.do(f'curl --head --user "anna:a word of her own" http://notes.{HOST}/')
        self.assertIn("Cache-Control: no-store\n", head)

    def test_group(self) -> None:
        """A member of a group serves all its domains."""
        self.start_service("8080", site("shop-1"))
        self.begin_server("sites/server.toml")
        self.begin_client("sites/member.toml")
        for name in ("shop.example", "www.shop.example"):
            self.assertEqual(self.do(f"curl http://{name}/"), f"shop-1 / Host: {name}\n")

    def test_one_port(self) -> None:
        """Users and clients share a port."""
        self.start_service("8080", site("shop"))
        self.replace("443", self.port)
        self.replaced[f'serverAddr = "{HOST}"'] = f'serverAddr = "{LOOPBACK}"'
        self.begin_server("sites/server-one-port.toml")
        self.begin_client("sites/client-one-port.toml")
        self.assertEqual(self.do("curl http://shop.example/"), "shop / Host: shop.example\n")


class BehindTests(SiteHowtoTestCase):
    """Tests for the howto *Behind a CDN or another reverse proxy*: nginx ends TLS in front of the server."""

    def setUp(self) -> None:
        """Starts nginx and the server of the howto."""
        super().setUp()
        need("nginx")
        self.front_port, self.local_port = free_ports(2)
        self.authority = Authority(self.folder)
        certified = self.authority.certify("shop.example")
        here = " ".join(
            f"{name}_temp_path {self.folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.replace("http {", f"http {{ access_log off; {here}")
        self.replace("/etc/ssl/shop.example.pem", certified.certificate)
        self.replace("/etc/ssl/shop.example-key.pem", certified.key)
        self.replace("listen 443", f"listen {LOOPBACK}:{self.front_port}")
        self.replace("8000", self.port)
        self.begin_server("cdn/server.toml")
        self.begin_nginx(self.copy("cdn/nginx.conf"))
        self.wait_for_port(self.front_port)
        trusted = ["--cacert", str(self.authority.file), "--interface", f"host!{USER}"]
        self.have_curl_dial(self.front_port, *trusted)

    def test_user(self) -> None:
        """The service knows its user, by which host it was asked, and that the user has TLS."""
        self.replace("8080", self.local_port)
        self.replace(
            "real_ip_recursive on;",
            'real_ip_recursive on; return 200 "$remote_addr $http_x_forwarded_proto $host";',
        )
        self.begin_nginx(self.copy("cdn/service-nginx.conf"))
        self.wait_for_port(self.local_port)
        self.begin_client("cdn/client.toml")
        answer = self.do("curl --header 'X-Forwarded-For: 192.0.2.1' https://shop.example/")
        self.assertEqual(answer, f"{USER} https shop.example")

    def test_websocket(self) -> None:
        """An upgrade passes through both; from then on bytes go both ways."""

        def serve(connection: socket.socket) -> None:
            if b"\r\nUpgrade: websocket\r\n" in take_head(connection):
                connection.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
                echo(connection)

        self.start_service("8080", serve)
        self.begin_client("cdn/client.toml")
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with context.wrap_socket(dial(self.front_port), server_hostname="shop.example") as user:
            user.settimeout(PATIENCE_S)
            user.sendall(
                b"GET /live HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n\r\n"
            )
            self.assertTrue(take_head(user).startswith(b"HTTP/1.1 101 "))
            user.sendall(b"to the service and back")
            self.assertEqual(receive_exactly(user, 23), b"to the service and back")

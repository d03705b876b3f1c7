"""Clients over WebSocket, through the web servers of the howto *Clients through a web server or a CDN*."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest

from tests.integration.certificates import Authority
from tests.integration.programs import Program, free_ports, frp_command, missing_frp
from tests.integration.test_site_howtos import TOKEN
from tests.integration.traffic import LOOPBACK, Service, dial, echo, end_of, receive_exactly
from tests.integration.walkthrough import HOST, WalkTestCase

IDLE_S = 5
"""Seconds of silence after which the fronts of these tests cut a connection."""

INSIDE = 'transport.protocol = "websocket"'
NO_MUX = "transport.tcpMux = false\n"
NO_PINGS = "transport.websocket.pingInterval = 0\n"
PINGS = "transport.websocket.pingInterval = 1\n"


class FrontCase(WalkTestCase):
    """A server, the two ports of a front before it, one of them with TLS, and what is published."""

    def setUp(self) -> None:
        super().setUp()
        self.bind_port, self.web_port, self.https, self.http, self.public = free_ports(5)
        self.authority = Authority(self.folder)
        certified = self.authority.certify(HOST)
        self.combined = self.folder / "combined.pem"
        self.combined.write_bytes(certified.certificate.read_bytes() + certified.key.read_bytes())
        (self.folder / "token").write_text(TOKEN)
        service = Service(echo)
        self.addCleanup(service.stop)
        self.replace("7000", self.bind_port)
        self.replace("0.0.0.0", LOOPBACK)
        self.replace("6000", self.public)
        self.replace("localPort = 22", f"localPort = {service.port}")
        self.replace("/etc/relaykit/token", self.folder / "token")
        self.replace("/etc/ssl/relay.example.pem", certified.certificate)
        self.replace("/etc/ssl/relay.example-key.pem", certified.key)
        self.replace("/etc/haproxy/relay.example.pem", self.combined)

    @property
    def environ(self) -> Mapping[str, str]:
        """That of a system whose authorities have signed for the site."""
        return {**super().environ, "SSL_CERT_FILE": str(self.authority.file)}

    def begin_server(self, more: str = "", program: str = "relaykit server") -> Program:
        """Starts the server of the howto."""
        path = self.copy("websocket/server.toml")
        path.write_text(path.read_text() + more)
        server = self.begin(f"{program} -c server.toml")
        server.wait_for("started successfully")
        return server

    def begin_client(
        self, port: int, more: str = "", program: str = "relaykit client", protocol: str = ""
    ) -> Program:
        """Starts the client of the howto; in TLS it asks for the name of the site."""
        self.replace(
            f'serverAddr = "{HOST}"',
            f'serverAddr = "{LOOPBACK}"\ntransport.tls.serverName = "{HOST}"\n{more}',
        )
        self.replace("serverPort = 443", f"serverPort = {port}")
        if protocol:
            self.replace('transport.protocol = "wss"', protocol)
        self.copy("websocket/client.toml")
        return self.begin(f"{program} -c client.toml")

    def check_traffic(self, client: Program) -> None:
        """A user gets its bytes back."""
        client.wait_for("start proxy success")
        sent = bytes(range(256)) * 4096
        with dial(self.public) as user:
            for at in range(0, len(sent), 65536):
                user.sendall(sent[at : at + 65536])
                self.assertEqual(receive_exactly(user, 65536), sent[at : at + 65536])


class DirectTests(FrontCase):
    """The server ends TLS itself."""

    def test_bound(self) -> None:
        """The login over ``wss`` is bound to the session of TLS, muxed or not."""
        tls = f'transport.tls.certFile = "{self.combined}"\ntransport.tls.keyFile = "{self.combined}"\n'
        self.begin_server(f"{tls}transport.tls.force = true\n")
        for more in ("", NO_MUX):
            client = self.begin_client(self.bind_port, f'{more}auth.bound = "require"\n')
            client.wait_for("the server proved itself: it has the token")
            self.check_traffic(client)
            client.stop()
            self.replaced.pop(f'serverAddr = "{HOST}"')

    def test_verified(self) -> None:
        """A certificate that no authority of the system has signed is refused, unless the file allows it."""
        self.begin_server()
        client = self.begin_client(self.bind_port)
        client.wait_for("is not signed by a trusted CA")
        client.stop()
        client = self.begin_client(self.bind_port, "transport.websocket.verifyCertificate = false\n")
        client.wait_for("is not verified: whoever is in between")
        self.check_traffic(client)

    def test_frp(self) -> None:
        """A client of frp, which takes any certificate, needs nobody in front, with mux or without."""
        if reason := missing_frp():
            raise SkipTest(reason)
        self.begin_server("transport.tls.force = true\n")
        for more in ("", NO_MUX):
            client = self.begin_client(self.bind_port, more, " ".join(frp_command("frpc")))
            self.check_traffic(client)
            client.stop()
            self.replaced.pop(f'serverAddr = "{HOST}"')


if TYPE_CHECKING:
    _FrontCase = FrontCase
else:
    _FrontCase = object


class FrontTests(_FrontCase):
    """What every front must do; a subclass starts it before the server, at both ports."""

    def begin_front(self) -> None:
        """Starts it."""
        raise NotImplementedError

    def test_wss(self) -> None:
        """A client of the howto is there, with mux and without."""
        server = self.begin_server()
        self.begin_front()
        for more in ("", NO_MUX):
            client = self.begin_client(self.https, more)
            client.wait_for("the server proved itself: it has the certificate that is expected")
            self.check_traffic(client)
            client.stop()
            self.replaced.pop(f'serverAddr = "{HOST}"')
        self.assertIn("client login", server.output)

    def test_tls_inside(self) -> None:
        """A client whose TLS is inside needs none outside, and its login is bound."""
        self.begin_server("transport.tls.force = true\n")
        self.begin_front()
        client = self.begin_client(self.http, 'auth.bound = "require"\n', protocol=INSIDE)
        self.check_traffic(client)

    def test_idle(self) -> None:
        """A user who says nothing for longer than the front bears it stays; without pings he is cut."""
        self.begin_server(NO_PINGS)
        self.begin_front()
        client = self.begin_client(self.https, NO_MUX + PINGS)
        client.wait_for("start proxy success")
        with dial(self.public) as user:
            user.sendall(b"here?")
            self.assertEqual(receive_exactly(user, 5), b"here?")
            time.sleep(1.5 * IDLE_S)  # what is waited for is that nothing happens
            user.sendall(b"still")
            self.assertEqual(receive_exactly(user, 5), b"still")
        client.stop()
        self.replaced.pop(f'serverAddr = "{HOST}"')
        client = self.begin_client(self.https, NO_MUX + NO_PINGS)
        client.wait_for("start proxy success")
        with dial(self.public) as user:
            user.sendall(b"here?")
            self.assertEqual(receive_exactly(user, 5), b"here?")
            self.assertEqual(end_of(user), b"")

    def test_frp(self) -> None:
        """Frp's client reaches our server through it, and our client frp's server."""
        if reason := missing_frp():
            raise SkipTest(reason)
        for server, client in (
            ("relaykit server", " ".join(frp_command("frpc"))),
            (" ".join(frp_command("frps")), "relaykit client"),
        ):
            serving = self.begin_server(program=server)
            if server.startswith("relaykit"):
                self.begin_front()
            running = self.begin_client(self.https, program=client)
            self.check_traffic(running)
            running.stop()
            serving.stop()
            self.replaced.pop(f'serverAddr = "{HOST}"')


class NginxTests(FrontTests, FrontCase):
    """With nginx in front."""

    def begin_front(self) -> None:
        """Starts nginx with the listing, and with a port without TLS."""
        here = " ".join(
            f"{name}_temp_path {self.folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.replace("http {", f"http {{ access_log off; {here}")
        self.replace("listen 443 ssl;", f"listen {LOOPBACK}:{self.https} ssl; listen {LOOPBACK}:{self.http};")
        impatient = f"proxy_http_version 1.1; proxy_read_timeout {IDLE_S}s;"
        self.replace("proxy_http_version 1.1;", impatient)
        self.begin_nginx(self.copy("websocket/nginx.conf"))
        self.wait_for_port(self.https)


class HaproxyTests(FrontTests, FrontCase):
    """With HAProxy in front."""

    def begin_front(self) -> None:
        """Starts HAProxy with the listing, and with a port without TLS."""
        self.replace("timeout tunnel  60s", f"timeout tunnel  {IDLE_S}s")
        self.replace("bind :443", f"bind {LOOPBACK}:{self.http}\n    bind {LOOPBACK}:{self.https}")
        self.replace("8080", self.web_port)
        self.begin_haproxy(self.copy("websocket/haproxy.cfg"))
        self.wait_for_port(self.https)


class CaddyTests(FrontTests, FrontCase):
    """With Caddy in front, which has the certificate of the tests in place of one of its own."""

    def begin_front(self) -> None:
        """Starts Caddy with the listing, and with the same site at a port without TLS."""
        upstream = f"reverse_proxy /~!frp {LOOPBACK}:"
        impatient = f"transport http {{\nread_timeout {IDLE_S}s\n}}"
        self.replace(f"{upstream}{self.bind_port}", f"{upstream}{self.bind_port} {{\n{impatient}\n}}")
        path = self.copy("websocket/Caddyfile")
        site = path.read_text().removeprefix(f"{HOST} {{")
        certificate, key = (self.replaced[f"/etc/ssl/{HOST}{each}.pem"] for each in ("", "-key"))
        path.write_text(
            f"{{\nadmin off\nauto_https disable_redirects\ndefault_bind {LOOPBACK}\n}}\n"
            f"https://{HOST}:{self.https} {{\ntls {certificate} {key}\n{site}"
            f"http://:{self.http} {{\n{site}"
        )
        self.begin_caddy(path)
        self.wait_for_port(self.https)

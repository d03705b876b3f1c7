"""``relaykit http`` and ``relaykit https`` on real sockets, with our server and with frp's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from twisted.trial.unittest import SkipTest

from tests.integration.programs import (
    FORKED,
    PATIENCE_S,
    Program,
    free_port,
    free_ports,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import NOTHING, TOKEN, RelayTestCase, Table
from tests.integration.terminals import TerminalTestCase
from tests.integration.traffic import LOOPBACK, Service
from tests.integration.walkthrough import HOST, WalkTestCase, line_of, need
from tests.integration.web import Site, WebUser, basic

PASSWORD = "what-nobody-may-see"


class OursTests(RelayTestCase):
    """Our server."""

    def setUp(self) -> None:
        """Chooses the port of all sites."""
        super().setUp()
        self.port = free_port()

    def start_vhost(self, table: Table = NOTHING) -> None:
        """A server with the port."""
        self.start_server({"vhostHTTPPort": self.port, **table})

    def line(self, *words: str, service: int = 0, **environ: str) -> Program:
        """Runs a command line that publishes a site."""
        port = str(service or self.start_service(Site("one")).port)
        server = f"{LOOPBACK}:{self.bind_port}"
        program = Program(
            relaykit_command("http", port, "--server", server, "--state-dir", "state", *words),
            self.folder,
            {"RELAYKIT_TOKEN": TOKEN, **environ},
            forked=FORKED,
        )
        self.end_with_test(program)
        return program

    def test_requests(self) -> None:
        """Each request is a line with its status and the size of the answer, however the answer is framed."""
        self.start_vhost()
        line = self.line("--domain", "one.example", "--name", "one")
        line.wait_for(f"[one] open: http://one.example:{self.port}/ -> {LOOPBACK}:")
        with WebUser.dial(self.port) as user:
            for target, told in (
                ("/a?length=9", "200 ("),
                ("/a?chunked=70000", "200 ("),
                ("/a?status=204", "204 ("),
                ("/a?status=404", "404 ("),
                ("/a?hints", "200 ("),
            ):
                user.ask("one.example", target)
                line.wait_for(f"[one] GET {target} -> {told}")
            user.ask("one.example", "/p", ("Content-Length", "9"), method="POST", upload=9)
            line.wait_for("[one] POST /p -> 200 (")
            user.ask("one.example", "/u", ("Connection", "Upgrade"), ("Upgrade", "websocket"))
            line.wait_for("[one] GET /u -> 101 (")
        self.assertRegex(line.output, r"/a\?length=9 -> 200 \([\d.]+ m?s, 9 bytes\)\n")
        self.assertRegex(line.output, r"/a\?chunked=70000 -> 200 \([\d.]+ m?s, 70.0 kB\)\n")
        self.assertNotIn("Traceback", line.output)

    def test_curl(self) -> None:
        """Curl loads pages of several domains below a path; who has to prove who it is is not told of."""
        need("curl")
        self.start_vhost({"subDomainHost": "sub.example"})
        line = self.line(
            *("--domain", "one.example,*.two.example", "--subdomain", "three", "--location", "/in"),
            *("--http-user", "ann", "--name", "one"),
            RELAYKIT_HTTP_PASSWORD=PASSWORD,
        )
        opened = line.wait_for("[one] open: ")
        for part in (
            f"http://one.example:{self.port}/in, ",
            f" *.two.example:{self.port}, ",
            f"http://three.sub.example:{self.port}/in ->",
        ):
            self.assertIn(part, opened)
        for host in ("one.example", "a.two.example", "three.sub.example"):
            for user, status in (("ann:" + PASSWORD, "200"), ("ann:other", "401")):
                self.assertEqual(self.curl(f"http://{host}/in/{host}?from={user[:3]}", user), status)
            line.wait_for(f"[one] GET /in/{host}?from=ann -> 200 (")
        self.assertEqual(self.curl("http://one.example/out", "ann:" + PASSWORD), "404")
        self.assertEqual(line.output.count("GET "), 3)
        self.assertNotIn(PASSWORD, line.output)
        self.assertNotIn(basic("ann:" + PASSWORD)[1], line.output)

    def test_http2(self) -> None:
        """What users of HTTP/2 ask for is shown like that of others."""
        need("curl")
        if "HTTP2" not in self.output_of("curl", "--version"):
            raise SkipTest("curl speaks no HTTP/2 on this machine")
        self.start_vhost()
        line = self.line("--domain", "one.example", "--name", "one")
        line.wait_for("[one] open: ")
        self.assertEqual(self.curl("http://one.example/two?length=9", "", "--http2-prior-knowledge"), "200")
        line.wait_for("[one] GET /two?length=9 -> 200 (")

    def curl(self, url: str, user: str, *flags: str) -> str:
        """The status that curl gets."""
        to = ("--connect-to", f"::{LOOPBACK}:{self.port}")
        who = ("--user", user) if user else ()
        return self.output_of("curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", *who, *to, *flags, url)

    def output_of(self, *command: str) -> str:
        """What a program prints, which must succeed; it has nobody's settings."""
        done = subprocess.run(
            command,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_service_is_down(self) -> None:
        """A local service that cannot be reached is the problem."""
        self.start_vhost()
        line = self.line("--domain", "one.example", "--name", "one", service=free_port())
        line.wait_for("[one] open: ")
        with WebUser.dial(self.port) as user:
            self.assertGreaterEqual(user.ask("one.example").status, 400)
        line.wait_for("connect to local service")
        line.wait_for("Start the service, or correct its address")

    def test_refused(self) -> None:
        """What the server refuses is told with what to do on the command line."""
        self.start_vhost()
        self.line("--domain", "taken.example", "--name", "one").wait_for("[one] open: ")
        for words, told in (
            (
                ("--domain", "taken.example"),
                ("router config conflict", "(--domain) or subdomain (--subdomain)"),
            ),
            (
                ("--subdomain", "a"),
                ("subdomain is not supported", "customDomains (--domain), or have subDomainHost"),
            ),
        ):
            line = self.line(*words, "--name", "two")
            for each in told:
                line.wait_for(each)
            line.stop()

    def test_no_port(self) -> None:
        """So is that the server has no port for sites."""
        self.start_server()
        line = self.line("--domain", "one.example", "--name", "one")
        line.wait_for("type [http] not supported")
        line.wait_for("Have vhostHTTPPort (for http)")


class FrpsTests(OursTests):
    """Frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")


class TerminalTests(TerminalTestCase):
    """What is on a terminal."""

    def setUp(self) -> None:
        """Starts a server that has ports for sites, and a site."""
        super().setUp()
        self.bind_port, _, self.http_port, self.https_port = free_ports(4)
        site = Service(Site("one"))
        self.addCleanup(site.stop)
        (self.folder / "server.toml").write_text(
            f'bindAddr = "{LOOPBACK}"\nbindPort = {self.bind_port}\nauth.token = "{TOKEN}"\n'
            f"vhostHTTPPort = {self.http_port}\nvhostHTTPSPort = {self.https_port}\n"
        )
        self.begin("relaykit server -c server.toml").wait_for("started successfully")
        (self.folder / "token").write_text(TOKEN)
        self.words = (
            f"{site.port} --server {LOOPBACK}:{self.bind_port} --token-file token --domain one.example"
        )

    def test_http(self) -> None:
        """The URL of a site is there, its QR code, and what users asked for, the newest first."""
        self.run_in_terminal(f"relaykit http {self.words}")
        self.seen(f"http://one.example:{self.http_port}/", "█ ▄▄▄▄▄ █", "round trip")
        with WebUser.dial(self.http_port) as user:
            for target in ("/first", "/second?status=404"):
                user.ask("one.example", target)
        shown = self.seen("last requests", "200  GET  /first", "404  GET  /second?status=404", "█ ▄▄▄▄▄ █")
        self.assertLess(shown.index("/second"), shown.index("/first"))
        self.tmux("send-keys", "C-c")
        self.seen("status 0")

    def test_https(self) -> None:
        """The URL of a service with TLS of its own is there, and its QR code."""
        self.run_in_terminal(f"relaykit https {self.words}")
        self.seen(f"https://one.example:{self.https_port}/", "█ ▄▄▄▄▄ █", "round trip")

    def test_no_code(self) -> None:
        """Who wants no QR code gets none."""
        self.run_in_terminal(f"relaykit http {self.words} --no-qr")
        shown = self.seen(f"http://one.example:{self.http_port}/", "round trip")
        self.assertNotIn("▄▄▄▄▄", shown)


class TutorialTests(WalkTestCase):
    """Tests for the tutorial *A site for the world in five minutes*."""

    def setUp(self) -> None:
        """Starts a site, and the server of the tutorial."""
        super().setUp()
        need("curl")
        # The STUN service of the server has the UDP ports of its number and of the next one.
        self.bind_port, _, self.port = free_ports(3)
        self.site = Service(Site("demo"))
        self.addCleanup(self.site.stop)
        self.replace("8000", self.port)
        line = self.listing("show-a-site/server.sh").strip()
        self.server = self.begin(f"{line} --port {self.bind_port}")
        self.line = line_of(self.server, "relaykit http 8080")
        curl = shutil.which("curl") or ""
        self.command("curl", f'exec {curl} -sS --connect-to ::{LOOPBACK}:{self.port} "$@"')

    def begin_line(self, line: str) -> Program:
        """Runs a line of the tutorial on this machine."""
        here = line.replace(f"{HOST}:{self.bind_port}", f"{LOOPBACK}:{self.bind_port}")
        return self.begin(here.replace("http 8080", f"http {self.site.port}"))

    def test_line(self) -> None:
        """The line of the server publishes the site, and what users ask for is in lines as they are shown."""
        secret = re.compile(r"\b(?:sha256:)?[0-9a-f]{40,64}\b")
        shown = self.listing("show-a-site/client.sh").strip().replace(":7000", f":{self.bind_port}")
        line = self.line.replace("NAME", "demo")
        self.assertEqual(secret.sub("", f"{line} --name demo --remember"), secret.sub("", shown))
        client = self.begin_line(f"{line} --name demo --remember")
        client.wait_for("[demo] open: ")
        self.assertIn('"site": "demo"', self.do(self.listing("show-a-site/use.sh")))
        client.wait_for("[demo] GET ")
        lines = self.listing("show-a-site/lines.txt").replace(f"{HOST}:7000", f"{LOOPBACK}:{self.bind_port}")
        lines = lines.replace("8080", str(self.site.port))
        varies = re.compile(r"\(.*\)")
        said = varies.sub("", client.output).splitlines()
        for shown in varies.sub("", lines).splitlines():
            self.assertIn(shown, said)
        client.stop()
        protected = self.begin_line(self.listing("show-a-site/protect.sh"))
        protected.wait_for("[demo] open: ")
        url = f"http://demo.{HOST}:{self.port}/"
        self.assertIn("401", self.do(f"curl -i {url}"))
        self.assertIn('"site": "demo"', self.do(f"curl --user 'ann:a long password' {url}"))

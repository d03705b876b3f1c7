"""Sites of the proxy type ``http`` over TLS that ends at the relay, on real sockets."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from relaykit.sansio.parsers.client_hello import UNRECOGNIZED_NAME
from tests.integration.certificates import Authority, Certified
from tests.integration.programs import PATIENCE_S, Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, TOKEN, Table, Way, every_way
from tests.integration.scenarios import test_each
from tests.integration.test_http import EACH_WAY_BYTES, EARLY, UPGRADE, HttpTestCase
from tests.integration.test_https import SHARED, context_of, page
from tests.integration.test_site_howtos import SiteHowtoTestCase, site
from tests.integration.traffic import FROM_SERVICE, LOOPBACK, dial, end_of
from tests.integration.walkthrough import need
from tests.integration.web import WebUser
from tests.sansio.parsers.hellos import client_hello, records

AT_ONCE = 40
"""Users who shake hands at the same time: a slow machine, too, gets through with all of them in the seconds
that each has."""

RENEWALS = 2
"""How often certificates are replaced under load; each time users wait for a look at the files."""

PAUSE_S = 0.05
"""Between two looks at what is to become of a certificate."""


class SecureSitesTestCase(HttpTestCase):
    """Sites behind a port of TLS, and users who trust the authority of their certificates."""

    def setUp(self) -> None:
        """Makes the certificates."""
        super().setUp()
        self.secure_port = free_port()
        self.authority = Authority(self.folder)
        self.certified = [self.authority.certify(name) for name in ("a.example", "*.b.example")]

    def start_secure(self, table: Table = NOTHING) -> Program:
        """A server with both ports."""
        entries = [{"certFile": str(each.certificate), "keyFile": str(each.key)} for each in self.certified]
        return self.start_vhost(
            {"vhostHTTPSPort": self.secure_port, "vhostHTTPSCertificates": entries, **table}
        )

    @contextlib.contextmanager
    def secure_user(self, name: str, authority: Authority | None = None) -> Iterator[WebUser]:
        """A user within TLS, who has verified that it got to whom it asked for."""
        context = ssl.create_default_context(cafile=str((authority or self.authority).file))
        with context.wrap_socket(dial(self.secure_port), server_hostname=name) as secured:
            yield WebUser(secured)

    def check_traffic(self, way: Way) -> None:
        """Requests, bodies and tunnels get to their sites as without TLS, which the sites are told."""
        self.start_secure(way.server(self.bind_port))
        client = self.start_client(
            way.client,
            [
                self.proxy("a", ["a.example"], **way.flow),
                self.proxy("api", ["a.example"], locations=["/api"], **way.flow),
                self.proxy("b", ["*.b.example"], **way.flow),
            ],
        )
        client.wait_for("start proxy success", 3)
        for name in ("a.example", "x.b.example"):
            with self.secure_user(name) as user:
                for host, target, site in (
                    ("a.example", "/", "a"),
                    ("a.example", "/api", "api"),
                    ("x.b.example", "/api", "b"),
                ):
                    told = user.ask(host, target).told
                    self.assertEqual(told.site, site)
                    self.assertEqual(told.get("x-forwarded-proto"), "https")
                    self.assertEqual(told.get("x-forwarded-for"), LOOPBACK)
                length = ("Content-Length", f"{EACH_WAY_BYTES}")
                answer = user.ask("a.example", "/", length, method="POST", upload=EACH_WAY_BYTES)
                self.assertEqual(answer.told.bytes, EACH_WAY_BYTES)
                expected = FROM_SERVICE.at(0, EACH_WAY_BYTES - 1)
                self.assertEqual(user.ask("a.example", f"/?chunked={len(expected)}").body, expected)
                self.assertEqual(user.ask("nobody.example").status, 404)
                switched = user.ask("a.example", "/socket", *UPGRADE, behind=EARLY)
                self.assertEqual(switched.status, 101)
                self.check_tunnel(user, EARLY)
        self.assertEqual(self.ask("a.example").told.get("x-forwarded-proto"), "http")
        for unknown in (b"b.example", b"y.x.b.example", b""):
            with dial(self.secure_port) as other:
                other.sendall(records(client_hello(unknown)))
                self.assertEqual(end_of(other), UNRECOGNIZED_NAME)

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


@test_each("check_traffic", every_way("v1", "v2", transforms=(False,)))
class OursTests(SecureSitesTestCase):
    """Both ends are ours."""

    def start_site(self) -> None:
        """A server, and a site behind it."""
        self.start_secure()
        self.start_client({}, [self.proxy("a", ["a.example", "*.b.example"])]).wait_for("start proxy success")

    def test_curl(self) -> None:
        """Curl trusts the certificate, and asks twice over one connection, in HTTP/1.1 and in HTTP/2."""
        need("curl")
        self.start_site()
        names = [f"{name}:{self.secure_port}" for name in ("a.example", "x.b.example")]
        versions = ["1.1", "2"] if "HTTP2" in self.run_program("curl", "--version")[1] else ["1.1"]
        for version in versions:
            status, output = self.run_program(
                *("curl", "-sS", f"--http{version}", "--cacert", str(self.authority.file)),
                *("--output", "/dev/null", "--output", "/dev/null", "--output", "/dev/null"),
                *("--write-out", "%{response_code} %{http_version} %{num_connects} %{size_download}\\n"),
                *(word for name in names for word in ("--resolve", f"{name}:{LOOPBACK}")),
                *(f"https://{name}/?length=3" for name in (names[0], names[0], names[1])),
            )
            self.assertEqual(status, 0, output)
            expected = [f"200 {version} {connects} 3" for connects in (1, 0, 1)]
            self.assertEqual(output.splitlines(), expected)

    def test_openssl(self) -> None:
        """OpenSSL's client gets TLS 1.3, or 1.2 with forward secrecy, and nothing older."""
        need("openssl")
        self.start_site()
        connect = ("openssl", "s_client", "-connect", f"{LOOPBACK}:{self.secure_port}")
        trust = ("-CAfile", str(self.authority.file), "-verify_return_error")
        for name in ("a.example", "x.b.example"):
            _, output = self.run_program(
                *(*connect, "-servername", name, *trust, "-verify_hostname", name, "-alpn", "http/1.1")
            )
            self.assertIn("Verify return code: 0 (ok)", output)
            self.assertIn("ALPN protocol: http/1.1", output)
            self.assertIn("TLSv1.3", output)
        _, output = self.run_program(*connect, "-servername", "a.example", *trust, "-tls1_2")
        self.assertRegex(output, r"Cipher\s*: ECDHE-")
        status, output = self.run_program(*connect, "-servername", "a.example", "-tls1_1")
        self.assertNotEqual(status, 0, output)

    def test_at_once(self) -> None:
        """Many users shake hands at the same time, and each is served several requests."""
        self.start_site()
        ready = threading.Barrier(AT_ONCE)

        def use(number: int) -> None:
            name = f"x{number}.b.example"
            ready.wait(PATIENCE_S)
            with self.secure_user(name) as user:
                for _ in range(3):
                    self.assertEqual(user.ask(name).told.get("x-forwarded-host"), name)

        with ThreadPoolExecutor(AT_ONCE) as users:
            for used in [users.submit(use, number) for number in range(AT_ONCE)]:
                used.result()

    def test_renewed(self) -> None:
        """While users ask, certificates are replaced: no request is lost, and who comes gets the new one."""
        self.start_site()
        stopped = threading.Event()
        asked = [0, 0]

        def keep_asking(position: int, is_new: bool) -> None:
            while not stopped.is_set():
                with self.secure_user("a.example") as user:
                    while True:
                        self.assertEqual(user.ask("a.example").told.site, "a")
                        asked[position] += 1
                        if is_new or stopped.is_set():
                            break

        with ThreadPoolExecutor(2) as users:
            using = [users.submit(keep_asking, position, bool(position)) for position in (0, 1)]
            try:
                for _ in range(RENEWALS):
                    # In place, and one file after the other.
                    self.wait_for_certificate(self.authority.certify("a.example"))
            finally:
                stopped.set()
            for each in using:
                each.result()
        self.assertTrue(all(asked), asked)

    def wait_for_certificate(self, expected: Certified) -> None:
        """Comes again and again until this is the certificate that is shown."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with self.secure_user("a.example") as user:
                shown = user.connection.getpeercert(binary_form=True)  # type: ignore[attr-defined]  # it is TLS
            if f"sha256:{hashlib.sha256(shown).hexdigest()}" == expected.fingerprint:
                return
            self.assertLess(time.monotonic(), deadline)
            time.sleep(PAUSE_S)  # files tell nobody that they have been looked at

    def test_unopened(self) -> None:
        """A service with TLS of its own has its name at the same port, in spite of the certificate."""
        own = Authority(self.folder, "own")
        service = self.start_service(page(context_of(own, "x.b.example")))
        self.start_secure()
        unopened = {"name": "u", "type": "https", "localPort": service.port, "customDomains": ["x.b.example"]}
        client = self.start_client({}, [self.proxy("b", ["*.b.example"]), unopened])
        client.wait_for("start proxy success", 2)
        with self.secure_user("x.b.example", own) as user:
            self.assertEqual(user.ask("x.b.example").body, b"hello")
        with self.secure_user("y.b.example") as user:
            self.assertEqual(user.ask("y.b.example").told.site, "b")

    def test_unusable(self) -> None:
        """A server that is given a certificate and the key of another one does not start, and says why."""
        one, other = self.certified
        entry = {"certFile": str(one.certificate), "keyFile": str(other.key)}
        table = {
            "bindAddr": LOOPBACK,
            "bindPort": self.bind_port,
            "auth.token": TOKEN,
            "vhostHTTPSPort": self.secure_port,
        }
        server = self.start(self.server_command, {**table, "vhostHTTPSCertificates": [entry]})
        server.wait_for("vhostHTTPSCertificates[0]")
        self.assertIn("is not that of the certificate", server.output)
        self.assertNotEqual(server.wait_for_end(), 0)


class FrpcTests(OursTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class SharedPortTests(SecureSitesTestCase):
    """The port of TLS is the one that clients dial, and that of plain HTTP."""

    skip = missing_frp()

    def check(self, client: Sequence[str]) -> None:
        """All get through, with ways to begin that tell them apart."""
        self.secure_port = self.port = self.bind_port
        self.start_secure()
        proxies = [self.proxy("a", ["a.example"])]
        self.start_client(SHARED, proxies, command=client).wait_for("start proxy success")
        with self.secure_user("a.example") as user:
            self.assertEqual(user.ask("a.example").told.get("x-forwarded-proto"), "https")
        self.assertEqual(self.ask("a.example").told.get("x-forwarded-proto"), "http")

    def test_ours(self) -> None:
        """Both ends are ours."""
        self.check(self.client_command)

    def test_frpc(self) -> None:
        """Frp's client."""
        self.check(frp_command("frpc"))


class HowtoTests(SiteHowtoTestCase):
    """Tests for the howto *TLS at the relay*."""

    def setUp(self) -> None:
        """Starts the server of the howto with a first certificate, and the website."""
        super().setUp()
        self.secure_port = free_port()
        self.start_service("8080", site("shop"))
        self.start_service("8402", site("certbot"))
        self.authority = Authority(self.folder)
        self.installed = self.folder / "shop.example"
        self.lineage = self.folder / "live"
        self.installed.mkdir()
        self.lineage.mkdir()
        self.replace("/etc/relaykit/shop.example", self.installed)
        self.replace("relaykit fullchain.pem", f"{os.getgid()} fullchain.pem")
        self.replace("vhostHTTPSPort = 443", f"vhostHTTPSPort = {self.secure_port}")
        self.renew()
        options = ["-sS", "--cacert", str(self.authority.file)]
        for port, here in ((80, self.port), (443, self.secure_port), (self.secure_port, self.secure_port)):
            options += ["--connect-to", f":{port}:{LOOPBACK}:{here}"]
        self.command("curl", f'exec {shutil.which("curl")} {shlex.join(options)} "$@"')
        self.server = self.begin_server("tls-relay/server.toml")

    def renew(self) -> Certified:
        """Does what certbot does, and runs its hook."""
        certified = self.authority.certify("shop.example", names=("www.shop.example",))
        (self.lineage / "fullchain.pem").write_bytes(certified.certificate.read_bytes())
        (self.lineage / "privkey.pem").write_bytes(certified.key.read_bytes())
        hook = self.listing("tls-relay/hook.sh")
        self.do(f"RENEWED_LINEAGE={shlex.quote(str(self.lineage))}\n{hook}")
        return certified

    def test_site(self) -> None:
        """The site is there over TLS, also for who comes without, and its certificate is renewed."""
        self.begin_client("tls-relay/client.toml")
        lines = f"shop / Host: shop.example\nshop /cart Host: www.shop.example:{self.secure_port}\n"
        self.assertEqual(self.do(self.listing("tls-relay/use.sh")), lines)
        said = f"vhostHTTPSCertificates[0]: shop.example, www.shop.example by {self.installed}"
        self.server.wait_for(said)
        self.renew()
        self.server.wait_for(said, 2)
        self.assertEqual(self.do(self.listing("tls-relay/use.sh")), lines)

    def test_challenges(self) -> None:
        """Challenges of the authority get to certbot, wherever they are redirected to."""
        path = self.copy("tls-relay/challenges.toml")
        path.write_text(f"serverPort = {self.bind_port}\n{path.read_text()}")
        self.begin(f"relaykit client -c {path.name}").wait_for("start proxy success")
        challenge = "/.well-known/acme-challenge/x"
        answer = self.do(f"curl -L http://shop.example{challenge}")
        self.assertEqual(answer, f"certbot {challenge} Host: shop.example:{self.secure_port}\n")

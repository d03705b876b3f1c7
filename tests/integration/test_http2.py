"""Users of the proxy type ``http`` who speak HTTP/2, on real sockets: with frp at one end, and with curl."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from twisted.trial.unittest import SkipTest

from tests.integration.http2_user import Http2User
from tests.integration.programs import PATIENCE_S, frp_command, missing_frp
from tests.integration.relays import Way
from tests.integration.scenarios import SOME_WAYS, test_each
from tests.integration.test_http import HttpTestCase
from tests.integration.test_http_over_tls import SecureSitesTestCase
from tests.integration.traffic import FROM_SERVICE, FROM_USER, LOOPBACK, PIECE_BYTES, dial
from tests.integration.walkthrough import need
from tests.integration.web import basic

STREAMS = 50
"""Requests at once: fewer than any server takes."""

LARGE_BYTES = 2 * 1024 * 1024
"""The size of a body: more than all windows."""


class Http2TestCase(HttpTestCase):
    """Sites behind one port, and what users of HTTP/2 get."""

    def check_traffic(self, way: Way) -> None:
        """Each stream gets to the site that it asks for, and back comes what that answers."""
        self.start_vhost(way.server(self.bind_port))
        client = self.start_client(
            way.client,
            [
                self.proxy("all", ["a.example"], **way.flow),
                self.proxy("api", ["a.example"], locations=["/api"], **way.flow),
                self.proxy("auth", ["c.example"], httpUser="u", httpPassword="p", **way.flow),
            ],
        )
        client.wait_for("start proxy success", 3)
        with Http2User.dial(self.port) as user:
            self.check_streams(user)
            self.check_access(user)
            self.check_downloads(user)
            self.check_uploads(user)
            self.check_answers(user)
            self.assertIsNone(user.goaway)

    def check_streams(self, user: Http2User) -> None:
        """Many are asked at once, each with its route and its fields."""
        asked = [
            user.ask("a.example", f"{path}/{at}", ("cookie", "a=1"), ("cookie", "b=2"), ("x-number", str(at)))
            for at in range(STREAMS // 2)
            for path in ("/x", "/api")
        ]
        for each, answer in zip(asked, user.take(*asked), strict=True):
            told = answer.told
            self.assertEqual(told.site, "api" if told.target.startswith("/api/") else "all")
            self.assertEqual(told.target.rpartition("/")[2], told.get("x-number"), each)
            self.assertEqual((told.get("cookie"), told.get("host")), ("a=1; b=2", "a.example"))
            self.assertEqual(
                [told.get(name) for name in ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")],
                [LOOPBACK, "a.example", "http"],
            )

    def check_access(self, user: Http2User) -> None:
        """Who asks for what nobody has, or does not say who it is, is told so."""
        found, named, wrong, nobody = user.take(
            user.ask("c.example", "/", basic_in_small("u:p")),
            user.ask("c.example", "/", basic_in_small("u:x")),
            user.ask("c.example"),
            user.ask("no.example"),
        )
        self.assertEqual(found.told.site, "auth")
        self.assertEqual([each.status for each in (named, wrong, nobody)], [401, 401, 404])
        self.assertEqual(wrong.get("www-authenticate"), 'Basic realm="Restricted"')

    def check_downloads(self, user: Http2User) -> None:
        """Large bodies come at once, each whole, with what is behind it."""
        expected = large()
        known, chunked, more = user.take(
            user.ask("a.example", f"/?length={LARGE_BYTES}"),
            user.ask("a.example", f"/?chunked={LARGE_BYTES}"),
            user.ask("a.example", f"/api?length={LARGE_BYTES}"),
        )
        self.assertEqual([each.body == expected for each in (known, chunked, more)], [True] * 3)
        self.assertEqual(list(chunked.trailers), [("x-sum", str(LARGE_BYTES))])

    def check_uploads(self, user: Http2User) -> None:
        """Large bodies go at once, of known length and of unknown one, and requests in between."""
        length = ("content-length", str(LARGE_BYTES))
        told = [
            answer.told
            for answer in user.take(
                user.ask("a.example", "/", length, method="POST", sends=LARGE_BYTES),
                user.ask("a.example", "/", method="PUT", sends=LARGE_BYTES, trailers=(("x-sum", "7"),)),
                user.ask("a.example", "/", method="POST", sends=0),
                user.ask("a.example", "/"),
            )
        ]
        self.assertEqual([each.bytes for each in told], [LARGE_BYTES, LARGE_BYTES, 0, 0])
        self.assertEqual(told[0].get("content-length"), str(LARGE_BYTES))
        if self.server_is_ours:
            self.assertEqual([tuple(each) for each in told[1].trailers], [("x-sum", "7")])

    def check_answers(self, user: Http2User) -> None:
        """Hints come before their answer; some answers have no body."""
        hinted, empty, same, head = user.take(
            user.ask("a.example", "/?hints"),
            user.ask("a.example", "/?status=204"),
            user.ask("a.example", "/?status=304"),
            user.ask("a.example", "/", method="HEAD"),
        )
        self.assertEqual((list(hinted.interim), hinted.status), ([103], 200))
        self.assertEqual([(each.status, each.body) for each in (empty, same)], [(204, b""), (304, b"")])
        self.assertEqual((head.status, head.body, head.get("x-site")), (200, b"", "all"))


def large() -> bytes:
    """What a site sends as a large body."""
    return b"".join(FROM_SERVICE.at(at, PIECE_BYTES) for at in range(0, LARGE_BYTES, PIECE_BYTES))


def basic_in_small(user: str) -> tuple[str, str]:
    """The field by which a user proves who it is."""
    name, value = basic(user)
    return name.lower(), value


@test_each("check_traffic", SOME_WAYS)
class OursTests(Http2TestCase):
    """Our server, and our client."""

    def test_connect(self) -> None:
        """CONNECT is refused with the reason, and the connection goes on."""
        self.start_vhost()
        self.start_client(proxies=[self.proxy("all", ["a.example"])]).wait_for("start proxy success")
        with Http2User.dial(self.port) as user:
            refused, served = user.take(
                user.ask("a.example:1", method="CONNECT", sends=7), user.ask("a.example")
            )
        self.assertEqual((refused.status, served.told.site), (501, "all"))
        self.assertIn(b"HTTP/1.1", refused.body)

    def test_dropped(self) -> None:
        """A site that ends its connection without an answer costs its stream only."""
        self.start_vhost()
        self.start_client(proxies=[self.proxy("all", ["a.example"])]).wait_for("start proxy success")
        with Http2User.dial(self.port) as user:
            dropped, served = user.take(
                user.ask("a.example", "/?drop", method="POST", sends=3), user.ask("a.example")
            )
        self.assertEqual((dropped.status, served.status), (502, 200))

    def test_stopping_server(self) -> None:
        """A server that stops says farewell."""
        server = self.start_vhost()
        self.start_client(proxies=[self.proxy("all", ["a.example"])]).wait_for("start proxy success")
        with Http2User.dial(self.port) as user:
            user.take(user.ask("a.example"))
            server.stop()
            user.hear_out()
        self.assertEqual(user.goaway, 0)


class FrpcTests(OursTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", SOME_WAYS)
class FrpsTests(Http2TestCase):
    """frp's server, and our client: users see the same."""

    skip = missing_frp()
    server_command = frp_command("frps")
    server_is_ours = False


class CurlTests(Http2TestCase):
    """What curl gets."""

    def setUp(self) -> None:
        """Starts all that it needs, or skips the test."""
        super().setUp()
        need("curl")
        version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
        if " HTTP2" not in version.stdout:
            raise SkipTest("curl cannot speak HTTP/2 on this machine")
        self.start_vhost()
        self.start_client(proxies=[self.proxy("all", [LOOPBACK])]).wait_for("start proxy success")

    def curl(self, *arguments: str) -> str:
        """What curl prints."""
        done = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", *arguments],
            # Without the settings and the proxies of whoever runs these tests.
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def url(self, target: str) -> str:
        """The address of a page."""
        return f"http://{LOOPBACK}:{self.port}{target}"

    def files(self, count: int) -> Sequence[str]:
        """Names of files for answers."""
        return [str(self.folder / f"answer-{at}") for at in range(count)]

    def test_one(self) -> None:
        """A page is fetched by HTTP/2."""
        said = self.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", self.url("/"))
        self.assertEqual(said, "2 200")

    def test_at_once(self) -> None:
        """Several users get large answers at the same time."""
        # One curl that fetches all by prior knowledge fails in some versions, whatever the server.
        names = self.files(4)
        with ThreadPoolExecutor(len(names)) as users:
            url = self.url(f"/?length={LARGE_BYTES}")
            list(users.map(lambda name: self.curl("-o", name, url), names))
        expected = large()
        for name in names:
            with open(name, "rb") as file:
                self.assertTrue(file.read() == expected, name)

    def test_upload(self) -> None:
        """A large body gets there."""
        [name] = self.files(1)
        with open(name, "wb") as file:
            for at in range(0, 4 * LARGE_BYTES, PIECE_BYTES):
                file.write(FROM_USER.at(at, PIECE_BYTES))
        said = self.curl("--data-binary", f"@{name}", self.url("/"))
        self.assertIn(f'"bytes": {4 * LARGE_BYTES}', said)


class SecureTests(Http2TestCase, SecureSitesTestCase):
    """Within TLS that ends at our server."""

    def test_streams(self) -> None:
        """Many are asked at once, and large bodies go both ways, as without."""
        self.start_secure()
        self.start_client(proxies=[self.proxy("all", ["a.example"])]).wait_for("start proxy success")
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(dial(self.secure_port), server_hostname="a.example") as connection:
            self.assertEqual(connection.selected_alpn_protocol(), "h2")
            user = Http2User(connection)
            answers = user.take(*(user.ask("a.example") for _ in range(STREAMS)))
            self.assertEqual({each.told.get("x-forwarded-proto") for each in answers}, {"https"})
            self.check_downloads(user)
            self.check_uploads(user)

"""Tests for :mod:`relaykit.proxies.http.ingress`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import LogLevel, capturedLogs

from relaykit.dataplane.listening import ListenFailed
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.errors import ProxyRefusedError, TransportSecurityError
from relaykit.proxies import http
from relaykit.proxies.domains import FIRST_BYTES_S
from relaykit.proxies.http import ingress
from relaykit.proxies.http.ingress import MOST_PAGE_BYTES, MOST_TIMEOUT_S, HttpIngress
from relaykit.proxies.http.options import CertificateFiles, HttpKeys, RequestHeaders, ResponseHeaders
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.tcp import proxy_type as tcp
from relaykit.sansio.http.answers import not_found
from relaykit.testing.memory import MemoryLeg
from relaykit.testing.relay import MemoryRelay
from relaykit.values import Secret
from tests.proxies.http.pairs import Files
from tests.proxies.http.scene import GET, OK, PORT, End, HttpTestCase
from tests.proxies.test_domains import Nobody

BOB = b"Authorization: Basic Ym9iOndoYXRldmVy\r\n"
EVE = b"Authorization: Basic ZXZlOng=\r\n"
U_P = b"Authorization: Basic dTpw\r\n"
U_X = b"Authorization: Basic dTp4\r\n"
"""Users and passwords: bob:whatever, eve:x, u:p and u:x."""


def get(host: bytes, path: bytes = b"/", fields: bytes = b"") -> bytes:
    """A request."""
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (path, host, fields)


class IngressTestCase(HttpTestCase):
    """Has sites that are told apart by who answers."""

    def asked(self, *said: bytes) -> str:
        """The site that gets what a new user says; empty for none."""
        self.served.clear()
        user = self.user(*said)
        name = self.served[0][0] if self.served else ""
        user.leg.abort()
        self.relay.settle()
        return name

    def status(self, *said: bytes) -> bytes:
        """The status that a new user gets from the server itself."""
        data = self.user(*said).take()
        return data[len(b"HTTP/1.1 ") :][:3]


class StartTests(HttpTestCase):
    """Tests for what a server is made of."""

    def test_without_http2(self) -> None:
        """What only users of HTTP/2 need is not loaded before there is one."""
        script = "import sys, relaykit.proxies.http; assert 'hpack' not in sys.modules"
        subprocess.run([sys.executable, "-c", script], check=True)


class RoutingTests(IngressTestCase):
    """Tests for who gets a request."""

    keys = {"sub_domain_host": "sub.example"}

    def test_host(self) -> None:
        """The host decides, whatever its case, its port and a final dot; so does that of a whole URL."""
        self.publish("a.example", name="a")
        self.publish("b.example", "*.c.example", name="b")
        self.publish("[2001:db8::1]", name="six")
        self.publish(subdomain="one", name="one")
        for request, name in (
            (get(b"a.example"), "a"),
            (get(b"B.example:8080"), "b"),
            (get(b"b.example."), "b"),
            (get(b"x.c.example"), "b"),
            (get(b"x.y.c.example"), "b"),
            (get(b"[2001:DB8:0::1]:80"), "six"),
            (get(b"one.sub.example"), "one"),
            (get(b"b.example", b"http://b.example/"), "b"),
            (b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "a"),
            (get(b"c.example"), ""),
            (get(b"two.sub.example"), ""),
        ):
            self.assertEqual(self.asked(request), name, request)
            self.assertEqual(self.asked(*(request[at : at + 1] for at in range(len(request)))), name)

    def test_locations(self) -> None:
        """The longest beginning of the path decides, as the path is once it is read; the query does not."""
        self.publish("a.example", name="all")
        self.publish("a.example", name="api", locations=("/api", "/v/"))
        self.publish("a.example", name="deep", locations=("/api/deep",))
        self.publish("b.example", name="only", locations=("/x",))
        for host, path, name in (
            (b"a.example", b"/", "all"),
            (b"a.example", b"/ap", "all"),
            (b"a.example", b"/v", "all"),
            (b"a.example", b"/?/api", "all"),
            (b"a.example", b"/api", "api"),
            (b"a.example", b"/apix?y", "api"),
            (b"a.example", b"/v/1", "api"),
            (b"a.example", b"/api/deep/er", "deep"),
            (b"a.example", b"//api/./deep", "deep"),
            (b"a.example", b"/x/../api/deep", ""),
            (b"a.example", b"/%61pi", "api"),
            (b"b.example", b"/x", "only"),
            (b"b.example", b"/", ""),
        ):
            self.assertEqual(self.asked(get(host, path)), name, path)

    def test_users(self) -> None:
        """The user that a request names has its own routes first; without credentials nothing is checked."""
        self.publish("a.example", name="all")
        self.publish("a.example", name="bob", route_by_http_user="bob")
        self.publish("b.example", name="only", route_by_http_user="bob")
        for host, fields, name in (
            (b"a.example", b"", "all"),
            (b"a.example", BOB, "bob"),
            (b"a.example", EVE, "all"),
            (b"a.example", b"Authorization: Bearer Ym9iOndoYXRldmVy\r\n", "all"),
            (b"b.example", BOB, "only"),
            (b"b.example", EVE, ""),
            (b"b.example", b"", ""),
        ):
            self.assertEqual(self.asked(get(host, fields=fields)), name, fields)

    def test_each_request(self) -> None:
        """Each request of a connection goes where it leads by itself."""
        for name in ("a", "b"):
            self.publish(f"{name}.example", name=name)
        user = self.user()
        for name in ("a", "b", "b", "a"):
            self.say(user, get(name.encode() + b".example"))
            service = next(end for each, end in self.served if each == name)
            self.assertTrue(service.take().startswith(b"GET / "))
            self.say(service, OK)
            self.assertEqual(user.take(), OK)
        self.assertEqual([name for name, _ in self.served], ["a", "b"])

    def test_changed_meanwhile(self) -> None:
        """What is asked for again leads to whoever has it then."""
        first = self.publish("a.example", name="first")
        user = self.user(GET)
        self.say(self.service, OK)
        first.withdraw()
        self.publish("a.example", name="second")
        self.say(user, GET)
        self.assertEqual([name for name, _ in self.served], ["first", "second"])
        self.say(self.service, OK)
        self.publish("a.example", name="third", locations=("/",))
        self.say(user, GET)
        self.assertEqual(self.served[-1][0], "third")

    def test_refused(self) -> None:
        """A route has one proxy; the client is told so in frp's words, and has none of the others."""
        self.publish("a.example", name="first", locations=("/x",))
        with self.assertRaises(ProxyRefusedError) as caught:
            self.publish("b.example", "a.example", name="second", locations=("/y", "/x"))
        self.assertEqual(caught.exception.text, "router config conflict")
        self.publish("b.example", name="third", locations=("/y",))
        self.publish("a.example", name="fourth", locations=("/x",), route_by_http_user="u")

    def test_address(self) -> None:
        """The client is told each domain with the port, once for all locations."""
        published = self.publish("a.example", "B.example", locations=("/x", "/y", "/x"))
        self.assertEqual(set(published.address.split(",")), {f"a.example:{PORT}", f"b.example:{PORT}"})

    def test_off(self) -> None:
        """Without the port there are no proxies of the type."""
        self.keys = {"vhost_http_port": 0}
        with self.assertRaises(ProxyRefusedError) as caught:
            self.publish()
        self.assertEqual(caught.exception.text, "type [http] not supported when vhost http port is not set")


class AccessTests(IngressTestCase):
    """Tests for sites that ask users to name themselves."""

    def test_credentials(self) -> None:
        """The request that is let in is the one that goes on, and no other reaches the service."""
        self.publish("a.example", http_user="u", http_password=Secret("p"))
        for fields in (b"", U_X, EVE, b"Authorization: Basic d!p\r\n", b"Authorization: Bearer dTpw\r\n"):
            user = self.user(get(b"a.example", fields=fields))
            answer = user.take()
            self.assertTrue(answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n"), fields)
            self.assertIn(b'WWW-Authenticate: Basic realm="Restricted"\r\n', answer)
            self.assertEqual(self.served, [])
        self.say(user, get(b"a.example", fields=U_P))
        self.assertIn(b"\r\n" + U_P, self.service.take())
        self.say(self.service, OK)
        self.say(user, GET)
        self.assertEqual(user.take()[len(OK) :][:12], b"HTTP/1.1 401")

    def test_as_a_proxy(self) -> None:
        """Who takes this for a forward proxy names itself to that, which the service does not see."""
        self.publish("a.example", http_user="u", http_password=Secret("p"))
        whole = b"http://a.example/"
        self.assertEqual(self.status(get(b"a.example", whole)), b"407")
        self.assertEqual(self.status(get(b"a.example", whole, U_P)), b"407")
        self.user(get(b"a.example", whole, b"Proxy-" + U_P))
        self.assertNotIn(b"Authorization", self.service.take())

    def test_route_first(self) -> None:
        """Where nobody is, credentials are not looked at; on the way to a user's site they are."""
        self.publish("a.example", route_by_http_user="u", http_user="u", http_password=Secret("p"))
        self.assertEqual(self.status(get(b"a.example", fields=EVE)), b"404")
        self.assertEqual(self.status(get(b"a.example", fields=U_X)), b"401")
        self.assertEqual(self.asked(get(b"a.example", fields=U_P)), "web")


class ChangeTests(IngressTestCase):
    """Tests for what a site has changed in messages."""

    def test_rules(self) -> None:
        """Host and fields are those of the proxy's configuration, for each proxy its own."""
        self.publish(
            "a.example",
            name="a",
            host_header_rewrite="in.example",
            request_headers=RequestHeaders(set={"X-From": "there", "User-Agent": "relay"}),
            response_headers=ResponseHeaders(set={"X-To": "here", "Server": "mine"}),
        )
        self.publish("b.example", name="b")
        user = self.user(get(b"a.example", fields=b"User-Agent: curl\r\nX-From: me\r\n"))
        told = self.service.take()
        self.assertIn(b"Host: in.example\r\n", told)
        self.assertEqual((told.count(b"X-From: there\r\n"), told.count(b"X-From: me")), (1, 0))
        self.assertEqual((told.count(b"User-Agent: relay\r\n"), told.count(b"curl")), (1, 0))
        self.assertIn(b"X-Forwarded-Host: a.example\r\n", told)
        self.say(self.service, OK.replace(b"Date: x", b"Date: x\r\nServer: theirs"))
        answered = user.take()
        self.assertIn(b"\r\nX-To: here\r\n", answered)
        self.assertEqual((answered.count(b"Server: mine\r\n"), answered.count(b"theirs")), (1, 0))
        self.say(user, get(b"b.example"))
        self.assertIn(b"Host: b.example\r\n", self.service.take())
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_members(self) -> None:
        """So it is for each member of a group."""
        for name in ("a", "b"):
            self.publish(name=name, group="g", host_header_rewrite=f"{name}.inside")
        user = self.user()
        for turn in range(4):
            self.say(user, GET)
            name, service = self.served[turn % 2]
            self.assertIn(b"Host: %b.inside\r\n" % name.encode(), service.take())
            self.say(service, OK)
            self.assertEqual(user.take(), OK)


class PageTests(IngressTestCase):
    """Tests for what users get who ask for nobody's site."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.keys = {"custom_404_page": str(self.path)}

    def asks(self, user: End) -> tuple[bytes, bytes]:
        """What somebody gets who asks for nobody's site: its type and the page."""
        self.say(user, get(b"no.example"))
        head, _, body = user.take().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 404 Not Found\r\nDate: "), head)
        self.assertIn(b"\r\nContent-Length: %d" % len(body), head)
        return head.partition(b"\r\nContent-Type: ")[2].partition(b"\r\n")[0], body

    def test_built_in(self) -> None:
        """Without a page of somebody there is one of ours, and the user may go on."""
        self.keys = {}
        self.publish("a.example")
        user = self.user()
        self.assertEqual(self.asks(user), (b"text/html; charset=utf-8", not_found().body))
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_read_anew(self) -> None:
        """The page is the file as it is at the moment; it may be text."""
        self.publish("a.example")
        user = self.user()
        for page, kind in (
            (b"<p>Here is nothing", b"text/html; charset=utf-8"),
            (b" \n<html>", b"text/html; charset=utf-8"),
            (b"nothing", b"text/plain; charset=utf-8"),
            (b"", b"text/plain; charset=utf-8"),
        ):
            self.path.write_bytes(page)
            self.assertEqual(self.asks(user), (kind, page))

    def test_large(self) -> None:
        """Of a file that is too large its beginning is the page."""
        self.path.write_bytes(bytes(MOST_PAGE_BYTES + 1))
        self.publish("a.example")
        self.assertEqual(len(self.asks(self.user())[1]), MOST_PAGE_BYTES)

    def test_unreadable(self) -> None:
        """A page that cannot be read is ours; the log says so once, and again after it could be read."""
        self.publish("a.example")
        user = self.user()
        for _ in range(2):
            with capturedLogs() as logged:
                for _ in range(3):
                    self.assertEqual(self.asks(user)[1], not_found().body)
            (warning,) = [each for each in logged if each["log_level"] is LogLevel.warn]
            self.assertEqual((warning["problem"], warning["path"]), ("unreadable-page", str(self.path)))
            self.assertIn("custom404Page", warning["log_format"])
            self.path.write_bytes(b"there")
            self.assertEqual(self.asks(user)[1], b"there")
            self.path.unlink()

    def test_date(self) -> None:
        """Answers of ours have the date of the moment, as HTTP writes it."""
        clock = SimpleNamespace(time=lambda: 784111777.25)
        self.patch(ingress, "time", clock)
        self.publish("a.example")
        user = self.user(get(b"no.example"))
        self.assertIn(b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", user.take())
        clock.time = lambda: 784111778.0
        self.say(user, get(b"no.example"))
        self.assertIn(b"\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n", user.take())


class PortTests(IngressTestCase):
    """Tests for the port and who comes there."""

    def test_not_http(self) -> None:
        """On a port of its own whoever speaks something else is told what it is that is spoken there."""
        self.publish("a.example")
        for said in (b"SSH-2.0-x\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"get / HTTP/1.1\r\n\r\n"):
            user = self.user(said)
            self.assertRegex(user.take(), rb"\AHTTP/1\.1 (400|501) ")
        self.assertEqual(self.served, [])

    def test_strange_method(self) -> None:
        """On a port of its own a request may have any method."""
        self.publish("a.example")
        self.assertEqual(self.asked(GET.replace(b"GET", b"BREW")), "web")

    def test_bind_port(self) -> None:
        """The port may be the one that clients dial: requests are told apart from clients."""
        self.keys = {"vhost_http_port": self.relay.server.port}
        self.publish("a.example")
        user = End(self.relay.dial(self.relay.server.port))
        self.say(user, GET)
        self.assertTrue(self.service.take().startswith(b"GET / "))
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)
        self.relay.publish(tcp, TcpOptions(remote_port=6000), name="other")

    def test_silent(self) -> None:
        """Who does not say within a while what it wants is let go, as is who begins like HTTP/2 and stops."""
        self.publish("a.example")
        users = [self.user(), self.user(b"PRI * HT")]
        self.relay.advance(FIRST_BYTES_S)
        self.assertEqual([(user.take(), user.heard.ended) for user in users], [(b"", True)] * 2)

    def test_timeout(self) -> None:
        """``vhostHTTPTimeout`` may be off: then an answer is waited for all day, and not for ever."""
        host: Any = MemoryRelay().host
        for given, seconds in ((5, 5.0), (-1, MOST_TIMEOUT_S), (10**9, MOST_TIMEOUT_S)):
            made = HttpIngress(HttpKeys(vhost_http_timeout=given), host)
            self.assertEqual(made.timeouts.response_s, seconds)


class ReconfigurationTests(IngressTestCase):
    """Tests for options that change while users are there."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.publish("a.example")

    def change(self, **keys: Any) -> None:
        """The server goes on with these."""
        self.relay.reconfigure(http.proxy_type, HttpKeys(**{"vhost_http_port": PORT, **keys}))

    def served_at(self, port: int) -> End:
        """A user who is served there."""
        user = End(self.relay.dial(port))
        self.served_again(user)
        return user

    def served_again(self, user: End) -> None:
        """The same user asks once more."""
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_moved(self) -> None:
        """At another port users come; who is there goes on."""
        user = self.served_at(PORT)
        self.change(vhost_http_port=PORT + 1)
        self.assertEqual(self.relay.open_ports, [PORT + 1])
        self.served_at(PORT + 1)
        self.served_again(user)

    def test_page(self) -> None:
        """Another page is shown to those who are there, too."""
        user = self.user()
        page = self.folder / "page"
        page.write_bytes(b"not here")
        self.change(custom_404_page=str(page))
        self.say(user, get(b"no.example"))
        self.assertTrue(user.take().endswith(b"not here"))

    def test_timeout(self) -> None:
        """Services have the time that the options give."""
        self.change(vhost_http_timeout=5)
        user = self.user(GET)
        self.relay.advance(6)
        self.assertTrue(user.take().startswith(b"HTTP/1.1 504 "))

    def test_certificates(self) -> None:
        """Certificates come, change and go; users within TLS stay, and so does who does its handshake."""
        files = Files(self.folder)
        first = files.write_lasting("a.example")
        tls = {"vhost_https_port": PORT + 1, "vhost_https_certificates": (files.entry,)}
        self.change(**tls, vhost_https_redirect=True)
        self.assertTrue(self.user(GET).take().startswith(b"HTTP/1.1 308 "))
        user = self.within_tls(first)
        near = self.relay.dial(PORT + 1)
        files = Files(self.folder, "second")
        second = files.write_lasting("a.example")
        self.change(**{**tls, "vhost_https_certificates": (files.entry,)})
        self.assertEqual(self.relay.open_ports, [PORT, PORT + 1])
        self.served_again(user)
        self.served_again(self.within_tls(second, near))
        self.served_again(self.within_tls(second))
        self.served_at(PORT)
        self.change()
        self.assertEqual(self.relay.open_ports, [PORT])
        self.served_again(user)

    def test_wrong_certificate(self) -> None:
        """A file that cannot be used changes nothing, the other port that was opened for it included."""
        entry = CertificateFiles(cert_file="/no/such.crt", key_file="/no/such.key")
        with self.assertRaises(TransportSecurityError):
            self.change(
                vhost_http_port=PORT + 2, vhost_https_port=PORT + 1, vhost_https_certificates=(entry,)
            )
        self.assertEqual(self.relay.open_ports, [PORT])
        self.served_at(PORT)

    def test_port_of_tls_taken(self) -> None:
        """So does a port that cannot be opened."""
        files = Files(self.folder)
        files.write_lasting("a.example")
        other = self.relay.ports.listen("", PORT + 1, Nobody())
        with self.assertRaises(ListenFailed):
            self.change(vhost_https_port=PORT + 1, vhost_https_certificates=(files.entry,))
        other.close()
        self.assertEqual(self.relay.open_ports, [PORT])
        self.relay.stop()
        self.assertEqual(self.relay.clock.getDelayedCalls(), [])

    def within_tls(self, certificate: bytes, leg: MemoryLeg | None = None) -> End:
        """A user who trusts this certificate, and does TLS."""
        trusting = client_context(authorities=certificate, server_name="a.example")
        leg = leg or self.relay.dial(PORT + 1)
        secured = start_tls(self.relay.network, leg, trusting, server_side=False)
        self.relay.settle()
        return End(self.successResultOf(secured))  # type: ignore[arg-type]  # any leg will do

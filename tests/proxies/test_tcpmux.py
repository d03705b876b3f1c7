"""Tests for :mod:`relaykit.proxies.tcpmux`."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ProxyRefusedError
from relaykit.options import LoadBalancer, from_wire, to_wire
from relaykit.proxies import tcpmux
from relaykit.proxies.tcpmux import CONNECTED, NOT_FOUND, UNAUTHORIZED, TcpmuxKeys, TcpmuxOptions
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published
from relaykit.values import Secret

PORT = 1337

BOB = b"Proxy-Authorization: Basic Ym9iOndoYXRldmVy\r\n"
EVE = b"Proxy-Authorization: Basic ZXZlOng=\r\n"
U_P = b"Proxy-Authorization: Basic dTpw\r\n"
U_X = b"Proxy-Authorization: Basic dTp4\r\n"
ONLY_P = b"Proxy-Authorization: Basic OnA=\r\n"
"""Users and passwords: bob:whatever, eve:x, u:p, u:x, and :p."""


def options(
    *domains: str, user: str = "", password: str = "", route: str = "", subdomain: str = ""
) -> TcpmuxOptions:
    """The own keys of a proxy."""
    return TcpmuxOptions(
        custom_domains=domains,
        subdomain=subdomain,
        multiplexer="httpconnect",
        http_user=user,
        http_password=Secret(password),
        route_by_http_user=route,
    )


def connect(host: bytes, *fields: bytes) -> bytes:
    """A request for a tunnel."""
    return b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (host, b"".join(fields))


class TcpmuxConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """``tcpmux`` is a proxy type."""

    proxy_type = tcpmux.proxy_type

    def options(self) -> TcpmuxOptions:
        return options("a.example")

    def ingress_options(self) -> TcpmuxKeys:
        return TcpmuxKeys(http_connect_port=PORT)


class TcpmuxOptionsTests(SynchronousTestCase):
    """Tests for what travels, and what may be."""

    def test_wire(self) -> None:
        """All keys travel in frp's fields."""
        given = options("a.example", user="u", password="p", route="bob", subdomain="c")
        sent = {
            "custom_domains": ["a.example"],
            "subdomain": "c",
            "multiplexer": "httpconnect",
            "http_user": "u",
            "http_pwd": "p",
            "route_by_http_user": "bob",
        }
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(to_wire(given))), sent)
        self.assertEqual(from_wire(TcpmuxOptions, sent), given)

    def test_problems(self) -> None:
        """A proxy needs a domain, and the only multiplexer by its name."""
        keys = [each.key for each in TcpmuxOptions(multiplexer="other").problems()]
        self.assertEqual(keys, ["customDomains", "multiplexer"])
        self.assertEqual([each.key for each in TcpmuxOptions(subdomain="a").problems()], ["multiplexer"])
        self.assertEqual(list(options("a.example").problems()), [])


class TcpmuxIngressTests(SynchronousTestCase):
    """Tests for the server half."""

    passthrough = False

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.heard: list[RecordingReceiver] = []
        self.publish("mux", options("mux.example"))
        self.publish("bob", options("mux.example", route="bob"))
        self.publish("auth", options("auth.example", user="u", password="p"))
        self.publish("pw", options("pw.example", password="p"))
        self.publish("sub", options(subdomain="one"))

    def publish(self, name: str, own: TcpmuxOptions, group: str = "") -> Published:
        """A service that greets with its name, and whatever it hears is noted."""

        def serve(leg: object) -> None:
            leg.write(b"[" + name.encode() + b"]")  # type: ignore[attr-defined]
            self.heard.append(RecordingReceiver(leg))  # type: ignore[arg-type]

        return self.relay.publish(
            tcpmux.proxy_type,
            own,
            name=name,
            ingress_options=TcpmuxKeys(
                http_connect_port=PORT, passthrough=self.passthrough, sub_domain_host="sub.example"
            ),
            local=serve,
            load_balancer=LoadBalancer(group=group, group_key=Secret("k" if group else "")),
        )

    def says(self, *pieces: bytes) -> RecordingReceiver:
        """What a user gets who says this, piece by piece."""
        user = self.relay.dial(PORT)
        received = RecordingReceiver(user)
        for piece in pieces:
            user.write(piece)
            self.relay.settle()
        return received

    def served_by(self, *pieces: bytes) -> tuple[bytes, bytes]:
        """The service that a user gets who says this, and what it hears of that."""
        received = self.says(*pieces)
        (heard,) = self.heard
        self.heard.clear()
        begin = b"" if self.passthrough else CONNECTED
        self.assertTrue(received.data.startswith(begin + b"["), received.data)
        return received.data.removeprefix(begin), heard.data

    def test_routed(self) -> None:
        """The target decides, not the Host field, and then the user; a host has users' own routes first."""
        for request, service in (
            (connect(b"mux.example:443", b"Host: mux.example:443\r\n"), b"[mux]"),
            (connect(b"MUX.example."), b"[mux]"),
            (connect(b"mux.example:443", b"Host: auth.example\r\n"), b"[mux]"),
            (b"CONNECT mux.example:443 HTTP/1.0\r\n\r\n", b"[mux]"),
            (connect(b"mux.example:1", BOB), b"[bob]"),
            (connect(b"mux.example:1", EVE), b"[mux]"),
            (connect(b"auth.example:1", U_P), b"[auth]"),
            (connect(b"pw.example:1", ONLY_P), b"[pw]"),
            (connect(b"one.sub.example:1"), b"[sub]"),
        ):
            passed = request if self.passthrough else b""
            self.assertEqual(self.served_by(request), (service, passed), request)
            self.assertEqual(
                self.served_by(*(request[at : at + 1] for at in range(len(request)))), (service, passed)
            )

    def test_early(self) -> None:
        """What a user sends right behind its request reaches the service, which frp loses."""
        request = connect(b"mux.example:443")
        passed = request if self.passthrough else b""
        self.assertEqual(
            self.served_by(request + b"EARLY", b" and late"), (b"[mux]", passed + b"EARLY and late")
        )

    def test_unknown(self) -> None:
        """Who asks for a host that is not here is told so, and closed."""
        for request in (connect(b"no.example:443"), connect(b"no.example:443", BOB)):
            received = self.says(request)
            self.assertEqual((received.data, received.ended), (NOT_FOUND, True))
        head, _, body = NOT_FOUND.partition(b"\r\n\r\n")
        self.assertIn(b"\r\nContent-Length: %d\r\n" % len(body), head)
        self.assertTrue(head.startswith(b"HTTP/1.1 404 Not Found\r\n"))

    def test_unauthorized(self) -> None:
        """Who does not prove to be the user is told before anything else, and no service hears of it."""
        for host, fields in (
            (b"auth.example:1", b""),
            (b"auth.example:1", U_X),
            (b"auth.example:1", EVE),
            (b"auth.example:1", b"Authorization: Basic dTpw\r\n"),
            (b"pw.example:1", b""),
            (b"pw.example:1", U_P),
        ):
            received = self.says(connect(host, fields))
            self.assertEqual((received.data, received.ended), (UNAUTHORIZED, True), fields)
        self.assertEqual(self.heard, [])

    def test_no_request(self) -> None:
        """What is no request for a tunnel is closed without a word."""
        for data in (
            b"HELLO\r\n\r\n",
            b"GET http://mux.example/ HTTP/1.1\r\nHost: mux.example\r\n\r\n",
            b"connect mux.example:443 HTTP/1.1\r\n\r\n",
            connect(b"mux.example:443", b"X : y\r\n"),
        ):
            received = self.says(data)
            self.assertEqual((received.data, received.ended), (b"", True), data)

    def test_address(self) -> None:
        """The client is told each domain with the port."""
        published = self.publish("more", options("a.example", "b.example", route="bob"))
        self.assertEqual(published.address, f"a.example:{PORT},b.example:{PORT}")

    def test_refused(self) -> None:
        """A host has one proxy for each user, and members of a group have all keys alike; in frp's words."""
        for own, group, text in (
            (options("mux.example", route="bob"), "", "router config conflict"),
            (options("mux.example"), "g", "router config conflict"),
        ):
            with self.assertRaises(ProxyRefusedError) as caught:
                self.publish("other", own, group)
            self.assertEqual(caught.exception.text, text)
        self.publish("first", options("g.example", user="u", password="p"), "g")
        self.publish("second", options("g.example", user="u", password="p"), "g")
        for own in (
            options("h.example", user="u", password="p"),
            options("g.example", user="u", password="x"),
            options("g.example", user="x", password="p"),
            options("g.example", user="u", password="p", route="r"),
        ):
            with self.assertRaises(ProxyRefusedError) as caught:
                self.publish("third", own, "g")
            self.assertEqual(caught.exception.text, "group params invalid")

    def test_off(self) -> None:
        """Without the port there are no proxies of the type."""
        relay = MemoryRelay()
        with self.assertRaises(ProxyRefusedError) as caught:
            relay.publish(tcpmux.proxy_type, options("a.example"))
        self.assertEqual(
            caught.exception.text,
            "tcpmux with multiplexer httpconnect not supported because this feature is not enabled in server",
        )


class PassthroughTests(TcpmuxIngressTests):
    """The same with ``tcpmuxPassthrough``: services get the request, and answer it."""

    passthrough = True

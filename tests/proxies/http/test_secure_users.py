"""Tests for :mod:`relaykit.proxies.http.secure_users`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from h2.connection import H2Connection
from h2.events import ResponseReceived
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from relaykit.certificates.files import LOOK_S
from relaykit.dataplane.listening import ListenFailed
from relaykit.dataplane.tls import TlsContext, client_context, start_tls
from relaykit.errors import TransportSecurityError
from relaykit.interfaces import ISecureLeg
from relaykit.proxies import http, https
from relaykit.proxies.http import secure_users
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.proxies.http.secure_users import HANDSHAKE_S
from relaykit.proxies.https import HttpsKeys, HttpsOptions
from relaykit.sansio.parsers.client_hello import UNRECOGNIZED_NAME
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import collecting
from tests.proxies.http.pairs import Files
from tests.proxies.http.scene import GET, OK, PORT, End, HttpTestCase
from tests.sansio.parsers.hellos import client_hello, records

TLS_PORT = 8443


class SecureUsersTests(HttpTestCase):
    """Sites over TLS that ends at the relay."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.files = Files(folder)
        self.certificate = self.files.write_lasting("a.example", "*.b.example")
        self.keys = {"vhost_https_port": TLS_PORT, "vhost_https_certificates": (self.files.entry,)}

    def shake(self, name: str, client: TlsContext | None = None) -> Deferred[ISecureLeg]:
        """Does the handshake of a user who asks for this name, as far as it goes."""
        trusting = client or client_context(authorities=self.certificate, server_name=name)
        secured = start_tls(self.relay.network, self.relay.dial(TLS_PORT), trusting, server_side=False)
        self.relay.settle()
        return secured

    def secure_user(self, name: str = "a.example") -> End:
        """A user within TLS."""
        return End(self.successResultOf(self.shake(name)))  # type: ignore[arg-type]  # any leg will do

    def publish_unopened(self, *domains: str) -> list[MemoryLeg]:
        """A service of type ``https``; its connections."""
        legs: list[MemoryLeg] = []
        self.relay.publish(
            https.proxy_type,
            HttpsOptions(custom_domains=domains),
            name="unopened",
            ingress_options=HttpsKeys(vhost_https_port=TLS_PORT),
            local=collecting(legs),
        )
        return legs

    def test_requests(self) -> None:
        """Requests within TLS are served as others are, and the service is told of it."""
        self.publish("a.example", "*.b.example")
        user = self.secure_user()
        for _ in range(2):
            self.say(user, GET)
            heard = self.service.take()
            self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", heard)
            self.assertIn(b"\r\nX-Forwarded-For: ", heard)
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)
        self.say(self.secure_user("x.b.example"), GET.replace(b"a.example", b"no.example"))
        plain = self.user(GET)
        self.assertIn(b"\r\nX-Forwarded-Proto: http\r\n", self.service.take())
        self.say(self.service, OK)
        self.assertEqual(plain.take(), OK)

    def test_large(self) -> None:
        """An answer of several records arrives whole."""
        self.publish("a.example")
        user = self.secure_user()
        self.say(user, GET)
        content = bytes(range(256)) * 1000
        head = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % len(content)
        self.say(self.service, head + content)
        self.assertEqual(user.take(), head + content)

    def test_cut(self) -> None:
        """A hello is understood however it comes, and the handshake goes on from it."""
        self.publish("a.example")
        for step in (1, 5, 100):
            user = self.relay.dial(TLS_PORT)
            near, far = self.relay.network.pair()
            trusting = client_context(authorities=self.certificate, server_name="a.example")
            secured = start_tls(self.relay.network, near, trusting, server_side=False)
            said = RecordingReceiver(far)
            answered = RecordingReceiver(user)
            for _ in range(2):
                self.relay.settle()
                data, said.data = said.data, b""
                for at in range(0, len(data), step):
                    user.write(data[at : at + step])
                    self.relay.settle()
                far.write(answered.data)
                answered.data = b""
            self.relay.settle()
            self.assertEqual(self.successResultOf(secured).tls_version, "TLSv1.3")

    def test_others(self) -> None:
        """Who asks for a name without a certificate is left to the type ``https``, or closed."""
        self.publish("a.example", "c.example")
        for name in (b"c.example", b"b.example", b""):
            user = RecordingReceiver(leg := self.relay.dial(TLS_PORT))
            leg.write(records(client_hello(name)))
            self.relay.settle()
            self.assertEqual((user.data, user.ended), (b"", True), name)
        legs = self.publish_unopened("c.example")
        leg = self.relay.dial(TLS_PORT)
        leg.write(records(client_hello(b"c.example")))
        self.relay.settle()
        self.assertEqual(len(legs), 1)
        user = RecordingReceiver(leg := self.relay.dial(TLS_PORT))
        leg.write(records(client_hello(b"d.example")))
        self.relay.settle()
        self.assertEqual(user.data, UNRECOGNIZED_NAME)

    def test_unopened(self) -> None:
        """The name of a proxy of type ``https`` is passed through unopened; its wildcards are no names."""
        self.publish("a.example", "x.b.example")
        legs = self.publish_unopened("x.b.example", "*.b.example", "*")
        hello = records(client_hello(b"X.b.example"))
        self.relay.dial(TLS_PORT).write(hello)
        self.relay.settle()
        (leg,) = legs
        received = RecordingReceiver(leg)
        self.relay.settle()
        self.assertEqual(received.data, hello)
        self.secure_user("y.b.example")
        self.secure_user("a.example")
        self.assertEqual(len(legs), 1)

    def test_misdirected(self) -> None:
        """A host whose TLS is not ended here is not served to who is within TLS for another one."""
        self.publish("a.example", "x.b.example")
        self.publish_unopened("x.b.example")
        user = self.secure_user("y.b.example")
        for host in (b"x.b.example", b"X.b.example:8443"):
            self.say(user, GET.replace(b"a.example", host))
            self.assertTrue(user.take().startswith(b"HTTP/1.1 421 Misdirected Request\r\n"))
        self.assertEqual(self.served, [])
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_misdirected_since(self) -> None:
        """Who asks for the same again is told as soon as the host's TLS is not ended here any more."""
        self.publish("y.b.example")
        user = self.secure_user("y.b.example")
        ask = GET.replace(b"a.example", b"y.b.example")
        for _ in range(2):
            self.say(user, ask)
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)
        self.publish_unopened("y.b.example")
        self.say(user, ask)
        self.assertTrue(user.take().startswith(b"HTTP/1.1 421 Misdirected Request\r\n"))

    def test_http2(self) -> None:
        """HTTP/2 is spoken with who would, and is within TLS, too."""
        self.publish("a.example")
        context = client_context(server_name="a.example")
        context.context.set_alpn_protos([b"h2", b"http/1.1"])
        leg = self.successResultOf(self.shake("a.example", context))
        client = H2Connection()
        client.initiate_connection()
        fields = ((":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/"))
        client.send_headers(1, fields, end_stream=True)
        user = End(leg)  # type: ignore[arg-type]  # any leg will do
        self.say(user, client.data_to_send())
        self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", self.service.take())
        self.say(self.service, OK)
        (answer,) = (e for e in client.receive_data(user.take()) if isinstance(e, ResponseReceived))
        self.assertIn((b":status", b"200"), [tuple(field) for field in answer.headers])

    def test_redirect(self) -> None:
        """Where the server wants it, who comes without TLS is asked to come over TLS, if it can."""
        self.keys["vhost_https_redirect"] = True
        published = self.publish("a.example", "c.example")
        self.assertEqual(published.address, f"https://a.example:{TLS_PORT},c.example:{PORT}")
        user = self.user(GET.replace(b"GET /", b"GET /p?q=1"))
        answer = user.take()
        self.assertTrue(answer.startswith(b"HTTP/1.1 308 Permanent Redirect\r\n"))
        self.assertIn(b"\r\nLocation: https://a.example:8443/p?q=1\r\n", answer)
        self.say(user, GET.replace(b"a.example", b"c.example"))
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)
        within = self.secure_user()
        self.say(within, GET)
        self.say(self.served[-1][1], OK)
        self.assertEqual(within.take(), OK)

    def test_renewed(self) -> None:
        """Who is there stays when a certificate is renewed, and who comes then gets the new one."""
        self.publish("a.example")
        before = self.secure_user()
        self.certificate = self.files.write_lasting("a.example", "new.example")
        self.relay.advance(LOOK_S)
        for user in (before, self.secure_user()):
            self.say(user, GET)
            self.say(self.served[-1][1], OK)
            self.assertEqual(user.take(), OK)
        self.failureResultOf(self.shake("x.b.example"))
        self.secure_user("new.example")

    def test_protocol(self) -> None:
        """Who would speak nothing that is spoken here gets no session."""
        self.publish("a.example")
        client = client_context(server_name="a.example")
        client.context.set_alpn_protos([b"acme-tls/1"])
        self.failureResultOf(self.shake("a.example", client), TransportSecurityError)
        client = client_context(server_name="a.example")
        client.context.set_alpn_protos([b"h3", b"http/1.1"])
        self.successResultOf(self.shake("a.example", client))

    def test_slow(self) -> None:
        """Who does not go on with its handshake is let go in time."""
        self.publish("a.example")
        user = RecordingReceiver(leg := self.relay.dial(TLS_PORT))
        leg.write(records(client_hello(b"a.example")))
        self.relay.settle()
        with capturedLogs():
            self.relay.advance(HANDSHAKE_S)
        self.assertTrue(user.ended)

    def test_crowd(self) -> None:
        """Where many shake hands, the one that takes longest makes room."""
        self.patch(secure_users, "MOST_HANDSHAKES", 2)
        self.setUp()
        self.publish("a.example")
        held = [self.relay.network.pair() for _ in range(3)]
        ends = []
        for near, far in held:
            context = client_context(server_name="a.example")
            start_tls(self.relay.network, near, context, server_side=False).addErrback(lambda _: None)
            said = RecordingReceiver(far)
            self.relay.settle()
            user = RecordingReceiver(leg := self.relay.dial(TLS_PORT))
            leg.write(said.data)
            self.relay.settle()
            ends.append(user)
        self.assertEqual([each.lost is not None for each in ends], [True, False, False])

    def test_junk(self) -> None:
        """A hello that only looks like one costs a line for who looks for it."""
        self.publish("a.example")
        with capturedLogs() as logged:
            user = RecordingReceiver(leg := self.relay.dial(TLS_PORT))
            leg.write(records(client_hello(b"a.example")) + b"\x16\x03\x03\x00\x01\x00")
            self.relay.settle()
        self.assertTrue(user.ended)
        texts = [formatEvent(event) for event in logged if "gets no TLS" in formatEvent(event)]
        self.assertEqual(len(texts), 1)

    def test_only_secure(self) -> None:
        """A server may have the port of TLS alone; users are told that one."""
        published = self.relay.publish(
            http.proxy_type,
            HttpOptions(custom_domains=("a.example",)),
            ingress_options=HttpKeys(**self.keys),
            local=lambda leg: self.served.append(("web", End(leg))),
        )
        self.assertEqual(published.address, f"https://a.example:{TLS_PORT}")
        self.assertEqual(self.relay.open_ports, [TLS_PORT])
        self.say(self.secure_user(), GET)
        self.service.take()

    def test_same_port(self) -> None:
        """The port may be that of plain HTTP, and that which clients dial."""
        for port in (PORT, self.relay.server.port):
            self.setUp()
            keys: dict[str, Any] = {**self.keys, "vhost_https_port": port}
            self.relay.publish(
                http.proxy_type,
                HttpOptions(custom_domains=("a.example",)),
                ingress_options=HttpKeys(vhost_http_port=port, **keys),
                local=lambda leg: self.served.append(("web", End(leg))),
            )
            user = self.relay.dial(port)
            trusting = client_context(authorities=self.certificate, server_name="a.example")
            secured = start_tls(self.relay.network, user, trusting, server_side=False)
            self.relay.settle()
            self.successResultOf(secured).write(GET)
            self.relay.dial(port).write(GET)
            self.relay.settle()
            heard = sorted(b"Proto: https" in end.take() for _, end in self.served)
            self.assertEqual(heard, [False, True])

    def test_not_started(self) -> None:
        """A server that cannot have the other port gives back the port of TLS, and looks at no files."""
        taken = self.relay.ports.listen("", PORT, http.proxy_type)  # type: ignore[arg-type]  # nobody dials
        ingress = http.proxy_type.make_ingress(HttpKeys(vhost_http_port=PORT, **self.keys), self.relay.host)
        self.assertRaises(ListenFailed, ingress.privilegedStartService)
        taken.close()
        self.assertEqual((self.relay.open_ports, self.relay.clock.getDelayedCalls()), ([], []))

    def test_stopped(self) -> None:
        """A server that stops closes the port, and looks at no files any more."""
        self.publish("a.example")
        user = self.secure_user()
        self.relay.stop()
        self.assertTrue(user.heard.ended or user.heard.lost)
        self.assertEqual((self.relay.open_ports, self.relay.clock.getDelayedCalls()), ([], []))

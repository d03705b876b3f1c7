"""Tests for :mod:`relaykit.proxies.https`."""

from __future__ import annotations

import ssl

import msgspec
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import from_wire, to_wire
from relaykit.proxies import https
from relaykit.proxies.https import HttpsKeys, HttpsOptions
from relaykit.sansio.parsers.client_hello import UNRECOGNIZED_NAME
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, collecting
from tests.sansio.parsers.hellos import client_hello, records

PORT = 8443


class HttpsConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """``https`` is a proxy type."""

    proxy_type = https.proxy_type

    def options(self) -> HttpsOptions:
        return HttpsOptions(custom_domains=("a.example",))

    def ingress_options(self) -> HttpsKeys:
        return HttpsKeys(vhost_https_port=PORT)


class HttpsOptionsTests(SynchronousTestCase):
    """Tests for what travels."""

    def test_wire(self) -> None:
        """The domains travel in frp's fields."""
        options = HttpsOptions(custom_domains=("a.example", "*.b.example"), subdomain="c")
        sent = {"custom_domains": ["a.example", "*.b.example"], "subdomain": "c"}
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(to_wire(options))), sent)
        self.assertEqual(from_wire(HttpsOptions, sent), options)

    def test_no_domain(self) -> None:
        """A proxy that is found by its host name needs one."""
        self.assertEqual([each.key for each in HttpsOptions().problems()], ["customDomains"])
        self.assertEqual(list(HttpsOptions(subdomain="c").problems()), [])


class HttpsIngressTests(SynchronousTestCase):
    """Tests for the server half."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.services: dict[str, list[MemoryLeg]] = {}
        for name, domains in {
            "one": ("a.example",),
            "two": ("*.b.example", "b\u00fcro.example"),
            "any": ("*",),
        }.items():
            self.publish(name, *domains)

    def publish(self, name: str, *domains: str) -> None:
        """A service with these domains."""
        legs: list[MemoryLeg] = []
        self.services[name] = legs
        self.relay.publish(
            https.proxy_type,
            HttpsOptions(custom_domains=domains),
            name=name,
            ingress_options=HttpsKeys(vhost_https_port=PORT),
            local=collecting(legs),
        )

    def says(self, *pieces: bytes) -> RecordingReceiver:
        """What a user gets who says this, piece by piece."""
        user = self.relay.dial(PORT)
        received = RecordingReceiver(user)
        for piece in pieces:
            user.write(piece)
            self.relay.settle()
        return received

    def heard(self) -> dict[str, list[bytes]]:
        """What arrived at the services since the last time, by their names."""
        found = {
            name: [RecordingReceiver(leg) for leg in legs] for name, legs in self.services.items() if legs
        }
        self.relay.settle()
        for legs in self.services.values():
            legs.clear()
        return {name: [each.data for each in received] for name, received in found.items()}

    def test_routed(self) -> None:
        """The server name decides, without regard to case and final dot; no name is for whoever has all."""
        for name, service in (
            (b"a.example", "one"),
            (b"A.EXAMPLE", "one"),
            (b"a.example.", "one"),
            (b"x.b.example", "two"),
            (b"x.y.b.example", "two"),
            (b"xn--bro-hoa.example", "two"),
            (b"b.example", "any"),
            (b"10.0.0.1", "any"),
            (b"", "any"),
        ):
            hello = records(client_hello(name))
            self.says(hello)
            self.assertEqual(self.heard(), {service: [hello]}, name)

    def test_untouched(self) -> None:
        """A service gets every byte that the user sent, however it was cut, and what came behind it, too."""
        for size in (250, 1700, 9000):
            message = client_hello(b"a.example", size=size)
            for cuts in ((), (100, 200)):
                sent = records(message, cuts) + b"behind it"
                step = size // 250
                for pieces in (
                    (sent,),
                    (sent[:3], sent[3:]),
                    tuple(sent[at : at + step] for at in range(0, len(sent), step)),
                ):
                    self.says(*pieces)
                    self.assertEqual(self.heard(), {"one": [sent]})

    def test_unknown(self) -> None:
        """Who wants a server that is not here is told by TLS's own alert, and closed."""
        self.relay = MemoryRelay()
        self.publish("one", "a.example")
        for name in (b"b.example", b"", b"\xe9.example", b"a" * 300):
            received = self.says(records(client_hello(name)))
            self.assertEqual((received.data, received.ended), (UNRECOGNIZED_NAME, True))
        self.assertEqual(UNRECOGNIZED_NAME.hex(), "15030300020270")

    def test_unknown_in_the_log(self) -> None:
        """A name that nobody has cannot write lines of its own into a log."""
        self.relay = MemoryRelay()
        self.publish("one", "a.example")
        with capturedLogs() as logged:
            self.says(records(client_hello(b"b\r\n\x1b[2J")))
        [text] = [text for event in logged if "which nobody has" in (text := formatEvent(event))]
        self.assertIn(r"wants 'b\r\n\x1b[2J', which", text)

    def test_alert(self) -> None:
        """The alert is one that TLS clients understand."""
        sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(received, sent, server_hostname="b.example")
        self.assertRaises(ssl.SSLWantReadError, client.do_handshake)
        received.write(UNRECOGNIZED_NAME)
        error = self.assertRaises(ssl.SSLError, client.do_handshake)
        self.assertIn("UNRECOGNIZED_NAME", error.reason or "")

    def test_no_tls(self) -> None:
        """What is no TLS is closed at once, without a word."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x15\x03\x01\x00\x02\x02\x28"):
            received = self.says(data)
            self.assertEqual((received.data, received.ended), (b"", True))
        self.assertEqual(self.heard(), {})

    def test_answer(self) -> None:
        """What the service says reaches the user as it is."""
        user = self.relay.dial(PORT)
        received = RecordingReceiver(user)
        user.write(records(client_hello(b"a.example")))
        self.relay.settle()
        (service,) = self.services["one"]
        service.write(b"\x16\x03\x03 server hello")
        self.relay.settle()
        self.assertEqual(received.data, b"\x16\x03\x03 server hello")

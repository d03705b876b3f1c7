"""Tests for what proxy types share whose users name a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane.listening import ListenFailed
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode
from relaykit.interfaces import ILegAcceptor
from relaykit.options import LoadBalancer
from relaykit.proxies import domains, https
from relaykit.proxies.https import HttpsKeys, HttpsOptions
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, echoing
from relaykit.values import Secret
from tests.sansio.parsers.hellos import client_hello, records

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.values import Origin

PORT = 8443

HELLO = records(client_hello(b"a.example"))


def domain_options(*custom: str, subdomain: str = "") -> HttpsOptions:
    """The own keys of a proxy."""
    return HttpsOptions(custom_domains=custom, subdomain=subdomain)


class RegistrationTests(SynchronousTestCase):
    """Tests for the domains of proxies."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(
        self, *custom: str, subdomain: str = "", name: str = "web", parent: str = "", port: int = PORT
    ) -> Published:
        """A proxy with these domains, at a server whose subDomainHost is ``parent``."""
        return self.relay.publish(
            https.proxy_type,
            domain_options(*custom, subdomain=subdomain),
            name=name,
            ingress_options=HttpsKeys(vhost_https_port=port, sub_domain_host=parent),
        )

    def refusal(self, *custom: str, subdomain: str = "", name: str = "web", parent: str = "") -> str:
        """What the client of such a proxy is told."""
        with self.assertRaises(ProxyRefusedError) as caught:
            self.publish(*custom, subdomain=subdomain, name=name, parent=parent)
        text: str = caught.exception.text
        return text

    def test_address(self) -> None:
        """The client is told every domain, with the port unless it is one of the web's, in frp's order."""
        published = self.publish("A.example", "", "*.B.example.", subdomain="c", parent="D.example")
        self.assertEqual(published.address, f"a.example:{PORT},*.b.example:{PORT},c.d.example:{PORT}")
        for port, address in ((443, "a.example,[::1]"), (444, "a.example:444,[::1]:444")):
            self.relay = MemoryRelay()
            self.assertEqual(self.publish("a.example", "::1", port=port).address, address)

    def test_many(self) -> None:
        """Of more domains than an answer holds, the client is told the first ones; all of them lead to it."""
        names = [f"{number}.example" for number in range(2000)]
        *shown, last = self.publish(*names).address.split(",")
        self.assertEqual([*shown, last], [f"{name}:{PORT}" for name in names[: len(shown) + 1]])
        self.assertEqual(self.refusal(names[-1], name="other"), "router config conflict")

    def test_refused(self) -> None:
        """Domains that the server does not give are refused in frp's words."""
        for custom, subdomain, parent, text in (
            (("x.p.example",), "", "p.example", "custom domain [x.p.example] should not belong to subdomain"),
            (("*.P.example",), "", "p.example", "custom domain [*.P.example] should not belong to subdomain"),
            ((), "a", "", "subdomain is not supported because this feature is not enabled in server"),
            ((), "a.b", "p.example", "'.' and '*' are not supported in subdomain"),
            ((), "*", "p.example", "'.' and '*' are not supported in subdomain"),
            (("a b",), "", "", "custom domain [a b]: "),
            (("w*.example",), "", "", "custom domain [w*.example]: "),
            ((), "a_,", "p.example", "custom domain [a_,.p.example]: "),
        ):
            self.relay = MemoryRelay()
            self.assertIn(text, self.refusal(*custom, subdomain=subdomain, parent=parent))

    def test_not_refused(self) -> None:
        """The server's own domain, and one that only ends like it, belong to whoever asks for them."""
        self.publish("p.example", "notp.example", parent="p.example")

    def test_off(self) -> None:
        """Without the port there are no proxies of the type, and nothing is opened."""
        with self.assertRaises(ProxyRefusedError) as caught:
            self.publish("a.example", port=0)
        self.assertEqual(caught.exception.text, "type [https] not supported when vhost https port is not set")
        self.assertEqual(self.relay.open_ports, [])

    def test_conflict(self) -> None:
        """A domain has one proxy; who is refused one of its domains gets none, and the rest is free."""
        first = self.publish("a.example")
        self.assertEqual(self.refusal("b.example", "A.EXAMPLE.", name="other"), "router config conflict")
        self.publish("b.example", "*.a.example", name="third")
        first.withdraw()
        first.withdraw()
        self.publish("a.example", name="other")

    def test_twice(self) -> None:
        """A domain that a proxy names twice it has once."""
        self.assertEqual(self.publish("a.example", "A.example").address, f"a.example:{PORT}")

    def test_dead_client(self) -> None:
        """A domain of a client that gives no sign of life goes to the next who asks for it."""
        first = self.publish("a.example")
        for connection in first.connections:
            connection.stall()
        refused = self.assertRaises(AssertionError, self.publish, "a.example", name="other")
        self.assertIn("does it wait", str(refused))
        self.relay.advance(30.0)
        held = {each.name: each.is_open for each in self.relay.server.status().proxies}
        self.assertEqual(held, {"web": False, "other": True})

    def test_group(self) -> None:
        """Members of a group share the domains, all of them; others are told in frp's words."""

        def join(name: str, *custom: str, key: str = "k") -> Published:
            return self.relay.publish(
                https.proxy_type,
                domain_options(*custom),
                name=name,
                ingress_options=HttpsKeys(vhost_https_port=PORT),
                load_balancer=LoadBalancer(group="g", group_key=Secret(key)),
                local=lambda leg: leg.write(name.encode()),
            )

        first = join("one", "a.example", "b.example")
        second = join("two", "b.example", "a.example")
        self.assertEqual(second.address, first.address)
        for others, key, text in (
            (("a.example",), "k", "group params invalid"),
            (("a.example", "b.example"), "?", "group auth failed"),
        ):
            refused = self.assertRaises(ProxyRefusedError, join, "three", *others, key=key)
            self.assertEqual(refused.text, text)
        self.assertEqual(self.refusal("a.example", name="alone"), "router config conflict")
        heard = []
        for host in (b"a.example", b"b.example", b"a.example"):
            user = self.relay.dial(PORT)
            received = RecordingReceiver(user)
            user.write(records(client_hello(host)))
            self.relay.settle()
            heard.append(received.data)
        self.assertEqual(heard, [b"one", b"two", b"one"])
        first.withdraw()
        second.withdraw()
        self.publish("a.example")


class UnroutedTests(SynchronousTestCase):
    """Tests for users who do not say which host they want."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.relay.publish(
            https.proxy_type, domain_options("a.example"), ingress_options=HttpsKeys(vhost_https_port=PORT)
        )

    def test_slow(self) -> None:
        """Who has begun and does not go on is let go, without a word, once its time is over."""
        user = self.relay.dial(PORT)
        received = RecordingReceiver(user)
        user.write(b"\x16\x03\x01\x01\x00")
        self.relay.advance(domains.FIRST_BYTES_S - 1)
        self.assertFalse(received.ended)
        self.relay.advance(1)
        self.assertTrue(received.ended)
        self.assertEqual(received.data, b"")

    def test_crowd(self) -> None:
        """Where many are silent, the one that has been so for longest makes room."""
        self.patch(domains, "MOST_UNROUTED", 3)
        self.setUp()
        received = []
        for _ in range(5):
            user = self.relay.dial(PORT)
            received.append(RecordingReceiver(user))
            user.write(b"\x16")
            self.relay.settle()
        self.assertEqual([each.ended for each in received], [True, True, False, False, False])

    def test_stopped(self) -> None:
        """Who has not said it is let go when the server stops."""
        user = self.relay.dial(PORT)
        received = RecordingReceiver(user)
        user.write(b"\x16")
        self.relay.stop()
        self.assertTrue(received.ended)
        self.assertEqual((self.relay.open_ports, self.relay.clock.getDelayedCalls()), ([], []))

    def test_codes(self) -> None:
        """The refusals of domains are known problems."""
        self.assertEqual(
            ProxyRefusedError(RefusalCode.ROUTE_IN_USE, "router config conflict").problem, "domain-in-use"
        )


@implementer(ILegAcceptor)
class Nobody:
    """Takes no connections."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.abort()


class ReconfigurationTests(SynchronousTestCase):
    """Tests for options that change while users are there."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.change(PORT)
        self.publish("web", "a.example")

    def publish(self, name: str, *domains: str, subdomain: str = "") -> Published:
        """A proxy whose service sends back what it gets."""
        return self.relay.publish(
            https.proxy_type,
            domain_options(*domains, subdomain=subdomain),
            name=name,
            local=echoing,
        )

    def change(self, port: int, parent: str = "") -> None:
        """The server goes on with these."""
        self.relay.reconfigure(https.proxy_type, HttpsKeys(vhost_https_port=port, sub_domain_host=parent))

    def user(self, port: int) -> MemoryLeg:
        """Somebody who is served there."""
        user = self.relay.dial(port)
        self.assertEqual(self.echoed(user, HELLO), HELLO)
        return user

    def echoed(self, user: MemoryLeg, said: bytes) -> bytes:
        """What comes back of what somebody says."""
        received = RecordingReceiver()
        user.attach(received)
        user.write(said)
        self.relay.settle()
        return received.data

    def test_moved(self) -> None:
        """Another port takes users instead; those who are served stay."""
        user = self.user(PORT)
        self.change(PORT + 1)
        self.assertEqual(self.relay.open_ports, [PORT + 1])
        self.user(PORT + 1)
        self.assertEqual(self.echoed(user, b"still here"), b"still here")
        self.assertEqual(self.publish("next", "b.example").address, f"b.example:{PORT + 1}")

    def test_taken(self) -> None:
        """A port that cannot be opened changes nothing."""
        other = self.relay.ports.listen("", PORT + 1, Nobody())
        self.assertRaises(ListenFailed, self.change, PORT + 1, "d.example")
        self.user(PORT)
        with self.assertRaises(ProxyRefusedError):
            self.publish("sub", subdomain="c")
        other.close()
        self.change(PORT + 1)
        self.user(PORT + 1)

    def test_off_and_on(self) -> None:
        """Without a port nobody comes and no proxy is taken; with one again, all are served."""
        self.change(0)
        self.assertRaises(ConnectionFailed, self.relay.dial, PORT)
        with self.assertRaises(ProxyRefusedError) as caught:
            self.publish("late", "b.example")
        self.assertEqual(caught.exception.text, https.HttpsIngress.off_text)
        self.change(PORT)
        self.user(PORT)

    def test_parent(self) -> None:
        """Another subDomainHost counts for the proxies that come; those that are there keep their names."""
        self.change(PORT, "d.example")
        self.assertEqual(self.publish("sub", subdomain="c").address, f"c.d.example:{PORT}")
        self.user(PORT)

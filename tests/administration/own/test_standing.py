"""Tests for :mod:`relaykit.administration.own.standing`, on a running server."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.standing import standing_routes
from relaykit.errors import NoWorkConnection
from relaykit.options import Options
from relaykit.proxies import tcp, udp
from relaykit.testing.relay import MemoryRelay, echoing
from relaykit.values import Address
from tests.administration.own.asking import OwnApi


class StandingTests(SynchronousTestCase):
    """How proxies and clients stand."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        options: Options = tcp.TcpOptions(remote_port=6000)
        self.published = self.relay.publish(tcp.proxy_type, options, name="web", user="ann", local=echoing)
        self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6001), name="a/b", user="bob")
        self.api = OwnApi(tuple(standing_routes(self.relay.server)))

    def test_proxies(self) -> None:
        """Proxies are told page by page, all of them, those with a part in their name, those of a client."""
        names = [each["name"] for each in self.api.ask("GET", "/proxies").json["items"]]
        self.assertEqual(names, ["ann.web", "bob.a/b"])
        page = self.api.ask("GET", "/proxies?page=2&pageSize=1").json
        self.assertEqual((page["total"], page["page"], page["items"][0]["name"]), (2, 2, "bob.a/b"))
        self.assertEqual(self.api.ask("GET", "/proxies?q=web").json["total"], 1)
        client = self.api.ask("GET", "/proxies/ann.web").json["client"]
        (found,) = self.api.ask("GET", f"/proxies?client={client}").json["items"]
        self.assertEqual(found["name"], "ann.web")
        self.assertEqual(self.api.ask("GET", "/proxies?client=nobody").json["total"], 0)

    def test_proxy(self) -> None:
        """One proxy is told with who came last, and what went wrong last."""
        told = self.api.ask("GET", "/proxies/ann.web").json
        self.assertEqual(
            (told["state"], told["address"], told["users"], told["lastUser"], told["probe"]),
            ("open", ":6000", 0, "", None),
        )
        self.relay.dial(6000, Address("192.0.2.77", 5))
        told = self.api.ask("GET", "/proxies/ann.web").json
        self.assertEqual((told["users"], told["lastUser"]), (1, "192.0.2.77:5"))
        self.assertIsNotNone(told["lastUserAt"])
        proxy: Any = self.published.proxy
        flow = next(iter(proxy.flows))
        proxy.flow_unserved(flow, NoWorkConnection("nobody there"))
        told = self.api.ask("GET", "/proxies/ann.web").json
        self.assertEqual((told["lastError"], told["problem"]), ("nobody there", "no-work-connection"))

    def test_closed(self) -> None:
        """A proxy that is closed is told, with since when."""
        self.published.client.stopService()
        self.relay.advance(10.0)
        told = self.api.ask("GET", "/proxies/ann.web").json
        self.assertEqual((told["state"], told["address"]), ("closed", ""))
        self.assertEqual(self.api.ask("POST", "/proxies/ann.web/probe").status, 404)

    def test_unknown(self) -> None:
        """A name that no proxy has is said to be none."""
        answer = self.api.ask("GET", "/proxies/mail")
        self.assertEqual(answer.status, 404)
        self.assertIn("no proxy [mail] is open", answer.json["error"])

    def test_probe(self) -> None:
        """What comes of a look is told, and kept with the proxy."""
        told = self.probe("ann.web")
        self.assertEqual((told["online"], told["reached"], told["error"]), (True, "service", ""))
        self.assertEqual(self.api.ask("GET", "/proxies/ann.web").json["probe"], told)
        told = self.probe("bob.a%2Fb")
        self.assertEqual((told["online"], told["reached"]), (False, "client"))
        self.assertEqual(told["problem"], "local-service")

    def probe(self, name: str) -> dict[str, object]:
        """A look at a proxy, of which something comes at once."""
        connection = self.api.follow("/overview")
        connection.ask("POST", f"/api/relaykit/v1/proxies/{name}/probe")
        self.relay.settle()
        *_, answer = connection.answers()
        self.assertEqual(answer.status, 200)
        told: dict[str, object] = answer.json
        return told

    def test_cannot(self) -> None:
        """Where nothing can be found out, it is said why."""
        self.relay.wire_protocol = "v1"
        self.relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6002), name="dns")
        answer = self.api.ask("POST", "/proxies/dns/probe")
        self.assertEqual(answer.status, 409)
        self.assertIn("answers no probes", answer.json["error"])

    def test_clients(self) -> None:
        """Clients are told, those that are gone, too, with why."""
        first, second = self.api.ask("GET", "/clients").json["items"]
        self.assertEqual((first["connected"], first["carrier"], first["lastEnd"]), (True, "tcp", ""))
        self.assertEqual(self.api.ask("GET", f"/clients?q={second['key']}").json["total"], 1)

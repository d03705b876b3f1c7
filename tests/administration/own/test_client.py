"""Tests for :mod:`relaykit.administration.own.client`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.client import own_client_routes
from relaykit.administration.own.openapi import document
from relaykit.administration.steering import Steering
from relaykit.client.hosts import ServedUser
from relaykit.client.status import (
    ClientStatus,
    Health,
    HealthState,
    ProxyStatus,
    RegistrationState,
    VisitorStatus,
)
from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor, Definitions, Source
from relaykit.config.schema import ClientConfig
from relaykit.options import ProxyCommon, VisitorCommon
from relaykit.proxies.stcp import StcpVisitorOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.values import Address, Amount, ClientIdentity, Ended, LastSeen, Origin, Usage
from tests.administration.own.asking import OwnApi
from tests.administration.own.test_users import FakeFlow


@define
class FakeClient:
    """A client that stands as a test says."""

    now: ClientStatus
    identity: ClientIdentity = field(default=ClientIdentity("r", "ann", "c1"))
    served: list[tuple[str, FakeFlow, ServedUser]] = field(factory=list)
    proxies: list[ConfiguredProxy] = field(factory=list)
    visitors: list[ConfiguredVisitor] = field(factory=list)
    definitions: Definitions | None = None
    config: ClientConfig = field(factory=lambda: ClientConfig(server_addr="relay.example"))

    def status(self) -> ClientStatus:
        """How it stands."""
        return self.now

    def usage(self) -> Iterator[Usage]:
        """What one of them was used for."""
        yield Usage("ssh", None, Amount(10, 20, 3))

    def flows(self) -> Iterator[tuple[str, FakeFlow, ServedUser]]:
        """Its users."""
        return iter(self.served)


class ClientTests(SynchronousTestCase):
    """Tests for what a client can be asked and told."""

    def setUp(self) -> None:
        ssh = ProxyStatus(
            name="ssh",
            type="tcp",
            state=RegistrationState.RUNNING,
            address=":6000",
            users=1,
            since=80.0,
            last=LastSeen(Address("192.0.2.1", 9), 90.0, "no", 95.0),
        )
        web = ProxyStatus(
            name="web",
            type="http",
            state=RegistrationState.REFUSED,
            reason="port already used",
            next_try=107.5,
            health=Health(HealthState.HEALTHY, 1.0),
        )
        desk = VisitorStatus(name="desk", listening=Address("127.0.0.1", 9000), users=1, way="direct, by UDP")
        closed = VisitorStatus(name="closed", reason="it is taken", next_try=99.0)
        self.flow = FakeFlow()
        origin = Origin(source=Address("127.0.0.1", 40000))
        self.client = FakeClient(
            ClientStatus(connected=True, proxies=(ssh, web), visitors=(desk, closed)),
            served=[
                ("ssh", FakeFlow(), ServedUser(Origin(), 90.0)),
                ("desk", self.flow, ServedUser(origin, 95.0)),
            ],
            proxies=[ConfiguredProxy(ProxyCommon(name="ssh"), TcpOptions(), "tcp", source=Source.STORE)],
            visitors=[ConfiguredVisitor(VisitorCommon(name="desk"), StcpVisitorOptions(), "stcp")],
        )
        client: Any = self.client
        self.api = OwnApi(tuple(own_client_routes(client, Steering(), lambda: 100.0, lambda: 1000.0)))

    def test_proxies(self) -> None:
        """Proxies and visitors are told with how they stand, and why they are not up."""
        told = self.api.ask("GET", "/proxies").json
        self.assertTrue(told["connected"])
        ssh, web = told["proxies"]
        self.assertEqual(
            ssh,
            {
                "name": "ssh",
                "type": "tcp",
                "state": "running",
                "health": "",
                "reason": "",
                "problem": "",
                "address": ":6000",
                "path": "",
                "users": 1,
                "nextTryS": None,
                "source": "store",
                "since": 980.0,
                "lastUser": "192.0.2.1:9",
                "lastUserAt": 990.0,
                "lastError": "no",
                "lastErrorAt": 995.0,
                "connections": 3,
                "bytesIn": 10,
                "bytesOut": 20,
            },
        )
        self.assertEqual(
            (web["state"], web["problem"], web["nextTryS"], web["health"]),
            ("refused", "port-in-use", 7.5, "healthy"),
        )
        self.assertEqual(web["source"], "", "it is being taken back")
        desk, closed = told["visitors"]
        self.assertEqual((desk["listening"], desk["path"]), ("127.0.0.1:9000", "direct, by UDP"))
        self.assertEqual((desk["type"], desk["source"]), ("stcp", "file"))
        self.assertEqual((closed["listening"], closed["nextTryS"], closed["type"]), ("", 0.0, ""))

    def test_users(self) -> None:
        """Users are told with the way that they come, and one can be ended."""
        first, second = self.api.ask("GET", "/users").json["items"]
        self.assertEqual((first["path"], first["address"], first["client"]), ("relay", "", "ann.c1"))
        self.assertEqual((second["path"], second["address"]), ("direct, by UDP", "127.0.0.1:40000"))
        self.assertEqual((first["since"], second["since"]), (990.0, 995.0))
        ended = self.api.ask("DELETE", "/users?proxy=desk&address=127.0.0.1:40000")
        self.assertEqual(ended.json, {"ended": 1})
        self.assertEqual(self.flow.ended, [Ended.OPERATOR])

    def test_overview(self) -> None:
        """The client as a whole is told."""
        told = self.api.ask("GET", "/overview").json
        expected = {
            "server": "relay.example:7000",
            "connected": True,
            "since": None,
            "proxies": 2,
            "proxiesUp": 1,
            "visitors": 2,
            "visitorsUp": 1,
            "isStored": False,
        }
        self.assertEqual({key: told[key] for key in expected}, expected)

    def test_described(self) -> None:
        """Every path that is described is one that these tests ask."""
        told = document(self.api.routes, "a client")
        self.assertEqual(
            {path.rpartition("/v1")[2]: set(each) for path, each in told["paths"].items()},
            {
                "/proxies": {"get"},
                "/overview": {"get"},
                "/users": {"get", "delete"},
                "/history": {"get"},
                "/forms": {"get"},
                "/check": {"post"},
            },
        )

"""The recorded calls of frp's APIs get the same answers here."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from relaykit.administration.client import client_routes
from relaykit.administration.guards import FAILURE_S, Guard
from relaykit.administration.web_server import HEALTH
from relaykit.client.status import ClientStatus, Health, HealthState, ProxyStatus, RegistrationState
from relaykit.plugins import ProxyTypes
from relaykit.values import Secret
from tests.administration.exchanges import Connection, Told, whole
from tests.administration.recorded import Case, comparable, load
from tests.administration.served import FakeServer, client, proxies_of, routes_of
from tests.administration.test_client import FakeClient
from tests.config.tables import ConfigurationTestCase

SECURED = Guard(user="admin", password=Secret("pw"))

CONNECTED_AT, CLOSED_AT, BACK_AT = 1795411427.0, 1795411429.0, 1795411430.0
ANONYMOUS = "1187da976345ae19"
LATER = ("alice.ssh", "gone", "plain")
"""Proxies that were registered a second later."""

ONLINE = {"alice.ssh": (54, 206, 0), "alice.ud": (15, 18, 0), "alice.web2": (0, 0, 1), "plain": (0, 0, 1)}
OFFLINE = {**ONLINE, "alice.web2": (140, 103, 0), "plain": (27, 103, 0)}
"""What proxies had moved, and how many users they had, before and after these were gone."""


class ServerTests(ConfigurationTestCase):
    """Tests for both versions of the API of frps."""

    maxDiff = None
    types = ProxyTypes.installed()

    def setUp(self) -> None:
        super().setUp()
        header, self.cases = load("api-frps")
        alice = client("alice", "cid", "df94ef51aa5fad24", CONNECTED_AT)
        other = client("", ANONYMOUS, ANONYMOUS, CONNECTED_AT + 1)
        self.running = FakeServer(clients=[alice, other])
        for text, each in zip(header["clients"], self.running.clients, strict=True):
            self.running.proxies += proxies_of(self.client(text), each)
        self.move(ONLINE)
        self.running.proxies = [
            evolve(each, last_start_at=CONNECTED_AT + (each.name in LATER)) for each in self.running.proxies
        ]
        loaded = self.server(header["server"])
        self.site, self.clock = whole([HEALTH, *routes_of(self.running, loaded)], SECURED)

    def move(self, moved: dict[str, tuple[int, int, int]]) -> None:
        """Has proxies have moved so much."""
        self.running.proxies = [
            evolve(each, traffic_in=to_client, traffic_out=to_user, current=current)
            for each in self.running.proxies
            for to_client, to_user, current in [moved.get(each.name, (0, 0, 0))]
        ]

    def test_answers(self) -> None:
        """Each call gets frp's answer, as far as it does not depend on the time."""
        self.assertGreater(len(self.cases), 60)
        for case in self.cases:
            if case.name.startswith("offline") and self.running.clients[-1].is_online:
                self.move(OFFLINE)
                self.running.close(CLOSED_AT)
            if case.name == "reconnected client":
                (alice,) = self.running.clients
                back = evolve(
                    alice, run_id="0457a13042c816ab", last_connected_at=BACK_AT, disconnected_at=None
                )
                self.running.clients = [back]
            self.assertEqual(comparable(self.answer(case)), self.expected(case), case.name)

    def answer(self, case: Case) -> Told:
        """What is answered here."""
        connection = Connection(self.site)
        connection.send(case.sent)
        self.clock.advance(FAILURE_S)
        (answer,) = connection.answers()
        return answer

    def expected(self, case: Case) -> Any:
        """The answer of frp; what it tells by accident, or of secrets, is left out."""
        status, headers, body = comparable(case.answer)
        return status, headers, _corrected(body)


def _corrected(told: Any) -> Any:
    if isinstance(told, list):
        return [_corrected(each) for each in told]
    if not isinstance(told, dict):
        return told
    corrected = {key: _corrected(value) for key, value in told.items() if key != "groupKey"}
    if corrected.get("bandwidthLimit") == {}:
        corrected["bandwidthLimit"] = ""
    if corrected.get("plugin"):
        corrected["plugin"] = None
    return corrected


class ClientTests(ConfigurationTestCase):
    """Tests for what of the API of frpc only asks."""

    maxDiff = None
    types = ProxyTypes.installed()

    def setUp(self) -> None:
        super().setUp()
        self.header, self.cases = load("api-frpc")

    def named(self, *names: str) -> list[Case]:
        """The cases of these names."""
        return [case for case in self.cases if case.name in names]

    def test_answers(self) -> None:
        """Calls that only ask get frp's answers."""
        text: str = self.header["clients"][0]
        at = self.write("frpc-as-recorded.toml", text)
        config = text[: text.index('[[proxies]]\nname = "plug"')].replace(
            'store.path = "DIR/store.json"\n', ""
        )
        loaded = self.client(config)
        states = {
            "ssh": (RegistrationState.RUNNING, ":28210", ""),
            "web": (RegistrationState.RUNNING, "a.example:28280", ""),
            "taken": (RegistrationState.REFUSED, "", "port already used"),
            "hc": (RegistrationState.OFFLINE, "", ""),
        }
        now = ClientStatus(
            connected=True,
            proxies=tuple(
                ProxyStatus(
                    name=each.common.name,
                    type=each.type_name,
                    state=state,
                    address=address,
                    reason=reason,
                    health=Health(HealthState.UNKNOWN, 0.0) if each.common.is_checked else None,
                )
                for each in loaded.proxies
                for state, address, reason in [states[each.common.name]]
            ),
        )
        fake: Any = FakeClient(list(loaded.proxies), now, loaded.config)
        site, clock = whole([HEALTH, *client_routes(fake, str(at))], SECURED)
        names = (
            *("healthz", "healthz post", "no auth", "wrong auth", "unknown path", "wrong method", "HEAD"),
            *("OPTIONS", "trailing slash", "double slash", "dotdot", "status", "config get"),
        )
        found = self.named(*names)
        self.assertEqual([case.name for case in found], list(names))
        for case in found:
            connection = Connection(site)
            connection.send(case.sent)
            clock.advance(FAILURE_S)
            (answer,) = connection.answers()
            status, headers, body = comparable(case.answer)
            if case.name == "status":
                # This plugin is not there yet.
                body["tcp"] = [each for each in body["tcp"] if each["name"] != "plug"]
            self.assertEqual(comparable(answer), (status, headers, body), case.name)

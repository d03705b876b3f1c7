"""Tests for :mod:`relaykit.administration.own.server`, on a running server."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from relaykit.administration.own.events import RefusalNotes
from relaykit.administration.own.openapi import PREFIX, document
from relaykit.administration.own.server import own_server_routes
from relaykit.administration.streams import TAKEN_S
from tests.administration.exchanges import Connection
from tests.administration.own.asking import OwnApi
from tests.server.test_status import StatusTestCase


class ServerTests(StatusTestCase):
    """Tests for what a server can be asked and told."""

    def setUp(self) -> None:
        super().setUp()
        refusals = RefusalNotes(self.now)
        self.server.observe(refusals)
        self.api = OwnApi(
            tuple(own_server_routes(self.server, refusals, self.served.clock.seconds, self.now))
        )

    def now(self) -> float:
        """Seconds since 1970."""
        return 1000.0 + self.served.clock.seconds()

    def test_overview(self) -> None:
        """The server as a whole is told, with its traffic and how long it has been so."""
        self.user()
        self.served.clock.advance(5)
        told = self.api.ask("GET", "/overview").json
        expected = {
            "state": "ready",
            "since": 1000.0,
            "port": 7000,
            "clients": 1,
            "proxies": 1,
            "users": 1,
            "usersWaiting": 0,
            "connections": 1,
            "refused": 0,
            "types": {"tcp": 1},
        }
        self.assertEqual({key: told[key] for key in expected}, expected)

    def test_users(self) -> None:
        """A user is told, and can be ended."""
        user = self.user()
        self.served.clock.advance(2.0)
        (told,) = self.api.ask("GET", "/users?proxy=web").json["items"]
        self.assertEqual((told["proxy"], told["client"], told["since"]), ("web", "ann.c1", 1000.0))
        self.assertFalse(told["isWaiting"])
        address = told["address"]
        self.assertEqual(self.api.ask("DELETE", f"/users?proxy=web&address={address}").json, {"ended": 1})
        self.served.flush()
        self.assertTrue(user.lost)
        self.assertEqual(self.api.ask("GET", "/users").json["total"], 0)

    def test_client(self) -> None:
        """The session of a client can be ended, once."""
        following, asking = self.api.follow("/events"), Connection(self.api.site)
        target = f"/clients/{self.client.run_id}"
        asking.ask("DELETE", PREFIX + target)
        self.served.flush()
        (answer,) = asking.answers()
        self.assertEqual((answer.status, answer.json), (200, {"ended": 1}))
        self.assertIn(b"event: client-disconnected", following.received)
        self.assertEqual(self.api.ask("DELETE", target).status, 404)

    def test_refusals(self) -> None:
        """A proxy that is not up is told with the reason."""
        self.assertEqual(self.api.ask("GET", "/refusals").json, {"items": []})
        self.client.register("web", remote_port=6001)
        (told,) = self.api.ask("GET", "/refusals").json["items"]
        self.assertEqual((told["proxy"], told["client"], told["at"]), ("web", "ann.c1", 1000.0))
        self.assertTrue(told["reason"])

    def test_events(self) -> None:
        """Who follows events is told what happens, of users where that was wanted, until they leave."""
        some, all_of_them = self.api.follow("/events"), self.api.follow("/events?users=true")
        self.user()
        self.client.withdraw("web")
        self.served.flush()
        kinds = [
            [line for line in each.received.decode().split("\n") if line.startswith("event: ")]
            for each in (some, all_of_them)
        ]
        self.assertEqual(
            kinds,
            [["event: proxy-closed"], ["event: user-arrived", "event: user-served", "event: proxy-closed"]],
        )
        for each in (some, all_of_them):
            self.assertIn(b"Content-Type: text/event-stream", each.received)
            self.assertIn(b"Cache-Control: no-store", each.received)
            each.transport.loseConnection()
        before = some.received
        self.client.register("ssh", remote_port=6002)
        self.assertEqual(some.received, before)
        self.assertEqual(self.api.clock.getDelayedCalls(), [])

    def test_slow_reader(self) -> None:
        """A reader who takes nothing is dropped, and no one else is kept waiting."""
        slow, quick = self.api.follow("/events"), self.api.follow("/events")
        slow.protocol.pauseProducing()
        self.client.withdraw("web")
        self.served.flush()
        self.assertNotIn(b"proxy-closed", slow.received)
        self.assertIn(b"proxy-closed", quick.received)
        self.api.clock.advance(TAKEN_S)
        self.assertEqual((slow.transport.is_aborted, quick.transport.is_lost), (True, False))

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(["GET", "DELETE"]),
        st.sampled_from(["/users", "/refusals", "/clients/x", "/clients/%00"]),
        st.lists(
            st.tuples(
                st.sampled_from(["proxy", "address", "page", "pageSize", "users"]),
                st.text(st.sampled_from("az09%2F.:[]-+\x01"), max_size=12),
            ),
            max_size=4,
        ),
    )
    def test_anything(self, method: str, path: str, query: list[tuple[str, str]]) -> None:
        """Whatever is asked is answered as described, and nothing is a defect."""
        connection = Connection(self.api.site)
        words = "&".join(f"{key}={value}" for key, value in query)
        connection.ask(method, f"{PREFIX}{path}?{words}")
        for answer in connection.answers():
            self.assertIn(answer.status, (200, 400, 404, 405))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_described(self) -> None:
        """Every path that is described is one that these tests ask."""
        told = document(self.api.routes, "a server")
        self.assertEqual(
            {path.rpartition("/v1")[2]: set(each) for path, each in told["paths"].items()},
            {
                "/overview": {"get"},
                "/proxies": {"get"},
                "/proxies/{name}": {"get"},
                "/proxies/{name}/probe": {"post"},
                "/clients": {"get"},
                "/users": {"get", "delete"},
                "/history": {"get"},
                "/clients/{runID}": {"delete"},
                "/refusals": {"get"},
                "/events": {"get"},
            },
        )
        json.dumps(told)

"""Tests for :mod:`relaykit.administration.own.checking`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.checking import MOST_TOLD, check_routes
from relaykit.administration.steering import Steering
from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor
from relaykit.config.problems import ConfigurationProblem
from relaykit.verifying import Verdict
from tests.administration.exchanges import OPEN, SECURED, Connection, whole
from tests.administration.own.asking import OwnApi
from tests.administration.own.test_forms import definitions

_TCP = {"name": "a", "type": "tcp", "tcp": {"localPort": 22, "remotePort": 6000}}


class CheckTests(SynchronousTestCase):
    """Tests for what is looked at without being used."""

    def setUp(self) -> None:
        self.texts: list[str] = []
        self.verdict: Deferred[Verdict] = Deferred()
        self.api = OwnApi(tuple(check_routes(definitions, self.neighbors, Steering(verify=self.verify))))

    def neighbors(self) -> dict[str, list[ConfiguredProxy | ConfiguredVisitor]]:
        """What is started."""
        entry = definitions().check("proxies", {"name": "b", "type": "tcp", "remotePort": 7}).entry
        assert entry is not None
        return {"proxies": [entry], "visitors": []}

    def verify(self, text: str) -> Deferred[Verdict]:
        """What a program answers of a text."""
        self.texts.append(text)
        return self.verdict

    def check(self, value: Any, target: str = "/check") -> Any:
        """What is told of it."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.api.ask("POST", target, body)

    def test_good(self) -> None:
        """A good definition has no problems."""
        self.assertEqual(self.check(_TCP).json, {"problems": [], "warnings": [], "more": 0})

    def test_problems(self) -> None:
        """Problems are told as relaykit verify tells them, with the key of the field."""
        told = self.check({"name": "a", "type": "tcp", "tcp": {"remotePort": 70000, "remotPort": 1}}).json
        by_key = {each["key"]: each for each in told["problems"]}
        self.assertEqual(set(by_key), {"remotePort", "remotPort"})
        self.assertEqual(by_key["remotePort"]["what"], "must be in the range 0..65535, not 70000")
        self.assertEqual(by_key["remotPort"]["hint"], "did you mean remotePort?")
        self.assertEqual(
            by_key["remotPort"]["text"],
            'remotPort (proxy "a"): unknown key (did you mean remotePort?)',
        )
        self.assertEqual([each["key"] for each in told["warnings"]], ["localPort"])

    def test_neighbors(self) -> None:
        """What another one wants, too, is worth a warning; not of the one that would give way."""
        wanted = {"localPort": 1, "remotePort": 7}
        for name, keys in (("a", ["remotePort"]), ("b", [])):
            told = self.check({"name": name, "type": "tcp", "tcp": wanted}).json
            self.assertEqual([each["key"] for each in told["warnings"]], keys)
        off = self.check({"name": "a", "type": "tcp", "tcp": {**wanted, "enabled": False}}).json
        self.assertEqual(off["warnings"], [])
        block = {"serverName": "s", "secretKey": "k", "bindPort": 1, "fallbackTo": "nope"}
        told = self.check({"name": "v", "type": "xtcp", "xtcp": block}, "/check?list=visitors").json
        self.assertEqual([each["key"] for each in told["warnings"]], ["fallbackTo"])

    def test_incomplete(self) -> None:
        """What is not there yet is told like any other problem."""
        told = self.check({"name": "", "type": "stcp"}).json
        self.assertEqual({each["key"] for each in told["problems"]}, {"name", "secretKey"})
        self.assertEqual([each["key"] for each in self.check({}).json["problems"]], ["type"])

    def test_visitors(self) -> None:
        """A visitor is one by what the query says."""
        visitor = {"name": "v", "type": "stcp", "stcp": {"serverName": "s", "secretKey": "k", "bindPort": 1}}
        self.assertEqual(self.check(visitor, "/check?list=visitors").json["problems"], [])
        self.assertNotEqual(self.check(visitor).json["problems"], [])
        self.assertEqual(self.check(visitor, "/check?list=x").status, 400)

    def test_text(self) -> None:
        """A text is looked at by the program, which has the time that it needs."""
        connection = Connection(self.api.site)
        connection.ask("POST", "/api/relaykit/v1/check", json.dumps({"text": "a = 1"}).encode())
        self.assertEqual((self.texts, connection.answers()), (["a = 1"], []))
        problem = ConfigurationProblem(what="unknown key", key="a", file="frpc.toml", line=1)
        self.verdict.callback(Verdict((problem,) * (MOST_TOLD + 5)))
        (answer,) = connection.answers()
        self.assertEqual((len(answer.json["problems"]), answer.json["more"]), (MOST_TOLD, 5))
        told = answer.json["problems"][0]
        self.assertEqual((told["line"], told["key"]), (1, "a"))
        self.assertEqual(told["text"], "frpc.toml:1: a: unknown key")

    def test_no_file(self) -> None:
        """A client without a file has none to look at, and one without types no definitions."""
        api = OwnApi(tuple(check_routes(lambda: None, self.neighbors, Steering())))
        for value in ({"text": ""}, _TCP):
            self.assertEqual(api.ask("POST", "/check", json.dumps(value).encode()).status, 400)

    def test_private(self) -> None:
        """Whoever may not see the secrets of the files may not have files looked at."""
        routes = tuple(check_routes(definitions, self.neighbors, Steering()))
        for guard, status in ((OPEN, 403), (SECURED, 401)):
            site, _ = whole(routes, guard)
            connection = Connection(site)
            connection.ask("POST", "/api/relaykit/v1/check", b"{}")
            self.assertEqual([each.status for each in connection.answers()], [status])

    @given(st.binary(max_size=200))
    def test_junk(self, body: bytes) -> None:
        """Whatever is sent, there is an answer."""
        self.assertIn(self.check(body or b" ").status, (200, 400))

"""Tests for the policy ``http``."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import HttpPlugin
from relaykit.config.schema.server import HTTP_PLUGIN_OPERATIONS
from relaykit.errors import ConnectionFailed, RefusedByPolicy
from relaykit.interfaces import IPolicy
from relaykit.plugins import Policies
from relaykit.policies.http.policy import UNANSWERED, HttpJudge
from relaykit.policy_requests import LoginRequest, ProxyClosed
from relaykit.values import Secret
from tests.policies.http.plugin import Plugin, response
from tests.policies.http.test_words import LOGIN, PROXY, REQUESTS


class JudgeTests(SynchronousTestCase):
    """Tests for what is made of a plugin's answers."""

    def setUp(self) -> None:
        self.plugin = Plugin()
        self.judge = HttpJudge("checker", HTTP_PLUGIN_OPERATIONS, self.plugin.asking())

    def ask(self, request: Any, answer: bytes, status: int = 200) -> Deferred[Any]:
        """Asks about something, and has the plugin answer."""
        asked = self.judge.judge(request)
        assert asked is not None
        self.plugin.network.flush()
        self.plugin.answer(response(answer, status))
        return asked

    def refusal(self, asked: Deferred[Any]) -> str:
        """Why it must not be."""
        return str(self.failureResultOf(asked, RefusedByPolicy).value)

    def test_unchanged(self) -> None:
        """What a plugin leaves as it is is allowed so, each operation of them."""
        for request, _ in REQUESTS.values():
            asked = self.ask(request, b'{"reject":false,"unchange":true}')
            self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(len(self.plugin.legs), 1)

    def test_rejected(self) -> None:
        """A rejection has the plugin's words, as one line, or some of ours."""
        asked = self.ask(LOGIN, b'{"reject":true,"reject_reason":"not\\ntoday"}')
        self.assertEqual(self.refusal(asked), "not\\ntoday")
        asked = self.ask(LOGIN, b'{"reject":true}')
        self.assertEqual(self.refusal(asked), "refused by a policy of the server")
        asked = self.ask(LOGIN, b'{"reject":true,"reject_reason":"%b"}' % (b"x" * 100_000))
        self.assertLess(len(self.refusal(asked)), 2000)

    def test_changed(self) -> None:
        """What a plugin says instead is what is allowed."""
        asked = self.ask(LOGIN, b'{"content":{"user":"bob"}}')
        self.assertEqual(self.successResultOf(asked).user, "bob")
        asked = self.ask(PROXY, b'{"content":{"proxy_name":"ann.web","proxy_type":"tcp","remote_port":1}}')
        self.assertEqual(self.successResultOf(asked).fields, {"remote_port": 1})

    def test_no_decision(self) -> None:
        """What decides nothing, or changes what must not be, is refused, and the log says why."""
        for request, answer, status, why in (
            (LOGIN, b"{}", 200, "neither rejects"),
            (LOGIN, b'{"content":null}', 200, "neither rejects"),
            (LOGIN, b"junk", 200, "JSON"),
            (LOGIN, b'{"unchange":true}', 201, "status 201, not 200"),
            (LOGIN, b'{"content":{"pool_count":"1"}}', 200, "malformed"),
            (PROXY, b'{"content":{"proxy_name":"other"}}', 200, "changes proxy_name"),
        ):
            self.setUp()
            with capturedLogs() as logged:
                self.assertEqual(self.refusal(self.ask(request, answer, status)), UNANSWERED)
            (line,) = logged
            self.assertIn(why, line["reason"])
            self.assertEqual((line["plugin"], line["problem"]), ("checker", "http-plugin"))

    def test_logged_once(self) -> None:
        """The log is told when a plugin begins to fail, and when it answers again, not each time."""
        self.plugin.down = ConnectionFailed("refused")
        with capturedLogs() as logged:
            for _ in range(3):
                self.failureResultOf(self.judge.judge(LOGIN) or Deferred(), RefusedByPolicy)
            self.plugin.down = None
            self.ask(LOGIN, b'{"unchange":true}')
        self.assertEqual([each["log_level"].name for each in logged], ["error", "info"])
        # Neither can be made to fill the log.
        self.assertEqual([each["by_client"] for each in logged], ["192.0.2.1"] * 2)

    def test_closed(self) -> None:
        """A plugin is told of a proxy that was open, and of no other."""
        self.assertIsNone(self.judge.judge(PROXY.closed(was_open=False)))
        self.assertEqual(self.plugin.legs, [])
        self.ask(PROXY.closed(was_open=True), b'{"unchange":true}')
        self.assertIn(b"op=CloseProxy", self.plugin.said())

    def test_given_up(self) -> None:
        """A question about who is gone is given up, and means nothing for others."""
        asked = self.judge.judge(LOGIN)
        assert asked is not None
        asked.addErrback(lambda _: None)
        with capturedLogs() as logged:
            asked.cancel()
        self.assertEqual(logged, [])
        self.assertTrue(self.plugin.is_left())

    @given(st.binary(max_size=200), st.sampled_from(list(REQUESTS)))
    def test_junk(self, answer: bytes, name: str) -> None:
        """Whatever a plugin answers decides, or refuses."""
        request = REQUESTS[name][0]
        asked = self.ask(request, answer)
        asked.addErrback(lambda failure: failure.trap(RefusedByPolicy) and None)
        self.assertIsInstance(self.successResultOf(asked), type(request) | None)


class PolicyTests(SynchronousTestCase):
    """Tests for the policy itself."""

    def test_seam(self) -> None:
        """It is found as those of other packages are, and decides about its operations alone."""
        policy = Policies.installed().get("http")
        self.assertTrue(IPolicy.providedBy(policy))
        options = HttpPlugin(addr=Secret("127.0.0.1:1"), ops=("Login", "CloseProxy"))
        judge = policy.make_judge(options, Plugin().clock)
        self.assertEqual(judge.decides, {LoginRequest, ProxyClosed})

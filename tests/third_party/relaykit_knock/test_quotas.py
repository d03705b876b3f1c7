"""Tests for the policy ``quotas``."""

from __future__ import annotations

import json
from pathlib import Path

from relaykit.errors import RefusedByPolicy
from relaykit.policy_requests import LoginRequest, ProxyRequest
from relaykit.values import ClientIdentity, Origin
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock.quotas import QuotaOptions, policy

ANN = ClientIdentity("run", "ann")


def login(token: str) -> LoginRequest:
    """Somebody who says to be a user."""
    return LoginRequest(
        client=ANN,
        origin=Origin(),
        user="ann",
        metas={"token": token},
        pool_count=0,
        version="",
        hostname="",
        os="",
        arch="",
    )


class QuotaTests(SynchronousTestCase):
    """Tests for what it decides."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.audit = folder / "audit.jsonl"
        tokens = folder / "tokens.json"
        tokens.write_text(json.dumps({"ann": "apple"}))
        options = QuotaOptions(tokens_file=str(tokens), most_proxies=1, audit_file=str(self.audit))
        self.judge = policy.make_judge(options, Clock())

    def test_tokens(self) -> None:
        """A user gets in with its own token only."""
        self.judge.judge(login("apple"))
        for wrong in ("pear", "", "äpfel"):
            with self.assertRaisesRegex(RefusedByPolicy, "ann is not known with that token"):
                self.judge.judge(login(wrong))

    def test_quota(self) -> None:
        """One proxy more than it may have is refused, until one is closed."""
        request = ProxyRequest(client=ANN, metas={}, name="web", type="tcp", fields={})
        self.judge.judge(request)
        with self.assertRaisesRegex(RefusedByPolicy, "may have 1 proxies"):
            self.judge.judge(request)
        self.judge.judge(request.closed(was_open=True))
        self.judge.judge(request)

    def test_audit(self) -> None:
        """Each thing that was asked for is a line, without what is secret."""
        self.judge.judge(login("apple"))
        self.assertEqual(self.audit.read_text(), '{"what": "LoginRequest", "user": "ann"}\n')

    def test_mistakes(self) -> None:
        """A server is not started with a quota that allows nothing."""
        options = QuotaOptions(tokens_file="t", audit_file="a", most_proxies=0)
        self.assertEqual([each.key for each in options.problems()], ["mostProxies"])

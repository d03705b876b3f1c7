"""What all conversations with forward proxies have in common."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.forward_proxies.conversation import Step, login_refused, refused, unreachable
from relaykit.sansio.forward_proxies.urls import parse_proxy_url
from relaykit.sansio.http.responses import ResponseHeads
from relaykit.values import Address

PROXY = parse_proxy_url("http://somebody:hush@p.example:3128")
TARGET = Address("relay.example", 7000)


class ConversationTests(SynchronousTestCase):
    """Tests for steps and refusals."""

    def test_hidden(self) -> None:
        """A step may have a password in it, and shows nothing."""
        self.assertNotIn("hush", repr(Step(b"hush", ResponseHeads())))

    def test_refusals(self) -> None:
        """A refusal tells the proxy, and whether it is about who asks, what for, or the way there."""
        for error, problem in (
            (login_refused(PROXY, "says no"), "proxy-login"),
            (refused(PROXY, TARGET, "no"), "proxy-refused"),
            (unreachable(PROXY, TARGET, "no"), "proxy-cannot-connect"),
        ):
            self.assertEqual(error.problem, problem)
            self.assertIn("the proxy http://p.example:3128 ", str(error))
            self.assertEqual("relay.example:7000" in str(error), problem != "proxy-login")

"""Tests for :mod:`relaykit.proxies.sudp.ingress`."""

from __future__ import annotations

from twisted.logger import capturedLogs

from relaykit.options import VisitorTransport
from relaykit.proxies.sudp import visitor as visitor_module
from relaykit.testing.relay import MemoryRelay
from relaykit.values import Ended, Secret
from tests.proxies.sudp.scene import KEY, SudpTestCase

WRONG_KEY = "visitor connection of [alice.dns] auth failed"

VISITED = "v1", "v2"
"""Versions of the wire, for each of the two clients."""


class SudpExposureTests(SudpTestCase):
    """Tests for the server half."""

    def test_withdrawn(self) -> None:
        """With the proxy its lanes go: over one that stays, users who are new would still come."""
        published = self.publish()
        self.visit()
        self.assertEqual(self.ask(b"before").got, [b"before"])
        flows = list(published.proxy.flows)
        published.withdraw()
        self.assertEqual([self.successResultOf(flow.when_ended()).ended for flow in flows], [Ended.WITHDRAWN])
        with capturedLogs():
            self.assertEqual(self.ask(b"after").got, [])

    def test_every_two_formats(self) -> None:
        """Clients of every version reach each other, and the users get their answers, encrypted or not."""
        for provider in VISITED:
            for visitor in VISITED:
                for transforms in (False, True):
                    self.relay = MemoryRelay()
                    self.relay.wire_protocol = provider
                    self.publish()
                    self.relay.wire_protocol = visitor
                    self.visit(transport=VisitorTransport(use_encryption=transforms))
                    for user in range(3):
                        words = [f"user {user}".encode(), b"", bytes(1400)]
                        self.assertEqual(self.ask(*words).got, words, (provider, visitor))

    def test_largest(self) -> None:
        """Between ends of relaykit, every datagram has room, whatever udpPacketSize is."""
        self.publish()
        self.visit()
        self.assertEqual(self.ask(bytes(65_507)).got, [bytes(65_507)])

    def test_too_large_for_the_provider(self) -> None:
        """What the provider's format has no room for is dropped, and told of; what follows passes."""
        self.relay.wire_protocol = "v1"
        self.publish()
        self.relay.wire_protocol = "v2"
        self.visit()
        with capturedLogs() as logged:
            self.assertEqual(self.ask(bytes(20_000), b"small").got, [b"small"])
        self.assertEqual([each["problem"] for each in logged if "problem" in each], ["datagram-too-large"])

    def test_admission(self) -> None:
        """Only who knows the secret and is one of the users gets in; the log says why, and not the key."""
        self.publish("bob")
        for user, key, reason in (
            ("bob", Secret("guess"), WRONG_KEY),
            ("alice", KEY, "visitor connection of [alice.dns] user [alice] not allowed"),
        ):
            visiting = self.visit(user, key)
            with capturedLogs() as logged:
                self.assertEqual(self.ask(b"x").got, [])
            (event,) = [event for event in logged if "visitor" in event and "reason" in event]
            self.assertEqual((event["visitor"], event["reason"]), ("v", reason))
            self.assertNotIn("guess", repr(logged))
            visiting.stop()
        self.visit("bob")
        self.assertEqual(self.ask(b"x").got, [b"x"])

    def test_one_end_direct(self) -> None:
        """Where only one end goes directly neither is served, and the refusal says what is missing where."""
        for direct, hint in (
            (True, "the proxy has direct = true, which its visitors need, too"),
            (False, "the visitor has direct = true, and the proxy has not"),
        ):
            self.setUp()
            self.publish(direct=direct)
            self.visit(direct=not direct)
            with capturedLogs() as logged:
                self.assertEqual(self.ask(b"x").got, [])
            reasons = [event["reason"] for event in logged if "visitor" in event and "reason" in event]
            self.assertEqual(reasons, [f"{WRONG_KEY}; {hint}"])

    def test_keep_alive(self) -> None:
        """The provider's signs of life keep a silent visit, whatever formats are on its way."""
        self.patch(visitor_module, "LANE_IDLE_S", 600.0)
        for provider in VISITED:
            for visitor in VISITED:
                self.relay = MemoryRelay()
                self.relay.wire_protocol = provider
                published = self.publish()
                self.relay.wire_protocol = visitor
                self.visit()
                self.ask(b"x")
                before = self.visits(published)
                self.relay.advance(300)
                self.assertEqual((self.visits(published), len(before)), (before, 1), (provider, visitor))

"""Tests of the proxies that a client offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.offers import Offers, wire_name
from relaykit.options import ProxyTransport
from relaykit.proxies.tcp import LocalServiceBackend
from tests.client.scene import tcp_proxy
from tests.server.scene import TYPES


class Session:
    """Notes what it is asked for."""

    run_id = "run"

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.fields: Mapping[str, Any] = {}

    def register(self, name: str, type_name: str, fields: Mapping[str, Any]) -> None:
        self.asked.append(("register", name, type_name))
        self.fields = fields

    def withdraw(self, name: str) -> None:
        self.asked.append(("withdraw", name))


class OffersTests(SynchronousTestCase):
    """Registering, again and again."""

    def setUp(self) -> None:
        self.clock = Clock()
        nothing: Any = None
        self.offers = Offers(
            [tcp_proxy(transport=ProxyTransport(use_encryption=True))],
            "alice",
            TYPES,
            nothing,
            nothing,
            lambda endpoint: Deferred(),
            self.clock,
        )
        self.session = Session()

    def start(self) -> None:
        """A session starts."""
        session: Any = self.session
        self.offers.session_started(session)

    def test_names(self) -> None:
        """On the server a name has its user in front."""
        self.assertEqual((wire_name("", "web"), wire_name("alice", "web")), ("web", "alice.web"))
        self.assertEqual(self.offers.names, ["web"])

    def test_registered(self) -> None:
        """With the session everything is registered, with what travels of its options."""
        self.start()
        self.assertEqual(self.session.asked, [("register", "alice.web", "tcp")])
        self.assertEqual(self.session.fields, {"remote_port": 6000, "use_encryption": True})

    def test_found_while_it_runs(self) -> None:
        """A proxy is found by the server's name for it, between its registration and the session's end."""
        self.start()
        self.assertIsNone(self.offers.find("alice.web"))
        self.offers.accepted("alice.web", ":6000")
        found = self.offers.find("alice.web")
        assert found is not None
        self.assertIsInstance(found.backend, LocalServiceBackend)
        self.assertIsNone(self.offers.find("web"))
        self.offers.session_ended()
        self.assertIsNone(self.offers.find("alice.web"))
        self.assertIs(self.offers.backend("alice.web"), found)

    def test_retried(self) -> None:
        """A refused proxy is asked for again after a while, one without answer too."""
        self.start()
        self.offers.refused("alice.web", "port already used")
        self.clock.advance(29)
        self.assertEqual(len(self.session.asked), 1)
        self.clock.advance(2)
        self.assertEqual(len(self.session.asked), 2)
        self.clock.advance(21)
        self.assertEqual(len(self.session.asked), 3)

    def test_not_after_the_session(self) -> None:
        """Without a session nothing is asked and no timer is left."""
        self.start()
        self.offers.session_ended()
        self.clock.advance(100)
        self.assertEqual(len(self.session.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_withdrawn(self) -> None:
        """Taking everything back tells the server and is final."""
        self.start()
        self.offers.accepted("alice.web", ":6000")
        self.offers.withdraw_all()
        self.assertEqual(self.session.asked[-1], ("withdraw", "alice.web"))
        self.assertIsNone(self.offers.find("alice.web"))

"""Tests for :mod:`relaykit.proxies.stcp`."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.hosts import VisitorHost
from relaykit.errors import VisitRefusedError
from relaykit.interfaces import IStreamLeg
from relaykit.options import VisitorCommon, from_wire, to_wire
from relaykit.proxies import stcp
from relaykit.testing.conformance import VisitableProxyTypeTests
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing
from relaykit.values import Address, Ended, Origin, Secret

WRONG_KEY = "visitor connection of [alice.db] auth failed"


class StcpConformanceTests(VisitableProxyTypeTests, SynchronousTestCase):
    """``stcp`` is a proxy type that is reached through visitors."""

    proxy_type = stcp.proxy_type

    def options(self) -> stcp.StcpOptions:
        return stcp.StcpOptions(secret_key=self.visitor_secret)


class StcpOptionsTests(SynchronousTestCase):
    """Tests for what travels."""

    def test_wire(self) -> None:
        """Secret and users travel in frp's fields."""
        options = stcp.StcpOptions(secret_key=Secret("s3cret"), allow_users=("bob", "carol"))
        travelled = msgspec.json.decode(msgspec.json.encode(to_wire(options)))
        self.assertEqual(travelled, {"sk": "s3cret", "allow_users": ["bob", "carol"]})
        self.assertEqual(from_wire(stcp.StcpOptions, travelled), options)


class _StcpTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self, *allow_users: str) -> Published:
        """Starts alice's proxy ``db``."""
        return self.relay.publish(
            stcp.proxy_type,
            stcp.StcpOptions(secret_key=Secret("s3cret"), allow_users=allow_users),
            name="db",
            local=echoing,
            user="alice",
        )

    def visit(self, user: str = "alice", key: str = "s3cret", bind_port: int = -1) -> Visiting:
        """Starts a visitor of this user to alice's ``db``."""
        common = VisitorCommon(name="v", server_user="alice", server_name="db", bind_port=bind_port)
        options = stcp.StcpVisitorOptions(secret_key=Secret(key))
        return self.relay.visit(stcp.proxy_type, common, options, user=user)


class StcpExposureTests(_StcpTestCase):
    """Tests for who is let in."""

    def outcome(self, visiting: Visiting, key: str = "s3cret") -> str:
        """How the server answers a visit: empty for yes."""
        texts: list[str] = []

        def refused(failure: Any) -> None:
            failure.trap(VisitRefusedError)
            texts.append(failure.value.text)

        visiting.host.open_visit(Origin(), Secret(key)).addErrback(refused)
        self.relay.settle()
        return texts[0] if texts else ""

    def test_users(self) -> None:
        """Without a list only the own user is let in, with one whoever is on it, with * everybody."""
        yes, (alice, bob, nobody) = (
            "",
            [f"visitor connection of [alice.db] user [{user}] not allowed" for user in ("alice", "bob", "")],
        )
        for allowed, outcomes in (
            ((), (yes, bob, nobody)),
            (("bob",), (alice, yes, nobody)),
            (("alice", "bob"), (yes, yes, nobody)),
            (("*",), (yes, yes, yes)),
        ):
            self.relay = MemoryRelay()
            self.publish(*allowed)
            visits = tuple(self.outcome(self.visit(user)) for user in ("alice", "bob", ""))
            self.assertEqual(visits, outcomes, allowed)

    def test_secret_comes_first(self) -> None:
        """Who does not know the secret does not learn whether their user is on the list."""
        self.publish("bob")
        for user in ("alice", "bob"):
            self.assertEqual(self.outcome(self.visit(user), "guess"), WRONG_KEY)

    def test_empty_secret(self) -> None:
        """An empty key does not open what has a key."""
        self.publish()
        self.assertEqual(self.outcome(self.visit(), ""), WRONG_KEY)

    def test_no_port(self) -> None:
        """The server opens no port."""
        self.publish()
        self.assertEqual(self.relay.open_ports, [])


class StcpVisitorTests(_StcpTestCase):
    """Tests for the visitor."""

    def test_port(self) -> None:
        """Users of the visitor's port reach the local service; the port closes with the visitor."""
        self.publish()
        visiting = self.visit(bind_port=9000)
        user = self.relay.dial(9000)
        received = RecordingReceiver(user)
        user.write(b"select 1")
        self.relay.settle()
        self.assertEqual(received.data, b"select 1")
        visiting.stop()
        self.assertEqual(self.relay.open_ports, [])

    def test_users(self) -> None:
        """Both ends know where the visitor's user comes from, beside the visiting client, if both want to."""
        user = Address("192.168.0.7", 5000)
        for visiting_wire, serving_wire, at_server, at_owner in (
            ("auto", "auto", user, user),
            ("auto", "v1", user, None),
            ("v1", "auto", None, None),
        ):
            self.relay = MemoryRelay()
            self.relay.wire_protocol = serving_wire
            published = self.publish()
            self.relay.wire_protocol = visiting_wire
            visiting = self.visit()
            visiting.dial(Origin(user))
            (flow,) = published.proxy.flows
            (served,) = published.host.flows.values()
            self.assertEqual((flow.origin.visitor_user, served.origin.visitor_user), (at_server, at_owner))
            self.assertEqual(flow.origin.source, visiting.connections[0].host)
            self.assertEqual(served.origin.source, flow.origin.source)

    def test_refused(self) -> None:
        """A refused user is let go; the log names the visitor and the reason, and not the key."""
        self.publish()
        with capturedLogs() as events:
            received = RecordingReceiver(self.visit(key="guess").dial())
            self.relay.settle()
        self.assertTrue(received.ended)
        (event,) = [event for event in events if "visitor" in event and "reason" in event]
        self.assertEqual((event["visitor"], event["reason"]), ("v", WRONG_KEY))
        self.assertNotIn("guess", repr(events))

    def test_stopped_while_opening(self) -> None:
        """A visitor that is stopped before its port is open gives up opening it."""
        visiting = self.visit()
        opening: Deferred[Any] = Deferred()
        self.patch(VisitorHost, "listen", lambda host, acceptor: opening)
        visitor = stcp.proxy_type.make_visitor(stcp.StcpVisitorOptions(), visiting.host)
        visitor.startService()
        visitor.stopService()
        self.assertTrue(opening.called)

    def test_port_defect(self) -> None:
        """A port that fails for no reason that anybody thought of is told in the log."""
        visiting = self.visit()
        self.patch(VisitorHost, "listen", lambda host, acceptor: fail(ZeroDivisionError()))
        stcp.proxy_type.make_visitor(stcp.StcpVisitorOptions(), visiting.host).startService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_visit_defect(self) -> None:
        """A visit that fails for no reason that anybody thought of drops the user and is told in the log."""

        class Broken(stcp.StcpVisitor):
            async def open_visit(self, origin: Origin) -> IStreamLeg:
                raise ZeroDivisionError

        user, leg = self.relay.network.pair()
        received = RecordingReceiver(user)
        Broken(Secret("s3cret"), self.visit().host).leg_accepted(leg, Origin())
        self.relay.settle()
        self.assertIs(received.lost, Ended.RESET)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

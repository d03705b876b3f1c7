"""Tests of visits as the client opens them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from attrs import define, evolve
from msgspec.structs import replace as evolved
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.client.visits import Visitors, visit
from relaykit.config.load import ConfiguredVisitor
from relaykit.errors import BrokenProxyType, UnknownVisitorError, VisitRefusedError
from relaykit.interfaces import ISessionFollower, IStreamLeg, IVisitor, IVisitorHost
from relaykit.options import VisitorCommon, VisitorName, VisitorTransport
from relaykit.proxies.stcp import StcpVisitor, StcpVisitorOptions
from relaykit.proxies.stcp import proxy_type as STCP
from relaykit.proxies.sudp import proxy_type as SUDP
from relaykit.proxies.sudp.options import SudpVisitorOptions
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.client_opening import VISIT_TIMEOUT_S
from relaykit.sansio.control.server_opening import accept_visit, refuse_visit
from relaykit.sansio.wire.framing import V2, Framing
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Origin, Secret
from tests.client.scene import no_messages, stcp_visitor
from tests.server.scene import TYPES

ORIGIN = Origin(Address("192.168.0.7", 5000))
"""Where the user of the visitor comes from."""


@define(eq=False)
class Session:
    """As much of a session as a visit needs."""

    _connect: Callable[[], IStreamLeg]
    clock: Clock
    framing: Framing = V2
    run_id: str = "run"
    takes_visitor_users: bool = False
    binding: bytes = b""
    """What proves that a connection belongs to the session."""

    async def open_leg(self, purpose: Purpose) -> tuple[IStreamLeg, bytes]:
        assert purpose is Purpose.VISIT
        return self._connect(), self.binding


class VisitTests(SynchronousTestCase):
    """From the request to the leg."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork()
        self.server: list[MemoryLeg] = []
        self.takes_visitor_users = False

    def connect(self) -> IStreamLeg:
        """One connection to the server."""
        near, far = self.network.pair()
        self.server.append(far)
        return near

    def visit(self, **transport: bool) -> Deferred[IStreamLeg]:
        """A visit that waits for its answer."""
        common = VisitorCommon(name="v", server_name="db", transport=VisitorTransport(**transport))
        session: Any = Session(self.connect, self.clock, takes_visitor_users=self.takes_visitor_users)
        result = Deferred.fromCoroutine(
            visit(session, common, "db", Secret("k"), ORIGIN, lambda: 1.0, lambda length: b"\x01" * length)
        )
        self.network.flush()
        return result

    def test_admitted(self) -> None:
        """A visit that is admitted becomes a leg; what came with the answer is payload."""
        visiting = self.visit()
        received = RecordingReceiver(self.server[0])
        self.network.flush()
        self.assertIn(b'"proxy_name":"db"', received.data)
        self.assertNotIn(b'"k"', received.data)
        self.server[0].write(accept_visit(V2, "db") + b"early")
        self.network.flush()
        self.assertEqual(RecordingReceiver(self.successResultOf(visiting)).data, b"early")

    def test_user(self) -> None:
        """A server that wants to know, and no other, is told where the user comes from."""
        for self.takes_visitor_users in (False, True):
            self.visit()
            received = RecordingReceiver(self.server[-1])
            self.network.flush()
            self.assertEqual(b'"192.168.0.7"' in received.data, self.takes_visitor_users)

    def test_transforms(self) -> None:
        """The transforms of the visitor apply to its leg."""
        visiting = self.visit(use_encryption=True)
        self.server[0].write(accept_visit(V2, "db"))
        self.network.flush()
        received = RecordingReceiver(self.server[0])
        self.successResultOf(visiting).write(b"secret words")
        self.network.flush()
        self.assertNotIn(b"secret words", received.data)

    def test_refused(self) -> None:
        """A visit that is refused fails with the server's words and leaves no connection."""
        visiting = self.visit()
        received = RecordingReceiver(self.server[0])
        self.server[0].write(refuse_visit(V2, "db", "visitor connection of [db] auth failed"))
        self.network.flush()
        refused = self.failureResultOf(visiting, VisitRefusedError)
        self.assertEqual(refused.value.text, "visitor connection of [db] auth failed")
        self.assertTrue(received.ended or received.lost)

    def test_no_answer(self) -> None:
        """A visit without an answer fails in time and leaves no connection."""
        visiting = self.visit()
        received = RecordingReceiver(self.server[0])
        self.clock.advance(VISIT_TIMEOUT_S)
        self.network.flush()
        self.failureResultOf(visiting, VisitRefusedError)
        self.assertTrue(received.ended or received.lost)


class VisitorsTests(SynchronousTestCase):
    """The configured visitors."""

    def test_types_without_visitors(self) -> None:
        """A visitor of a type that has none is an error that names both."""
        client: Any = SimpleNamespace(messages=no_messages())
        configured = stcp_visitor()
        wrong = type(configured)(configured.common, configured.options, "tcp")
        error = self.assertRaises(BrokenProxyType, Visitors(client, TYPES, "").planned, [wrong])
        self.assertEqual(str(error), 'visitor "v": proxy type "tcp" has no visitors')

    def test_session(self) -> None:
        """Who follows the session is told of each; one that fails over it keeps nothing from the others."""
        told: list[str] = []

        @implementer(IVisitor, ISessionFollower)
        class Follower(StcpVisitor):
            def session_started(self) -> None:
                told.append("started")
                if len(told) == 1:
                    raise RuntimeError("a defect")

            def session_ended(self) -> None:
                told.append("ended")

        class FollowingType(type(STCP)):  # type: ignore[misc]  # mypy cannot know it
            def make_visitor(self, options: Any, host: IVisitorHost) -> IVisitor:
                return Follower(Secret("k"), host)

        client: Any = SimpleNamespace(messages=no_messages())
        types: Any = {"stcp": FollowingType()}
        configured = [stcp_visitor("a"), stcp_visitor("b")]
        visitors = Visitors(client, types, "")
        visitors.update(visitors.planned(configured))
        visitors.session_started()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        visitors.session_ended()
        self.assertEqual(told, ["started", "started", "ended", "ended"])
        visitors.session_started()
        visitors.update(visitors.planned([*configured, stcp_visitor("c")]))
        self.assertEqual(told[4:], ["started"] * 3)

    def test_found(self) -> None:
        """A visitor is found by its name."""
        client: Any = SimpleNamespace(messages=no_messages())
        visitors = Visitors(client, TYPES, "")
        visitors.update(visitors.planned([stcp_visitor()]))
        self.assertEqual(visitors.names, ["v"])
        self.assertIsNotNone(visitors.find("v"))
        self.assertIsNone(visitors.find("w"))

    def test_standing_datagrams(self) -> None:
        """A visitor that takes no streams cannot connect a local service."""
        client: Any = SimpleNamespace(messages=no_messages())
        types: Any = {"sudp": SUDP}
        common = evolved(stcp_visitor(local="unix:/x").common, type="sudp")
        visitor = ConfiguredVisitor(common, SudpVisitorOptions(secret_key=Secret("k")), "sudp")
        error = self.assertRaises(BrokenProxyType, Visitors(client, types, "").planned, [visitor])
        self.assertTrue(str(error).startswith('visitor "v": it takes no streams'), str(error))

    def test_taker(self) -> None:
        """Users go to another visitor that is there, takes streams, and does not send them back."""

        class Handing(StcpVisitorOptions, frozen=True, kw_only=True):
            fallback_to: VisitorName = ""

        def handing(name: str, to: str) -> ConfiguredVisitor:
            return evolve(stcp_visitor(name), options=Handing(secret_key=Secret("k"), fallback_to=to))

        client: Any = SimpleNamespace(messages=no_messages())
        types: Any = {"stcp": STCP, "sudp": SUDP}
        visitors = Visitors(client, types, "")
        datagrams = SudpVisitorOptions(secret_key=Secret("k"))
        configured = [
            handing("a", "b"),
            stcp_visitor("b"),
            handing("c", "d"),
            handing("d", "c"),
            ConfiguredVisitor(evolved(stcp_visitor("e").common, type="sudp"), datagrams, "sudp"),
        ]
        visitors.update(visitors.planned(configured))
        found = visitors.find("b")
        assert found is not None
        self.assertIs(visitors.taker("b", "a"), found[0])
        for name, of, why in (
            ("nope", "a", 'there is no visitor "nope"'),
            ("d", "c", 'hands its users to "c"'),
            ("e", "a", "takes no streams"),
        ):
            error = self.assertRaises(UnknownVisitorError, visitors.taker, name, of)
            self.assertIn(why, str(error))

"""Tests of work connections as the client opens them."""

from __future__ import annotations

import gc
import weakref
from typing import Any
from unittest import mock

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.client import work
from relaykit.client.registrar import LocalProxy
from relaykit.client.work import HANDED_S, WorkConnections
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IBackend, IMessagingProxyType, IStreamLeg
from relaykit.options import Options, ProxyTransport
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.credentials import NO_PROOF, Proof, Scope
from relaykit.sansio.control.server_opening import assign_work, refuse_work
from relaykit.sansio.wire.framing import V2
from relaykit.sansio.wire.messages import Message, Ping
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Ended, Origin, Secret
from tests.client.scene import tcp_proxy

TOKEN = Secret("t")


@implementer(IBackend)
class Backend(Service):
    """Notes what it is given; on request it fails."""

    def __init__(self) -> None:
        self.given: list[tuple[IStreamLeg, Origin]] = []
        self.broken = False

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        if self.broken:
            raise RuntimeError("a defect")
        self.given.append((leg, origin))


@define(eq=False)
class Server:
    """The other end of the client's connections, and the session that they belong to."""

    network: MemoryNetwork = field(factory=MemoryNetwork)
    legs: list[MemoryLeg] = field(factory=list)
    reason: str = ""
    """Why it cannot be reached, where it cannot."""
    binding: bytes = b""
    """What proves that a connection belongs to the session."""

    clock: Clock = field(factory=Clock)
    framing = V2
    run_id = "run"
    peer = Address("192.0.2.1", 7000)

    def prove(self, scope: Scope) -> Proof:
        """Nothing is proven."""
        return NO_PROOF

    async def open_leg(self, purpose: Purpose) -> tuple[IStreamLeg, bytes]:
        assert purpose is Purpose.WORK
        if self.reason:
            raise ConnectionFailed(self.reason)
        near, far = self.network.pair()
        self.legs.append(far)
        return near, self.binding


class Note(Message, frozen=True, kw_only=True):
    """A message that backends are handed."""

    type_byte = None
    number = 0xA001

    text: str = ""


@implementer(IMessagingProxyType)
class Handing:
    """A proxy type whose backends are handed messages."""

    name = "handing"
    summary = "for tests"
    proxy_options = ingress_options = Options
    messages = handed = (Note,)

    def make_ingress(self, options: Any, host: Any) -> Any:
        """Not for a client."""

    def make_backend(self, options: Any, host: Any) -> Any:
        """Not in these tests."""


class WorkConnectionTests(SynchronousTestCase):
    """From the request to the backend."""

    def setUp(self) -> None:
        self.server = Server()
        self.backend = Backend()
        self.transport = ProxyTransport()
        self.proxy_type: Any = None
        self.handed: list[Any] = []
        session: Any = self.server
        self.work = WorkConnections(session, self.exposed, TOKEN, lambda length: b"\x01" * length, self.give)

    def exposed(self, name: str) -> LocalProxy | None:
        """The one proxy of these tests."""
        host: Any = None
        configured = tcp_proxy("web", transport=self.transport)
        return LocalProxy(configured, self.backend, host, self.proxy_type) if name == "web" else None

    def give(self, half: object, peer: object, message: Any) -> bool:
        """Takes what the backend is handed."""
        self.assertIs(half, self.backend)
        self.handed.append(message)
        return True

    def assigned(self, name: str = "web", payload: bytes = b"") -> RecordingReceiver:
        """Opens one and has the server assign it; what the server gets on it."""
        self.work.open(1)
        leg = self.server.legs[-1]
        received = RecordingReceiver(leg)
        leg.write(assign_work(V2, name, Origin(Address("192.0.2.7", 7))) + payload)
        self.server.network.flush()
        return received

    def test_assigned(self) -> None:
        """The backend gets the connection, who the user is, and what came with the assignment."""
        received = self.assigned(payload=b"early")
        self.assertIn(b'"run_id":"run"', received.data)
        ((leg, origin),) = self.backend.given
        self.assertEqual(origin.source, Address("192.0.2.7", 7))
        service = RecordingReceiver(leg)
        self.assertEqual(service.data, b"early")

    def test_transforms(self) -> None:
        """The transforms of the proxy apply to what the backend writes."""
        self.transport = ProxyTransport(use_encryption=True, use_compression=True)
        received = self.assigned()
        before = len(received.data)
        self.backend.given[0][0].write(b"secret words")
        self.server.network.flush()
        self.assertGreater(len(received.data), before + 16)
        self.assertNotIn(b"secret words", received.data)

    def hand(self, *data: bytes) -> RecordingReceiver:
        """A work connection without user, for a backend that is handed messages; what the server gets."""
        self.proxy_type = Handing()
        self.work.open(1)
        leg = self.server.legs[-1]
        received = RecordingReceiver(leg)
        for piece in (assign_work(V2, "web", Origin()), *data):
            leg.write(piece)
            self.server.network.flush()
        return received

    def test_handed(self) -> None:
        """A backend is handed a message without transforms, and the connection ends."""
        self.transport = ProxyTransport(use_encryption=True)
        message = V2.encode(Note(text="hello"))
        for cut in (0, 5, len(message)):
            received = self.hand(message[:cut], message[cut:])
            self.assertEqual((self.handed.pop(), received.ended), (Note(text="hello"), True))
        self.assertEqual(self.backend.given, [])

    def test_handed_something_else(self) -> None:
        """What is not one of the type's messages, or comes too late, is not handed; the log says so."""
        for data in (V2.encode(Ping()), b"nonsense" * 4, b""):
            with capturedLogs() as logged:
                received = self.hand(data)
                self.server.clock.advance(HANDED_S)
                self.server.network.flush()
            self.assertEqual((self.handed, received.ended), ([], True))
            self.assertEqual([each["problem"] for each in logged], ["work-connections"])

    def test_users_of_a_type_that_is_handed_messages(self) -> None:
        """A user of such a type is served like any other."""
        self.proxy_type = Handing()
        self.assigned()
        self.assertEqual((len(self.backend.given), self.handed), (1, []))

    def test_nothing_left_behind(self) -> None:
        """Once they are closed, those that waited are gone with all they belong to: no garbage is left."""
        gone = weakref.ref(self.work)
        self.work.open(3)
        self.server.network.flush()
        self.addCleanup(gc.enable)
        gc.disable()
        with capturedLogs() as logged:
            self.work.close()
            self.server.network.flush()
        self.assertEqual(logged, [])
        del self.work
        self.assertIsNone(gone())

    def test_unknown_proxy(self) -> None:
        """A user for a proxy that does not run is turned away, and the log says which."""
        with capturedLogs() as logged:
            received = self.assigned("gone")
        self.assertTrue(received.ended or received.lost)
        self.assertEqual(logged[0]["proxy"], "gone")

    def refused(self, text: str) -> str:
        """The level of what is logged when the server refuses a work connection with this text."""
        self.work.open(1)
        leg = self.server.legs[-1]
        received = RecordingReceiver(leg)
        with capturedLogs() as logged:
            leg.write(refuse_work(V2, text))
            self.server.network.flush()
        self.assertTrue(received.ended or received.lost)
        self.assertEqual([event["reason"] for event in logged], [text])
        level: str = logged[0]["log_level"].name
        return level

    def test_refused(self) -> None:
        """A work connection that the server refuses is closed, and the log says why."""
        self.assertEqual(self.refused("token in NewWorkConn doesn't match token from configuration"), "warn")

    def test_surplus(self) -> None:
        """One work connection too many is nothing special."""
        self.assertEqual(self.refused("work connection pool is full, discarding"), "debug")

    def test_unreachable(self) -> None:
        """Where no connection to the server can be made, the log says so."""
        self.server.reason = "no route"
        with capturedLogs() as logged:
            self.work.open(1)
        self.assertEqual(
            [(event["log_level"].name, event["reason"]) for event in logged], [("warn", "no route")]
        )

    def test_broken_rules(self) -> None:
        """What is no assignment closes the connection, and is a warning."""
        self.work.open(1)
        with capturedLogs() as logged:
            self.server.legs[-1].write(b"\xff" * 64)
            self.server.network.flush()
        self.assertEqual([event["log_level"].name for event in logged], ["warn"])

    def test_defective_backend(self) -> None:
        """A defect of a backend costs its user only, and is logged."""
        self.backend.broken = True
        received = self.assigned()
        self.assertEqual(received.lost, Ended.RESET)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.backend.broken = False
        self.assigned()
        self.assertEqual(len(self.backend.given), 1)

    def test_closing(self) -> None:
        """When the session ends, connections that serve nobody are closed, the others live on."""
        self.assigned()
        self.work.open(2)
        waiting = [RecordingReceiver(leg) for leg in self.server.legs[-2:]]
        self.work.close()
        self.server.network.flush()
        self.assertTrue(all(each.ended or each.lost for each in waiting))
        serving = RecordingReceiver(self.backend.given[0][0])
        self.server.network.flush()
        self.assertFalse(serving.ended or serving.lost)

    def test_bounded(self) -> None:
        """A server that asks for ever more gets no more than the bound."""
        with mock.patch.object(work, "MAX_WAITING", 3):
            self.work.open(10)
            self.work.open(10)
        self.assertEqual(len(self.server.legs), 3)

"""Tests for :mod:`relaykit_knock.pipe`; what it does in real programs is tested by relaykit."""

from __future__ import annotations

from typing import Any

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ICarrier, ICarrierReference, ILegDialer
from relaykit.plugins import CarrierReference, Carriers
from relaykit.testing.memory import MemoryLeg, MemoryNetwork
from twisted.application.service import IService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit_knock.pipe import START_S, STATUS_S, PipeAcceptOptions, PipeDialOptions, carrier


class Host:
    """As much of both hosts as this carrier uses."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.reactor = self.network.clock
        self.near, self.far = self.network.pair()
        self.secured: list[MemoryLeg] = []
        self.listened: list[Any] = []

    def dial_endpoint(self, endpoint: Any) -> Deferred[MemoryLeg]:
        """A connection, and a command that nobody knows the end of."""
        endpoint._running = self
        self.ended: Deferred[str] = Deferred()
        return succeed(self.near)

    def secure(self, leg: MemoryLeg) -> Deferred[MemoryLeg]:
        """Notes what is secured."""
        self.secured.append(leg)
        return succeed(leg)

    def listen_endpoint(self, endpoint: Any) -> Any:
        """Notes where."""
        self.listened.append(endpoint)
        return endpoint


class PipeTests(SynchronousTestCase):
    """Tests for the carrier."""

    def setUp(self) -> None:
        self.host: Any = Host()

    def connect(self) -> Deferred[Any]:
        """Begins to connect."""
        dialer = carrier.make_dialer(PipeDialOptions(command=("ssh", "host")), self.host)
        verifyObject(ILegDialer, dialer)
        return dialer.connect()

    def refusal(self, connecting: Deferred[Any]) -> str:
        """Why there is no connection."""
        self.host.network.flush()
        return str(self.failureResultOf(connecting, ConnectionFailed).value)

    def test_interfaces(self) -> None:
        """It provides what relaykit asks of a carrier, and is found by its name."""
        verifyObject(ICarrier, carrier)
        reference = CarrierReference("pipe", "relaykit_knock.pipe")
        verifyObject(ICarrierReference, reference)
        self.assertIs(Carriers.from_references([reference]).get("pipe"), carrier)
        self.assertEqual(carrier.lacks(), "")

    def test_greeted(self) -> None:
        """What comes after the greeting is what is secured, once all of that is there."""
        connecting = self.connect()
        self.host.far.write(b"REL")
        self.host.network.flush()
        self.assertNoResult(connecting)
        self.host.far.write(b"AY\n")
        self.host.network.flush()
        self.assertEqual([self.successResultOf(connecting)], self.host.secured)

    def test_something_else(self) -> None:
        """What is no greeting is told."""
        connecting = self.connect()
        self.host.far.write(b"Last login: Monday\n")
        self.assertIn("the command ssh said b'Last login: Monday", self.refusal(connecting))

    def test_silent(self) -> None:
        """A command that reaches nothing is not waited for longer than a login takes."""
        connecting = self.connect()
        self.host.reactor.advance(START_S)
        self.assertIn(f"reached no relay within {START_S:g} seconds", self.refusal(connecting))

    def test_ended(self) -> None:
        """How a command ended that reached nothing is told, as soon as it is known."""
        connecting = self.connect()
        self.host.far.close()
        self.host.network.flush()
        self.assertNoResult(connecting)
        self.host.ended.callback("ended with status 255: no")
        self.assertIn("the command ssh ended with status 255: no", self.refusal(connecting))

    def test_does_not_end(self) -> None:
        """One that says nothing any more, and goes on, is not waited for long."""
        connecting = self.connect()
        self.host.far.close()
        self.host.network.flush()
        self.host.reactor.advance(STATUS_S)
        self.assertIn("says nothing any more", self.refusal(connecting))

    def test_cancelled(self) -> None:
        """Whoever gives up ends the command."""
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting)
        self.host.network.flush()
        self.assertEqual(self.host.secured, [])

    def test_accepting(self) -> None:
        """It listens at a socket, if the file names one."""
        service = carrier.make_acceptor(PipeAcceptOptions(), 0, self.host)
        self.assertTrue(IService.providedBy(service))
        carrier.make_acceptor(PipeAcceptOptions(socket="/run/pipe"), 0, self.host)
        (endpoint,) = self.host.listened
        self.assertIsInstance(endpoint, UNIXServerEndpoint)

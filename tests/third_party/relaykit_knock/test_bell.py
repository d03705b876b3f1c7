"""Tests for the proxy type ``bell``."""

from __future__ import annotations

from typing import Any

from relaykit.errors import LocalProtocolError
from relaykit.options import VisitorCommon
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.relay import MemoryRelay, Published, Visiting
from relaykit.values import Ended
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import bell
from relaykit_knock.bell import BellOptions, Unheard


class BellConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """What every proxy type must do."""

    proxy_type = bell.proxy_type


class BellTests(SynchronousTestCase):
    """Tests for ringing."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self, name: str = "door") -> Published:
        """A bell."""
        return self.relay.publish(bell.proxy_type, BellOptions(), name=name)

    def visit(self, name: str = "door") -> Visiting:
        """A visitor of it."""
        return self.relay.visit(bell.proxy_type, VisitorCommon(name="v", server_name=name), BellOptions())

    def ring(self, visiting: Visiting, caller: str = "ann") -> Deferred[None]:
        """Rings and lets it be heard."""
        visitor: Any = visiting.visitor
        answer: Deferred[None] = visitor.ring(caller)
        self.relay.settle()
        return answer

    def test_heard(self) -> None:
        """The client of the bell that was meant hears who rings, and whoever rang is told."""
        self.publish("porch")
        self.publish()
        with capturedLogs() as logged:
            self.successResultOf(self.ring(self.visit()))
        rings = [(each["proxy"], each["caller"]) for each in logged if "caller" in each]
        self.assertEqual(rings, [("door", "ann")])

    def test_no_such_bell(self) -> None:
        """Where there is no such bell, or none any more, the server says so, whoever else has one."""
        published = self.publish()
        other = self.visit("window")
        visiting = self.visit()
        published.withdraw()
        for each in (other, visiting):
            error = self.failureResultOf(self.ring(each), Unheard).value
            self.assertEqual(str(error), "there is no such bell")

    def test_unheard(self) -> None:
        """Where the bell's client opens no work connection in time, whoever rang is told."""
        visiting, published = self.visit(), self.publish()
        for leg in published.connections:
            leg.stall()
        on_the_way, waiting = self.ring(visiting), self.ring(visiting)
        self.relay.advance(60.0)
        self.assertNoResult(on_the_way)
        self.failureResultOf(waiting, Unheard)

    def test_most_rings(self) -> None:
        """Rings that nobody answers are bounded."""
        self.patch(bell, "MOST_RINGS", 2)
        visiting, published = self.visit(), self.publish()
        for leg in published.connections:
            leg.stall()
        for _ in range(4):
            self.ring(visiting)
        exposure: Any = published.exposure
        self.assertEqual(len(exposure._ingress.rings), 2)

    def test_old_wire(self) -> None:
        """The messages are in the second version of frp's wire only."""
        self.publish()
        self.relay.wire_protocol = "v1"
        visiting = self.visit()
        visitor: Any = visiting.visitor
        self.assertRaises(LocalProtocolError, visitor.ring, "ann")

    def test_session_lost(self) -> None:
        """What is rung while there is no session is lost."""
        self.publish()
        visiting = self.visit()
        for leg in visiting.connections:
            leg.cut(Ended.RESET)
        self.assertNoResult(self.ring(visiting))

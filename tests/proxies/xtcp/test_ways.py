"""Tests of the ways to a direct path."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import HolePunchingError, UnsuitablePathError, VisitRefusedError
from relaykit.proxies.xtcp.options import NatTraversal, XtcpVisitorOptions
from relaykit.proxies.xtcp.transactions import PRE_CHECK_S, Transactions
from relaykit.proxies.xtcp.ways import FrpWay
from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleVisitor
from tests.proxies.xtcp.scene import SECRET, Scene


class FrpWayTests(SynchronousTestCase):
    """frp's."""

    def setUp(self) -> None:
        self.scene = Scene.made()
        self.relay = self.scene.relay
        self.published = self.scene.publish()
        self.visiting = self.scene.visit()

    def path(self, **options: Any) -> Deferred[Any]:
        """What comes of it."""
        visitor: Any = self.visiting.visitor
        transactions: Transactions = visitor._transactions
        way = FrpWay(
            XtcpVisitorOptions(secret_key=SECRET, peers="any", **options), self.visiting.host, transactions
        )
        self.assertTrue(way.is_open)
        found = Deferred.fromCoroutine(way.path())
        self.relay.settle()
        return found

    def test_found(self) -> None:
        """A path is there once the server has brought both ends together."""
        self.successResultOf(self.path()).close()
        self.assertEqual(len(self.scene.received(NatHoleVisitor)), 2)

    def test_no_interfaces(self) -> None:
        """With disableAssistedAddrs the server is told no addresses of interfaces."""
        self.successResultOf(self.path(nat_traversal=NatTraversal(disable_assisted_addrs=True)))
        request = self.scene.received(NatHoleVisitor)[-1]
        self.assertEqual((len(request.mapped_addrs), request.assisted_addrs), (2, ()))

    def test_refused(self) -> None:
        """The server's no is one before the NAT is looked at, and later."""
        self.scene.ingress.error = "auth failed"
        self.failureResultOf(self.path(), VisitRefusedError)
        self.scene.ingress.pre_check_error = "not allowed"
        error = self.failureResultOf(self.path(), VisitRefusedError).value
        self.assertEqual((error.text, self.relay.holes.open), ("not allowed", 0))
        self.assertEqual(len(self.scene.received(NatHoleClient)), 1)

    def test_silence(self) -> None:
        """A server that does not answer at all is told of soon."""
        self.scene.ingress.silent = (NatHoleVisitor,)
        found = self.path()
        self.relay.advance(PRE_CHECK_S)
        self.failureResultOf(found, HolePunchingError)

    def test_no_library(self) -> None:
        """Where streams cannot be made, the server is not asked."""
        error = UnsuitablePathError("streams by QUIC need the extra relaykit[quic]")
        self.patch(type(self.visiting.host), "datagram_streams", _raising(error))
        self.assertIs(self.failureResultOf(self.path(), UnsuitablePathError).value, error)
        self.assertEqual(self.scene.ingress.received, [])

    def test_cancelled(self) -> None:
        """Giving it up leaves no socket, wherever it is."""
        self.scene.ingress.silent = (NatHoleClient,)
        found = self.path()
        self.assertEqual(self.relay.holes.open, 2)
        found.cancel()
        self.failureResultOf(found, CancelledError)
        self.assertEqual(self.relay.holes.open, 1)
        self.published.withdraw()
        self.assertEqual(self.relay.holes.open, 0)


def _raising(error: Exception) -> Any:
    def raised(*_: object) -> None:
        raise error

    return raised

"""Tests for :mod:`relaykit.proxies.xtcp.ingress`."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError, VisitRefusedError
from relaykit.interfaces import IBackend, IMessageReceiver, IMessagingProxyType, IVisitableProxyType, IVisitor
from relaykit.options import VisitorCommon
from relaykit.proxies.xtcp.ingress import XtcpIngress
from relaykit.proxies.xtcp.options import XtcpIngressOptions, XtcpOptions, XtcpVisitorOptions
from relaykit.sansio.control.credentials import digest
from relaykit.sansio.nathole.controller import HEAD_START_S, PROVIDER_S
from relaykit.sansio.nathole.messages import (
    NAT_HOLE_MESSAGES,
    NatHoleClient,
    NatHoleReport,
    NatHoleResp,
    NatHoleSid,
    NatHoleVisitor,
)
from relaykit.testing.relay import MemoryRelay, Published, Visiting
from relaykit.values import Secret

SECRET = Secret("k-secret")
TIME = 1_700_000_000
MAPPED = ("203.0.113.9:5000", "203.0.113.9:5000")


@implementer(IBackend, IVisitor, IMessageReceiver)
@define(eq=False)
class Half(Service):
    """A client half that does nothing by itself."""

    host: Any
    got: list[Any] = field(factory=list)

    async def work_assigned(self, leg: Any, origin: Any) -> None:
        leg.close()

    def message_received(self, peer: Any, message: Any) -> bool:
        self.got.append(message)
        return True


@implementer(IMessagingProxyType, IVisitableProxyType)
@frozen
class Xtcp:
    """The type, with client halves that say what a test has them say."""

    name = "xtcp"
    summary = "for tests"
    proxy_options = XtcpOptions
    visitor_options = XtcpVisitorOptions
    ingress_options = XtcpIngressOptions
    messages = NAT_HOLE_MESSAGES
    handed = (NatHoleSid,)

    def make_ingress(self, options: XtcpIngressOptions, host: Any) -> XtcpIngress:
        return XtcpIngress(options, host)

    def make_backend(self, options: XtcpOptions, host: Any) -> Half:
        return Half(host)

    def make_visitor(self, options: XtcpVisitorOptions, host: Any) -> Half:
        return Half(host)


TYPE = Xtcp()


def request(secret: Secret = SECRET, **fields: Any) -> NatHoleVisitor:
    """What a visitor asks for."""
    return NatHoleVisitor(
        transaction_id="v",
        proxy_name="x",
        protocol="kcp",
        sign_key=digest(secret.to_bytes(), TIME),
        timestamp=TIME,
        mapped_addrs=MAPPED,
        **fields,
    )


class XtcpIngressTests(SynchronousTestCase):
    """Tests for the server half, between a real server and real sessions."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.relay.wire_protocol = "v2"

    def publish(self, **options: Any) -> Published:
        """A proxy."""
        return self.relay.publish(TYPE, XtcpOptions(secret_key=SECRET, **options), name="x")

    def visit(self, user: str = "") -> Visiting:
        """A visitor of it."""
        common = VisitorCommon(name="v", server_name="x", server_user="")
        return self.relay.visit(TYPE, common, XtcpVisitorOptions(secret_key=SECRET), user=user)

    def says(self, half: Any, message: Any) -> None:
        """A client half says something."""
        half.host.send_message(message)
        self.relay.settle()

    def got(self, half: Any) -> list[Any]:
        """What a client half was told since it was last asked."""
        got, half.got = half.got, []
        return list(got)

    def meet(self, published: Published, visiting: Visiting) -> str:
        """A visitor asks, and the proxy's client is told; the id of the hole."""
        self.says(visiting.visitor, request())
        (told,) = self.got(published.backend)
        self.assertIsInstance(told, NatHoleSid)
        return str(told.sid)

    def test_exchange(self) -> None:
        """In both versions of the wire both ends are told of each other, and nobody is a user."""
        for wire in ("v1", "v2"):
            self.relay = MemoryRelay()
            self.relay.wire_protocol = wire
            published, visiting = self.publish(), self.visit()
            self.says(visiting.visitor, NatHoleVisitor(transaction_id="c", proxy_name="x", pre_check=True))
            self.assertEqual(self.got(visiting.visitor), [NatHoleResp(transaction_id="c")])
            sid = self.meet(published, visiting)
            answer = NatHoleClient(transaction_id="p", proxy_name="x", sid=sid, mapped_addrs=MAPPED)
            self.says(published.backend, answer)
            self.relay.advance(HEAD_START_S)
            for half, transaction in ((published.backend, "p"), (visiting.visitor, "v")):
                (told,) = self.got(half)
                self.assertEqual((told.transaction_id, told.sid, told.protocol), (transaction, sid, "kcp"))
                self.assertEqual((told.error, told.candidate_addrs), ("", MAPPED[:1]))
            with capturedLogs() as logged:
                self.says(published.backend, NatHoleReport(sid=sid, success=True))
            self.assertEqual([each["reason"] for each in logged if "row" in each], ["both ends have it"])
            self.assertEqual((len(published.proxy.flows), published.flows), (0, []))

    def test_no_such_proxy(self) -> None:
        """A visitor of a proxy that is not there, or not any more, is told so, and the log says why."""
        visiting = self.visit()
        for _ in range(2):
            with capturedLogs() as logged:
                self.says(visiting.visitor, request())
            text = "xtcp server for [x] doesn't exist"
            self.assertEqual([each.error for each in self.got(visiting.visitor)], [text])
            refused = [each for each in logged if each.get("problem") == "hole-refused"]
            self.assertEqual([each["reason"] for each in refused], [text])
            self.publish().withdraw()

    def test_secret_and_users(self) -> None:
        """Visitors know the secret, and are of the own user unless others are named."""
        self.publish()
        for user, secret, error in (
            ("", SECRET, ""),
            ("", Secret("another"), "xtcp connection of [x] auth failed"),
            ("ann", SECRET, "xtcp visitor user [ann] not allowed for [x]"),
        ):
            visiting = self.visit(user)
            self.says(visiting.visitor, request(secret))
            self.assertEqual([each.error for each in self.got(visiting.visitor)], [error] if error else [])

    def test_allowed_users(self) -> None:
        """Users that are named are let in."""
        published = self.publish(allow_users=("ann",))
        self.says(self.visit("ann").visitor, request())
        self.assertEqual(len(self.got(published.backend)), 1)

    def test_nobody_there(self) -> None:
        """A visitor is told when the proxy's client does not answer, or is not heard at all."""
        published, visiting = self.publish(), self.visit()
        self.meet(published, visiting)
        for leg in published.connections:
            leg.stall()
        for _ in range(2):
            self.says(visiting.visitor, request())
        with capturedLogs() as logged:
            self.relay.advance(PROVIDER_S)
        errors = [each.error for each in self.got(visiting.visitor)]
        self.assertEqual(errors, ["the proxy's client did not answer"] * 3)
        self.assertEqual([each.get("problem") for each in logged].count("hole-not-answered"), 3)

    def test_withdrawn(self) -> None:
        """A visitor that waits when the proxy is withdrawn is told, and takes no work connection."""
        published, visiting = self.publish(), self.visit()
        self.meet(published, visiting)
        published.withdraw()
        errors = [each.error for each in self.got(visiting.visitor)]
        self.assertEqual(errors, ["xtcp server for [x] doesn't exist"])

    def test_other_ways(self) -> None:
        """Visits through the server are refused as by frp's; signals are about rendezvous or nonsense."""
        exposure: Any = self.publish().exposure
        visited = Deferred.fromCoroutine(exposure.visited(None))
        error = self.failureResultOf(visited, VisitRefusedError).value
        self.assertEqual(str(error), "custom listener for [x] doesn't exist")
        signaled = Deferred.fromCoroutine(exposure.signal_received(None, {}))
        self.failureResultOf(signaled, RemoteProtocolError)

    def test_stopped(self) -> None:
        """A server that stops leaves no timer, whoever waits for whom."""
        published, visiting = self.publish(), self.visit()
        self.meet(published, visiting)
        self.says(visiting.visitor, request())
        self.relay.stop()
        self.assertEqual(self.relay.clock.getDelayedCalls(), [])

    def test_reserve(self) -> None:
        """Hours of the configuration are kept; zero is the default, and less is nothing."""
        for hours, kept_s in ((1, 3600.0), (0, 168 * 3600.0), (-1, 0.0)):
            ingress = XtcpIngress(XtcpIngressOptions(analysis_hours=hours), self.relay.host)
            self.assertEqual(ingress._core._scores._reserve_s, kept_s)

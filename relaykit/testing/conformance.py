"""What every proxy type must do, as tests to inherit.

A type's test module subclasses a mixin together with trial's ``SynchronousTestCase`` and says what
is special about the type::

    class KnockConformanceTests(VisitableProxyTypeTests, SynchronousTestCase):
        proxy_type = knock.proxy_type

        def options(self) -> KnockOptions:
            return KnockOptions(secret_key=self.visitor_secret)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from zope.interface.verify import verifyObject

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import (
    IBackend,
    IDatagramAcceptor,
    IExposure,
    IIngress,
    IProxyType,
    IReconfigurable,
    ISignalReceiver,
    IVisitable,
    IVisitableProxyType,
    IVisitor,
)
from relaykit.options import (
    Effect,
    Options,
    ProxyCommon,
    ProxyTransport,
    VisitorCommon,
    from_wire,
    option_fields,
    to_wire,
)
from relaykit.testing.memory import RecordingDatagrams, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, echoing, echoing_datagrams
from relaykit.values import Address, Ended, Origin, Secret

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as _TestCase

    from relaykit.interfaces import ISignalPeer, IStreamLeg
    from relaykit.testing.relay import Published, Visiting
else:
    _TestCase = object

__all__ = ["DatagramPortTests", "ProxyTypeTests", "VisitableProxyTypeTests"]

_FORGOTTEN_AFTER_S = 180.0
"""Seconds after which nothing is left of a user of datagrams who is silent."""

_NONSENSE: tuple[dict[str, Any], ...] = (
    {},
    {"": None},
    {"signal": ["a", 1]},
    {"signal": "no such thing"},
    {"rendezvous": 5},
    {"rendezvous": {"do": "end", "id": "nobody's", "why": "gone"}},
    {"rendezvous": {"do": "grant", "id": "nobody's", "key": "short"}},
)
"""Bodies of signals that no half of any type sends."""


_SOMEBODY = Origin(Address("192.0.2.7", 7), Address("192.0.2.1", 80))
"""A user."""


class ProxyTypeTests(_TestCase):
    """Tests for any proxy type."""

    proxy_type: IProxyType
    """What is tested."""

    def options(self) -> Options:
        """Options that a server accepts; each call answers equal ones."""
        options: Options = self.proxy_type.proxy_options()
        return options

    def ingress_options(self) -> Options:
        """Options of a server on which a proxy of the type can be exposed."""
        options: Options = self.proxy_type.ingress_options()
        return options

    def publish(self, relay: MemoryRelay, **given: Any) -> Published:
        """Has a client register a proxy of the type; the rest is as for ``MemoryRelay.publish``."""
        return relay.publish(self.proxy_type, self.options(), ingress_options=self.ingress_options(), **given)

    def test_provides(self) -> None:
        """The type and what it makes provide their interfaces."""
        verifyObject(IProxyType, self.proxy_type)
        published = self.publish(MemoryRelay(), local=echoing)
        verifyObject(IExposure, published.exposure)
        verifyObject(IBackend, published.backend)

    def test_described(self) -> None:
        """The type has a name that can stand in a file, and one line for people."""
        self.assertRegex(self.proxy_type.name, r"\A[A-Za-z0-9_.-]+\Z")
        self.assertTrue(self.proxy_type.summary)
        self.assertNotIn("\n", self.proxy_type.summary)

    def test_keys(self) -> None:
        """The type's keys hide none of those that all proxies have, and each says what it means."""
        common = {field.key for field in option_fields(ProxyCommon)}
        for field in option_fields(self.proxy_type.proxy_options):
            self.assertNotIn(field.key, common)
            self.assertTrue(field.description, f"{field.key} has no description: use relaykit.options.doc")

    def test_wire_fields(self) -> None:
        """No two fields travel under one name, nor under one that all proxies have."""
        travelling = [
            (field.wire, field.extension)
            for cls in (ProxyCommon, self.proxy_type.proxy_options)
            for field in option_fields(cls)
            if field.wire or field.extension
        ]
        self.assertEqual(len(travelling), len(set(travelling)))

    def test_options_travel(self) -> None:
        """What the server reads of the options is what the client sent of them."""
        sent = to_wire(self.options())
        received = from_wire(self.proxy_type.proxy_options, msgspec.json.decode(msgspec.json.encode(sent)))
        self.assertEqual(to_wire(received), sent)

    def test_valid(self) -> None:
        """The options of these tests have no problems, at either end."""
        received = from_wire(self.proxy_type.proxy_options, to_wire(self.options()))
        self.assertEqual((list(self.options().problems()), list(received.problems())), ([], []))

    def test_making_has_no_effects(self) -> None:
        """An ingress that was made and not started has opened nothing and scheduled nothing."""
        relay = MemoryRelay()
        ingress = self.proxy_type.make_ingress(self.ingress_options(), relay.host)
        verifyObject(IIngress, ingress)
        self.assertEqual((relay.open_ports, relay.clock.getDelayedCalls()), ([], []))

    def test_keys_that_change(self) -> None:
        """An ingress with keys that count before a restart can go on with other ones."""
        keys = option_fields(self.proxy_type.ingress_options)
        if any(each.effect not in (None, Effect.AFTER_RESTART) for each in keys):
            ingress = self.proxy_type.make_ingress(self.ingress_options(), MemoryRelay().host)
            verifyObject(IReconfigurable, ingress)

    def test_withdrawn_and_again(self) -> None:
        """After a proxy was withdrawn, the same one can be published again."""
        relay = MemoryRelay()
        for _ in range(3):
            published = self.publish(relay, local=echoing)
            published.withdraw()

    def test_withdrawing_leaves_no_timers(self) -> None:
        """After the last proxy was withdrawn and the server stopped, nothing is scheduled any more."""
        relay = MemoryRelay()
        self.publish(relay, local=echoing).withdraw()
        relay.stop()
        self.assertEqual((relay.open_ports, relay.clock.getDelayedCalls()), ([], []))

    def test_local_service_refuses(self) -> None:
        """A backend whose local service refuses ends the work leg and comes to an end itself."""
        relay = MemoryRelay()
        published = self.publish(relay, local=None)
        work = self.work_leg(relay, published)
        received = RecordingReceiver(work)
        work.close()
        relay.settle()
        self.assertIsNotNone(received.lost)
        self.assertEqual(relay.working, 0)

    def test_local_service_told(self) -> None:
        """A local service that is to be told who the user is gets that first, before the user speaks."""
        relay = MemoryRelay()
        services: list[IStreamLeg] = []
        announced = ProxyTransport(proxy_protocol_version="v1")
        published = self.publish(relay, local=services.append, transport=announced)
        published.proxy.open_work_leg(_SOMEBODY)
        relay.settle()
        for service in services:
            received = RecordingReceiver(service)
            relay.settle()
            self.assertEqual(received.data, b"PROXY TCP4 192.0.2.7 192.0.2.1 7 80\r\n")

    def test_nonsense_signals(self) -> None:
        """A half that takes signals calls nonsense the peer's mistake, if it does not let it pass."""
        published = self.publish(MemoryRelay(), local=echoing)
        self.assert_bears_nonsense(published.exposure, published.proxy)
        self.assert_bears_nonsense(published.backend, published.host)

    def assert_bears_nonsense(self, half: object, sender: ISignalPeer) -> None:
        """Fails if signals that make no sense cause a defect in a half that takes signals."""
        if ISignalReceiver.providedBy(half):
            for body in _NONSENSE:
                taken = Deferred.fromCoroutine(half.signal_received(sender, body))
                self.successResultOf(taken.addErrback(lambda failure: failure.trap(RemoteProtocolError)))

    def test_user_leaves_at_once(self) -> None:
        """A backend whose user is gone before it begins comes to an end, and leaves nothing behind."""
        relay = MemoryRelay()
        published = self.publish(relay, local=echoing)
        self.work_leg(relay, published).abort()
        relay.settle()
        self.assertEqual(relay.working, 0)

    def test_protocol(self) -> None:
        """A server half may speak to the backend by a Twisted protocol, which has a transport."""
        relay = MemoryRelay()
        published = self.publish(relay, local=echoing)
        connected = published.proxy.endpoint(_SOMEBODY).connect(Factory.forProtocol(Protocol))
        relay.settle()
        protocol: Any = self.successResultOf(connected)
        protocol.transport.abortConnection()
        relay.settle()
        self.assertEqual(relay.working, 0)

    def test_ended_by_the_server(self) -> None:
        """A proxy that the server's operator ends leaves no work with the backend, and its name is free."""
        relay = MemoryRelay()
        published = self.publish(relay, local=echoing)
        received = RecordingReceiver(self.work_leg(relay, published))
        ended = relay.server.end_proxy(published.proxy.name)
        relay.settle()
        self.assertTrue(self.successResultOf(ended))
        self.assertIsNotNone(received.lost)
        self.assertEqual(relay.working, 0)
        self.publish(relay, local=echoing)

    def test_session_lost(self) -> None:
        """A client that loses its connection has its proxy again once it is back."""
        relay = MemoryRelay()
        published = self.publish(relay, local=echoing)
        for connection in published.connections:
            connection.cut()
        relay.settle()
        self.assertEqual([each.is_open for each in relay.server.status().proxies], [False])
        relay.advance(60.0)
        self.assertEqual([each.is_open for each in relay.server.status().proxies], [True])

    def test_stopped_with_a_user(self) -> None:
        """A user who stays does not keep client and server from stopping in time."""
        relay = MemoryRelay()
        published = self.publish(relay, local=echoing)
        received = RecordingReceiver(self.work_leg(relay, published))
        relay.stop()
        self.assertIsNotNone(received.lost)
        self.assertEqual((relay.working, relay.clock.getDelayedCalls()), (0, []))

    def work_leg(self, relay: MemoryRelay, published: Published) -> IStreamLeg:
        """A work leg of a proxy, the far end of which its backend has."""
        opened = published.proxy.open_work_leg(_SOMEBODY)
        relay.settle()
        leg: IStreamLeg = self.successResultOf(opened)
        return leg


class DatagramPortTests(ProxyTypeTests):
    """Tests for a proxy type with a UDP port for a local service that takes datagrams."""

    def publish_datagrams(self, relay: MemoryRelay) -> Published:
        """A proxy whose service sends back what it gets."""
        return self.publish(relay, local_datagrams=echoing_datagrams)

    def datagram_user(
        self, relay: MemoryRelay, published: Published, *datagrams: bytes
    ) -> RecordingDatagrams:
        """What comes back to a new user who sends these."""
        leg = relay.ports.dial_datagrams(int(published.address.rpartition(":")[2]))
        received = RecordingDatagrams(leg)
        for data in datagrams:
            leg.send(data)
        relay.settle()
        return received

    def test_datagrams(self) -> None:
        """Each user gets the answers to what it sent, empty ones too, and has a flow; lanes are no users."""
        for wire_protocol in ("auto", "v1"):
            relay = MemoryRelay()
            relay.wire_protocol = wire_protocol
            published = self.publish_datagrams(relay)
            sent = ((b"one", b""), (b"two",))
            received = [self.datagram_user(relay, published, *each) for each in sent]
            self.assertEqual([tuple(each.got) for each in received], list(sent))
            self.assertEqual((len(published.proxy.flows), len(published.host.flows)), (2, 2))

    def test_datagrams_after_a_loss(self) -> None:
        """Once a client that lost its connection is back, users are served as before."""
        relay = MemoryRelay()
        published = self.publish_datagrams(relay)
        self.datagram_user(relay, published, b"before")
        for connection in published.connections:
            connection.cut()
        relay.advance(60.0)
        self.assertEqual(self.datagram_user(relay, published, b"after").got, [b"after"])

    def test_silent_users(self) -> None:
        """Of users who are silent nothing is left after a while, at either end."""
        relay = MemoryRelay()
        published = self.publish_datagrams(relay)
        for _ in range(50):
            self.datagram_user(relay, published, b"x")
        self.assertEqual(len(published.proxy.flows), 50)
        relay.advance(_FORGOTTEN_AFTER_S)
        self.assertEqual((len(published.proxy.flows), len(published.host.flows)), (0, 0))

    def test_datagram_flow_ended(self) -> None:
        """A flow that the server's operator ends is accounted with the reason, and over at the client."""
        relay = MemoryRelay()
        published = self.publish_datagrams(relay)
        self.datagram_user(relay, published, b"abc")
        for flow in list(published.proxy.flows):
            flow.end(Ended.OPERATOR)
        relay.settle()
        (traffic,) = published.flows
        self.assertEqual((traffic.near_to_far, traffic.far_to_near, traffic.ended), (3, 3, Ended.OPERATOR))
        self.assertEqual(len(published.host.flows), 0)

    def test_withdrawn_with_users_of_datagrams(self) -> None:
        """With the port its users' flows end, and nothing is left with the backend."""
        relay = MemoryRelay()
        published = self.publish_datagrams(relay)
        self.datagram_user(relay, published, b"x")
        published.withdraw()
        self.assertEqual((len(published.flows), len(published.host.flows), relay.working), (1, 0, 0))


class VisitableProxyTypeTests(ProxyTypeTests):
    """Tests for a proxy type that is reached through visitors."""

    proxy_type: IVisitableProxyType

    visitor_secret = Secret("a secret that both have")
    """The visitor's ``secretKey``; ``options()`` must let a visitor in that has it."""

    def visitor_options(self, secret: Secret | None = None) -> Options:
        """The own keys of a visitor, with this secret or the right one."""
        options: Options = self.proxy_type.visitor_options(secret_key=secret or self.visitor_secret)
        return options

    def visitor_common(self) -> VisitorCommon:
        """The common keys of a visitor."""
        return VisitorCommon(
            name="visitor",
            type=self.proxy_type.name,
            server_name="under-test",
            bind_port=9000,
        )

    def test_visitable(self) -> None:
        """The type, its exposures and its visitors provide what visiting needs."""
        verifyObject(IVisitableProxyType, self.proxy_type)
        relay = MemoryRelay()
        published = self.publish(relay, local=echoing)
        verifyObject(IVisitable, published.exposure)
        visiting = relay.visit(self.proxy_type, self.visitor_common(), self.visitor_options())
        verifyObject(IVisitor, visiting.visitor)

    def test_visitor_keys(self) -> None:
        """The visitor's keys hide none of those that all visitors have, and each says what it means."""
        common = {field.key for field in option_fields(VisitorCommon)}
        for field in option_fields(self.proxy_type.visitor_options):
            self.assertNotIn(field.key, common)
            self.assertTrue(field.description, f"{field.key} has no description: use relaykit.options.doc")

    def test_nonsense_signals_of_the_server(self) -> None:
        """A visitor that takes signals calls nonsense the peer's mistake, if it does not let it pass."""
        visiting = MemoryRelay().visit(self.proxy_type, self.visitor_common(), self.visitor_options())
        self.assert_bears_nonsense(visiting.visitor, visiting.host)

    def test_stopped(self) -> None:
        """A visitor that was stopped has closed its port and scheduled nothing; it can start again."""
        relay = MemoryRelay()
        for _ in range(2):
            relay.visit(self.proxy_type, self.visitor_common(), self.visitor_options()).stop()
            self.assertEqual((relay.open_ports, relay.clock.getDelayedCalls()), ([], []))

    def test_visitor_session_lost(self) -> None:
        """A visitor outlives its client's connection: its port stays open, and can be closed after it."""
        relay = MemoryRelay()
        visiting = relay.visit(self.proxy_type, self.visitor_common(), self.visitor_options())
        open_ports = relay.open_ports
        for connection in visiting.connections:
            connection.cut()
        relay.advance(60.0)
        self.assertEqual(relay.open_ports, open_ports)
        visiting.stop()
        self.assertEqual((relay.open_ports, relay.clock.getDelayedCalls()), ([], []))

    def test_wrong_secret(self) -> None:
        """A user of a visitor that does not know the secret gets nothing, and the backend no work."""
        relay = MemoryRelay()
        served: list[object] = []
        self.publish(relay, local=served.append, local_datagrams=served.append)
        visiting = relay.visit(
            self.proxy_type, self.visitor_common(), self.visitor_options(Secret("another secret"))
        )
        self.assert_lets_go(relay, visiting)
        self.assertEqual((served, relay.working), ([], 0))

    def test_no_such_proxy(self) -> None:
        """A user of a visitor whose proxy is not there is let go."""
        relay = MemoryRelay()
        visiting = relay.visit(self.proxy_type, self.visitor_common(), self.visitor_options())
        self.assert_lets_go(relay, visiting)

    def assert_lets_go(self, relay: MemoryRelay, visiting: Visiting) -> None:
        """Fails if a visitor keeps a user who cannot be served, or has anything for this one."""
        if IDatagramAcceptor.providedBy(visiting.visitor):
            source = visiting.dial_datagrams()
            got = RecordingDatagrams(source)
            source.send(b"x")
            relay.settle()
            self.assertEqual(got.got, [])
            self.assertIsNotNone(got.lost)
            return
        user = visiting.dial()
        received = RecordingReceiver(user)
        user.close()
        relay.settle()
        self.assertEqual(received.data, b"")
        self.assertIsNotNone(received.lost)

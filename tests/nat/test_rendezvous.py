"""Tests of the server's half of rendezvous over signals, with a type that anybody could have written."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RemoteProtocolError, RendezvousFailedError, RendezvousRefusedError
from relaykit.options import VisitorCommon
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions
from relaykit.sansio.nat.rendezvous_messages import KEY, EndReason
from relaykit.sansio.nat.server_rendezvous import CLIENT_REQUESTS_AT_ONCE, DEADLINES_S, RendezvousState
from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.relay import MemoryRelay, Published
from relaykit.values import Secret
from tests.nat.direct import DirectBackend, DirectVisitor, carry, proxy_type

SECRET = Secret("a secret")


class MeetConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """The type that these tests use is a sound one."""

    proxy_type = proxy_type

    def options(self) -> StcpOptions:
        """A proxy with its secret."""
        return StcpOptions(secret_key=SECRET)


class RendezvousPointsTests(SynchronousTestCase):
    """Visitors that call, and a proxy's client that is called."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.published = self.publish("p")

    def publish(self, name: str, **options: Any) -> Published:
        """A proxy."""
        return self.relay.publish(proxy_type, StcpOptions(secret_key=SECRET, **options), name=name)

    def visitor(
        self, name: str = "p", secret: Secret = SECRET, user: str = "", **common: Any
    ) -> DirectVisitor:
        """A visitor of it."""
        asked = VisitorCommon(name="v", type="direct", server_name=name, bind_port=-1, **common)
        visitor = self.relay.visit(
            proxy_type, asked, StcpVisitorOptions(secret_key=secret), user=user
        ).visitor
        assert isinstance(visitor, DirectVisitor)
        return visitor

    def call(self, visitor: DirectVisitor | None = None) -> Deferred[Any]:
        """What a visitor's call comes to, as far as it does without time."""
        called = (visitor or self.visitor()).call()
        self.relay.settle()
        return called

    def refused(self, called: Deferred[Any]) -> RendezvousRefusedError:
        """Why a call was refused."""
        failure: RendezvousRefusedError = self.failureResultOf(called, RendezvousRefusedError).value
        return failure

    def backend(self) -> DirectBackend:
        """The backend."""
        assert isinstance(self.published.backend, DirectBackend)
        return self.published.backend

    def test_rendezvous(self) -> None:
        """A visitor that knows the secret gets a path to the backend, which gets its other end."""
        here = self.successResultOf(self.call())
        there = self.backend().paths.pop()
        heard = Deferred.fromCoroutine(carry(here, there, b"hello", SECRET))
        self.assertEqual(self.successResultOf(heard), b"hello")
        self.assertEqual(len(self.relay.host.rendezvous._core), 0)

    def test_streams(self) -> None:
        """A path of TCP carries streams, by one call at each end."""
        self.relay.paths_of_tcp = True
        here = self.successResultOf(self.call())
        there = self.backend().paths.pop()
        heard = Deferred.fromCoroutine(carry(here, there, b"hello", SECRET))
        self.relay.settle()
        self.assertEqual(self.successResultOf(heard), b"hello")
        lost = [here.when_lost(), there.when_lost()]
        here.close()
        self.relay.settle()
        for each in lost:
            self.successResultOf(each)

    def test_rules(self) -> None:
        """Whoever does not know the secret, or is another user's, is told no; the backend hears nothing."""
        stranger, bob = self.visitor(secret=Secret("another")), self.visitor(user="bob", server_user="")
        with capturedLogs() as logged:
            refusal = self.refused(self.call(stranger))
            self.assertIs(refusal.code, RefusalCode.BAD_CREDENTIALS)
            self.assertEqual(refusal.text, "visitor connection of [p] auth failed")
            self.assertEqual(self.backend().paths, [])
        self.assertEqual([each["reason"] for each in logged if "reason" in each], [refusal.text])
        self.relay.publish(
            proxy_type, StcpOptions(secret_key=SECRET, allow_users=("alice",)), name="p", user="bob"
        )
        self.assertIs(self.refused(self.call(bob)).code, RefusalCode.USER_NOT_ALLOWED)

    def test_rate(self) -> None:
        """A client that calls too often is told so, and may again later."""
        visitor = self.visitor()
        for _ in range(CLIENT_REQUESTS_AT_ONCE):
            self.successResultOf(self.call(visitor))
        self.assertIs(self.refused(self.call(visitor)).code, RefusalCode.TOO_MANY)
        self.relay.advance(10.0)
        self.successResultOf(self.call(visitor))

    def test_no_such_proxy(self) -> None:
        """Who calls a proxy that there is not is told so at once; nothing else is said of one."""
        visitor = self.visitor("q")
        self.assertIs(self.refused(self.call(visitor)).code, RefusalCode.UNKNOWN_PROXY)
        with capturedLogs() as logged:
            visitor.host.signal({"nonsense": True})
            self.relay.settle()
        self.assertEqual([each for each in logged if each.get("problem")], [])

    def test_backend_that_does_not_answer(self) -> None:
        """Where the backend takes part in no rendezvous the initiator is told at once."""
        self.published.host.direct_paths.close()
        called = self.call()
        self.assertIs(self.failureResultOf(called, RendezvousFailedError).value.reason, EndReason.GONE)

    def test_withdrawn(self) -> None:
        """A proxy that is withdrawn ends its rendezvous, and later signals go nowhere."""
        self.deafen(self.published)
        called = self.call()
        self.assertNoResult(called)
        self.published.withdraw()
        self.assertIs(self.failureResultOf(called, RendezvousFailedError).value.reason, EndReason.GONE)
        self.assertEqual(len(self.relay.host.rendezvous._core), 0)
        exposure: Any = self.published.exposure
        late = Deferred.fromCoroutine(exposure.signal_received(self.published.proxy, {KEY: {}}))
        self.failureResultOf(late, RemoteProtocolError)

    def test_silent_end(self) -> None:
        """A responder that says nothing is not waited for longer than the server's deadline."""
        self.deafen(self.published)
        called = self.call()
        self.relay.advance(DEADLINES_S[RendezvousState.EXCHANGING] - 0.1)
        self.assertNoResult(called)
        self.relay.advance(0.1)
        self.assertIs(self.failureResultOf(called, RendezvousFailedError).value.reason, EndReason.TIMEOUT)

    def test_nonsense(self) -> None:
        """Signals that make no sense are the peer's error and change nothing."""
        exposure: Any = self.published.exposure
        for sender, body in (
            (self.published.proxy, {KEY: {"do": "call", "call": "c"}}),
            (self.published.proxy, {KEY: 5}),
            (self.published.proxy, {"another": 1}),
        ):
            taken = Deferred.fromCoroutine(exposure.signal_received(sender, body))
            self.failureResultOf(taken, RemoteProtocolError)
        self.successResultOf(self.call())

    def test_proxy_without_signals(self) -> None:
        """Where the proxy's client takes no signals the initiator is told that it knows of no rendezvous."""
        visitor = self.visitor()
        self.patch(type(self.published.proxy), "takes_signals", False)
        self.assertIs(self.refused(self.call(visitor)).code, RefusalCode.NOT_AVAILABLE)

    def deafen(self, published: Published) -> None:
        """Its backend gets no signals any more."""

        async def ignore(sender: Any, body: Any) -> None:
            """Does nothing."""

        self.patch(published.backend, "signal_received", ignore)

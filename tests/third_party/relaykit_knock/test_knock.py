"""Tests for the proxy type ``knock``, in memory: no sockets, no waiting."""

from __future__ import annotations

from relaykit.errors import RemoteProtocolError, VisitRefusedError
from relaykit.interfaces import ISignalReceiver
from relaykit.options import Problem, VisitorCommon, secret_problems, to_wire
from relaykit.testing.conformance import VisitableProxyTypeTests
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing
from relaykit.values import Address, Ended, Origin, Secret
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import knock

HERE = Address("198.51.100.7", 60_001)
"""Where the visitor's client is."""

ELSEWHERE = Address("203.0.113.66", 60_001)
"""Where somebody else is."""


class KnockConformanceTests(VisitableProxyTypeTests, SynchronousTestCase):
    """``knock`` is a proxy type as relaykit wants them."""

    proxy_type = knock.proxy_type

    def options(self) -> knock.KnockOptions:
        return knock.KnockOptions(secret_key=self.visitor_secret, open_seconds=5)


class OptionsTests(SynchronousTestCase):
    """Tests for what travels and what is checked."""

    def test_travelling(self) -> None:
        """Port and secret travel where frp has them, the time in relaykit's part, the greeting not at all."""
        options = knock.KnockOptions(
            remote_port=7001, secret_key=Secret("sesame"), open_seconds=5, greeting="Hello."
        )
        self.assertEqual(
            to_wire(options), {"remote_port": 7001, "sk": "sesame", "relaykit": {"open_seconds": 5}}
        )

    def test_mistakes(self) -> None:
        """A proxy without a secret is a mistake, and so is a greeting of several lines."""
        self.assertEqual([each.key for each in secret_problems(knock.KnockOptions())], ["secretKey"])
        self.assertEqual(
            list(knock.KnockOptions(greeting="a\nb").problems()),
            [Problem("greeting", "must be one line of printable characters")],
        )


class KnockTestCase(SynchronousTestCase):
    """A relay with alice's proxy ``door`` at port 7001, open for a minute after a knock."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self, most_seconds: int = 3600, greeting: str = "") -> Published:
        """Starts the proxy."""
        return self.relay.publish(
            knock.proxy_type,
            knock.KnockOptions(remote_port=7001, secret_key=Secret("sesame"), greeting=greeting),
            name="door",
            user="alice",
            local=echoing,
            ingress_options=knock.KnockIngressOptions(most_seconds=most_seconds),
        )

    def visit(self, secret: str = "sesame", *, keep_open: bool = False, at: Address = HERE) -> Visiting:
        """Starts a visitor of a client at this address."""
        common = VisitorCommon(name="v", server_name="door", bind_port=-1)
        options = knock.KnockVisitorOptions(secret_key=Secret(secret), keep_open=keep_open)
        return self.relay.visit(knock.proxy_type, common, options, user="alice", source=at)

    def dial(self, source: Address = HERE) -> RecordingReceiver:
        """What a user gets at the server's port who says a word."""
        return self.answered(self.relay.dial(7001, source))

    def answered(self, user: MemoryLeg) -> RecordingReceiver:
        """What a user gets who says a word."""
        received = RecordingReceiver(user)
        user.write(b"word")
        self.relay.settle()
        return received


class GateTests(KnockTestCase):
    """Tests for the server half."""

    def test_closed(self) -> None:
        """Before somebody knocked, connections are reset, and the backend never hears of them."""
        published = self.publish()
        self.visit()
        received = self.dial()
        self.assertEqual((received.data, received.lost, published.flows), (b"", Ended.RESET, []))

    def test_open(self) -> None:
        """After a knock the port is open to the address that it came from, and to no other."""
        self.publish()
        self.visit().dial()
        self.assertEqual(self.dial(Address(HERE.host, 4711)).data, b"word")
        self.assertIs(self.dial(ELSEWHERE).lost, Ended.RESET)

    def test_closes_again(self) -> None:
        """The port closes when its time is up; whoever is inside may stay."""
        self.publish()
        inside = self.visit().dial()
        self.relay.advance(59)
        self.assertEqual(self.dial().data, b"word")
        self.relay.advance(1)
        self.assertIs(self.dial().lost, Ended.RESET)
        self.assertEqual(self.answered(inside).data, b"word")

    def test_extended(self) -> None:
        """Each knock opens the port for a minute from then on."""
        self.publish()
        visiting = self.visit()
        for _ in range(3):
            visiting.dial()
            self.relay.advance(59)
            self.assertEqual(self.dial().data, b"word")

    def test_limit_of_the_server(self) -> None:
        """The server opens no longer than its own configuration allows, whatever the proxy asks for."""
        self.publish(most_seconds=5)
        self.visit().dial()
        self.relay.advance(5)
        self.assertIs(self.dial().lost, Ended.RESET)

    def test_wrong_secret(self) -> None:
        """A knock with another secret opens nothing; both ends log why, and not the secret."""
        self.publish()
        visiting = self.visit("simsim")
        with capturedLogs() as events:
            received = self.answered(visiting.dial())
        self.assertEqual((received.data, received.ended), (b"", True))
        reasons = [event["reason"] for event in events if "reason" in event]
        self.assertEqual(reasons, ["wrong secret", "wrong secret"])
        self.assertNotIn("simsim", repr(events))
        self.assertIs(self.dial().lost, Ended.RESET)

    def test_said_again_by_another(self) -> None:
        """A client that repeats what another one said opens nothing."""
        self.publish()
        overheard = knock._proof(Secret("sesame"), self.visit().host.identity)
        self.visit("unknown").host.signal(knock.Knock(overheard.reveal()).body())
        self.relay.settle()
        self.assertIs(self.dial().lost, Ended.RESET)

    def test_bounded(self) -> None:
        """A proxy is open to a bounded number of addresses; those that it is open to may knock again."""
        self.patch(knock, "MOST_ADDRESSES", 1)
        self.publish()
        here, elsewhere = self.visit(), self.visit(at=ELSEWHERE)
        self.assertEqual(self.answered(here.dial()).data, b"word")
        self.assertEqual(self.answered(elsewhere.dial()).data, b"")
        self.assertEqual(self.answered(here.dial()).data, b"word")

    def test_visit_without_knock(self) -> None:
        """A visit that proves the secret and comes before a knock is refused."""
        self.publish()
        opened = self.visit().host.open_visit(Origin(), Secret("sesame"))
        self.relay.settle()
        refused = self.failureResultOf(opened, VisitRefusedError)
        self.assertEqual(refused.value.text, "proxy [alice.door] is closed: knock")

    def test_withdrawn(self) -> None:
        """A proxy that was withdrawn while it was open leaves nothing behind, and begins closed again."""
        published = self.publish()
        self.visit().dial()
        published.withdraw()
        self.assertEqual(self.relay.open_ports, [])
        self.publish()
        self.assertIs(self.dial().lost, Ended.RESET)

    def test_nonsense(self) -> None:
        """A signal that makes no sense is the peer's mistake, at each of the three halves."""
        published, visiting = self.publish(), self.visit()
        for receiver in (published.exposure, published.backend, visiting.visitor):
            for body in ({}, {"signal": "knock"}, {"signal": "knock", "proof": 1}, {"signal": ["opened"]}):
                taken = Deferred.fromCoroutine(ISignalReceiver(receiver).signal_received(visiting.host, body))
                self.failureResultOf(taken, RemoteProtocolError)


class BackendTests(KnockTestCase):
    """Tests for the client half."""

    def test_greeting(self) -> None:
        """Each user is greeted first, however they came."""
        self.publish(greeting="Welcome.")
        self.assertEqual(self.answered(self.visit().dial()).data, b"Welcome.\r\nword")
        self.assertEqual(self.dial().data, b"Welcome.\r\nword")

    def test_told(self) -> None:
        """The client that has the proxy logs to whom it opened, once, however many knocks follow."""
        self.publish()
        visiting = self.visit()
        with capturedLogs() as events:
            visiting.dial()
            visiting.dial()
        (event,) = [event for event in events if "user" in event]
        self.assertEqual((event["host"], event["user"], event["seconds"]), (HERE.host, "alice", 60))


class VisitorTests(KnockTestCase):
    """Tests for the visitor."""

    def test_keeps_open(self) -> None:
        """A visitor that keeps the port open knocks at the start, and again before the port closes."""
        self.publish()
        self.visit(keep_open=True)
        for _ in range(10):
            self.assertEqual(self.dial().data, b"word")
            self.relay.advance(29.9)

    def test_keeps_trying(self) -> None:
        """A visitor that keeps the port open goes on after failures."""
        self.visit(keep_open=True)
        self.relay.advance(knock.ANSWER_S)
        self.publish()
        self.relay.advance(knock.RETRY_S)
        self.assertEqual(self.dial().data, b"word")

    def test_only_when_asked(self) -> None:
        """A visitor knocks when a user comes, not before."""
        self.publish()
        self.visit()
        self.assertIs(self.dial().lost, Ended.RESET)

    def test_unanswered(self) -> None:
        """Users are let go when nobody answers in time, and wait no shorter."""
        visiting = self.visit()
        received = self.answered(visiting.dial())
        self.relay.advance(knock.ANSWER_S - 1)
        self.relay.settle()
        self.assertFalse(received.ended)
        self.relay.advance(1)
        self.relay.settle()
        self.assertTrue(received.ended)

    def test_answered_late(self) -> None:
        """An answer that comes when nobody waits any more changes nothing."""
        visiting = self.visit()
        visiting.dial()
        self.relay.advance(knock.ANSWER_S)
        visitor = ISignalReceiver(visiting.visitor)
        taken = visitor.signal_received(visiting.host, knock.Opened(60).body())
        self.successResultOf(Deferred.fromCoroutine(taken))

    def test_many_wait(self) -> None:
        """A bounded number of users waits for an answer; one more is let go at once."""
        self.patch(knock, "MOST_WAITING", 2)
        visiting = self.visit()
        users = [self.answered(visiting.dial()) for _ in range(3)]
        self.assertEqual([user.ended for user in users], [False, False, True])

    def test_without_signals(self) -> None:
        """Where the server takes no signals, users are let go at once, and the log says why."""
        self.publish()
        self.relay.wire_protocol = "v1"
        with capturedLogs() as events:
            received = self.answered(self.visit().dial())
        self.assertTrue(received.ended)
        self.assertIn("signals", events[-1]["reason"])

    def test_stopped(self) -> None:
        """A visitor that is stopped lets those go who wait, and knocks no more."""
        visiting = self.visit(keep_open=True)
        received = self.answered(visiting.dial())
        visiting.stop()
        self.relay.settle()
        self.assertTrue(received.ended)
        self.relay.stop()
        self.assertEqual(self.relay.clock.getDelayedCalls(), [])

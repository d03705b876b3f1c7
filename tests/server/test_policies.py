"""Tests of policies: how they are asked, and what a server does with what they decide."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import RefusedByPolicy
from relaykit.interfaces import IJudge
from relaykit.policy_requests import (
    HeartbeatRequest,
    LoginRequest,
    ProxyClosed,
    ProxyRequest,
    UserRequest,
    WorkConnectionRequest,
)
from relaykit.sansio.control import events
from relaykit.sansio.control.client_opening import Refusal
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.wire.messages import Ping
from relaykit.server import policies
from relaykit.server.events import UserLeft
from relaykit.server.policies import (
    DECIDE_TIMEOUT_S,
    DEFECTIVE,
    MAX_WAITING_OF_CLIENT,
    NO_ANSWER,
    NO_POLICIES,
    TELL_AT_ONCE,
    TOO_MANY,
    NamedJudge,
    ServerPolicies,
)
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, ClientIdentity, Origin
from tests.server.scene import Client, Scene, versions
from tests.server.test_observers import Noting

EVERYTHING = frozenset({LoginRequest, ProxyRequest, ProxyClosed, UserRequest})
REQUEST = ProxyRequest(client=ClientIdentity("run"), metas={}, name="web", type="tcp", fields={"a": 1})


@implementer(IJudge)
@define(eq=False)
class Judge:
    """Notes what it is asked, and answers what the test says."""

    answer: Callable[[Any], Any] = lambda request: None
    decides: frozenset[type] = EVERYTHING
    asked: list[Any] = field(factory=list)

    def judge(self, request: Any) -> Any:
        self.asked.append(request)
        return self.answer(request)

    def of(self, kind: type[Any]) -> list[Any]:
        """What it was asked of one kind."""
        return [each for each in self.asked if isinstance(each, kind)]


def refusing(text: str = "no") -> Judge:
    """One that refuses all that can be."""

    def refuse(request: Any) -> None:
        raise RefusedByPolicy(text)

    return Judge(refuse)


def answering(answer: Any, request: Any) -> Any:
    """The same whatever it is asked."""
    return answer


def named(*judges: Judge) -> list[NamedJudge]:
    """The same with names."""
    return [NamedJudge(f"p{number}", judge) for number, judge in enumerate(judges)]


class ServerPoliciesTests(SynchronousTestCase):
    """How policies are asked."""

    def setUp(self) -> None:
        self.clock = Clock()

    def ask(self, *judges: Judge) -> Deferred[ProxyRequest]:
        """Asks these about a proxy."""
        self.policies = ServerPolicies(named(*judges), self.clock)
        return Deferred.fromCoroutine(self.policies.ask(REQUEST))

    def refusal(self, asked: Deferred[Any]) -> str:
        """Why it must not be."""
        return str(self.failureResultOf(asked, RefusedByPolicy).value)

    def test_none(self) -> None:
        """Without policies everything is allowed, at once and as it is."""
        self.assertFalse(NO_POLICIES.decides(UserRequest))
        self.assertIs(self.successResultOf(Deferred.fromCoroutine(NO_POLICIES.ask(REQUEST))), REQUEST)
        NO_POLICIES.tell(REQUEST.closed(was_open=True))

    def test_in_order(self) -> None:
        """Each is asked about what the one before has made of it; who does not decide is not asked."""
        first = Judge(lambda request: evolve(request, fields={"a": 2}))
        other, last = Judge(decides=frozenset({UserRequest})), Judge()
        self.assertEqual(self.successResultOf(self.ask(first, other, last)).fields, {"a": 2})
        self.assertEqual([each.fields for each in last.asked], [{"a": 2}])
        self.assertEqual(other.asked, [])

    def test_refused(self) -> None:
        """Who refuses is the last one asked; a refusal always has a text, and a line in the log."""
        last = Judge()
        with capturedLogs() as logged:
            self.assertEqual(self.refusal(self.ask(refusing(""), last)), "refused by a policy of the server")
        self.assertEqual(last.asked, [])
        self.assertEqual([(each["policy"], each["request"]) for each in logged], [("p0", "ProxyRequest")])

    def test_who(self) -> None:
        """A line says who was refused, and counts for the host of whoever that is, so that none floods it."""
        origin = Origin(Address("192.0.2.7", 4000))
        ann = ClientIdentity("run", "ann", "home", Address("192.0.2.1", 5000))
        user = UserRequest(client=ann, metas={}, proxy="web", type="tcp", origin=origin)
        for request, who, key, host in (
            (user, "192.0.2.7:4000", "stranger", "192.0.2.7"),
            (evolve(REQUEST, client=ann), "ann.home", "by_client", "192.0.2.1"),
        ):
            asked = ServerPolicies(named(refusing()), self.clock).ask(request)
            with capturedLogs() as logged:
                self.failureResultOf(Deferred.fromCoroutine(asked), RefusedByPolicy)
            (line,) = logged
            self.assertEqual((str(line["who"]), line[key]), (who, host))

    def test_later(self) -> None:
        """A policy may take its time, up to a bound that all together have."""
        slow: Deferred[None] = Deferred()
        cancelled: list[object] = []
        never: Deferred[None] = Deferred(cancelled.append)
        asked = self.ask(Judge(lambda _: slow), Judge(lambda _: never))
        self.clock.advance(DECIDE_TIMEOUT_S - 1)
        slow.callback(None)
        self.assertNoResult(asked)
        with capturedLogs() as logged:
            self.clock.advance(1)
        self.assertEqual(self.refusal(asked), NO_ANSWER)
        self.assertEqual(cancelled, [never])
        (line,) = [each for each in logged if each["log_level"] is LogLevel.error]
        self.assertIn("did not decide about {request}", line["log_format"])
        self.assertEqual(line["policy"], "p1")

    def test_defects(self) -> None:
        """A policy that raises, or answers junk, refuses; the peer learns no more of it than that."""

        def fail(request: Any) -> None:
            raise ZeroDivisionError("a secret")

        self.assertEqual(self.refusal(self.ask(Judge(fail))), DEFECTIVE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        for junk in (True, "yes", REQUEST.closed(was_open=True)):
            self.assertEqual(self.refusal(self.ask(Judge(partial(answering, junk)))), DEFECTIVE)

    def test_bounds(self) -> None:
        """So many requests of a client wait, then more of them are refused, and those of others are not."""
        answers: list[Deferred[None]] = []

        def later(request: Any) -> Deferred[None]:
            answers.append(Deferred())
            return answers[-1]

        asked = [self.ask(Judge(later))]
        for _ in range(MAX_WAITING_OF_CLIENT - 1):
            asked.append(Deferred.fromCoroutine(self.policies.ask(REQUEST)))
        self.assertEqual(self.refusal(Deferred.fromCoroutine(self.policies.ask(REQUEST))), TOO_MANY)
        other = evolve(REQUEST, client=ClientIdentity("other"))
        self.assertNoResult(Deferred.fromCoroutine(self.policies.ask(other)))
        self.patch(policies, "MAX_WAITING", MAX_WAITING_OF_CLIENT + 1)
        stranger = evolve(REQUEST, client=ClientIdentity("stranger"))
        self.assertEqual(self.refusal(Deferred.fromCoroutine(self.policies.ask(stranger))), TOO_MANY)
        for each in answers:
            each.callback(None)
        self.assertEqual([self.successResultOf(each) for each in asked], [REQUEST] * len(asked))
        self.assertNoResult(Deferred.fromCoroutine(self.policies.ask(REQUEST)))

    def test_told(self) -> None:
        """Each is told of a closed proxy whatever the others do, so many at a time, and none is forgotten."""
        answers: list[Deferred[None]] = []

        def later(request: Any) -> Deferred[None]:
            answers.append(Deferred())
            return answers[-1]

        slow, other = Judge(later), Judge()
        told = ServerPolicies(named(refusing(), slow, other), self.clock)
        for _ in range(TELL_AT_ONCE + 1):
            told.tell(REQUEST.closed(was_open=True))
        self.assertEqual(len(slow.asked), TELL_AT_ONCE)
        self.clock.advance(DECIDE_TIMEOUT_S)
        self.assertEqual((len(slow.asked), len(other.asked)), (TELL_AT_ONCE + 1, TELL_AT_ONCE))

    def test_too_many_untold(self) -> None:
        """What cannot be told any more is in the log."""
        self.patch(policies, "MAX_UNTOLD", 0)
        told = ServerPolicies(named(Judge()), self.clock)
        with capturedLogs() as logged:
            told.tell(REQUEST.closed(was_open=True))
        self.assertEqual([each["proxy"] for each in logged], ["web"])

    def test_taken_back(self) -> None:
        """Who allowed a proxy that a later one refuses is told, so that it can count; the refusing is not."""
        first, second = Judge(), refusing()
        self.refusal(self.ask(first, second))
        self.assertEqual([each.was_open for each in first.of(ProxyClosed)], [False])
        self.assertEqual(second.of(ProxyClosed), [])


class DecisionTests(SynchronousTestCase):
    """What a server does with what policies decide."""

    def test_login_refused(self) -> None:
        """A client is told why it is not let in, in either version of the wire."""
        for framing in versions():
            client = Client(Scene(judges=named(refusing("not today"))), framing=framing)
            self.assertEqual([each.text for each in client.of(events.LoginRefused)], ["not today"])

    def test_login_changed(self) -> None:
        """A policy says who a client is."""
        scene = Scene(
            judges=named(
                Judge(
                    lambda request: evolve(request, user="ann") if isinstance(request, LoginRequest) else None
                )
            )
        )
        session = scene.sessions.get(Client(scene, user="bob").run_id)
        assert session is not None
        self.assertEqual(session.identity.user, "ann")

    def test_login_lost(self) -> None:
        """A client that is gone before the answer leaves nothing."""
        answer: Deferred[None] = Deferred()
        scene = Scene(judges=named(Judge(lambda _: answer)))
        Client(scene).leg.abort()
        scene.flush()
        answer.callback(None)
        scene.flush()
        self.assertEqual(len(scene.sessions), 0)

    def test_proxies(self) -> None:
        """A proxy is refused, changed, and told of when it is closed, each once."""

        def decide(request: Any) -> Any:
            if isinstance(request, ProxyRequest):
                if request.name == "bad":
                    raise RefusedByPolicy("too many")
                return evolve(request, fields={"remote_port": 6001})
            return None

        judge = Judge(decide)
        client = Client(Scene(judges=named(judge)))
        client.register("bad", remote_port=6000)
        client.register("web", remote_port=6000)
        client.register("web", remote_port=6000)
        self.assertEqual([each.address for each in client.of(events.ProxyRegistered)], [":6001"])
        texts = [each.text for each in client.of(events.ProxyRefused)]
        self.assertEqual(texts, ["too many", "proxy [web] already exists"])
        client.leg.abort()
        client.scene.flush()
        closed = [(each.name, each.was_open) for each in judge.of(ProxyClosed)]
        self.assertEqual(closed, [("web", False), ("web", True)])

    def test_gone_while_asked(self) -> None:
        """A client that goes while a policy thinks about its proxy has none, and holds nothing up."""
        thinking: Deferred[None] = Deferred()
        judge = Judge(lambda request: thinking if isinstance(request, ProxyRequest) else None)
        client = Client(Scene(judges=named(judge)))
        client.register("web", remote_port=6000)
        client.leg.abort()
        client.scene.advance(0.1)
        self.assertEqual(len(client.scene.sessions), 0)
        self.assertEqual(list(client.scene.registry), [])
        self.assertEqual(judge.of(ProxyClosed), [])

    def test_user_waits(self) -> None:
        """While a policy thinks no work connection is taken, and nothing that the user has sent is lost."""
        thinking: Deferred[None] = Deferred()
        judge = Judge(lambda request: thinking if isinstance(request, UserRequest) else None)
        client = Client(Scene(judges=named(judge)))
        client.register("web", remote_port=6000)
        user, _ = client.scene.dial(6000)
        user.write(b"hello")
        client.scene.flush()
        self.assertEqual(client.of(events.WorkRequested), [])
        work, assigned = client.offer_work()
        self.assertNoResult(assigned)
        thinking.callback(None)
        client.scene.flush()
        self.successResultOf(assigned)
        received = RecordingReceiver(work)
        client.scene.flush()
        self.assertEqual(received.data, b"hello")
        (request,) = judge.of(UserRequest)
        self.assertEqual((request.proxy, request.type), ("web", "tcp"))

    def test_user_refused(self) -> None:
        """A user who may not come is closed at once."""

        def decide(request: Any) -> None:
            if isinstance(request, UserRequest):
                raise RefusedByPolicy("closed on Sundays")

        client = Client(Scene(judges=named(Judge(decide))))
        client.register("web", remote_port=6000)
        _, received = client.scene.dial(6000)
        self.assertTrue(received.ended)
        self.assertEqual(client.of(events.WorkRequested), [])

    def test_visitor_of_datagrams(self) -> None:
        """A visitor whose datagrams share a connection is a user, too."""

        def decide(request: Any) -> None:
            if isinstance(request, UserRequest):
                raise RefusedByPolicy("closed on Sundays")

        judge = Judge(decide)
        client = Client(Scene(judges=named(judge)))
        client.register("web", remote_port=6000)
        proxy = client.scene.registry.get("web")
        assert proxy is not None
        near, far = client.scene.network.pair()
        visitor = RecordingReceiver(near)
        proxy.serve(far, Origin(), is_lane=True)
        client.scene.flush()
        self.assertEqual((len(judge.of(UserRequest)), visitor.ended), (1, True))

    def test_user_ended(self) -> None:
        """A proxy that is taken back lets go of users about whom a policy thinks."""
        cancelled: list[object] = []
        judge = Judge(
            lambda request: Deferred(cancelled.append) if isinstance(request, UserRequest) else None
        )
        client = Client(Scene(judges=named(judge)))
        client.register("web", remote_port=6000)
        _, received = client.scene.dial(6000)
        observer = Noting(follows_users=True)
        client.scene.observers.add(observer)
        client.withdraw("web")
        self.assertIsNotNone(received.lost)
        left = [each for each in observer.told if isinstance(each, UserLeft)]
        self.assertEqual((len(cancelled), len(left)), (1, 1))

    def test_heartbeats(self) -> None:
        """A heartbeat is allowed, or the client is told why not; without a policy for it nobody is asked."""
        answers: list[Exception | None] = [None, RefusedByPolicy("your time is over")]

        def decide(request: Any) -> Any:
            if isinstance(request, LoginRequest):
                return evolve(request, metas={"team": "red"})
            if isinstance(request, HeartbeatRequest) and (refusal := answers.pop(0)):
                raise refusal
            return None

        judge = Judge(decide, EVERYTHING | {HeartbeatRequest})
        client = Client(Scene(judges=named(judge)))
        for _ in range(2):
            client.core._send(Ping())
            client.register("web", remote_port=6000)
        (ended,) = client.of(events.SessionEnded)
        self.assertIn("your time is over", ended.text)
        first, _ = judge.of(HeartbeatRequest)
        self.assertEqual((first.client.run_id, first.metas), (client.run_id, {"team": "red"}))

    def test_work_connections(self) -> None:
        """A work connection serves users once it is allowed; one that is not is told why."""
        thinking: Deferred[None] = Deferred()
        judge = Judge(lambda _: thinking, frozenset({WorkConnectionRequest}))
        client = Client(Scene(judges=named(judge)))
        client.register("web", remote_port=6000)
        client.scene.dial(6000)
        _, answer = client.offer_work()
        self.assertNoResult(answer)
        thinking.callback(None)
        client.scene.flush()
        self.assertEqual(self.successResultOf(answer).proxy_name, "web")
        judge.answer = refusing("too busy").answer
        _, answer = client.offer_work()
        refusal = self.successResultOf(answer)
        assert isinstance(refusal, Refusal)
        self.assertIn("too busy", refusal.text)

    def test_taken_out(self) -> None:
        """Once a policy is no more, heartbeats that it was to be asked about are answered."""
        judge = Judge(decides=frozenset({HeartbeatRequest}))
        scene = Scene(judges=named(judge))
        client = Client(scene)
        session = scene.sessions.get(client.run_id)
        assert session is not None
        session.policies.judges = ()
        client.core._send(Ping())
        client.register("web", remote_port=6000)
        self.assertEqual(len(client.of(events.ProxyRegistered)), 1)
        self.assertEqual(judge.asked, [])

    def test_after_the_proof(self) -> None:
        """Policies are not asked about a heartbeat, or a work connection, whose proof does not hold."""
        judge = Judge(decides=frozenset({HeartbeatRequest, WorkConnectionRequest}))
        client = Client(Scene(judges=named(judge), scopes=(Scope.HEARTBEATS, Scope.WORK_CONNECTIONS)))
        _, answer = client.offer_work()
        self.assertIsInstance(self.successResultOf(answer), Refusal)
        client.core._send(Ping())
        client.register("web", remote_port=6000)
        self.assertEqual(len(client.of(events.SessionEnded)), 1)
        self.assertEqual(judge.asked, [])

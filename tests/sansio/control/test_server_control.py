from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.events import (
    LoginReceived,
    LoginRefused,
    PeerPinged,
    ProofReceived,
    ProxyWithdrawn,
    RegistrationRequested,
    SessionEnded,
)
from relaykit.sansio.control.server_control import MAX_EARLY, MAX_HELD, VERIFY_TIMEOUT_S, ServerControl
from relaykit.sansio.control.server_opening import FirstMessage
from relaykit.sansio.control.session import MOST_MESSAGES, ControlState, Heartbeat
from relaykit.sansio.control.texts import UNVERIFIED, PeerTexts
from relaykit.sansio.wire.framing import V1, V2, Framing, encode_v1, encode_v2
from relaykit.sansio.wire.messages import (
    Login,
    LoginResp,
    Message,
    NewProxy,
    NewWorkConn,
    Ping,
    Pong,
    ReqWorkConn,
)
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import Ended, Secret
from tests.sansio.control.ends import BOTH, UNIX_TIME, VERSION, client, opened, sent, server, settings

RUN_ID = "0123456789abcdef"
MISMATCH = "token in login doesn't match token from configuration"


class Dialogue:
    """An established server's session, and a client's that speaks to it word by word."""

    def __init__(self, framing: Framing, **given: Any) -> None:
        self.near = client(framing)
        self.core = server(opened(sent(self.near)), **given)
        self.core.events()
        self.core.accept(RUN_ID, 0.0)
        self.near.receive(sent(self.core), 0.0)
        self.near.events()

    def hears(self, *messages: Message, now: float = 0.0) -> list[Any]:
        """What the server tells when the client sends these."""
        for message in messages:
            self.near._send(message)
        self.core.receive(sent(self.near), now)
        return list(self.core.events())

    def answers(self) -> list[Message]:
        """The messages that the server has to send."""
        assert self.near._channel is not None
        for piece in self.near._channel.inbound.process(sent(self.core)):
            self.near._decoder.receive(piece)
        found: list[Message] = []
        while isinstance(message := self.near._decoder.next_message(), Message):
            found.append(message)
        return found


class LoginTests(SynchronousTestCase):
    """A server takes a login, checks its proof and waits for a decision."""

    def test_received(self) -> None:
        """A login whose proof holds is told, with all that it says."""
        for framing in BOTH:
            core = server(opened(sent(client(framing))))
            (event,) = core.events()
            assert isinstance(event, LoginReceived)
            self.assertEqual((event.login.user, event.login.pool_count), ("ann", 1))
            self.assertEqual((core.state, core.next_wakeup()), (ControlState.LOGGING_IN, None))

    def test_wrong_token(self) -> None:
        """A login whose proof does not hold is refused in the clear, and the session ends."""
        for framing, encode in ((V1, encode_v1), (V2, encode_v2)):
            first = opened(sent(client(framing)))
            core = server(first, token=Secret("another"))
            self.assertEqual(core.events(), [SessionEnded(Ended.REFUSED, MISMATCH)])
            self.assertEqual(sent(core), first.unsent + encode(LoginResp(version=VERSION, error=MISMATCH)))

    def test_no_details(self) -> None:
        """Where details are not for clients, they get a summary, and the log the reason."""
        core = server(opened(sent(client(V1))), token=Secret("another"), texts=PeerTexts(detailed=False))
        self.assertEqual(core.events(), [SessionEnded(Ended.REFUSED, MISMATCH)])
        expected = LoginResp(version=VERSION, error="register control error")
        self.assertEqual(sent(core), encode_v1(expected))

    def test_refused(self) -> None:
        """A refusal by the server's own rules is told to the client, and ends the session."""
        core = server(opened(sent(client(V1))))
        core.refuse("client_id [a] for user [b] is already online")
        self.assertEqual(core.state, ControlState.ENDED)
        self.assertIn(b"is already online", sent(core))
        core.accept(RUN_ID, 0.0)
        self.assertEqual(sent(core), b"")

    def test_accepted(self) -> None:
        """The answer goes out in the clear, everything after it encrypted."""
        first = opened(sent(client(V1)))
        core = server(first)
        core.accept(RUN_ID, 0.0)
        core.request_work()
        answer = encode_v1(LoginResp(version=VERSION, run_id=RUN_ID))
        data = sent(core)
        self.assertTrue(data.startswith(answer))
        self.assertNotIn(encode_v1(ReqWorkConn()), data)

    def test_decided_twice(self) -> None:
        """A login is answered once."""
        core = server(opened(sent(client(V1))))
        core.accept(RUN_ID, 0.0)
        self.assertRaises(LocalProtocolError, core.accept, RUN_ID, 0.0)
        self.assertRaises(LocalProtocolError, core.refuse, "no")

    def test_commands_before_the_decision(self) -> None:
        """Nothing is said before the login is answered."""
        core = server(opened(sent(client(V1))))
        self.assertRaises(LocalProtocolError, core.request_work)
        self.assertRaises(LocalProtocolError, core.registered, "web", ":80")

    def test_no_login(self) -> None:
        """Only a login begins a session."""
        first = FirstMessage(NewWorkConn(run_id=RUN_ID), V1)
        self.assertRaises(LocalProtocolError, server, first)

    def test_gone_before_the_decision(self) -> None:
        """A client that leaves before it is let in is not let in any more."""
        core = server(opened(sent(client(V2))))
        core.events()
        core.end_received(1.0)
        core.accept(RUN_ID, 2.0)
        self.assertEqual(core.events(), [SessionEnded(Ended.FINISHED, "the peer closed the connection")])


class EarlyTests(SynchronousTestCase):
    """What a client sends before its login is answered waits, within bounds."""

    def impatient(self) -> tuple[ClientControl, FirstMessage, bytes]:
        """A client's opening in version 1, and what it encrypts without waiting for the answer."""
        near = client(V1)
        first = opened(sent(near))
        far = server(first)
        far.accept(RUN_ID, 0.0)
        near.receive(sent(far), 0.0)
        near.register("web", "tcp", {})
        return near, first, sent(near)

    def test_kept(self) -> None:
        """It is understood once the login is accepted."""
        _, first, early = self.impatient()
        core = server(first)
        core.receive(early, 0.0)
        self.assertEqual([type(event) for event in core.events()], [LoginReceived])
        core.accept(RUN_ID, 0.0)
        self.assertEqual(core.events(), [RegistrationRequested("web", "tcp", {})])

    def test_junk(self) -> None:
        """Junk is found out once the login is accepted, which then ends the session without raising."""
        _, first, _ = self.impatient()
        core = server(first)
        core.receive(bytes(100), 0.0)
        core.events()
        core.accept(RUN_ID, 0.0)
        (event,) = core.events()
        assert isinstance(event, SessionEnded)
        self.assertEqual(event.why, Ended.PROTOCOL_ERROR)

    def test_too_much(self) -> None:
        """More than the bound ends the session."""
        _, first, _ = self.impatient()
        core = server(first)
        core.receive(bytes(MAX_EARLY), 0.0)
        self.assertRaises(RemoteProtocolError, core.receive, b"x", 0.0)
        self.assertEqual(core.state, ControlState.ENDED)


class EstablishedTests(SynchronousTestCase):
    """What a server does with a client that it let in."""

    def test_proxies(self) -> None:
        """Offers and withdrawals are told in order, however the bytes are cut."""
        for framing in BOTH:
            near = client(framing)
            first = opened(sent(near))

            def make(first: FirstMessage = first) -> ServerControl:
                core = server(first)
                core.accept(RUN_ID, 0.0)
                core.events()
                return core

            near.receive(sent(make()), 0.0)
            near.register("web", "http", {"custom_domains": ["a.example"]})
            near.register("ssh", "", {"remote_port": 6000})
            near.withdraw("web")

            def feed(portions: Sequence[bytes], make: Any = make) -> Any:
                core = make()
                for portion in portions:
                    core.receive(portion, 0.0)
                return core.events()

            self.assertEqual(
                feed_every_cut(sent(near), feed),
                [
                    RegistrationRequested("web", "http", {"custom_domains": ["a.example"]}),
                    RegistrationRequested("ssh", "tcp", {"remote_port": 6000}),
                    ProxyWithdrawn("web"),
                ],
            )

    def test_summaries(self) -> None:
        """Where details are not for clients, refusals of proxies and heartbeats are summaries."""
        talk = Dialogue(V2, texts=PeerTexts(detailed=False), scopes=(Scope.HEARTBEATS,))
        talk.core.refuse_proxy("web", "port not allowed")
        talk.hears(Ping())
        refused, pong = talk.answers()
        self.assertEqual(refused.error, "new proxy [web] error")  # type: ignore[attr-defined]
        self.assertEqual(pong, Pong(error="invalid ping"))

    def test_ping(self) -> None:
        """A heartbeat is answered and told."""
        for framing in BOTH:
            talk = Dialogue(framing)
            self.assertEqual(talk.hears(Ping()), [PeerPinged()])
            self.assertEqual(talk.answers(), [Pong()])

    def test_ping_without_proof(self) -> None:
        """Where heartbeats are authenticated, one without proof is refused and is no sign of life."""
        talk = Dialogue(V1, scopes=(Scope.HEARTBEATS,), heartbeat=Heartbeat(timeout_s=90.0))
        self.assertEqual(talk.hears(Ping(), now=50.0), [])
        self.assertEqual(
            talk.answers(), [Pong(error="token in heartbeat doesn't match token from configuration")]
        )
        self.assertEqual(talk.core.next_wakeup(), 90.0)

    def test_silence(self) -> None:
        """A client that gives no sign of life for the timeout is gone."""
        talk = Dialogue(V1, heartbeat=Heartbeat(interval_s=30.0, timeout_s=90.0))
        talk.hears(Ping(), now=10.0)
        self.assertEqual(talk.core.next_wakeup(), 100.0)
        talk.core.wake(100.0)
        self.assertEqual(talk.core.events(), [SessionEnded(Ended.TIMEOUT, "the peer gave no sign of life")])

    def test_request_work(self) -> None:
        """One message asks for one work connection."""
        talk = Dialogue(V2)
        talk.core.request_work(3)
        talk.core.request_work(0)
        self.assertEqual(talk.answers(), [ReqWorkConn()] * 3)

    def test_messages_of_the_wrong_direction(self) -> None:
        """What only clients or other connections have a use for is ignored, as frp's server does."""
        talk = Dialogue(V1)
        self.assertEqual(talk.hears(Login(), Pong(), ReqWorkConn(), NewWorkConn()), [])
        self.assertEqual(talk.answers(), [])
        self.assertEqual(talk.core.state, ControlState.ESTABLISHED)

    def test_malformed(self) -> None:
        """A malformed message ends the session."""
        talk = Dialogue(V2)
        talk.near._send(NewProxy(proxy_name="web"))
        good = sent(talk.near)
        talk.core.receive(good, 0.0)
        assert talk.near._channel is not None
        bad = b"".join(talk.near._channel.outbound.process(b"\x00\x10\x00\x00\x00\x00\x00\x04\x00\x03[]"))
        self.assertRaises(RemoteProtocolError, talk.core.receive, bad, 0.0)
        self.assertEqual([type(event) for event in talk.core.events()], [RegistrationRequested, SessionEnded])

    def test_answers_after_the_end(self) -> None:
        """Answers that come too late go nowhere."""
        talk = Dialogue(V1)
        talk.core.end_received(1.0)
        talk.core.registered("web", ":80")
        talk.core.refuse_proxy("ssh", "no")
        talk.core.request_work(5)
        self.assertEqual(sent(talk.core), b"")

    @given(st.sampled_from(BOTH), st.binary(max_size=200))
    def test_junk(self, framing: Framing, junk: bytes) -> None:
        """Junk from a client ends its session or waits for more."""
        talk = Dialogue(framing)
        try:
            talk.core.receive(junk, 0.0)
        except RemoteProtocolError:
            self.assertEqual(talk.core.state, ControlState.ENDED)


class VerificationTests(SynchronousTestCase):
    """What the client proves is a question that is answered later."""

    def make(self, framing: Framing, *scopes: Scope) -> tuple[ClientControl, ServerControl]:
        """Both ends, the login not verified."""
        near = client(framing, scopes=scopes)
        first = opened(sent(near))
        return near, ServerControl(first, settings(), VERSION, 5.0, scopes=frozenset(scopes))

    def test_login(self) -> None:
        """The first event is the question; the login is told once it is answered, and only then let in."""
        for framing in BOTH:
            _, core = self.make(framing)
            (asked,) = core.events()
            assert isinstance(asked, ProofReceived)
            self.assertEqual((asked.scope, asked.proof.timestamp), (Scope.LOGIN, UNIX_TIME))
            self.assertRaises(LocalProtocolError, core.accept, RUN_ID, 5.0)
            core.accept_proof(asked, 6.0)
            self.assertEqual(core.events(), [LoginReceived(core.login)])
            self.assertEqual(core.next_wakeup(), None)

    def test_deadline(self) -> None:
        """Without an answer in time the login is refused, and an answer that comes later means nothing."""
        near, core = self.make(V2)
        (asked,) = core.events()
        assert isinstance(asked, ProofReceived)
        self.assertEqual(core.next_wakeup(), 5.0 + VERIFY_TIMEOUT_S)
        core.wake(5.0 + VERIFY_TIMEOUT_S)
        self.assertEqual(core.events(), [SessionEnded(Ended.REFUSED, UNVERIFIED)])
        core.accept_proof(asked, 99.0)
        core.refuse_proof(asked, "no", 99.0)
        self.assertEqual((core.events(), core.next_wakeup()), ([], None))
        near.receive(sent(core), 0.0)
        self.assertEqual(near.events()[0], LoginRefused(UNVERIFIED))

    def test_closed(self) -> None:
        """Closed in any state it says what it can, ends once, and asks for nothing more."""
        for framing in BOTH:
            near, core = self.make(framing)
            core.events()
            core.close(Ended.STOPPED, "stop")
            self.assertEqual(core.events(), [SessionEnded(Ended.STOPPED, "stop")])
            near, core = self.make(framing)
            (asked,) = core.events()
            assert isinstance(asked, ProofReceived)
            core.accept_proof(asked, 5.0)
            core.close(Ended.STOPPED)
            self.assertEqual(core.events()[1:], [SessionEnded(Ended.STOPPED)])
            self.assertEqual(core.next_wakeup(), None)
            near, core = self.make(framing, Scope.HEARTBEATS)
            core.accept_proof(core.events()[0], 5.0)  # type: ignore[arg-type]
            core.accept(RUN_ID, 5.0)
            near.receive(sent(core), 0.0)
            near._send(Ping())
            core.receive(sent(near), 6.0)
            core.events()
            core.close(Ended.REPLACED, "by another")
            self.assertEqual(core.events(), [SessionEnded(Ended.REPLACED, "by another")])
            self.assertEqual(core.next_wakeup(), None)
            near.events()
            near.receive(sent(core), 6.0)
            goodbye = [SessionEnded(Ended.REPLACED, "by another")] if framing is V2 else []
            self.assertEqual(near.events(), goodbye)

    def test_portions_behind_a_ping(self) -> None:
        """What a ping held up is dealt with in portions, too, in order."""
        near, core = self.make(V2, Scope.HEARTBEATS)
        core.accept_proof(core.events()[0], 5.0)  # type: ignore[arg-type]
        core.accept(RUN_ID, 5.0)
        near.receive(sent(core), 0.0)
        core.events()
        names = [f"proxy {number}" for number in range(3 * MOST_MESSAGES)]
        near._send(Ping())
        for name in names[: 2 * MOST_MESSAGES]:
            near.register(name, "tcp", {})
        core.receive(sent(near), 6.0)
        for name in names[2 * MOST_MESSAGES :]:
            near.register(name, "tcp", {})
        core.receive(sent(near), 7.0)
        (asked,) = core.events()
        assert isinstance(asked, ProofReceived)
        self.assertFalse(core.has_input)
        core.accept_proof(asked, 8.0)
        told = [core.events()[1:]]
        while core.has_input:
            core.receive(b"", 8.0)
            told.append(core.events())
        self.assertEqual([each.name for events in told for each in events], names)  # type: ignore[union-attr]
        self.assertLessEqual(max(map(len, told)), 2 * MOST_MESSAGES)

    def test_ping(self) -> None:
        """A ping that is not verified holds up what comes behind it, in any portions, within limits."""
        for framing in BOTH:
            near, core = self.make(framing, Scope.HEARTBEATS)
            core.accept_proof(core.events()[0], 5.0)  # type: ignore[arg-type]
            core.accept(RUN_ID, 5.0)
            near.receive(sent(core), 0.0)
            core.events()
            near._send(Ping())
            near.register("a", "tcp", {})
            core.receive(sent(near), 6.0)
            near._send(Ping())
            near.register("b", "tcp", {})
            core.receive(sent(near), 7.0)
            (asked,) = core.events()
            assert isinstance(asked, ProofReceived)
            self.assertEqual(core.next_wakeup(), 6.0 + VERIFY_TIMEOUT_S)
            core.accept_proof(asked, 8.0)
            pinged, offered, again = core.events()
            self.assertEqual((pinged, offered), (PeerPinged(), RegistrationRequested("a", "tcp", {})))
            assert isinstance(again, ProofReceived)
            self.assertEqual(core.next_wakeup(), 8.0 + VERIFY_TIMEOUT_S)
            core.wake(8.0 + VERIFY_TIMEOUT_S)
            self.assertEqual(core.events(), [RegistrationRequested("b", "tcp", {})])
            near._send(Ping())
            core.receive(sent(near), 20.0)
            self.assertRaises(RemoteProtocolError, core.receive, bytes(MAX_HELD + 1), 20.0)
            self.assertEqual(core.state, ControlState.ENDED)

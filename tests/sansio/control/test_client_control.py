from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress as suppressed
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import TokenProver
from relaykit.errors import LocalProtocolError, RefusalCode, RefusedError, RemoteProtocolError
from relaykit.escaping import MOST_TOLD
from relaykit.sansio.control.client_control import LOGIN_TIMEOUT_S, ClientControl
from relaykit.sansio.control.credentials import Proof, Scope, digest
from relaykit.sansio.control.events import (
    LoggedIn,
    LoginRefused,
    PeerPinged,
    ProofNeeded,
    ProxyRefused,
    ProxyRegistered,
    SessionEnded,
    SignalReceived,
    WorkRequested,
)
from relaykit.sansio.control.extensions import EXTENSIONS
from relaykit.sansio.control.liveness import PROBE_TIMEOUT_S
from relaykit.sansio.control.server_opening import FirstMessage, ServerOpening
from relaykit.sansio.control.session import ControlState, Heartbeat
from relaykit.sansio.lanes.messages import UDPPacket
from relaykit.sansio.nathole.messages import NatHoleResp
from relaykit.sansio.wire.extension_messages import Goodbye
from relaykit.sansio.wire.framing import (
    MAGIC,
    V1,
    V2,
    Framing,
    HelloFrame,
    MessageTooLong,
    encode_hello,
    encode_v1,
    encode_v2,
)
from relaykit.sansio.wire.hello import ServerHello
from relaykit.sansio.wire.messages import (
    Login,
    LoginResp,
    Message,
    NewProxyResp,
    Pong,
    ReqWorkConn,
    StartWorkConn,
)
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import Ended, Secret
from tests.sansio.control.ends import (
    BOTH,
    LOGIN,
    TOKEN,
    UNIX_TIME,
    VERSION,
    client,
    fixed,
    opened,
    sent,
    server,
    settings,
)

RUN_ID = "0123456789abcdef"


def greeted(core: ClientControl, extensions: frozenset[str] = EXTENSIONS) -> bytes:
    """What a server says to this client's opening when it lets it in, and asks for two connections."""
    far = server(opened(sent(core), extensions))
    far.accept(RUN_ID, 0.0)
    far.request_work(2)
    return sent(far)


class LoginTests(SynchronousTestCase):
    """A client logs in, in either version, and is let in or told why not."""

    def test_opening_of_version_1(self) -> None:
        """In version 1 the login is all that is sent."""
        core = client(V1)
        proof = "3d8aac6cc09d79da303be74c311e5808"
        expected = Login(version=VERSION, user="ann", privilege_key=proof, timestamp=UNIX_TIME, pool_count=1)
        self.assertEqual(sent(core), encode_v1(expected))
        self.assertEqual(core.state, ControlState.LOGGING_IN)

    def test_opening_of_version_2(self) -> None:
        """In version 2 magic, hello and login are sent at once."""
        core = client(V2)
        data = sent(core)
        self.assertTrue(data.startswith(MAGIC + b"\x00\x01\x00\x00"))
        first = opened(data)
        self.assertIsInstance(first.message, Login)
        self.assertEqual(core.state, ControlState.LOGIN_AHEAD)

    def test_let_in(self) -> None:
        """However the answer is cut, and though encrypted bytes share its pieces, nothing is lost."""
        for framing in BOTH:
            answer = greeted(client(framing))

            def feed(portions: Sequence[bytes], framing: Framing = framing) -> Any:
                core = client(framing)
                for portion in portions:
                    core.receive(portion, 0.0)
                return core.events(), core.state, core.extensions

            events, state, extensions = feed_every_cut(answer, feed)
            self.assertEqual(events, [LoggedIn(RUN_ID, VERSION), WorkRequested(), WorkRequested()])
            self.assertEqual(state, ControlState.ESTABLISHED)
            self.assertEqual(extensions, EXTENSIONS if framing is V2 else frozenset())

    def test_refused(self) -> None:
        """A refusal is told, and ends the session."""
        for framing in BOTH:
            core = client(framing)
            far = server(opened(sent(core)), token=Secret("another"))
            core.receive(sent(far), 0.0)
            text = "token in login doesn't match token from configuration"
            self.assertEqual(core.events(), [LoginRefused(text), SessionEnded(Ended.REFUSED, text)])
            self.assertEqual(core.state, ControlState.ENDED)

    def test_refused_without_hello(self) -> None:
        """A refusal may come in place of the server's hello."""
        core = client(V2)
        core.receive(encode_v2(LoginResp(error="go away")), 0.0)
        self.assertEqual(core.events()[0], LoginRefused("go away"))

    def test_hello_refused(self) -> None:
        """A server that refuses the hello has its reason in the end of the session."""
        core = client(V2)
        hello = (
            b'{"selected":{"message":{"codec":"json"},"crypto":{}},"error":"no supported crypto algorithm"}'
        )
        frame = encode_hello(HelloFrame("server", hello))
        self.assertRaises(RemoteProtocolError, core.receive, frame, 0.0)
        self.assertEqual(core.events(), [SessionEnded(Ended.PROTOCOL_ERROR, "no supported crypto algorithm")])

    def test_extensions_that_the_server_lacks(self) -> None:
        """Only what both ends have is used; an frp server has nothing."""
        for extensions in (frozenset[str](), frozenset({"signal"}), frozenset({"signal", "of tomorrow"})):
            core = client(V2)
            core.receive(greeted(core, extensions), 0.0)
            self.assertEqual(core.extensions, extensions & EXTENSIONS)

    def test_extensions_that_were_not_offered(self) -> None:
        """What a server chose without being offered it is not used."""
        core = client(V2, extensions=frozenset())
        hello = (
            b'{"selected":{"message":{"codec":"json"},"crypto":{"algorithm":"aes-256-gcm","serverRandom":'
            b'"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="},"relaykit":{"signal":true}}}'
        )
        core.receive(encode_hello(HelloFrame("server", hello)) + encode_v2(LoginResp(run_id="x")), 0.0)
        self.assertEqual(core.state, ControlState.ESTABLISHED)
        self.assertEqual(core.extensions, frozenset())

    def test_other_answers(self) -> None:
        """Anything but the answer to the login breaks the rules."""
        first_hello = opened(sent(client(V2))).unsent
        second_hello = encode_hello(HelloFrame("server", b"{}"))
        for framing, data in (
            (V1, encode_v1(Pong())),
            (V1, encode_v1(StartWorkConn())),
            (V1, encode_v1(UDPPacket())),
            (V2, encode_v2(UDPPacket())),
            (V1, b"HTTP/1.1 400 Bad Request\r\n"),
            (V2, encode_v2(Pong())),
            (V2, encode_v2(LoginResp(run_id="x"))),
            (V2, encode_hello(HelloFrame("client", b"{}"))),
            (V2, first_hello + second_hello),
        ):
            core = client(framing)
            with self.subTest(data=data):
                self.assertRaises(RemoteProtocolError, core.receive, data, 0.0)
                (event,) = core.events()
                assert isinstance(event, SessionEnded)
                self.assertEqual(event.why, Ended.PROTOCOL_ERROR)

    def test_no_answer(self) -> None:
        """A server that does not answer within ten seconds has failed."""
        for framing in BOTH:
            core = client(framing)
            self.assertEqual(core.next_wakeup(), LOGIN_TIMEOUT_S)
            core.wake(LOGIN_TIMEOUT_S - 0.1)
            self.assertEqual(core.events(), [])
            core.wake(LOGIN_TIMEOUT_S)
            self.assertEqual(
                core.events(), [SessionEnded(Ended.TIMEOUT, "the server did not answer the login")]
            )
            self.assertIsNone(core.next_wakeup())

    def test_closed_without_answer(self) -> None:
        """A server that closes at once is told apart from one that said something."""
        for data, answered in ((b"", False), (b"\x00", True)):
            core = client(V2)
            core.receive(data, 0.0)
            core.end_received(0.0)
            (event,) = core.events()
            assert isinstance(event, SessionEnded)
            self.assertEqual((event.why, core.peer_answered), (Ended.FINISHED, answered))

    def test_commands_before_the_login(self) -> None:
        """Nothing can be asked for before the login is answered."""
        core = client(V1)
        self.assertRaises(LocalProtocolError, core.register, "web", "tcp", {})
        self.assertRaises(LocalProtocolError, core.withdraw, "web")

    @given(st.sampled_from(BOTH), st.binary(max_size=64))
    def test_junk(self, framing: Framing, junk: bytes) -> None:
        """Junk instead of an answer is our error or an unfinished answer."""
        core = client(framing)
        try:
            core.receive(junk, 0.0)
        except RemoteProtocolError:
            self.assertEqual(core.state, ControlState.ENDED)


class Dialogue:
    """An established client, and a server's session that speaks to it word by word."""

    def __init__(self, framing: Framing, **given: Any) -> None:
        self.core = client(framing, **given)
        self.far = server(opened(sent(self.core)))
        self.far.accept(RUN_ID, 0.0)
        self.core.receive(sent(self.far), 0.0)
        self.core.events()
        self.far.events()

    def hears(self, *messages: Message, now: float = 0.0) -> list[Any]:
        """What the client tells when the server sends these."""
        for message in messages:
            self.far._send(message)
        self.core.receive(sent(self.far), now)
        return list(self.core.events())

    def says(self, now: float = 0.0) -> list[Any]:
        """What the server makes of all that the client has to send."""
        self.far.receive(sent(self.core, now), now)
        return list(self.far.events())


class EstablishedTests(SynchronousTestCase):
    """What a client does once it is let in."""

    def test_register(self) -> None:
        """A proxy is registered with all its fields, and both answers are told."""
        for framing in BOTH:
            talk = Dialogue(framing)
            talk.core.register("ann.web", "tcp", {"remote_port": 80, "relaykit": {"phrase": "x"}})
            (offer,) = talk.says()
            self.assertEqual((offer.name, offer.type), ("ann.web", "tcp"))
            self.assertEqual(offer.fields, {"remote_port": 80, "relaykit": {"phrase": "x"}})
            talk.far.registered("ann.web", ":80")
            talk.far.refuse_proxy("ann.dns", "port not allowed")
            self.assertEqual(
                talk.hears(),
                [ProxyRegistered("ann.web", ":80"), ProxyRefused("ann.dns", "port not allowed")],
            )

    def test_too_much_to_register(self) -> None:
        """A proxy whose options fit into no message is an error here, not a lost session."""
        talk = Dialogue(V1)
        self.assertRaises(MessageTooLong, talk.core.register, "web", "tcp", {"sk": "x" * 20000})
        self.assertEqual(talk.core.state, ControlState.ESTABLISHED)
        talk.core.register("web", "tcp", {})
        self.assertEqual(len(talk.says()), 1)

    def test_pings(self) -> None:
        """The client pings at once, then every interval, with a proof where that is configured."""
        for framing in BOTH:
            talk = Dialogue(framing, heartbeat=Heartbeat(interval_s=30.0), scopes=(Scope.HEARTBEATS,))
            for now in (0.0, 30.0):
                self.assertEqual(talk.core.next_wakeup(), now)
                talk.core.wake(now)
                self.assertEqual([type(event).__name__ for event in talk.says(now)], ["PeerPinged"])
            self.assertEqual(talk.core.next_wakeup(), 60.0)

    def test_no_pings(self) -> None:
        """Without an interval the client neither pings nor misses anything."""
        talk = Dialogue(V1, heartbeat=Heartbeat(timeout_s=90.0))
        self.assertIsNone(talk.core.next_wakeup())

    def test_silence(self) -> None:
        """Without a sign of life for the timeout the session ends; any message is one."""
        talk = Dialogue(V2, heartbeat=Heartbeat(interval_s=30.0, timeout_s=90.0))
        talk.hears(Pong(), now=60.0)
        for now in (0.0, 30.0, 60.0, 90.0, 120.0, 149.9):
            talk.core.wake(now)
        self.assertEqual(talk.core.events(), [])
        talk.core.wake(150.0)
        self.assertEqual(talk.core.events(), [SessionEnded(Ended.TIMEOUT, "the peer gave no sign of life")])

    def test_probe(self) -> None:
        """A server that may be out of reach is pinged at once; only an answer to that keeps the session."""
        for answered in (False, True):
            talk = Dialogue(V2)
            talk.core.probe(10.0)
            self.assertEqual(talk.core.next_wakeup(), 10.0)
            talk.core.wake(10.0)
            if answered:
                self.assertEqual([type(event).__name__ for event in talk.says(10.0)], ["PeerPinged"])
                talk.core.receive(sent(talk.far), 11.0)
            else:
                talk.hears(ReqWorkConn(), now=11.0)
            talk.core.wake(10.0 + PROBE_TIMEOUT_S)
            self.assertEqual(talk.core.state, ControlState.ESTABLISHED if answered else ControlState.ENDED)

    def test_no_probe(self) -> None:
        """Before the login is answered, and after the end, there is nothing to probe."""
        core = client(V2)
        due = core.next_wakeup()
        core.probe(1.0)
        self.assertEqual(core.next_wakeup(), due)

    def test_refused_ping(self) -> None:
        """A server that refuses a heartbeat ends the session."""
        talk = Dialogue(V1)
        self.assertEqual(talk.hears(Pong(error="who?")), [SessionEnded(Ended.REFUSED, "who?")])

    def test_hostile_words(self) -> None:
        """What a server says in words is told in one line, and cut, whichever message says it."""
        attack = "\x1b[2J\n" + "x" * 5000
        answers: list[Message] = [
            NewProxyResp(proxy_name="web", error=attack),
            Pong(error=attack),
            Goodbye(why="stopped", text=attack),
        ]
        told = [event for answer in answers for event in Dialogue(V2).hears(answer)]
        for version in BOTH:
            core = client(version)
            sent(core)
            core.receive(version.encode(LoginResp(error=attack)), 0.0)
            told += core.events()
        core = client(V2)
        sent(core)
        with suppressed(RemoteProtocolError):
            core.receive(encode_hello(ServerHello.refusing(attack).to_frame()), 0.0)
        told += core.events()
        texts = [event.text for event in told if hasattr(event, "text")]
        self.assertGreaterEqual(len(texts), 7)
        for text in texts:
            self.assertTrue(text.startswith("\\x1b[2J\\nxxx") and text.isprintable(), text[:20])
            self.assertLessEqual(len(text), MOST_TOLD)

    def test_nothing_after_the_end(self) -> None:
        """After the end nothing is told, sent or raised."""
        talk = Dialogue(V2)
        talk.core.close(Ended.STOPPED)
        self.assertEqual(talk.core.events(), [SessionEnded(Ended.STOPPED)])
        talk.core.close(Ended.REPLACED)
        talk.core.register("web", "tcp", {})
        talk.core.withdraw("web")
        talk.core.signal("web", "", {})
        talk.core.wake(1000.0)
        talk.core.end_received(1000.0)
        self.assertEqual(talk.hears(Pong()), [])
        self.assertEqual(sent(talk.core), b"")

    def test_closed_by_the_server(self) -> None:
        """The end of what the server sends is the end of the session."""
        talk = Dialogue(V1)
        talk.core.end_received(5.0)
        self.assertEqual(talk.core.events(), [SessionEnded(Ended.FINISHED, "the peer closed the connection")])

    def test_messages_of_the_wrong_direction(self) -> None:
        """What only servers or other connections have a use for is ignored, as frp's client does."""
        for framing in BOTH:
            talk = Dialogue(framing)
            events = talk.hears(Login(), LoginResp(error="x"), StartWorkConn(proxy_name="x"))
            self.assertEqual(events, [])
            self.assertEqual(talk.core.state, ControlState.ESTABLISHED)

    def test_messages_of_proxy_types(self) -> None:
        """A message of frp's that is not about the session is skipped, as frp does."""
        talk = Dialogue(V2)
        self.assertEqual(talk.hears(UDPPacket(), NatHoleResp(transaction_id="1", error="x")), [])
        self.assertEqual(talk.core.state, ControlState.ESTABLISHED)

    def test_signals(self) -> None:
        """Signals go both ways where both ends have them."""
        talk = Dialogue(V2)
        talk.core.signal("ann.knock", "door", {"phrase": ["open", 1]})
        self.assertEqual(talk.says(), [SignalReceived("ann.knock", "door", {"phrase": ["open", 1]})])
        talk.far.signal("ann.knock", "", {})
        self.assertEqual(talk.hears(), [SignalReceived("ann.knock", "", {})])

    def test_no_signals(self) -> None:
        """Where the server has no signals, sending one is refused here and receiving one breaks the rules."""
        core = client(V2)
        far = server(opened(sent(core), frozenset()))
        far.accept(RUN_ID, 0.0)
        core.receive(sent(far), 0.0)
        refusal = self.assertRaises(RefusedError, core.signal, "web", "", {})
        self.assertEqual(refusal.code, RefusalCode.NOT_AVAILABLE)
        far.extensions = EXTENSIONS
        far.signal("web", "", {})
        self.assertRaises(RemoteProtocolError, core.receive, sent(far), 0.0)

    def test_changed_bytes(self) -> None:
        """In version 2 one changed bit ends the session."""
        talk = Dialogue(V2)
        talk.far.request_work()
        data = bytearray(sent(talk.far))
        data[-1] ^= 1
        self.assertRaises(RemoteProtocolError, talk.core.receive, bytes(data), 0.0)
        self.assertEqual(talk.core.state, ControlState.ENDED)

    def test_another_token(self) -> None:
        """In version 1 a server with another key speaks gibberish, which ends the session."""
        core = client(V1)
        opened(sent(core))
        stranger = client(V1, token=Secret("another"))
        far = server(opened(sent(stranger)), token=Secret("another"))
        far.accept(RUN_ID, 0.0)
        far.request_work(4)
        self.assertRaises(RemoteProtocolError, core.receive, sent(far), 0.0)

    @given(st.sampled_from(BOTH), st.binary(max_size=200))
    def test_junk(self, framing: Framing, junk: bytes) -> None:
        """Junk on an established connection ends the session or waits for more; it crashes nothing."""
        talk = Dialogue(framing)
        try:
            talk.core.receive(junk, 0.0)
        except RemoteProtocolError:
            self.assertEqual(talk.core.state, ControlState.ENDED)

    def test_fixed_bytes(self) -> None:
        """With chance fixed, the first encrypted bytes are those of the specification of version 1."""
        far = server(
            opened(
                encode_v1(
                    Login(
                        privilege_key=TokenProver(TOKEN, lambda: 1).prove(Scope.LOGIN, False).privilege_key,
                        timestamp=1,
                    )
                )
            ),
            entropy=fixed(0),
        )
        far.accept(RUN_ID, 0.0)
        self.assertEqual(sent(far), encode_v1(LoginResp(version=VERSION, run_id=RUN_ID)))
        far.request_work()
        far._send(Pong())
        self.assertEqual(
            sent(far).hex(),
            "000102030405060708090a0b0c0d0e0f5e98a24026e4cf47613434ea3402bd6e9c748e08a532",
        )


class SettingsTests(SynchronousTestCase):
    """What a session is made with."""

    def test_secrets_are_hidden(self) -> None:
        """The settings of a session can be logged."""
        self.assertNotIn(TOKEN.reveal(), repr(settings()))


class ProofTests(SynchronousTestCase):
    """What proves who the client is is made by somebody else, and may take time."""

    def make(self, framing: Framing, **given: Any) -> ClientControl:
        """A client for which nothing is proven yet."""
        return ClientControl(
            LOGIN, framing, settings(entropy=fixed(0), **given), 0.0, scopes=frozenset(Scope)
        )

    def needed(self, core: ClientControl) -> ProofNeeded:
        """The one proof that is asked for."""
        (needed,) = core.events()
        assert isinstance(needed, ProofNeeded)
        return needed

    def test_login(self) -> None:
        """The login goes out with its proof, as soon as there is one; a hello goes out at once."""
        for framing in BOTH:
            core = self.make(framing)
            needed = self.needed(core)
            self.assertEqual((needed.scope, needed.bound), (Scope.LOGIN, False))
            hello = sent(core)
            self.assertEqual(bool(hello), framing is V2)
            core.proof_made(needed, Proof("key", 5))
            first = opened(hello + sent(core)).message
            assert isinstance(first, Login)
            self.assertEqual((first.privilege_key, first.timestamp), ("key", 5))

    def test_hello_before_the_proof(self) -> None:
        """The server's hello may come first."""
        core = self.make(V2)
        needed = self.needed(core)
        opening = ServerOpening(0.0, VERSION, fixed(0x20))
        opening.receive(sent(core), 0.0)
        core.receive(sent(opening), 0.0)
        self.assertEqual((core.state, core.events()), (ControlState.AGREED, []))
        core.proof_made(needed, Proof("key", 5))
        self.assertEqual(core.state, ControlState.LOGGING_IN)
        opening.receive(sent(core), 0.0)
        (first,) = opening.events()
        assert isinstance(first, FirstMessage) and isinstance(first.message, Login)
        self.assertEqual(first.message.privilege_key, "key")

    def test_too_late(self) -> None:
        """A login whose proof is not there in time is over; what comes later means nothing."""
        for framing in BOTH:
            core = self.make(framing)
            needed = self.needed(core)
            sent(core)
            core.wake(LOGIN_TIMEOUT_S)
            self.assertIsInstance(core.events()[0], SessionEnded)
            core.proof_made(needed, Proof("key", 5))
            self.assertEqual((sent(core), core.events()), (b"", []))

    def test_closed(self) -> None:
        """Closed in any state of its login it ends once, sends no login, and asks for nothing more."""
        for framing in BOTH:
            core = self.make(framing)
            needed = self.needed(core)
            sent(core)
            core.close(Ended.CANCELLED)
            self.assertEqual(core.events(), [SessionEnded(Ended.CANCELLED)])
            core.proof_made(needed, Proof("key", 5))
            self.assertEqual((sent(core), core.events(), core.next_wakeup()), (b"", [], None))
            core = self.make(framing)
            core.proof_made(self.needed(core), Proof("key", 5))
            sent(core)
            core.close(Ended.CANCELLED)
            self.assertEqual(core.events(), [SessionEnded(Ended.CANCELLED)])
            self.assertEqual((sent(core), core.next_wakeup()), (b"", None))

    def test_ping(self) -> None:
        """A ping waits for its proof, and one that has none when the next is due is left out."""
        core = self.make(V1, heartbeat=Heartbeat(interval_s=30.0, timeout_s=90.0))
        core.proof_made(self.needed(core), Proof(digest(TOKEN.to_bytes(), 5), 5))
        far = server(opened(sent(core)))
        far.accept(RUN_ID, 0.0)
        core.receive(sent(far), 0.0)
        core.events()
        core.wake(0.0)
        late = self.needed(core)
        core.wake(30.0)
        needed = self.needed(core)
        self.assertEqual((needed.scope, needed.bound), (Scope.HEARTBEATS, False))
        core.proof_made(late, Proof("late"))
        self.assertEqual(sent(core), b"")
        core.proof_made(needed, Proof("key"))
        far.events()
        far.receive(sent(core), 30.0)
        self.assertEqual(far.events(), [PeerPinged()])

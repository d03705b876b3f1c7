"""Tests of logins with proofs: bound to their TLS session, signed by an identity, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import TokenProver, TokenVerifier
from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.control.channel_binding import Purpose, derive_token_key
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.events import (
    BindingFailed,
    KeyNeeded,
    LoggedIn,
    LoginReceived,
    LoginRefused,
    PeerPinged,
    RegistrationRequested,
    SessionEnded,
)
from relaykit.sansio.control.extensions import BOUND, EXTENSIONS, IDENTITY
from relaykit.sansio.control.identity import NOT_THE_KEY
from relaykit.sansio.control.login_proofs import BindingFailure, BoundLogin, ClientProofs, ServerProofs
from relaykit.sansio.control.server_control import ServerControl
from relaykit.sansio.control.server_opening import FirstMessage, ServerOpening
from relaykit.sansio.control.session import ControlState
from relaykit.sansio.control.texts import BINDING_REQUIRED, NOT_BOUND, PeerTexts
from relaykit.sansio.wire.extension_messages import IdentifiedLogin, ProvenLogin, ProvenLoginResp
from relaykit.sansio.wire.framing import V1, V2, V2Decoder, encode_v2
from relaykit.sansio.wire.hello import Bootstrap
from relaykit.sansio.wire.messages import CORE_MESSAGES, Login, LoginResp, Pong
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import Ended, Secret
from tests.sansio.control.ends import (
    LOGIN,
    TOKEN,
    UNIX_TIME,
    VERSION,
    TokenClient,
    TokenServer,
    fixed,
    sent,
    settings,
)

RUN_ID = "0123456789abcdef"
SALT = bytes(range(16))
EXPORTER = bytes(range(32))
OTHER_EXPORTER = bytes(range(1, 33))
DERIVED = derive_token_key(TOKEN.to_bytes(), SALT)
OTHER_DERIVED = derive_token_key(b"another", SALT)


class Key:
    """An identity for tests."""

    def __init__(self, seed: int = 0) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, statement: bytes) -> bytes:
        return self._key.sign(statement)


BINDING = ClientProofs(exporter=EXPORTER, bound=BoundLogin.PREFER)
REQUIRING = evolve(BINDING, bound=BoundLogin.REQUIRE)
SIGNING = ClientProofs(exporter=EXPORTER, signer=Key())
BOTH = evolve(BINDING, signer=Key())
AT_SERVER = ServerProofs(exporter=EXPORTER, token_key=DERIVED)


def client(
    proofs: ClientProofs, *, tls: bool = True, login: Login = LOGIN, token: Secret = TOKEN
) -> ClientControl:
    """A client with these proofs."""
    prover = TokenProver(token, lambda: UNIX_TIME)
    return TokenClient(
        prover,
        login,
        V2,
        settings(entropy=fixed(0), token=token),
        0.0,
        bootstrap=Bootstrap(tls=tls),
        proofs=proofs,
    )


class Server:
    """The server's end: the opening, then the session."""

    def __init__(
        self,
        proofs: ServerProofs = AT_SERVER,
        *,
        salt: bytes = SALT,
        secure: bool = True,
        extensions: frozenset[str] = EXTENSIONS | {BOUND, IDENTITY},
        texts: PeerTexts | None = None,
        chance: int = 0x20,
    ) -> None:
        self.opening = ServerOpening(0.0, VERSION, fixed(chance), extensions, salt=salt, secure=secure)
        self.first: FirstMessage | None = None
        self.session: ServerControl | None = None
        self._proofs = proofs
        self._texts = texts or PeerTexts()

    def answer(self, data: bytes) -> bytes:
        """What it says to these bytes."""
        if self.session is not None:
            self.session.receive(data, 0.0)
            return sent(self.session)
        self.opening.receive(data, 0.0)
        said = sent(self.opening)
        for event in self.opening.events():
            assert isinstance(event, FirstMessage)
            self.first = event
            self.session = TokenServer(
                TokenVerifier(TOKEN),
                event,
                settings(),
                VERSION,
                0.0,
                texts=self._texts,
                proofs=self._proofs,
            )
            said += sent(self.session)
        return said

    def events(self) -> Sequence[Any]:
        """What its session tells."""
        assert self.session is not None
        return self.session.events()


def greet(near: ClientControl, far: Server, token_key: bytes = DERIVED) -> bytes:
    """The hellos, and the key if one is asked for; answers the client's login."""
    near.receive(far.answer(sent(near)), 0.0)
    for event in near.events():
        if isinstance(event, KeyNeeded):
            near.key_derived(token_key)
    return sent(near)


def login(near: ClientControl, far: Server, token_key: bytes = DERIVED) -> ServerControl:
    """A login, let in as far as it depends on the proofs."""
    near.receive(far.answer(greet(near, far, token_key)), 0.0)
    session = far.session
    assert session is not None
    if session.state is ControlState.LOGGING_IN:
        session.accept(RUN_ID, 0.0)
        near.receive(sent(session), 0.0)
    return session


def message(data: bytes) -> Any:
    """The one message in bytes of version 2."""
    decoder = V2Decoder(CORE_MESSAGES.extended(ProvenLogin, ProvenLoginResp))
    decoder.receive(data)
    found = decoder.next_message()
    assert decoder.unread() == b""
    return found


class BoundLoginTests(SynchronousTestCase):
    """A login that holds for one TLS session."""

    def test_both_ends_prove(self) -> None:
        """Client and server are sure of each other, and have the same keys for what follows."""
        near, far = client(BINDING), Server()
        session = login(near, far)
        self.assertEqual(near.events(), [LoggedIn(RUN_ID, VERSION)])
        self.assertEqual(session.events(), [LoginReceived(session.login)])
        self.assertEqual(session.login.user, "ann")
        near.register("web", "tcp", {"remote_port": 6000})
        session.receive(sent(near), 0.0)
        self.assertEqual(session.events(), [RegistrationRequested("web", "tcp", {"remote_port": 6000})])
        assert near.bound is not None and session.bound is not None
        self.assertEqual(
            near.bound.connection_proof(Purpose.WORK, OTHER_EXPORTER, RUN_ID),
            session.bound.connection_proof(Purpose.WORK, OTHER_EXPORTER, RUN_ID),
        )

    def test_nothing_to_replay(self) -> None:
        """Neither the login nor a heartbeat carries frp's digest of the token."""
        near, far = client(BINDING), Server()
        proven = message(greet(near, far))
        body = IdentifiedLogin.from_json(proven.login)
        assert body is not None
        self.assertEqual((body.privilege_key, body.timestamp), ("", 0))
        near.receive(far.answer(encode_v2(proven)), 0.0)

    def test_login_waits(self) -> None:
        """Before the server's hello, and before the key is there, nothing but the hello is sent."""
        for proofs in (BINDING, REQUIRING, SIGNING, BOTH):
            near, far = client(proofs), Server()
            hello = sent(near)
            self.assertNotIn(b"ann", hello)
            near.receive(far.answer(hello), 0.0)
            if proofs is not SIGNING:
                self.assertEqual(near.events(), [KeyNeeded(SALT)])
                self.assertEqual(sent(near), b"")
                near.key_derived(DERIVED)
            self.assertIsInstance(message(sent(near)), ProvenLogin)

    def test_other_token(self) -> None:
        """A client with another token is told so, and knows both causes."""
        near, far = client(BINDING), Server()
        session = login(near, far, OTHER_DERIVED)
        self.assertEqual(session.events(), [SessionEnded(Ended.REFUSED, NOT_BOUND)])
        self.assertEqual(
            near.events(),
            [BindingFailed(BindingFailure.REFUSED, NOT_BOUND), SessionEnded(Ended.REFUSED, NOT_BOUND)],
        )
        self.assertEqual(session.login, Login())

    def test_tls_ended_in_between(self) -> None:
        """Who passes everything on between two TLS sessions gets neither end to believe it."""
        near, far = client(BINDING), Server(evolve(AT_SERVER, exporter=OTHER_EXPORTER))
        session = login(near, far)
        self.assertEqual(session.events(), [SessionEnded(Ended.REFUSED, NOT_BOUND)])
        failed = near.events()[0]
        assert isinstance(failed, BindingFailed)
        self.assertEqual(failed.why, BindingFailure.REFUSED)

    def test_replayed(self) -> None:
        """A login that was seen holds for no other connection, not even one with the same exporter."""
        seen = greet(client(BINDING), Server())
        far = Server(chance=0x30)
        far.answer(sent(client(BINDING)))
        far.answer(seen)
        self.assertEqual(far.events(), [SessionEnded(Ended.REFUSED, NOT_BOUND)])

    def test_false_server(self) -> None:
        """A server that lets a client in without proof, or with a wrong one, is not believed."""
        true = LoginResp(run_id=RUN_ID).to_json()
        for answer in (
            LoginResp(run_id=RUN_ID),
            ProvenLoginResp(answer=true),
            ProvenLoginResp(answer=true, binding=bytes(32)),
            ProvenLoginResp(),
        ):
            near = client(BINDING)
            greet(near, Server())
            near.receive(encode_v2(answer), 0.0)
            self.assertEqual(near.events()[0], BindingFailed(BindingFailure.NOT_PROVEN))
            self.assertEqual(near.state, ControlState.ENDED)

    def test_reflected(self) -> None:
        """The client's own proof, sent back, is no proof of the server's."""
        near = client(BINDING)
        proven = message(greet(near, Server()))
        near.receive(encode_v2(ProvenLoginResp(answer=proven.login, binding=proven.binding)), 0.0)
        self.assertEqual(near.events()[0], BindingFailed(BindingFailure.NOT_PROVEN))

    def test_changed_answer(self) -> None:
        """Nobody can change the answer: not the run id, not a yes into a no."""
        near, far = client(BINDING), Server()
        far.answer(greet(near, far))
        assert far.session is not None
        far.session.accept(RUN_ID, 0.0)
        decoder = V2Decoder(CORE_MESSAGES.extended(ProvenLoginResp))
        decoder.receive(sent(far.session))
        answer = decoder.next_message()
        assert isinstance(answer, ProvenLoginResp)
        false = ProvenLoginResp(answer=LoginResp(error="no").to_json(), binding=answer.binding)
        near.receive(encode_v2(false), 0.0)
        self.assertEqual(near.events()[0], BindingFailed(BindingFailure.NOT_PROVEN))

    def test_nothing_after_a_false_answer(self) -> None:
        """What comes behind an answer that is not proven is not looked at."""
        near, far = client(BINDING), Server()
        greet(near, far)
        near.receive(encode_v2(LoginResp(run_id=RUN_ID)) + b"\xff" * 100, 0.0)
        self.assertEqual(len(near.events()), 2)

    def test_proven_refusal(self) -> None:
        """A server that proves itself and says no is believed: the token is not the reason."""
        near, far = client(BINDING), Server()
        far.answer(greet(near, far))
        assert far.session is not None
        far.session.refuse("client_id [c] for user [u] is already online")
        near.receive(sent(far.session), 0.0)
        text = "client_id [c] for user [u] is already online"
        self.assertEqual(near.events(), [LoginRefused(text), SessionEnded(Ended.REFUSED, text)])

    def test_every_cut(self) -> None:
        """However the bytes of either end are cut, nothing changes."""
        near, far = client(BOTH), Server()
        hello = sent(near)
        server_hello = far.answer(hello)

        def feed_server(portions: Sequence[bytes]) -> Any:
            server = Server()
            answer = server.answer(hello)
            for portion in portions:
                answer += server.answer(portion)
            return answer, server.events()

        opening = greet(client(BOTH), Server())
        answer, events = feed_every_cut(opening, feed_server)
        self.assertEqual(answer, server_hello)
        self.assertIsInstance(events[0], LoginReceived)

        near, far = client(BOTH), Server()
        far.answer(greet(near, far))
        assert far.session is not None
        far.session.accept(RUN_ID, 0.0)
        far.session.request_work(1)
        admitted = sent(far.session)

        def feed_client(portions: Sequence[bytes]) -> Any:
            core = client(BOTH)
            greet(core, Server())
            for portion in portions:
                core.receive(portion, 0.0)
            return core.events(), core.state

        events, state = feed_every_cut(admitted, feed_client)
        self.assertEqual(events[0], LoggedIn(RUN_ID, VERSION))
        self.assertEqual((len(events), state), (2, ControlState.ESTABLISHED))

    @given(st.binary(max_size=200))
    def test_junk(self, junk: bytes) -> None:
        """Junk in the place of a proven answer is our error, an unfinished answer, or not believed."""
        near = client(BINDING)
        greet(near, Server())
        for data in (junk, encode_v2(ProvenLoginResp(answer=junk, binding=junk[:32]))):
            try:
                near.receive(data, 0.0)
            except RemoteProtocolError:
                self.assertEqual(near.state, ControlState.ENDED)
            self.assertNotEqual(near.state, ControlState.ESTABLISHED)

    @given(st.binary(max_size=200), st.binary(max_size=40))
    def test_junk_login(self, login: bytes, binding: bytes) -> None:
        """A junk login is refused before it is read."""
        far = Server()
        far.answer(sent(client(BINDING)))
        far.answer(encode_v2(ProvenLogin(login=login, binding=binding)))
        self.assertEqual(far.events(), [SessionEnded(Ended.REFUSED, NOT_BOUND)])

    def test_wrong_order(self) -> None:
        """An answer before the login breaks the rules; a no is a no at any time."""
        for answer in (LoginResp(run_id=RUN_ID), ProvenLoginResp(), Pong()):
            near, far = client(BINDING), Server()
            near.receive(far.answer(sent(near)), 0.0)
            self.assertRaises(RemoteProtocolError, near.receive, encode_v2(answer), 0.0)
        near, far = client(BINDING), Server()
        near.receive(far.answer(sent(near)) + encode_v2(LoginResp(error="no")), 0.0)
        self.assertEqual(near.events()[1], LoginRefused("no"))
        near.key_derived(DERIVED)
        self.assertEqual(sent(near), b"")

    def test_key_that_nobody_asked_for(self) -> None:
        """A key is given once, when it was asked for."""
        near, far = client(BINDING), Server()
        self.assertRaises(LocalProtocolError, near.key_derived, DERIVED)
        greet(near, far)
        self.assertRaises(LocalProtocolError, near.key_derived, DERIVED)

    def test_login_without_the_proof_agreed_on(self) -> None:
        """Who agreed to a bound login and then sends frp's is refused, and so is a proven login uninvited."""
        far = Server()
        far.answer(sent(client(BINDING)))
        far.answer(encode_v2(Login(privilege_key="3d8aac6cc09d79da303be74c311e5808", timestamp=UNIX_TIME)))
        self.assertEqual(far.events(), [SessionEnded(Ended.REFUSED, NOT_BOUND)])
        plain = Server(salt=b"", extensions=EXTENSIONS)
        plain.answer(sent(client(BINDING)))
        self.assertRaises(RemoteProtocolError, plain.answer, encode_v2(ProvenLogin()))

    def test_deadline(self) -> None:
        """The wait for the key counts, too."""
        near, far = client(BINDING), Server()
        near.receive(far.answer(sent(near)), 0.0)
        near.events()
        self.assertEqual(near.next_wakeup(), 10.0)
        near.wake(10.0)
        self.assertEqual(near.events(), [SessionEnded(Ended.TIMEOUT, "the server did not answer the login")])

    def test_heartbeats(self) -> None:
        """In a bound session a heartbeat needs no proof of its own."""
        near, far = client(BINDING), Server()
        session = login(near, far)
        session.events()
        near._ping()
        session.receive(sent(near), 0.0)
        self.assertEqual(session.events(), [PeerPinged()])


class AgreementTests(SynchronousTestCase):
    """When a login is bound."""

    def test_prefer(self) -> None:
        """Where the server does not agree, a client that prefers it logs in as with frp."""
        for far in (Server(salt=b""), Server(extensions=EXTENSIONS), Server(extensions=frozenset())):
            near = client(BINDING)
            session = login(near, far)
            self.assertEqual(near.events(), [LoggedIn(RUN_ID, VERSION)])
            self.assertIsNone(session.bound)

    def test_require(self) -> None:
        """A client that requires it sends no login to a server that does not agree."""
        for far in (Server(salt=b""), Server(extensions=EXTENSIONS), Server(extensions=frozenset())):
            near = client(REQUIRING)
            near.receive(far.answer(sent(near)), 0.0)
            self.assertEqual(near.events()[0], BindingFailed(BindingFailure.NOT_AGREED))
            self.assertEqual((sent(near), near.state), (b"", ControlState.ENDED))

    def test_nothing_to_bind_to(self) -> None:
        """A client that requires it sends no login where there is nothing to bind it to."""
        near = client(ClientProofs(bound=BoundLogin.REQUIRE))
        hello = sent(near)
        self.assertNotIn(b"ann", hello)
        near.receive(Server().answer(hello), 0.0)
        self.assertEqual(near.events()[0], BindingFailed(BindingFailure.NOT_AGREED))

    def test_not_in_version_1(self) -> None:
        """Version 1 and a bound login exclude each other."""
        self.assertRaises(LocalProtocolError, ClientControl, LOGIN, V1, settings(), 0.0, proofs=REQUIRING)

    def test_server_requires(self) -> None:
        """A server that requires it lets nobody in otherwise, whatever else they prove."""
        required = evolve(AT_SERVER, required=True)
        self.assertEqual(login(client(BINDING), Server(required)).state, ControlState.ESTABLISHED)
        near = client(SIGNING)
        login(near, Server(required))
        self.assertEqual(near.events()[0], LoginRefused(BINDING_REQUIRED))
        near = client(ClientProofs())
        near.receive(Server(required).answer(sent(near)), 0.0)
        self.assertEqual(near.events()[0], LoginRefused(BINDING_REQUIRED))

    def test_empty_salt_of_a_server(self) -> None:
        """A salt that is none, or far too short, is no agreement but an error."""
        for chosen in ("true", "{}", '{"salt":""}', '{"salt":"AAAA"}', '{"salt":7}', '"x"', '{"salt":"!"}'):
            near, far = client(BINDING), Server()
            hello = far.answer(sent(near))
            salt = b'{"salt":"AAECAwQFBgcICQoLDA0ODw=="}'
            self.assertIn(salt, hello)
            payload = hello[8:].replace(salt, chosen.encode())
            frame = hello[:4] + len(payload).to_bytes(4, "big") + payload
            self.assertRaises(RemoteProtocolError, near.receive, frame, 0.0)

    def test_reason_kept_back(self) -> None:
        """A server that explains nothing does not explain this either."""
        near = client(BINDING)
        login(near, Server(texts=PeerTexts(False)), OTHER_DERIVED)
        self.assertEqual(near.events()[0], BindingFailed(BindingFailure.REFUSED, "register control error"))


class IdentityTests(SynchronousTestCase):
    """A login that is signed."""

    def test_proven(self) -> None:
        """The server knows the key, with a bound login and without."""
        for proofs in (SIGNING, BOTH):
            session = login(client(proofs), Server())
            self.assertEqual(session.identity, Key().public_key)
        plain = login(
            client(evolve(SIGNING, exporter=b""), tls=False),
            Server(ServerProofs(), salt=b"", secure=False),
        )
        self.assertEqual(plain.identity, Key().public_key)

    def test_none(self) -> None:
        """A client that signs nothing has no identity."""
        for proofs in (BINDING, ClientProofs()):
            self.assertEqual(login(client(proofs), Server()).identity, b"")

    def test_tls_ended_in_between(self) -> None:
        """A signature for one TLS session is none for another: the client has no identity then."""
        far = Server(ServerProofs(exporter=OTHER_EXPORTER), salt=b"")
        near = client(SIGNING)
        session = login(near, far)
        self.assertEqual(near.events(), [LoggedIn(RUN_ID, VERSION)])
        self.assertEqual((session.identity, session.identity_failed), (b"", True))
        self.assertFalse(login(client(SIGNING), Server()).identity_failed)

    def test_tls_ended_before_the_server(self) -> None:
        """Where TLS ends elsewhere there is no identity, but a login."""
        near = client(SIGNING)
        session = login(near, Server(ServerProofs(), salt=b"", secure=False))
        self.assertEqual((near.state, session.identity), (ControlState.ESTABLISHED, b""))

    def test_somebody_elses(self) -> None:
        """Naming a key is not having it."""

        class Thief(Key):
            """Signs with one key and names another."""

            def __init__(self) -> None:
                super().__init__(1)
                self.public_key = Key().public_key

        session = login(client(evolve(SIGNING, signer=Thief())), Server())
        self.assertEqual((session.identity, session.identity_failed), (b"", True))
        near = client(evolve(BOTH, signer=Thief()))
        login(near, Server())
        self.assertEqual(near.events()[0], LoginRefused(NOT_THE_KEY))

    def test_login_without_the_signature_agreed_on(self) -> None:
        """Who agreed to sign and then sends frp's login is refused."""
        far = Server(salt=b"")
        far.answer(sent(client(SIGNING)))
        far.answer(encode_v2(Login(privilege_key="3d8aac6cc09d79da303be74c311e5808", timestamp=UNIX_TIME)))
        self.assertEqual(far.events(), [SessionEnded(Ended.REFUSED, NOT_THE_KEY)])

    def test_wrong_token(self) -> None:
        """An identity does not stand in for the token."""
        near = client(SIGNING, token=Secret("another"))
        login(near, Server())
        text = "token in login doesn't match token from configuration"
        self.assertEqual(near.events()[0], LoginRefused(text))

    def test_yielding(self) -> None:
        """A client can say that it takes nothing from one that is alive."""
        for proofs, stands_by in ((BOTH, False), (evolve(BOTH, stands_by=True), True)):
            self.assertEqual(login(client(proofs), Server()).stands_by, stands_by)


class GoodbyeTests(SynchronousTestCase):
    """Why a session ends."""

    def test_told(self) -> None:
        """A server that ends a session says why, and its client knows that as the reason of the end."""
        near, far = client(BOTH), Server()
        session = login(near, far)
        session.events()
        near.events()
        session.close(Ended.REPLACED, "by 192.0.2.1:5")
        self.assertEqual(session.events(), [SessionEnded(Ended.REPLACED, "by 192.0.2.1:5")])
        near.receive(sent(session), 0.0)
        near.end_received(0.0)
        self.assertEqual(near.events(), [SessionEnded(Ended.REPLACED, "by 192.0.2.1:5")])

    def test_not_told(self) -> None:
        """A client that did not agree to be told sees the connection closed."""
        near, far = client(BOTH), Server(extensions=frozenset())
        session = login(near, far)
        session.events()
        session.close(Ended.REPLACED)
        self.assertEqual(sent(session), b"")
        self.assertEqual(session.events(), [SessionEnded(Ended.REPLACED, "")])

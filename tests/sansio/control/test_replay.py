"""ControlRole replay: recorded sessions of frp's programs, with one of the two replaced by relaykit.

One direction of a recording is fed to our role, which decides as the recorded one did and is given the
same chance.  What it then sends is compared with the other direction: byte by byte in version 1,
message by message in version 2, where frp cuts its records differently.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import TokenProver, TokenVerifier
from relaykit.sansio.control.channel import client_channel, server_channel
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.events import (
    LoggedIn,
    LoginRefused,
    MessageReceived,
    PeerPinged,
    ProxyRefused,
    ProxyRegistered,
    ProxyWithdrawn,
    RegistrationRequested,
    SessionEnded,
    WorkRequested,
)
from relaykit.sansio.control.extensions import Agreement
from relaykit.sansio.control.server_control import ServerControl
from relaykit.sansio.control.server_opening import FirstMessage
from relaykit.sansio.control.session import ControlState, Heartbeat
from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleReport, NatHoleResp, NatHoleVisitor
from relaykit.sansio.wire.framing import MAGIC, V1, V2, HelloFrame
from relaykit.sansio.wire.hello import Bootstrap
from relaykit.sansio.wire.messages import CORE_MESSAGES, Login, Message
from relaykit.values import Ended, Secret
from tests import recorded
from tests.recorded import Conversation
from tests.sansio.control.ends import ServerEnd, TokenClient, TokenServer, sent, settings

NAT_HOLES = {each.__name__: each for each in (NatHoleClient, NatHoleReport, NatHoleResp, NatHoleVisitor)}
MESSAGES = CORE_MESSAGES.extended(*NAT_HOLES.values())
SCOPES = {"HeartBeats": Scope.HEARTBEATS, "NewWorkConns": Scope.WORK_CONNECTIONS}


def sessions(role: str) -> Iterator[Conversation]:
    """Recorded control connections of which frp's own program played this role (``server``, ``client``)."""
    for conversation in recorded.conversations():
        header = conversation.recording.header
        if conversation.kind != "control" or conversation.recording.name == "v2-hello-errors":
            continue
        via = {each["via"]: each for each in header["clients"]}
        played = header["server"] if role == "server" else via[conversation.connection.via]
        if played["impl"].startswith("frp"):
            yield conversation


def config(conversation: Conversation, role: str) -> str:
    """The configuration text of one of the two."""
    header = conversation.recording.header
    via = {each["via"]: each for each in header["clients"]}
    return str((header["server"] if role == "server" else via[conversation.connection.via])["config"])


def chance(conversation: Conversation, direction: str, random: bytes) -> Callable[[int], bytes]:
    """The chance that the recorded end had."""
    crypto = conversation.expect.get("crypto", {})
    start = crypto.get(f"{direction}_iv") or crypto.get(f"{direction}_nonce") or "00" * 16

    def entropy(length: int) -> bytes:
        return random if length == 32 else bytes.fromhex(start)[:length]

    return entropy


def hello_random(messages: list[Any], key: str) -> bytes:
    """The 32 bytes of chance of a recorded hello; zeros where there is none."""
    name, fields = messages[0]
    if not name.endswith("Hello"):
        return bytes(32)
    part = fields["selected"] if name == "ServerHello" else fields["capabilities"]
    return b64decode(part["crypto"][key])


def said(data: bytes, agreed: Agreement | None, token: Secret, by_client: bool) -> list[tuple[str, Any]]:
    """What bytes of version 2 say, decrypted, without hellos."""
    decoder = V2.make_decoder(MESSAGES)
    decoder.receive(data.removeprefix(MAGIC))
    found: list[tuple[str, Any]] = []
    while (message := decoder.next_message()) is not None:
        if isinstance(message, Message):
            found.append((type(message).__name__, json.loads(message.to_json())))
            break
    if agreed is not None:
        make = server_channel if by_client else client_channel
        pieces = make(token, agreed, bytes).inbound.process(decoder.unread())
        for piece in pieces:
            decoder.receive(piece)
    while isinstance(message := decoder.next_message(), Message):
        found.append((type(message).__name__, json.loads(message.to_json())))
    return found


class ServerReplayTests(SynchronousTestCase):
    """Our server in the place of frp's."""

    def test_replay(self) -> None:
        """Every recorded client is served with the answers that frp's server gave."""
        count = 0
        for conversation in sessions("server"):
            with self.subTest(conversation=str(conversation)):
                self.replay(conversation)
            count += 1
        self.assertGreater(count, 50)

    def replay(self, conversation: Conversation) -> None:
        """Serves one recorded client."""
        expected = conversation.expect["s2c"]
        token = Secret(conversation.recording.token.decode())
        entropy = chance(conversation, "s2c", hello_random(expected, "serverRandom"))
        server_config = config(conversation, "server")
        scopes = [scope for name, scope in SCOPES.items() if name in server_config]

        def make(first: FirstMessage) -> ServerControl:
            chosen = settings(token=token, entropy=entropy)
            server = TokenServer(TokenVerifier(token, scopes), first, chosen, "0.70.1", 0.0)
            server.understand(NAT_HOLES.values())
            return server

        end = ServerEnd(make)
        end.opening._entropy = entropy
        rest = iter(conversation.c2s[place : place + 1] for place in range(len(conversation.c2s)))
        while end.session is None:
            end.receive(next(rest), 0.0)
        output = sent(end.opening)
        for name, fields in expected:
            if name == "Pong":
                while not end.session._out:
                    end.receive(next(rest), 0.0)
            else:
                self.act(end.session, name, fields)
            output += sent(end.session)
        for byte in rest:
            end.receive(byte, 0.0)
        self.assertEqual(sent(end.session), b"")
        if conversation.wire == 1:
            self.assertEqual(output, conversation.s2c)
        else:
            answers = [(name, fields) for name, fields in expected if name != "ServerHello"]
            self.assertEqual(said(output, end.session._hello, token, by_client=False), answers)
        self.check_events(conversation, list(end.events()), expected)

    def act(self, session: ServerControl, name: str, fields: dict[str, Any]) -> None:
        """Does what frp's server was recorded to do."""
        if name == "LoginResp" and session.state is ControlState.LOGGING_IN:
            if "error" in fields:
                session.refuse(fields["error"])
            else:
                session.accept(fields["run_id"], 0.0)
        elif name == "ReqWorkConn":
            session.request_work()
        elif name == "NewProxyResp" and "error" in fields:
            session.refuse_proxy(fields["proxy_name"], fields["error"])
        elif name == "NewProxyResp":
            session.registered(fields["proxy_name"], fields.get("remote_addr", ""))
        elif name in NAT_HOLES:
            session.send(made(name, fields))

    def check_events(self, conversation: Conversation, events: list[Any], answers: list[Any]) -> None:
        """Compares what the session told with what the client was recorded to say."""
        refused_pings = sum(name == "Pong" and "error" in fields for name, fields in answers)
        told: list[Any] = []
        for name, fields in conversation.expect["c2s"]:
            if name == "NewProxy":
                options = {key: fields[key] for key in fields if key not in ("proxy_name", "proxy_type")}
                told.append(RegistrationRequested(fields["proxy_name"], fields["proxy_type"], options))
            elif name == "CloseProxy":
                told.append(ProxyWithdrawn(fields["proxy_name"]))
            elif name == "Ping" and refused_pings:
                refused_pings -= 1
            elif name == "Ping":
                told.append(PeerPinged())
            elif name in NAT_HOLES:
                told.append(MessageReceived(made(name, fields)))
        following = [event for event in events if not isinstance(event, SessionEnded)]
        if following and type(following[0]).__name__ == "LoginReceived":
            following.pop(0)
        self.assertEqual(following, told)


class ClientReplayTests(SynchronousTestCase):
    """Our client in the place of frp's."""

    def test_replay(self) -> None:
        """To every recorded server is said what frp's client said."""
        count = 0
        for conversation in sessions("client"):
            with self.subTest(conversation=str(conversation)):
                self.replay(conversation)
            count += 1
        self.assertGreater(count, 50)

    def replay(self, conversation: Conversation) -> None:
        """Speaks to one recorded server."""
        messages = conversation.expect["c2s"]
        header = conversation.recording.header
        token = Secret(header.get("clientToken", header["token"]))
        core = self.make(conversation, token)
        core.understand(NAT_HOLES.values())
        output = sent(core)
        self.assertTrue(conversation.c2s.startswith(output))
        rest = iter(conversation.s2c[place : place + 1] for place in range(len(conversation.s2c)))
        while core.state in (ControlState.LOGIN_AHEAD, ControlState.LOGGING_IN):
            core.receive(next(rest), 0.0)
        now = 0.0
        for name, fields in messages:
            if name == "Ping":
                now += 1.0
                core.wake(now)
            else:
                self.act(core, name, fields)
            output += sent(core)
        for byte in rest:
            core.receive(byte, now)
        if conversation.wire == 1:
            self.assertEqual(output, conversation.c2s)
        else:
            expected = [(name, fields) for name, fields in messages if name != "ClientHello"]
            self.assertEqual(said(output, core._agreed, token, by_client=True), expected)
        self.check_events(conversation, list(core.events()))

    def make(self, conversation: Conversation, token: Secret) -> ClientControl:
        """A client with the login, the clock and the chance of the recorded one."""
        messages = conversation.expect["c2s"]
        (login,) = [fields for name, fields in messages if name == "Login"]
        proven = iter([fields["timestamp"] for _, fields in messages if "timestamp" in fields])
        pings = [fields for name, fields in messages if name == "Ping"]
        scopes = [Scope.HEARTBEATS] if any(pings) else []
        plain = {key: value for key, value in login.items() if key not in ("privilege_key", "timestamp")}
        message = Login.from_json(json.dumps(plain).encode())
        assert message is not None
        bootstrap = messages[0][1].get("bootstrap", {})
        chosen = settings(
            token=token,
            entropy=chance(conversation, "c2s", hello_random(messages, "clientRandom")),
            heartbeat=Heartbeat(interval_s=1.0) if pings else Heartbeat(),
        )
        return TokenClient(
            TokenProver(token, lambda: next(proven), scopes),
            message,
            V1 if conversation.wire == 1 else V2,
            chosen,
            0.0,
            bootstrap=Bootstrap(
                transport=bootstrap.get("transport", ""),
                tls=bootstrap.get("tls", False),
                tcp_mux=bootstrap.get("tcpMux", False),
            ),
            extensions=frozenset(),
        )

    def act(self, core: ClientControl, name: str, fields: dict[str, Any]) -> None:
        """Does what frp's client was recorded to do."""
        if name == "NewProxy":
            options = {key: fields[key] for key in fields if key not in ("proxy_name", "proxy_type")}
            core.register(fields["proxy_name"], fields["proxy_type"], options)
        elif name == "CloseProxy":
            core.withdraw(fields["proxy_name"])
        elif name in NAT_HOLES:
            core.send(made(name, fields))

    def check_events(self, conversation: Conversation, events: list[Any]) -> None:
        """Compares what the session told with what the server was recorded to say."""
        told: list[Any] = []
        for name, fields in conversation.expect["s2c"]:
            error = fields.get("error", "")
            if name == "LoginResp" and error:
                told += [LoginRefused(error), SessionEnded(Ended.REFUSED, error)]
            elif name == "LoginResp":
                told.append(LoggedIn(fields["run_id"], fields["version"]))
            elif name == "ReqWorkConn":
                told.append(WorkRequested())
            elif name == "NewProxyResp" and error:
                told.append(ProxyRefused(fields["proxy_name"], error))
            elif name == "NewProxyResp":
                told.append(ProxyRegistered(fields["proxy_name"], fields.get("remote_addr", "")))
            elif name == "Pong" and error:
                told.append(SessionEnded(Ended.REFUSED, error))
            elif name in NAT_HOLES:
                told.append(MessageReceived(made(name, fields)))
        self.assertEqual(events, told)


def made(name: str, fields: dict[str, Any]) -> Message:
    """A recorded message of a proxy type."""
    message = NAT_HOLES[name].from_json(json.dumps(fields).encode())
    assert message is not None
    return message


class HelloTests(SynchronousTestCase):
    """What the replays take for granted."""

    def test_hellos_are_recorded_first(self) -> None:
        """Each recorded session of version 2 begins with both hellos."""
        for conversation in sessions("server"):
            if conversation.wire == 2:
                decoder = V2.make_decoder(MESSAGES)
                decoder.receive(conversation.s2c)
                self.assertIsInstance(decoder.next_message(), HelloFrame)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.control.extensions import EXTENSIONS, ExtensionOffer
from relaykit.sansio.control.server_opening import (
    OPENING_TIMEOUT_S,
    FirstMessage,
    OpeningEnded,
    ServerOpening,
    StrangeProtocol,
    accept_visit,
    assign_work,
    refuse_visit,
    refuse_work,
)
from relaykit.sansio.lanes.messages import UDPPacket
from relaykit.sansio.parsers.first_bytes import Spoken
from relaykit.sansio.wire.framing import (
    MAGIC,
    V1,
    V2,
    Framing,
    HelloFrame,
    V2Decoder,
    encode_hello,
    encode_v1,
    encode_v2,
)
from relaykit.sansio.wire.hello import Bootstrap
from relaykit.sansio.wire.messages import (
    Login,
    LoginResp,
    Message,
    NewVisitorConn,
    NewWorkConn,
    Ping,
)
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import Address, Ended, Origin
from tests import recorded
from tests.sansio.control.ends import VERSION, fixed

FIRST_MESSAGES: Sequence[Message] = (
    Login(version="0.70.1", user="ann", pool_count=2),
    NewWorkConn(run_id="0123456789abcdef"),
    NewVisitorConn(run_id="0123456789abcdef", proxy_name="ssh", timestamp=1),
)
HELLO = encode_hello(ExtensionOffer(Bootstrap(transport="tcp"), bytes(32)).frame)


def opening() -> ServerOpening:
    """A connection that was accepted at time 0."""
    return ServerOpening(0.0, VERSION, fixed(0x20))


def outcome(portions: Sequence[bytes]) -> Any:
    """Everything that can be seen of an opening that is fed these portions."""
    core = opening()
    error = ""
    try:
        for portion in portions:
            core.receive(portion, 0.0)
    except RemoteProtocolError as raised:
        error = f"{type(raised).__name__}: {raised}"
    events = core.events()
    answer = b"".join(bytes(piece) for piece in core.to_send(0.0))
    return events, core.unread() if events else b"", answer, error, core.next_wakeup()


class FirstMessageTests(SynchronousTestCase):
    """A connection is known by its first message, however it is cut, and nothing behind it is touched."""

    def check(self, data: bytes, trailing: bytes, expected: FirstMessage) -> None:
        """Feeds an opening, with bytes behind it, in every cut."""
        events, unread, answer, error, wakeup = feed_every_cut(data + trailing, outcome)
        self.assertEqual(events, [expected])
        self.assertEqual((unread, answer, error, wakeup), (trailing, b"", "", None))

    def test_version_1(self) -> None:
        """All three first messages are understood in version 1."""
        for message in FIRST_MESSAGES:
            self.check(encode_v1(message), b"payload", FirstMessage(message, V1))  # type: ignore[arg-type]

    def test_version_2(self) -> None:
        """Work connections and visits are understood in version 2, without a hello."""
        for message in FIRST_MESSAGES[1:]:
            data = MAGIC + encode_v2(message)
            self.check(data, b"\x00\x10payload", FirstMessage(message, V2))  # type: ignore[arg-type]

    def test_version_2_with_hello(self) -> None:
        """After a hello every first message is understood, and the hello is answered with it."""
        for message in FIRST_MESSAGES:
            events, unread, answer, error, _ = feed_every_cut(
                MAGIC + HELLO + encode_v2(message) + b"more", outcome
            )
            (event,) = events
            self.assertEqual((event.message, event.framing), (message, V2))
            self.assertEqual(event.hello.extensions, EXTENSIONS)
            self.assertEqual((unread, answer, error), (b"more", b"", ""))
            decoder = V2Decoder()
            decoder.receive(event.unsent)
            frame = decoder.next_message()
            assert isinstance(frame, HelloFrame)
            self.assertEqual(frame.sender, "server")

    def test_hello_is_answered_at_once(self) -> None:
        """The answer to a hello does not wait for the login, because a client may wait for it."""
        core = opening()
        core.receive(MAGIC + HELLO, 0.0)
        answer = b"".join(core.to_send(0.0))
        self.assertTrue(answer.startswith(b"\x00\x02\x00\x00"))
        core.receive(encode_v2(FIRST_MESSAGES[0]), 0.0)
        (event,) = core.events()
        assert isinstance(event, FirstMessage)
        self.assertEqual(event.unsent, b"")


class RefusedOpeningTests(SynchronousTestCase):
    """What breaks the rules is refused, with an answer where the protocol has one."""

    def refused(self, data: bytes) -> tuple[bytes, str]:
        """The answer and the error, the same for every cut."""
        events, _, answer, error, _ = feed_every_cut(data, outcome)
        self.assertEqual(events, [])
        self.assertNotEqual(error, "")
        return answer, error

    def test_strangers(self) -> None:
        """Other protocols are named."""
        for data, spoken in (
            (b"GET / HTTP/1.1\r\n", Spoken.HTTP),
            (b"SSH-2.0-x\r\n", Spoken.SSH),
            (b"\x00\x01\x00\x01\x00\x00\x00\x01\x00\x5c\x00\x00", Spoken.MUX),
            (b"\x16\x03\x01", Spoken.UNKNOWN),
        ):
            error = self.assertRaises(StrangeProtocol, opening().receive, data, 0.0)
            self.assertIs(error.spoken, spoken)
            self.assertEqual(self.refused(data)[0], b"")

    def test_login_without_hello(self) -> None:
        """A login in version 2 needs a hello, and its sender is told so."""
        answer, _ = self.refused(MAGIC + encode_v2(FIRST_MESSAGES[0]))
        expected = LoginResp(version=VERSION, error="missing v2 crypto negotiation")
        self.assertEqual(answer, encode_v2(expected))

    def test_second_hello(self) -> None:
        """A second hello ends the connection after the answer to the first."""
        answer, _ = self.refused(MAGIC + HELLO + HELLO)
        self.assertTrue(answer.startswith(b"\x00\x02"))

    def test_hello_of_a_server(self) -> None:
        """A server's hello is not a client's."""
        self.assertEqual(self.refused(MAGIC + encode_hello(HelloFrame("server", b"{}")))[0], b"")

    def test_other_messages(self) -> None:
        """No other message begins a connection, in either version, nor is one skipped."""
        for message in (Ping(), UDPPacket()):
            self.refused(MAGIC + encode_v2(message))
            self.refused(encode_v1(message))

    def test_null(self) -> None:
        """A message that is null begins no connection in version 1."""
        self.refused(b"o\x00\x00\x00\x00\x00\x00\x00\x04null")

    def test_too_long(self) -> None:
        """A length beyond the limit is refused from the header on."""
        self.refused(b"o\x00\x00\x00\x00\x00\x00\x28\x01")
        self.refused(MAGIC + b"\x00\x10\x00\x00\x00\x01\x00\x01")

    @given(st.sampled_from([b"", b"o\x00", b"w\x00", MAGIC, MAGIC + HELLO]), st.binary(max_size=64))
    def test_junk(self, start: bytes, junk: bytes) -> None:
        """Any bytes lead to a first message, to our error, or to waiting; never to another error."""
        core = opening()
        try:
            core.receive(start + junk, 0.0)
        except RemoteProtocolError:
            self.assertEqual(core.events(), [])
        else:
            self.assertEqual(bool(core.events()), core.done)


class EndedOpeningTests(SynchronousTestCase):
    """A connection that says nothing is not kept."""

    def test_silence(self) -> None:
        """Ten seconds after it was accepted a connection without a first message ends."""
        core = opening()
        core.receive(b"o\x00", 9.0)
        self.assertEqual(core.next_wakeup(), OPENING_TIMEOUT_S)
        core.wake(OPENING_TIMEOUT_S - 0.1)
        self.assertEqual(core.events(), [])
        core.wake(OPENING_TIMEOUT_S)
        self.assertEqual(core.events(), [OpeningEnded(Ended.TIMEOUT)])
        self.assertIsNone(core.next_wakeup())

    def test_closed(self) -> None:
        """A peer that closes early ends the opening, once."""
        core = opening()
        core.end_received(1.0)
        core.wake(100.0)
        self.assertEqual(core.events(), [OpeningEnded(Ended.FINISHED)])

    def test_closed_after_the_first_message(self) -> None:
        """Once the first message is there, neither time nor the end is the opening's concern."""
        core = opening()
        core.receive(encode_v1(FIRST_MESSAGES[1]), 0.0)
        core.end_received(1.0)
        core.wake(100.0)
        self.assertEqual([type(event) for event in core.events()], [FirstMessage])

    def test_bytes_before_it_is_handed_on(self) -> None:
        """What arrives between the first message and handing on is not lost."""
        core = opening()
        core.receive(encode_v1(FIRST_MESSAGES[1]) + b"one ", 0.0)
        core.receive(b"two", 0.0)
        self.assertEqual(core.unread(), b"one two")


class AnswerTests(SynchronousTestCase):
    """Work connections and visits are answered in the version that they began with."""

    def test_assign(self) -> None:
        """A work connection is told its proxy, where the user comes from and what it dialed."""
        origin = Origin(Address("203.0.113.9", 40000), Address("192.0.2.1", 6000))
        self.assertEqual(
            assign_work(V1, "ann.ssh", origin),
            b"s\x00\x00\x00\x00\x00\x00\x00\x69"
            b'{"proxy_name":"ann.ssh","src_addr":"203.0.113.9","dst_addr":"192.0.2.1",'
            b'"src_port":40000,"dst_port":6000}',
        )
        self.assertEqual(
            assign_work(V2, "ann.udp", Origin()),
            b'\x00\x10\x00\x00\x00\x00\x00\x1a\x00\x08{"proxy_name":"ann.udp"}',
        )

    def test_refuse(self) -> None:
        """Refusals carry their text."""
        self.assertTrue(refuse_work(V1, "no").endswith(b'{"error":"no"}'))
        self.assertTrue(refuse_visit(V2, "ssh", "no").endswith(b'\x00\x0a{"proxy_name":"ssh","error":"no"}'))

    def test_admit(self) -> None:
        """A visit that is admitted is told its proxy's name."""
        self.assertTrue(accept_visit(V1, "ssh").endswith(b'{"proxy_name":"ssh"}'))


class RecordedOpeningTests(SynchronousTestCase):
    """Openings that frp's server was seen to take or refuse."""

    def test_frpc(self) -> None:
        """Every recorded control, work and visitor connection is understood, with all behind it unread."""
        seen = 0
        for conversation in recorded.conversations():
            if conversation.kind not in ("control", "work", "visitor"):
                continue
            if conversation.recording.name == "v2-hello-errors":
                continue
            events, unread, _, error, _ = outcome([conversation.c2s])
            self.assertEqual(error, "", str(conversation))
            (event,) = events
            expected = [name for name, _ in conversation.expect["c2s"] if name != "ClientHello"]
            self.assertEqual(type(event.message).__name__, expected[0])
            self.assertEqual(event.framing, V1 if conversation.wire == 1 else V2)
            self.assertTrue(conversation.c2s.endswith(unread))
            seen += 1
        self.assertGreater(seen, 100)

    def test_refused_by_frps(self) -> None:
        """What frp's server closes or refuses is refused here with the same answer."""
        for conversation in recorded.load("v2-hello-errors").conversations():
            first = [name for name, _ in conversation.expect["c2s"]]
            _, _, answer, error, _ = outcome([conversation.c2s])
            with self.subTest(conversation=str(conversation)):
                if conversation.kind == "work":
                    self.assertEqual(error, "")
                else:
                    self.assertNotEqual(error, "", first)
                    self.assertEqual(answer, conversation.s2c)

    def test_first_messages_refused_by_frps(self) -> None:
        """Malformed first messages end the connection without an answer, as with frp's server."""
        refused = 0
        for conversation in recorded.load("v1-first-message-errors").conversations():
            if conversation.kind in ("undecodable", "?", "empty") and conversation.c2s:
                events, _, answer, error, _ = outcome([conversation.c2s])
                with self.subTest(conversation=str(conversation)):
                    self.assertEqual((events, answer), ([], b""))
                    self.assertNotEqual(error, "")
                refused += 1
        self.assertGreater(refused, 4)

    def test_answers_of_frps(self) -> None:
        """The answers to recorded work connections and visits are reproduced byte by byte."""
        seen = 0
        for conversation in recorded.conversations():
            if not conversation.recording.header["server"]["impl"].startswith("frps"):
                continue
            framing: Framing = V1 if conversation.wire == 1 else V2
            for name, fields in conversation.expect.get("s2c", ()):
                if name == "StartWorkConn" and "error" in fields:
                    made = refuse_work(framing, fields["error"])
                elif name == "StartWorkConn":
                    made = assign_work(framing, fields["proxy_name"], origin_of(fields))
                elif name == "NewVisitorConnResp" and "error" in fields:
                    made = refuse_visit(framing, fields["proxy_name"], fields["error"])
                elif name == "NewVisitorConnResp":
                    made = accept_visit(framing, fields["proxy_name"])
                else:
                    continue
                self.assertIn(made, conversation.s2c, str(conversation))
                seen += 1
        self.assertGreater(seen, 50)


def origin_of(fields: dict[str, Any]) -> Origin:
    """The origin that a recorded StartWorkConn tells."""

    def address(which: str) -> Address | None:
        host = fields.get(f"{which}_addr")
        return None if host is None else Address(host, fields[f"{which}_port"])

    return Origin(address("src"), address("dst"))

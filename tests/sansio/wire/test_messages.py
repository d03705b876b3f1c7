"""Tests for :mod:`relaykit.sansio.wire.messages`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.lanes.messages import UDPPacket
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES
from relaykit.sansio.wire.extension_messages import Goodbye, Signal
from relaykit.sansio.wire.framing import encode_v1
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import (
    CORE_MESSAGES,
    MOST_NAME,
    ClientSpec,
    Login,
    LoginResp,
    Message,
    MessageTable,
    NewProxy,
    NewProxyResp,
    NewVisitorConn,
    Ping,
    StartWorkConn,
)

LOGIN = (
    b'{"version":"0.70.1","hostname":"h","os":"linux","arch":"amd64",'
    b'"privilege_key":"3d8aac6cc09d79da303be74c311e5808","timestamp":1700000000,"client_spec":{},"pool_count":1}'
)


CONTROL_MESSAGES = CORE_MESSAGES.extended(Signal, Goodbye)
"""What ends of a session say to each other."""


class Mimic(Message, frozen=True):
    """A message that claims the types of another."""

    type_byte = Login.type_byte
    number = 0x7001


class Foreign(Message, frozen=True):
    """A message that a proxy type of somebody else's brings along."""

    type_byte = None
    number = 0x7000

    text: str = ""


class MessageTests(SynchronousTestCase):
    """Bodies of messages."""

    def test_login(self) -> None:
        """Login is written byte by byte as frp writes it, and read again."""
        login = Login(
            version="0.70.1",
            hostname="h",
            os="linux",
            arch="amd64",
            privilege_key="3d8aac6cc09d79da303be74c311e5808",
            timestamp=1700000000,
            pool_count=1,
        )
        self.assertEqual(login.to_json(), LOGIN)
        self.assertEqual(Login.from_json(LOGIN), login)

    def test_client_spec(self) -> None:
        """The kind of client travels even when it is empty, and is read in any spelling."""
        self.assertEqual(Login().to_json(), b'{"client_spec":{}}')
        login = Login.from_json(b'{"Client_Spec":{"Type":"ssh-tunnel","always_auth_pass":true,"new":1}}')
        self.assertEqual(login, Login(client_spec=ClientSpec(type="ssh-tunnel", always_auth_pass=True)))

    def test_ranges(self) -> None:
        """Ports are 0 to 65535, timestamps signed 64-bit."""
        self.assertEqual(StartWorkConn.from_json(b'{"src_port":65535}'), StartWorkConn(src_port=65535))
        self.assertEqual(Ping.from_json(b'{"timestamp":-9223372036854775808}'), Ping(timestamp=-(2**63)))
        for body in (b'{"src_port":65536}', b'{"dst_port":-1}'):
            self.assertRaises(MalformedMessage, StartWorkConn.from_json, body)
        self.assertRaises(MalformedMessage, Ping.from_json, b'{"timestamp":9223372036854775808}')

    def test_null(self) -> None:
        """A body that is ``null`` is no message."""
        for message in (Login, NewProxy):
            self.assertIsNone(message.from_json(b"null"))

    def test_secrets_are_hidden(self) -> None:
        """Keys, metadata and options do not appear in a ``repr``; empty fields neither."""
        hidden: tuple[Message, ...] = (
            Login(user="u", privilege_key="hunter2", metas={"token": "hunter2"}),
            NewVisitorConn(proxy_name="u", sign_key="hunter2"),
            Ping(privilege_key="hunter2"),
            NewProxy(proxy_name="u", options={"sk": "hunter2"}),
            UDPPacket(content=b"hunter2"),
        )
        for message in hidden:
            self.assertNotIn("hunter2", repr(message) + repr(message.__rich_repr__()))
            self.assertIn("<secret>", repr(message))
        self.assertEqual(repr(LoginResp(run_id="ab")), "LoginResp(run_id='ab')")


LONG_TEXTS = {"privilege_key", "sign_key", "error", "text", "remote_addr"}
"""Fields that are no names: what proves something may be long, as may what is told to people."""


class NameTests(SynchronousTestCase):
    """Every field that names something has a bound, in every message."""

    messages = [each for each in CONTROL_MESSAGES.by_number.values() if each is not None]

    def names(self) -> Iterator[tuple[type[Message], str]]:
        """All of them."""
        for message in self.messages:
            for each in structs.fields(message):
                if each.default == "" and each.name not in LONG_TEXTS:
                    yield message, each.name

    def test_bound(self) -> None:
        """One more character than a name may have is malformed."""
        found = list(self.names())
        self.assertGreater(len(found), 20)
        for message, name in found:
            for letter in ("x", "<", "\U0001f600"):
                longest = message.from_json(json.dumps({name: letter * MOST_NAME}).encode())
                self.assertEqual(getattr(longest, name), letter * MOST_NAME)
                body = json.dumps({name: letter * (MOST_NAME + 1)}).encode()
                self.assertRaises(MalformedMessage, message.from_json, body)

    def test_longest_fits(self) -> None:
        """A message whose names are all as long as they may be fits into version 1, but for a login."""
        for message in self.messages:
            names = [name for of, name in self.names() if of is message]
            longest = message(**dict.fromkeys(names, "<" * MOST_NAME))
            if message.type_byte is not None and message is not Login:
                encode_v1(longest)

    def test_proxy_type(self) -> None:
        """So has the type of a proxy."""
        body = json.dumps({"proxy_name": "a", "proxy_type": "x" * (MOST_NAME + 1)}).encode()
        self.assertRaises(MalformedMessage, NewProxy.from_json, body)

    def test_address(self) -> None:
        """An address has nothing in it that speaks to a terminal."""
        for address in ("\x1b[2J", "relay.example:6000\n", "\x9b", "\u202e"):
            body = json.dumps({"proxy_name": "a", "remote_addr": address}).encode()
            self.assertRaises(MalformedMessage, NewProxyResp.from_json, body)
        several = NewProxyResp(proxy_name="a", remote_addr="a.example,https://büro.example:8443")
        self.assertEqual(NewProxyResp.from_json(several.to_json()), several)
        self.assertIsNone(NewProxyResp.from_json(b"null"))


class NewProxyTests(SynchronousTestCase):
    """The one message whose fields nobody lists."""

    def test_options_are_opaque(self) -> None:
        """All fields besides name and type are options, kept in their order."""
        body = (
            b'{"proxy_name":"u.ssh","proxy_type":"tcp","use_encryption":true,"metas":{"a":"1"},'
            b'"remote_port":6000,"relaykit":{"phrase":"\\u003c"}}'
        )
        proxy = NewProxy.from_json(body)
        assert proxy is not None
        self.assertEqual(
            proxy.options,
            {"use_encryption": True, "metas": {"a": "1"}, "remote_port": 6000, "relaykit": {"phrase": "<"}},
        )
        self.assertEqual(proxy.to_json(), body)

    def test_type_that_is_not_told(self) -> None:
        """A proxy without a type is a tcp proxy."""
        for body in (
            b'{"proxy_name":"a"}',
            b'{"proxy_name":"a","proxy_type":""}',
            b'{"PROXY_NAME":"a","proxy_type":null}',
        ):
            self.assertEqual(NewProxy.from_json(body), NewProxy(proxy_name="a", proxy_type="tcp"))

    def test_wrong_types(self) -> None:
        """Name and type must be texts."""
        for body in (b'{"proxy_name":1}', b'{"proxy_type":[]}', b"[]", b"{"):
            self.assertRaises(MalformedMessage, NewProxy.from_json, body)

    def test_options_cannot_rename(self) -> None:
        """Options named like the proxy's own fields do not replace these."""
        proxy = NewProxy(proxy_name="a", proxy_type="udp", options={"proxy_name": "b", "sk": ""})
        self.assertEqual(proxy.to_json(), b'{"proxy_name":"a","proxy_type":"udp","sk":""}')

    @given(
        st.dictionaries(
            st.text().filter(lambda name: name.casefold() not in ("proxy_name", "proxy_type")),
            st.text() | st.integers(-(2**63), 2**63 - 1) | st.lists(st.text()),
        )
    )
    def test_round_trip(self, options: dict[str, object]) -> None:
        """Options arrive as they were sent, with names in lower case."""
        lower = {name.casefold(): value for name, value in options.items()}
        sent = NewProxy(proxy_name="p", proxy_type="t", options=lower)
        self.assertEqual(NewProxy.from_json(sent.to_json()), sent)


class MessageTableTests(SynchronousTestCase):
    """Which messages one end understands."""

    def test_all_of_frp(self) -> None:
        """The core and its extensions have all of frp's messages, each under its two types."""
        table = CORE_MESSAGES.extended(UDPPacket, *NAT_HOLE_MESSAGES)
        self.assertNotIn(None, table.by_number.values())
        names = [table.by_number[number] for number in range(1, 19)]
        self.assertEqual([table.by_type_byte[byte] for byte in b"o1p2cwrsv3h4uinm56"], names)
        self.assertEqual(len(table.by_type_byte), 18)
        self.assertEqual(len(table.by_number), 18)

    def test_foreign_message(self) -> None:
        """A message of one's own extends a table and leaves the table that was extended alone."""
        table = CORE_MESSAGES.extended(Foreign)
        self.assertIs(table.by_number[0x7000], Foreign)
        self.assertNotIn(0x7000, CORE_MESSAGES.by_number)
        self.assertNotIn(None, table.by_type_byte)

    def test_conflicts(self) -> None:
        """Two messages cannot have one type; the same message may be added again."""
        self.assertRaises(ValueError, CORE_MESSAGES.extended, Mimic)
        self.assertEqual(CORE_MESSAGES.extended(Login), CORE_MESSAGES)
        self.assertIs(MessageTable.of([Mimic]).by_number[0x7001], Mimic)

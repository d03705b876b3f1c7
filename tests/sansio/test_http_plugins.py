"""Tests for questions to plugins over HTTP, and their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.server import HTTP_PLUGIN_OPERATIONS
from relaykit.sansio.http_plugins import (
    Answer,
    Place,
    User,
    changed_login,
    changed_proxy,
    question,
    read_answer,
    to_close_proxy,
    to_login,
    to_new_proxy,
    to_new_user_connection,
    to_new_work_connection,
    to_ping,
)
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import Login, NewWorkConn, Ping

_DIRECTORY = Path(__file__).parents[1] / "captures" / "plugins"


def _records(name: str) -> list[dict[str, Any]]:
    lines = (_DIRECTORY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def _bodies() -> Iterator[str]:
    yield from (each["body"] for each in _records("requests") if "body" in each)
    for each in _records("newuserconn"):
        yield from each["bodies"]


def _said_again(operation: str, content: dict[str, Any]) -> bytes:
    if operation == "Login":
        source = content.pop("client_address")
        return question(operation, to_login(msgspec.convert(content, Login), source))
    user = content.pop("user")
    client = User.of(user["user"], user["metas"] or {}, user["run_id"])
    if operation == "Ping":
        return question(operation, to_ping(client, Ping(**content)))
    if operation == "NewWorkConn":
        offered = NewWorkConn(**content, binding=b"ours")
        return question(operation, to_new_work_connection(client, offered))
    name = content.pop("proxy_name")
    if operation == "CloseProxy":
        return question(operation, to_close_proxy(client, name))
    kind = content.pop("proxy_type")
    if operation == "NewUserConn":
        return question(operation, to_new_user_connection(client, name, kind, content["remote_addr"]))
    return question(operation, to_new_proxy(client, name, kind, content))


class QuestionTests(SynchronousTestCase):
    """Questions."""

    def test_recorded(self) -> None:
        """Questions are those of frp, byte for byte."""
        seen = set()
        for body in _bodies():
            recorded = json.loads(body)
            seen.add(recorded["op"])
            self.assertEqual(_said_again(recorded["op"], recorded["content"]), body.encode())
        self.assertEqual(seen, set(HTTP_PLUGIN_OPERATIONS))

    def test_target(self) -> None:
        """The URL is the recorded one; an address without a scheme is asked over HTTP."""
        path = _records("requests")[0]["request"].split()[1]
        place = Place.of("h:1", "/handler")
        self.assertEqual(place.url("Login"), f"http://h:1{path}")
        self.assertEqual((str(place), place.authorization), ("http://h:1", ""))
        place = Place.of("https://[::1]", "/p")
        self.assertEqual(place.url("Ping"), "https://[::1]/p?op=Ping&version=0.1.0")
        self.assertEqual(str(place), "https://[::1]:443")

    def test_password(self) -> None:
        """A user and a password are no part of the URL, and show nowhere."""
        place = Place.of("http://me:s%65same%3A@h", "/hush")
        self.assertEqual(place.authorization, "Basic bWU6c2VzYW1lOg==")
        self.assertEqual((place.host, place.port, place.url("Ping")[:14]), ("h", 80, "http://h/hush?"))
        for shown in (repr(place), str(place)):
            self.assertNotIn("hush", shown)
            self.assertNotIn("me", shown)

    def test_no_place(self) -> None:
        """What no URL begins with is told, without showing it."""
        for addr, path, why in (
            ("", "/p", "no host"),
            ("h:0", "", "no port"),
            ("h:70000", "", "no host:port"),
            ("h:9000", "handler", "no host:port"),
            ("[::1", "", "no host:port"),
            ("h", "/a b", "characters"),
            ("hällo", "", "characters"),
            ("h", "/a\r\nX: y", "characters"),
            ("h", "/#a", '"#"'),
        ):
            self.assertIn(why, str(self.assertRaises(ValueError, Place.of, addr, path)))

    def test_secrets(self) -> None:
        """What clients and plugins say in confidence shows in no representation."""
        shown = repr(User.of("u", {"token": "hush"}, "1")) + repr(Answer(content={"sk": "hush"}))
        self.assertNotIn("hush", shown)


class AnswerTests(SynchronousTestCase):
    """Answers."""

    def test_decisions(self) -> None:
        """A plugin rejects, leaves as it is, or says what is done instead."""
        self.assertEqual(
            read_answer(200, b'{"REJECT":true,"Reject_Reason":"no","x":1}'),
            Answer(reject=True, reject_reason="no"),
        )
        self.assertEqual(
            read_answer(200, b'{"reject":false,"unchange":true,"content":null}'), Answer(unchange=True)
        )
        self.assertEqual(read_answer(200, b'{"content":{"a":[1]}}'), Answer(content={"a": [1]}))

    def test_no_answer(self) -> None:
        """Other statuses, junk, wrong types and what decides nothing are refused."""
        for body in (b"", b"junk", b"[]", b"null", b"{}", b'{"reject":"false"}', b'{"content":null}'):
            self.assertRaises(MalformedMessage, read_answer, 200, body)
        self.assertRaises(MalformedMessage, read_answer, 201, b'{"unchange":true}')

    def test_cut(self) -> None:
        """No part of an answer is one."""
        whole = b'{"reject":false,"unchange":true}'
        for end in range(len(whole)):
            self.assertRaises(MalformedMessage, read_answer, 200, whole[:end])

    @given(st.binary())
    def test_junk(self, body: bytes) -> None:
        """Whatever comes is an answer, or malformed."""
        try:
            read_answer(200, body)
        except MalformedMessage:
            return


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(["user", "metas", "pool_count", "proxy_name", "proxy_type", "remote_port", "x"])


class ChangeTests(SynchronousTestCase):
    """What plugins want to be dealt with."""

    def test_login(self) -> None:
        """What is left out is empty, and what nobody knows is ignored."""
        login = changed_login({"User": "ann", "metas": {"a": "b"}, "pool_count": 2, "client_address": "x"})
        self.assertEqual((login.user, login.metas, login.pool_count), ("ann", {"a": "b"}, 2))
        self.assertEqual(changed_login({}), Login())

    def test_proxy(self) -> None:
        """The fields are those that travel; an absent type is frp's default."""
        content = {"user": {"user": "ann"}, "proxy_name": "web", "Remote_Port": 6001, "sk": None}
        self.assertEqual(changed_proxy(content, "web", "tcp"), {"remote_port": 6001})

    def test_other_proxy(self) -> None:
        """One with another name or type is refused."""
        for content in ({}, {"proxy_name": "other"}, {"proxy_name": "web", "proxy_type": "udp"}):
            self.assertRaises(MalformedMessage, changed_proxy, content, "web", "tcp")

    @given(st.dictionaries(_KEYS | st.text(), _JSON, max_size=4))
    def test_junk(self, content: dict[str, Any]) -> None:
        """Whatever an answer contains is a change, or malformed."""
        for change in (changed_login, lambda junk: changed_proxy(junk, "web", "tcp")):
            try:
                change(content)
            except MalformedMessage:
                continue

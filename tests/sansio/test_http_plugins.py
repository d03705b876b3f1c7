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
    User,
    question,
    read_answer,
    target,
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
        self.assertEqual(target("h:1", "/handler", "Login"), f"http://h:1{path}")
        self.assertEqual(target("https://h", "/p", "Ping"), "https://h/p?op=Ping&version=0.1.0")

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

"""Tests for :mod:`relaykit.administration.own.log`."""

from __future__ import annotations

import json

from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Call
from relaykit.administration.own.log import log_routes
from relaykit.administration.own.openapi import PREFIX
from relaykit.administration.streams import MOST_WAITING
from relaykit.logs.tail import LogTail
from tests.administration.own.asking import OwnApi


def texts(received: bytes) -> list[str]:
    """The texts of the lines that came."""
    lines = [line for line in received.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line.removeprefix(b"data: "))["text"] for line in lines]


class LogTests(SynchronousTestCase):
    """The log of a role, asked for and followed."""

    def setUp(self) -> None:
        self.tail = LogTail(lambda: "debug", Clock())
        self.log = Logger("relaykit.x", observer=self.tail)
        self.api = OwnApi(tuple(log_routes(self.tail)))

    def test_some(self) -> None:
        """The last lines are told, those of a level, those behind a number, so many."""
        for level in ("debug", "info", "warn", "error"):
            getattr(self.log, level)("at {name}", name=level, problem="an-id")
        told = self.api.ask("GET", "/log").json
        self.assertEqual((told["last"], [each["number"] for each in told["items"]]), (4, [1, 2, 3, 4]))
        self.assertEqual(told["items"][2]["level"], "warn")
        self.assertEqual((told["items"][2]["text"], told["items"][2]["problem"]), ("at warn", "an-id"))
        for query, numbers in (
            ("level=warn", [3, 4]),
            ("after=1&limit=2", [3, 4]),
            ("after=9", []),
            ("limit=1", [4]),
            ("limit=0", []),
        ):
            items = self.api.ask("GET", f"/log?{query}").json["items"]
            self.assertEqual([each["number"] for each in items], numbers, query)

    def test_bad(self) -> None:
        """What makes no sense is refused in words."""
        for query, words in (
            ("level=loud", "level must be one of"),
            ("after=-1", "after must be a whole number"),
            ("limit=many", "limit must be"),
            ("limit=99999", "limit must be at most"),
            ("after=" + "9" * 99, "after must be"),
        ):
            answer = self.api.ask("GET", f"/log?{query}")
            self.assertEqual(answer.status, 400, query)
            self.assertIn(words, answer.json["error"])

    def test_stream(self) -> None:
        """Lines come as they are logged, those of a level; those before where they are asked for."""
        self.log.info("before")
        following = self.api.follow("/log/stream?level=info")
        all_of_them = self.api.follow("/log/stream?after=0")
        self.log.debug("small")
        self.log.warn("great")
        self.assertEqual(texts(following.received), ["great"])
        self.assertEqual(texts(all_of_them.received), ["before", "small", "great"])

    def again(self, last_seen: str) -> list[str]:
        """What a browser is told that asks again as it asked first, and says what it had last."""
        received: list[bytes] = []
        call = Call(query={"after": ["0"]}, header={"Last-Event-ID": last_seen}.get)  # type: ignore[arg-type]
        stream = self.api.routes[1].handler(call).stream  # type: ignore[union-attr]
        assert stream is not None
        stream(received.append)()
        return texts(b"".join(received))

    def test_again(self) -> None:
        """Who was cut off goes on behind its last line; in another program, which has fewer, at the first."""
        for text in ("first", "second"):
            self.log.info(text)
        for last_seen, told in (
            ("1", ["second"]),
            ("2", []),
            ("3", ["first", "second"]),
            ("junk", ["first", "second"]),
            ("9" * 99, ["first", "second"]),
        ):
            self.assertEqual(self.again(last_seen), told, last_seen)

    def test_many_before(self) -> None:
        """Lines from before leave room for those that come, so that nobody is dropped for asking."""
        for number in range(MOST_WAITING):
            self.log.info("line {number}", number=number)
        before = self.again("")
        self.assertEqual((len(before), before[-1]), (MOST_WAITING // 2, f"line {MOST_WAITING - 1}"))

    def test_left(self) -> None:
        """Who leaves is told nothing more."""
        following = self.api.follow("/log/stream")
        following.transport.loseConnection()
        self.log.warn("late")
        self.assertEqual(texts(following.received), [])
        self.assertEqual(self.tail._readers, ())

    def test_none(self) -> None:
        """Where nothing is remembered, there is nothing to ask for."""
        self.assertEqual(list(log_routes(None)), [])
        self.assertEqual([each.path for each in self.api.routes], [f"{PREFIX}/log", f"{PREFIX}/log/stream"])

"""Tests for :mod:`relaykit.administration.calls`."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Answer, Call, in_capitals, json_answer, text_answer


class AnswerTests(SynchronousTestCase):
    """Tests for calls and answers."""

    def test_first(self) -> None:
        """The first value of a key counts, and none is an empty one."""
        call = Call(query={"a": ["1", "2"]})
        self.assertEqual((call.first("a"), call.first("b")), ("1", ""))

    def test_json(self) -> None:
        """JSON is one line in which nothing means something in HTML."""
        answer = json_answer({"a": "<b>&"})
        self.assertEqual(answer.body, b'{"a":"\\u003cb\\u003e\\u0026"}\n')
        self.assertEqual(json.loads(answer.body), {"a": "<b>&"})
        self.assertEqual(answer.type, "application/json")

    def test_texts(self) -> None:
        """Failures have frp's forms."""
        self.assertEqual(in_capitals(404, "no").body, b'{"Code":404,"Msg":"no"}\n')
        answer = text_answer(404, "no", {"X": "1"})
        self.assertEqual(
            answer,
            Answer(
                status=404,
                type="text/plain; charset=utf-8",
                body=b"no\n",
                headers={"X-Content-Type-Options": "nosniff", "X": "1"},
            ),
        )

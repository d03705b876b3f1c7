"""Tests for questions to a plugin over HTTP; those over sockets and TLS are integration tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed, NoPluginAnswer
from relaykit.policies.http.asking import ANSWER_TIMEOUT_S, KEPT_S, MOST_ANSWER_BYTES, MOST_AT_ONCE
from tests.policies.http.plugin import Plugin, response


class AskingTests(SynchronousTestCase):
    """Tests for one question, and for many."""

    def setUp(self) -> None:
        self.plugin = Plugin()
        self.asking = self.plugin.asking()

    def ask(self) -> Deferred[tuple[int, bytes]]:
        """Asks something."""
        asked = self.asking.ask("Login", b"{}")
        self.plugin.network.flush()
        return asked

    def why(self, asked: Deferred[tuple[int, bytes]]) -> str:
        """Why there was no answer."""
        return str(self.failureResultOf(asked, NoPluginAnswer).value)

    def test_question(self) -> None:
        """It is a POST as frp's, with what gives access; the answer is a status and a body."""
        asked = self.ask()
        head, _, body = self.plugin.said().partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ") for line in lines)
        self.assertEqual(first, "POST /handler?op=Login&version=0.1.0 HTTP/1.1")
        self.assertEqual(headers["host"], "plugin.example:9000")
        self.assertEqual(headers["content-type"], "application/json")
        self.assertEqual(headers["content-length"], "2")
        self.assertEqual(headers["authorization"], "basic bwu6c2vzyw1l")
        self.assertRegex(headers["x-frp-reqid"], r"\A[0-9a-f]{16}\Z")
        self.assertEqual(body, b"{}")
        self.plugin.answer(response(b"no", 500))
        self.assertEqual(self.successResultOf(asked), (500, b"no"))

    def test_kept(self) -> None:
        """A connection is used again, but not once it was idle for some time."""
        for _ in range(3):
            asked = self.ask()
            self.plugin.answer(response(b"yes"))
            self.assertEqual(self.successResultOf(asked), (200, b"yes"))
        self.assertEqual(len(self.plugin.legs), 1)
        self.plugin.clock.advance(KEPT_S)
        self.plugin.network.flush()
        self.assertTrue(self.plugin.is_left(0))
        self.ask()
        self.assertEqual(len(self.plugin.legs), 2)

    def test_in_pieces(self) -> None:
        """An answer may come byte by byte, and no part of it is one."""
        asked = self.ask()
        for byte in response(b"yes"):
            self.assertNoResult(asked)
            self.plugin.answer(bytes([byte]))
        self.assertEqual(self.successResultOf(asked), (200, b"yes"))

    def test_cut(self) -> None:
        """A connection that ends before the answer is whole gives none, wherever that is."""
        whole = response(b"yes")
        for end in range(len(whole)):
            asked = self.ask()
            self.plugin.answer(whole[:end])
            self.plugin.legs[-1].close()
            self.plugin.network.flush()
            self.assertEqual(self.why(asked), "its answer is cut short, or not what HTTP allows")

    @given(st.binary() | st.binary().map(lambda junk: b"HTTP/1.1 200 OK\r\n" + junk))
    def test_junk(self, junk: bytes) -> None:
        """Whatever comes is an answer, or none, and nothing of it is left."""
        self.setUp()
        asked = self.ask()
        self.plugin.answer(junk)
        self.plugin.legs[-1].close()
        self.plugin.network.flush()
        asked.addErrback(lambda failure: failure.trap(NoPluginAnswer) and None)
        self.successResultOf(asked)
        self.plugin.clock.advance(ANSWER_TIMEOUT_S)
        self.assertEqual(self.plugin.clock.getDelayedCalls(), [])

    def test_not_http(self) -> None:
        """What is no HTTP is no answer."""
        asked = self.ask()
        self.plugin.answer(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.assertIn("not what HTTP allows", self.why(asked))

    def test_down(self) -> None:
        """Where there is no plugin, the reason is that of dialing it."""
        self.plugin.down = ConnectionFailed("127.0.0.1:9 refused the connection")
        self.assertEqual(self.why(self.ask()), "it cannot be asked: 127.0.0.1:9 refused the connection")

    def test_silent(self) -> None:
        """One that says nothing, or too slowly, is not waited for, and its connection is dropped."""
        for said in (b"", response(b"yes")[:-1], response(b"yes")[:5]):
            asked = self.ask()
            self.plugin.clock.advance(ANSWER_TIMEOUT_S - 1)
            self.plugin.answer(said)
            self.assertNoResult(asked)
            self.plugin.clock.advance(1)
            self.assertEqual(self.why(asked), "it did not answer within 4 seconds")
            self.assertTrue(self.plugin.is_left())

    def test_too_large(self) -> None:
        """No more of an answer is read than may be, in its body or in its head."""
        for start in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ):
            asked = self.ask()
            self.plugin.answer(start)
            for _ in range(MOST_ANSWER_BYTES // 1000 + 1):
                self.plugin.answer(b"a: " + b"b" * 995 + b"\r\n")
            self.assertEqual(self.why(asked), f"its answer is longer than {MOST_ANSWER_BYTES} bytes")
            self.assertTrue(self.plugin.is_left())

    def test_without_length(self) -> None:
        """An answer without a length ends with its connection."""
        asked = self.ask()
        self.plugin.answer(b"HTTP/1.1 200 OK\r\n\r\nyes")
        self.assertNoResult(asked)
        self.plugin.legs[-1].close()
        self.plugin.network.flush()
        self.assertEqual(self.successResultOf(asked), (200, b"yes"))

    def test_without_end(self) -> None:
        """One without a length that does not end is cut: nobody can tell that from its end."""
        asked = self.ask()
        self.plugin.answer(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(MOST_ANSWER_BYTES // 1000 + 1):
            self.plugin.answer(b"b" * 1000)
        self.assertTrue(self.plugin.is_left())
        self.assertLess(len(self.successResultOf(asked)[1]), MOST_ANSWER_BYTES)

    def test_each_answer_counts(self) -> None:
        """What may come is counted anew with each question."""
        for _ in range(3):
            asked = self.ask()
            self.plugin.answer(response(b"x" * (MOST_ANSWER_BYTES - 1000)))
            self.assertEqual(self.successResultOf(asked)[0], 200)
        self.assertEqual(len(self.plugin.legs), 1)

    def test_turns(self) -> None:
        """So many are asked at a time; the others wait, with the same deadline."""
        asked = [self.ask() for _ in range(MOST_AT_ONCE + 2)]
        self.assertEqual(len(self.plugin.legs), MOST_AT_ONCE)
        self.plugin.answer(response(b"yes"), connection=0)
        self.assertEqual(self.successResultOf(asked[0]), (200, b"yes"))
        self.assertEqual(self.plugin.said(0).count(b"POST"), 2)
        self.plugin.clock.advance(ANSWER_TIMEOUT_S)
        for each in asked[1:]:
            self.why(each)
        self.plugin.clock.advance(KEPT_S)
        self.assertEqual(self.plugin.clock.getDelayedCalls(), [])

    def test_given_up(self) -> None:
        """Who does not wait any more frees the turn, and drops the connection."""
        asked = [self.ask() for _ in range(MOST_AT_ONCE + 1)]
        for each in asked[:2]:
            each.addErrback(lambda _: None)
            each.cancel()
        self.plugin.network.flush()
        self.assertTrue(self.plugin.is_left(0))
        self.assertEqual(len(self.plugin.legs), MOST_AT_ONCE + 1)

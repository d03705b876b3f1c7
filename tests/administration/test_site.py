"""Tests for :mod:`relaykit.administration.site`."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.guards import FAILURE_S
from relaykit.administration.routes import Route
from relaykit.administration.site import (
    ANSWER_S,
    MOST_BODIES_BYTES,
    MOST_BODY_BYTES,
    MOST_CONNECTIONS,
    MOST_HEAD_BYTES,
    MOST_HEADERS,
    REQUEST_S,
)
from tests.administration.exchanges import KNOWN, OPEN, SECURED, Connection, whole

WRONG = "Basic YWRtaW46eA=="


class SiteTests(SynchronousTestCase):
    """Tests for requests and their answers."""

    def setUp(self) -> None:
        self.calls: list[Call] = []
        self.answer: Deferred[Answer] = Deferred()
        self.site, self.clock = whole(self.routes())

    def routes(self) -> Iterator[Route]:
        """One route of each kind."""

        async def later(call: Call) -> Answer:
            return await self.answer

        yield Route(method="", path="/healthz", handler=lambda call: Answer(), is_open=True)
        yield Route(method="GET", path="/get", handler=self.echo)
        yield Route(method="PUT", path="/put", handler=self.echo)
        yield Route(method="GET", path="/change", handler=self.echo, changes=True)
        yield Route(method="GET", path="/later", handler=later)
        yield Route(method="GET", path="/fails", handler=self.fail_call)
        yield Route(method="GET", path="/breaks", handler=self.break_call)

    def echo(self, call: Call) -> Answer:
        """Answers what was asked."""
        self.calls.append(call)
        return json_answer({"body": call.body.decode("latin-1")})

    def fail_call(self, call: Call) -> Answer:
        """Refuses."""
        raise CallFailed(HTTPStatus.CONFLICT, "there is one <already>")

    def break_call(self, call: Call) -> Answer:
        """Is a defect."""
        raise ZeroDivisionError

    def test_answer(self) -> None:
        """An answer has a date, a length and a type; the connection is kept for the next request."""
        connection = Connection(self.site)
        connection.ask("GET", "/get?a=1")
        connection.ask("GET", "/healthz")
        first, second = connection.answers()
        self.assertEqual((first.status, first.json), (200, {"body": ""}))
        self.assertEqual(set(first.headers), {"Date", "Content-Length", "Content-Type"})
        self.assertEqual((second.status, second.body), (200, b""))
        self.assertEqual(set(second.headers), {"Date", "Content-Length"})
        self.assertFalse(connection.transport.is_lost)

    def test_close(self) -> None:
        """It is closed for who asks for that."""
        connection = Connection(self.site)
        connection.ask("GET", "/get", Connection="close")
        self.assertEqual(connection.answers()[0].headers["Connection"], "close")
        self.assertTrue(connection.transport.is_lost)

    def test_body(self) -> None:
        """A body gets to the handler, with a length or in chunks."""
        connection = Connection(self.site)
        connection.ask("PUT", "/put", b"abc")
        head = b"PUT /put HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.send(head + b"2\r\nde\r\n0\r\n\r\n")
        self.assertEqual([each.json["body"] for each in connection.answers()], ["abc", "de"])

    def test_every_cut(self) -> None:
        """A request that comes in two parts is the same, wherever it is cut."""
        request = b"PUT /put HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc"
        for cut in range(len(request)):
            connection = Connection(self.site)
            connection.send(request[:cut])
            connection.send(request[cut:])
            self.assertEqual([each.json for each in connection.answers()], [{"body": "abc"}], cut)

    def test_large_body(self) -> None:
        """A body that is too large is refused, by its length or once it is, and never gets to a handler."""
        connection = Connection(self.site)
        connection.ask("PUT", "/put", Content_Length=str(MOST_BODY_BYTES + 1), Expect="100-continue")
        self.assertEqual([each.status for each in connection.answers()], [413])
        self.assertTrue(connection.transport.is_lost)
        connection = Connection(self.site)
        connection.ask("PUT", "/put", Transfer_Encoding="chunked")
        chunk = b"%x\r\n%b\r\n" % (1 << 20, bytes(1 << 20))
        for _ in range(MOST_BODY_BYTES // (1 << 20) + 1):
            connection.send(chunk)
        connection.send(b"0\r\n\r\n")
        self.assertEqual([each.status for each in connection.answers()], [413])
        self.assertEqual(self.calls, [])

    def test_large_bodies(self) -> None:
        """All bodies that are under way together are bounded, too, whoever they are of."""
        connections = [Connection(self.site) for _ in range(4)]
        body = bytes(MOST_BODIES_BYTES // 2)
        for each in connections:
            each.ask("PUT", "/put", Content_Length=str(len(body)))
            each.send(body[:-1])
        statuses = [[answer.status for answer in each.answers()] for each in connections]
        self.assertEqual(statuses, [[], [], [413], [413]])
        for each in connections:
            each.send(body[-1:])
        statuses = [[answer.status for answer in each.answers()] for each in connections]
        self.assertEqual(statuses, [[200], [200], [413], [413]])
        connection = Connection(self.site)
        connection.ask("PUT", "/put", body)
        self.assertEqual([answer.status for answer in connection.answers()], [200])

    def test_large_head(self) -> None:
        """So is a head with too many headers, or too many bytes."""
        for head in (
            b"X: 1\r\n" * (MOST_HEADERS + 1),
            b"X: " + bytes([97]) * MOST_HEAD_BYTES + b"\r\n",
            b" a\r\n" * MOST_HEAD_BYTES,
        ):
            connection = Connection(self.site)
            connection.send(b"GET /get HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            connection.send(head + b"\r\n")
            self.assertTrue(connection.transport.is_lost)
        self.assertEqual(self.calls, [])

    def test_slow_request(self) -> None:
        """A request that does not come in time is not waited for, also one that comes in small parts."""
        silent, slow = Connection(self.site), Connection(self.site)
        slow.send(b"GET /get HTTP/1.1\r\n")
        for _ in range(6):
            self.assertFalse(slow.transport.is_lost)
            slow.send(b"X: 1\r\n")
            self.clock.advance(REQUEST_S / 6)
        self.assertTrue(silent.transport.is_aborted and slow.transport.is_aborted)

    def test_idle(self) -> None:
        """An idle connection is closed after the time of a request, from the last answer on."""
        connection = Connection(self.site)
        self.clock.advance(REQUEST_S / 2)
        connection.ask("GET", "/get")
        self.clock.advance(REQUEST_S - 1)
        self.assertFalse(connection.transport.is_lost)
        self.clock.advance(1)
        self.assertTrue(connection.transport.is_aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_later(self) -> None:
        """An answer may come later, but not for ever."""
        for is_late in (False, True):
            self.answer = Deferred()
            connection = Connection(self.site)
            connection.ask("GET", "/later")
            self.clock.advance(ANSWER_S - 1)
            self.assertEqual(connection.received, b"")
            if is_late:
                self.clock.advance(1)
            self.answer.callback(Answer())
            self.assertEqual(connection.transport.is_aborted, is_late)
            self.assertEqual(len(connection.answers()), 1 - is_late)

    def test_not_taken(self) -> None:
        """Who takes no answers gets one: what is asked next waits until there is room, but not for ever."""
        for is_late in (False, True):
            connection = Connection(self.site)
            connection.protocol.pauseProducing()
            for _ in range(3):
                connection.ask("GET", "/get")
            self.clock.advance(ANSWER_S - 1 + is_late)
            self.assertEqual(len(connection.answers()), 1)
            connection.protocol.resumeProducing()
            self.assertEqual(len(connection.answers()), 1 if is_late else 3)
            self.assertEqual(connection.transport.is_aborted, is_late)

    def test_gone(self) -> None:
        """Whoever is gone before the answer hurts nobody."""
        connection = Connection(self.site)
        connection.ask("GET", "/later")
        connection.transport.loseConnection()
        self.answer.callback(Answer())
        self.assertEqual(connection.received, b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failures(self) -> None:
        """What a handler refuses is told in words, and a defect is logged and told without any."""
        connection = Connection(self.site)
        connection.ask("GET", "/fails")
        connection.ask("GET", "/breaks")
        connection.ask("GET", "/get")
        refused, broken, good = connection.answers()
        self.assertEqual(
            (refused.status, refused.json), (409, {"Code": 409, "Msg": "there is one <already>"})
        )
        self.assertEqual((broken.status, broken.json["Code"]), (500, 500))
        self.assertEqual(good.status, 200)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_crowd(self) -> None:
        """Where there are too many connections, whoever has most loses the oldest one."""
        one = Connection(self.site, "192.0.2.9")
        many = [Connection(self.site) for _ in range(MOST_CONNECTIONS)]
        self.assertEqual(
            [each.transport.is_aborted for each in many], [True] + [False] * (MOST_CONNECTIONS - 1)
        )
        self.assertFalse(one.transport.is_lost)

    def test_end(self) -> None:
        """The end of a site is that of its connections."""
        connection = Connection(self.site)
        connection.ask("GET", "/get")
        self.site.end()
        self.assertTrue(connection.transport.is_lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=200), st.binary(max_size=200))
    def test_anything(self, first: bytes, second: bytes) -> None:
        """Whatever is sent gets an answer, or none; nothing is raised, logged or left."""
        for start in (
            b"",
            b"GET ",
            b"GET /get HTTP/1.1\r\n",
            b"PUT /put HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        ):
            connection = Connection(self.site)
            connection.send(start + first)
            connection.send(second)
            connection.transport.loseConnection()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])


class GuardedTests(SynchronousTestCase):
    """Tests for who is let in."""

    def setUp(self) -> None:
        self.calls = 0
        self.site, self.clock = whole(self.routes(), SECURED)

    def routes(self) -> Iterator[Route]:
        """One route of each kind."""

        def counted(call: Call) -> Answer:
            self.calls += 1
            return Answer()

        yield Route(method="", path="/healthz", handler=counted, is_open=True)
        yield Route(method="GET", path="/get", handler=counted)
        yield Route(method="PUT", path="/put", handler=counted)
        yield Route(method="GET", path="/change", handler=counted, changes=True)
        yield Route(method="GET", path="/secret", handler=counted, is_private=True)

    def statuses(self, connection: Connection) -> list[int]:
        """Of the answers that have come."""
        return [each.status for each in connection.answers()]

    def test_password(self) -> None:
        """Who knows it is let in, and others are told what is missing."""
        connection = Connection(self.site)
        connection.ask("GET", "/get", Authorization=KNOWN)
        connection.ask("GET", "/get")
        connection.ask("GET", "/get", Authorization=WRONG)
        self.assertEqual(self.statuses(connection), [200, 401, 401])
        answer = connection.answers()[1]
        self.assertEqual((answer.status, answer.body), (401, b"Unauthorized\n"))
        self.assertEqual(answer.headers["WWW-Authenticate"], 'Basic realm="Restricted"')
        self.assertEqual(self.calls, 1)

    def test_large_guess(self) -> None:
        """A body, however large, shows no sooner whether a password is right."""
        connections = [Connection(self.site) for _ in range(3)]
        for each, password in zip(connections, (WRONG, WRONG, KNOWN), strict=True):
            each.ask("PUT", "/put", bytes(MOST_BODY_BYTES), Authorization=password)
        self.assertEqual([self.statuses(each) for each in connections], [[401], [], []])
        self.clock.advance(2 * FAILURE_S)
        self.assertEqual([self.statuses(each) for each in connections], [[401], [401], [200]])

    def test_open(self) -> None:
        """Nobody is asked for it at ``/healthz``, nor where there is nothing."""
        connection = Connection(self.site)
        for target in ("/healthz", "/nope"):
            connection.ask("GET", target)
        connection.ask("POST", "/get")
        self.assertEqual(self.statuses(connection), [200, 404, 405])

    def test_log(self) -> None:
        """A wrong password is told in the log, with who gave it; one that is missing is not."""
        with capturedLogs() as events:
            connection = Connection(self.site, "192.0.2.7")
            connection.ask("GET", "/get")
            self.clock.advance(1)
            connection.ask("GET", "/get", Authorization=WRONG)
            self.clock.advance(1)
        (event,) = [each for each in events if each["log_namespace"].startswith("relaykit")]
        self.assertEqual(
            formatEvent(event), "the web server was given a wrong user or password from 192.0.2.7"
        )
        self.assertEqual(event["stranger"], "192.0.2.7")
        self.assertNotIn("x", str(event.get("password", "")))

    def test_guessing(self) -> None:
        """Who guesses over many connections learns of no more guesses a second, also not that one is right;
        others wait for nothing.
        """
        guessing = [Connection(self.site) for _ in range(60)]
        for each in guessing:
            each.ask("GET", "/get", Authorization=WRONG)
        right = Connection(self.site)
        right.ask("GET", "/get", Authorization=KNOWN)
        self.clock.advance(1.01)
        self.assertEqual(sum(bool(each.received) for each in guessing), 1 + 5)
        self.assertTrue(guessing[-1].transport.is_aborted and right.transport.is_aborted)
        other = Connection(self.site, "192.0.2.2")
        other.ask("GET", "/get", Authorization=KNOWN)
        self.assertEqual(self.statuses(other), [200])

    def test_turn(self) -> None:
        """After a wrong password the right one waits for a moment, and then is one."""
        connection = Connection(self.site)
        connection.ask("GET", "/get", Authorization=WRONG)
        connection.ask("GET", "/get", Authorization=KNOWN)
        self.assertEqual(self.statuses(connection), [401])
        self.clock.advance(FAILURE_S)
        self.assertEqual(self.statuses(connection), [401, 200])

    def test_foreign_pages(self) -> None:
        """A page of another server may change nothing, whatever the method; programs may."""
        connection = Connection(self.site)
        for method, target in (("PUT", "/put"), ("GET", "/change")):
            cases: tuple[dict[str, Any], ...] = (
                {"Origin": "http://evil.example"},
                {"Sec_Fetch_Site": "cross-site"},
                {"Origin": "http://127.0.0.1", "Sec_Fetch_Site": "same-origin"},
                {},
            )
            for headers in cases:
                connection.ask(method, target, Authorization=KNOWN, **headers)
        connection.ask("GET", "/get", Authorization=KNOWN, Origin="http://evil.example")
        self.assertEqual(self.statuses(connection), [403, 403, 200, 200] * 2 + [200])
        self.assertEqual(self.calls, 5)

    def test_other_names(self) -> None:
        """Without a password, a name that anybody could lead here is refused."""
        site, _ = whole(self.routes(), OPEN)
        connection = Connection(site)
        for target in ("/get", "/healthz"):
            connection.ask("GET", target, Host="evil.example")
        connection.ask("GET", "/get", Host="localhost:7400")
        self.assertEqual(self.statuses(connection), [403, 200, 200])

    def test_private(self) -> None:
        """What has secrets is for nobody where everybody on the machine would have it."""
        connection = Connection(whole(self.routes(), OPEN)[0])
        connection.ask("GET", "/secret")
        self.assertEqual(self.statuses(connection), [403])
        self.assertIn(b"set webServer.password", connection.answers()[0].body)
        connection = Connection(self.site)
        connection.ask("GET", "/secret")
        connection.ask("GET", "/secret", Authorization=KNOWN)
        self.assertEqual(self.statuses(connection), [401, 200])
        self.assertEqual(self.calls, 1)

    def test_no_guard(self) -> None:
        """Where there is no guard, whoever can connect may do everything."""
        site, _ = whole(self.routes(), None)
        connection = Connection(site)
        connection.ask("PUT", "/put", Host="", Origin="http://evil.example")
        self.assertEqual(self.statuses(connection), [200])

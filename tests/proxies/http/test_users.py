"""Tests for :mod:`relaykit.proxies.http.users`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relaykit.proxies.http import users
from relaykit.sansio.control.balancing import REST_S
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS, HttpConnection
from relaykit.sansio.late_wakeup import LATE_WAKEUP_S
from relaykit.testing.memory import CAPACITY_BYTES
from relaykit.testing.relay import Published
from relaykit.values import LOST_LINGER_S, Ended
from tests.proxies.http.scene import GET, OK, POST, End, HttpTestCase

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer

MOST_ASKED = 1000
"""Hundreds of requests within which a user who takes no answers is not read any more."""

MUCH_BYTES = 4 * 1024 * 1024
"""More than all windows and queues between a user and a service hold."""

PUT_MUCH = b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % MUCH_BYTES

MUCH_OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % MUCH_BYTES
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nDate: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
CONNECT = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"


def head(status: bytes) -> bytes:
    """What an answer of ours begins with."""
    return b"HTTP/1.1 " + status + b"\r\n"


class ExchangeTests(HttpTestCase):
    """Tests for requests and their answers."""

    def setUp(self) -> None:
        super().setUp()
        self.published = self.publish()

    def test_keep_alive(self) -> None:
        """Requests of one connection go over one work connection, one after another."""
        user = self.user()
        for _ in range(3):
            self.say(user, GET)
            self.assertIn(b"Host: a.example\r\n", self.service.take())
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)
        self.assertEqual(len(self.served), 1)

    def test_pipelined(self) -> None:
        """A request behind another one waits for its answer; the answers come in order."""
        user = self.user(GET + GET.replace(b"/", b"/second", 1))
        self.assertEqual(self.service.take().count(b"GET "), 1)
        self.say(self.service, OK)
        self.assertTrue(self.service.take().startswith(b"GET /second "))
        self.say(self.service, OK.replace(b"ok", b"OK"))
        self.assertEqual(user.take(), OK + OK.replace(b"ok", b"OK"))
        self.assertEqual(len(self.served), 1)

    def test_who_the_user_is(self) -> None:
        """The service is told where the user comes from, by what and for which host."""
        user = self.user(GET)
        told = self.service.take()
        assert user.leg.host is not None
        self.assertIn(b"X-Forwarded-For: %b\r\n" % user.leg.host.host.encode(), told)
        self.assertIn(b"X-Forwarded-Proto: http\r\n", told)
        self.assertIn(b"X-Forwarded-Host: a.example\r\n", told)

    def test_bodies(self) -> None:
        """Bodies go on as they come, both ways."""
        user = self.user(POST)
        self.assertTrue(self.service.take().endswith(b"\r\n\r\n"))
        for piece in (b"he", b"llo"):
            self.say(user, piece)
            self.assertEqual(self.service.take(), piece)
        self.say(self.service, CHUNKED_OK)
        self.assertEqual(user.take(), CHUNKED_OK)
        for piece in (b"3\r\nabc\r\n", b"0\r\n\r\n"):
            self.say(self.service, piece)
            self.assertEqual(user.take(), piece)

    def test_early_answer(self) -> None:
        """An answer before the end of the request reaches the user at once; nobody else gets the service."""
        user = self.user(POST + b"he")
        self.say(self.service, OK)
        self.assertTrue(user.take().startswith(head(b"200 OK")))
        self.assertTrue(user.heard.ended and self.service.heard.ended)
        self.assertEqual(self.flows, 0)

    def test_counted(self) -> None:
        """What goes over work connections is accounted to the proxy."""
        self.user(GET)
        asked = len(self.service.take())
        self.say(self.service, OK)
        self.service.leg.close()
        self.relay.settle()
        (traffic,) = self.published.flows
        self.assertEqual((traffic.near_to_far, traffic.far_to_near), (asked, len(OK)))


class WorkLegTests(HttpTestCase):
    """Tests for which work connection serves a request."""

    def setUp(self) -> None:
        super().setUp()
        self.published = self.publish()

    def test_of_others(self) -> None:
        """A request is served over a work connection that has served somebody else."""
        for _ in range(3):
            user = self.user(GET)
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)
            user.leg.close()
            self.relay.settle()
        self.assertEqual((len(self.served), self.flows), (1, 1))

    def test_not_repeatable(self) -> None:
        """What may not be sent again goes over a fresh one, which may serve others afterwards."""
        user = self.user(GET)
        self.say(self.service, OK)
        self.say(user, POST + b"hello")
        self.assertEqual(len(self.served), 2)
        self.say(self.service, OK)
        self.say(user, GET)
        self.assertEqual(len(self.served), 2)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK * 3)

    def test_stale(self) -> None:
        """A kept one that turns out to have ended costs a repeatable request nothing."""
        user = self.user(GET)
        self.say(self.service, OK)
        self.say(user, GET)
        self.service.leg.close()
        self.relay.settle()
        self.assertEqual(len(self.served), 2)
        self.assertTrue(self.service.take().startswith(b"GET / "))
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK * 2)

    def test_stale_once(self) -> None:
        """The fresh one that takes its place is the last: the user is told if it ends, too."""
        user = self.user(GET)
        self.say(self.service, OK)
        user.take()
        self.say(user, GET)
        for _ in range(2):
            self.service.leg.close()
            self.relay.settle()
        self.assertEqual(len(self.served), 2)
        self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")))
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_stale_after_a_byte(self) -> None:
        """One that has begun an answer was no stale one: the request is not repeated."""
        user = self.user(GET)
        self.say(self.service, OK)
        user.take()
        self.say(user, GET)
        self.say(self.service, b"H")
        self.service.leg.close()
        self.relay.settle()
        self.assertEqual(len(self.served), 1)
        self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")))

    def test_fresh_ended(self) -> None:
        """What is not repeatable is asked once, and answered if nobody answers."""
        user = self.user(POST + b"hello")
        self.service.leg.close()
        self.relay.settle()
        self.assertEqual(len(self.served), 1)
        self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")))

    def test_not_kept(self) -> None:
        """One whose answer ends with it, or says so, serves nobody else."""
        for said in (
            OK.replace(b"Date: x", b"Connection: close"),
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            OK + b"more",
        ):
            self.user(GET)
            self.say(self.service, said)
            self.assertEqual(self.flows, 0, said)
            self.assertTrue(self.service.heard.ended)

    def test_cut(self) -> None:
        """One whose answer is refused, or is late, is reset: its service may go on sending for ever."""
        for said in (b"NONSENSE\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: "):
            user = self.user(GET)
            self.say(self.service, said)
            self.relay.advance(DEFAULT_TIMEOUTS.response_s)
            self.assertTrue(user.take().startswith(b"HTTP/1.1 50"))
            self.relay.advance(LOST_LINGER_S)
            self.assertIs(self.service.heard.lost, Ended.RESET)

    def test_withdrawn(self) -> None:
        """With the proxy its kept work connections go."""
        user = self.user(GET)
        self.say(self.service, OK)
        self.published.withdraw()
        self.assertTrue(self.service.heard.ended)
        self.assertEqual(self.flows, 0)
        user.take()
        self.say(user, GET)
        self.assertTrue(user.take().startswith(head(b"404 Not Found")))


class NobodyThereTests(HttpTestCase):
    """Tests for requests that nobody serves."""

    def test_no_service(self) -> None:
        """A service that is not there is told to the user, whose connection stays."""
        self.publish(serves=False)
        user = self.user()
        for request in (GET, POST + b"hello"):
            self.say(user, request)
            self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")), request)
        self.assertFalse(user.heard.ended)

    def stalled(self) -> Published:
        """A site whose client has opened all work connections that it ever will."""
        published = self.publish()
        for connection in published.connections:
            connection.stall()
        self.user(GET)
        return published

    def test_no_client(self) -> None:
        """A client that opens no work connection in time is told to the user."""
        self.stalled()
        user = self.user(GET)
        self.relay.advance(9.0)
        self.assertEqual((user.take(), self.flows), (b"", 2))
        self.relay.advance(1.0)
        self.assertTrue(user.take().startswith(head(b"504 Gateway Timeout")))
        self.assertEqual((user.heard.ended, self.flows), (False, 1))

    def test_client_lost(self) -> None:
        """So is one that is lost meanwhile, and that at once."""
        published = self.stalled()
        user = self.user(GET)
        for connection in published.connections:
            connection.stall(False)
            connection.cut()
        self.relay.settle()
        self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")))

    def test_user_gone_meanwhile(self) -> None:
        """Nobody waits for a work connection whose user is gone; one that ended its side waits on."""
        published = self.stalled()
        gone, ended = self.user(GET), self.user(GET)
        self.assertEqual(self.flows, 3)
        gone.leg.abort()
        ended.leg.finish_writing()
        self.relay.settle()
        self.assertEqual(self.flows, 2)
        for connection in published.connections:
            connection.stall(False)
        self.relay.advance(1.0)
        for _, service in self.served:
            self.say(service, OK)
        self.assertTrue(ended.take().endswith(b"ok"))
        self.assertTrue(ended.heard.ended)


class FlowControlTests(HttpTestCase):
    """Tests for users and services that take nothing for a while."""

    def setUp(self) -> None:
        super().setUp()
        self.publish()

    def held_back(self, source: End, piece: bytes = bytes(CAPACITY_BYTES)) -> int:
        """Has somebody send pieces until nobody takes more; how many it sent."""
        for count in range(1, MUCH_BYTES // len(piece)):
            self.say(source, piece)
            if source.leg.queued:
                return count
        raise AssertionError("there is no end of what is taken")

    def test_slow_user(self) -> None:
        """A user who does not read stops the service; nothing is lost, and the connection goes on."""
        user = self.user(GET)
        user.leg.pauseProducing()
        self.say(self.service, CHUNKED_OK)
        piece = b"%x\r\n%b\r\n" % (CAPACITY_BYTES, bytes(CAPACITY_BYTES))
        count = self.held_back(self.service, piece)
        user.leg.resumeProducing()
        self.say(self.service, b"0\r\n\r\n")
        self.assertEqual(user.take().count(b"\0"), count * CAPACITY_BYTES)
        for _ in range(2):
            self.say(user, GET)
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)

    def test_slow_service(self) -> None:
        """A service that does not read stops the user; nothing is lost, and the connection goes on."""
        user = self.user(PUT_MUCH)
        self.service.take()
        self.service.leg.pauseProducing()
        count = self.held_back(user)
        self.service.leg.resumeProducing()
        self.say(user, bytes(MUCH_BYTES - count * CAPACITY_BYTES))
        self.assertEqual(len(self.service.take()), MUCH_BYTES)
        self.say(self.service, OK)
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK * 2)

    def test_pipelining_without_end(self) -> None:
        """A user who sends requests without waiting for answers is read no further than a bound."""
        user = self.user()
        self.held_back(user, GET * 100)
        for _ in range(3):
            self.say(self.service, OK)
        self.assertEqual(user.take(), OK * 3)

    def test_answers_not_taken(self) -> None:
        """Who asks on and takes no answers is not served any more, but for what is under way."""
        user = self.user()
        user.leg.pauseProducing()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + bytes(4096)
        asked = 0
        for _ in range(MUCH_BYTES // len(answer)):
            self.say(user, GET)
            if not self.service.take():
                break
            asked += 1
            self.say(self.service, answer)
        self.assertLess(asked * len(answer), MUCH_BYTES // 4)

    def test_next_over_a_fresh_one(self) -> None:
        """Who has not taken one answer holds back the next, also where another work connection gives it."""
        user = self.user(GET + POST + b"hello")
        user.leg.pauseProducing()
        much = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % CAPACITY_BYTES + bytes(CAPACITY_BYTES)
        self.say(self.service, much)
        self.assertTrue(self.service.take().endswith(b"hello"))
        self.assertEqual(len(self.served), 2)
        self.say(self.service, CHUNKED_OK)
        piece = b"%x\r\n%b\r\n" % (CAPACITY_BYTES, bytes(CAPACITY_BYTES))
        count = self.held_back(self.service, piece)
        user.leg.resumeProducing()
        self.relay.settle()
        self.assertEqual(user.take().count(b"\0"), (count + 1) * CAPACITY_BYTES)

    def test_slow_tunnel(self) -> None:
        """In a tunnel, too, who reads slowly slows the other side down, in both directions."""
        user = self.user(UPGRADE)
        self.say(self.service, SWITCHED)
        user.take()
        self.service.take()
        for source, sink in ((user, self.service), (self.service, user)):
            sink.leg.pauseProducing()
            count = self.held_back(source)
            sink.leg.resumeProducing()
            self.relay.settle()
            self.assertEqual(len(sink.take()), count * CAPACITY_BYTES)


class SharedWorkTests(HttpTestCase):
    """Work connections that serve one user after another."""

    def test_taken_back(self) -> None:
        """A user gets its answer, also over a work connection that served it and somebody else since."""
        self.publish()
        users = self.user(), self.user()
        for user in (*users, users[0], users[1], users[0]):
            self.say(user, GET)
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)


class FullTests(HttpTestCase):
    """Users and services that take no more for now."""

    def test_answers_of_ours(self) -> None:
        """Who asks on and takes no answers, be they the server's own, is not read any more."""
        self.publish("b.example")
        user = self.user(GET)
        user.leg.pauseProducing()
        asked = 0
        while not user.leg.queued:
            asked += 1
            self.assertLess(asked, MOST_ASKED)
            self.say(user, GET * 100)
        left = user.leg.queued
        user.leg.resumeProducing()
        self.relay.settle()
        self.assertEqual(user.take().count(b"HTTP/1.1 404 "), 1 + 100 * asked)
        self.assertGreater(left, 0)
        self.assertEqual(user.leg.queued, 0)

    def test_next_answer(self) -> None:
        """Nor is the next answer read from a service while its user has not taken the one before."""
        self.publish()
        much = bytes(CAPACITY_BYTES)
        answer = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n%b"
        user = self.user(GET + GET)
        user.leg.pauseProducing()
        self.say(self.service, answer % (len(much), much))
        self.assertEqual(self.service.take().count(b"GET / "), 2)
        self.service.leg.write(answer % (100 * len(much), b""))
        for _ in range(100):
            self.say(self.service, much)
        self.assertGreater(self.service.leg.queued, 0)
        user.leg.resumeProducing()
        self.relay.settle()
        self.assertEqual(user.take(), answer % (len(much), much) + answer % (100 * len(much), 100 * much))

    def test_answered_before_taken(self) -> None:
        """A service that answers before it takes the body keeps its user from nothing afterwards."""
        self.publish()
        user = self.user()
        body = bytes(MUCH_BYTES)
        self.say(user, b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % len(body))
        self.service.leg.pauseProducing()
        self.say(user, body)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)
        self.say(user, GET)
        self.service.leg.resumeProducing()
        self.relay.settle()
        self.assertIn(b"GET / ", self.service.take())
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)


class LargePageTests(HttpTestCase):
    """A page for unknown hosts that is much larger than what asks for it."""

    def setUp(self) -> None:
        super().setUp()
        page = Path(self.mktemp())
        page.write_bytes(bytes(CAPACITY_BYTES))
        self.keys = {"custom_404_page": str(page)}
        self.publish("b.example")

    def test_not_taken(self) -> None:
        """Who asks for it hundreds of times at once has it written as often as it takes it."""
        user = self.user()
        user.leg.pauseProducing()
        written: list[int] = []
        self.patch(users, "write_joined", lambda leg, pieces: self.write(leg, pieces, written))
        self.say(user, GET * MOST_ASKED)
        self.assertLess(sum(written), 8 * CAPACITY_BYTES)
        user.leg.resumeProducing()
        self.relay.settle()
        self.assertEqual(user.take().count(b"HTTP/1.1 404 "), MOST_ASKED)

    def write(self, leg: IStreamLeg, pieces: Sequence[Buffer], written: list[int]) -> None:
        """Writes to a leg, and keeps how much."""
        written.append(sum(map(len, pieces)))
        leg.write_sequence(pieces)


class GroupTests(HttpTestCase):
    """Tests for the members of a group."""

    def test_turns(self) -> None:
        """Each request is another member's, and over work connections that serve again."""
        for name in ("a", "b"):
            self.publish(name=name, group="g")
        user = self.user()
        for turn in range(4):
            self.say(user, GET)
            name, service = self.served[turn % 2]
            self.assertEqual(name, "ab"[turn % 2])
            self.say(service, OK)
            self.assertEqual(user.take(), OK)
        self.assertEqual(len(self.served), 2)

    def test_unanswered(self) -> None:
        """A request that a member ends unanswered is another member's, if it may be repeated."""
        for name in ("a", "b"):
            self.publish(name=name, group="g")
        user = self.user(POST + b"hello")
        self.drop()
        self.assertTrue(user.take().startswith(b"HTTP/1.1 502 "))
        for request in (GET, POST + b"hello"):
            self.say(user, request)
            self.say(self.served[-1][1], OK)
            self.assertEqual(user.take(), OK)
        self.relay.advance(REST_S)
        self.say(user, GET)
        self.drop()
        self.say(self.served[-1][1], OK)
        self.assertEqual(user.take(), OK)
        self.assertEqual([name for name, _ in self.served], ["a", "b", "b", "a", "b"])

    def drop(self) -> None:
        """The service that was asked last ends the connection."""
        self.served[-1][1].leg.close()
        self.relay.settle()

    def test_all_unanswered(self) -> None:
        """Each member is asked once."""
        for name in ("a", "b", "c"):
            self.publish(name=name, group="g")
        user = self.user(GET)
        for name in ("a", "b", "c"):
            self.assertEqual((user.take(), self.served[-1][0]), (b"", name))
            self.drop()
        self.assertTrue(user.take().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(len(self.served), 3)

    def test_no_services(self) -> None:
        """So it is where none of them can reach its service."""
        for name in ("a", "b", "c"):
            self.publish(name=name, group="g", serves=False)
        self.assertTrue(self.user(GET).take().startswith(b"HTTP/1.1 502 "))


class EndTests(HttpTestCase):
    """Tests for connections that end."""

    def setUp(self) -> None:
        super().setUp()
        self.published = self.publish()

    def test_user_gone(self) -> None:
        """With a user its exchange ends, and nobody else gets its work connection."""
        for request, answer in ((GET, b""), (GET, MUCH_OK), (POST + b"he", b"")):
            user = self.user(request)
            self.say(self.service, answer)
            user.leg.abort()
            self.relay.settle()
            self.assertTrue(self.service.heard.ended or self.service.heard.lost)
            self.assertEqual(self.flows, 0)
        self.assertNotIn(Ended.FINISHED, [each.ended for each in self.published.flows])

    def test_user_gone_unnoticed(self) -> None:
        """So it does where the user is not read at the moment, also if it has ended its side before."""
        for ends in (False, True):
            user = self.user(PUT_MUCH)
            self.service.leg.pauseProducing()
            self.say(user, bytes(MUCH_BYTES))
            if ends:
                user.leg.finish_writing()
                self.relay.settle()
            self.assertEqual(self.flows, 1)
            user.leg.abort()
            self.relay.settle()
            self.assertEqual(self.flows, 0)

    def test_user_gone_between(self) -> None:
        """A user who leaves between two requests costs no work connection."""
        user = self.user(GET)
        self.say(self.service, OK)
        user.leg.abort()
        self.relay.settle()
        self.assertEqual((self.service.heard.ended, self.flows), (False, 1))

    def test_half_close(self) -> None:
        """A user who sends no more gets the answer to what it asked, and then the end."""
        user = self.user(GET)
        user.leg.finish_writing()
        self.relay.settle()
        self.say(self.service, OK)
        self.assertTrue(user.take().endswith(b"\r\nConnection: close\r\n\r\nok"))
        self.assertTrue(user.heard.ended)
        self.assertEqual(self.flows, 1)

    def test_half_close_in_a_body(self) -> None:
        """A request that is never completed is the service's no longer."""
        user = self.user(POST + b"he")
        user.leg.finish_writing()
        self.relay.settle()
        self.assertTrue(self.service.heard.ended or self.service.heard.lost)
        self.assertEqual(self.flows, 0)

    def test_idle_end(self) -> None:
        """A user who ends its connection between two requests gets its end back."""
        user = self.user(GET)
        self.say(self.service, OK)
        user.leg.finish_writing()
        self.relay.settle()
        self.assertEqual((user.take(), user.heard.ended), (OK, True))

    def test_cut_answer(self) -> None:
        """An answer that breaks off in its middle ends the user's connection, and does not look complete."""
        for begin in (MUCH_OK, CHUNKED_OK + b"5\r\nab"):
            user = self.user(GET)
            self.say(self.service, begin)
            self.service.leg.abort()
            self.relay.settle()
            self.relay.advance(10.0)
            self.assertEqual(user.take(), begin)
            self.assertIs(user.heard.lost, Ended.RESET)
            self.assertEqual(self.flows, 0)

    def test_lost_without_length(self) -> None:
        """What only an end completes looks cut after a loss; where there are no chunks, by a reset."""
        begin = b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\nabc"
        site = self.publish("b.example", name="b")
        users = [
            self.user(b"GET / HTTP/%b\r\nHost: b.example\r\n\r\n" % version) for version in (b"1.1", b"1.0")
        ]
        for _, service in self.served[-2:]:
            self.say(service, begin)
        for connection in site.connections:
            connection.cut()
        self.relay.advance(10.0)
        self.assertTrue(users[0].take().endswith(b"3\r\nabc\r\n"))
        self.assertEqual((users[1].heard.ended, users[1].heard.lost), (False, Ended.RESET))

    def test_until_the_end(self) -> None:
        """An answer that ends with its connection is complete, and the user may go on."""
        user = self.user(GET)
        self.say(self.service, b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\nabc")
        self.service.leg.close()
        self.relay.settle()
        self.assertEqual(user.take(), CHUNKED_OK + b"3\r\nabc\r\n0\r\n\r\n")
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_refused(self) -> None:
        """What is no request is answered and reaches nobody."""
        user = self.user(b"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n" + GET)
        self.assertTrue(user.take().startswith(head(b"400 Bad Request")))
        self.assertTrue(user.heard.ended)
        self.assertEqual(self.served, [])

    def test_refused_behind_a_head(self) -> None:
        """A body that goes wrong ends the exchange, for the service too."""
        user = self.user(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.say(user, b"zz\r\n")
        self.assertTrue(user.take().startswith(head(b"400 Bad Request")))
        self.assertTrue(self.service.heard.ended or self.service.heard.lost)
        self.assertEqual(self.flows, 0)

    def test_no_answer(self) -> None:
        """What a service says that is no answer is told to the user, and the work connection dropped."""
        user = self.user(GET)
        self.say(self.service, b"SSH-2.0-x\r\n")
        self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")))
        self.assertEqual(self.flows, 0)


class TunnelTests(HttpTestCase):
    """Tests for connections that become something else."""

    def setUp(self) -> None:
        super().setUp()
        self.published = self.publish()

    def test_upgrade(self) -> None:
        """After an upgrade everything goes on unread, what came early included, until both have ended."""
        user = self.user(UPGRADE + b"early")
        self.assertTrue(self.service.take().endswith(b"\r\n\r\n"))
        self.say(self.service, SWITCHED + b"first")
        self.assertEqual(user.take(), SWITCHED + b"first")
        self.assertEqual(self.service.take(), b"early")
        self.say(user, b"GET / not HTTP")
        self.say(self.service, b"\0\1")
        self.assertEqual((self.service.take(), user.take()), (b"GET / not HTTP", b"\0\1"))
        self.relay.advance(1000.0)
        user.leg.finish_writing()
        self.relay.settle()
        self.assertTrue(self.service.heard.ended)
        self.say(self.service, b"last")
        self.service.leg.finish_writing()
        self.relay.settle()
        self.assertEqual((user.take(), user.heard.ended, self.flows), (b"last", True, 0))
        (traffic,) = self.published.flows
        self.assertGreater(traffic.near_to_far, len(b"earlyGET / not HTTP"))

    def test_connect(self) -> None:
        """So it is with a tunnel that the service agrees to; it is asked with the user's own words."""
        user = self.user(CONNECT + b"early")
        self.assertTrue(self.service.take().startswith(b"CONNECT a.example:443 HTTP/1.1\r\n"))
        agreed = b"HTTP/1.1 200 Connected\r\nDate: x\r\n\r\n"
        self.say(self.service, agreed)
        self.assertEqual((user.take(), self.service.take()), (agreed, b"early"))
        self.say(self.service, b"back")
        self.assertEqual(user.take(), b"back")

    def test_one_gone(self) -> None:
        """A tunnel ends with either side."""
        for which in range(2):
            user = self.user(UPGRADE)
            self.say(self.service, SWITCHED)
            ends = (user, self.service)
            ends[which].leg.abort()
            self.relay.advance(10.0)
            self.assertIsNotNone(ends[1 - which].heard.lost)
            self.assertEqual(self.flows, 0)

    def test_refused(self) -> None:
        """A service that does not switch answers as always, and the connection goes on."""
        user = self.user(UPGRADE)
        self.say(self.service, OK)
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK * 2)

    def test_not_asked_for(self) -> None:
        """A service that switches to what nobody asked for gets nothing."""
        user = self.user(GET)
        self.say(self.service, SWITCHED)
        self.assertTrue(user.take().startswith(head(b"502 Bad Gateway")))
        self.assertEqual(self.flows, 0)


class TimeTests(HttpTestCase):
    """Tests for how long each step may take."""

    keys = {"vhost_http_timeout": 20}

    def setUp(self) -> None:
        super().setUp()
        self.publish()

    def test_head(self) -> None:
        """A head that does not come to its end is answered; one byte a second does not help."""
        user = self.user(GET[:-1])
        self.relay.advance(DEFAULT_TIMEOUTS.head_s + LATE_WAKEUP_S)
        self.assertTrue(user.take().startswith(head(b"408 Request Timeout")))
        self.assertTrue(user.heard.ended)
        slow = self.user(b"GET /")
        for _ in range(int(DEFAULT_TIMEOUTS.head_s + LATE_WAKEUP_S)):
            self.say(slow, b"a")
            self.relay.advance(1.0)
        self.assertTrue(slow.take().startswith(head(b"408 Request Timeout")))

    def test_silent(self) -> None:
        """Who says nothing at all is closed without a word."""
        user = self.user()
        self.relay.advance(DEFAULT_TIMEOUTS.head_s + LATE_WAKEUP_S)
        self.assertEqual((user.take(), user.heard.ended), (b"", True))

    def test_idle(self) -> None:
        """Between two requests users have a while, then they are closed without a word."""
        user = self.user(GET)
        self.say(self.service, OK)
        self.relay.advance(DEFAULT_TIMEOUTS.idle_s - 1.0)
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual((user.take(), user.heard.ended), (OK * 2, False))
        self.relay.advance(DEFAULT_TIMEOUTS.idle_s + LATE_WAKEUP_S)
        self.assertEqual((user.take(), user.heard.ended), (b"", True))

    def test_body(self) -> None:
        """A body has time for each of its pieces; one that stops is answered, and the service is let go."""
        user = self.user(POST)
        for piece in (b"h", b"e", b"l"):
            self.relay.advance(DEFAULT_TIMEOUTS.body_s - 1.0)
            self.say(user, piece)
        self.assertEqual(user.take(), b"")
        self.relay.advance(DEFAULT_TIMEOUTS.body_s + LATE_WAKEUP_S)
        self.assertTrue(user.take().startswith(head(b"408 Request Timeout")))
        self.assertEqual((user.heard.ended, self.flows), (True, 0))

    def test_response(self) -> None:
        """A service has ``vhostHTTPTimeout`` to begin its answer; then the user is told, and may go on."""
        user = self.user(GET)
        self.relay.advance(19.0)
        self.assertEqual(user.take(), b"")
        self.relay.advance(1.0 + LATE_WAKEUP_S)
        self.assertTrue(user.take().startswith(head(b"504 Gateway Timeout")))
        self.assertTrue(self.service.heard.ended or self.service.heard.lost)
        self.assertEqual(self.flows, 0)
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_slow_answer(self) -> None:
        """An answer that has begun may take for ever."""
        user = self.user(GET)
        self.say(self.service, CHUNKED_OK)
        for _ in range(5):
            self.relay.advance(1000.0)
            self.say(self.service, b"1\r\na\r\n")
        self.assertEqual(user.take(), CHUNKED_OK + b"1\r\na\r\n" * 5)

    def test_gone_without_a_word(self) -> None:
        """A user who closes while its answer pauses holds no work connection for ever."""
        user = self.user(GET)
        self.say(self.service, CHUNKED_OK)
        user.leg.close()
        self.relay.advance(DEFAULT_TIMEOUTS.idle_s + LATE_WAKEUP_S)
        self.assertEqual(self.flows, 0)

    def test_stalled(self) -> None:
        """A user who takes nothing of its answer holds no work connection for ever."""
        user = self.user(GET)
        user.leg.pauseProducing()
        self.say(self.service, MUCH_OK + bytes(MUCH_BYTES))
        self.relay.advance(DEFAULT_TIMEOUTS.stalled_s - 1.0)
        self.assertEqual(self.flows, 1)
        self.relay.advance(1.0 + LATE_WAKEUP_S)
        self.assertEqual(self.flows, 0)

    def test_nothing_left(self) -> None:
        """Nothing is scheduled for users who are gone."""
        self.relay.advance(200.0)
        before = len(self.relay.clock.getDelayedCalls())
        for said in ((), (GET[:-1],), (GET,), (UPGRADE,), (POST,)):
            user = self.user(*said)
            user.leg.abort()
            self.relay.advance(200.0)
            self.assertEqual(len(self.relay.clock.getDelayedCalls()), before, said)


class DefectTests(HttpTestCase):
    """Tests for what becomes of a defect of ours."""

    def setUp(self) -> None:
        super().setUp()
        self.publish()

    def test_dropped(self) -> None:
        """Wherever it is, it costs the one user, and is told in the log; everybody else goes on."""
        other = self.user(GET)
        others_service = self.service
        for name, act in (
            ("receive", lambda user: user.leg.write(b"more")),
            ("end_received", lambda user: user.leg.finish_writing()),
            ("receive_from_provider", lambda _: self.service.leg.write(OK)),
            ("provider_ended", lambda _: self.service.leg.close()),
            ("events", lambda _: self.service.leg.write(OK)),
        ):
            user = self.user(POST)
            with self.broken(name):
                act(user)
                self.relay.settle()
            self.dropped(user, name)
            self.assertEqual(self.flows, 1, name)
        self.say(others_service, OK)
        self.assertEqual(other.take(), OK)

    def test_dropped_in_time(self) -> None:
        """So it does where time alone passes, and where a work connection comes at last."""
        user = self.user(POST)
        with self.broken("wake"):
            self.relay.advance(100.0)
        self.dropped(user, "wake")
        with self.broken("forward"):
            user = self.user(GET)
        self.dropped(user, "forward")
        self.assertEqual(self.flows, 0)

    def dropped(self, user: End, name: str) -> None:
        """Fails unless a defect there, told once, has cost the user its connection."""
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, name)
        self.assertIsNotNone(user.heard.lost, name)

    @contextmanager
    def broken(self, name: str) -> Iterator[None]:
        """Has a part of the core fail meanwhile."""

        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError("a defect")

        patch = self.patch(HttpConnection, name, fail)
        try:
            yield
        finally:
            patch.restore()

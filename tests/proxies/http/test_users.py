"""Tests for :mod:`relaykit.proxies.http.users`."""

from __future__ import annotations

from relaykit.sansio.control.balancing import REST_S
from relaykit.testing.memory import CAPACITY_BYTES
from tests.proxies.http.scene import GET, OK, POST, HttpTestCase

MOST_ASKED = 1000
"""Hundreds of requests within which a user who takes no answers is not read any more."""

MUCH_BYTES = 4 * 1024 * 1024
"""More than all windows and queues between a user and a service hold."""


class ExchangeTests(HttpTestCase):
    """Tests for requests and their answers."""

    def test_keep_alive(self) -> None:
        """Requests of one connection go over one work connection, one after another."""
        self.publish()
        user = self.user()
        for _ in range(3):
            self.say(user, GET)
            self.assertIn(b"Host: a.example\r\n", self.service.take())
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)


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

"""Whatever users and services do, each user gets the answers to its own requests, and in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import LoadBalancer
from relaykit.proxies import http
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.testing.memory import CAPACITY_BYTES
from relaykit.testing.relay import MemoryRelay
from relaykit.values import Secret
from tests.proxies.http.scene import PORT, End

MOST_USERS = 4

MOST_MEMBERS = 3

MOST_ASKED = 3
"""Requests that a user sends at once."""

MOST_ROUNDS = 200
"""Rounds within which everything that was asked for is answered."""

LARGE = 2 * CAPACITY_BYTES
"""More than a user who does not read is sent."""

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
"""What nobody has asked for."""


class User(End):
    """A user and what it has asked for, each request with a name of its own."""

    def __init__(self, relay: MemoryRelay) -> None:
        super().__init__(relay.dial(PORT))
        self.asked: list[bytes] = []
        self.is_held = self.has_ended = False

    def answers(self) -> Iterator[tuple[int, bytes]]:
        """The status of each answer that is complete, and its body."""
        data = self.heard.data
        while data:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                return
            status = int(head[len(b"HTTP/1.1 ") :][:3])
            length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
            if len(data) < length:
                return
            yield status, data[:length]
            data = data[length:]


class Connection(End):
    """The service's end of a connection, and the requests that it has not answered."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.is_held = self.is_over = False
        self.pending: list[bytes] = []
        self._data = b""

    def requests(self) -> Iterator[bytes]:
        """The names of those that have come since the last time."""
        self._data += self.take()
        while b"\r\n\r\n" in self._data:
            head, _, rest = self._data.partition(b"\r\n\r\n")
            length = 5 if head.startswith(b"POST ") else 0
            if len(rest) < length:
                return
            self._data = rest[length:]
            name = head.split(b" ")[1]
            self.pending.append(name)
            yield name


class UsersMachine(RuleBasedStateMachine):
    """Some users who ask, leave, and take nothing for a while; services that answer, go wrong, and end."""

    def __init__(self) -> None:
        super().__init__()
        self.relay = MemoryRelay()
        self.members = 0
        self.users: list[User] = []
        self.connections: list[Connection] = []
        self.names = 0
        self.seen: Counter[bytes] = Counter()
        """How often services got each request."""

    @initialize(members=st.integers(1, MOST_MEMBERS))
    def open(self, members: int) -> None:
        """A site, with one client or with several."""
        self.members = members
        for number in range(members):
            self.relay.publish(
                http.proxy_type,
                HttpOptions(custom_domains=("a.example",)),
                name=f"member-{number}",
                local=lambda leg: self.connections.append(Connection(leg)),
                ingress_options=HttpKeys(vhost_http_port=PORT),
                load_balancer=LoadBalancer(group="g" * (members > 1), group_key=Secret("k" * (members > 1))),
            )

    def settle(self) -> None:
        """Lets everything happen, and notes what has come to services."""
        self.relay.settle()
        for connection in self.connections:
            for name in connection.requests():
                self.seen[name] += 1
            assert len(connection.pending) <= 1, "a request was sent before the one before it was answered"

    @precondition(lambda self: len(self.users) < MOST_USERS)
    @rule()
    def come(self) -> None:
        """A user comes."""
        self.users.append(User(self.relay))

    @precondition(lambda self: self.users)
    @rule(data=st.data(), methods=st.lists(st.sampled_from(["GET", "POST"]), min_size=1, max_size=MOST_ASKED))
    def ask(self, data: st.DataObject, methods: list[str]) -> None:
        """A user asks, for one thing or for several at once."""
        self.say(data.draw(st.sampled_from(self.users)), methods)

    @precondition(lambda self: self.users)
    @rule(data=st.data(), count=st.integers(1, 3))
    def be_served(self, data: st.DataObject, count: int) -> None:
        """Users ask one after another, and services answer everything at once, as they mostly do."""
        for _ in range(count):
            self.say(data.draw(st.sampled_from(self.users)), ["GET"])
            for connection in self.connections:
                if connection.pending:
                    self.give(connection, 0, b"", "stay")

    def say(self, user: User, methods: list[str]) -> None:
        """A user sends requests, if it still sends anything."""
        if user.has_ended:
            return
        for method in methods:
            self.names += 1
            name = b"/%b/%d" % (method.encode(), self.names)
            user.asked.append(name)
            body = b"Content-Length: 5\r\n\r\nhello" if method == "POST" else b"\r\n"
            user.leg.write(b"%b %b HTTP/1.1\r\nHost: a.example\r\n%b" % (method.encode(), name, body))
        self.settle()

    @precondition(lambda self: any(each.pending for each in self.connections))
    @rule(
        data=st.data(),
        size=st.sampled_from([0, 1000, LARGE]),
        and_then=st.sampled_from(["stay", "stay", "end", "close", "more"]),
    )
    def answer(self, data: st.DataObject, size: int, and_then: str) -> None:
        """A service answers, and keeps the connection, ends it with or without a word, or says too much."""
        connection = data.draw(st.sampled_from([each for each in self.connections if each.pending]))
        self.give(connection, size, b"Connection: close\r\n" if and_then == "close" else b"", and_then)

    def give(self, connection: Connection, size: int, fields: bytes, and_then: str) -> None:
        """Answers what a connection is for."""
        name = connection.pending.pop()
        answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (fields, len(name) + size)
        connection.leg.write(answer + name + bytes(size) + (EVIL if and_then == "more" and not size else b""))
        if and_then in ("end", "close"):
            self.end(connection)
        self.settle()

    def end(self, connection: Connection) -> None:
        """A service ends a connection in order."""
        connection.is_over = True
        connection.pending.clear()
        connection.leg.close()

    @precondition(lambda self: self.connections)
    @rule(data=st.data(), how=st.sampled_from(["close", "abort", "part", "junk", "mutter"]))
    def go_wrong(self, data: st.DataObject, how: str) -> None:
        """A service ends a connection, says half an answer, or something else, asked or not."""
        connection = data.draw(st.sampled_from(self.connections))
        if connection.is_over:
            return
        if how == "part" and connection.pending:
            connection.leg.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif how == "junk" and connection.pending:
            connection.leg.write(b"SSH-2.0-x\r\n")
        elif how == "mutter" and not connection.pending:
            connection.leg.write(EVIL)
        self.relay.settle()
        if how == "abort":
            connection.is_over = True
            connection.pending.clear()
            connection.leg.abort()
        else:
            self.end(connection)
        self.settle()

    @precondition(lambda self: self.users)
    @rule(data=st.data(), how=st.sampled_from(["finish", "abort"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        """A user sends no more, or is gone."""
        user = data.draw(st.sampled_from(self.users))
        user.has_ended = True
        if how == "finish":
            user.leg.finish_writing()
        else:
            self.users.remove(user)
            user.leg.abort()
        self.settle()

    @precondition(lambda self: self.users or self.connections)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """Somebody takes nothing for a while, or goes on."""
        ends: list[User | Connection] = [*self.users, *self.connections]
        end = data.draw(st.sampled_from(ends))
        end.is_held = not end.is_held
        if end.is_held:
            end.leg.pauseProducing()
        else:
            end.leg.resumeProducing()
        self.settle()

    @rule(seconds=st.sampled_from([0.1, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.relay.advance(seconds)
        self.settle()

    def teardown(self) -> None:
        """Once everybody goes on, everything is answered: to each user what it asked, and to nobody else."""
        ends: list[User | Connection] = [*self.users, *self.connections]
        for end in ends:
            if end.is_held:
                end.leg.resumeProducing()
        self.settle()
        for _ in range(MOST_ROUNDS):
            waiting = [each for each in self.connections if each.pending]
            if not waiting:
                break
            for connection in waiting:
                if connection.pending:
                    self.give(connection, 0, b"", "stay")
        self.relay.advance(1.0)
        for user in self.users:
            answers = list(user.answers())
            for name, (status, body) in zip(user.asked, answers, strict=False):
                assert status in (502, 504) or (status == 200 and body.rstrip(b"\0") == name), (name, body)
            assert user.heard.ended or user.heard.lost or len(answers) == len(user.asked), user.asked
        for name, times in self.seen.items():
            assert times <= (1 if name.startswith(b"/POST") else 1 + self.members), name


class UsersModelTests(SynchronousTestCase):
    """Runs the model."""

    def test_model(self) -> None:
        """Every user gets the answers to its own requests, once each, and nobody is left waiting."""
        machine = UsersMachine.TestCase
        machine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
        machine("runTest").debug()

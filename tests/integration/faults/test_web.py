"""Users and services of the proxy type ``http`` who are slow, endless, half gone, frozen or killed.

Each gets the end that is promised, and leaves nothing behind at the server and the client.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import socket
import sys
import termios
import threading
from collections.abc import Callable

from relaykit.proxies.domains import MOST_UNROUTED
from relaykit.sansio.http.grammar import MOST_HEAD_BYTES
from tests.integration.faults.case import FaultTestCase, takes_long
from tests.integration.programs import Program
from tests.integration.relays import Table
from tests.integration.traffic import (
    FROM_SERVICE,
    FROM_USER,
    Service,
    dial,
    end_of,
    receive,
    receive_exactly,
    reset,
    send,
    take_head,
)

GET = b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BEGUN_BODY = b"only this"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + BEGUN_BODY
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

PIECE_BYTES = 64 * 1024

MUCH_BYTES = 64 * 1024 * 1024
"""Bytes of a body: many times what may be kept of it."""

KEPT_BYTES = 24 * 1024 * 1024
"""The most that one user and its service may cost an end, all windows and queues full, with what allocators
take at once; 7 MB were measured for a body of 1 GiB."""

ANSWER_S = 3
"""Seconds that the service has for an answer."""

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ")


def answering(connection: socket.socket) -> None:
    """A service that answers each request, whatever else there is in it."""
    while take_head(connection):
        connection.sendall(OK)


def freely(serve: Callable[[socket.socket], object]) -> Callable[[socket.socket], None]:
    """A service whose connections may be broken off."""

    def serve_freely(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            serve(connection)

    return serve_freely


class WebTestCase(FaultTestCase):
    """A site, whose service a test chooses."""

    def start_site(
        self, serve: Callable[[socket.socket], object] = answering, **server: object
    ) -> tuple[Program, Program, Service]:
        """A server, a client, and the service behind them."""
        service = self.start_service(freely(serve))
        relay = self.start_server({"vhostHTTPPort": self.port, **server})
        publishing = self.start_site_client(service)
        self.before = relay.sockets(), publishing.sockets()
        return relay, publishing, service

    def start_site_client(self, service: Service) -> Program:
        """A client that publishes it."""
        proxy: Table = {"name": "web", "type": "http", "localPort": service.port}
        client = self.start_client({}, [{**proxy, "customDomains": ["web.example"]}])
        client.wait_for("start proxy success")
        return client

    def ask(self, data: bytes = GET) -> socket.socket:
        """A user who says this."""
        user = dial(self.port)
        self.addCleanup(user.close)
        user.sendall(data)
        return user

    def status_of(self, user: socket.socket) -> int:
        """The status of the answer to a user, up to the end of its connection."""
        answer = end_of(user)
        found = _STATUS.match(answer)
        self.assertIsNotNone(found, answer[:100])
        return int(found[1]) if found else 0

    def check_nothing_left(self, relay: Program, publishing: Program) -> None:
        """Nothing is left of any user or service."""
        self.until(
            f"server and client have no more than {self.before} sockets again",
            lambda: relay.sockets() <= self.before[0] and publishing.sockets() <= self.before[1],
        )


class SlowTests(WebTestCase):
    """Who is slow, or never done."""

    def test_bytes(self) -> None:
        """Requests and answers that come byte by byte are as good as others."""

        def serve(connection: socket.socket) -> None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while take_head(connection):
                receive_exactly(connection, len(b"3\r\nabc\r\n0\r\n\r\n"))
                for at in range(len(OK)):
                    connection.sendall(OK[at : at + 1])

        self.start_site(serve)
        user = self.ask(b"")
        body = (
            b"POST / HTTP/1.1\r\nHost: web.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        for _ in range(2):
            for at in range(len(body)):
                user.sendall(body[at : at + 1])
            head = take_head(user)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
            self.assertEqual(receive_exactly(user, 2), b"ok")

    def test_silent_service(self) -> None:
        """A service that says nothing, or never the end of its head, has so long; its user is told."""
        for said in (b"", b"HTTP/1.1 200 OK\r\nX-A: "):

            def serve(connection: socket.socket, said: bytes = said) -> None:
                connection.sendall(said)
                end_of(connection)

            relay, publishing, _ = self.start_site(serve, vhostHTTPTimeout=ANSWER_S)
            self.assertEqual(
                self.status_of(self.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))), 504
            )
            # A client that stood still may not have got to the service at all.
            self.check_nothing_left(relay, publishing)
            publishing.stop()
            relay.stop()

    def test_endless_head(self) -> None:
        """A service whose head has no end is given up once it is too long, or has too many interim ones."""
        for said in (
            b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * MOST_HEAD_BYTES,
            b"HTTP/1.1 103 Hints\r\n\r\n" * 10_000,
        ):

            def serve(connection: socket.socket, said: bytes = said) -> None:
                connection.sendall(said)
                end_of(connection)

            relay, publishing, service = self.start_site(serve)
            self.assertEqual(self.final_status(self.ask()), 502)
            service.wait_served(1)
            self.check_nothing_left(relay, publishing)
            publishing.stop()
            relay.stop()

    def test_endless_answer(self) -> None:
        """An answer without end costs no more than what is on its way, and ends when its user is gone."""

        def serve(connection: socket.socket) -> None:
            connection.sendall(ENDLESS)
            while True:
                connection.sendall(b"%x\r\n%b\r\n" % (PIECE_BYTES, bytes(PIECE_BYTES)))

        relay, publishing, service = self.start_site(serve)
        before = relay.resident_bytes(), publishing.resident_bytes()
        user = self.ask()
        receive_exactly(user, MUCH_BYTES)
        self.assertLess(relay.peak_resident_bytes() - before[0], KEPT_BYTES)
        self.assertLess(publishing.peak_resident_bytes() - before[1], KEPT_BYTES)
        reset(user)
        service.wait_served(1)
        self.check_nothing_left(relay, publishing)

    def test_flat(self) -> None:
        """Bodies of any size go through little memory, both ways, with each framing; each byte arrives."""

        def serve(connection: socket.socket) -> None:
            head = take_head(connection)
            if head.startswith(b"POST"):
                receive(connection, FROM_USER, MUCH_BYTES)
                connection.sendall(OK)
            elif head.startswith(b"GET /length"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH_BYTES)
                send(connection, FROM_SERVICE, MUCH_BYTES)
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                send(connection, FROM_SERVICE, MUCH_BYTES)

        relay, publishing, service = self.start_site(serve)
        before = relay.resident_bytes(), publishing.resident_bytes()
        length = b"Host: web.example\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % MUCH_BYTES
        user = self.ask(b"POST / HTTP/1.1\r\n" + length)
        send(user, FROM_USER, MUCH_BYTES)
        self.assertEqual(self.status_of(user), 200)
        for head in (b"GET /length HTTP/1.1\r\n", b"GET /end HTTP/1.0\r\n"):
            user = self.ask(head + b"Host: web.example\r\n\r\n")
            take_head(user)
            receive(user, FROM_SERVICE, MUCH_BYTES)
        service.wait_served(3)
        self.assertLess(relay.peak_resident_bytes() - before[0], KEPT_BYTES)
        self.assertLess(publishing.peak_resident_bytes() - before[1], KEPT_BYTES)

    def test_no_reader(self) -> None:
        """A service that does not take a body holds its user back; who takes no answers gets no more."""
        taken = threading.Event()

        def serve(connection: socket.socket) -> None:
            take_head(connection)
            taken.wait()
            receive(connection, FROM_USER, MUCH_BYTES)
            connection.sendall(OK)

        relay, publishing, _ = self.start_site(serve)
        self.addCleanup(taken.set)
        before = relay.resident_bytes(), publishing.resident_bytes()
        user = self.ask(
            b"POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            % MUCH_BYTES
        )
        sending = threading.Thread(target=send, args=(user, FROM_USER, MUCH_BYTES), daemon=True)
        sending.start()
        # If the kernel had room for all of it, nobody would have to be.
        self.until("the user is held back", lambda: not (sending.is_alive() and self.moves(user)))
        self.assertLess(relay.peak_resident_bytes() - before[0], KEPT_BYTES)
        self.assertLess(publishing.peak_resident_bytes() - before[1], KEPT_BYTES)
        taken.set()
        sending.join()
        self.assertEqual(self.status_of(user), 200)

    def test_silent_users(self) -> None:
        """Thousands who say nothing keep nobody out; those who were silent longest make room."""
        self.allow_descriptors(3 * MOST_UNROUTED)
        relay, publishing, _ = self.start_site()
        users = []
        for _ in range(MOST_UNROUTED + 100):
            users.append(dial(self.port))
            self.addCleanup(users[-1].close)
        self.assertEqual(end_of(users[0]), b"")
        asking = self.ask()
        self.assertTrue(take_head(asking).startswith(b"HTTP/1.1 200 OK\r\n"))
        asking.close()
        for user in users:
            user.close()
        publishing.stop()
        self.until("no user is left", lambda: relay.sockets() < self.before[0])

    @takes_long
    def test_deadlines(self) -> None:
        """Who says nothing, not the rest of a head or a body, or asks no more, is let go in its time."""
        self.start_site()
        silent, head, body, idle = map(
            self.ask,
            (
                b"",
                GET[:-2],
                b"POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: 9\r\n\r\nhalf",
                GET,
            ),
        )
        self.assertEqual(end_of(silent), b"")
        self.assertEqual(self.status_of(head), 408)
        # The service has answered.
        self.assertTrue(end_of(body).startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(self.status_of(idle), 200)

    def final_status(self, user: socket.socket) -> int:
        """The status of the answer behind interim ones; the connection goes on behind it."""
        while (head := take_head(user)).startswith(b"HTTP/1.1 1"):
            pass
        user.close()
        return int(head.split(b" ")[1])

    def moves(self, user: socket.socket) -> bool:
        """Whether the kernel takes more of what a user sends within a while."""
        before = _unsent(user)
        self.rest(0.3)
        return before == 0 or _unsent(user) != before


def _unsent(user: socket.socket) -> int:
    """Bytes that the other end has not taken yet.  Source: tcp(7), SIOCOUTQ."""
    count = bytearray(4)
    fcntl.ioctl(user.fileno(), termios.TIOCOUTQ, count)
    return int.from_bytes(count, sys.byteorder)


class GoneTests(WebTestCase):
    """Who ends, breaks, freezes or dies in the middle."""

    def test_half_closed(self) -> None:
        """A user who has sent all it has to say gets all answers."""
        relay, publishing, _ = self.start_site()
        user = self.ask(GET + GET)
        user.shutdown(socket.SHUT_WR)
        self.assertEqual(len(_STATUS.findall(end_of(user))), 2)
        publishing.stop()
        relay.stop()

    def test_service_resets(self) -> None:
        """A service that breaks off before it answers is a 502; one in its answer breaks off that, too."""
        for said in (b"", BEGUN):

            def serve(connection: socket.socket, said: bytes = said) -> None:
                take_head(connection)
                connection.sendall(said)
                reset(connection)

            relay, publishing, _ = self.start_site(serve)
            post = b"POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            answer = end_of(self.ask(post))
            if said:
                self.assertTrue(b"HTTP/1.1 200 OK".startswith(answer[:15]), answer)
                self.assertLess(len(answer), 1000)
            else:
                self.assertTrue(answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), answer)
            self.check_nothing_left(relay, publishing)
            publishing.stop()
            relay.stop()

    def test_frozen_client(self) -> None:
        """While its client stands still, users are told that a site does not answer; then they are served."""
        _, publishing, _ = self.start_site(userConnTimeout=ANSWER_S, vhostHTTPTimeout=ANSWER_S)
        publishing.freeze()
        self.addCleanup(publishing.thaw)
        user = self.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.assertIn(self.status_of(user), (502, 504))
        publishing.thaw()
        self.until("users are served again", lambda: self.answered() == 200)

    def test_killed_client(self) -> None:
        """Answers that a client was in are broken off; until it is back nobody has the site."""

        def serve(connection: socket.socket) -> None:
            take_head(connection)
            connection.sendall(BEGUN)
            end_of(connection)

        relay, publishing, service = self.start_site(serve)
        user = self.begin()
        publishing.kill()
        self.assertEqual(end_of(user), b"")
        service.wait_served(1)
        relay.wait_for("client exit success")
        self.assertEqual(self.answered(), 404)
        self.start_site_client(service)
        reset(self.begin())

    def test_killed_server(self) -> None:
        """With the server all users and work connections are gone; its client publishes the site again."""

        def serve(connection: socket.socket) -> None:
            take_head(connection)
            connection.sendall(BEGUN)
            end_of(connection)

        relay, publishing, service = self.start_site(serve)
        user = self.begin()
        relay.kill()
        self.assertEqual(end_of(user), b"")
        service.wait_served(1)
        self.start_server({"vhostHTTPPort": self.port})
        publishing.wait_for("start proxy success", 2)
        reset(self.begin())

    def begin(self) -> socket.socket:
        """A user who has the beginning of an answer."""
        user = self.ask()
        take_head(user)
        self.assertEqual(receive_exactly(user, len(BEGUN_BODY)), BEGUN_BODY)
        return user

    def answered(self) -> int:
        """The status of the answer to a new user, 0 if there is none."""
        with contextlib.suppress(OSError), dial(self.port) as user:
            user.sendall(GET)
            found = _STATUS.match(take_head(user))
            return int(found[1]) if found else 0
        return 0

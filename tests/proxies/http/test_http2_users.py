"""Tests for :mod:`relaykit.proxies.http.http2_users`."""

from __future__ import annotations

from collections.abc import Iterable

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent

from relaykit.dataplane.kept_legs import KEPT_S
from relaykit.interfaces import IWorkLeg
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.sansio.http2.streams import STREAM_WINDOW_BYTES
from relaykit.testing.memory import CAPACITY_BYTES
from relaykit.values import LOST_LINGER_S, Ended, Origin
from tests.proxies.http.scene import GET, OK, PORT, End, HttpTestCase

MUCH_BYTES = 4 * 1024 * 1024
"""More than all windows and queues between a user and a service hold."""

PIECE_BYTES = 16 * 1024


def is_over(end: End) -> bool:
    """Whether somebody was told that nothing more comes."""
    return end.heard.ended or end.heard.lost is not None


class Http2TestCase(HttpTestCase):
    """Has a user of HTTP/2."""

    def setUp(self) -> None:
        super().setUp()
        self.statuses: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []
        self.resets: dict[int, int] = {}
        self.goaway: int | None = None
        self.takes = True

    def dial(self) -> None:
        """Connects the user."""
        self.http2 = H2Connection()
        self.http2.initiate_connection()
        self.end = End(self.relay.dial(PORT))
        self.flush()

    def flush(self) -> None:
        """Lets both ends hear all that there is to hear."""
        while said := self.http2.data_to_send():
            self.say(self.end, said)
            self.hear()
        self.hear()
        if said := self.http2.data_to_send():
            self.say(self.end, said)

    def hear(self) -> None:
        """What the user has heard."""
        self.relay.settle()
        for event in self.http2.receive_data(self.end.take()):
            if isinstance(event, ResponseReceived):
                self.statuses[event.stream_id] = int(dict(event.headers)[b":status"])
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if self.takes:
                    self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.ended.append(event.stream_id)
            elif isinstance(event, StreamReset):
                self.resets[event.stream_id] = int(event.error_code)
            elif isinstance(event, ConnectionTerminated):
                self.goaway = int(event.error_code or 0)

    def ask(
        self, *more: tuple[str, str], host: str = "a.example", method: str = "GET", ends: bool = True
    ) -> int:
        """The user asks; the number of the stream."""
        number = self.http2.get_next_available_stream_id()
        head: Iterable[tuple[str, str]] = (
            *((":method", method), (":scheme", "http"), (":authority", host), (":path", "/"), *more),
        )
        self.http2.send_headers(number, head, end_stream=ends)
        self.flush()
        return number

    def answer(self, end: End, data: bytes = OK) -> None:
        """A service says this."""
        self.say(end, data)
        self.flush()


class ExchangeTests(Http2TestCase):
    """Tests for requests and their answers."""

    def test_in_flight(self) -> None:
        """Each stream has its work connection; answers come in any order."""
        self.publish()
        self.dial()
        numbers = [self.ask() for _ in range(5)]
        self.assertEqual(len(self.served), 5)
        for _, end in reversed(self.served):
            self.assertIn(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: ", end.take())
            self.answer(end)
        self.assertEqual(self.ended, numbers[::-1])
        self.assertEqual({self.bodies[number] for number in numbers}, {b"ok"})

    def test_kept(self) -> None:
        """Work connections serve one stream after the other, and users of HTTP/1, too."""
        self.publish()
        self.dial()
        for _ in range(3):
            self.ask()
            self.answer(self.service)
        other = self.user(GET)
        self.say(self.service, OK)
        self.assertEqual(other.take(), OK)
        self.assertEqual(self.service.take().count(b"GET / "), 4)
        self.assertEqual(len(self.ended), 3)

    def test_body_over_fresh_ones(self) -> None:
        """What may not be sent twice goes over a connection that cannot have ended in the meantime."""
        self.publish()
        self.dial()
        self.ask()
        self.answer(self.service)
        number = self.ask(method="POST", ends=False)
        self.http2.send_data(number, b"body", end_stream=True)
        self.flush()
        self.assertEqual(len(self.served), 2)
        self.assertTrue(self.served[1][1].take().endswith(b"4\r\nbody\r\n0\r\n\r\n"))

    def test_ended_meanwhile(self) -> None:
        """A kept work connection that ends as it is asked is replaced by a fresh one."""
        self.publish()
        self.dial()
        self.ask()
        self.answer(self.service)
        first = self.service
        number = self.ask()
        self.assertEqual(first.take().count(b"GET / "), 2)
        first.leg.close()
        self.flush()
        self.answer(self.served[1][1])
        self.assertEqual((self.statuses[number], self.bodies[number]), (200, b"ok"))

    def test_ours(self) -> None:
        """Nobody's host, a wrong user, and a service that is down are answered as in HTTP/1."""
        self.publish("b.example", name="auth", http_user="u")
        self.publish("c.example", name="down", serves=False)
        self.dial()
        for host, status in (("x.example", 404), ("b.example", 401), ("c.example", 502)):
            number = self.ask(host=host)
            self.assertEqual((self.statuses[number], self.ended[-1]), (status, number), host)
        number = self.ask(("authorization", "Basic dTo="), host="b.example")
        self.answer(self.service)
        self.assertEqual(self.statuses[number], 200)

    def test_no_answer(self) -> None:
        """A service that says nothing is given up in time, and its stream only."""
        self.publish()
        self.dial()
        silent = self.ask()
        self.relay.advance(DEFAULT_TIMEOUTS.response_s)
        self.flush()
        self.assertEqual(self.statuses, {silent: 504})
        other = self.ask()
        self.answer(self.served[-1][1])
        self.assertEqual(self.statuses[other], 200)

    def test_cut(self) -> None:
        """A service whose answer is refused, or is late, is reset: it may go on sending for ever."""
        self.publish()
        self.dial()
        for said, status in ((b"NONSENSE\r\n\r\n", 502), (b"HTTP/1.1 200 OK\r\nX-A: ", 504)):
            number = self.ask()
            self.say(self.service, said)
            self.relay.advance(DEFAULT_TIMEOUTS.response_s)
            self.flush()
            self.assertEqual(self.statuses[number], status)
            self.relay.advance(LOST_LINGER_S)
            self.assertIs(self.service.heard.lost, Ended.RESET)

    def test_reset(self) -> None:
        """A user that gives up a request has its work connection ended, wherever it was."""
        self.publish()
        self.dial()
        number = self.ask()
        self.http2.reset_stream(number)
        self.flush()
        self.assertTrue(is_over(self.service))

    def test_reset_at_once(self) -> None:
        """So has one that does so before the request could go on."""
        self.publish()
        self.dial()
        number = self.http2.get_next_available_stream_id()
        self.http2.send_headers(
            number,
            [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")],
            end_stream=True,
        )
        self.http2.reset_stream(number)
        self.flush()
        other = self.ask()
        self.answer(self.served[-1][1])
        self.assertEqual(list(self.statuses), [other])

    def test_lost_without_length(self) -> None:
        """What only an end completes is reset if its work connection is lost, and complete if that ends."""
        sites = {
            is_lost: self.publish(f"{at}.example", name=f"{at}") for at, is_lost in enumerate((True, False))
        }
        self.dial()
        for at, (is_lost, site) in enumerate(sites.items()):
            number = self.ask(host=f"{at}.example")
            self.answer(self.service, b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\nabc")
            if is_lost:
                for connection in site.connections:
                    connection.cut()
                self.relay.advance(10.0)
            else:
                self.service.leg.close()
            self.flush()
            self.assertEqual((self.bodies[number], number in self.ended), (b"abc", not is_lost))
            self.assertEqual(number in self.resets, is_lost)

    def test_defect(self) -> None:
        """A defect drops its user, of whom nothing more is served: nobody would end its work connections."""
        site = self.publish()
        defects: list[Deferred[IWorkLeg]] = []

        def work_leg_for(origin: Origin) -> Deferred[IWorkLeg]:
            defects.append(fail(RuntimeError("defect")))
            return defects[-1]

        self.patch(type(site.proxy), "work_leg_for", lambda _proxy, origin: work_leg_for(origin))
        self.dial()
        for number in (1, 3):
            self.http2.send_headers(
                number,
                [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")],
                end_stream=True,
            )
        self.say(self.end, self.http2.data_to_send())
        self.assertEqual((len(defects), is_over(self.end)), (1, True))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_gone(self) -> None:
        """A user that is gone takes all its work connections along."""
        self.publish()
        self.dial()
        for _ in range(3):
            self.ask()
        self.end.leg.abort()
        self.relay.settle()
        self.assertEqual([is_over(end) for _, end in self.served], [True] * 3)


class FlowTests(Http2TestCase):
    """Whoever takes no more holds up who sends."""

    def test_user_holds_its_service(self) -> None:
        """A service is held up while its stream is not read, and other streams go on."""
        self.publish()
        self.dial()
        self.takes = False
        stuck = self.ask()
        service = self.service
        service.leg.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH_BYTES)
        for _ in range(MUCH_BYTES // CAPACITY_BYTES):
            self.say(service, bytes(CAPACITY_BYTES))
        self.flush()
        self.assertGreater(service.leg.queued, MUCH_BYTES // 2)
        self.takes = True
        self.http2.acknowledge_received_data(len(self.bodies[stuck]), stuck)
        while stuck not in self.ended:
            before = len(self.bodies[stuck])
            self.flush()
            self.assertGreater(len(self.bodies[stuck]), before)
        self.assertEqual(len(self.bodies[stuck]), MUCH_BYTES)

    def test_socket_holds_the_service(self) -> None:
        """So is it while the user's socket is full."""
        self.publish()
        self.dial()
        self.http2.increment_flow_control_window(2**30)
        self.http2.update_settings({4: 2**30})
        self.flush()
        number = self.ask()
        self.end.leg.pauseProducing()
        service = self.service
        service.leg.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH_BYTES)
        for _ in range(MUCH_BYTES // CAPACITY_BYTES):
            self.say(service, bytes(CAPACITY_BYTES))
        self.assertGreater(service.leg.queued, MUCH_BYTES // 2)
        self.end.leg.resumeProducing()
        self.flush()
        self.assertEqual((len(self.bodies[number]), self.ended), (MUCH_BYTES, [number]))

    def test_service_holds_its_user(self) -> None:
        """A user may send no more than a window while its service takes nothing; others take theirs."""
        self.publish()
        self.dial()
        number = self.ask(method="POST", ends=False)
        self.service.leg.pauseProducing()
        sent = 0
        while (room := self.http2.local_flow_control_window(number)) and sent < MUCH_BYTES:
            self.http2.send_data(number, bytes(min(room, PIECE_BYTES)))
            sent += min(room, PIECE_BYTES)
            self.flush()
        self.assertLess(sent, MUCH_BYTES)
        self.assertGreaterEqual(sent, STREAM_WINDOW_BYTES)
        other = self.ask(method="POST", ends=False)
        self.http2.send_data(other, bytes(PIECE_BYTES), end_stream=True)
        self.flush()
        self.assertGreater(len(self.served[1][1].take()), PIECE_BYTES)
        self.answer(self.served[1][1])
        self.assertEqual(self.statuses, {other: 200})
        self.service_takes(number, sent)

    def service_takes(self, number: int, sent: int) -> None:
        """The service goes on, and then so does the user."""
        service = self.served[0][1]
        service.leg.resumeProducing()
        self.flush()
        self.http2.send_data(number, b"", end_stream=True)
        self.flush()
        self.answer(service)
        self.assertEqual(self.statuses[number], 200)
        self.assertGreater(len(service.take()), sent)


class EndTests(Http2TestCase):
    """How connections end."""

    def test_idle(self) -> None:
        """An idle user is told farewell, and its connection ends."""
        self.publish()
        self.dial()
        self.ask()
        self.answer(self.service)
        self.relay.advance(DEFAULT_TIMEOUTS.idle_s)
        self.flush()
        self.assertEqual(self.goaway, ErrorCodes.NO_ERROR)
        self.assertTrue(is_over(self.end))
        self.assertLess(KEPT_S, DEFAULT_TIMEOUTS.idle_s)

    def test_broken_rules(self) -> None:
        """A user that breaks the rules is told why, and all that it had ends."""
        self.publish()
        self.dial()
        self.ask()
        with capturedLogs() as logged:
            self.say(self.end, b"\0\0\0\0\0\0\0\0\0")
        self.hear()
        self.assertIn("a stream that was never opened", " ".join(map(str, map(formatEvent, logged))))
        self.assertEqual(self.goaway, ErrorCodes.PROTOCOL_ERROR)
        self.assertTrue(is_over(self.service))
        self.assertTrue(is_over(self.end))

    def test_server_stops(self) -> None:
        """When the server stops, users are told to ask elsewhere, and idle ones are let go."""
        self.publish()
        self.dial()
        self.relay.stop()
        self.hear()
        self.assertEqual(self.goaway, ErrorCodes.NO_ERROR)
        self.assertTrue(is_over(self.end))

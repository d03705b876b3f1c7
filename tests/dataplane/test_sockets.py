"""Legs on sockets, with a socket that does what the test says."""

from __future__ import annotations

import errno
import socket
from typing import cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane import sockets
from relaykit.dataplane.dead_peers import LOOK_EVERY_S
from relaykit.dataplane.poller import LOSS, PIECE_BYTES, READ, WRITE
from relaykit.dataplane.sockets import (
    END_LINGER_S,
    FLUSH_LINGER_S,
    HIGH_WATER_BYTES,
    KEEPALIVE_INTERVAL_S,
    MOST_KEEPALIVE_IDLE_S,
    SocketLeg,
    address_of,
    ending_of,
    set_keepalive,
    tune,
)
from relaykit.interfaces import IKernelLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import LOST_LINGER_S, Address, Ended
from tests.dataplane.fakes import FakePoller, FakeSocket, os_error


class SocketLegTests(SynchronousTestCase):
    """One leg on a fake socket."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.socket = FakeSocket()
        self.leg = SocketLeg(self.poller, cast(socket.socket, self.socket), Address("192.0.2.1", 7))

    def attached(self) -> RecordingReceiver:
        """A receiver that the leg has."""
        return RecordingReceiver(self.leg)

    def readable(self, *inputs: bytes | OSError) -> None:
        """Lets input arrive, one piece an event."""
        for each in inputs:
            self.socket.input.append(each)
            self.leg.ready(READ)

    def writable(self, room: int = 1 << 30) -> None:
        """Lets the socket take so much more."""
        self.socket.room += room
        self.leg.ready(WRITE)

    def test_interface(self) -> None:
        """The leg is one that the kernel can move bytes of."""
        verifyObject(IKernelLeg, self.leg)
        self.assertEqual(self.leg.fileno(), 7)
        self.assertIn("192.0.2.1:7", repr(self.leg))

    def test_interest(self) -> None:
        """It waits for input only while somebody wants it, for room only while output is queued."""
        self.assertEqual(self.leg.interest, 0)
        self.attached()
        self.assertEqual(self.leg.interest, READ)
        self.leg.pauseProducing()
        self.assertEqual(self.leg.interest, LOSS)
        self.leg.resumeProducing()
        self.socket.room = 1
        self.leg.write(b"ab")
        self.assertEqual(self.leg.interest, READ | WRITE)
        self.writable()
        self.assertEqual((self.leg.interest, self.socket.sent), (READ, b"ab"))

    def test_spurious_events(self) -> None:
        """Events that are not waited for any more change nothing."""
        receiver = self.attached()
        self.leg.pauseProducing()
        self.readable(b"early")
        self.leg.ready(WRITE)
        self.assertEqual(receiver.data, b"")
        self.leg.resumeProducing()
        self.leg.ready(READ)
        self.leg.ready(READ)
        self.assertEqual(receiver.data, b"early")

    def test_sequences(self) -> None:
        """Several pieces cost one system call; what is left is queued from the middle of a piece."""
        self.leg.write_sequence([b"ab", b"cd", b"ef"])
        self.assertEqual((self.socket.calls, self.socket.sent), (1, b"abcdef"))
        self.socket.room = 3
        self.leg.write_sequence([b"gh", bytearray(b"ij"), memoryview(b"kl")])
        self.assertEqual(self.leg.output_queued, 3)
        self.leg.write_sequence([b"m", b"n"])
        self.writable(2)
        self.writable()
        self.assertEqual(self.socket.sent, b"abcdefghijklmn")

    def test_full_pieces(self) -> None:
        """Two full pieces are read in one event, not more; what comes after a short one waits."""
        receiver = self.attached()
        full = bytes(PIECE_BYTES)
        self.socket.input += [full, full, full, b"short", full]
        for expected in (2, 4, 5):
            self.leg.ready(READ)
            self.assertEqual(receiver.pieces, expected)
        self.assertEqual(receiver.data, full * 3 + b"short" + full)

    def test_pausing_between_full_pieces(self) -> None:
        """Who pauses the leg within the first piece does not get the second one."""
        leg, full = self.leg, bytes(PIECE_BYTES)

        class Pausing(RecordingReceiver):
            """Pauses at each piece."""

            def data_received(self, data: Buffer) -> None:
                super().data_received(data)
                leg.pauseProducing()

        receiver = Pausing(leg)
        self.socket.input += [full, full]
        leg.ready(READ)
        self.assertEqual((receiver.pieces, len(self.socket.input)), (1, 1))

    def test_very_many_pieces(self) -> None:
        """More pieces than one system call takes are sent by several, in order."""
        pieces = [b"%05d" % number for number in range(3000)]
        self.leg.write_sequence(pieces)
        self.socket.room = 7
        self.leg.write_sequence(pieces)
        while self.leg.output_queued:
            self.writable(999)
        self.assertEqual(self.socket.sent == b"".join(pieces) * 2, True)

    def test_water_marks(self) -> None:
        """The producer rests from the high mark until the queue is below the low one."""
        producer = RecordingProducer()
        self.leg.registerProducer(producer, True)
        self.socket.room = 0
        self.leg.write(bytes(HIGH_WATER_BYTES - 1))
        self.assertFalse(producer.paused)
        self.leg.write(b"x")
        self.assertTrue(producer.paused)
        self.writable(1000)
        self.assertTrue(producer.paused)
        self.writable()
        self.assertEqual((producer.paused, producer.pauses), (False, 1))

    def test_reset(self) -> None:
        """A reset while reading is told as such, at the end of the turn, and the socket is given back."""
        receiver = self.attached()
        self.readable(b"data", os_error(errno.ECONNRESET))
        self.assertEqual((receiver.data, receiver.lost, self.socket.closed), (b"data", None, True))
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.poller.forgotten), (Ended.RESET, [self.leg]))
        self.leg.write(b"ignored")
        self.leg.close()
        self.leg.abort()

    def test_timeout(self) -> None:
        """A peer that does not acknowledge is told apart from one that resets."""
        receiver = self.attached()
        self.readable(os_error(errno.ETIMEDOUT))
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.TIMEOUT)

    def test_write_fails(self) -> None:
        """Writing to a peer that is gone is no error of the writer; what it sent before is delivered."""
        receiver = self.attached()
        self.socket.write_error = os_error(errno.EPIPE)
        self.leg.write(b"x")
        self.leg.write_sequence([b"y", b"z"])
        self.poller.end_turn()
        self.assertIsNone(receiver.lost)
        self.readable(b"last words", b"")
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.ended, receiver.lost), (b"last words", False, Ended.RESET))

    def test_write_fails_while_paused(self) -> None:
        """A paused leg whose output fails is lost once its reader had time to go on and did not."""
        receiver = self.attached()
        self.leg.pauseProducing()
        self.socket.write_error = os_error(errno.ECONNRESET)
        self.leg.write(b"x")
        self.assertIsNone(receiver.lost)
        self.poller.end_turn()
        self.assertIsNone(receiver.lost)
        self.poller.clock.advance(LOST_LINGER_S)
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.poller.clock.getDelayedCalls()), (Ended.RESET, []))

    def test_lost_while_paused(self) -> None:
        """The loss of a paused leg is noticed; a reader that goes on in time gets what came before."""
        receiver = self.attached()
        self.leg.pauseProducing()
        self.socket.error = errno.ECONNRESET
        self.leg.ready(LOSS)
        self.poller.end_turn()
        self.assertEqual((self.leg.interest, receiver.lost), (0, None))
        self.leg.resumeProducing()
        self.readable(b"last words", b"")
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.lost), (b"last words", Ended.RESET))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_lost_after_the_peers_end(self) -> None:
        """A peer that ended and is gone later is noticed though there is nothing to read or write."""
        receiver = self.attached()
        self.readable(b"")
        self.socket.error = errno.EPIPE
        self.leg.ready(LOSS)
        self.poller.end_turn()
        self.assertEqual((receiver.ended, receiver.lost), (True, Ended.RESET))

    def test_hung_up(self) -> None:
        """A hang-up without an error is the orderly end of both directions: unread bytes stay."""
        receiver = self.attached()
        self.leg.pauseProducing()
        self.leg.finish_writing()
        self.leg.ready(LOSS)
        self.poller.end_turn()
        self.assertEqual((self.leg.interest, receiver.lost), (0, None))
        self.leg.resumeProducing()
        self.readable(b"rest", b"")
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.ended, receiver.lost), (b"rest", True, Ended.FINISHED))

    def test_write_fails_before_closing(self) -> None:
        """A leg whose output failed and that is closed before its input has ended gives the socket back."""
        receiver = self.attached()
        self.socket.write_error = os_error(errno.ECONNRESET)
        self.leg.write(b"lost")
        self.poller.end_turn()
        self.assertFalse(self.socket.closed)
        self.leg.close()
        self.poller.end_turn()
        self.assertTrue(self.socket.closed)
        self.assertIs(receiver.lost, Ended.RESET)

    def test_write_fails_while_closing(self) -> None:
        """A leg that is closing and whose peer is gone gives the socket back at once."""
        receiver = self.attached()
        self.socket.room = 0
        self.leg.write(b"x")
        self.leg.close()
        self.socket.write_error = os_error(errno.ECONNRESET)
        self.leg.ready(WRITE)
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.poller.clock.getDelayedCalls()), (Ended.RESET, []))

    def test_unreachable(self) -> None:
        """An error that is no reset ends the leg at once."""
        receiver = self.attached()
        self.socket.write_error = os_error(errno.EHOSTUNREACH)
        self.leg.write(b"x")
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.UNREACHABLE)

    def test_both_ends(self) -> None:
        """When both directions have ended the leg is gone, in either order."""
        receiver = self.attached()
        self.leg.finish_writing()
        self.assertTrue(self.socket.shut)
        self.readable(b"")
        self.poller.end_turn()
        self.assertEqual((receiver.ended, receiver.lost), (True, Ended.FINISHED))
        self.setUp()
        receiver = self.attached()
        self.readable(b"")
        self.assertEqual((receiver.ended, self.leg.interest), (True, LOSS))
        self.leg.write(b"answer")
        self.leg.finish_writing()
        self.poller.end_turn()
        self.assertEqual((self.socket.sent, receiver.lost), (b"answer", Ended.FINISHED))

    def test_finish_waits_for_the_queue(self) -> None:
        """The end goes out after what was written."""
        self.socket.room = 1
        self.leg.write(b"abc")
        self.leg.finish_writing()
        self.assertFalse(self.socket.shut)
        self.writable()
        self.assertEqual((self.socket.sent, self.socket.shut), (b"abc", True))

    def test_close_waits_for_the_peer(self) -> None:
        """Closing sends the end and swallows input until the peer's end: unread bytes would reset."""
        receiver = self.attached()
        self.leg.close()
        self.assertEqual((self.socket.shut, self.socket.closed, self.leg.interest), (True, False, READ))
        self.readable(b"swallowed", b"")
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.FINISHED))
        self.assertEqual((self.socket.closed, self.socket.reset_on_close), (True, False))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_close_after_the_peer(self) -> None:
        """When the peer has ended already, closing needs no waiting and no timer."""
        receiver = self.attached()
        self.readable(b"")
        self.leg.close()
        self.poller.end_turn()
        self.assertEqual((self.socket.closed, receiver.lost), (True, Ended.FINISHED))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_peer_does_not_end(self) -> None:
        """A peer that goes on sending after this side closed is waited for a bounded time."""
        receiver = self.attached()
        self.leg.close()
        self.poller.clock.advance(END_LINGER_S)
        self.poller.end_turn()
        self.assertEqual((self.socket.closed, receiver.lost), (True, Ended.FINISHED))

    def test_peer_does_not_read(self) -> None:
        """What cannot be sent within the linger time is dropped, and the peer is reset."""
        receiver = self.attached()
        self.socket.room = 0
        self.leg.write(b"stuck")
        self.leg.close()
        self.poller.clock.advance(FLUSH_LINGER_S - 1)
        self.assertFalse(self.socket.closed)
        self.poller.clock.advance(1)
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.socket.reset_on_close), (Ended.TIMEOUT, True))

    def test_dead_peer(self) -> None:
        """A peer whose machine confirms nothing any more is lost; the socket is given back."""
        receiver = self.attached()
        self.socket.repeated, self.socket.silent_ms = 9, 125_000
        self.poller.clock.advance(LOOK_EVERY_S)
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.socket.closed), (Ended.TIMEOUT, True))

    def test_peer_takes_its_time(self) -> None:
        """A peer that takes nothing, while its machine answers, is waited for."""
        receiver = self.attached()
        self.socket.room = 0
        self.leg.write(b"stuck")
        self.socket.repeated, self.socket.silent_ms = 1, 119_000
        for _ in range(100):
            self.poller.clock.advance(LOOK_EVERY_S)
        self.assertIsNone(receiver.lost)

    def test_nothing_left_behind(self) -> None:
        """When the last leg is gone nothing is looked at any more."""
        self.leg.abort()
        self.poller.end_turn()
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_confirmed(self) -> None:
        """Of a real connection the kernel tells what the peer's machine has not confirmed; of others not."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            near = socket.create_connection(listening.getsockname())
            far, _ = listening.accept()
            with far:
                near.setblocking(False)
                leg = SocketLeg(self.poller, near, Address("127.0.0.1", 1))
                self.assertEqual(leg.unconfirmed, 0)
                leg.write(bytes(50_000_000))
                self.assertGreater(leg.unconfirmed or 0, 0)
                leg.give_up_unconfirmed(7.0)
                option = getattr(socket, "TCP_USER_TIMEOUT", None)
                if option is not None:
                    self.assertEqual(near.getsockopt(socket.IPPROTO_TCP, option), 7000)
                leg.abort()
                self.assertIsNone(leg.unconfirmed)
                leg.give_up_unconfirmed(7.0)
        near, far = socket.socketpair()
        with far:
            leg = SocketLeg(self.poller, near)
            self.assertIsNone(leg.unconfirmed)
            leg.abort()

    def test_close_sends_the_queue(self) -> None:
        """Output that was queued goes out after close, then the end, then the peer's end is awaited."""
        receiver = self.attached()
        self.socket.room = 2
        self.leg.write(b"queued")
        self.leg.close()
        self.poller.clock.advance(1)
        self.writable()
        self.assertEqual((self.socket.sent, self.socket.shut, self.socket.closed), (b"queued", True, False))
        self.poller.clock.advance(END_LINGER_S)
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.FINISHED)

    def test_break_off(self) -> None:
        """A leg that is broken off sends what was queued, ends, and is reset soon after."""
        receiver = self.attached()
        self.socket.room = 2
        self.leg.write(b"queued")
        self.leg.break_off()
        self.leg.break_off()
        self.writable()
        self.readable(b"swallowed")
        self.assertEqual((self.socket.sent, self.socket.shut, self.socket.closed), (b"queued", True, False))
        self.poller.clock.advance(LOST_LINGER_S)
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.FINISHED))
        self.assertEqual((self.socket.closed, self.socket.reset_on_close), (True, True))

    def test_break_off_after_the_end(self) -> None:
        """A peer that has all that was written, and the end, is reset at once."""
        receiver = self.attached()
        self.leg.finish_writing()
        self.leg.break_off()
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.socket.reset_on_close), (Ended.FINISHED, True))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_break_off_towards_a_slow_peer(self) -> None:
        """What was queued goes on being sent as long as the peer takes some of it; then it is reset."""
        receiver = self.attached()
        self.socket.room = 0
        self.leg.write(b"queued")
        self.leg.close()
        self.leg.break_off()
        for _ in range(3):
            self.writable(1)
            self.poller.clock.advance(LOST_LINGER_S)
            self.assertFalse(self.socket.closed)
        self.poller.clock.advance(LOST_LINGER_S)
        self.poller.end_turn()
        self.assertEqual((self.socket.sent, receiver.lost), (b"que", Ended.TIMEOUT))
        self.assertTrue(self.socket.reset_on_close)

    def test_break_off_is_bounded(self) -> None:
        """A peer that takes a byte now and then does not keep a leg for ever."""
        self.attached()
        self.socket.room = 0
        self.leg.write(bytes(1000))
        self.leg.break_off()
        for _ in range(int(FLUSH_LINGER_S / LOST_LINGER_S)):
            self.assertFalse(self.socket.closed)
            self.writable(1)
            self.poller.clock.advance(LOST_LINGER_S)
        self.assertTrue(self.socket.closed)

    def test_break_off_what_is_gone(self) -> None:
        """A leg that is gone needs no breaking off."""
        receiver = self.attached()
        self.leg.abort()
        self.leg.break_off()
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.CANCELLED)
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_abort(self) -> None:
        """Aborting resets, drops the queue, and tells the loss later."""
        receiver = self.attached()
        self.socket.room = 0
        self.leg.write(b"dropped")
        self.leg.abort()
        self.assertEqual((self.socket.closed, self.socket.reset_on_close), (True, True))
        self.assertEqual((receiver.lost, self.leg.output_queued, self.leg.fileno()), (None, 0, -1))
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.CANCELLED)

    def test_defect_of_the_receiver(self) -> None:
        """A leg whose receiver raised is dropped, and says that the defect is here."""
        receiver = self.attached()
        self.leg.failed()
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.INTERNAL_ERROR)

    def test_read_with(self) -> None:
        """While another reads, input is left to another, whose end and errors are those of the leg."""
        receiver = self.attached()
        results: list[int | OSError] = [5, os_error(errno.EAGAIN), 0]

        def read() -> int:
            result = results.pop(0)
            if isinstance(result, OSError):
                raise result
            return result

        self.leg.read_with(read)
        for _ in range(3):
            self.leg.ready(READ)
        self.assertEqual((receiver.data, receiver.ended, results), (b"", True, []))

    def test_await_writable(self) -> None:
        """Who waits for room is called once, after what was written before."""
        calls: list[bytes] = []
        self.socket.room = 0
        self.leg.write(b"first")
        self.leg.await_writable(lambda: calls.append(self.socket.sent))
        self.writable(2)
        self.assertEqual(calls, [])
        self.writable()
        self.writable()
        self.assertEqual((calls, self.leg.interest), ([b"first"], LOSS))


class AddressTests(SynchronousTestCase):
    """What the kernel answers, as values."""

    def test_addresses(self) -> None:
        """IPv4, IPv6, mapped and unix addresses."""
        self.assertEqual(address_of(("192.0.2.1", 5)), Address("192.0.2.1", 5))
        self.assertEqual(address_of(("2001:db8::1", 5, 0, 0)), Address("2001:db8::1", 5))
        self.assertEqual(address_of(("::ffff:192.0.2.1", 5, 0, 0)), Address("192.0.2.1", 5))
        self.assertIsNone(address_of("/run/x.sock"))
        self.assertIsNone(address_of(""))

    def test_endings(self) -> None:
        """Errors of a connection, as reasons."""
        self.assertIs(ending_of(os_error(errno.ETIMEDOUT)), Ended.TIMEOUT)
        self.assertIs(ending_of(os_error(errno.EHOSTUNREACH)), Ended.UNREACHABLE)
        self.assertIs(ending_of(os_error(errno.EPIPE)), Ended.RESET)

    def test_no_pacing_within_a_machine(self) -> None:
        """Where the system paces connections, those between two sockets of one machine are not."""
        here, there, loopback = (Address(each, 7) for each in ("192.0.2.1", "192.0.2.2", "127.0.0.9"))

        def chosen(peer: Address, host: Address | None) -> object:
            plain = FakeSocket()
            SocketLeg(FakePoller(), cast(socket.socket, plain), peer, host)
            return plain.congestion_control

        self.patch(sockets, "_is_paced", lambda: True)
        self.assertEqual([chosen(loopback, None), chosen(here, here)], [b"reno", b"reno"])
        self.assertEqual([chosen(there, here), chosen(there, None)], [None, None])
        self.patch(sockets, "_is_paced", lambda: False)
        self.assertIsNone(chosen(loopback, loopback))

    def test_tuning_never_fails(self) -> None:
        """A socket that takes no option is used as it is."""

        class Stubborn(FakeSocket):
            def setsockopt(self, level: int, option: int, value: object) -> None:
                raise os_error(errno.EINVAL)

        tune(cast(socket.socket, Stubborn()))

    def test_keepalive(self) -> None:
        """The kernel asks a silent peer as late as is wanted, then soon again; or never."""
        with socket.socket() as plain:
            tune(plain)
            self.assertTrue(plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            for idle_s, interval_s in ((300, KEEPALIVE_INTERVAL_S), (5, 5)):
                set_keepalive(plain, idle_s)
                self.assertTrue(plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
                for option, value in (("TCP_KEEPIDLE", idle_s), ("TCP_KEEPINTVL", interval_s)):
                    if hasattr(socket, option):
                        self.assertEqual(plain.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)), value)
            set_keepalive(plain, MOST_KEEPALIVE_IDLE_S + 1)
            self.assertTrue(plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            set_keepalive(plain, -1)
            self.assertFalse(plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

"""Tests of a QUIC connection as a path of streams."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.carriers.quic import path as path_module
from relaykit.carriers.quic.adapter import MOST_STREAMS, Library
from relaykit.carriers.quic.opening import IDLE_S
from relaykit.carriers.quic.path import MOST_WAITING, OPEN_S, STALLED_S
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IEnd, IMeasuredPath, ISecureSession, ISharedPath, IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Ended, Origin
from tests.carriers.quic.lines import Ends, libraries, missing


class Echo:
    """Sends back what it gets, and the end."""

    def __init__(self, leg: IStreamLeg) -> None:
        self.leg = leg
        leg.registerProducer(leg, True)
        leg.attach(self)  # type: ignore[arg-type]  # it receives

    def data_received(self, data: Buffer) -> None:
        """Sends it back."""
        self.leg.write(data)

    def end_received(self) -> None:
        """Ends, too."""
        self.leg.finish_writing()

    def leg_lost(self, reason: Ended) -> None:
        """Nothing."""


class _Echoing:
    """Takes legs, and echoes."""

    def __init__(self) -> None:
        self.taken = 0

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        """Echoes."""
        self.taken += 1
        Echo(leg)


class QuicPathTests(SynchronousTestCase):
    """Both ends of a connection."""

    skip = missing()

    def ends(self, **given: Any) -> Ends:
        """Both ends, of the best library."""
        ends = Ends(libraries()[0], **given).open()
        self.addCleanup(self.leave, ends)
        return ends

    def leave(self, ends: Ends) -> None:
        """Closes both ends: nothing may be left."""
        ends.close()
        self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_provides(self) -> None:
        """It is a shared path that can measure."""
        ends = self.ends()
        for interface in (IEnd, IMeasuredPath, ISecureSession, ISharedPath):
            verifyObject(interface, ends.paths[0])
        self.assertIn("QuicPath with", repr(ends.paths[0]))
        leg = ends.leg()
        self.assertIs(ends.paths[0].connection_of(leg), ends.paths[0])
        self.assertEqual(ends.acceptors[1].origins, [])

    def test_lost_together(self) -> None:
        """Who loses a leg with its connection may do with the others what he likes: all are told of it."""
        for library in libraries():
            for end in ("abort", "close", "break_off"):
                ends = Ends(library).open()
                legs = [ends.leg() for _ in range(3)]
                users = [RecordingReceiver(leg) for leg in legs]
                for leg in legs:
                    leg.write(b"x" * 100_000)

                def lost(reason: Ended, legs: Any = legs, users: Any = users, end: str = end) -> None:
                    users[0].lost = reason
                    for leg in legs[1:]:
                        getattr(leg, end)()

                users[0].leg_lost = lost  # type: ignore[method-assign]  # it does more than note it
                ends.line.cut = True
                ends.until(lambda users=users: all(user.lost for user in users))  # type: ignore[misc]
                self.assertEqual(ends.paths[0]._legs, {})
                self.leave(ends)

    def test_speaking_at_once(self) -> None:
        """Users who all speak at once are answered in seconds, whatever the line loses of it."""
        for seed in range(3):
            ends = self.ends(loss=0.05, delay_s=0.02)
            ends.line.chance.seed(seed)
            ends.paths[1].accept_legs(_Echoing())
            legs = [ends.leg() for _ in range(20)]
            users = [RecordingReceiver(leg) for leg in legs]
            for number, leg in enumerate(legs):
                leg.write(bytes([number]) * 20_000)
                leg.finish_writing()
            ends.until(lambda users=users: all(user.lost for user in users), 10.0)  # type: ignore[misc]
            self.assertEqual([user.data for user in users], [bytes([each]) * 20_000 for each in range(20)])

    def test_turns(self) -> None:
        """Who has much to say leaves room for those who have little."""
        ends = self.ends(delay_s=0.02)
        talker, *others = (ends.leg() for _ in range(20))
        ends.until(lambda: len(ends.acceptors[1].legs) == 20)
        users = [RecordingReceiver(leg) for leg in ends.acceptors[1].legs]
        talker.write(bytes(1_000_000))
        for leg in others:
            leg.write(b"a word")
        ends.rest(0.1)
        self.assertEqual([user.data for user in users[1:]], [b"a word"] * 19)
        self.assertTrue(0 < len(users[0].data) < 200_000)

    def test_packets_of_one_stream(self) -> None:
        """What one stream may say goes into packets before the next stream says much, too."""
        ends = self.ends()
        legs: list[Any] = [ends.leg() for _ in range(3)]
        connection = ends.paths[0].connection
        write, to_send = connection.write, connection.to_send
        done: list[int | None] = []

        def noting_write(number: int, data: Buffer, fin: bool) -> None:
            done.append(number)
            write(number, data, fin)

        def noting_to_send(now: float) -> list[bytes]:
            done.append(None)
            sent: list[bytes] = to_send(now)
            return sent

        self.patch(connection, "write", noting_write)
        self.patch(connection, "to_send", noting_to_send)
        for leg in legs:
            leg.write(bytes(100_000))
        ends.rest(0.001)
        self.assertEqual(done[:5], [legs[0].number, None, legs[1].number, None, legs[2].number])

    def test_hundred_streams(self) -> None:
        """A hundred users at once, each with its own bytes and an end of its own, over a bad line."""
        for library in libraries():
            ends = Ends(library, loss=0.01).open()
            echoing = _Echoing()
            ends.paths[1].accept_legs(echoing)
            users = []
            for number in range(100):
                leg = ends.leg()
                users.append((RecordingReceiver(leg), (b"%03d" % number) * 3000))
                leg.write(users[-1][1])
                leg.finish_writing()
            ends.until(lambda users=users: all(user.lost for user, _ in users))  # type: ignore[misc]
            self.assertEqual([user.data == sent for user, sent in users], [True] * 100)
            self.assertEqual({user.lost for user, _ in users}, {Ended.FINISHED})
            self.assertEqual(echoing.taken, 100)
            self.leave(ends)

    def test_one_after_the_other(self) -> None:
        """Of streams that are over nothing is kept, and there can be any number of them."""
        ends = self.ends()
        ends.paths[1].accept_legs(_Echoing())
        for _ in range(300):
            leg = ends.leg()
            user = RecordingReceiver(leg)
            leg.write(b"x")
            leg.finish_writing()
            ends.until(lambda user=user: user.lost)  # type: ignore[misc]
        ends.rest()
        for path in ends.paths:
            self.assertEqual((len(path._legs), len(path._writers)), (1, 0))

    def test_places_awaited(self) -> None:
        """Where the peer has as many streams as it takes, new ones wait for a place, for a while."""
        ends = self.ends()
        legs = [self.successResultOf(ends.paths[0].open_leg()) for _ in range(MOST_STREAMS - 1)]
        waiting = [ends.paths[0].open_leg() for _ in range(MOST_WAITING)]
        self.assertNoResult(waiting[0])
        self.failureResultOf(ends.paths[0].open_leg(), ConnectionFailed)
        ends.until(lambda: len(ends.acceptors[1].legs) == MOST_STREAMS - 1)
        for leg in legs[:2]:
            leg.abort()
        ends.rest(1.0)
        self.successResultOf(waiting[0])
        ends.rest(OPEN_S)
        self.failureResultOf(waiting[-1], ConnectionFailed)
        for each in waiting[1:-1]:
            each.addErrback(lambda _: None)

    def test_restricted(self) -> None:
        """A restricted peer has so many streams at once; with too many in all, or too much, it is let go."""
        for deed in ("streams", "bytes"):
            ends = self.ends()
            ends.paths[1].restrict(2, 4, 1000)
            first, second = ends.leg(), ends.leg()
            for leg in (first, second):
                leg.write(b"x")
            refused = RecordingReceiver(second)
            ends.until(lambda refused=refused: refused.lost is not None)  # type: ignore[misc]
            self.assertEqual(len(ends.acceptors[1].legs), 1)
            lost = ends.paths[0].when_lost()
            if deed == "bytes":
                first.write(bytes(2000))
            else:
                for _ in range(4):
                    ends.leg()
            ends.rest()
            self.assertIs(self.successResultOf(lost), Ended.RESET)

    def test_lifted(self) -> None:
        """Then it may do what every peer may."""
        ends = self.ends()
        ends.paths[1].restrict(1, 1, 1)
        ends.paths[1].lift()
        for _ in range(5):
            ends.leg().write(b"xx")
        ends.until(lambda: len(ends.acceptors[1].legs) == 5)

    def test_nobody_accepts(self) -> None:
        """Streams that nobody takes are refused."""
        ends = self.ends()
        ends.paths[1]._acceptor = None
        received = RecordingReceiver(ends.leg())
        ends.until(lambda: received.lost is not None)
        self.assertIs(received.lost, Ended.RESET)

    def test_defects(self) -> None:
        """A defect of who takes a stream, or what is on it, costs that stream alone."""
        ends = self.ends()
        ends.paths[1]._acceptor = _Defective()
        received = RecordingReceiver(ends.leg())
        ends.until(lambda: received.lost is not None)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNoResult(ends.paths[0].when_lost())

    def test_asked(self) -> None:
        """A peer that is there says something when it is asked, and the round trip is known."""
        ends = self.ends()
        path = ends.paths[0]
        answers = path.ping(), path.round_trip()
        path.measure_round_trip()
        ends.rest(0.2)
        for each in answers:
            self.successResultOf(each)
        self.assertAlmostEqual(path.round_trip_s or 0.0, 2 * ends.line.delay_s, delta=0.01)
        ends.line.cut = True
        unanswered = path.ping(), path.round_trip()
        ends.rest(5.0)
        for each in unanswered:
            self.assertNoResult(each)
        ends.line.cut = False

    def test_closed(self) -> None:
        """A path that is closed still delivers what was written, then ends at both ends with all its legs."""
        for library in libraries():
            ends = Ends(library).open()
            leg = ends.leg()
            here = RecordingReceiver(leg)
            leg.write(bytes(100_000))
            lost = [path.when_lost() for path in ends.paths]
            ends.until(lambda ends=ends: ends.acceptors[1].legs)  # type: ignore[misc]
            there = RecordingReceiver(ends.acceptors[1].legs[0])
            ends.paths[0].close()
            self.failureResultOf(ends.paths[0].open_leg(), ConnectionFailed)
            ends.rest(3.0)
            self.assertEqual([self.successResultOf(each) for each in lost], [Ended.STOPPED, Ended.FINISHED])
            self.assertEqual(len(there.data), 100_000)
            self.assertEqual((here.lost, there.lost), (Ended.STOPPED, Ended.FINISHED))
            self.assertIs(self.successResultOf(ends.paths[0].when_lost()), Ended.STOPPED)
            self.assertEqual(ends.network.clock.getDelayedCalls(), [])

    def test_closed_and_nothing_arrives(self) -> None:
        """A path whose line is cut ends soon all the same."""
        ends = self.ends()
        ends.leg().write(b"x")
        ends.line.cut = True
        lost = ends.paths[0].when_lost()
        ends.paths[0].close()
        ends.rest(3.0)
        self.assertIs(self.successResultOf(lost), Ended.STOPPED)
        ends.line.cut = False

    def test_narrow_line(self) -> None:
        """Datagrams that do not pass for their size are found out, and everything arrives nevertheless."""
        for library in libraries():
            ends = Ends(library)
            ends.line.most_bytes = 1290
            leg = ends.open().leg()
            leg.write(bytes(500_000))
            ends.until(lambda ends=ends: ends.acceptors[1].legs)  # type: ignore[misc]
            received = RecordingReceiver(ends.acceptors[1].legs[0])
            ends.until(lambda received=received: len(received.data) == 500_000)  # type: ignore[misc]
            self.leave(ends)

    def test_unread_streams_of_frp(self) -> None:
        """Frp's streams share what may arrive unread: one that nobody reads is given up for the others."""
        self.patch(path_module, "HELD_BYTES", 1024 * 1024)
        ends = self.ends(frp=True)
        stuck, other = ends.leg(), ends.leg()
        stuck_there = RecordingReceiver(stuck)
        for _ in range(60):
            stuck.write(bytes(1024 * 1024))
            ends.rest(0.05)
        ends.rest(1.0)
        other.write(b"x" * 1000)
        ends.rest(1.0)
        self.assertEqual(len(ends.acceptors[1].legs), 1)
        ends.rest(2 * STALLED_S)
        self.assertEqual(len(ends.acceptors[1].legs), 1)
        del stuck_there

    def without_credit(self, library: Library) -> Ends:
        """Ends of frp's, the first of which has given the other one no credit any more."""
        self.patch(path_module, "HELD_BYTES", 128 * 1024)
        ends = Ends(library, frp=True).open()
        ends.leg().write(b"x")
        ends.until(lambda: ends.acceptors[1].legs)
        ends.acceptors[1].legs[0].write(bytes(512 * 1024))
        ends.until(lambda: ends.paths[0]._stalled is not None)
        return ends

    def test_without_credit(self) -> None:
        """Who has no credit is heard all the same, and let go if it sends more than questions for some."""
        self.patch(path_module, "MOST_WITHHELD_BYTES", 1024 * 1024)
        for library in libraries():
            ends = self.without_credit(library)
            heard, lost = ends.paths[0].ping(), ends.paths[0].when_lost()
            ends.rest(STALLED_S)
            self.successResultOf(heard)
            self.assertNoResult(lost)
            for _ in range(1024 * 1024 // 60_000 + 1):
                ends.line.legs[0].arrive(bytes(60_000))
            self.assertIs(self.successResultOf(lost), Ended.PROTOCOL_ERROR)
            self.leave(ends)

    def test_silent_while_more_waits(self) -> None:
        """A peer that falls silent is noticed where much waits to be sent; a lost path never answers."""
        for library in libraries():
            ends = Ends(library, frp=True).open()
            leg = ends.leg()
            leg.write(b"x")
            lost = ends.paths[0].when_lost()
            ends.rest(1.0)
            ends.line.cut = True
            for _ in range(int(2 * IDLE_S)):
                leg.write(bytes(500_000))
                ends.rest(1.0)
            self.assertIs(self.successResultOf(lost), Ended.TIMEOUT)
            self.assertNoResult(ends.paths[0].round_trip())
            self.leave(ends)

    def test_end_without_credit(self) -> None:
        """The end of a connection is noticed while its peer has no credit: told, or for silence."""
        for library in libraries():
            for is_told in (True, False):
                ends = self.without_credit(library)
                lost = ends.paths[0].when_lost()
                if is_told:
                    ends.paths[1].abort()
                ends.rest(1.0)
                ends.line.cut = True
                ends.rest(2 * IDLE_S)
                self.assertIs(self.successResultOf(lost), Ended.FINISHED if is_told else Ended.TIMEOUT)
                self.leave(ends)

    def test_nothing_kept(self) -> None:
        """A path that is over is not kept by anything."""
        ends = Ends(libraries()[0]).open()
        known = weakref.ref(ends.paths[0])
        ends.close()
        del ends
        gc.collect()
        self.assertIsNone(known())


class _Defective:
    """Has a defect."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        """Fails."""
        raise ZeroDivisionError("a defect")

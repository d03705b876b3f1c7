from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.late_wakeup import GRACE_S, LATE_WAKEUP_S
from relaykit.sansio.yamux.streams import Stream
from relaykit.sansio.yamux.timing import PING_TIMEOUT_S, Deadlines, Keepalive


class KeepaliveTests(SynchronousTestCase):
    """Tests for pings, their answers and their absence."""

    def test_rhythm(self) -> None:
        """A ping is wanted one interval after the beginning, and one after each answer."""
        keepalive = Keepalive(30.0, 100.0)
        self.assertEqual(keepalive.next_wakeup(), 130.0)
        self.assertTrue(keepalive.wake(129.9))
        self.assertFalse(keepalive.wanted)
        self.assertTrue(keepalive.wake(130.0))
        self.assertTrue(keepalive.wanted)
        self.assertEqual(keepalive.send(130.0), 0)
        self.assertFalse(keepalive.wanted)
        keepalive.answered(0, 130.25)
        self.assertEqual(keepalive.round_trip_s, 0.25)
        self.assertEqual(keepalive.next_wakeup(), 160.25)
        keepalive.wake(160.25)
        self.assertEqual(keepalive.send(160.25), 1)

    def test_counts(self) -> None:
        """Pings are counted when they go out and when they are answered, not when they are wanted."""
        keepalive = Keepalive(30.0, 0.0)
        counts = []
        keepalive.want(0.0)
        counts.append((keepalive.begun_pings, keepalive.answered_pings))
        keepalive.send(0.0)
        counts.append((keepalive.begun_pings, keepalive.answered_pings))
        keepalive.answered(7, 0.0)
        keepalive.answered(0, 1.0)
        counts.append((keepalive.begun_pings, keepalive.answered_pings))
        self.assertEqual(counts, [(0, 0), (1, 0), (1, 1)])

    def test_silence(self) -> None:
        """Nothing heard for ten seconds after a ping means that the peer is dead."""
        keepalive = Keepalive(30.0, 0.0)
        keepalive.wake(30.0)
        keepalive.send(30.0)
        self.assertEqual(keepalive.next_wakeup(), 30.0 + PING_TIMEOUT_S)
        self.assertTrue(keepalive.wake(39.9))
        self.assertFalse(keepalive.wake(40.0))

    def test_two_intervals(self) -> None:
        """Where pings are frequent, a dead peer is noticed two intervals after it was heard last."""
        keepalive = Keepalive(3.0, 0.0)
        keepalive.wake(3.0)
        keepalive.send(3.0)
        self.assertTrue(keepalive.wake(5.9))
        self.assertFalse(keepalive.wake(6.0))

    def test_this_side_was_stopped(self) -> None:
        """After a pause of this process the peer gets time to be heard, and is then dead or not."""
        for heard in (False, True):
            keepalive = Keepalive(30.0, 0.0)
            keepalive.wake(30.0)
            keepalive.send(30.0)
            self.assertTrue(keepalive.wake(600.0))
            self.assertEqual(keepalive.next_wakeup(), 600.0 + GRACE_S)
            if heard:
                keepalive.answered(0, 600.5)
            self.assertIs(keepalive.wake(600.0 + GRACE_S), heard)

    def test_a_little_late(self) -> None:
        """A wake-up that is a little late is no pause."""
        keepalive = Keepalive(30.0, 0.0)
        keepalive.wake(30.0)
        self.assertFalse(keepalive.wake(40.0 + LATE_WAKEUP_S))

    def test_unsent_ping(self) -> None:
        """A ping that a blocked link does not even take counts from when it was wanted."""
        keepalive = Keepalive(30.0, 0.0)
        keepalive.wake(30.0)
        self.assertFalse(keepalive.wake(40.0))

    def test_other_bytes_are_a_sign_of_life(self) -> None:
        """A peer that is heard is not dead, though its answer is stuck behind other traffic."""
        keepalive = Keepalive(30.0, 0.0)
        keepalive.wake(30.0)
        keepalive.send(30.0)
        keepalive.heard_at = 39.0
        self.assertTrue(keepalive.wake(48.9))
        self.assertFalse(keepalive.wake(49.0))

    def test_answers_that_were_not_asked_for(self) -> None:
        """An answer to no ping, or with another value, changes nothing."""
        keepalive = Keepalive(30.0, 0.0)
        keepalive.answered(0, 1.0)
        keepalive.wake(30.0)
        keepalive.answered(0, 30.0)
        keepalive.send(30.0)
        keepalive.answered(7, 31.0)
        self.assertIsNone(keepalive.round_trip_s)
        self.assertFalse(keepalive.wake(40.0))

    def test_one_at_a_time(self) -> None:
        """While a ping is under way no other is sent."""
        keepalive = Keepalive(30.0, 0.0)
        keepalive.want(5.0)
        keepalive.send(5.0)
        keepalive.want(6.0)
        self.assertFalse(keepalive.wanted)

    def test_off(self) -> None:
        """Without an interval nothing is ever due, but a round trip can still be measured."""
        keepalive = Keepalive(None, 0.0)
        self.assertIsNone(keepalive.next_wakeup())
        keepalive.want(5.0)
        self.assertEqual(keepalive.send(5.0), 0)
        self.assertTrue(keepalive.wake(1e9))
        keepalive.answered(0, 5.5)
        self.assertEqual(keepalive.round_trip_s, 0.5)
        self.assertIsNone(keepalive.next_wakeup())


class DeadlinesTests(SynchronousTestCase):
    """Tests for streams that wait equally long."""

    def test_order(self) -> None:
        """Those that began first run out of time first."""
        deadlines = Deadlines(10.0)
        first, second = Stream(1, 0.0), Stream(3, 0.0)
        deadlines.begin(first, 0.0)
        deadlines.begin(second, 1.0)
        deadlines.begin(first, 5.0)
        self.assertEqual(deadlines.first(), 10.0)
        self.assertEqual(list(deadlines.expired(9.9)), [])
        self.assertEqual(list(deadlines.expired(10.5)), [first])
        self.assertEqual(deadlines.first(), 11.0)
        self.assertEqual(list(deadlines.expired(11.0)), [second])
        self.assertIsNone(deadlines.first())

    def test_ending(self) -> None:
        """A stream that waits no longer does not run out of time."""
        deadlines = Deadlines(10.0)
        stream = Stream(1, 0.0)
        self.assertFalse(deadlines.end(stream))
        deadlines.begin(stream, 0.0)
        self.assertIn(stream, deadlines)
        self.assertTrue(deadlines.end(stream))
        self.assertEqual((len(deadlines), list(deadlines.expired(99.0))), (0, []))

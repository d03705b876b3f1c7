"""Tests of heartbeats, and of probing whether a client is alive."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ServerTransport
from relaykit.server.liveness import (
    LATE_S,
    PROBE_TIMEOUT_S,
    PROBES_AT_ONCE,
    PROBES_PER_S,
    LivenessProbe,
    heartbeat_of,
)


class LivenessProbeTests(SynchronousTestCase):
    """Whether a client is alive."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked = 0
        self.probe = LivenessProbe(self.ask, self.clock)

    def ask(self) -> None:
        """Notes that the client is asked."""
        self.asked += 1

    def test_heard(self) -> None:
        """A client that says something is alive; nothing is left to wait for."""
        answer = self.probe.probe()
        self.assertNoResult(answer)
        self.probe.heard()
        self.assertTrue(self.successResultOf(answer))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """A client that says nothing for three seconds is not."""
        answer = self.probe.probe()
        self.clock.advance(PROBE_TIMEOUT_S - 0.1)
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.assertFalse(self.successResultOf(answer))

    def test_asked_once(self) -> None:
        """Who asks while an answer is awaited gets the same one; later ones ask again."""
        answers = [self.probe.probe(), self.probe.probe()]
        self.probe.heard()
        self.assertEqual([self.successResultOf(each) for each in answers], [True, True])
        self.assertNoResult(self.probe.probe())
        self.assertEqual(self.asked, 2)

    def test_asked_without_end(self) -> None:
        """A client that is asked all the time is asked at a rate; in between its last answer counts."""
        for seconds in (0.0, 2.0):
            self.asked = 0
            self.clock.advance(seconds)
            answers = []
            for _ in range(1000):
                answers.append(self.probe.probe())
                self.probe.heard()
            self.assertTrue(all(self.successResultOf(each) for each in answers))
            self.assertEqual(self.asked, 2 * PROBES_PER_S if seconds else PROBES_AT_ONCE)

    def test_deaf(self) -> None:
        """Silence proves nothing while this side cannot hear, from the question on."""
        deaf_at = 5.0
        probe = LivenessProbe(self.ask, self.clock, lambda time: deaf_at >= time)
        self.clock.advance(5.0)
        answer = probe.probe()
        self.clock.advance(PROBE_TIMEOUT_S)
        self.assertTrue(self.successResultOf(answer))
        answer = probe.probe()
        self.clock.advance(PROBE_TIMEOUT_S)
        self.assertFalse(self.successResultOf(answer))

    def test_earlier_signs(self) -> None:
        """What was heard before the question is no answer."""
        self.probe.heard()
        self.assertNoResult(self.probe.probe())

    def test_lost(self) -> None:
        """A client that is gone is not alive, and is not asked any more."""
        answer = self.probe.probe()
        self.probe.lost()
        self.assertFalse(self.successResultOf(answer))
        self.assertFalse(self.successResultOf(self.probe.probe()))
        self.assertEqual(self.asked, 1)

    def test_held_up(self) -> None:
        """When this side stood still, the client gets its time again: its answer waits to be read."""
        answer = self.probe.probe()
        self.clock.advance(PROBE_TIMEOUT_S + LATE_S + 60)
        self.assertNoResult(answer)
        self.probe.heard()
        self.assertTrue(self.successResultOf(answer))


class HeartbeatTests(SynchronousTestCase):
    """Tests for :func:`heartbeat_of`."""

    def check(self, expected: float | None, muxed: bool, timeout: int, keepalive: int = 30) -> None:
        """With these settings this much silence is too much."""
        transport = ServerTransport(heartbeat_timeout=timeout, tcp_mux_keepalive_interval=keepalive)
        self.assertEqual(heartbeat_of(transport, muxed).timeout_s, expected)

    def test_without_mux(self) -> None:
        """A client without mux must be heard, every 90 seconds unless another time is configured."""
        self.check(90.0, False, 0)
        self.check(40.0, False, 40)
        self.check(None, False, -1)

    def test_with_mux(self) -> None:
        """A client whose link is pinged needs no heartbeats, whatever is configured for others."""
        self.check(None, True, 0)
        self.check(None, True, 90)

    def test_with_mux_without_pings(self) -> None:
        """Where the link is not pinged the configured time counts."""
        self.check(None, True, 0, keepalive=-1)
        self.check(90.0, True, 90, keepalive=-1)

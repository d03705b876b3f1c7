"""Tests of which ways there are to a server, and which come first."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.ways import (
    DEMOTED_S,
    LONGEST_DEMOTION_S,
    MOST_WAYS,
    WORKED_S,
    RacingCarrier,
    Way,
    WayMemory,
    ways_to,
)

WEB = RacingCarrier("web", 3, https=True)
STREAM = RacingCarrier("stream", 1)
PACKETS = RacingCarrier("packets", 2, own_port=True)
ALL = (WEB, STREAM, PACKETS)


class WaysTests(SynchronousTestCase):
    """Tests for :func:`ways_to`."""

    def ways(self, port: int, told: dict[str, int] | None = None, *, proxied: bool = False) -> list[str]:
        """The ways as people read them."""
        return [str(each) for each in ways_to(port, ALL, told, proxied=proxied)]

    def test_all(self) -> None:
        """By the places of carriers; what looks like HTTPS at its port, too."""
        expected = ["stream at port 7000", "packets at port 7000", "web at port 7000", "web at port 443"]
        self.assertEqual(self.ways(7000), expected)
        self.assertEqual(self.ways(443), ["stream at port 443", "packets at port 443", "web at port 443"])

    def test_told(self) -> None:
        """A port of its own is where the server says, and nowhere if it has none."""
        self.assertIn("packets at port 7001", self.ways(7000, {"packets": 7001, "other": 1}))
        self.assertNotIn("packets", " ".join(self.ways(7000, {})))

    def test_proxied(self) -> None:
        """Nothing but TCP goes through a forward proxy."""
        self.assertNotIn("packets", " ".join(self.ways(7000, {"packets": 7001}, proxied=True)))

    def test_looked_up(self) -> None:
        """A port that comes with the name has no number yet."""
        self.assertEqual(self.ways(0), ["stream", "packets", "web", "web at port 443"])

    def test_bounded(self) -> None:
        """Never more than so many."""
        self.assertEqual(len(ways_to(1, [RacingCarrier(str(n), 1) for n in range(99)])), MOST_WAYS)


class WayMemoryTests(SynchronousTestCase):
    """What happened on a network decides what is tried first there."""

    def setUp(self) -> None:
        self.ways = ways_to(7000, ALL)
        self.first, self.second, *_ = self.ways

    def test_nothing(self) -> None:
        """Without memory nothing changes."""
        self.assertEqual(WayMemory().ordered(self.ways, 0.0), self.ways)

    def test_worked(self) -> None:
        """What worked is first, until it is old; the others keep their order."""
        memory = WayMemory().after_success(self.ways[3], 1000.0)
        self.assertEqual(memory.ordered(self.ways, 2000.0), [self.ways[3], *self.ways[:3]])
        self.assertEqual(memory.ordered(self.ways, 1000.0 + WORKED_S), self.ways)

    def test_fell_silent(self) -> None:
        """What fell silent is last, also if it worked then; each time for longer, up to a bound."""
        memory, now = WayMemory().after_success(self.first, 0.0), 0.0
        for times in range(1, 20):
            memory = memory.after_silence(self.first, now)
            lasts_s = min(DEMOTED_S * 2 ** (times - 1), LONGEST_DEMOTION_S)
            self.assertEqual(memory.ordered(self.ways, now + lasts_s - 1), [*self.ways[1:], self.first])
            now += lasts_s
            self.assertFalse(memory.is_demoted(self.first, now))

    def test_forgiven(self) -> None:
        """What fell silent long ago counts no more."""
        memory = WayMemory()
        for now in (0.0, 1.0, 2.0):
            memory = memory.after_silence(self.first, now)
        later = 3 + 2 * LONGEST_DEMOTION_S
        self.assertEqual(memory.after_silence(self.first, later).silences[self.first.key].times, 1)

    def test_wrong_clock(self) -> None:
        """What a clock that was ahead has written counts for nothing once it is right."""
        ahead = 1e9
        memory = WayMemory().after_success(self.second, ahead).after_silence(self.first, ahead)
        self.assertEqual(memory.ordered(self.ways, 1000.0), self.ways)
        self.assertEqual(memory.ordered(self.ways, ahead)[0], self.second)

    def test_bounded(self) -> None:
        """Ports that change leave nothing that grows."""
        memory = WayMemory()
        for port in range(1, 100):
            memory = memory.after_silence(Way("a", port), float(port))
        self.assertEqual(len(memory.silences), MOST_WAYS)
        self.assertTrue(memory.is_demoted(Way("a", 99), 99.0))

"""Tests for :mod:`relaykit.sansio.nathole.scores`."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nathole import scores
from relaykit.sansio.nathole.classification import NatFeature
from relaykit.sansio.nathole.instructions import HoleRole
from relaykit.sansio.nathole.modes import MODES, Row
from relaykit.sansio.nathole.scores import MOST_SCORE, PairKey, Scores
from tests.sansio.nathole.test_modes import EASY, RANDOM, REGULAR

HOUR = 3600.0


def key(visitor: NatFeature, provider: NatFeature, host: str = "203.0.113.9") -> PairKey:
    """Two ends, of which the visitor is seen at this host."""
    return PairKey.of(host, visitor, "198.51.100.7", provider)


class ScoresTests(SynchronousTestCase):
    """Tests for which row comes next."""

    def setUp(self) -> None:
        self.scores = Scores(24 * HOUR)

    def tried(self, provider: NatFeature, visitor: NatFeature, count: int) -> list[tuple[int, int]]:
        """The rows that are tried one after the other, none of which succeeds."""
        rows = [self.scores.choose(key(visitor, provider), provider, visitor, 0.0) for _ in range(count)]
        return [(row.mode, row.index) for row in rows]

    def test_modes(self) -> None:
        """Which modes are tried, and in which order, goes by the two NATs."""
        for provider, visitor, modes in (
            (EASY, EASY, [0]),
            (REGULAR, EASY, [1, 2, 0]),
            (EASY, REGULAR, [1, 2, 0]),
            (RANDOM, EASY, [2, 1, 0]),
            (EASY, RANDOM, [2, 1, 0]),
            (REGULAR, REGULAR, [3, 4]),
            (REGULAR, RANDOM, [4]),
            (RANDOM, REGULAR, [4]),
            (RANDOM, RANDOM, [0, 1, 3]),
        ):
            rows = [(mode, index) for mode in modes for index in range(len(MODES[mode]))]
            self.assertEqual(self.tried(provider, visitor, 2 * len(rows)), 2 * rows)

    def test_public(self) -> None:
        """The public end receives at first, and the proxy's client if both are public."""
        public = evolve(EASY, is_public=True)
        for provider, visitor, role in (
            (public, EASY, HoleRole.RECEIVER),
            (public, public, HoleRole.RECEIVER),
            (EASY, public, HoleRole.SENDER),
        ):
            self.scores = Scores(HOUR)
            rows = self.tried(provider, visitor, 5)
            self.assertEqual({MODES[mode][index][0].role for mode, index in rows}, {role})
            self.assertEqual({mode for mode, _ in rows}, {0})

    def test_success(self) -> None:
        """A row that succeeded comes again, as long as its points last, which are bounded."""
        pair = key(EASY, EASY)
        for _ in range(20):
            self.scores.succeeded(pair, Row(0, 4), 0.0)
        self.scores.choose(pair, EASY, EASY, 0.0)
        for _ in range(20):
            self.scores.succeeded(pair, Row(0, 4), 0.0)
        rows = self.tried(EASY, EASY, MOST_SCORE + 1)
        self.assertEqual(rows, [(0, 4)] * MOST_SCORE + [(0, 1)])

    def test_pairs(self) -> None:
        """Ends that are alike share what was learned, and nobody else does."""
        self.assertEqual(self.tried(EASY, EASY, 2), [(0, 0), (0, 1)])
        other = key(EASY, EASY, "203.0.113.10")
        self.assertEqual(self.scores.choose(other, EASY, EASY, 0.0), Row(0, 0))

    def test_forgotten(self) -> None:
        """What nobody has used for the configured time is forgotten."""
        pair = key(EASY, EASY)
        for now, expected in ((0.0, 0), (23 * HOUR, 1), (46 * HOUR, 2), (70 * HOUR, 0)):
            self.assertEqual(self.scores.choose(pair, EASY, EASY, now), Row(0, expected))
        self.scores.succeeded(key(RANDOM, EASY), Row(0, 0), 0.0)
        self.assertEqual(len(self.scores), 1)

    def test_bounded(self) -> None:
        """Of too many pairs the one that was used longest ago is forgotten."""
        self.patch(scores, "MOST_PAIRS", 2)
        pairs = [key(EASY, EASY, f"203.0.113.{number}") for number in range(3)]
        for pair in (pairs[0], pairs[1], pairs[0], pairs[2]):
            self.scores.choose(pair, EASY, EASY, 0.0)
        self.assertEqual(len(self.scores), 2)
        self.assertEqual(self.scores.choose(pairs[0], EASY, EASY, 0.0), Row(0, 2))
        self.assertEqual(self.scores.choose(pairs[1], EASY, EASY, 0.0), Row(0, 0))

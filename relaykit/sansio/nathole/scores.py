"""Which row of the table two ends are told, by what came of the rows before for ends like them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

from attrs import define, frozen

from relaykit.sansio.nathole.classification import NatFeature
from relaykit.sansio.nathole.instructions import HoleRole
from relaykit.sansio.nathole.modes import MODES, Row

__all__ = ["MOST_PAIRS", "MOST_SCORE", "PairKey", "Scores"]

MOST_PAIRS = 8_192
"""Pairs of ends whose scores are kept, each some 2 KB; the one that was used longest ago is forgotten."""

MOST_SCORE = 10
"""The score that no row exceeds, so that one that fails is left after as many times; frp's figure."""

_SUCCESS = 2
"""What a success adds; a try takes one."""


@frozen
class PairKey:
    """Two ends that are alike for all that is known: their first mapped hosts, and their NATs.

    Whoever is behind the same NAT learns from what the others tried.
    """

    visitor_host: str
    visitor: tuple[str, bool]
    provider_host: str
    provider: tuple[str, bool]

    @classmethod
    def of(cls, visitor_host: str, visitor: NatFeature, provider_host: str, provider: NatFeature) -> PairKey:
        """That of two ends."""
        return cls(
            visitor_host,
            (visitor.behavior.value, visitor.is_regular),
            provider_host,
            (provider.behavior.value, provider.is_regular),
        )


_Scored: TypeAlias = dict[Row, int]


@define
class _Pair:
    rows: _Scored
    used: float


class Scores:
    """The scores of all pairs.

    :param reserve_s: how long those of a pair are kept after their last use.
    """

    def __init__(self, reserve_s: float) -> None:
        self._reserve_s = reserve_s
        self._pairs: OrderedDict[PairKey, _Pair] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs)

    def choose(self, key: PairKey, provider: NatFeature, visitor: NatFeature, now: float) -> Row:
        """The first row with the highest score, which loses a point: it is about to be tried."""
        self._expire(now)
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = _Pair(_first_scores(provider, visitor), now)
        self._used(key, pair, now)
        best = max(pair.rows, key=pair.rows.__getitem__)
        pair.rows[best] -= 1
        return best

    def succeeded(self, key: PairKey, row: Row, now: float) -> None:
        """A row led to a hole."""
        pair = self._pairs.get(key)
        if pair is not None:
            pair.rows[row] = min(pair.rows[row] + _SUCCESS, MOST_SCORE)
            self._used(key, pair, now)

    def _used(self, key: PairKey, pair: _Pair, now: float) -> None:
        pair.used = now
        self._pairs.move_to_end(key)
        while len(self._pairs) > MOST_PAIRS:
            self._pairs.popitem(last=False)

    def _expire(self, now: float) -> None:
        while self._pairs:
            key, pair = next(iter(self._pairs.items()))
            if pair.used + self._reserve_s > now:
                return
            del self._pairs[key]


def _first_scores(provider: NatFeature, visitor: NatFeature) -> _Scored:
    """The rows for two ends of which nothing is known yet, in the order in which they are tried."""
    if not (provider.is_hard and visitor.is_hard):
        return _with_an_easy_end(provider, visitor)
    regular = [provider.is_regular, visitor.is_regular]
    if all(regular):
        return _scored((3, 4))
    return _scored((4,)) if any(regular) else _scored((0, 1, 3), 1)


def _with_an_easy_end(provider: NatFeature, visitor: NatFeature) -> _Scored:
    modes: Sequence[int] = (0,)
    if provider.is_hard or visitor.is_hard:
        modes = (1, 2, 0) if provider.is_regular or visitor.is_regular else (2, 1, 0)
    rows = _scored(modes)
    for row in rows:
        if row.mode == 0 and (provider.is_public or visitor.is_public):
            # Whoever is public need not open anything, and receives.
            receiver = HoleRole.RECEIVER if provider.is_public else HoleRole.SENDER
            rows[row] = int(MODES[0][row.index][0].role is receiver)
    return rows


def _scored(modes: Sequence[int], score: int = 0) -> _Scored:
    return {Row(mode, index): score for mode in modes for index in range(len(MODES[mode]))}

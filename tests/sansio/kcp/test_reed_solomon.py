"""Tests of the code behind FEC, by what frp has sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.reed_solomon import DATA_SHARDS, PARITY_SHARDS, SHARDS, add_data, recover
from tests import recorded

_SHARD_AT = 6


def recorded_groups() -> Iterator[list[bytes]]:
    """The shards of the groups of frp's that were recorded whole."""
    for connection in recorded.load("v1-kcp").connections:
        for direction in ("c2s", "s2c"):
            groups: dict[int, dict[int, bytes]] = {}
            for chunk in connection.chunks:
                if chunk.direction == direction:
                    base, position = divmod(int.from_bytes(chunk.data[:4], "little"), SHARDS)
                    # What comes again is another session, with numbers of its own.
                    groups.setdefault(base, {}).setdefault(position, chunk.data[_SHARD_AT:])
            for group in groups.values():
                if len(group) == SHARDS:
                    yield [group[position] for position in range(SHARDS)]


def parity_of(data: list[bytes]) -> list[bytes]:
    """The shards of parity."""
    parity = [0] * PARITY_SHARDS
    for position, shard in enumerate(data):
        add_data(parity, position, shard)
    size = max(map(len, data))
    return [each.to_bytes(size, "little") for each in parity]


class ReedSolomonTests(SynchronousTestCase):
    """Parity, and what it makes up for."""

    def test_recorded(self) -> None:
        """Parity is that of frp."""
        groups = list(recorded_groups())
        self.assertGreater(len(groups), 5)
        for group in groups:
            self.assertEqual(parity_of(group[:DATA_SHARDS]), group[DATA_SHARDS:])

    def test_every_loss(self) -> None:
        """Whichever three shards are lost, those of data among them are recovered."""
        group = next(recorded_groups())
        for lost in itertools.combinations(range(SHARDS), PARITY_SHARDS):
            left = {position: group[position] for position in range(SHARDS) if position not in lost}
            wanted = [group[position] for position in lost if position < DATA_SHARDS]
            found = recover(left)
            self.assertEqual([each[: len(shard)] for each, shard in zip(found, wanted, strict=True)], wanted)

    @given(
        st.lists(st.binary(min_size=1, max_size=40), min_size=DATA_SHARDS, max_size=DATA_SHARDS),
        st.permutations(range(SHARDS)),
    )
    def test_any_shards(self, data: list[bytes], order: list[int]) -> None:
        """Ten shards that arrive first, in any order, bring back all the others of data."""
        group = data + parity_of(data)
        kept = order[:DATA_SHARDS]
        found = recover({position: group[position] for position in kept})
        missing = [position for position in range(DATA_SHARDS) if position not in kept]
        for position, shard in zip(missing, found, strict=True):
            self.assertEqual(shard.rstrip(b"\0"), data[position].rstrip(b"\0"))

"""The code behind FEC: ten shards of data, and three of parity that make up for any three that are lost.

A shard is a number here, the bytes of which are elements of GF(256), the first one lowest: shorter ones are
padded by themselves, and all elements of two shards are added by one operation.

Source: https://github.com/klauspost/reedsolomon, galois.go and reedsolomon.go (buildMatrix).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["DATA_SHARDS", "PARITY_SHARDS", "SHARDS", "add_data", "recover"]

DATA_SHARDS: Final = 10
PARITY_SHARDS: Final = 3
SHARDS: Final = DATA_SHARDS + PARITY_SHARDS

_POLYNOMIAL: Final = 0x11D

_ROWS: Final = (
    bytes.fromhex("8196afb8d2c4fee80302"),
    bytes.fromhex("9681b8afc4d2e8fe0203"),
    bytes.fromhex("bfd6620a066fdfb70504"),
)
"""What each shard of data is multiplied by in each shard of parity: the last rows of a Vandermonde matrix,
made systematic, so that every square part of them can be inverted."""


@functools.cache
def _products(factor: int) -> bytes:
    """A factor times each element: a table for ``bytes.translate``."""
    doublings = [factor]
    for _ in range(7):
        doubled = doublings[-1] << 1
        doublings.append(doubled ^ _POLYNOMIAL if doubled > 0xFF else doubled)
    table = [0]
    for doubling in doublings:
        table += [product ^ doubling for product in table]
    return bytes(table)


def add_data(parity: list[int], position: int, shard: bytes) -> None:
    """Adds a shard of data to the three of parity, in place."""
    for place, row in enumerate(_ROWS):
        parity[place] ^= int.from_bytes(shard.translate(_products(row[position])), "little")


def recover(shards: Mapping[int, bytes]) -> Sequence[bytes]:
    """What ten shards, by their positions, leave to be found of the data; each as long as the longest."""
    missing = [position for position in range(DATA_SHARDS) if position not in shards]
    if not missing:
        return ()
    rows = [position - DATA_SHARDS for position in shards if position >= DATA_SHARDS]
    size = max(map(len, shards.values()))
    sums = [0] * PARITY_SHARDS
    for position, shard in shards.items():
        if position < DATA_SHARDS:
            add_data(sums, position, shard)
        else:
            sums[position - DATA_SHARDS] ^= int.from_bytes(shard, "little")
    factors = [[_ROWS[row][position] for position in missing] for row in rows]
    found = _solve(factors, [sums[row] for row in rows], size)
    return [each.to_bytes(size, "little") for each in found]


def _solve(factors: list[list[int]], sums: list[int], size: int) -> list[int]:
    """Shards that, multiplied by the factors of each row, make the sum of the row."""
    for place, row in enumerate(factors):
        inverse = _products(_products(row[place]).index(1))
        row[:] = [inverse[each] for each in row]
        sums[place] = _scaled(sums[place], inverse, size)
        for other, other_row in enumerate(factors):
            if other != place:
                multiples = _products(other_row[place])
                other_row[:] = [each ^ multiples[part] for each, part in zip(other_row, row, strict=True)]
                sums[other] ^= _scaled(sums[place], multiples, size)
    return sums


def _scaled(shard: int, products: bytes, size: int) -> int:
    return int.from_bytes(shard.to_bytes(size, "little").translate(products), "little")

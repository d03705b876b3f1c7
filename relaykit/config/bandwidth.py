"""Limits of bandwidth, as ``transport.bandwidthLimit`` spells them."""

from __future__ import annotations

import math

from relaykit.config.numerals import parse_float

__all__ = ["parse_bandwidth"]

_UNITS = {"MB": 1024 * 1024, "KB": 1024}


def parse_bandwidth(text: str) -> int:
    """Bytes a second that a text such as ``1MB`` or ``512KB`` stands for; 0 for no limit.

    :raises ValueError: it is not of this form; the text of the error says why.
    """
    text = text.strip()
    if not text:
        return 0
    unit = _UNITS.get(text[-2:])
    if unit is None:
        raise ValueError(f'"{text}" must be a number with the unit MB or KB')
    try:
        number = parse_float(text[:-2])
    except ValueError as error:
        raise ValueError(f'"{text[:-2]}" before the unit is no number: {error}') from None
    content = number * unit
    if not math.isfinite(content) or content <= 0:
        return 0
    return int(content)

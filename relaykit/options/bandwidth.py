"""Limits of bandwidth as texts."""

from __future__ import annotations

import math

__all__ = ["bandwidth_problem", "is_no_limit", "parse_bandwidth"]

_UNITS = {"MB": 1024 * 1024, "KB": 1024}


def parse_bandwidth(text: str) -> int:
    """Bytes a second that a text such as ``1MB`` or ``512KB`` stands for; 0 for no limit.

    :raises ValueError: it is not of this form; the text of the error says why.
    """
    text = text.strip()
    if not text:
        return 0
    unit = _UNITS.get(text[-2:])
    if unit is None or any(character.isspace() for character in text):
        raise ValueError(f'"{text}" must be a number with the unit MB or KB, such as 1.5MB')
    try:
        content = float(text[:-2]) * unit
    except ValueError:
        raise ValueError(f'"{text[:-2]}" before the unit is no number; write such as 1.5MB') from None
    if not math.isfinite(content) or content <= 0:
        return 0
    return int(content)


def bandwidth_problem(text: str) -> str:
    """Why a text is no limit of bandwidth; empty if it is one, or none is wanted."""
    try:
        parse_bandwidth(text)
    except ValueError as error:
        return str(error)
    return ""


def is_no_limit(text: str) -> bool:
    """Whether a text looks like a limit and is none, such as ``0MB``."""
    return bool(text.strip()) and not bandwidth_problem(text) and not parse_bandwidth(text)

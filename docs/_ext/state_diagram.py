"""Draws a state machine as SVG: states in a column, one arrow for all steps between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from attrs import frozen

__all__ = ["Edge", "draw"]

_WIDTH, _BOX, _HEIGHT, _STEP, _LEFT, _LINE = 760, 150, 44, 130, 300, 14
_LANE, _LABEL = 18, 200


@frozen
class Edge:
    """One step from a state to a state, and whose step it is."""

    before: str
    after: str
    label: str
    actor: str


def draw(states: Sequence[str], edges: Sequence[Edge]) -> str:
    """The picture; a step to the state itself stands at its left, all others at their arrows."""
    tops = {state: 20 + number * _STEP for number, state in enumerate(states)}
    grouped: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        grouped.setdefault((edge.before, edge.after), []).append(edge)
    lanes = [pair for pair in grouped if _needs_lane(states, *pair)]
    width = max(_WIDTH, _LEFT + _BOX + 16 + len(lanes) * _LANE + _LABEL)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {len(states) * _STEP - 40}" '
        f'width="100%" role="img" font-family="sans-serif" font-size="12" fill="currentColor">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
    ]
    lines = dict.fromkeys(states, 0)
    for (before, after), group in grouped.items():
        # The first arrow takes the outermost lane, so that none crosses a later one.
        lane = len(lanes) - lanes.index((before, after)) if (before, after) in lanes else 0
        line = lines[before]
        lines[before] += len(group) if lane else 0
        parts += _arrow(tops, before, after, group, lane, line)
    for state, top in tops.items():
        parts.append(
            f'<rect x="{_LEFT}" y="{top}" width="{_BOX}" height="{_HEIGHT}" rx="8" fill="none" '
            'stroke="currentColor"/>'
            f'<text x="{_LEFT + _BOX / 2}" y="{top + _HEIGHT / 2 + 4}" text-anchor="middle" '
            f'font-weight="bold">{escape(state)}</text>'
        )
    return "\n".join([*parts, "</svg>"])


def _needs_lane(states: Sequence[str], before: str, after: str) -> bool:
    """Whether an arrow goes around others: neither to the state itself nor to the next one."""
    return states.index(after) - states.index(before) not in (0, 1)


def _arrow(
    tops: dict[str, int], before: str, after: str, group: Sequence[Edge], lane: int, number: int
) -> list[str]:
    """An arrow with its labels, the first of which is line ``number`` of those that leave at the right."""
    labels = [f"{edge.actor}: {edge.label}" for edge in group]
    line = 'fill="none" stroke="currentColor" marker-end="url(#arrow)"'
    top, end = tops[before], tops[after]
    if before == after:
        path = f"M{_LEFT},{top + 12} h-30 v20 h28"
        return [f'<path d="{path}" {line}/>', *_texts(labels, _LEFT - 38, top + 10, "end")]
    if not lane:
        middle = _LEFT + _BOX / 2
        path = f"M{middle},{top + _HEIGHT} V{end - 2}"
        return [f'<path d="{path}" {line}/>', *_texts(labels, middle - 8, top + _HEIGHT + 30, "end")]
    right = _LEFT + _BOX
    out = right + 16 + lane * _LANE
    leaves = top + 8 + number * _LINE
    path = f"M{right},{leaves} H{out} V{end + _HEIGHT - 4 - lane % 9 * 4} H{right + 2}"
    return [f'<path d="{path}" {line}/>', *_texts(labels, out + 6, leaves + 4, "start")]


def _texts(labels: Sequence[str], x: float, y: float, anchor: str) -> list[str]:
    return [
        f'<text x="{x:g}" y="{y + number * _LINE:g}" text-anchor="{anchor}">{escape(label)}</text>'
        for number, label in enumerate(labels)
    ]

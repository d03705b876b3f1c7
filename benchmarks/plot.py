"""Draws the medians as one SVG picture: a panel for each measure, a bar for each subject."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from benchmarks.loads import MEASURES
from benchmarks.results import Results

__all__ = ["DRAWN", "draw"]

DRAWN = (
    "bulk-1-up",
    "bulk-1-down",
    "bulk-10-up",
    "bulk-10-down",
    "keep-alive",
    "connections",
    "http-keep-alive",
    "http-connections",
    "https-connections",
    "ping-p50",
    "ping-p99",
    "datagrams-1",
    "datagrams-50",
    "datagrams-1-down",
    "datagrams-50-down",
    "datagrams-1-cpu",
    "datagrams-50-cpu",
    "datagram-ping-p50",
    "datagram-ping-p99",
    "slow-line",
)
"""The measures that get a panel."""

_PANEL_WIDTH, _PANELS_A_ROW, _BAR, _GAP, _LABELS, _TOP = 430, 2, 16, 5, 110, 34
_OURS, _THEIRS, _DIRECT = "#2a6f97", "#a9b4bd", "#dfe4e8"


def draw(results: Results, titles: Mapping[str, str]) -> str:
    """The picture; an empty one if nothing was measured."""
    panels = []
    for measure in DRAWN:
        bars = [
            (subject, value) for subject in titles if (value := results.median(subject, measure)) is not None
        ]
        if bars:
            panels.append((measure, bars))
    most = max((len(bars) for _, bars in panels), default=0)
    height = _TOP + most * (_BAR + _GAP) + 18
    rows = (len(panels) + _PANELS_A_ROW - 1) // _PANELS_A_ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PANEL_WIDTH * _PANELS_A_ROW}" '
        f'height="{height * rows}" font-family="sans-serif" font-size="11">'
    ]
    for number, (measure, bars) in enumerate(panels):
        row, column = divmod(number, _PANELS_A_ROW)
        parts.append(f'<g transform="translate({column * _PANEL_WIDTH},{row * height})">')
        parts += _panel(measure, bars, titles)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(measure: str, bars: list[tuple[str, float]], titles: Mapping[str, str]) -> list[str]:
    about = MEASURES[measure]
    better = "more is better" if about.more_is_better else "less is better"
    longest = max(value for _, value in bars) or 1.0
    room = _PANEL_WIDTH - _LABELS - 80
    parts = [
        f'<text x="8" y="16" font-weight="bold">{escape(about.title)}</text>',
        f'<text x="8" y="29" fill="#667">{escape(about.unit)}, {better}</text>',
    ]
    for number, (subject, value) in enumerate(bars):
        top = _TOP + number * (_BAR + _GAP)
        color = _OURS if subject.startswith("relaykit") else _DIRECT if subject == "direct" else _THEIRS
        width = value / longest * room
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        parts += [
            f'<text x="{_LABELS - 6}" y="{top + 12}" text-anchor="end">{escape(titles[subject])}</text>',
            f'<rect x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{color}"/>',
            f'<text x="{_LABELS + width + 5:.1f}" y="{top + 12}">{shown}</text>',
        ]
    return parts

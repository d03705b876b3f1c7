"""Results of a run: medians, ratios, the gates, as a table and as JSON."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from benchmarks.attacks import ATTACKS
from benchmarks.loads import MEASURES

__all__ = ["DIRECT", "GATES", "GOALS", "Results", "Wanted", "as_csv", "as_json", "table", "verdicts"]

DIRECT = "direct"
"""The subject without anything in between: no relay on this machine can be better."""


@define
class Results:
    """Every figure of a run: by subject, by measure, one a round."""

    figures: dict[str, dict[str, list[float]]] = field(factory=dict)

    def add(self, subject: str, figures: Mapping[str, float]) -> None:
        """Notes the figures of one round."""
        of_subject = self.figures.setdefault(subject, {})
        for measure, value in figures.items():
            of_subject.setdefault(measure, []).append(value)

    def median(self, subject: str, measure: str) -> float | None:
        """The median of the rounds, or None if it was not measured."""
        values = self.figures.get(subject, {}).get(measure)
        return statistics.median(values) if values else None


@frozen
class Wanted:
    """One thing that is wanted: a ratio of medians of one run, or a bound of one median.

    Each measure of ``measures`` must reach it.  With several ``peers`` the best of them counts.
    """

    title: str
    subject: str
    measures: tuple[str, ...]
    peers: tuple[str, ...]
    bound: float

    def reached(self, results: Results, measure: str) -> float | None:
        """The ratio towards the peers (or the median itself, without peers), None if unknown."""
        return self._ratio(results, self.subject, measure)

    def reachable(self, results: Results, measure: str) -> float | None:
        """The ratio that a relay which costs nothing would reach, None if unknown."""
        return self._ratio(results, DIRECT, measure) if self.peers else None

    def _ratio(self, results: Results, subject: str, measure: str) -> float | None:
        ours = results.median(subject, measure)
        if ours is None or not self.peers:
            return ours
        theirs = [value for peer in self.peers if (value := results.median(peer, measure)) is not None]
        if not theirs:
            return None
        best = max(theirs) if MEASURES[measure].more_is_better else min(theirs)
        return ours / best if best else None

    def met(self, value: float, measure: str) -> bool:
        """Whether this value is good enough."""
        return value >= self.bound if MEASURES[measure].more_is_better else value <= self.bound


_BULK = ("bulk-1-up", "bulk-1-down", "bulk-10-up", "bulk-10-down")
_PING = ("ping-p50", "ping-p99")
_HELD = ("held-server", "held-client")
_IDLE = ("idle-server", "idle-client")
_BULK_CPU = tuple(f"{measure}-cpu" for measure in _BULK)
_CARRIER = (*_BULK, "keep-alive", "connections")
_FLOOD = ("datagrams-1", "datagrams-50", "datagrams-1-down", "datagrams-50-down")
_FLOOD_CPU = tuple(f"{measure}-cpu" for measure in _FLOOD)
_PUNCHED = ("punched-up", "punched-down")
_PUNCHED_CPU = tuple(f"{measure}-cpu" for measure in _PUNCHED)
_DATAGRAM_PING = ("datagram-ping-p50", "datagram-ping-p99")

GATES: Sequence[Wanted] = (
    Wanted("default bulk / frp default", "relaykit-default", _BULK, ("frp-default",), 1.8),
    Wanted("default keep-alive / frp default", "relaykit-default", ("keep-alive",), ("frp-default",), 2.0),
    Wanted(
        "plain bulk / best of frp and rathole", "relaykit-plain", _BULK, ("frp-plain", "rathole-plain"), 2.0
    ),
    Wanted(
        "default memory, 100,000 connections", "relaykit-default", ("churn-server", "churn-client"), (), 1.1
    ),
    Wanted("default datagrams / frp default", "relaykit-default", _FLOOD, ("frp-default",), 2.0),
    Wanted("default datagrams: CPU / frp default", "relaykit-default", _FLOOD_CPU, ("frp-default",), 0.5),
    *(
        Wanted(f"{title} datagrams / frp default", subject, _FLOOD, ("frp-default",), 1.0)
        for subject, title in (("relaykit-frpc", "relaykit + frpc"), ("frps-relaykit", "frps + relaykit"))
    ),
    Wanted(
        "default datagram ping-pong / frp default", "relaykit-default", _DATAGRAM_PING, ("frp-default",), 1.0
    ),
    Wanted("default limits: deviation, %", "relaykit-default", ("limit-1", "limit-20", "limit-100"), (), 5.0),
    Wanted(
        "default limits: longest burst, ms",
        "relaykit-default",
        ("limit-1-burst", "limit-20-burst", "limit-100-burst"),
        (),
        50.0,
    ),
    Wanted("default datagram flows answered", "relaykit-default", ("datagram-flows",), (), 10_000.0),
    Wanted(
        "default site, keep-alive / frp default",
        "relaykit-default",
        ("http-keep-alive",),
        ("frp-default",),
        4.0,
    ),
    Wanted(
        "default site with TLS / frp default",
        "relaykit-default",
        ("https-connections",),
        ("frp-default",),
        1.0,
    ),
    Wanted("default 10,000 idle users of a site, MB", "relaykit-default", ("http-idle-server",), (), 300.0),
    Wanted("default 2,000 sites of one client, s", "relaykit-default", ("proxies",), (), 3.0),
    Wanted("default 10,000 domains / 10", "relaykit-default", ("routes-ratio",), (), 0.8),
    *(
        Wanted(
            f"default attacked: {title}",
            "relaykit-default",
            tuple(f"{attack}-{told}" for attack in ATTACKS),
            (),
            bound,
        )
        for title, told, bound in (
            ("new user, median, ms", "p50", 50.0),
            ("new user, 99th percentile, ms", "p99", 250.0),
            ("log, % of the attacker's bytes", "log", 1.0),
        )
    ),
    Wanted("punched bulk / frp xtcp QUIC", "relaykit-punched", _PUNCHED, ("frp-xtcp-quic",), 1.5),
    Wanted("punched bulk: CPU / frp xtcp QUIC", "relaykit-punched", _PUNCHED_CPU, ("frp-xtcp-quic",), 1.0),
    Wanted("punched first byte, ms", "relaykit-punched", ("punched-first-byte",), (), 500.0),
)
"""What a release must reach."""

GOALS: Sequence[Wanted] = (
    Wanted("default bulk / rathole TLS", "relaykit-default", _BULK, ("rathole-tls",), 1.0),
    Wanted("mux bulk / frp mux", "relaykit-mux", _BULK, ("frp-mux",), 1.8),
    Wanted("default connections / frp default", "relaykit-default", ("connections",), ("frp-default",), 1.5),
    Wanted(
        "default site, connections / frp default",
        "relaykit-default",
        ("http-connections",),
        ("frp-default",),
        1.0,
    ),
    *(
        Wanted(f"{mode} ping-pong / frp {mode}", f"relaykit-{mode}", _PING, (f"frp-{mode}",), 1.0)
        for mode in ("default", "mux", "plain")
    ),
    Wanted("default on a slow line / frp default", "relaykit-default", ("slow-line",), ("frp-default",), 1.0),
    Wanted("default datagrams / rathole TLS", "relaykit-default", _FLOOD, ("rathole-tls",), 1.0),
    Wanted("default datagrams: CPU / rathole TLS", "relaykit-default", _FLOOD_CPU, ("rathole-tls",), 1.0),
    Wanted("plain datagrams / rathole plain", "relaykit-plain", _FLOOD, ("rathole-plain",), 1.0),
    Wanted("plain datagrams: CPU / rathole plain", "relaykit-plain", _FLOOD_CPU, ("rathole-plain",), 1.0),
    Wanted(
        "memory per datagram flow / frp default",
        "relaykit-default",
        ("datagram-flows-client",),
        ("frp-default",),
        1.0,
    ),
    Wanted("plain keep-alive / frp plain", "relaykit-plain", ("keep-alive",), ("frp-plain",), 1.0),
    Wanted("idle memory, MB", "relaykit-default", _IDLE, (), 60.0),
    Wanted("memory per held connection / frp default", "relaykit-default", _HELD, ("frp-default",), 1.0),
    Wanted("start of both ends to the first byte, ms", "relaykit-default", ("first-byte",), (), 1200.0),
    Wanted("websocket / frp websocket", "relaykit-websocket", _CARRIER, ("frp-websocket",), 2.0),
    Wanted(
        "websocket without TLS / frp's", "relaykit-websocket-plain", _CARRIER, ("frp-websocket-plain",), 2.0
    ),
    Wanted("quic bulk / frp quic", "relaykit-quic", _BULK, ("frp-quic",), 1.0),
    Wanted("quic bulk: CPU / frp quic", "relaykit-quic", _BULK_CPU, ("frp-quic",), 1.0),
    Wanted("kcp / frp kcp", "relaykit-kcp", _CARRIER, ("frp-kcp",), 1.0),
    Wanted("xtcp KCP bulk / frp xtcp KCP", "relaykit-xtcp-kcp", _PUNCHED, ("frp-xtcp-kcp",), 1.0),
    Wanted("xtcp QUIC bulk / frp xtcp QUIC", "relaykit-xtcp-quic", _PUNCHED, ("frp-xtcp-quic",), 1.0),
)
"""What is aimed at."""


def verdicts(results: Results, wanted: Iterable[Wanted]) -> list[str]:
    """One line for each thing wanted and each of its measures."""
    lines = []
    for each in wanted:
        for measure in each.measures:
            value = each.reached(results, measure)
            sign = ">=" if MEASURES[measure].more_is_better else "<="
            if value is None:
                said = "not measured"
            else:
                said = f"{value:8.2f}  {'met' if each.met(value, measure) else 'MISSED'}"
                limit = each.reachable(results, measure)
                if limit is not None:
                    said += f" (direct: {limit:.2f})"
            lines.append(f"{each.title:44} {measure:21} {sign} {each.bound:7.2f}: {said}")
    return lines


def table(results: Results, titles: Mapping[str, str]) -> str:
    """The medians as text: a row for each measure, a column for each subject."""
    rows = _rows(results, titles)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )


def as_csv(results: Results, titles: Mapping[str, str]) -> str:
    """The same rows as comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(results, titles))
    return text.getvalue()


def as_json(results: Results, machine: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """Everything that was measured, and what it was measured on."""
    return {
        "machine": dict(machine),
        "versions": dict(versions),
        "medians": {
            subject: {measure: statistics.median(values) for measure, values in measures.items()}
            for subject, measures in results.figures.items()
        },
        "rounds": results.figures,
        "gates": verdicts(results, GATES),
        "goals": verdicts(results, GOALS),
    }


def _rows(results: Results, titles: Mapping[str, str]) -> list[list[str]]:
    columns = [subject for subject in titles if subject in results.figures]
    rows = [["", *(titles[subject] for subject in columns)]]
    for name, measure in MEASURES.items():
        cells = [_cell(results.median(subject, name)) for subject in columns]
        if any(cells):
            rows.append([f"{measure.title}, {measure.unit}", *cells])
    return rows


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

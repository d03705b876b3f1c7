"""Figures: many punches of each pair of routers, as a table.

``python -m tests.natlab.matrix --runs 20`` runs all rows, or those whose names are given; as root.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from relaykit.values import Address
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import why_not
from tests.natlab.relay import RelayRendezvous
from tests.natlab.rendezvous import Rendezvous, Result, known, network_info

__all__ = ["ROWS", "Row", "main"]

DELAY_S = 0.025
"""One way through the Internet of the laboratory."""


ONE_PORT = (Address(SERVER[0], 3478), Address(SERVER[0], 9))
"""A server whose firewall lets one of its two STUN ports in."""

_AROUND = {"stun_servers": "one STUN port", "opening_ttl": "near"}


@frozen
class Row:
    """One line of the table."""

    group: str
    a: str
    b: str
    loss: float = 0.0
    how: dict[str, Any] = field(factory=dict)
    around: dict[str, Any] = field(factory=dict)
    """What the ends know otherwise than usual."""
    knows_a: bool = True
    """Whether end A has done a thorough discovery before."""
    relay: bool = False
    """Whether real clients meet through the real relay server; then the time is that from the visitor's
    wish to the path, otherwise that from the moment when both have the other's candidates."""

    @property
    def name(self) -> str:
        """The pair, and what is special."""
        special = [f"{self.loss:.0%} loss"] if self.loss else []
        special += [f"{key} {value}" for key, value in self.how.items()]
        special += [_AROUND[key] for key in self.around]
        return " ".join([f"{self.a} x {self.b}", *special])


ROWS: Sequence[Row] = (
    *(
        Row("plain", a, b)
        for a, b in (
            ("none", "none"),
            ("fw", "fw"),
            ("full", "full"),
            ("addr", "addr"),
            ("port", "port"),
            ("port", "portshift"),
            ("portshift", "portshift"),
            ("none", "symrnd"),
            ("full", "symrnd"),
            ("addr", "symrnd"),
            ("full", "symseq"),
            ("addr", "symblk"),
        )
    ),
    Row("careless routers", "port+input=accept", "port+input=accept"),
    Row("careless routers", "port+input=accept", "portshift+input=reject"),
    *(Row("prediction", a, "symseq") for a in ("fw", "port", "portshift", "symseq")),
    *(Row("guessing", a, "symrnd") for a in ("fw", "port", "portshift")),
    Row("guessing", "port", "symaddr"),
    Row("guessing", "port", "symblk"),
    Row("guessing, both sides", "symblk", "symblk"),
    Row("impossible", "symrnd", "symrnd"),
    Row("impossible", "symseq", "symrnd"),
    Row("loss", "port", "port", 0.2),
    Row("loss", "addr", "portshift", 0.2),
    Row("carrier", "port", "port", how={"carrier": "portshift"}),
    Row("carrier", "port", "port", how={"carrier": "symblk"}, knows_a=False),
    Row("IPv6", "symrnd", "symrnd", how={"six": True}),
    Row("TCP", "udpblock", "udpblock"),
    Row("TCP", "udpblock", "port"),
    *(
        Row("adverse", a, b)
        for a, b in (
            ("blk64", "port"),
            ("blk64", "full"),
            ("mape", "port"),
            ("mape", "full"),
            ("presym", "port"),
            ("port+ban", "port+ban"),
            ("port+ban", "symrnd"),
            ("port+timeout=10", "portshift+timeout=10"),
        )
    ),
    Row("adverse", "blk64", "port", knows_a=False),
    Row("adverse", "symrnd", "port", around={"stun_servers": ONE_PORT}),
    Row("adverse", "port", "portshift", around={"stun_servers": ONE_PORT}),
    Row("adverse", "port+input=accept", "port+input=accept", around={"opening_ttl": 0}),
    Row("adverse", "symrnd", "port+input=accept", around={"opening_ttl": 0}),
    *(Row("UDP only to STUN", "stunonly", b) for b in ("port", "full", "stunonly")),
    *(
        Row("relay server", a, b, relay=True)
        for a, b in (
            ("none", "none"),
            ("fw", "fw"),
            ("full", "full"),
            ("addr", "addr"),
            ("port", "port"),
            ("port", "portshift"),
            ("portshift", "portshift"),
            ("full", "symrnd"),
            ("port", "symseq"),
            ("port", "symrnd"),
            ("udpblock", "port"),
            ("stunonly", "port"),
        )
    ),
)


async def measure(row: Row, runs: int) -> str:
    """One line: how many worked, and the times."""
    results: list[tuple[Result, int]] = []
    with NatLab(row.a, row.b, **row.how) as lab:
        lab.weather(reactor, DELAY_S, row.loss)
        rendezvous: Rendezvous | RelayRendezvous = RelayRendezvous(lab) if row.relay else Rendezvous(lab)
        await rendezvous.begin()
        more = {"opening_ttl": 3} if row.how.get("carrier") else row.around
        a = network_info(lab, "ca", **{"behavior": known(row.a) if row.knows_a else None, **more})
        b = network_info(lab, "cb", **{"behavior": known(row.b), **more})
        for place in range(runs):
            # What is still under way would be unasked for after that.
            await deferLater(reactor, 4 * DELAY_S)
            for side, kind in (("a", row.a), ("b", row.b)):
                lab.set_nat(side, kind)
            if place % 2:
                result = await rendezvous.punch(("ca", "cb"), (a, b))
            else:
                result = await rendezvous.punch(("cb", "ca"), (b, a))
            results.append((result, max(lab.flows("a"), lab.flows("b"))))
            await result.close()
        await rendezvous.end()
    return _line(row, results)


def _line(row: Row, results: Sequence[tuple[Result, int]]) -> str:
    times = sorted(result.seconds for result, _ in results if result.worked)
    told = sorted(result.total_s for result, _ in results if not result.worked)
    flows = max(flows for _, flows in results)
    cells = [row.group, row.name, f"{len(times)}/{len(results)}"]
    if times:
        ninth = times[int(0.9 * (len(times) - 1))]
        cells.append(f"{statistics.median(times):.2f} / {ninth:.2f} / {times[-1]:.2f}")
    else:
        cells.append(f"told after {told[-1]:.2f}")
    return f"| {' | '.join([*cells, str(flows)])} |"


async def main(_: object, *words: str) -> None:
    """Runs the rows and prints them as they come."""
    parser = argparse.ArgumentParser(prog="matrix")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("groups", nargs="*")
    options = parser.parse_args(words)
    reason = why_not()
    if reason:
        raise SystemExit(f"no NAT laboratory here: {reason}")
    print("| | pair | worked | seconds: median / p90 / max | flows in a router |")
    print("|---|---|---|---|---|", flush=True)
    for row in ROWS:
        if not options.groups or row.group in options.groups:
            print(await measure(row, options.runs), flush=True)


if __name__ == "__main__":
    react(lambda *arguments: Deferred.fromCoroutine(main(*arguments)), sys.argv[1:])

"""Answering probes: what the backend of a proxy finds out about its local service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IProbed
from relaykit.sansio.control.probing import ProbeReport
from relaykit.values import Reach

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IBackend, IStreamLeg

__all__ = ["LOOK_S", "answer_probe"]

LOOK_S = 5.0
"""Seconds that a local service has: a user would hardly wait longer, and the server waits twice as long."""


async def answer_probe(leg: IStreamLeg, backend: IBackend, clock: IReactorTime) -> None:
    """Says on the work connection of a probe how far a user would get, and ends it."""
    try:
        report = await _look(backend, clock)
    except BaseException:
        leg.abort()
        raise
    leg.write(report.encode())
    leg.close()


async def _look(backend: IBackend, clock: IReactorTime) -> ProbeReport:
    if not IProbed.providedBy(backend):
        return ProbeReport(reached=Reach.CLIENT)
    probing: Deferred[Reach] = Deferred.fromCoroutine(backend.probe())
    try:
        return ProbeReport(reached=await probing.addTimeout(LOOK_S, clock))
    except ConnectionFailed as error:
        return ProbeReport(reached=Reach.CLIENT, error=str(error))
    except DeadlinePassed:
        return ProbeReport(
            reached=Reach.CLIENT, error=f"the local service has not answered within {LOOK_S:g} seconds"
        )

"""Servers that are named by a service: where they are is looked up for each connection."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from relaykit.dataplane.name_server import NameServer
from relaykit.errors import ConnectionFailed
from relaykit.sansio.service_records import in_order

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.values import Address

__all__ = ["MOST_TARGETS", "reach_service"]

MOST_TARGETS = 4
"""Servers of one service that are tried for a connection, one after the other: each may take its time."""

LegT = TypeVar("LegT")


async def reach_service(
    poller: Poller,
    name: str,
    reach: Callable[[Address], Awaitable[LegT]],
    chance: Callable[[int], int] = random.randrange,
) -> LegT:
    """Looks up who serves ``name`` and reaches for one after the other, until one is there.

    :raises ConnectionFailed: nobody is, or it cannot be looked up; the text has the reason of the last one.
    """
    try:
        server = poller.name_server or NameServer.of_system(poller.reactor)
        records = await server.services(name)
    except ConnectionFailed as error:
        raise ConnectionFailed(f"cannot look up {name}: {error}", problem=error.problem) from error
    *others, last = in_order(records, chance)[:MOST_TARGETS]
    for target in others:
        try:
            return await reach(target)
        except ConnectionFailed:
            continue
    return await reach(last)

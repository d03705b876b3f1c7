"""Many sources of datagrams in one place, a socket or a lane: a table of their legs that stays small."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.interfaces import IBatchedDatagramLeg
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address, Origin

__all__ = ["SourceCounts", "SourceLeg", "SourceTable"]

MOST_SOURCES = 16_384
"""Sources of one port, or of one lane, that have a leg at the same time; some 60 MB with their flows.  For
one more the one that has been silent for the longest time is let go, so that forged sources cost each other
their place first."""

MOST_HELD_BYTES = 16 * 1024 * 1024
"""Bytes that all sources of one table hold together until they have receivers: as many as a hundred users may
need while the ways to the service are being opened, and what forged sources can cost at most."""

MOST_SOURCES_IN_ALL = 131_072
"""The same for all ports and lanes of a process together; a user of the server's counts twice, at the port
and on a lane.  Where there are more, each table may have its share and no more: a flood of forged sources at
one port lets go of those, and not of the users of another."""

MOST_HELD_IN_ALL = 64 * 1024 * 1024
"""Bytes that all tables hold together, by the same rule."""

SOURCE_IDLE_S = 120.0
"""Silence, in both directions, after which a source is forgotten.  Source: RFC 4787 REQ-5 for NATs, which
have the same to decide."""

_SWEEPS = 4
"""Looks at the table within that time: one timer for all sources, and no clock for each datagram."""

Transmit: TypeAlias = "Callable[[SourceLeg, Buffer], bool]"
"""Sends a datagram to a source; whether it was taken."""

TransmitMany: TypeAlias = "Callable[[SourceLeg, Sequence[bytes]], int]"
"""The same of several; how many were taken."""


class SourceCounts:
    """What all tables of a process have together."""

    __slots__ = ("held_bytes", "legs", "tables")

    def __init__(self) -> None:
        self.legs = self.held_bytes = 0
        self.tables = 0
        """Those that have legs, or had some a short time ago."""

    def allow(self, own: int, more: int, present: int, most: int) -> bool:
        """Whether a table that has so many may have ``more``, while ``present`` of ``most`` are there in all.

        With their shares beyond that, there are twice as many at most.
        """
        return present + more <= most or own + more <= most // max(1, self.tables)


@implementer(IBatchedDatagramLeg)
class SourceLeg(DatagramLeg):
    """One source, which ``key`` stands for where it comes from."""

    __slots__ = ("_table", "_transmit", "key", "sweep")

    def __init__(
        self,
        table: SourceTable,
        transmit: Transmit,
        key: Hashable,
        peer: Address | None,
        host: Address | None,
    ) -> None:
        super().__init__(table.poller, peer, host)
        self.key = key
        self.sweep = table.sweep
        """The last look at the table before it was heard of."""
        self._table = table
        self._transmit = transmit

    def send(self, data: Buffer) -> bool:
        if not self._closed:
            if self.sweep != self._table.sweep:
                self._table.heard_of(self)
            if self._transmit(self, data):
                return True
        self.dropped += 1
        return False

    def send_many(self, datagrams: Sequence[bytes]) -> int:
        transmit_many = self._table.transmit_many
        if self._closed or transmit_many is None:
            return sum(map(self.send, datagrams))
        if self.sweep != self._table.sweep:
            self._table.heard_of(self)
        return transmit_many(self, datagrams)

    def close(self) -> None:
        self._table.forget(self)
        self.end(Ended.FINISHED)

    def end(self, reason: Ended) -> None:
        """There is no place for it any more."""
        if not self._closed:
            self._silence()
            self._lose_soon(reason)
            self._table.ended(self)

    def _hold(self, count: int) -> bool:
        return self._table.hold(count)

    def _release(self, count: int) -> None:
        self._table.release(count)


class SourceTable:
    """The legs of sources by their keys: those that were heard of last are at its end.

    ``name`` says in the log where the sources are; ``gone`` is told of each leg that came to its end.
    Without ``transmit_many`` several datagrams are sent one by one.
    """

    log = Logger()

    def __init__(
        self,
        poller: Poller,
        transmit: Transmit,
        name: str,
        gone: Callable[[SourceLeg], None] = lambda leg: None,
        transmit_many: TransmitMany | None = None,
    ) -> None:
        self.poller = poller
        self.transmit_many = transmit_many
        self.legs: OrderedDict[Hashable, SourceLeg] = OrderedDict()
        """To find a leg; only the table changes it."""
        self.sweep = 0
        """How many looks there were: a leg with another number is to be told of by :meth:`heard_of`."""
        self._transmit = transmit
        self._gone = gone
        self._name = name
        self._counts = poller.sources
        self._held_bytes = 0
        self._sweeping: IDelayedCall | None = None
        self._crowded = False

    def add(self, key: Hashable, peer: Address | None, host: Address | None) -> SourceLeg:
        """A leg for a new source; one that has its key is let go for it."""
        before = self.legs.pop(key, None)
        if before is not None:
            before.end(Ended.REPLACED)
        counts, present = self._counts, len(self.legs)
        if present >= MOST_SOURCES or not counts.allow(present, 1, counts.legs, MOST_SOURCES_IN_ALL):
            self._evict()
        leg = self.legs[key] = SourceLeg(self, self._transmit, key, peer, host)
        counts.legs += 1
        if self._sweeping is None:
            counts.tables += 1
            self._sweep_later()
        return leg

    def admit(
        self,
        acceptor: IDatagramAcceptor,
        key: Hashable,
        origin: Origin,
        data: Buffer,
    ) -> None:
        """Hands over a leg for a source that sent its first datagram."""
        leg = self.add(key, origin.source, origin.destination)
        leg._arrived(data)
        try:
            acceptor.leg_accepted(leg, origin)
        except Exception:
            self.log.failure(
                "a defect while taking datagrams from {peer}; they are dropped", peer=origin.source
            )
            leg.close()

    def heard_of(self, leg: SourceLeg) -> None:
        """A source sent something, or was sent something, for the first time since the last look."""
        leg.sweep = self.sweep
        self.legs.move_to_end(leg.key)

    def forget(self, leg: SourceLeg) -> None:
        """A leg was closed; whoever sends from there again is new."""
        if self.legs.get(leg.key) is leg:
            del self.legs[leg.key]

    def ended(self, leg: SourceLeg) -> None:
        """A leg came to its end."""
        self._counts.legs -= 1
        self._gone(leg)

    def let_go_oldest(self) -> None:
        """Lets the source go that has been silent for the longest time, if there is one."""
        if self.legs:
            _, oldest = self.legs.popitem(last=False)
            oldest.end(Ended.REFUSED)

    def close(self, why: Ended) -> None:
        """Ends all legs."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweep_no_more()
        legs, self.legs = self.legs, OrderedDict()
        for leg in legs.values():
            leg.end(why)

    def hold(self, count: int) -> bool:
        """Whether a source may hold so many bytes more; they are counted until :meth:`release`."""
        counts, own = self._counts, self._held_bytes
        if own + count > MOST_HELD_BYTES or not counts.allow(own, count, counts.held_bytes, MOST_HELD_IN_ALL):
            return False
        self._held_bytes += count
        counts.held_bytes += count
        return True

    def release(self, count: int) -> None:
        """A source holds so many bytes less."""
        self._held_bytes -= count
        self._counts.held_bytes -= count

    # --- inside ---------------------------------------------------------------------------------

    def _evict(self) -> None:
        if not self._crowded:
            # Once, or a flood of forged sources would be one of lines, too.
            self._crowded = True
            self.log.warn(
                "{name} has datagrams of {count} sources and room for no more: the longest silent are let go",
                name=self._name,
                count=len(self.legs),
                problem="too-many-sources",
            )
        self.let_go_oldest()

    def _sweep_later(self) -> None:
        self._sweeping = self.poller.reactor.callLater(SOURCE_IDLE_S / _SWEEPS, self._sweep_now)

    def _sweep_no_more(self) -> None:
        self._sweeping = None
        self._counts.tables -= 1

    def _sweep_now(self) -> None:
        self.sweep += 1
        while self.legs:
            key, leg = next(iter(self.legs.items()))
            if self.sweep - leg.sweep <= _SWEEPS:
                break
            del self.legs[key]
            leg.end(Ended.TIMEOUT)
        if len(self.legs) < MOST_SOURCES:
            self._crowded = False
        if self.legs:
            self._sweep_later()
        else:
            self._sweep_no_more()

"""Many sources of datagrams in one place, a socket or a lane: a table of their legs that stays small."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeAlias

from twisted.logger import Logger

from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.values import Ended, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address

__all__ = ["SourceLeg", "SourceTable"]

MOST_SOURCES = 16_384
"""Sources of one port, or of one lane, that have a leg at the same time; some 60 MB with their flows.  For
one more the one that has been silent for the longest time is let go, so that forged sources cost each other
their place first."""

MOST_HELD_BYTES = 16 * 1024 * 1024
"""Bytes that all sources of one table hold together until they have receivers: as many as a hundred users may
need while the ways to the service are being opened, and what forged sources can cost at most."""

SOURCE_IDLE_S = 120.0
"""Silence, in both directions, after which a source is forgotten.  Source: RFC 4787 REQ-5 for NATs, which
have the same to decide."""

_SWEEPS = 4
"""Looks at the table within that time: one timer for all sources, and no clock for each datagram."""

Transmit: TypeAlias = "Callable[[SourceLeg, Buffer], bool]"
"""Sends a datagram to a source; whether it was taken."""


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

    def close(self) -> None:
        self._table.forget(self)
        self.end(Ended.FINISHED)

    def end(self, reason: Ended) -> None:
        """There is no place for it any more."""
        if not self._closed:
            self._silence()
            self._lose_soon(reason)
            self._table.gone(self)

    def _hold(self, count: int) -> bool:
        return self._table.hold(count)

    def _release(self, count: int) -> None:
        self._table.release(count)


class SourceTable:
    """The legs of sources by their keys: those that were heard of last are at its end.

    ``name`` says in the log where the sources are.
    """

    log = Logger()

    def __init__(
        self,
        poller: Poller,
        transmit: Transmit,
        name: str,
        gone: Callable[[SourceLeg], None] = lambda leg: None,
    ) -> None:
        self.poller = poller
        self.gone = gone
        """Is told of each leg that came to its end."""
        self.legs: OrderedDict[Hashable, SourceLeg] = OrderedDict()
        """To find a leg; only the table changes it."""
        self.sweep = 0
        """How many looks there were: a leg with another number is to be told of by :meth:`heard_of`."""
        self.evicted = 0
        """Sources that were let go because others came, up to now."""
        self._transmit = transmit
        self._name = name
        self._held_bytes = 0
        self._sweeping: IDelayedCall | None = None
        self._crowded = False

    def add(self, key: Hashable, peer: Address | None, host: Address | None) -> SourceLeg:
        """A leg for a new source; one that has its key is let go for it."""
        before = self.legs.pop(key, None)
        if before is not None:
            before.end(Ended.REPLACED)
        if len(self.legs) >= MOST_SOURCES:
            self._evict()
        leg = self.legs[key] = SourceLeg(self, self._transmit, key, peer, host)
        if self._sweeping is None:
            self._sweep_later()
        return leg

    def admit(
        self,
        acceptor: IDatagramAcceptor,
        key: Hashable,
        peer: Address | None,
        host: Address | None,
        data: Buffer,
    ) -> None:
        """Hands over a leg for a source that sent its first datagram."""
        leg = self.add(key, peer, host)
        leg._arrived(data)
        try:
            acceptor.leg_accepted(leg, Origin(peer, host))
        except Exception:
            self.log.failure("a defect while taking datagrams from {peer}; they are dropped", peer=peer)
            leg.close()

    def heard_of(self, leg: SourceLeg) -> None:
        """A source sent something, or was sent something, for the first time since the last look."""
        leg.sweep = self.sweep
        self.legs.move_to_end(leg.key)

    def forget(self, leg: SourceLeg) -> None:
        """A leg was closed; whoever sends from there again is new."""
        if self.legs.get(leg.key) is leg:
            del self.legs[leg.key]

    def let_go_oldest(self) -> None:
        """Lets the source go that has been silent for the longest time, if there is one."""
        if self.legs:
            _, oldest = self.legs.popitem(last=False)
            self.evicted += 1
            oldest.end(Ended.REFUSED)

    def close(self, why: Ended) -> None:
        """Ends all legs."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        legs, self.legs = self.legs, OrderedDict()
        for leg in legs.values():
            leg.end(why)

    def hold(self, count: int) -> bool:
        """Whether a source may hold so many bytes more; they are counted until :meth:`release`."""
        if self._held_bytes + count > MOST_HELD_BYTES:
            return False
        self._held_bytes += count
        return True

    def release(self, count: int) -> None:
        """A source holds so many bytes less."""
        self._held_bytes -= count

    # --- inside ---------------------------------------------------------------------------------

    def _evict(self) -> None:
        if not self._crowded:
            # Once, or a flood of forged sources would be one of lines, too.
            self._crowded = True
            self.log.warn(
                "{name} has datagrams of more than {most} sources: the longest silent ones are let go",
                name=self._name,
                most=MOST_SOURCES,
                problem="too-many-sources",
            )
        self.let_go_oldest()

    def _sweep_later(self) -> None:
        self._sweeping = self.poller.reactor.callLater(SOURCE_IDLE_S / _SWEEPS, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweeping = None
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

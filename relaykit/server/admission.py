"""What strangers may cost: connections, and whose are dropped first; and logins that fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field

from relaykit.sansio.fair_room import FairRoom
from relaykit.sansio.sources import Source, source_of

if TYPE_CHECKING:
    from relaykit.values import Origin

__all__ = ["PendingConnections", "Slot", "most_asked"]

MAX_PENDING = 4096
"""Connections on which nobody has logged in or shown a session, of all peers together; each costs a
descriptor, and some 50 KB in a TLS handshake.  It is an eighth of the open files that are allowed, where that
is less.  At most three quarters of them are strangers', and at most three quarters are of addresses that a
client is logged in from, so that each always has a quarter."""

MAX_PENDING_PER_SOURCE = 512
"""The same, of one source that no client is logged in from: an IPv4 address, or a /64 of IPv6.  For one more
the oldest is dropped."""

MAX_PENDING_PER_NETWORK = 1024
"""The same, of a /56 of IPv6, which a single line may have."""

MAX_PENDING_OF_KNOWN = 2048
"""The same, of a source or a network that a client is logged in from.  Clients without mux open connections
by the hundreds when users come."""

RESERVE_PART = 4
"""One in so many places is for strangers alone, and as many are for those who are known."""

CLIENTS_OF_SOURCE = 4
"""Clients without mux of one address that may have users in crowds at a time, and lose none of their work
connections: each has one in so many of the places of a known source."""

CROWDED_PART = 2
"""The pending connections are crowded when strangers have one in so many of the places; then silence is worth
less: :data:`relaykit.server.acceptor.CROWDED_TIMEOUT_S`."""

CONNECTIONS_AT_ONCE = 1024
"""Connections that one source may make at once that no client is logged in from: more may never wait."""

CONNECTIONS_PER_S = 512.0
"""Connections a second of one such source after those.  Each costs a third of a millisecond, with TLS one, so
that the rest of the time is the users'; those beyond cost a quarter of that.  Where users come to the same
port, there is no such limit."""

LOGINS_AT_ONCE = 256
"""Logins of one source that may fail at once: the clients of a whole site after its token was changed.  A
login that proves itself is never counted."""

LOGINS_PER_S = 16.0
"""Logins a second of one source that may fail after those."""

MAX_SOURCES = 8192
"""Sources and networks whose failed logins are counted; when there are more, that which failed longest ago
counts as new."""


def most_asked(most: int) -> int:
    """Work connections that a client without mux may be asked for at a time where so many connections may be
    pending: until they have said whose they are, they are among them.
    """
    of_source = min(MAX_PENDING_OF_KNOWN, most - most // RESERVE_PART)
    return max(1, of_source // CLIENTS_OF_SOURCE)


@define(eq=False)
class Slot:
    """One connection's place among the pending ones, until :meth:`release`; ``abort()`` drops it."""

    _room: FairRoom[Slot]
    abort: Callable[[], None]

    def renew(self) -> None:
        """It has come a step further: those go first that have not."""
        self._room.renew(self)

    def release(self) -> None:
        """It is known who takes the connection, or it is gone; doing it again changes nothing."""
        self._room.leave(self)


@define(eq=False)
class PendingConnections:
    """The connections that nobody is known behind yet.

    There is always a place for one more: where none is left, somebody is dropped for it.  That is never one
    of a known source for a stranger's.

    :param is_known: whether a client is logged in from a source, given as its last network.
    :param most: how many there may be, at least 4.
    """

    _is_known: Callable[[str], bool]
    most: int = MAX_PENDING
    _strangers: FairRoom[Slot] = field(init=False)
    _known: FairRoom[Slot] = field(init=False)
    _dropped_at: float = field(default=-math.inf, init=False)

    @_strangers.default
    def _room_of_strangers(self) -> FairRoom[Slot]:
        return FairRoom(self.most - self._reserve, MAX_PENDING_PER_SOURCE, MAX_PENDING_PER_NETWORK)

    @_known.default
    def _room_of_known(self) -> FairRoom[Slot]:
        return FairRoom(self.most - self._reserve, MAX_PENDING_OF_KNOWN, MAX_PENDING_OF_KNOWN)

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    @property
    def _reserve(self) -> int:
        """Places that strangers have for themselves, and those that they cannot have."""
        return self.most // RESERVE_PART

    @property
    def is_crowded(self) -> bool:
        """Whether strangers have so many of the places that they are given less time."""
        return len(self._strangers) * CROWDED_PART > self.most

    def has_dropped_since(self, time: float) -> bool:
        """Whether somebody had to make room since then."""
        return self._dropped_at >= time

    def enter(
        self, origin: Origin, abort: Callable[[], None], now: float, is_scarce: bool = False
    ) -> tuple[Slot, list[Slot]]:
        """A slot for a new connection, which ``abort()`` drops; and those that must be dropped now.

        :param is_scarce: whether it took one of the last descriptors: then strangers keep no more than a
        quarter of the places.
        """
        source: Source = source_of(origin)
        room = self._known if self._is_known(source[-1]) else self._strangers
        slot = Slot(room, abort)
        dropped = [room.enter(slot, source)]
        if len(self) > self.most:
            dropped.append((self._strangers if len(self._strangers) > self._reserve else room).dismiss())
        while is_scarce and len(self._strangers) > self._reserve:
            dropped.append(self._strangers.dismiss())
        must_go = [each for each in dropped if each is not None]
        if must_go:
            self._dropped_at = now
        return slot, must_go

    def abort_all(self) -> None:
        """Drops them all."""
        for slot in (*self._strangers, *self._known):
            slot.abort()

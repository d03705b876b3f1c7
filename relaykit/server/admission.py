"""What strangers may cost: how many connections at once, and how many logins in what time."""

from __future__ import annotations

import socket
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from relaykit.values import Origin

__all__ = ["LoginRate", "PendingConnections", "Slot", "source_of"]

MAX_PENDING = 4096
"""Connections on which nobody has logged in or shown a session, of all peers together; each costs a
descriptor, and some 50 KB in a TLS handshake."""

MAX_PENDING_PER_SOURCE = 512
"""The same, of one source that no client is logged in from.  Clients without mux open connections by the
hundreds when users come, but they are logged in by then."""

LOGINS_AT_ONCE = 256
"""Logins that one source may try at once: the clients of a whole site that lost their server together."""

LOGINS_PER_S = 16.0
"""Logins a second that one source may try after those: each costs a few milliseconds, with TLS."""

MAX_SOURCES = 8192
"""Sources whose logins are counted; when there are more, those that were quiet longest count as new."""

_PREFIX_6_BYTES = 8
"""The part of an IPv6 address that a single customer has at least.  Source: RFC 6177."""


def source_of(origin: Origin) -> str:
    """Who a connection counts for: an IPv4 address, or the network of an IPv6 one."""
    if origin.source is None:
        return ""
    host = origin.source.host
    if ":" not in host:
        return host
    # The ipaddress module would take ten times as long, for every user.
    address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    network = address[:_PREFIX_6_BYTES].ljust(len(address), b"\0")
    return f"{socket.inet_ntop(socket.AF_INET6, network)}/{8 * _PREFIX_6_BYTES}"


@define(eq=False)
class Slot:
    """One connection's place among the pending ones, until :meth:`release`; ``abort()`` drops it."""

    _pending: PendingConnections
    source: str
    abort: Callable[[], None] | None
    _released: bool = field(default=False, init=False)

    def release(self) -> None:
        """It is known who takes the connection, or it is gone; doing it again changes nothing."""
        if not self._released:
            self._released = True
            self.abort = None
            self._pending.on_released(self)


class PendingConnections:
    """Counts the connections that nobody is known behind yet.

    :param is_known: whether a client is logged in from a source.
    """

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._of_source: Counter[str] = Counter()
        self._slots: set[Slot] = set()

    def __len__(self) -> int:
        return len(self._slots)

    def enter(self, origin: Origin, abort: Callable[[], None]) -> Slot | None:
        """A slot for a new connection, which ``abort()`` drops; None if there is none, then drop it."""
        source = source_of(origin)
        if len(self._slots) >= MAX_PENDING:
            return None
        if self._of_source[source] >= MAX_PENDING_PER_SOURCE and not self._is_known(source):
            return None
        self._of_source[source] += 1
        slot = Slot(self, source, abort)
        self._slots.add(slot)
        return slot

    def abort_all(self) -> None:
        """Drops them all."""
        for slot in tuple(self._slots):
            if slot.abort is not None:
                slot.abort()

    def on_released(self, slot: Slot) -> None:
        """For slots only."""
        self._slots.discard(slot)
        source = slot.source
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]


class LoginRate:
    """Counts logins: a bucket of tokens for each source, which fills up again with time."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def admits(self, origin: Origin, now: float) -> bool:
        """Whether a login from there may be looked at; it is counted."""
        source = source_of(origin)
        left, since = self._buckets.get(source, (float(LOGINS_AT_ONCE), now))
        left = min(float(LOGINS_AT_ONCE), left + max(0.0, now - since) * LOGINS_PER_S)
        admitted = left >= 1.0
        self._buckets[source] = (left - 1.0 if admitted else left, now)
        self._buckets.move_to_end(source)
        self._forget_quiet(now)
        return admitted

    def _forget_quiet(self, now: float) -> None:
        """Forgets sources whose bucket must be full again, and the longest quiet if there are too many."""
        while self._buckets:
            source, (_, since) = next(iter(self._buckets.items()))
            if len(self._buckets) <= MAX_SOURCES and (now - since) * LOGINS_PER_S < LOGINS_AT_ONCE:
                return
            del self._buckets[source]

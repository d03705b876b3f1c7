"""The budgets that users of a server's proxies share: those of whole clients, and of users' addresses."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from relaykit.options import parse_bandwidth
from relaykit.sansio.pacing import Budget
from relaykit.sansio.sources import source_of
from relaykit.server.accounting import client_key

if TYPE_CHECKING:
    from relaykit.config.schema.server import Bandwidth
    from relaykit.values import ClientIdentity, Origin

__all__ = ["RECENT_BUDGETS", "Budgets"]

RECENT_BUDGETS = 10_000
"""Flows whose budgets are kept after their ends, so that nobody gets a fresh one by connecting again: more
than come within the 40 ms that a budget may be ahead or behind.  Some 3 MB."""


class _Table:
    """Budgets of one rate by whom they are for: of the flows that there are, and of the most recent ones."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._budgets: WeakValueDictionary[Hashable, Budget] = WeakValueDictionary()
        self._recent: deque[Budget] = deque(maxlen=RECENT_BUDGETS)

    def budgets_of(self, key: Hashable) -> tuple[Budget, ...]:
        """The budget of a key; none where there is no limit."""
        if not self.rate:
            return ()
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = Budget(self.rate)
        self._recent.append(budget)
        return (budget,)


class Budgets:
    """What the limits of a server amount to for each flow."""

    def __init__(self, limits: Bandwidth) -> None:
        self.change(limits)

    def change(self, limits: Bandwidth) -> None:
        """Has other limits hold for the flows that begin from now on."""
        self._clients = _Table(parse_bandwidth(limits.per_client))
        self._users = _Table(parse_bandwidth(limits.per_user))
        self._is_off = not (self._clients.rate or self._users.rate)

    def of(self, client: ClientIdentity, origin: Origin) -> tuple[Budget, ...]:
        """The budgets of a client, over all its sessions, and of a user's address, as far as it is known."""
        if self._is_off:
            return ()
        source = source_of(origin)[-1] if self._users.rate else ""
        users = self._users.budgets_of(source) if source else ()
        return self._clients.budgets_of(client_key(client)) + users

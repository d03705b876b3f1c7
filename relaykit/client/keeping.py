"""Changes of what a client keeps beside its files: each is on the disk before it counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredLock

from relaykit.errors import RelaykitError

if TYPE_CHECKING:
    from relaykit.config.store import Store

__all__ = ["Keeping"]


@frozen
class Keeping:
    """Changes the store of a client, one change after the other, whoever asks for them.

    :ivar store: answers what is kept.
    :ivar take: has the client go on with another store; raises :class:`relaykit.errors.RelaykitError` where
        that is not possible, and nothing is changed then.
    """

    _store: Callable[[], Store]
    _take: Callable[[Store], None]
    _turns: DeferredLock = field(factory=DeferredLock, init=False)

    def change(
        self, change: Callable[[Store], Store], write: Callable[[Store], Awaitable[None]]
    ) -> Deferred[None]:
        """Writes what ``change`` makes of the store, and goes on with it.

        Fails with what ``change`` or ``write`` raise, and with what keeps the client from going on, once the
        former store is written again.
        """
        changed: Deferred[None] = self._turns.run(
            lambda: Deferred.fromCoroutine(self._changed(change, write))
        )
        return changed

    async def _changed(
        self, change: Callable[[Store], Store], write: Callable[[Store], Awaitable[None]]
    ) -> None:
        former = self._store()
        store = change(former)
        await write(store)
        try:
            self._take(store)
        except RelaykitError:
            await write(former)
            raise

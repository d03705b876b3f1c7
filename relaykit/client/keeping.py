"""Changes of what a client keeps beside its files: each is on the disk before it counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredLock

from relaykit.errors import RelaykitError

if TYPE_CHECKING:
    from relaykit.config.store import FileState, Store

    Write: TypeAlias = Callable[[Store, FileState | None], Awaitable[FileState]]

__all__ = ["MOST_OWN_FILES", "Keeping"]

MOST_OWN_FILES: Final = 1024
"""Files of its own that a client remembers: more than it writes while it reads its files again."""


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
    _written: deque[FileState] = field(factory=lambda: deque(maxlen=MOST_OWN_FILES), init=False)

    def change(self, change: Callable[[Store], Store], write: Write) -> Deferred[None]:
        """Writes what ``change`` makes of the store, and goes on with it.

        Fails with what ``change`` or ``write`` raise, and with what keeps the client from going on, once the
        former store is written again.

        :param write: has a store be on the disk in place of the file that is known so; answers what the file
            is known by then.
        """
        changed: Deferred[None] = self._turns.run(
            lambda: Deferred.fromCoroutine(self._changed(change, write))
        )
        return changed

    def is_of_others(self, read: Store) -> bool:
        """Whether a store that was read has what another program has written, later than this one has."""
        return read.seen is not None and read.seen not in (self._store().seen, *self._written)

    def begin_anew(self) -> None:
        """Goes on from the store that was read last, whoever wrote that."""
        self._written.clear()

    async def _changed(self, change: Callable[[Store], Store], write: Write) -> None:
        former = self._store()
        store = change(former)
        await self._write(store, write)
        try:
            self._take(store)
        except RelaykitError:
            await self._write(former, write)
            raise

    async def _write(self, store: Store, write: Write) -> None:
        seen = self._written[-1] if self._written else store.seen
        self._written.append(await write(store, seen))

"""Tests for :mod:`relaykit.client.keeping`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.keeping import Keeping
from relaykit.config.store import FileState, Store
from relaykit.errors import PluginError


class KeepingTests(SynchronousTestCase):
    """Tests for changes of what is kept."""

    def setUp(self) -> None:
        self.kept = Store("first")
        self.disk = Store("first")
        self.written: list[Deferred[None]] = []
        self.expected: list[FileState | None] = []
        self.error: Exception | None = None
        self.keeping = Keeping(lambda: self.kept, self.take)

    def take(self, store: Store) -> None:
        """A client goes on with another store, or cannot."""
        if self.error is not None:
            raise self.error
        self.kept = store

    async def write(self, store: Store, seen: FileState | None) -> FileState:
        """A disk that takes its time."""
        done: Deferred[None] = Deferred()
        self.written.append(done)
        self.expected.append(seen)
        number = len(self.written)
        await done
        self.disk = store
        return (number, 0, 0)

    def change(self, path: str) -> Deferred[None]:
        """Asks for a store that adds this to its path."""
        return self.keeping.change(lambda store: Store(f"{store.path} {path}"), self.write)

    def test_written_first(self) -> None:
        """A change counts once it is on the disk."""
        changed = self.change("a")
        self.assertEqual(self.kept.path, "first")
        self.written[0].callback(None)
        self.successResultOf(changed)
        self.assertEqual((self.kept.path, self.disk.path), ("first a", "first a"))

    def test_turns(self) -> None:
        """One change is made of what the one before it has made."""
        first, second = self.change("a"), self.change("b")
        self.assertEqual(len(self.written), 1)
        self.written[0].callback(None)
        self.written[1].callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.kept.path, "first a b")

    def test_not_written(self) -> None:
        """What cannot be written does not count, and the next change can."""
        changed, after = self.change("a"), self.change("b")
        self.written[0].errback(OSError(28, "no space left on device"))
        self.failureResultOf(changed, OSError)
        self.written[1].callback(None)
        self.successResultOf(after)
        self.assertEqual(self.kept.path, "first b")

    def test_not_taken(self) -> None:
        """What the client cannot go on with is taken from the disk again."""
        self.error = PluginError("no such type")
        changed = self.change("a")
        self.written[0].callback(None)
        self.assertEqual(self.disk.path, "first a")
        self.written[1].callback(None)
        self.failureResultOf(changed, PluginError)
        self.assertEqual((self.kept.path, self.disk.path), ("first", "first"))
        self.assertEqual(self.expected, [None, (1, 0, 0)])

    def test_of_others(self) -> None:
        """A file that others wrote is told from those that this client has written, and from none at all."""
        for path in "ab":
            changed = self.change(path)
            self.written[-1].callback(None)
            self.successResultOf(changed)
        self.assertEqual(self.expected, [None, (1, 0, 0)])
        for seen, is_of_others in ((None, False), ((1, 0, 0), False), ((2, 0, 0), False), ((9, 0, 0), True)):
            self.assertIs(self.keeping.is_of_others(Store("", seen)), is_of_others)
        self.kept = Store("theirs", (9, 0, 0))
        self.keeping.begin_anew()
        self.assertFalse(self.keeping.is_of_others(self.kept))
        self.assertTrue(self.keeping.is_of_others(Store("", (2, 0, 0))))
        self.keeping.change(lambda store: Store("", store.seen), self.write)
        self.assertEqual(self.expected[-1], (9, 0, 0))

    def test_read_before(self) -> None:
        """What was read before this client has changed it is not of others."""
        self.kept = Store("first", (7, 0, 0))
        changed = self.keeping.change(lambda store: Store("", store.seen), self.write)
        self.written[0].callback(None)
        self.successResultOf(changed)
        self.assertFalse(self.keeping.is_of_others(Store("", (7, 0, 0))))

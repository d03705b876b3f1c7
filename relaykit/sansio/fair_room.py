"""Places that many sources share, so that none of them fills them for all.

There is always a place for who comes: where there is none left, whoever has most gives one up, the one that
it has had for longest, or that was renewed longest ago.  So a source that has few places keeps them, whatever
others do, until there are as many sources as places; then all have one, and each keeps it for as long as the
others take to come.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from relaykit.sansio.sources import Source

__all__ = ["FairRoom"]

EntryT = TypeVar("EntryT", bound=Hashable)


class _Network(Generic[EntryT]):
    """What came from one network: its parts by their names, or, where it is the last one, what has a
    place.
    """

    __slots__ = ("_by_size", "_largest", "entries", "name", "parent", "parts", "size")

    def __init__(self, name: str, parent: _Network[EntryT] | None) -> None:
        self.name = name
        self.parent = parent
        self.size = 0
        self.parts: dict[str, _Network[EntryT]] = {}
        self.entries: dict[EntryT, None] = {}
        self._by_size: dict[int, dict[_Network[EntryT], None]] = {}
        self._largest = 0

    def part(self, name: str) -> _Network[EntryT]:
        """A part of it, which is made if there is none."""
        part = self.parts.get(name)
        if part is None:
            part = self.parts[name] = _Network(name, self)
        return part

    def grow(self) -> None:
        """It, and all that it is a part of, has one more."""
        self._resize(1)

    def shrink(self) -> None:
        """It has one less; what is empty is forgotten."""
        self._resize(-1)

    def first_to_leave(self) -> EntryT:
        """What has been there for longest, of the part that has most."""
        network = self
        while network.parts:
            network = next(iter(network._by_size[network._largest]))
        return next(iter(network.entries))

    def _resize(self, change: int) -> None:
        before, self.size = self.size, self.size + change
        parent = self.parent
        if parent is None:
            return
        parent._note(self, before)
        parent._resize(change)

    def _note(self, part: _Network[EntryT], before: int) -> None:
        """A part has another size than before; the sizes of all are kept in order."""
        by_size, now = self._by_size, part.size
        if before:
            same = by_size[before]
            del same[part]
            if not same:
                del by_size[before]
        if now:
            by_size.setdefault(now, {})[part] = None
        else:
            del self.parts[part.name]
        if now > self._largest or self._largest not in by_size:
            # It was the only one of the largest, and has changed by one.
            self._largest = now


class FairRoom(Generic[EntryT]):
    """See above.

    :param most: places of all together, at least 1.
    :param most_of_source: those of one source; None for as many as there are.
    :param most_of_network: those of each wider network that a source is a part of.
    """

    def __init__(
        self, most: int, most_of_source: int | None = None, most_of_network: int | None = None
    ) -> None:
        self._most = most
        self._most_of_source = most if most_of_source is None else most_of_source
        self._most_of_network = most if most_of_network is None else most_of_network
        self._all: _Network[EntryT] = _Network("", None)
        self._where: dict[EntryT, _Network[EntryT]] = {}

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[EntryT]:
        """Who has a place, in the order of coming."""
        return iter(self._where)

    def enter(self, entry: EntryT, source: Source) -> EntryT | None:
        """Gives a place to who has none, and answers who has lost one for that, if somebody has."""
        network = self._all
        for name in source:
            network = network.part(name)
        network.entries[entry] = None
        self._where[entry] = network
        network.grow()
        return self._make_room(network)

    def leave(self, entry: EntryT) -> None:
        """Takes the place of who has one."""
        network = self._where.pop(entry, None)
        if network is not None:
            del network.entries[entry]
            network.shrink()

    def renew(self, entry: EntryT) -> None:
        """Counts who has a place as one that has just come."""
        network = self._where.get(entry)
        if network is not None:
            del network.entries[entry]
            network.entries[entry] = None

    def dismiss(self) -> EntryT | None:
        """Takes the place of whoever is the first to give one up, and answers who; None if nobody is
        there.
        """
        if not self._where:
            return None
        entry = self._all.first_to_leave()
        self.leave(entry)
        return entry

    def _make_room(self, newest: _Network[EntryT]) -> EntryT | None:
        crowded = None
        network, most = newest, self._most_of_source
        while network.parent is not None:
            if network.size > most:
                crowded = network
            network, most = network.parent, self._most_of_network
        if self._all.size > self._most:
            crowded = crowded or self._all
        if crowded is None:
            return None
        entry = crowded.first_to_leave()
        self.leave(entry)
        return entry

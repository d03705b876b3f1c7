"""Which messages of the wire belong to which proxy type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relaykit.errors import BrokenProxyType
from relaykit.sansio.control.session import SESSION_MESSAGES
from relaykit.sansio.wire.messages import FREE_NUMBERS, Message

__all__ = ["TypeMessages"]


_UNUSED = frozenset(number for number, used in SESSION_MESSAGES.by_number.items() if used is None)
"""Numbers of frp's messages that are not about the session."""


class TypeMessages:
    """The messages of proxy types, each of which belongs to one."""

    def __init__(self) -> None:
        self._types: dict[type[Message], str] = {}
        self._table = SESSION_MESSAGES

    def __iter__(self) -> Iterator[type[Message]]:
        """The classes of all messages."""
        return iter(self._types)

    def add(self, name: str, messages: Iterable[type[Message]]) -> None:
        """Learns the messages of a proxy type; once for each type is enough.

        :raises BrokenProxyType: one has a number of another one's, or one that no package may take.
        """
        classes = tuple(messages)
        for each in classes:
            if each.number not in FREE_NUMBERS and each.number not in _UNUSED:
                raise self._broken(
                    name,
                    f"{each.__name__} has the number {each.number:#x}; free are {FREE_NUMBERS.start:#x} to "
                    f"{FREE_NUMBERS[-1]:#x}, and those of frp's messages that no other type has",
                )
            if self._types.get(each, name) != name:
                raise self._broken(name, f"{each.__name__} belongs to {self._types[each]}")
        try:
            self._table = self._table.extended(*classes)
        except ValueError as error:
            raise self._broken(name, str(error)) from error
        self._types.update(dict.fromkeys(classes, name))

    def type_of(self, message: Message) -> str:
        """The name of the proxy type that a message belongs to."""
        return self._types[type(message)]

    @staticmethod
    def _broken(name: str, reason: str) -> BrokenProxyType:
        return BrokenProxyType(f'the messages of proxy type "{name}" cannot be used: {reason}')

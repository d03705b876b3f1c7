"""What a file that was read again changes of a configuration that a program runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from attrs import frozen

from relaykit.options import Effect, OptionField, Options, option_fields

__all__ = ["Changes", "changes"]

OptionsT = TypeVar("OptionsT", bound=Options)


@frozen
class Changes(Generic[OptionsT]):
    """What is different, and when that counts.

    :ivar config: what the program may run on now: what was read, and as it was what counts after a restart.
    :ivar keys: the keys that are different, dotted from the top, by when they count.
    """

    config: OptionsT
    keys: Mapping[Effect, tuple[str, ...]]


def changes(running: OptionsT, read: OptionsT, prefix: str = "") -> Changes[OptionsT]:
    """Compares what a program runs on with what its file says; ``prefix`` stands before the keys."""
    found: dict[Effect, list[str]] = {each: [] for each in Effect}
    config = _compared(running, read, prefix, Effect.AFTER_RESTART, found)
    return Changes(config, {when: tuple(keys) for when, keys in found.items()})


def _compared(
    running: OptionsT, read: OptionsT, prefix: str, outer: Effect, found: Mapping[Effect, list[str]]
) -> OptionsT:
    """What of a table may count now; takes down what is different."""
    kept: dict[str, Any] = {}
    for each in _fields(running, read):
        before, after = (getattr(table, each.name, each.default) for table in (running, read))
        when = each.effect or outer
        key = each.file_key or prefix + each.key
        if isinstance(before, Options) and isinstance(after, Options):
            now: Any = _compared(before, after, f"{key}.", when, found)
        else:
            now = before if when is Effect.AFTER_RESTART else after
            if before != after:
                found[when].append(key)
        if now is not after and hasattr(read, each.name):
            kept[each.name] = now
    return msgspec.structs.replace(read, **kept) if kept else read


def _fields(running: Options, read: Options) -> Iterator[OptionField]:
    """The fields of both: packages may have added some to either."""
    of_read = option_fields(type(read))
    yield from of_read
    names = {each.name for each in of_read}
    yield from (each for each in option_fields(type(running)) if each.name not in names)

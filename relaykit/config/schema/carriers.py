"""The tables of carriers: the ``transport`` of both files has them as far as packages are installed."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from relaykit.options import Options, option_fields
from relaykit.plugins import Carriers

__all__ = ["AUTO", "carrier_options", "with_carriers"]

AUTO = "auto"
"""The ``transport.protocol`` of a client that takes whichever carrier gets to its server."""

OptionsT = TypeVar("OptionsT", bound=Options)


def with_carriers(cls: type[OptionsT], half: str, keys: Iterable[str]) -> type[OptionsT]:
    """A table with a field more for each of these keys that is a carrier's, and not its own.

    :param half: ``dial_options`` or ``accept_options``.
    :raises PluginError: a carrier cannot be used.
    """
    unknown = frozenset(keys) - {each.key.casefold() for each in option_fields(cls)}
    return _with_carriers(cls, half, unknown) if unknown else cls


def carrier_options(transport: Options, table: str, cls: type[Options] | None) -> Any:
    """What a carrier gets as its options: its table, or the defaults where that is not in the file."""
    given = getattr(transport, table, None)
    return cls() if given is None and cls is not None else given


@functools.cache
def _with_carriers(cls: type[OptionsT], half: str, keys: frozenset[str]) -> type[OptionsT]:
    installed = Carriers.installed()
    carriers = [installed.get(key) for key in sorted(keys) if key in installed]
    tables = {each.name: getattr(each, half) for each in carriers if each.table == each.name}
    fields = [(name, options, options()) for name, options in tables.items() if options is not None]
    if not fields:
        return cls
    made: Any = msgspec.defstruct(
        cls.__name__, fields, bases=(cls,), module=cls.__module__, frozen=True, kw_only=True, rename="camel"
    )
    made.__doc__ = cls.__doc__
    return made  # type: ignore[no-any-return]  # a subclass, made while the program runs

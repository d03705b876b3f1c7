"""What flags set: tables as a configuration file would hold them.

A flag that was not given leaves its key out, so that the key has the default of files; so does one with
an empty value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from relaykit.flags.grammar import Call, Flag

__all__ = ["table_of"]


def table_of(call: Call, flags: Iterable[Flag], always: Collection[str] = ()) -> dict[str, Any]:
    """The table in which flags have set their keys; those named in ``always`` do so even if not given."""
    table: dict[str, Any] = {}
    for flag in flags:
        name = flag.name.replace("_", "-")
        value = call[name]
        if flag.key and (name in call.given or flag.name in always) and (value or value is False):
            _put(table, flag.key, list(value) if isinstance(value, tuple) else value)
    return table


def _put(table: dict[str, Any], dotted: str, value: Any) -> None:
    *tables, key = dotted.split(".")
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = value

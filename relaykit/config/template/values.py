"""What templates compute with: how values are called, judged and written.

Texts, whole numbers, booleans, lists, maps from text to text, pairs of numbers, the root of a template, and
None for what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import frozen

__all__ = ["NOTHING", "NumberPair", "Root", "Value", "is_true", "size_of", "type_name", "write_value"]

NOTHING = "<nil>"
"""What ``print`` and ``printf`` write for what is not there."""


@frozen
class NumberPair:
    """An element of what ``parseNumberRangePair`` answers; templates know ``First`` and ``Second``."""

    first: int
    second: int

    def fields(self) -> Mapping[str, Value]:
        """Its fields by name."""
        return {"First": self.first, "Second": self.second}


@frozen
class Root:
    """What a configuration file's template is about: the environment."""

    environ: Mapping[str, str]

    def fields(self) -> Mapping[str, Value]:
        """Its fields by name."""
        return {"Envs": self.environ}


Value: TypeAlias = (
    str | int | bool | list[int] | list[NumberPair] | Mapping[str, str] | NumberPair | Root | None
)
"""Any of the kinds that the module names."""


def is_true(value: Value) -> bool:
    """Whether a value counts as true: false are false, 0, what is empty and what is not there."""
    return isinstance(value, NumberPair | Root) or bool(value)


def size_of(value: Value) -> int:
    """How much memory a value takes, and what is written of it, in characters and elements of lists."""
    match value:
        case str() | list():
            return 1 + len(value)
        case Mapping():
            return 1 + sum(len(key) + len(each) for key, each in value.items())
        case Root():
            return size_of(value.environ)
    return 1


def type_name(value: Value) -> str:
    """What errors call the type of a value: Go's names, which the manuals of frp use."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "int"
        case list():
            return "[]config.NumberPair" if value and isinstance(value[0], NumberPair) else "[]int64"
        case NumberPair():
            return "config.NumberPair"
        case Root():
            return "*config.Values"
    return "map[string]string"


def write_value(value: Value) -> str:
    """A value as an action or ``print`` writes it."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{' '.join(map(write_value, value))}]"
        case NumberPair():
            return f"{{{value.first} {value.second}}}"
        case Root():
            return f"{{{write_value(value.environ)}}}"
        case Mapping():
            return f"map[{' '.join(f'{key}:{value[key]}' for key in sorted(value))}]"
    return str(value)

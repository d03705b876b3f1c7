"""What of a proxy's options travels in frp's NewProxy, and how single values are checked at both ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from relaykit.options.fields import OptionField, Options, option_fields, options_class
from relaykit.values import Secret

__all__ = ["EXTENSION_KEY", "convert", "from_wire", "to_wire"]

EXTENSION_KEY = "relaykit"
"""The one key of NewProxy under which relaykit's own fields travel; frp ignores it."""

OptionsT = TypeVar("OptionsT", bound=Options)


def convert(value: Any, declared: Any) -> Any:
    """Turns a plain value (as JSON or TOML gives it) into a field's type.

    :raises msgspec.ValidationError: it does not fit.
    """
    return msgspec.convert(value, declared, strict=True, dec_hook=_decode_special)


def to_wire(options: Options) -> dict[str, Any]:
    """What of these options travels, as fields of NewProxy; fields with default values are left out."""
    fields: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for field, value in _walk(options):
        if value == field.default:
            continue
        if field.wire is not None:
            fields[field.wire] = _encode(value)
        elif field.extension is not None:
            own[field.extension] = _encode(value)
    if own:
        fields[EXTENSION_KEY] = own
    return fields


def from_wire(cls: type[OptionsT], fields: Mapping[str, Any]) -> OptionsT:
    """Builds options from the fields of a NewProxy message; what did not travel has its default.

    :raises msgspec.ValidationError: a field has the wrong type, or is missing and has no default.
    """
    own = fields.get(EXTENSION_KEY)
    if not isinstance(own, Mapping):
        own = {}
    values: dict[str, Any] = {}
    for field in option_fields(cls):
        nested = options_class(field.type)
        if nested is not None:
            table = from_wire(nested, fields)
            if field.default is not None or table != nested():
                values[field.name] = table
        elif field.wire is not None and field.wire in fields:
            values[field.name] = convert(fields[field.wire], field.declared)
        elif field.extension is not None and field.extension in own:
            values[field.name] = convert(own[field.extension], field.declared)
        elif field.required:
            raise msgspec.ValidationError(f"`{field.key}` is missing")
    return cls(**values)


def _walk(options: Options) -> Iterator[tuple[OptionField, Any]]:
    for field in option_fields(type(options)):
        value = getattr(options, field.name)
        if isinstance(value, Options):
            yield from _walk(value)
        else:
            yield field, value


def _encode(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else msgspec.to_builtins(value)


def _decode_special(declared: type, value: Any) -> Any:
    if declared is Secret:
        if not isinstance(value, str):
            raise msgspec.ValidationError(f"Expected `str`, got `{type(value).__name__}`")
        return Secret(value)
    raise NotImplementedError(f"options of type {declared!r}")

"""JSON as frp writes and reads it, which is the way of Go's ``encoding/json``.

Writing: fields in the order of their declaration, maps by key, ``<``, ``>``, ``&``, U+2028 and
U+2029 escaped, bytes in base64, what is not UTF-8 replaced by U+FFFD.

Reading: keys match whatever their case, the last of equal keys wins, unknown keys are ignored,
``null`` leaves a field as it is, integers have neither fraction nor exponent.  Whatever was written by
these rules is read by msgspec directly; only what that refuses takes the longer way, which bends
the input to what the rules permit beyond that.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer

__all__ = ["MalformedMessage", "decode", "decode_object", "encode", "encode_object"]

StructT = TypeVar("StructT", bound=msgspec.Struct)


class MalformedMessage(RemoteProtocolError):
    """Something is not JSON, or has the wrong type.  The text does not show what it contains."""


_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec and json raise for input that they refuse."""
_ESCAPES = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_encoder = msgspec.json.Encoder(order="deterministic")


def encode(value: msgspec.Struct, *, escape: bool = True) -> bytes:
    """A struct as JSON.

    Without ``escape``, five scans are saved: for bulk that has nothing to escape.
    """
    encoded = _encoded(value)
    return _escaped(encoded) if escape else encoded


def encode_object(fields: Mapping[str, Any]) -> bytes:
    """Fields as a JSON object: these in the order of the mapping, maps inside them by key."""
    pairs = (_encoded(key) + b":" + _encoded(value) for key, value in fields.items())
    return _escaped(b"{" + b",".join(pairs) + b"}")


def decode(data: Buffer, cls: type[StructT]) -> StructT | None:
    """JSON as a struct that forbids unknown fields; None for ``null``.

    :raises MalformedMessage: it is not JSON, or something has the wrong type.
    """
    try:
        decoded: StructT = _decoder(cls).decode(data)
        return decoded
    except _UNREADABLE:
        value = _parse(data)
    if value is None:
        return None
    try:
        return msgspec.convert(_bend(value, inspect.type_info(cls)), cls)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"{cls.__name__} is malformed: {error}") from None


def decode_object(data: Buffer) -> dict[str, Any] | None:
    """JSON as a mapping with keys in lower case, without fields that are ``null``; None for ``null``.

    :raises MalformedMessage: it is not JSON, or no object.
    """
    try:
        value = msgspec.json.decode(data)
    except _UNREADABLE:
        value = _parse(data)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MalformedMessage("a message must be a JSON object")
    return {key.casefold(): item for key, item in value.items() if item is not None}


@functools.cache
def _decoder(cls: type[StructT]) -> msgspec.json.Decoder[StructT]:
    return msgspec.json.Decoder(cls)


def _encoded(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_without_surrogates(msgspec.to_builtins(value, order=None)))


def _escaped(text: bytes) -> bytes:
    for plain, escape in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escape)
    return text


def _parse(data: Buffer) -> Any:
    """Reads JSON that msgspec would not: bytes that are not UTF-8, lone surrogates."""
    try:
        value = json.loads(str(data, "utf-8", "replace"), parse_constant=_refuse_constant)
        return _without_surrogates(value)
    except _UNREADABLE:
        raise MalformedMessage("a message is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


def _bend(value: Any, declared: inspect.Type) -> Any:
    """Makes of a value what msgspec accepts for a type, where the rules permit more than that."""
    match declared, value:
        case inspect.StructType(), dict():
            return _bend_struct(value, declared)
        case inspect.UnionType(), _:
            return _bend(
                value, next(kind for kind in declared.types if not isinstance(kind, inspect.NoneType))
            )
        case inspect.VarTupleType(), list():
            item = declared.item_type
            return [_bend(_zero(item) if element is None else element, item) for element in value]
        case inspect.DictType(value_type=inspect.StrType()), dict():
            return {key: "" if item is None else item for key, item in value.items()}
        case inspect.BytesType(), str():
            return value.replace("\r", "").replace("\n", "")
        case _:
            return value


def _bend_struct(value: dict[str, Any], declared: inspect.StructType) -> dict[str, Any]:
    fields = {field.encode_name.casefold(): field for field in declared.fields}
    bent: dict[str, Any] = {}
    for key, item in value.items():
        field = fields.get(key.casefold())
        if field is not None and item is not None:
            bent[field.encode_name] = _bend(item, field.type)
    return bent


def _zero(declared: inspect.Type) -> Any:
    return {} if isinstance(declared, inspect.StructType) else ""

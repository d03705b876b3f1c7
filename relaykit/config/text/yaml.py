"""YAML, with the lines of its keys and with the scalar rules of the library that frp uses.

Those are YAML 1.1's without base 60, plus ``0o17``; dates and times stay text.  Values are made of
PyYAML's nodes, because its own constructors have other rules.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import yaml
from attrs import define, field

from relaykit.config.text.documents import (
    MOST_DEPTH,
    Document,
    Format,
    FormatError,
    KeyPath,
    fold,
    refuse_non_finite,
    written,
)
from relaykit.config.text.numerals import parse_float, parse_integer

__all__ = ["read_yaml"]

MOST_NODES = 200_000
"""Values of one document, each use of an alias counted: aliases of aliases grow without bound else."""

_ANCHOR_HOLDER = "."
"""Keys of the top level that begin so hold values for aliases, and are no keys of the configuration."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"
_NO_RESOLUTION = "!"
_YAML_VERSION = (1, 1)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: Mapping[str, bool | float | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_TYPED: Mapping[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}


def read_yaml(text: str) -> Document:
    """Parses the first document of a YAML text; of repeated keys the last one counts.

    :raises FormatError: it is no YAML.
    """
    builder = _Builder()
    try:
        node = _first_node(text)
        value = None if node is None else builder.value(node, (), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        raise FormatError(reason, *(() if mark is None else (mark.line + 1, mark.column + 1))) from None
    except yaml.YAMLError as error:
        raise FormatError(" ".join(str(error).split())) from None
    except RecursionError:
        raise FormatError("lists and tables are nested too deeply") from None
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if not key.startswith(_ANCHOR_HOLDER)}
    return refuse_non_finite(Document(value, Format.YAML, builder.lines, tuple(builder.repeated)))


class _Loader(yaml.BaseLoader):
    """Composes nodes and leaves open what plain scalars mean."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return super().resolve(kind, value, implicit)

    def scan_to_next_token(self) -> None:
        # Unlike PyYAML, frp's library takes a tab for a space between tokens.
        while True:
            super().scan_to_next_token()
            if self.peek() != "\t" or (self.allow_simple_key and not self.flow_level):
                return
            self.forward()

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        is_text = self.peek_event().tag == _NO_RESOLUTION
        node = super().compose_scalar_node(anchor)
        if is_text:
            node.tag = f"{_TAG}str"
        return node


def _first_node(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        loader.get_event()
        if loader.check_event(yaml.StreamEndEvent):
            return None
        start = loader.peek_event()
        version = getattr(start, "version", None)
        if version is not None and version > _YAML_VERSION:
            raise FormatError("found incompatible YAML document (version 1.1 is required)", 1)
        return loader.compose_document()
    finally:
        loader.dispose()


@define
class _Builder:
    """Makes values of nodes."""

    lines: dict[KeyPath, int] = field(factory=dict)
    repeated: list[KeyPath] = field(factory=list)
    _count: int = 0

    def value(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self._count += 1
        if depth > MOST_DEPTH:
            raise _error("lists and tables are nested too deeply, or contain themselves", node)
        if self._count > MOST_NODES:
            raise _error(f"the document has more than {MOST_NODES} values", node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            items = []
            for position, each in enumerate(node.value):
                here = (*path, position)
                self.lines[fold(here)] = each.start_mark.line + 1
                items.append(self.value(each, here, depth + 1))
            return items
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if _is_merge(key_node):
                merged.append(value_node)
                continue
            key = _key(key_node)
            here = (*path, key)
            if key in table:
                self.repeated.append(here)
            self.lines[fold(here)] = key_node.start_mark.line + 1
            table[key] = self.value(value_node, here, depth + 1)
        for each in merged:
            for key, value in self._merged(each, path, depth).items():
                table.setdefault(key, value)
        return table

    def _merged(self, node: yaml.Node, path: KeyPath, depth: int) -> dict[str, Any]:
        """What ``<<`` adds; of several tables, the first one that has a key counts."""
        if isinstance(node, yaml.MappingNode):
            known = dict(self.lines)
            table = self._mapping(node, path, depth + 1)
            self.lines |= known
            return table
        together: dict[str, Any] = {}
        if not isinstance(node, yaml.SequenceNode) or depth > MOST_DEPTH:
            raise _error("map merge requires map or sequence of maps as the value", node)
        for each in node.value:
            if not isinstance(each, yaml.MappingNode):
                raise _error("map merge requires map or sequence of maps as the value", each)
            for key, value in self._merged(each, path, depth + 1).items():
                together.setdefault(key, value)
        return together


def _is_merge(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and (
        (node.tag == _PLAIN and node.value == "<<") or node.tag == f"{_TAG}merge"
    )


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _error("a key must be text", node)
    value = _scalar(node)
    match value:
        case str():
            return value
        case None:
            raise _error("a key must be text", node)
    return written(value)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    tag = node.tag.removeprefix(_TAG)
    if tag == _PLAIN:
        return _plain(text)
    if tag == "binary":
        try:
            return base64.b64decode(text, validate=False).decode("utf-8", "surrogateescape")
        except ValueError:
            raise _error("!!binary value contains invalid base64 data", node) from None
    if tag in _TYPED:
        value = _plain(text)
        if not isinstance(value, _TYPED[tag]) or (isinstance(value, bool) and tag != "bool"):
            raise _error(f'"{text}" is no !!{tag}', node)
        return value
    return text


def _plain(text: str) -> Any:
    """What a scalar without quotes and tag means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    bare = text.replace("_", "")
    try:
        return parse_integer(bare, prefixed=True)
    except ValueError:
        pass
    if not _FLOAT.match(bare):
        return text
    try:
        value = parse_float(bare)
    except ValueError:
        return text
    return int(value) if value.is_integer() else value


def _error(reason: str, node: yaml.Node) -> FormatError:
    mark = node.start_mark
    return FormatError(reason, mark.line + 1, mark.column + 1)

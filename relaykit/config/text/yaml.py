"""YAML by PyYAML, with the rules for scalars of the library that frp uses.

Those are YAML 1.1's without base 60, plus ``0o17``; dates and times stay text.  The lines of keys are those
of PyYAML's nodes.
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
from relaykit.config.text.numerals import parse_integer

__all__ = ["Places", "read_yaml"]

_ECHOING = ("found undefined alias", "found undefined tag handle")
"""Errors whose texts go on with what is in the file: it may be a secret that lacks its quotes."""

MOST_NODES = 200_000
"""Values of one document, each use of an alias counted: aliases of aliases grow without bound else."""

_ANCHOR_HOLDER = "."
"""Keys of the top level that begin so hold values for aliases, and are no keys of the configuration."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_PLAIN = "plain"
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
_TYPED: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}


def read_yaml(text: str) -> Document:
    """Parses the first document of a YAML text; of repeated keys the last one counts.

    :raises FormatError: it is no YAML.
    """
    places = Places()
    loader = _loader(text)
    try:
        node = _first_node(loader)
        places.visit(node, ())
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        hint = ""
        for echoing in _ECHOING:
            if reason.startswith(echoing):
                reason, hint = echoing, "a text that begins with * or ! must be in quotes"
        place = () if mark is None else (mark.line + 1, mark.column + 1)
        raise FormatError(reason, *place, hint=hint) from None
    except yaml.YAMLError as error:
        raise FormatError(" ".join(str(error).split())) from None
    except RecursionError:
        raise FormatError("lists and tables are nested too deeply") from None
    except (ValueError, OverflowError):
        # PyYAML makes letters of numbers without a look at them.
        raise FormatError(
            "found an escape that stands for no character", loader.line + 1, loader.column + 1
        ) from None
    finally:
        loader.dispose()
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if not key.startswith(_ANCHOR_HOLDER)}
    return refuse_non_finite(Document(value, Format.YAML, places.lines, tuple(places.repeated)))


def _loader(text: str) -> _Loader:
    """What parses a text.

    :raises FormatError: there is a character in it that YAML does not have.
    """
    try:
        return _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        what = f"found the character U+{ord(text[error.position]):04X}, which YAML does not have"
        raise FormatError(what, line, column) from None


@define
class Places:
    """Where the keys of a document are, and which were given twice."""

    lines: dict[KeyPath, int] = field(factory=dict)
    repeated: list[KeyPath] = field(factory=list)
    _count: int = 0

    def visit(self, node: yaml.Node | None, path: KeyPath) -> None:
        """Notes the places below a node; what is nested too deeply, or is too much, is an error."""
        self._count += 1
        if len(path) > MOST_DEPTH:
            raise _error("lists and tables are nested too deeply, or contain themselves", node)
        if self._count > MOST_NODES:
            raise _error(f"the document has more than {MOST_NODES} values", node)
        if isinstance(node, yaml.SequenceNode):
            for position, each in enumerate(node.value):
                self._note(each, (*path, position))
                self.visit(each, (*path, position))
        elif isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)

    def _visit_mapping(self, node: yaml.MappingNode, path: KeyPath) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            name = _key(key)
            here = (*path, name)
            if name in seen:
                self.repeated.append(here)
            seen.add(name)
            self._note(key, here)
            self.visit(value, here)
        for key, value in node.value:
            if key.tag == _MERGE:
                for each in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    self._visit_merged(each, path)

    def _visit_merged(self, node: yaml.Node, path: KeyPath) -> None:
        """What ``<<`` adds: where the keys are that the table has not itself."""
        if not isinstance(node, yaml.MappingNode):
            raise _error("map merge requires map or sequence of maps as the value", node)
        merged = Places(count=self._count)
        merged.visit(node, path)
        self._count = merged._count
        self.lines = merged.lines | self.lines

    def _note(self, node: yaml.Node, path: KeyPath) -> None:
        self.lines[fold(path)] = node.start_mark.line + 1


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, with the meaning of scalars left to :func:`_plain`."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _MERGE if value == "<<" else _PLAIN
        return str(super().resolve(kind, value, (False, True)))

    def scan_to_next_token(self) -> None:
        # Unlike PyYAML, frp's library takes a tab for a space between tokens.
        while True:
            super().scan_to_next_token()
            if self.peek() != "\t" or (self.allow_simple_key and not self.flow_level):
                return
            self.forward()

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        is_text = self.peek_event().tag == "!"
        node = super().compose_scalar_node(anchor)
        if is_text:
            node.tag = f"{_TAG}str"
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        return {_key(key): self.construct_object(value, deep=True) for key, value in node.value}


def _construct(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    """The value of a node of any tag: what a tag says counts for scalars only."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return _scalar(node)


_Loader.yaml_constructors = {}
_Loader.add_multi_constructor("", _construct)


def _first_node(loader: _Loader) -> yaml.Node | None:
    loader.get_event()
    if loader.check_event(yaml.StreamEndEvent):
        return None
    version = getattr(loader.peek_event(), "version", None)
    if version is not None and version > _YAML_VERSION:
        raise FormatError("found incompatible YAML document (version 1.1 is required)", 1)
    return loader.compose_document()


def _key(node: yaml.Node) -> str:
    value = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if value is None:
        raise _error("a key must be text", node)
    return value if isinstance(value, str) else written(value)


def _scalar(node: yaml.Node) -> Any:
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
        if not _FLOAT.match(bare):
            return text
    value = float(bare)
    if value in (float("inf"), float("-inf")):
        return text
    return int(value) if value.is_integer() else value


def _error(reason: str, node: yaml.Node | None) -> FormatError:
    mark = None if node is None else node.start_mark
    return FormatError(reason) if mark is None else FormatError(reason, mark.line + 1, mark.column + 1)

"""Every message that a user may see, taken from the source: texts of errors, of the log, of complaints."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from relaykit import errors
from relaykit.errors import ConfigurationError, ProtocolError, RelaykitError
from tests.layering import ROOT, modules

__all__ = ["FIELD", "Message", "messages"]

FIELD = "X"
"""Stands for whatever is put into a message."""

Message = tuple[str, str]
"""Where it comes from, and its text."""

_LEVELS = frozenset({"warn", "error", "critical"})
_SAYING = frozenset({"complain", "_complain", "explain"})
_NOT_SHOWN = frozenset({"testing"})


def messages() -> Iterator[Message]:
    """All of them; tools of tests, and what only peers are told by a protocol, are left out."""
    trees = {
        path: ast.parse((ROOT / path).read_text("utf-8"))
        for path in modules()
        if path.parts[1] not in _NOT_SHOWN
    }
    shown = _shown_errors(trees.values())
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (text := _text_of_call(node, shown)):
                yield f"{path}:{node.lineno}", text
        if path.name == "texts.py":
            yield from _constants(path, tree)


def _shown_errors(trees: Iterable[ast.Module]) -> frozenset[str]:
    """The names of errors whose text is for users: those of all modules, however often derived."""
    names = {
        name
        for name, cls in vars(errors).items()
        if isinstance(cls, type)
        and issubclass(cls, RelaykitError)
        and not issubclass(cls, (ProtocolError, ConfigurationError))
    }
    classes = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name not in vars(errors)
    }
    known = 0
    while known < len(names):
        known = len(names)
        names |= {name for name, bases in classes.items() if bases & names}
    return frozenset(names)


def _text_of_call(node: ast.Call, shown: frozenset[str]) -> str:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    texts = [text for argument in node.args if (text := _text(argument))]
    if name in shown or name in _SAYING:
        return texts[-1] if texts else ""
    logs = isinstance(called, ast.Attribute) and _name(called.value) == "log" and name in _LEVELS
    return _formatted(texts[0]) if logs and texts else ""


def _constants(path: Path, tree: ast.Module) -> Iterator[Message]:
    """The texts that the server tells its clients, which these show."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and (text := _text(node.value)):
            yield f"{path}:{node.lineno}", _formatted(text)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.expr) -> str:
    """The text of a literal, every field replaced; empty for anything else, and for fields alone."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else FIELD for part in parts)
            return text if text.strip(FIELD + ":; ") else ""
    return ""


def _formatted(text: str) -> str:
    """A text for ``format``, every field replaced; empty if there is nothing else."""
    pieces = text.replace("{", "\0{").split("\0")
    joined = "".join(FIELD + piece.partition("}")[2] if piece.startswith("{") else piece for piece in pieces)
    return joined if joined.strip(FIELD + ":; []") else ""

"""Every message that a user may see, from the source, with the id of the known problem that it carries."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from relaykit import errors
from relaykit.errors import ConfigurationError, ProtocolError, RefusedError, RelaykitError, problem_of
from tests.layering import ROOT, modules

__all__ = ["FIELD", "Message", "messages"]

FIELD = "..."
"""Stands for whatever is put into a message."""

_LEVELS = frozenset({"warn", "error", "critical"})
_NOT_SHOWN = frozenset({"testing"})


@frozen
class Message:
    """A text, the place in the source that it comes from, and the id that it has there."""

    place: str
    text: str
    problem: str


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
            if isinstance(node, ast.Call) and (found := _of_call(node, shown)):
                yield Message(f"{path}:{node.lineno}", *found)
        if path.parts[-2:] == ("control", "texts.py"):
            yield from _constants(path, tree)


def _shown_errors(trees: Iterable[ast.Module]) -> dict[str, str]:
    """The errors whose text is for users, those of all modules, each with its own problem."""
    problems = {
        name: "" if issubclass(cls, RefusedError) else cls.problem
        for name, cls in vars(errors).items()
        if isinstance(cls, type)
        and issubclass(cls, RelaykitError)
        and not issubclass(cls, (ProtocolError, ConfigurationError))
    }
    classes = [
        node
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name not in vars(errors)
    ]
    known = 0
    while known < len(problems):
        known = len(problems)
        for node in classes:
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in problems:
                    problems[node.name] = _declared(node) or problems[base.id]
    return problems


def _declared(node: ast.ClassDef) -> str:
    for each in node.body:
        match each:
            case ast.Assign(targets=[ast.Name(id="problem")], value=ast.Constant(value=str(problem))):
                return problem
    return ""


def _of_call(node: ast.Call, shown: dict[str, str]) -> tuple[str, str] | None:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    texts = [text for argument in node.args if (text := _text(argument))]
    if not texts:
        return None
    if name in shown:
        return texts[-1], _given(node) or shown[name] or problem_of(texts[-1])
    if name == "explain" and _text(node.args[0]):
        return texts[0], texts[1] if len(texts) > 1 else ""
    logs = isinstance(called, ast.Attribute) and _name(called.value) == "log" and name in _LEVELS
    text = _formatted(texts[0])
    return (text, _given(node)) if logs and text else None


def _given(node: ast.Call) -> str:
    """The problem that a call names: a constant, or what is meant where the cause has none of its own."""
    for keyword in node.keywords:
        if keyword.arg == "problem":
            match keyword.value:
                case ast.Constant(value=str(problem)):
                    return problem
                case ast.Call(args=[_, ast.Constant(value=str(problem))]):
                    return problem
    return ""


def _constants(path: Path, tree: ast.Module) -> Iterator[Message]:
    """The texts that the server tells its clients, which these show."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and (text := _text(node.value)):
            yield Message(f"{path}:{node.lineno}", _formatted(text), problem_of(text))


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

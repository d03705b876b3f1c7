"""The reference of the roles' own API, made of the document that they answer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock

from docs._ext.markup import escaped, heading, list_table
from relaykit.administration.own.openapi import PREFIX
from tests.administration.exchanges import Connection
from tests.administration.roles import control_site

__all__ = ["api_lines", "openapi_document"]


def openapi_document(role: str) -> dict[str, Any]:
    """What a role answers of itself."""
    with tempfile.TemporaryDirectory() as folder:
        connection = Connection(control_site(role, Path(folder), MemoryReactorClock()))
        connection.ask("GET", f"{PREFIX}/openapi.json")
    (answer,) = connection.answers()
    document: dict[str, Any] = answer.json
    return document


def api_lines(role: str) -> Iterator[str]:
    """Every call that a role answers, and every shape of what it answers."""
    document = openapi_document(role)
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            title = f"{method.upper()} {path.removeprefix(PREFIX)}"
            yield from heading(title, f"api-{role}-{title}")
            yield from _call(role, call)
    for name, shape in document["components"]["schemas"].items():
        yield from heading(name, _anchor(role, name))
        yield from (*shape.get("description", "").split("\n"), "")
        rows = (
            (f"``{key}``", _kind(role, value)) for key, value in sorted(shape.get("properties", {}).items())
        )
        yield from list_table(("Key", "Value"), rows, (40, 60))


def _call(role: str, call: Mapping[str, Any]) -> Iterator[str]:
    yield from (escaped(call["summary"]), "")
    for each in call["parameters"]:
        what = "in the path" if each["in"] == "path" else escaped(each["description"])
        yield f"* ``{each['name']}``: {what}"
    if body := call.get("requestBody"):
        yield f"* the body: {escaped(body['description'])}"
    content = call["responses"]["200"]["content"]
    told = content.get("application/json")
    answer = "server-sent events" if told is None else _kind(role, told["schema"])
    yield from ("", f"Answered with {answer}.", "")


def _kind(role: str, schema: Mapping[str, Any]) -> str:
    """What a value is, in words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f":ref:`{name} <{_anchor(role, name)}>`"
    if choices := schema.get("anyOf"):
        return " or ".join(_kind(role, each) for each in choices)
    if schema.get("type") == "array":
        return f"list of {_kind(role, schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(role, schema['additionalProperties'])}"
    if "enum" in schema:
        return " or ".join(f"``{json.dumps(each)}``" for each in schema["enum"])
    return str(schema.get("type", "any value"))


def _anchor(role: str, name: str) -> str:
    return f"api-{role}-shape-{name}".lower()

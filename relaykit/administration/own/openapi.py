"""The description of relaykit's own API, made of its routes and of the classes that they answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from relaykit import __version__
from relaykit.administration.calls import Answer, json_answer
from relaykit.administration.own.shapes import Failed
from relaykit.administration.routes import Route

__all__ = ["PREFIX", "described", "document", "own_failure"]

PREFIX = "/api/relaykit/v1"
"""Where it is; another version, which would not be compatible, would be beside it."""

_PLACE = re.compile(r"\{(\w+)\}")
_REFERENCE = "#/components/schemas/{name}"


def own_failure(status: int, text: str) -> Answer:
    """A failure, as this API tells it."""
    return json_answer(Failed(error=text), status)


def described(routes: Sequence[Route], title: str) -> Iterator[Route]:
    """These routes, and one that describes them."""
    told = json_answer(document(routes, title))
    yield from routes
    yield Route(method="GET", path=f"{PREFIX}/openapi.json", handler=lambda call: told, failed=own_failure)


def document(routes: Sequence[Route], title: str) -> dict[str, Any]:
    """The description.  Source: OpenAPI Specification 3.1.0."""
    shapes = [Failed, *dict.fromkeys(each.told for each in routes if each.told is not None)]
    references, components = msgspec.json.schema_components(shapes, ref_template=_REFERENCE)
    schema = dict(zip(shapes, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in routes:
        content = (
            {"text/event-stream": {"schema": {"type": "string"}}}
            if each.told is None
            else {"application/json": {"schema": schema[each.told]}}
        )
        places = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PLACE.findall(each.path)
        ]
        query = [
            {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}
            for name, what in each.asks.items()
        ]
        paths.setdefault(each.path, {})[each.method.lower()] = {
            "summary": each.summary,
            "parameters": places + query,
            **({"requestBody": _body(each.takes)} if each.takes else {}),
            "responses": {
                "200": {"description": "what was asked for", "content": content},
                "default": {
                    "description": "why it was not done",
                    "content": {"application/json": {"schema": schema[Failed]}},
                },
            },
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }


def _body(what: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {"required": True, "description": what, "content": content}

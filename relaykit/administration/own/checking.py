"""Looks at a definition, or at a whole configuration, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.definition_objects import block_table
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import Checked, FoundProblem
from relaykit.administration.routes import Route
from relaykit.config.definitions import LISTS, Definitions
from relaykit.config.problems import ConfigurationProblem

if TYPE_CHECKING:
    from relaykit.administration.steering import Steering
    from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor

__all__ = ["MOST_TOLD", "check_routes"]

MOST_TOLD = 200
"""Problems, and warnings, of one answer: whoever mends these asks again."""

_LIST = "list"


class _Text(msgspec.Struct):
    """A whole configuration."""

    text: str


def check_routes(
    definitions: Callable[[], Definitions | None],
    neighbors: Callable[[], Mapping[str, Sequence[ConfiguredProxy | ConfiguredVisitor]]],
    steering: Steering,
) -> Iterator[Route]:
    """Having something looked at.

    :param definitions: answers what reads definitions at the moment; None where nothing does.
    :param neighbors: answers what is started, by list.
    """
    api = _CheckApi(definitions, neighbors, steering)
    yield Route(
        method="POST",
        path=f"{PREFIX}/check",
        handler=api.check,
        is_private=True,
        failed=own_failure,
        summary="What is wrong with a definition, or with a text as the configuration file; changes nothing.",
        takes='A definition as the store has it, {"name", "type", TYPE: {}}, or {"text": "..."} for a file',
        told=Checked,
        asks={_LIST: "visitors: the definition is a visitor's; else a proxy's"},
    )


@frozen
class _CheckApi:
    _definitions: Callable[[], Definitions | None]
    _neighbors: Callable[[], Mapping[str, Sequence[ConfiguredProxy | ConfiguredVisitor]]]
    _steering: Steering

    async def check(self, call: Call) -> Answer:
        """Looks at what is in the body."""
        try:
            text = msgspec.json.decode(call.body, type=_Text).text
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._definition(call)
        if self._steering.verify is None:
            raise CallFailed(HTTPStatus.BAD_REQUEST, "this client was started without a configuration file")
        found = await self._steering.verify(text)
        return _answer(found.problems, found.warnings)

    def _definition(self, call: Call) -> Answer:
        list_name = call.first(_LIST) or next(iter(LISTS))
        if list_name not in LISTS:
            raise CallFailed(HTTPStatus.BAD_REQUEST, f"{_LIST} must be one of {', '.join(LISTS)}")
        definitions = self._definitions()
        if definitions is None:
            raise CallFailed(HTTPStatus.BAD_REQUEST, "this client was made of no configuration")
        table = block_table(call.body, list_name)
        checked = definitions.check(list_name, table, neighbors=self._neighbors()[list_name])
        return _answer((*checked.unread, *checked.problems), checked.warnings)


def _answer(problems: Sequence[ConfigurationProblem], warnings: Sequence[ConfigurationProblem]) -> Answer:
    told = Checked(
        problems=[_told(each) for each in problems[:MOST_TOLD]],
        warnings=[_told(each) for each in warnings[:MOST_TOLD]],
        more=sum(max(0, len(each) - MOST_TOLD) for each in (problems, warnings)),
    )
    return json_answer(told)


def _told(problem: ConfigurationProblem) -> FoundProblem:
    return FoundProblem(
        key=problem.key,
        what=problem.what,
        hint=problem.hint,
        subject=problem.subject,
        file=problem.file,
        line=problem.line,
        column=problem.column,
        text=str(problem),
    )

"""``relaykit logs``: the last lines of a program that runs, and those that come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.logger import LogLevel

from relaykit.administration.own.openapi import PREFIX
from relaykit.commands.running import running_program
from relaykit.errors import RelaykitError
from relaykit.escaping import printable_lines
from relaykit.logs.lines import in_color, line_of

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext, *, follow: bool, lines: int, level: str, as_json: bool, **where: Any) -> int:
    """Prints lines; with ``follow`` until the program ends, which is an error then."""
    program = running_program(context, **where)
    if program is None:
        return 1
    colored = context.stdout.isatty()

    def tell(line: dict[str, Any]) -> None:
        if as_json:
            context.say(json.dumps(line))
            return
        own = LogLevel.levelWithName(line["level"])
        text = printable_lines(line_of(line["at"], own, line["source"], line["text"]))
        context.write(in_color(text, own) if colored else text)
        context.stdout.flush()

    try:
        told = program.ask("GET", f"{PREFIX}/log?limit={lines}&level={level}")
        for each in told["items"]:
            tell(each)
        if not follow:
            return 0
        for each in program.follow(f"{PREFIX}/log/stream?after={told['last']}&level={level}"):
            tell(each)
    except RelaykitError as error:
        context.explain(error)
        return 1
    context.complain("the program has ended")
    return 1

"""``relaykit probe``: looks whether users of a proxy are served, from its server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relaykit.administration.own.openapi import PREFIX
from relaykit.commands.running import running_program
from relaykit.errors import RelaykitError

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext, *, name: str, as_json: bool, **where: Any) -> int:
    """Says how far a user would get; the status says whether all is well."""
    program = running_program(context, file="", role="server", **where)
    if program is None:
        return 1
    try:
        told = program.ask("POST", f"{PREFIX}/proxies/{quote(name, safe='')}/probe")
    except RelaykitError as error:
        context.explain(error)
        return 1
    if as_json:
        context.say(json.dumps(told))
    elif told["online"]:
        context.say(f"{name}: online; a probe got to the {told['reached']} in {told['seconds']:.3f} s")
    else:
        context.explain(f"{name}: {told['error']}", told["problem"])
    return 0 if told["online"] else 1

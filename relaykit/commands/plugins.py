"""``relaykit plugins``: the installed proxy types, and which module each comes from."""

from __future__ import annotations

from relaykit.commands.context import CommandContext
from relaykit.errors import DuplicateProxyType
from relaykit.plugins import ProxyTypes

__all__ = ["run"]


def run(context: CommandContext) -> int:
    """Lists the proxy types; their modules are not imported."""
    try:
        references = list(ProxyTypes.installed())
    except DuplicateProxyType as error:
        context.explain(error)
        return 1
    width = max((len(reference.name) for reference in references), default=0)
    for reference in references:
        context.say(f"{reference.name:{width}}  {reference.module}")
    return 0

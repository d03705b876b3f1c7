"""``relaykit plugins``: the installed proxy types, and which module each comes from."""

from __future__ import annotations

from relaykit.commands.grammar import Call
from relaykit.commands.surroundings import Surroundings
from relaykit.errors import DuplicateProxyType
from relaykit.plugins import ProxyTypes

__all__ = ["run"]


def run(call: Call, around: Surroundings) -> int:
    """Lists the proxy types; their modules are not imported."""
    try:
        references = list(ProxyTypes.installed())
    except DuplicateProxyType as error:
        around.explain(error)
        return 1
    width = max((len(reference.name) for reference in references), default=0)
    for reference in references:
        around.say(f"{reference.name:{width}}  {reference.module}")
    return 0

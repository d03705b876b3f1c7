"""``relaykit forget``: removes what is remembered of a server, so that it is met as if for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.client.remembered import RememberedServers
from relaykit.commands.logins import Logins, ServerName
from relaykit.commands.usage import usage_text
from relaykit.errors import RelaykitError
from relaykit.state import StateDirectory

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings

__all__ = ["run"]

MISUSE_STATUS = 2


def run(call: Call, around: Surroundings) -> int:
    """Forgets a server; all of a host, where no port is named."""
    if not call.arguments:
        around.complain(f"Error: HOST is missing\n{usage_text(call.path)}")
        return MISUSE_STATUS
    state = StateDirectory.find(call["state-dir"], around.environ)
    try:
        host, port = ServerName.split(call.arguments[0])
        forgotten = {*RememberedServers(state).forget(host, port), *Logins(state).forget(host, port)}
    except RelaykitError as error:
        around.explain(error)
        return 1
    for server in sorted(forgotten):
        around.say(f"{server} is forgotten")
    if not forgotten:
        around.explain(f"nothing is remembered of {call.arguments[0]}", "nothing-remembered")
    return 0 if forgotten else 1

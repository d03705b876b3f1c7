"""``relaykit forget``: removes what is remembered of a server, so that it is met as if for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.client.remembered import RememberedServers
from relaykit.commands.tunnels.logins import RememberedLogins, ServerName
from relaykit.errors import RelaykitError
from relaykit.state import StateDirectory

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext, server: str, state_dir: str) -> int:
    """Forgets a server; all of a host, where no port is named."""
    state = StateDirectory.find(state_dir, context.environ)
    try:
        host, port = ServerName.split(server)
        forgotten = {
            *RememberedServers(state).forget(host, port),
            *RememberedLogins(state).forget(host, port),
        }
    except RelaykitError as error:
        context.explain(error)
        return 1
    for each in sorted(forgotten):
        context.say(f"{each} is forgotten")
    if not forgotten:
        context.explain(f"nothing is remembered of {server}", "nothing-remembered")
    return 0 if forgotten else 1

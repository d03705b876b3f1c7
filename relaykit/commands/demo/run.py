"""Which demonstration ``relaykit demo`` is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click import UsageError

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext, once: bool, nat: bool, routers: str | None) -> int:
    """Runs that of a tunnel, or that of a direct path between NATs."""
    if nat:
        from relaykit.commands.demo import direct

        return direct.run(context, once, routers or "cone")
    if routers:
        raise UsageError("--routers goes with --nat")
    from relaykit.commands.demo import relay

    return relay.run(context, once)

"""Commands of frp that relaykit does not have yet: they say so, and fail."""

from __future__ import annotations

from relaykit.commands.context import CommandContext
from relaykit.flags.grammar import Call, path_text

__all__ = ["run"]


def run(call: Call, context: CommandContext) -> int:
    """Tells that this command is not there yet."""
    context.say(f"{path_text(call.path)}: not available yet in relaykit")
    return 1

"""Commands of frp that relaykit does not have yet: they say so, and fail."""

from __future__ import annotations

from relaykit.commands.grammar import Call, path_text
from relaykit.commands.surroundings import Surroundings

__all__ = ["completion", "not_available", "reload", "status", "stop", "unusable"]


def not_available(call: Call, around: Surroundings) -> int:
    """Tells that this command is not there yet."""
    around.say(f"{path_text(call.path)}: not available yet in relaykit")
    return 1


completion = not_available
reload = not_available
status = not_available
stop = not_available


def unusable(call: Call, around: Surroundings) -> int:
    """Tells why a command cannot be used."""
    around.explain(call.path[-1].summary, "not-available-yet")
    return 1

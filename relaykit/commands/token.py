"""``relaykit token``: a secret for servers and clients to share."""

from __future__ import annotations

import secrets

from relaykit.commands.context import CommandContext
from relaykit.values import Secret

__all__ = ["new_token", "run"]

STRENGTH_BYTES = 20
"""160 bits: nobody guesses it, not even offline from a recorded login."""


def run(context: CommandContext) -> int:
    """Prints a new token."""
    context.say(new_token().reveal())
    return 0


def new_token() -> Secret:
    """A new token: hexadecimal digits, which need no quoting anywhere."""
    return Secret(secrets.token_hex(STRENGTH_BYTES))

"""``relaykit token``: a secret for servers and clients to share."""

from __future__ import annotations

import os
import secrets

from relaykit.commands.context import CommandContext
from relaykit.values import Secret

__all__ = ["new_token", "run"]

STRENGTH_BYTES = 20
"""160 bits: nobody guesses it, not even offline from a recorded login."""

FILE_MODE = 0o600
"""Of a file with a token: its owner's alone."""


def run(context: CommandContext, output: str) -> int:
    """Prints a new token, or writes it to a file that is not there yet: an old token may be in use."""
    token = new_token()
    if not output:
        context.say(token.reveal())
        return 0
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(token.to_bytes() + b"\n")
    except OSError as error:
        context.explain(f"cannot write a new token to {output}: {error.strerror}", "token-file")
        return 1
    return 0


def new_token() -> Secret:
    """A new token: hexadecimal digits, which need no quoting anywhere."""
    return Secret(secrets.token_hex(STRENGTH_BYTES))

"""``relaykit token``: a secret for servers and clients to share."""

from __future__ import annotations

import secrets

from relaykit.commands.grammar import Call
from relaykit.commands.surroundings import Surroundings

__all__ = ["run"]

STRENGTH_BYTES = 20
"""160 bits: nobody guesses it, not even offline from a recorded login."""


def run(call: Call, around: Surroundings) -> int:
    """Prints a new token: hexadecimal digits, which need no quoting anywhere."""
    around.say(secrets.token_hex(STRENGTH_BYTES))
    return 0

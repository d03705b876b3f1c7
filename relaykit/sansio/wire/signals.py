"""relaykit's own control message; legal only where both ends agreed on it in the hello of version 2."""

from __future__ import annotations

from typing import Any

import msgspec

from relaykit.sansio.wire.messages import CORE_MESSAGES, Message

__all__ = ["SIGNAL_MESSAGES", "Signal"]


class Signal(Message, frozen=True, kw_only=True):
    """Either way on a control connection: a message of a proxy type, which only the type reads.

    Not answered, in order.  ``proxy_name`` is the proxy's name on the server; ``visitor_name`` names
    the visitor that it comes from or goes to, empty for the proxy's own client.
    """

    type_byte = None
    number = 0x5201
    secret_fields = frozenset({"body"})

    proxy_name: str = ""
    visitor_name: str = ""
    body: dict[str, Any] = msgspec.field(default_factory=dict)


SIGNAL_MESSAGES = CORE_MESSAGES.extended(Signal)
"""What may arrive on a control connection where the extension was agreed on."""

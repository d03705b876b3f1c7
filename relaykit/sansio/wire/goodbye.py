"""Why a session ends; legal only where both ends agreed on it in the hello of version 2."""

from __future__ import annotations

from relaykit.sansio.wire.messages import Message

__all__ = ["Goodbye"]


class Goodbye(Message, frozen=True, kw_only=True):
    """From the server, last on a control connection: why it ends the session.  Not answered.

    ``why`` is the value of a :class:`relaykit.values.Ended`; ``text`` says more for the log.
    """

    type_byte = None
    number = 0x5204

    why: str = ""
    text: str = ""

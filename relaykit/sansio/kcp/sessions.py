"""The sessions of an end that listens: one for each source."""

from __future__ import annotations

import struct
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from relaykit.sansio.kcp.fec import bare
from relaykit.sansio.kcp.receiving import Room
from relaykit.sansio.kcp.segments import opening_conversation
from relaykit.sansio.kcp.session import KcpSession

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.kcp.options import KcpOptions

__all__ = ["MOST_EARLY_BYTES", "MOST_SESSIONS", "KcpSessions"]

MOST_SESSIONS: Final = 4096
"""Sessions at a time; without mux each connection is one.  They have some 3 KB each, and forged ones may hold
:data:`relaykit.sansio.kcp.fec.KEPT_GROUPS` besides: 250 MB in all."""

MOST_EARLY_BYTES: Final = 64 * 1024 * 1024
"""Bytes that all sessions together hold out of order, some fifty windows.  What there is no room for is taken
for lost, and sent again: so forged sources cost time, and not memory."""

REPLACED_AFTER_S: Final = 3.0
"""Seconds of silence after which another conversation may take the place of one, as when a client has begun
anew from the same port: earlier it may be forged, and its push is repeated for longer."""

_CONVERSATION = struct.Struct("<I")


class KcpSessions:
    """Finds whose a datagram is.

    Only the first push of a conversation opens a session.  What still arrives for one that is over does not,
    nor does anything that makes no sense.
    """

    def __init__(self, options: KcpOptions, most: int = MOST_SESSIONS) -> None:
        self._options = options
        self._most = most
        self._room = Room(MOST_EARLY_BYTES)
        self._sessions: dict[Hashable, KcpSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, source: Hashable, datagram: Buffer, now: float) -> KcpSession | None:
        """The session that a datagram is to be fed to, maybe a new one in place of another; or None."""
        known = self._sessions.get(source)
        if known is not None and not self._may_be_over(known, datagram, now):
            return known
        conversation = opening_conversation(bare(datagram))
        if conversation is None or (known is None and len(self._sessions) >= self._most):
            return known
        self.forget(source)
        session = self._sessions[source] = KcpSession(conversation, self._options, now, self._room)
        return session

    def forget(self, source: Hashable) -> None:
        """The session of a source is over."""
        session = self._sessions.pop(source, None)
        if session is not None:
            session.end()

    @staticmethod
    def _may_be_over(session: KcpSession, datagram: Buffer, now: float) -> bool:
        if now - session.heard_at < REPLACED_AFTER_S:
            return False
        segments = bytes(bare(datagram)[: _CONVERSATION.size])
        return segments != _CONVERSATION.pack(session.conversation)

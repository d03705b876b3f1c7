"""Which version of the wire a client speaks to its server: ``transport.wireProtocol``.

A server that does not know version 2 takes its first byte for an unknown message and closes.  That
is all there is to see, and a server that restarts looks the same.  So version 1 is believed only when
a login in version 1 was answered, and only for a while: until the belief is old, or until version 2
was seen.  Where version 2 was seen once, version 1 is never tried again: whoever can cut connections
could otherwise have the weaker version spoken.
"""

from __future__ import annotations

import enum

__all__ = ["BELIEVED_S", "KnownVersion", "WireNegotiation", "WireProtocol"]

BELIEVED_S = 3600.0
"""Seconds after which "this server knows only version 1" is put to the test again: servers get updated."""


class WireProtocol(enum.Enum):
    """The setting; the values are those of the configuration."""

    AUTO = "auto"
    V1 = "v1"
    V2 = "v2"


class KnownVersion(enum.Enum):
    """What is known of one server."""

    NOTHING = "nothing"
    SPEAKS_V2 = "speaks v2"
    ONLY_V1 = "only v1"


class WireNegotiation:
    """Decides before each attempt at one server, and learns from each outcome.

    :param known: what an earlier process learned, if that was kept.
    """

    def __init__(self, setting: WireProtocol, known: KnownVersion = KnownVersion.NOTHING) -> None:
        self._setting = setting
        self._known = known
        self._known_at: float | None = None
        self._suspected = False

    @property
    def known(self) -> KnownVersion:
        """What is known by now; worth keeping when it is :attr:`KnownVersion.SPEAKS_V2`."""
        return self._known

    def forget(self) -> None:
        """The server may be another one now, its user says: it is met as if for the first time."""
        self._known = KnownVersion.NOTHING
        self._known_at = None
        self._suspected = False

    def version(self, now: float) -> int:
        """1 or 2: what the next attempt speaks."""
        if self._setting is not WireProtocol.AUTO:
            return 1 if self._setting is WireProtocol.V1 else 2
        if self._known is KnownVersion.SPEAKS_V2:
            return 2
        if self._known is KnownVersion.ONLY_V1:
            if self._known_at is None:
                self._known_at = now
            if now - self._known_at < BELIEVED_S:
                return 1
        return 1 if self._suspected else 2

    def answered(self, version: int, now: float) -> None:
        """The server answered in this version: a hello, or a login's yes or no."""
        self._suspected = False
        if version == 2:
            self._known = KnownVersion.SPEAKS_V2
        elif self._known is not KnownVersion.SPEAKS_V2:
            self._known = KnownVersion.ONLY_V1
            self._known_at = now

    def closed_without_answer(self, version: int) -> bool:
        """The server ended the connection after the opening without sending one byte.

        Answers whether the other version should be tried at once.
        """
        if self._setting is not WireProtocol.AUTO or self._known is KnownVersion.SPEAKS_V2:
            return False
        self._suspected = version == 2
        return self._suspected

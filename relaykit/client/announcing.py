"""Announcing users to local services: a header of the PROXY protocol in front of all that they send."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relaykit.dataplane.datagrams import UpperDatagramLeg
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IInnerLeg
from relaykit.sansio.parsers.proxy_protocol import make_proxy_header
from relaykit.values import Origin

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramLeg, IStreamLeg
    from relaykit.sansio.contract import Buffer

__all__ = ["UserNotAnnounced", "announce", "announce_datagrams"]


class UserNotAnnounced(ConnectionFailed):
    """The server says of a user what is no address."""

    problem = "user-not-announced"


def announce(leg: IStreamLeg, version: str, origin: Origin) -> IStreamLeg:
    """Has the service read first whose connection it is, also where it speaks first or the user says nothing.

    A service within this process knows it already.

    :param version: of the protocol, as the configuration says it; empty for no header.
    :raises UserNotAnnounced: it cannot be said; the leg is dropped.
    """
    if version and not IInnerLeg.providedBy(leg):
        leg.write(_header(version, origin, leg.abort, datagrams=False))
    return leg


def announce_datagrams(leg: IDatagramLeg, version: str, origin: Origin) -> IDatagramLeg:
    """The same for a flow of datagrams, whose first one begins with the header.

    The destination that it names is the local service, as at frp.
    """
    if not version:
        return leg
    return _AnnouncedLeg(leg, _header(version, Origin(origin.source, leg.peer), leg.close, datagrams=True))


def _header(version: str, origin: Origin, drop: Callable[[], None], *, datagrams: bool) -> bytes:
    try:
        return make_proxy_header(version, origin, datagrams=datagrams)
    except ValueError as error:
        drop()
        raise UserNotAnnounced(f"the PROXY protocol cannot announce the user: {error}") from error


class _AnnouncedLeg(UpperDatagramLeg):
    """A leg to a local service that has to be told first whose datagrams they are."""

    __slots__ = ("_header",)

    def __init__(self, lower: IDatagramLeg, header: bytes) -> None:
        super().__init__(lower)
        self._header = header

    def send(self, data: Buffer) -> bool:
        if not self._header:
            return super().send(data)
        taken = super().send(self._header + data)
        if taken:
            self._header = b""
        return taken

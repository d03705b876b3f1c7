"""Announcing users to local services: a header of the PROXY protocol in front of all that they send."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define
from zope.interface import implementer

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IDatagramLeg
from relaykit.sansio.parsers.proxy_protocol import make_proxy_header
from relaykit.values import Origin

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramReceiver, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address

__all__ = ["UserNotAnnounced", "announce", "announce_datagrams"]


class UserNotAnnounced(ConnectionFailed):
    """The server says of a user what is no address."""

    problem = "user-not-announced"


def announce(leg: IStreamLeg, version: str, origin: Origin) -> IStreamLeg:
    """Has the service read first whose connection it is, also where it speaks first or the user says nothing.

    :param version: of the protocol, as the configuration says it; empty for no header.
    :raises UserNotAnnounced: it cannot be said; the leg is dropped.
    """
    if version:
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


@implementer(IDatagramLeg)
@define(eq=False)
class _AnnouncedLeg:
    """A leg to a local service that has to be told first whose datagrams they are."""

    _lower: IDatagramLeg
    _header: bytes

    @property
    def peer(self) -> Address | None:
        peer: Address | None = self._lower.peer
        return peer

    @property
    def host(self) -> Address | None:
        host: Address | None = self._lower.host
        return host

    @property
    def dropped(self) -> int:
        dropped: int = self._lower.dropped
        return dropped

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._lower.attach(receiver)

    def send(self, data: Buffer) -> bool:
        if not self._header:
            taken: bool = self._lower.send(data)
        elif taken := self._lower.send(self._header + data):
            self._header = b""
        return taken

    def pause(self) -> None:
        self._lower.pause()

    def resume(self) -> None:
        self._lower.resume()

    def close(self) -> None:
        self._lower.close()

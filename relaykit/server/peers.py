"""Whom proxy types can speak to besides the client of a proxy: visitors of other clients, and any client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define
from zope.interface import implementer

from relaykit.interfaces import IMessagePeer, ISignalPeer
from relaykit.values import ClientIdentity

if TYPE_CHECKING:
    from relaykit.sansio.wire.messages import Message
    from relaykit.server.registry import ProxySession

__all__ = ["MessagePeer", "VisitorPeer"]


@implementer(ISignalPeer)
@define(eq=False)
class VisitorPeer:
    """A visitor of a logged-in client, as the exposure it visits can signal to it."""

    _session: ProxySession
    _proxy_name: str
    _visitor_name: str

    @property
    def identity(self) -> ClientIdentity:
        return self._session.identity

    @property
    def takes_signals(self) -> bool:
        return self._session.takes_signals

    def signal(self, body: Mapping[str, Any]) -> None:
        self._session.signal(self._proxy_name, self._visitor_name, body)


@implementer(IMessagePeer)
@define(eq=False)
class MessagePeer:
    """A logged-in client, as the ingress that it sent a message to can answer it."""

    _session: ProxySession

    @property
    def identity(self) -> ClientIdentity:
        return self._session.identity

    def send_message(self, message: Message) -> None:
        self._session.send_message(message)

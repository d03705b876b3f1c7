"""The wire messages of the server's proxy types, and handing each to the ingress that it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit.errors import PluginError, ProxyRefusedError, RemoteProtocolError, problem_of
from relaykit.interfaces import IIngress, IMessageReceiver, IMessagingProxyType
from relaykit.sansio.control.type_messages import TypeMessages
from relaykit.values import host_of

if TYPE_CHECKING:
    from relaykit.interfaces import IMessagePeer
    from relaykit.plugins import ProxyTypes
    from relaykit.sansio.wire.messages import Message

__all__ = ["IngressMessages"]


class IngressMessages:
    """What clients may say to the server halves of proxy types.

    ``ingress_of(type_name)`` answers the running ingress; ProxyRefusedError where it cannot start, which it
    has logged.
    """

    log = Logger()

    def __init__(self, types: ProxyTypes, ingress_of: Callable[[str], Awaitable[IIngress]]) -> None:
        self._types = types
        self._ingress_of = ingress_of
        self._messages = TypeMessages()
        self._known: set[str] = set()

    def classes(self) -> tuple[type[Message], ...]:
        """Those of all messages.  A type that cannot be used, which the log tells once, has none."""
        for reference in self._types:
            if reference.has_messages and reference.name not in self._known:
                self._known.add(reference.name)
                self._learn(reference.name)
        return tuple(self._messages)

    async def take(self, peer: IMessagePeer, message: Message) -> None:
        """Hands a message of a client to the ingress of its type."""
        name = self._messages.type_of(message)
        try:
            ingress = await self._ingress_of(name)
            if IMessageReceiver.providedBy(ingress):
                ingress.message_received(peer, message)
        except ProxyRefusedError:
            return
        except RemoteProtocolError as error:
            self.log.warn(
                "[{run}] a message for proxy type {type} makes no sense: {reason}",
                run=peer.identity.run_id,
                type=name,
                reason=str(error),
                by_client=host_of(peer.identity.address),
                problem="broke-the-rules",
            )
        except Exception:
            self.log.failure(
                "[{run}] a defect while a message for proxy type {type} was taken",
                run=peer.identity.run_id,
                type=name,
                by_client=host_of(peer.identity.address),
            )

    def _learn(self, name: str) -> None:
        try:
            proxy_type = self._types.get(name)
            if IMessagingProxyType.providedBy(proxy_type):
                self._messages.add(name, proxy_type.messages)
        except PluginError as error:
            self.log.error("{reason}", reason=str(error), problem=problem_of(error))

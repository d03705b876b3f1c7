"""The wire messages of the proxy types that a client uses, and offering each to those it may be for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IMessageReceiver, IMessagingProxyType
from relaykit.sansio.control.type_messages import TypeMessages

if TYPE_CHECKING:
    from relaykit.interfaces import IForwardingHost, IMessagePeer, IProxyType
    from relaykit.sansio.wire.messages import Message

__all__ = ["HalfMessages"]


class HalfMessages:
    """What the server may say to the client halves of proxy types.

    ``halves(type_name)`` answers the backends of a type and then its visitors, each with its host.
    """

    log = Logger()

    def __init__(
        self, halves: Callable[[str], Iterable[tuple[object, IForwardingHost]]], run_id: Callable[[], str]
    ) -> None:
        self._halves = halves
        self._run_id = run_id
        self._messages = TypeMessages()

    def use(self, proxy_type: IProxyType) -> None:
        """A proxy or a visitor of this type is there, or will be.

        :raises BrokenProxyType: its messages cannot be used beside those of another type.
        """
        if IMessagingProxyType.providedBy(proxy_type):
            self._messages.add(proxy_type.name, proxy_type.messages)

    def classes(self) -> tuple[type[Message], ...]:
        """Those of all messages of the types in use."""
        return tuple(self._messages)

    def offer(self, message: Message) -> None:
        """Offers a message to the halves of its type in turn, until one says that it was meant."""
        for half, host in self._halves(self._messages.type_of(message)):
            if self.give(half, host, message):
                return

    def give(self, half: object, peer: IMessagePeer, message: Message) -> bool:
        """Gives a message to one half; whether it was for that, broken or not."""
        if not IMessageReceiver.providedBy(half):
            return False
        try:
            return bool(half.message_received(peer, message))
        except RemoteProtocolError as error:
            self.log.warn(
                "[{run}] a {message} of the server makes no sense: {reason}",
                run=self._run_id(),
                message=type(message).__name__,
                reason=str(error),
                by_server=self._run_id(),
                problem="broke-the-rules",
            )
        except Exception:
            self.log.failure(
                "[{run}] a defect while a {message} was taken",
                run=self._run_id(),
                message=type(message).__name__,
                by_server=self._run_id(),
            )
        return True

"""The channels and the requests of one SSH client.  Source: RFC 4254."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.connection import (
    MSG_CHANNEL_DATA,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    SSHConnection,
)
from twisted.internet.defer import Deferred, fail

from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.ssh_gateway.legs import Credit, ForwardedChannel
from relaykit.ssh_gateway.quiet import QUIET
from relaykit.ssh_gateway.terminal import TerminalChannel, TerminalUser

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IStreamLeg, ITurns
    from relaykit.ssh_gateway.transport import GatewayTransport
    from relaykit.values import Origin

__all__ = ["MOST_CHANNELS", "Forward", "GatewayConnection"]

MOST_CHANNELS = 4096
"""Channels of one client, those included that it has not closed yet: as many users of one may wait."""

_KEEP_ALIVE = b"keepalive@openssh.com"
_NO_MORE_SESSIONS = b"no-more-sessions@openssh.com"
_FORWARD = b"tcpip-forward"
_FIRST_PORT = 1
"""What a client is told that asks for any port: which one users dial is told with the proxy."""


class ConnectionUser(TerminalUser, Protocol):
    """Who is told what the client asks for."""

    def forward_requested(self, forward: Forward) -> None:
        """It forwards a port."""


@frozen
class Forward:
    """A port that the client forwards: what it is called in each of its channels."""

    host: bytes
    port: int

    def opening(self, origin: Origin) -> bytes:
        """What tells the client which of its ports a user came to, and where from."""
        source = origin.source
        host, port = (b"", 0) if source is None else (source.host.encode("ascii", "replace"), source.port)
        return NS(self.host) + struct.pack(">L", self.port) + NS(host) + struct.pack(">L", port)


class GatewayConnection(SSHConnection):
    """What an SSH client has once it was let in; a :class:`relaykit.ssh_gateway.legs.ChannelHost`."""

    _log = QUIET

    def __init__(
        self, transport: GatewayTransport, user: ConnectionUser, clock: IReactorTime, turns: ITurns
    ) -> None:
        super().__init__()
        self.clock = clock
        self.turns = turns
        self.credit = Credit()
        self.terminal: TerminalChannel | None = None
        self._lower: GatewayTransport = transport
        self._user = user
        self._forwarded: set[ForwardedChannel] = set()

    # --- for the gateway --------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        return self._lower.is_writable

    def open_leg(self, forward: Forward, origin: Origin) -> Deferred[IStreamLeg]:
        """A leg to the local service of the client; fails with ConnectionFailed.  Cancelling gives up."""
        if self._lower.is_over or len(self.channels) >= MOST_CHANNELS:
            return fail(ConnectionFailed("the ssh client has too many channels open"))
        channel = ForwardedChannel(self, origin.source)
        channel.conn = self
        self._forwarded.add(channel)
        self.openChannel(channel, forward.opening(origin))
        return channel.opened

    def ping(self) -> Deferred[None]:
        """Has the client answer; fires with the next bytes that it sends, and never without any.

        Source: the keep-alives of OpenSSH.
        """
        asked: Deferred[Any] = self.sendGlobalRequest(_KEEP_ALIVE, b"", wantReply=1)
        # A client that does not know the request says so, and one that is gone answers nothing.
        asked.addErrback(lambda _: None)
        return self._lower.next_bytes()

    def writable_changed(self, is_writable: bool) -> None:
        """Channels may send again, or may not."""
        if is_writable:
            for channel in tuple(self._forwarded):
                channel.leg.flush()

    def send_data(self, channel: ForwardedChannel, data: bytes) -> None:
        remote = self.channelsToRemoteChannel.get(channel)
        if remote is not None and not channel.localClosed:
            self._lower.sendPacket(MSG_CHANNEL_DATA, struct.pack(">2L", remote, len(data)) + data)

    def gone(self, channel: ForwardedChannel) -> None:
        self._forwarded.discard(channel)

    # --- for the library --------------------------------------------------------------------------

    def serviceStarted(self) -> None:
        """Nothing: the client may ask now."""

    def ssh_CHANNEL_DATA(self, packet: bytes) -> None:
        """Gives the client no new credit by itself, as the library does, so that a slow user slows it."""
        local, length = struct.unpack(">2L", packet[:8])
        channel = self.channels[local]
        data = memoryview(packet)[8:]
        if length != len(data) or length > min(channel.localWindowLeft, channel.localMaxPacket):
            raise RemoteProtocolError("more data than a channel may have")
        channel.localWindowLeft -= length
        if length and not channel.localClosed:
            channel.dataReceived(data)

    def ssh_REQUEST_SUCCESS(self, packet: bytes) -> None:
        self._answered(packet, super().ssh_REQUEST_SUCCESS)

    def ssh_REQUEST_FAILURE(self, packet: bytes) -> None:
        self._answered(packet, super().ssh_REQUEST_FAILURE)

    def _answered(self, packet: bytes, tell: Callable[[bytes], object]) -> None:
        if not self.deferreds["global"]:
            raise RemoteProtocolError("an answer that nobody asked for")
        tell(packet)

    def getChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> SSHChannel:
        if channelType != b"session":
            raise ConchError(OPEN_ADMINISTRATIVELY_PROHIBITED, "only -R can be used here")
        if self.terminal is not None:
            raise ConchError(OPEN_RESOURCE_SHORTAGE, "run ssh once for each proxy")
        self.terminal = TerminalChannel(self._user, windowSize, maxPacket)
        self.terminal.conn = self
        return self.terminal

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> Any:
        if requestType == _NO_MORE_SESSIONS:
            return 1
        if requestType != _FORWARD:
            return 0
        host, rest = getNS(data)
        (port,) = struct.unpack(">L", rest[:4])
        self._user.forward_requested(Forward(host, port or _FIRST_PORT))
        return 1 if port else (1, struct.pack(">L", _FIRST_PORT))

"""Legs on channels of an SSH connection: what serves one user.  Source: RFC 4254 sections 5 and 7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.internet.defer import Deferred

from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.errors import ConnectionFailed, RelaykitError, SessionLost
from relaykit.escaping import told
from relaykit.ssh_gateway.quiet import QUIET
from relaykit.values import LOST_LINGER_S, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address

__all__ = [
    "EXTRA_CREDIT_BYTES",
    "INITIAL_WINDOW_BYTES",
    "MAX_WINDOW_BYTES",
    "PACKET_BYTES",
    "QUEUE_BYTES",
    "ChannelLeg",
    "Credit",
    "ForwardedChannel",
]

PACKET_BYTES = 32 * 1024
"""Bytes of one packet, either way: what every peer takes.  Source: RFC 4253 section 6.1."""

LEAST_PACKET_BYTES = 256
"""Of a packet that the peer wants to be sent: smaller ones cost many times what is in them."""

INITIAL_WINDOW_BYTES = 256 * 1024
"""What the client may send on a new channel before the user has taken something of it."""

MAX_WINDOW_BYTES = 2 * 1024 * 1024
"""Largest window of a channel, as that of ssh itself: 160 Mbit/s over a round trip of 100 ms."""

EXTRA_CREDIT_BYTES = 32 * 1024 * 1024
"""Credit beyond the initial windows that all channels of one client may have together: it cannot be taken
back, and users who stop reading would otherwise fill the memory."""

QUEUE_BYTES = 64 * 1024
"""Bytes that wait for the client's window at which the user is not read any more."""


class Credit:
    """What the channels of one client have beyond their initial windows, all together."""

    def __init__(self) -> None:
        self.extra_bytes = 0

    def widened(self, window_bytes: int) -> int:
        """By how much a window may grow now: as much as it is, as long as there is credit."""
        growth = min(window_bytes, MAX_WINDOW_BYTES - window_bytes)
        if self.extra_bytes + growth > EXTRA_CREDIT_BYTES:
            return 0
        self.extra_bytes += growth
        return growth

    def forget(self, window_bytes: int) -> None:
        """Gives what a channel that is gone had to the others."""
        self.extra_bytes -= window_bytes - INITIAL_WINDOW_BYTES


class ChannelHost(Protocol):
    """What a channel needs of its connection."""

    clock: IReactorTime
    turns: ITurns
    credit: Credit

    @property
    def is_writable(self) -> bool:
        """Whether channels may send."""

    def send_data(self, channel: ForwardedChannel, data: bytes) -> None:
        """Sends a packet of data."""

    def gone(self, channel: ForwardedChannel) -> None:
        """A channel is gone."""


class ForwardedChannel(SSHChannel):
    """A channel to the local service of the client; ``opened`` fires with its leg.

    ``opened`` fails with ConnectionFailed where the client, or its local service, refuses, and with
    SessionLost where the client goes.
    """

    name = b"forwarded-tcpip"
    _log = QUIET

    def __init__(self, host: ChannelHost, peer: Address | None) -> None:
        super().__init__(INITIAL_WINDOW_BYTES, PACKET_BYTES)
        self.host = host
        self.opened: Deferred[IStreamLeg] = Deferred(self._given_up)
        self.leg = ChannelLeg(self, host, peer)

    def channelOpen(self, specificData: bytes) -> None:
        if self.leg.is_gone or self.remoteMaxPacket < LEAST_PACKET_BYTES:
            self.leg.abort()
            self.end()
        if not self.opened.called:
            self.opened.callback(self.leg)

    def openFailed(self, reason: Any) -> None:
        self.host.gone(self)
        if not self.opened.called:
            self.opened.errback(_refusal(reason))

    def addWindowBytes(self, data: int) -> None:
        self.remoteWindowLeft += data
        self.leg.flush()

    def dataReceived(self, data: Buffer) -> None:
        self.leg.received(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """Nothing: such a channel has no second stream."""

    def eofReceived(self) -> None:
        self.leg.peer_ended()

    def closeReceived(self) -> None:
        self.leg.peer_closed()
        self._connection.sendClose(self)

    def closed(self) -> None:
        self.leg.peer_closed()
        self.host.gone(self)

    def give(self, count: int) -> None:
        """Lets the client send so many bytes more."""
        self._connection.adjustWindow(self, count)

    def end_output(self) -> None:
        """Says that no more will come."""
        self._connection.sendEOF(self)

    def end(self) -> None:
        """Closes this side."""
        if self in self._connection.channelsToRemoteChannel:
            self._connection.sendClose(self)

    @property
    def _connection(self) -> Any:
        return self.conn

    def _given_up(self, _opened: Deferred[IStreamLeg]) -> None:
        """Nobody waits for the channel any more: it is closed as soon as it is open."""
        self.leg.abort()


def _refusal(reason: Exception) -> RelaykitError:
    """Why there is no channel."""
    if not isinstance(reason, ConchError):
        return SessionLost("the ssh client is gone")
    why = reason.args[0]
    text = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
    return ConnectionFailed(f"the ssh client opened no channel: {told(text)}")


class ChannelLeg(StreamLeg):
    """The leg of a channel."""

    __slots__ = (
        "_channel",
        "_closing",
        "_consumed",
        "_finishing",
        "_gone",
        "_host",
        "_linger",
        "_output_ended",
        "_queue",
        "_queued",
        "_was_slow",
        "_window",
    )

    def __init__(self, channel: ForwardedChannel, host: ChannelHost, peer: Address | None) -> None:
        super().__init__(peer)
        self._channel = channel
        self._host = host
        self._queue: list[memoryview] = []
        self._queued = 0
        self._finishing = self._output_ended = self._closing = False
        self._gone: Ended | None = None
        self._linger: IDelayedCall | None = None
        self._window = INITIAL_WINDOW_BYTES
        self._consumed = 0
        self._was_slow = False
        """Whether the user was, since the client was given credit last."""

    def __repr__(self) -> str:
        return f"<ChannelLeg {self._channel.id} of {self.peer}>"

    @property
    def turns(self) -> ITurns:
        return self._host.turns

    @property
    def is_gone(self) -> bool:
        """Whether nothing passes any more."""
        return self._gone is not None

    # --- sending ----------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if self._finishing or self._gone is not None or not len(data):
            return
        view = memoryview(data)
        rest = view if self._queue else view[self._send(view) :]
        if len(rest):
            self._queue.append(rest if type(data) is bytes else memoryview(bytes(rest)))
            self._queued += len(rest)
            if self._queued >= QUEUE_BYTES or not self._host.is_writable:
                self._output_full()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        self.write(b"".join(pieces))

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._end_if_sent()

    def close(self) -> None:
        self._close(FLUSH_LINGER_S)

    def break_off(self) -> None:
        self._close(LOST_LINGER_S)
        if self._linger is not None:
            self._linger.reset(LOST_LINGER_S)

    def abort(self) -> None:
        self._silence()
        self._drop(Ended.CANCELLED)

    def flush(self) -> None:
        """Sends what waits, as far as that is possible now."""
        queue = self._queue
        while queue and self._gone is None:
            sent = self._send(queue[0])
            self._queued -= sent
            if sent < len(queue[0]):
                queue[0] = queue[0][sent:]
                return
            del queue[0]
        if self._host.is_writable:
            self._output_drained()
        self._end_if_sent()

    # --- receiving --------------------------------------------------------------------------------

    def received(self, data: Buffer) -> None:
        """The client sent something."""
        count = len(data)
        if self._arrived(data):
            self._released(count)
        else:
            self._was_slow = True

    def peer_ended(self) -> None:
        """The client will send no more."""
        self._ended()
        self._end_if_sent()

    def peer_closed(self) -> None:
        """The client has closed the channel, or is gone."""
        in_order = self._ended_by_peer and not self._queue
        self._drop(Ended.FINISHED if in_order else Ended.RESET)

    def _released(self, count: int) -> None:
        self._consumed += count
        if self._consumed < self._window // 2 or self._gone is not None:
            return
        growth = 0 if self._was_slow else self._host.credit.widened(self._window)
        self._window += growth
        given, self._consumed, self._was_slow = self._consumed + growth, 0, False
        self._channel.give(given)

    def _reading_wanted(self, wanted: bool) -> None:
        """Nothing: what the client may send is told by its window."""

    # --- inside -----------------------------------------------------------------------------------

    def _send(self, data: memoryview) -> int:
        """Sends what the client takes now, and answers how much that was."""
        channel, host = self._channel, self._host
        most = min(channel.remoteMaxPacket, PACKET_BYTES)
        at = 0
        while at < len(data) and channel.remoteWindowLeft > 0 and host.is_writable:
            piece = data[at : at + min(most, channel.remoteWindowLeft)]
            channel.remoteWindowLeft -= len(piece)
            at += len(piece)
            host.send_data(channel, bytes(piece))
        return at

    def _close(self, linger_s: float) -> None:
        self._silence()
        if self._gone is None and not self._closing:
            self._finishing = self._closing = True
            self._linger = self._host.clock.callLater(linger_s, self._linger_over)
            self._end_if_sent()

    def _end_if_sent(self) -> None:
        if not self._finishing or self._queue or self._gone is not None:
            return
        if not self._output_ended:
            self._output_ended = True
            self._channel.end_output()
        if self._closing or self._ended_by_peer:
            self._drop(Ended.FINISHED)

    def _linger_over(self) -> None:
        self._linger = None
        self._drop(Ended.TIMEOUT)

    def _drop(self, reason: Ended) -> None:
        if self._gone is not None:
            return
        self._gone = reason
        self._queue.clear()
        self._queued = 0
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._host.credit.forget(self._window)
        self._channel.end()
        self.turns.at_turn_end(self._tell_loss)

    def _tell_loss(self) -> None:
        self._lost(self._gone or Ended.RESET)

"""Legs on sockets of the kernel: TCP and unix."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.poller import LOSS, PIECE_BYTES, READ, WRITE
from relaykit.interfaces import IKernelLeg
from relaykit.values import LOST_LINGER_S, Address, Ended

if sys.platform != "win32":
    import fcntl
    import termios

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IConnection, ITurns
    from relaykit.sansio.contract import Buffer

__all__ = [
    "INHERITS_OPTIONS",
    "SocketLeg",
    "address_of",
    "ending_of",
    "meets_itself",
    "reason_of",
    "reset_on_close",
    "set_keepalive",
    "tune",
]

HIGH_WATER_BYTES = 64 * 1024
"""Queued output at which the producer is paused; the kernel's own buffer is full before any is queued."""

LOW_WATER_BYTES = 16 * 1024
"""Queued output at which the producer goes on."""

UNSENT_BYTES = 256 * 1024
"""What a leg that favors latency hands to the kernel beyond what is in flight: a few milliseconds on a
fast path, and enough to keep it busy."""

FLUSH_LINGER_S = 30.0
"""How long a closing leg may take to hand its queued output to the kernel."""

END_LINGER_S = 2.0
"""How long a closed leg waits for the peer's end: closing a socket with unread bytes in it would
reset the connection, and a reset destroys what the peer has not read yet."""

KEEPALIVE_IDLE_S = 60
"""Silence after which the kernel asks the peer for a sign of life; of connections between client and server
``transport.dialServerKeepalive`` and ``transport.tcpKeepalive``."""

KEEPALIVE_INTERVAL_S = 15
"""Time between two questions."""

KEEPALIVE_COUNT = 4
"""Questions without an answer after which the peer is gone."""

_PIECES_AT_ONCE = 64
"""Most pieces in one ``sendmsg``: far below IOV_MAX (1024), and more would not fit the socket."""

_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")

_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""``struct linger``: closing drops what is unsent and resets the connection."""

_READS_AT_ONCE = 2
"""Full pieces read before others have their turn: what they make goes out together."""

_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)

_PACED = b"bbr"
_UNPACED = b"reno"
"""Congestion control within one machine, where the system's is BBR: there is nothing to be congested, and
pacing by a timer for each few segments costs a third of the time; its estimates collapse where a round trip
takes microseconds, and then it idles.  Everybody may choose this one.  Towards other machines the system's
choice stands."""

_UNCONFIRMED: int | None = None if sys.platform == "win32" else termios.TIOCOUTQ
"""The question how many bytes in a socket's buffer the peer has not confirmed.  Source: tcp(7)."""

_UNREAD: int | None = None if sys.platform == "win32" else termios.FIONREAD
"""The question how many bytes a socket has received that were not read.  Source: tcp(7)."""

_LOOKS = int(FLUSH_LINGER_S / LOST_LINGER_S)
"""How often to look whether what is left of a lost connection still gets less."""

INHERITS_OPTIONS = sys.platform.startswith("linux")
"""Whether accepted sockets have the options of the listening one."""

MOST_KEEPALIVE_IDLE_S = 32_767
"""Longest silence that Linux takes.  Source: tcp(7), MAX_TCP_KEEPIDLE."""

_ENDINGS = {
    errno.ETIMEDOUT: Ended.TIMEOUT,
    errno.EHOSTUNREACH: Ended.UNREACHABLE,
    errno.ENETUNREACH: Ended.UNREACHABLE,
    errno.ENETDOWN: Ended.UNREACHABLE,
}


def ending_of(error: OSError) -> Ended:
    """What an error of an established connection means."""
    return _ENDINGS.get(error.errno or 0, Ended.RESET)


def reason_of(error: OSError | ValueError) -> str:
    """What the system says of an error, for a sentence; ValueError is for names that no host can have."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def reset_on_close(plain: socket.socket) -> None:
    """Lets closing drop what is unsent and reset the connection."""
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def meets_itself(plain: socket.socket, own: object) -> bool:
    """Whether a connected socket, whose name is ``own``, is its own peer.

    A dial of a port in the ephemeral range where nobody listens may be given this very port as its own,
    and TCP lets it connect to itself (simultaneous open, RFC 9293 section 3.5).
    """
    return isinstance(own, tuple) and own == plain.getpeername()


def address_of(name: object) -> Address | None:
    """What ``getpeername`` and its like answered, as an address; None for unix sockets."""
    if not isinstance(name, tuple):
        return None
    host: str = name[0]
    if host.startswith("::ffff:") and "." in host:
        host = host[7:]
    return Address(host, name[1])


@functools.cache
def _is_paced() -> bool:
    """Whether this system paces connections unless it is told otherwise."""
    option = getattr(socket, "TCP_CONGESTION", None)
    if option is None:
        return False
    try:
        with socket.socket() as probe:
            return probe.getsockopt(socket.IPPROTO_TCP, option, 16).startswith(_PACED)
    except OSError:
        return False


def _is_local(peer: Address, host: Address | None) -> bool:
    """Whether both ends of a connection are on this machine."""
    return peer.host.startswith("127.") or peer.host == "::1" or (host is not None and host.host == peer.host)


def tune(plain: socket.socket, keepalive_s: int = KEEPALIVE_IDLE_S) -> None:
    """Sets what every TCP socket here has: no delay, keepalive (see :func:`set_keepalive`).

    On Linux accepted sockets inherit all of it from the listening one.
    """
    if plain.family == getattr(socket, "AF_UNIX", None):
        return
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    set_keepalive(plain, keepalive_s)


def set_keepalive(plain: socket.socket, idle_s: int) -> None:
    """Has the kernel ask the peer of a TCP socket for a sign of life after so much silence.

    Negative: it never asks.  What the system does not have is left out.
    """
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(idle_s > 0))]
    if idle_s > 0:
        options += [
            (socket.IPPROTO_TCP, getattr(socket, option), value)
            for option, value in (
                ("TCP_KEEPIDLE", min(idle_s, MOST_KEEPALIVE_IDLE_S)),
                ("TCP_KEEPINTVL", min(idle_s, KEEPALIVE_INTERVAL_S)),
                ("TCP_KEEPCNT", KEEPALIVE_COUNT),
            )
            if hasattr(socket, option)
        ]
    with contextlib.suppress(OSError):
        for level, option, value in options:
            plain.setsockopt(level, option, value)


@implementer(IKernelLeg)
class SocketLeg(StreamLeg):
    """A leg on a connected, non-blocking stream socket, which it owns from now on."""

    __slots__ = (
        "_closing",
        "_finishing",
        "_is_tcp",
        "_left_bytes",
        "_linger",
        "_looks_left",
        "_number",
        "_on_writable",
        "_peer_done",
        "_poller",
        "_queue",
        "_queued",
        "_read_full",
        "_read_instead",
        "_reason",
        "_socket",
        "_watches_loss",
        "_write_done",
        "interest",
        "watched",
    )

    def __init__(
        self,
        poller: Poller,
        plain: socket.socket,
        peer: Address | None = None,
        host: Address | None = None,
    ) -> None:
        super().__init__(peer, host)
        self.interest = self.watched = 0
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()
        self._is_tcp = peer is not None
        if peer is not None:
            poller.dead_peers.watch(self)
            if _is_local(peer, host) and _is_paced():
                with contextlib.suppress(OSError):
                    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _UNPACED)
        self._queue: deque[Buffer] = deque()
        self._queued = 0
        self._read_full = False
        self._finishing = False
        self._write_done = False
        self._peer_done = False
        self._closing = False
        self._reason: Ended | None = None
        self._linger: IDelayedCall | None = None
        self._read_instead: Callable[[], int] | None = None
        self._on_writable: Callable[[], None] | None = None
        self._watches_loss = True
        # While it is broken off: what the peer has not confirmed, and how often to look again.
        self._left_bytes: int | None = None
        self._looks_left = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._number} {self.host} - {self.peer}>"

    @property
    def turns(self) -> ITurns:
        return self._poller

    def fileno(self) -> int:
        return self._number

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if self._finishing:
            return
        if self._queue:
            self._enqueue(data if type(data) is bytes else bytes(data))
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.output_failed(error)
            return
        if sent < len(data):
            self._enqueue(memoryview(data)[sent:] if type(data) is bytes else bytes(data[sent:]))

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        if self._finishing:
            return
        if len(pieces) == 1:
            self.write(pieces[0])
            return
        done = 0
        if not self._queue:
            pieces, done = self._send_pieces(pieces)
        for piece in pieces:
            if done >= len(piece):
                done -= len(piece)
                continue
            if type(piece) is not bytes:
                piece = bytes(piece[done:])
            elif done:
                piece = memoryview(piece)[done:]
            done = 0
            self._enqueue(piece)

    @property
    def connection(self) -> IConnection:
        return self

    def favor_latency(self) -> None:
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if option is not None and self._number >= 0 and self.peer is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finishing = True
            if not self._queue:
                self._end_output()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = self._finishing = True
        self._read_instead = self._on_writable = None
        self._silence()
        if self._reason is not None:
            # It failed while there may have been more to read, which nobody wants now.
            self._dispose(self._reason)
            return
        if not self._queue:
            self._end_output()
        if self._reason is None:
            delay = FLUSH_LINGER_S if self._queue else END_LINGER_S
            self._linger = self._poller.reactor.callLater(delay, self._linger_over)
            self._update_interest()

    def break_off(self) -> None:
        ended_before = self._write_done
        self.close()
        if self._linger is None or self._left_bytes is not None:
            return
        self._left_bytes = self._unsent()
        self._looks_left = _LOOKS
        if ended_before and not self._left_bytes:
            reset_on_close(self._socket)
            self._dispose(Ended.FINISHED)
        else:
            self._linger.reset(LOST_LINGER_S)

    def abort(self) -> None:
        if self._number >= 0:
            reset_on_close(self._socket)
        self._silence()
        self._dispose(Ended.CANCELLED)

    # --- what the peer's machine has said ------------------------------------------------------------

    @property
    def unconfirmed(self) -> int | None:
        """Bytes that were written and that the peer's machine has not confirmed; None: nobody knows."""
        if _UNCONFIRMED is None or not self._is_tcp or self._number < 0:
            return None
        count = bytearray(4)
        try:
            fcntl.ioctl(self._number, _UNCONFIRMED, count)
        except OSError:
            return None
        return int.from_bytes(count, sys.byteorder) + self._queued

    def give_up_unconfirmed(self, after_s: float) -> None:
        """Loses the leg when bytes stay unconfirmed, or the peer takes none, for so long; where it can."""
        if self._is_tcp and self._number >= 0 and _USER_TIMEOUT is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(after_s * 1000))

    def tcp_info(self, count: int) -> bytes:
        """So many bytes of what the kernel tells of the connection; Linux.

        :raises OSError: it tells nothing.
        """
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, count)

    def peer_died(self) -> None:
        """Ends the leg: its peer is gone."""
        self._dispose(Ended.TIMEOUT)

    # --- for who moves bytes inside the kernel ----------------------------------------------------

    def read_with(self, read: Callable[[], int] | None) -> None:
        """Lets ``read`` take the input in place of this leg, or (None) no longer.

        It is called when there is something to read and the leg may deliver; it answers how many
        bytes it moved, 0 for the end, and raises OSError as ``recv`` would.
        """
        self._read_instead = read

    def await_writable(self, on_writable: Callable[[], None]) -> None:
        """Calls ``on_writable`` once the socket takes output again and all that was written is sent."""
        self._on_writable = on_writable
        self._update_interest()

    @property
    def output_queued(self) -> int:
        """Bytes that were written and wait for the kernel."""
        return self._queued

    def output_failed(self, error: OSError) -> None:
        """Takes note that writing failed: output is dropped, the loss is told soon."""
        self._finishing = self._write_done = True
        self._queue.clear()
        self._queued = 0
        self._on_writable = None
        if self._reason is None:
            self._reason = ending_of(error)
            # After a reset there may be bytes to read that came before it; else the socket is of no use.
            reset = error.errno in (errno.EPIPE, errno.ECONNRESET)
            self._poller.at_turn_end(self._lose_after_input if reset else self._give_up)

    # --- for the poller -------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        if events & WRITE and self.interest & WRITE:
            self._flush()
        if events & READ and self.interest & READ:
            self._read()
        elif events & LOSS and self.interest & LOSS:
            self._loss_noticed()

    def failed(self) -> None:
        self._silence()
        self._dispose(Ended.INTERNAL_ERROR)

    # --- inside ---------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if not self._read_piece() or not self._flowing:
                return

    def _read_piece(self) -> bool:
        """Takes a piece of input; whether there may be more at once."""
        read = self._read_instead
        try:
            if read is not None and self._flowing:
                if read():
                    return False
                count = 0
            elif self._read_full:
                data: Buffer = self._socket.recv(PIECE_BYTES)
                count = len(data)
            else:
                count = self._socket.recv_into(self._poller.buffer)
                data = self._poller.buffer[:count]
        except BlockingIOError:
            return False
        except OSError as error:
            self._dispose(self._reason or ending_of(error))
            return False
        if count == 0:
            self._peer_ended()
            return False
        self._poller.taken_bytes += count
        self._read_full = count == PIECE_BYTES
        if self._flowing:
            self._receiver.data_received(data)  # type: ignore[union-attr]  # flowing implies one
        else:
            self._arrived(data)
        return self._read_full

    def _peer_ended(self) -> None:
        self._peer_done = True
        if self._reason is not None:
            self._dispose(self._reason)
            return
        self._ended()
        if self._write_done:
            self._dispose(Ended.FINISHED)
        else:
            self._update_interest()

    def _reading_wanted(self, wanted: bool) -> None:
        self._update_interest()

    def _update_interest(self) -> None:
        if self._number < 0:
            return
        interest = 0
        if (self._reading or self._closing) and not self._peer_done:
            interest = READ
        if self._queue or self._on_writable is not None:
            interest |= WRITE
        if not interest and self._watches_loss:
            interest = LOSS
        if interest != self.interest:
            self._poller.watch(self, interest)

    def _enqueue(self, data: Buffer) -> None:
        queue = self._queue
        queue.append(data)
        self._queued += len(data)
        if len(queue) == 1:
            self._update_interest()
        if self._queued >= HIGH_WATER_BYTES:
            self._output_full()

    def _send_pieces(self, pieces: Sequence[Buffer]) -> tuple[Sequence[Buffer], int]:
        """Sends what the kernel takes; answers what is left, and how much of its beginning is not."""
        while pieces:
            some = pieces[:_PIECES_AT_ONCE]
            try:
                sent = self._transmit(some)
            except BlockingIOError:
                return pieces, 0
            except OSError as error:
                self.output_failed(error)
                return (), 0
            if sent < sum(map(len, some)):
                return pieces, sent
            pieces = pieces[_PIECES_AT_ONCE:]
        return (), 0

    def _transmit(self, pieces: Sequence[Buffer]) -> int:
        """Sends several pieces by one system call; answers how many bytes went."""
        if _HAS_SENDMSG:
            return self._socket.sendmsg(pieces)
        return self._socket.send(b"".join(pieces))

    def _flush(self) -> None:
        queue = self._queue
        while queue:
            some = [piece for piece, _ in zip(queue, range(_PIECES_AT_ONCE), strict=False)]
            try:
                sent = self._transmit(some) if len(some) > 1 else self._socket.send(some[0])
            except BlockingIOError:
                break
            except OSError as error:
                self.output_failed(error)
                return
            self._queued -= sent
            for piece in some:
                if sent < len(piece):
                    break
                sent -= len(piece)
                queue.popleft()
            if sent:
                queue[0] = memoryview(queue[0])[sent:]
                break
        if self._queued <= LOW_WATER_BYTES:
            self._output_drained()
        if queue:
            return
        on_writable, self._on_writable = self._on_writable, None
        if on_writable is not None:
            on_writable()
        if self._finishing and not self._queue:
            self._end_output()
            if self._linger is not None and self._linger.active():
                self._linger.reset(END_LINGER_S if self._left_bytes is None else LOST_LINGER_S)
        self._update_interest()

    def _end_output(self) -> None:
        """Tells the peer that no more will come."""
        if self._write_done:
            if self._peer_done and self._reason is None:
                self._finish_soon()
            return
        self._write_done = True
        if self._peer_done:
            self._finish_soon()
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _finish_soon(self) -> None:
        self._reason = Ended.FINISHED
        self._poller.at_turn_end(self._lose_after_input)

    def _lose_after_input(self) -> None:
        """Tells the loss, unless there may be bytes to read before it."""
        if self._number < 0 or self._peer_done or self._closing:
            self._give_up()
        elif self._linger is None:
            self._looks_left = _LOOKS
            self._await_reader(self._unread())

    def _await_reader(self, left: int) -> None:
        """Gives whoever has paused this leg, or will, time to take what came before its loss."""
        self._linger = self._poller.reactor.callLater(LOST_LINGER_S, self._reader_waited_for, left)

    def _reader_waited_for(self, before: int) -> None:
        self._linger = None
        self._looks_left -= 1
        left = self._unread()
        if 0 < left < before and self._looks_left:
            self._await_reader(left)
        else:
            self._give_up()

    def _loss_noticed(self) -> None:
        """The connection is gone, or has ended both ways, while nothing was waited for."""
        self._watches_loss = False
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.output_failed(OSError(code, os.strerror(code)))
        self._update_interest()

    def _unread(self) -> int:
        """Bytes that have arrived and were not read."""
        if _UNREAD is None:
            return 0
        count = bytearray(4)
        try:
            fcntl.ioctl(self._number, _UNREAD, count)
        except OSError:
            return 0
        return int.from_bytes(count, sys.byteorder)

    def _unsent(self) -> int:
        """Bytes that were written and that the peer's machine has not confirmed, as far as is known."""
        unconfirmed = self.unconfirmed
        return self._queued if unconfirmed is None else unconfirmed

    def _give_up(self) -> None:
        self._dispose(self._reason or Ended.RESET)

    def _linger_over(self) -> None:
        self._linger = None
        unsent = bool(self._queue)
        if self._left_bytes is not None:
            left = self._unsent()
            self._looks_left -= 1
            if 0 < left < self._left_bytes and self._looks_left:
                self._left_bytes = left
                self._linger = self._poller.reactor.callLater(LOST_LINGER_S, self._linger_over)
                return
        if unsent or self._left_bytes is not None:
            reset_on_close(self._socket)
        self._dispose(Ended.TIMEOUT if unsent else Ended.FINISHED)

    def _dispose(self, reason: Ended) -> None:
        """Gives the socket back at once, and tells the loss when this turn ends."""
        if self._number >= 0:
            self._poller.forget(self)
            if self._is_tcp:
                self._poller.dead_peers.forget(self)
            self._number = -1
            self._socket.close()
            self._queue.clear()
            self._queued = 0
            self._finishing = self._write_done = True
            self._read_instead = self._on_writable = None
            if self._linger is not None:
                if self._linger.active():
                    self._linger.cancel()
                self._linger = None
            self._reason = reason
            self._poller.at_turn_end(self._tell_loss)

    def _tell_loss(self) -> None:
        self._lost(self._reason or Ended.RESET)

"""The session channel of a client: its command, and what is shown to whoever runs ssh."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import EXTENDED_DATA_STDERR

from relaykit.ssh_gateway.quiet import QUIET

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["TerminalChannel", "TerminalSize", "TerminalUser"]

MOST_UNSENT_BYTES = 64 * 1024
"""Bytes that wait for the client to take them; what comes then is not shown."""

MOST_COLUMNS = 1000
"""Of a terminal; who says more has none."""

_STOP_KEYS = frozenset(b"\x03\x04")
"""Ctrl+C and Ctrl+D: a terminal that ssh has put into raw mode sends them."""


@frozen
class TerminalSize:
    """The terminal of a client; 0 where it did not say."""

    columns: int = 0
    rows: int = 0


class TerminalUser(Protocol):
    """Who is told what happens at the terminal."""

    def command_given(self, command: bytes) -> None:
        """A command; empty for a shell."""

    def stop_asked(self) -> None:
        """Whoever runs ssh wants to end it."""


class TerminalChannel(SSHChannel):
    """The session channel.

    :ivar size: that of the terminal, if ssh was given one (``-t``); None else.
    """

    _log = QUIET

    def __init__(self, user: TerminalUser, window: int, packet: int) -> None:
        super().__init__(remoteWindow=window, remoteMaxPacket=max(packet, 1))
        self.size: TerminalSize | None = None
        self._user = user
        self._is_over = False

    # --- for the gateway --------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Shows a text, and ends its line."""
        self._put(f"{text}\n")

    def say_aside(self, text: str) -> None:
        """The same on standard error."""
        if self._may_put:
            self.writeExtended(EXTENDED_DATA_STDERR, self._encoded(f"{text}\n"))

    def show_line(self, text: str) -> None:
        """Writes a line in place of the one that the cursor is in."""
        self._put(f"\r{text}\x1b[K")

    def leave(self, status: int) -> None:
        """Ends with a status, as a program does."""
        if not self._is_over:
            self._is_over = True
            self._connection.sendRequest(self, b"exit-status", struct.pack(">L", status))
            self._connection.sendEOF(self)
            self.loseConnection()

    @property
    def _connection(self) -> Any:
        return self.conn

    @property
    def _may_put(self) -> bool:
        unsent = len(self.buf) + sum(len(data) for _, data in self.extBuf)
        return not (self._is_over or self.localClosed) and unsent < MOST_UNSENT_BYTES

    def _put(self, text: str) -> None:
        if self._may_put:
            self.write(self._encoded(text))

    def _encoded(self, text: str) -> bytes:
        # A terminal in raw mode does not go back to its first column by itself.
        return (text if self.size is None else text.replace("\n", "\r\n")).encode("utf-8", "replace")

    # --- for the library --------------------------------------------------------------------------

    def channelOpen(self, specificData: bytes) -> None:
        """Nothing: the command comes next."""

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        take = _REQUESTS.get(requestType)
        return take is not None and take(self, data)

    def dataReceived(self, data: Buffer) -> None:
        self._connection.adjustWindow(self, len(data))
        if self.size is not None and not _STOP_KEYS.isdisjoint(data):
            self._user.stop_asked()

    def extReceived(self, dataType: int, data: bytes) -> None:
        """Nothing is read."""

    def eofReceived(self) -> None:
        """Nothing: standard input ends where ssh runs in the background."""

    def closeReceived(self) -> None:
        self._is_over = True
        self._connection.sendClose(self)

    def closed(self) -> None:
        self._is_over = True
        self._user.stop_asked()

    def take_environment(self, data: bytes) -> bool:
        """A variable, which nobody reads."""
        return True

    def take_terminal(self, data: bytes) -> bool:
        """There is a terminal."""
        _, rest = getNS(data)
        self.take_size(rest)
        return True

    def take_size(self, data: bytes) -> bool:
        """The terminal has this size."""
        columns, rows = struct.unpack(">2L", data[:8])
        fits = columns <= MOST_COLUMNS and rows <= MOST_COLUMNS
        self.size = TerminalSize(columns, rows) if fits else TerminalSize()
        return True

    def take_command(self, data: bytes) -> bool:
        """What to do."""
        self._user.command_given(getNS(data)[0])
        return True

    def take_shell(self, data: bytes) -> bool:
        """There was no command."""
        self._user.command_given(b"")
        return True

    def take_signal(self, data: bytes) -> bool:
        """Whoever runs ssh wants it to end; whatever the signal is, nothing else can be done."""
        self._user.stop_asked()
        return True


_REQUESTS = {
    b"env": TerminalChannel.take_environment,
    b"exec": TerminalChannel.take_command,
    b"pty-req": TerminalChannel.take_terminal,
    b"shell": TerminalChannel.take_shell,
    b"signal": TerminalChannel.take_signal,
    b"window-change": TerminalChannel.take_size,
}
"""What a client may ask of its session; the rest is refused."""

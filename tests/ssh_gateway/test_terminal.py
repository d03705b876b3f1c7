"""Tests for :mod:`relaykit.ssh_gateway.terminal`."""

from __future__ import annotations

import struct
from typing import Any

from twisted.conch.ssh.common import NS
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.terminal import MOST_UNSENT_BYTES, TerminalChannel, TerminalSize


class _User:
    """Who is told."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.stops = 0

    def command_given(self, command: bytes) -> None:
        """A command."""
        self.commands.append(command)

    def stop_asked(self) -> None:
        """The end."""
        self.stops += 1


class _Connection:
    """What the channel is on."""

    def __init__(self) -> None:
        self.out = b""
        self.sent: list[str] = []

    def sendData(self, channel: object, data: bytes) -> None:
        """Standard output."""
        self.out += data

    def sendExtendedData(self, channel: object, kind: int, data: bytes) -> None:
        """Standard error."""
        self.sent.append(f"{kind} {data!r}")

    def sendRequest(self, channel: object, name: bytes, data: bytes) -> None:
        """A request."""
        self.sent.append(f"{name.decode()} {data.hex()}")

    def sendEOF(self, channel: object) -> None:
        """The end of the output."""
        self.sent.append("eof")

    def sendClose(self, channel: object) -> None:
        """The end."""
        self.sent.append("close")

    def adjustWindow(self, channel: object, count: int) -> None:
        """More may come."""


class TerminalTests(SynchronousTestCase):
    """Tests for the session channel."""

    def setUp(self) -> None:
        self.user = _User()
        self.connection = _Connection()
        self.channel = TerminalChannel(self.user, 2**31, 32768)
        conn: Any = self.connection
        self.channel.conn = conn

    def ask(self, name: bytes, data: bytes = b"") -> bool:
        """What a client asks."""
        return self.channel.requestReceived(name, data)

    def test_requests(self) -> None:
        """Commands and shells are told; variables are taken and forgotten; what else there is is refused."""
        self.assertTrue(self.ask(b"exec", NS(b"tcp")))
        self.assertTrue(self.ask(b"shell"))
        self.assertTrue(self.ask(b"env", NS(b"A") + NS(b"b")))
        self.assertEqual(self.user.commands, [b"tcp", b""])
        for name in (b"subsystem", b"x11-req", b"auth-agent-req@openssh.com", b"\xff"):
            self.assertFalse(self.ask(name, NS(b"sftp")))

    def test_size(self) -> None:
        """The size of a terminal is that of the client, as it is at the moment; an absurd one is none."""
        self.assertIsNone(self.channel.size)
        self.ask(b"pty-req", NS(b"xterm") + struct.pack(">4L", 80, 24, 0, 0) + NS(b""))
        self.assertEqual(self.channel.size, TerminalSize(80, 24))
        self.ask(b"window-change", struct.pack(">4L", 100, 30, 0, 0))
        self.assertEqual(self.channel.size, TerminalSize(100, 30))
        self.ask(b"window-change", struct.pack(">4L", 2**32 - 1, 1, 0, 0))
        self.assertEqual(self.channel.size, TerminalSize())

    def test_texts(self) -> None:
        """Lines end as the terminal wants it."""
        self.channel.say("a\nb")
        self.assertEqual(self.connection.out, b"a\nb\n")
        self.ask(b"pty-req", NS(b"xterm") + struct.pack(">4L", 80, 24, 0, 0) + NS(b""))
        self.channel.say("c")
        self.channel.show_line("d")
        self.assertEqual(self.connection.out, b"a\nb\nc\r\n\rd\x1b[K")
        self.channel.say_aside("e")
        self.assertEqual(self.connection.sent, ["1 b'e\\r\\n'"])

    def test_not_taken(self) -> None:
        """For a client that takes nothing, only so much is kept."""
        self.channel.remoteWindowLeft = 0
        for _ in range(10 * MOST_UNSENT_BYTES):
            self.channel.say("a line")
        self.assertLess(len(self.channel.buf), MOST_UNSENT_BYTES + 100)
        self.channel.say_aside("more")
        self.assertEqual(self.channel.extBuf, [])

    def test_left(self) -> None:
        """It ends once, with a status, and shows nothing afterwards."""
        self.channel.leave(1)
        self.channel.leave(0)
        self.channel.say("late")
        self.assertEqual(self.connection.sent, ["exit-status 00000001", "eof", "close"])
        self.assertEqual(self.connection.out, b"")

    def test_stops(self) -> None:
        """Ctrl+C counts where there is a terminal, and signals and the end of the channel always."""
        self.channel.dataReceived(b"\x03")
        self.assertEqual(self.user.stops, 0)
        self.ask(b"pty-req", NS(b"xterm") + struct.pack(">4L", 80, 24, 0, 0) + NS(b""))
        self.channel.dataReceived(memoryview(b"x"))
        self.assertEqual(self.user.stops, 0)
        self.channel.dataReceived(memoryview(b"x\x03"))
        self.ask(b"signal", NS(b"INT"))
        self.channel.closed()
        self.assertEqual(self.user.stops, 3)

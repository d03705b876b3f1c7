"""Tests for :mod:`relaykit.commands.status.terminal`: a terminal of the kernel, nobody's session."""

from __future__ import annotations

import os
import pty
import signal
import termios
from io import StringIO, TextIOWrapper
from typing import Any, TextIO

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status import terminal
from relaykit.commands.status.terminal import Terminal, can_draw


class Reactor(MemoryReactorClock):
    """Does at once what a signal asks for."""

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        callable(*args, **kwargs)


class TerminalTests(SynchronousTestCase):
    """Tests for :class:`Terminal`."""

    def setUp(self) -> None:
        """Opens a terminal, and takes the place of the process's signals."""
        keys, number = pty.openpty()
        self.addCleanup(os.close, keys)
        self.keys = keys
        self.screen = self.enterContext(open(number, "r+b", buffering=0))
        self.before: dict[int, Any] = {}
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handle)
        self.patch(os, "kill", self.kill)
        self.is_ours = True
        self.patch(terminal, "_is_in_foreground", lambda stream: self.is_ours)
        self.happened: list[str] = []
        self.reactor = Reactor()
        self.modes = termios.tcgetattr(number)
        self.stream: TextIO = TextIOWrapper(self.screen)
        self.terminal = Terminal(self.reactor, self.stream, self.stream)

    def handle(self, number: int, handler: Any) -> Any:
        """Takes a handler."""
        before, self.handlers[number] = self.handlers.get(number, signal.SIG_DFL), handler
        return before

    def kill(self, pid: int, number: int) -> None:
        """Stops this process, until it goes on at once."""
        self.happened.append(f"stopped, echo {self.echo}")
        self.assertEqual((pid, number), (os.getpid(), signal.SIGTSTP))
        self.assertIs(self.handlers[signal.SIGTSTP], signal.SIG_DFL)

    def send(self, number: int) -> None:
        """A signal comes."""
        self.handlers[number](number, None)

    @property
    def echo(self) -> bool:
        """Whether the terminal shows what is typed, and waits for Enter."""
        flags = termios.tcgetattr(self.screen.fileno())[3]
        self.assertEqual(bool(flags & termios.ECHO), bool(flags & termios.ICANON))
        self.assertTrue(flags & termios.ISIG)
        return bool(flags & termios.ECHO)

    # --- the occupant ---

    def enter(self) -> None:
        """Is noted."""
        self.happened.append("enter")

    def leave(self) -> None:
        """Is noted."""
        self.happened.append("leave")

    def refresh(self) -> None:
        """Is noted."""
        self.happened.append("refresh")

    def key(self, letter: str) -> None:
        """Is noted."""
        self.happened.append(letter)

    # ---

    def test_modes(self) -> None:
        """What is typed is not shown while there is a picture, and is afterwards; signals are left alone."""
        self.terminal.begin(self)
        self.assertFalse(self.echo)
        self.terminal.end()
        self.assertEqual(termios.tcgetattr(self.screen.fileno()), self.modes)
        self.assertEqual(self.happened, ["enter", "leave"])
        self.assertEqual(set(self.handlers.values()), {signal.SIG_DFL})
        self.terminal.end()
        self.assertEqual(self.happened, ["enter", "leave"])

    def test_keys(self) -> None:
        """One key is told; what comes in one piece with more was pasted, or is a key with a name."""
        self.assertTrue(self.terminal.has_keys)
        self.terminal.begin(self)
        (keyboard,) = self.reactor.getReaders()
        for typed in (b"q", b"\x1b[A", b"quit", b"\xff"):
            os.write(self.keys, typed)
            self.assertIsNone(keyboard.doRead())
        self.assertEqual(self.happened, ["enter", "q", "\xff"])
        self.terminal.end()
        self.assertEqual(self.reactor.getReaders(), [])

    def test_suspended(self) -> None:
        """At Ctrl-Z the shell gets its terminal as it was; afterwards the picture comes back."""
        self.terminal.begin(self)
        self.send(signal.SIGTSTP)
        self.assertEqual(self.happened, ["enter", "leave", "stopped, echo True", "enter"])
        self.assertFalse(self.echo)
        self.assertTrue(callable(self.handlers[signal.SIGTSTP]))
        self.terminal.end()

    def test_background(self) -> None:
        """In the background nothing is touched, until it is in the foreground again."""
        self.terminal.begin(self)
        self.is_ours = False
        self.terminal.look()
        self.terminal.look()
        self.assertEqual((self.happened, self.reactor.getReaders()), (["enter", "leave"], []))
        self.assertFalse(self.echo)
        for number in (signal.SIGWINCH, signal.SIGCONT):
            self.send(number)
        self.assertEqual(self.happened, ["enter", "leave"])
        self.is_ours = True
        self.send(signal.SIGCONT)
        self.assertEqual(self.happened[2:], ["enter", "refresh"])
        self.terminal.end()

    def test_started_in_background(self) -> None:
        """Who starts there draws nothing, is not stopped for it, and ends without a trace."""
        self.is_ours = False
        self.terminal.begin(self)
        self.assertIs(self.handlers[signal.SIGTTOU], signal.SIG_IGN)
        self.terminal.end()
        self.assertEqual((self.happened, self.echo), ([], True))

    def test_continued(self) -> None:
        """Who was stopped without being asked finds the modes of the shell, and sets its own."""
        self.terminal.begin(self)
        termios.tcsetattr(self.screen.fileno(), termios.TCSANOW, self.modes)
        self.send(signal.SIGCONT)
        self.assertEqual((self.happened, self.echo), (["enter", "refresh"], False))
        self.terminal.end()
        self.assertTrue(self.echo)

    def test_resized(self) -> None:
        """A new size is a reason to draw."""
        self.terminal.begin(self)
        self.send(signal.SIGWINCH)
        self.assertEqual(self.happened, ["enter", "refresh"])
        self.terminal.end()

    def test_quit(self) -> None:
        """Whatever ends the program at once finds the terminal as it was."""
        self.handlers[signal.SIGQUIT] = lambda number, frame: self.happened.append(f"quit, echo {self.echo}")
        self.terminal.begin(self)
        self.send(signal.SIGQUIT)
        self.assertEqual(self.happened, ["enter", "leave", "quit, echo True"])

    def test_lost_keyboard(self) -> None:
        """A terminal that is gone has no keys any more, and ends nothing."""
        self.terminal.begin(self)
        (keyboard,) = self.reactor.getReaders()

        def lost(number: int, size: int) -> bytes:
            raise OSError("gone")

        self.patch(os, "read", lost)
        self.assertIsNotNone(keyboard.doRead())
        keyboard.connectionLost(None)
        self.send(signal.SIGTSTP)
        self.assertNotIn(keyboard, self.reactor.getReaders())
        self.terminal.end()

    def test_no_keyboard(self) -> None:
        """Without a keyboard there are no keys, and the screen is a screen all the same."""
        for keyboard in (None, StringIO()):
            other = Terminal(self.reactor, self.stream, keyboard)
            other.begin(self)
            self.assertEqual((other.has_keys, self.reactor.getReaders(), self.echo), (False, [], False))
            other.end()

    def test_no_terminal(self) -> None:
        """What only looks like a terminal has no modes, and is drawn on."""
        screen = StringIO()
        other = Terminal(self.reactor, screen)
        other.begin(self)
        other.end()
        self.assertEqual(self.happened, ["enter", "leave"])


class CanDrawTests(SynchronousTestCase):
    """Tests for :func:`can_draw`."""

    def test_terminals(self) -> None:
        """Pictures are for terminals that take them; one that is nobody's session's is nobody else's."""
        keys, number = pty.openpty()
        self.addCleanup(os.close, keys)
        with open(number, "w") as screen:
            self.assertFalse(can_draw(screen, {"TERM": "xterm"}), "nobody looks at what has no size")
            termios.tcsetwinsize(number, (24, 80))
            self.assertTrue(can_draw(screen, {"TERM": "xterm"}))
            self.assertFalse(can_draw(screen, {"TERM": "dumb"}))
            self.patch(terminal, "_is_in_foreground", lambda stream: False)
            self.assertFalse(can_draw(screen, {}))
        self.assertFalse(can_draw(StringIO(), {}))

"""The terminal of this process while a picture is on it: its keys, and whose it is at the moment.

What is drawn there, and with which codes, is for others.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol, TextIO

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

if sys.platform != "win32":
    import termios
    import tty

__all__ = ["Occupant", "Terminal", "can_draw"]

MOST_BYTES = 1024
"""Bytes of the keyboard that are read at once; what was pasted comes in several pieces then."""


class Occupant(Protocol):
    """Who draws on a terminal."""

    def enter(self) -> None:
        """The terminal is free: the picture comes."""

    def leave(self) -> None:
        """Somebody else has it from now on: the picture goes."""

    def refresh(self) -> None:
        """What is on it may not be right any more, because it has another size or another text."""

    def key(self, letter: str) -> None:
        """A key was pressed."""


def can_draw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether it leads to a terminal that takes pictures, and that nobody else works at.

    A program in the background has the terminal of a shell that somebody types into.
    """
    takes_pictures = stream.isatty() and environ.get("TERM") != "dumb" and _has_size(stream)
    return takes_pictures and _is_in_foreground(stream)


def _has_size(stream: TextIO) -> bool:
    """Whether it has rows and columns; that of a container that nobody looks into has none."""
    try:
        return 0 not in os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return True


class Terminal:
    """Has a terminal for an occupant, and gives it back: at the end, at Ctrl-Z, and in the background.

    While the occupant has it, keys are not echoed and come without Enter; Ctrl-C and Ctrl-Z stay signals.

    :param screen: the terminal.
    :param keyboard: where its keys come from; None, or no terminal, for nowhere.
    """

    def __init__(self, reactor: Any, screen: TextIO, keyboard: TextIO | None = None) -> None:
        self._reactor = reactor
        self._screen = screen
        self._keyboard: _Keyboard | None = None
        if keyboard is not None and keyboard.isatty() and IReactorFDSet.providedBy(reactor):
            self._keyboard = _Keyboard(keyboard.fileno(), self._pressed)
        self._occupant: Occupant | None = None
        self._is_held = False
        self._modes: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def has_keys(self) -> bool:
        """Whether keys come from it."""
        return self._keyboard is not None

    def begin(self, occupant: Occupant) -> None:
        """Gives it to an occupant, whenever this process is in its foreground."""
        self._occupant = occupant
        # Who writes to a terminal in the background may be stopped for it, and users with it.
        self._handle("SIGTTOU", signal.SIG_IGN)
        self._handle("SIGTSTP", self._later(self._suspend))
        self._handle("SIGCONT", self._later(self._continued))
        self._handle("SIGWINCH", self._later(self._resized))
        self._handle("SIGQUIT", self._quit)
        self.look()

    def end(self) -> None:
        """Leaves it as it was, for good; may be called again."""
        self.leave()
        self._occupant = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def look(self) -> None:
        """Takes or leaves it, where it has become this process's or somebody else's meanwhile."""
        is_ours = _is_in_foreground(self._screen)
        if is_ours and not self._is_held:
            self._take()
        elif self._is_held and not is_ours:
            self.leave()

    def leave(self) -> None:
        """Leaves it as it was, until the next :meth:`look`."""
        if self._occupant is None or not self._is_held:
            return
        self._is_held = False
        if self._keyboard is not None:
            self._reactor.removeReader(self._keyboard)
        modes, self._modes = self._modes, None
        is_ours = _is_in_foreground(self._screen)
        if is_ours:
            _let_output_go_on(self._screen)
        try:
            self._occupant.leave()
        finally:
            if modes is not None and is_ours:
                _set_modes(self._screen, modes)

    def _take(self) -> None:
        if self._occupant is None:
            return
        self._is_held = True
        self._modes = _modes(self._screen)
        _take_keys_at_once(self._screen)
        if self._keyboard is not None and not self._keyboard.is_lost:
            self._reactor.addReader(self._keyboard)
        self._occupant.enter()

    # --- keys and signals -------------------------------------------------------------------------

    def _pressed(self, letter: str) -> None:
        if self._occupant is not None:
            self._occupant.key(letter)

    def _suspend(self) -> None:
        """Ctrl-Z: the shell has the terminal until it lets this process go on."""
        self.leave()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self.look()

    def _continued(self) -> None:
        self.look()
        if self._is_held:
            # Who was stopped without being asked comes back to the modes of the shell.
            _take_keys_at_once(self._screen)
            self._resized()

    def _resized(self) -> None:
        if self._occupant is not None and self._is_held:
            self._occupant.refresh()

    def _quit(self, number: int, frame: FrameType | None) -> None:
        """The program ends at once."""
        handler = self._handlers.get(number)
        with suppress(Exception):
            self.end()
        if callable(handler):
            handler(number, frame)
        else:
            signal.raise_signal(number)

    def _handle(self, name: str, handler: Any) -> None:
        number = getattr(signal, name, None)
        if number is not None:
            self._handlers[number] = signal.signal(number, handler)

    def _later(self, act: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
        """A signal comes in the middle of anything, also of a picture."""
        return lambda number, frame: self._reactor.callFromThread(act)


@implementer(IReadDescriptor)
class _Keyboard:
    """Reads keys.  What comes in one piece with more was pasted, or is a key with a name, and is ignored."""

    def __init__(self, number: int, pressed: Callable[[str], None]) -> None:
        self._number = number
        self._pressed = pressed
        self.is_lost = False

    def fileno(self) -> int:
        return self._number

    def logPrefix(self) -> str:
        return "keyboard"

    def doRead(self) -> Any:
        try:
            data = os.read(self._number, MOST_BYTES)
        except OSError:
            data = b""
        if not data:
            return CONNECTION_LOST
        if len(data) == 1:
            self._pressed(data.decode("latin-1"))
        return None

    def connectionLost(self, reason: Failure) -> None:
        self.is_lost = True


# --- what the system says and does ---------------------------------------------------------------

if sys.platform == "win32":

    def _is_in_foreground(terminal: TextIO) -> bool:
        return True

    def _modes(terminal: TextIO) -> list[Any] | None:
        return None

    def _set_modes(terminal: TextIO, modes: list[Any]) -> None:
        """There are none."""

    def _take_keys_at_once(terminal: TextIO) -> None:
        """There is no way."""

    def _let_output_go_on(terminal: TextIO) -> None:
        """Nobody stops it."""

else:

    def _is_in_foreground(terminal: TextIO) -> bool:
        try:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # not the terminal of this session: no shell gives it to others
            return True

    def _modes(terminal: TextIO) -> list[Any] | None:
        try:
            return termios.tcgetattr(terminal.fileno())
        except (termios.error, OSError, ValueError):
            return None

    def _set_modes(terminal: TextIO, modes: list[Any]) -> None:
        with suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(terminal.fileno(), termios.TCSANOW, modes)

    def _take_keys_at_once(terminal: TextIO) -> None:
        with suppress(termios.error, OSError, ValueError):
            tty.setcbreak(terminal.fileno(), termios.TCSANOW)

    def _let_output_go_on(terminal: TextIO) -> None:
        """Undoes a Ctrl-S, after which whoever writes waits."""
        with suppress(termios.error, OSError, ValueError):
            termios.tcflow(terminal.fileno(), termios.TCOON)

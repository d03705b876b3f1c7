"""Tests for :mod:`relaykit.commands.status.live`; a real terminal is in ``tests/integration``."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status import live
from relaykit.commands.status.live import MOST_LOG_LINES, SHARE, LiveRenderer
from relaykit.commands.status.terminal import Occupant, Terminal
from tests.commands.terminal import draw_as_xterm

ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
SHOWN_CURSOR = "\x1b[?25h"


class WordPicture:
    """Draws words."""

    keys = "x explodes"

    def drawn(self, snapshot: str, before: str | None, console: Console, keys: str) -> RenderableType:
        """The word, what was before, and the keys."""
        if snapshot == "defect":
            raise ZeroDivisionError("cannot draw that")
        return Text(f"now {snapshot} before {before} ({keys})")

    def last(self, snapshot: str, console: Console) -> RenderableType:
        """The word."""
        return Text(f"last {snapshot}")


class FakeTerminal(Terminal):
    """Gives and takes as a test says."""

    def __init__(self) -> None:
        self.occupant: Occupant | None = None
        self.is_ours = True
        self.is_held = False
        self.ended = False

    has_keys = True

    def begin(self, occupant: Occupant) -> None:
        self.occupant = occupant
        self.look()

    def look(self) -> None:
        assert self.occupant is not None
        if self.is_ours != self.is_held:
            self.is_held = self.is_ours
            (self.occupant.enter if self.is_ours else self.occupant.leave)()

    def leave(self) -> None:
        self.is_ours = False
        self.look()

    def end(self) -> None:
        self.ended = True


class LiveRendererTests(SynchronousTestCase):
    """Tests for how pictures come and go."""

    def setUp(self) -> None:
        """Makes a renderer on a terminal of 60 columns and 10 rows."""
        draw_as_xterm(self)
        self.stream = StringIO()
        console = Console(file=self.stream, force_terminal=True, width=60, height=10, color_system=None)
        self.terminal = FakeTerminal()
        self.keys: list[str] = []
        self.now = 100.0
        self.shown = LiveRenderer(WordPicture(), self.terminal, self.stream, console, lambda: self.now)

    def written(self, act: Callable[[], object]) -> str:
        """What is written to the terminal meanwhile."""
        before = len(self.stream.getvalue())
        act()
        return self.stream.getvalue()[before:]

    def begin(self) -> None:
        """Begins, with a first picture."""
        self.shown.begin(self.keys.append)
        self.shown.show("one")

    def test_screen(self) -> None:
        """Pictures are on a screen of their own, and fill it; rates are measured from the one before."""
        self.assertIn(ALTERNATE, self.written(self.begin))
        drawn = self.written(lambda: self.shown.show("two"))
        self.assertIn("now two before one (q ends it, x explodes, l shows the log)", drawn)
        self.assertNotIn(ALTERNATE, drawn)
        self.shown.close()

    def test_close(self) -> None:
        """The last state is left on the screen of the shell, below what was told; the cursor is seen."""
        self.begin()
        self.shown.tell("Traceback [of] something")
        after = self.written(self.shown.close)
        self.assertIn(SHOWN_CURSOR, after)
        self.assertTrue(after.partition(BACK)[2].endswith("Traceback [of] something\nlast one\n"), after)
        self.assertTrue(self.terminal.ended)

    def test_background(self) -> None:
        """Nothing is drawn on a terminal that somebody else has, and all of it when it is back."""
        self.begin()
        self.terminal.is_ours = False
        self.assertIn(BACK, self.written(lambda: self.shown.show("two")))
        self.assertEqual(self.written(lambda: self.shown.show("three")), "")
        self.terminal.is_ours = True
        back = self.written(lambda: self.shown.show("four"))
        self.assertIn(ALTERNATE, back)
        self.assertIn("now four before three", back)
        self.shown.close()

    def test_pause(self) -> None:
        """The longer a picture takes, the longer is the pause after it; the last state is told anyhow."""
        self.begin()
        picture = WordPicture()
        drawn = picture.drawn

        def slowly(*words: Any) -> RenderableType:
            self.now += 0.1
            return drawn(*words)

        self.patch(picture, "drawn", slowly)
        self.patch(self.shown, "_picture", picture)
        self.assertIn("now two", self.written(lambda: self.shown.show("two")))
        self.now += 0.1 * SHARE - 0.01
        self.assertEqual(self.written(lambda: self.shown.show("three")), "")
        self.now += 0.02
        self.assertIn("now four before two", self.written(lambda: self.shown.show("four")))
        self.shown.show("five")
        self.assertIn("last five", self.written(self.shown.close))

    def test_refresh(self) -> None:
        """What has not changed is not drawn again, unless it may not be right any more."""
        self.begin()
        self.shown.show("two")
        self.shown.show("two")
        self.assertEqual(self.written(lambda: self.shown.show("two")), "")
        self.assertIn("now two before two", self.written(self.shown.refresh))
        self.shown.close()

    def test_log(self) -> None:
        """The log has as many lines as there is room for, the last ones; the same key goes back."""
        self.begin()
        for number in range(MOST_LOG_LINES + 10):
            self.shown.tell_log(f"line {number}.", LogLevel.info)
        self.shown.tell("Traceback\nof a defect")
        text = self.written(lambda: self.shown.key("l"))
        self.assertIn("of a defect", text)
        self.assertIn(f"line {MOST_LOG_LINES + 9}.", text)
        self.assertEqual(text.count("line "), 6)
        self.assertIn("now one", self.written(lambda: self.shown.key("l")))
        self.shown.close()

    def test_long_line(self) -> None:
        """A line of the log that fills the window is shown as far as it goes."""
        self.begin()
        self.shown.tell_log(2000 * "x", LogLevel.warn)
        self.assertIn("xxx", self.written(lambda: self.shown.key("l")))
        self.shown.close()

    def test_keys(self) -> None:
        """Other keys are for whoever follows."""
        self.begin()
        self.shown.key("r")
        self.assertEqual(self.keys, ["r"])
        self.terminal.has_keys = False
        self.assertIn("(Ctrl-C ends it)", self.written(lambda: self.shown.show("two")))
        self.shown.close()

    def test_defect(self) -> None:
        """A picture that cannot be drawn says so, and the next one is drawn."""
        self.begin()
        self.assertIn("ZeroDivisionError", self.written(lambda: self.shown.show("defect")))
        self.assertIn("now two", self.written(lambda: self.shown.show("two")))
        self.shown.close()

    def test_stopped_terminal(self) -> None:
        """Nothing is drawn while the terminal takes nothing."""
        self.shown.begin(self.keys.append)
        self.patch(live, "takes_output", lambda stream: False)
        self.assertEqual(self.written(lambda: self.shown.show("one")), "")
        self.shown.close()

    def test_lost_terminal(self) -> None:
        """A terminal that is gone ends nothing."""
        self.begin()

        def gone(text: str) -> int:
            raise OSError("the terminal is gone")

        self.patch(self.stream, "write", gone)
        self.shown.show("two")
        self.shown.close()
        self.assertTrue(self.terminal.ended)

"""Tests for :mod:`relaykit.commands.status.live`; a real terminal is in ``tests/integration``."""

from __future__ import annotations

import os
from io import StringIO
from typing import Any

from attrs import evolve
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status import live
from relaykit.commands.status.live import LiveRenderer, bytes_text, qr_rows
from relaykit.commands.status.view import ConnectionState, Snapshot
from relaykit.dataplane.plane import FlowCounts
from tests.commands.status.snapshots import CONNECTED, CONNECTING, OPEN, problem, with_entrances

WEB = evolve(OPEN, name="web", url="http://relay.example:6000/")


class ScreenTests(SynchronousTestCase):
    """Tests for what is drawn."""

    def screen(self, height: int = 50, encoding: str = "utf-8") -> LiveRenderer:
        """A screen of 100 columns."""
        self.stream = StringIO()
        console = Console(file=self.stream, force_terminal=True, width=100, height=height, color_system=None)
        self.patch(Console, "encoding", encoding)
        return LiveRenderer("relaykit tcp", self.stream, console)

    def lines(self, picture: Snapshot, shown: LiveRenderer | None = None, **terminal: Any) -> list[str]:
        """The lines that a picture is drawn in, borders left out."""
        shown = shown or self.screen(**terminal)
        capturing = Console(width=100, color_system=None, file=StringIO(), legacy_windows=False)
        with capturing.capture() as drawn:
            capturing.print(shown.drawn(picture))
        return [line.strip(" │|") for line in drawn.get().splitlines()]

    def text(self, picture: Snapshot, **terminal: Any) -> str:
        """All that is drawn."""
        return "\n".join(self.lines(picture, **terminal))

    def test_frame(self) -> None:
        """The command is above, and how to end it below."""
        lines = self.lines(CONNECTING)
        self.assertIn("relaykit tcp", lines[0])
        self.assertIn("Ctrl-C ends it", lines[-1])

    def test_standing(self) -> None:
        """The state of the connection is the first line, with its duration and the round trip."""
        self.assertIn("connecting to relay.example:7000", self.lines(CONNECTING)[1])
        connected = self.lines(evolve(CONNECTED, round_trip_s=0.0123))[1]
        self.assertIn("connected to relay.example:7000  for 1:02:03, round trip 12.3 ms", connected)
        waiting = evolve(CONNECTING, standing=ConnectionState.WAITING, seconds=7.4)
        self.assertIn("not connected to relay.example:7000, next attempt in 7 s", self.lines(waiting)[1])

    def test_entrances(self) -> None:
        """Each entry_point has its line, and tells when it is not open."""
        closed = evolve(OPEN, name="web", open=False, address="")
        lines = self.lines(with_entrances(OPEN, closed))
        self.assertEqual(lines[2].split(), ["ssh", "relay.example:6000", "→", "127.0.0.1:22"])
        self.assertEqual(lines[3].split(), ["web", "not", "open", "→", "127.0.0.1:22"])

    def test_traffic(self) -> None:
        """Users and bytes are counted; rates are those since the picture before."""
        shown = self.screen()
        before = evolve(CONNECTED, flows=FlowCounts(present=1, total=3, near_to_far=1000, far_to_near=0))
        shown.show(before)
        after = FlowCounts(present=2, total=4, near_to_far=3000, far_to_near=10_000_000)
        lines = self.lines(evolve(before, at=12.0, flows=after), shown)
        self.assertIn("2 users now, 4 so far   ↓ 3.0 kB (1.0 kB/s)   ↑ 10.0 MB (5.0 MB/s)", lines)
        shown.close()

    def test_problem(self) -> None:
        """The last problem is there with its age, and with what to do."""
        text = self.text(evolve(CONNECTED, problem=problem("[ssh] start error: port already used")))
        self.assertIn("0:00:01 ago: [ssh] start error: port already used", text)
        self.assertIn("Ask for another remotePort", text)
        self.assertIn("0:00:01 ago: odd", self.text(evolve(CONNECTED, problem=problem("odd"))))

    def test_markup(self) -> None:
        """What stands in brackets is a name, not a style."""
        self.assertIn("[bold]", self.text(evolve(CONNECTED, problem=problem("[bold] is odd"))))
        self.assertIn("[red]", self.text(with_entrances(evolve(OPEN, name="[red]"))))

    def test_code(self) -> None:
        """What another device can open has a QR code, where it is open and there is room."""
        code = qr_rows(WEB.url)[5].strip()
        self.assertIn(code, self.text(with_entrances(WEB)))
        code = code[:9]
        for picture, terminal in (
            (with_entrances(OPEN), {}),
            (with_entrances(evolve(WEB, open=False)), {}),
            (with_entrances(evolve(WEB, url="http://127.0.0.1:6000/")), {}),
            (with_entrances(WEB), {"height": 24}),
            (with_entrances(WEB), {"encoding": "ascii"}),
        ):
            self.assertNotIn(code, self.text(picture, **terminal))

    def test_plain_letters(self) -> None:
        """A terminal that knows no Unicode gets none."""
        text = self.text(with_entrances(WEB), encoding="ascii")
        body = [line for line in text.splitlines()[1:-1]]
        self.assertTrue(all(line.isascii() for line in body), body)

    def test_told(self) -> None:
        """A text is printed above; closing leaves what is there."""
        shown = self.screen()
        shown.show(CONNECTED)
        shown.tell("Traceback [of] something")
        shown.close()
        self.assertIn("Traceback [of] something", self.stream.getvalue())
        self.assertTrue(self.stream.getvalue().endswith("\x1b[?25h"))

    def test_stopped_terminal(self) -> None:
        """Nothing is drawn while the terminal takes nothing."""
        shown = self.screen()
        self.patch(live, "_takes_output", lambda stream: False)
        shown.show(CONNECTED)
        self.assertEqual(self.stream.getvalue(), "")

    def test_full_pipe(self) -> None:
        """A terminal is asked whether it takes more; what has no descriptor does."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        with open(write_end, "wb", buffering=0) as stream:
            os.set_blocking(write_end, False)
            self.assertTrue(live._takes_output(stream))  # type: ignore[arg-type]  # only fileno() counts
            while stream.write(bytes(65536)):
                pass
            self.assertFalse(live._takes_output(stream))  # type: ignore[arg-type]  # likewise
        self.assertTrue(live._takes_output(StringIO()))


class BytesTests(SynchronousTestCase):
    """Tests for :func:`bytes_text`."""

    def test_units(self) -> None:
        """Three digits or so, and a unit."""
        for count, text in {
            0: "0 B",
            999: "999 B",
            1000: "1.0 kB",
            123_456: "123 kB",
            5_300_000: "5.3 MB",
            2.5e18: "2500.0 PB",
        }.items():
            self.assertEqual(bytes_text(count), text)


class CodeTests(SynchronousTestCase):
    """Tests for :func:`qr_rows`."""

    def test_modules(self) -> None:
        """Two rows of modules are one line, with a margin; the finder patterns are in their corners."""
        rows = qr_rows("http://relay.example:6000/")
        self.assertEqual(len({len(row) for row in rows}), 1)
        self.assertEqual(rows[0].strip(), "")
        for row, pattern in zip(rows[1:5], ("█▀▀▀▀▀█", "█ ███ █", "█ ▀▀▀ █", "▀▀▀▀▀▀▀"), strict=True):
            self.assertTrue(row.startswith(f"  {pattern} "), row)
            if pattern != "▀▀▀▀▀▀▀":
                self.assertTrue(row.endswith(f" {pattern}  "), row)

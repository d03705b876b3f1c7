"""Tests for :mod:`relaykit.commands.panel`; a real terminal is in ``tests/integration``."""

from __future__ import annotations

import gc
import os
import pty
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from relaykit.commands import panel
from relaykit.commands.context import CommandContext
from relaykit.commands.main import run
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.dataplane.listening import PortInUse
from relaykit.reloading import Reloading
from relaykit.sansio.control.server_life import ServerState
from relaykit.server.status import ServerStatus
from tests.commands.fakes import FakeRole, RunningReactor
from tests.commands.serving import ServingTestCase
from tests.commands.terminal import Printed, draw_as_xterm

ALTERNATE = "\x1b[?1049h"
READY = ServerStatus(state=ServerState.READY, since=0.0, port=7000)


class Screen(StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class PanelTests(ServingTestCase):
    """Tests for servers at a terminal."""

    def setUp(self) -> None:
        """Has a keyboard, and a server that is ready."""
        super().setUp()
        draw_as_xterm(self)
        keys, number = pty.openpty()
        self.addCleanup(os.close, keys)
        self.keyboard: Any = self.enterContext(open(number))
        self.role = FakeRole()
        self.ready(self.role)

    def ready(self, role: Any) -> None:
        """Has a role that says that it is ready."""
        role.now = READY

    def at_terminal(self, *words: str, during: Callable[[], None] | None = None, **terminal: Any) -> Printed:
        """Runs a command at a terminal; by default a SIGTERM ends it."""

        def terminate() -> None:
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        screen, errors = Screen(), StringIO()
        context = CommandContext(
            screen,
            errors,
            {"HOME": self.mktemp(), "TERM": "xterm"},
            lambda: RunningReactor(during or terminate),
            **{"stdin": self.keyboard, **terminal},
        )
        return Printed(run(words, context), screen.getvalue(), errors.getvalue())

    def test_file(self) -> None:
        """A server of a file has a panel; its end is left on the screen of the shell."""
        printed = self.at_terminal("server", "-c", self.file('auth.token = "a strong one, really"\n'))
        self.assertEqual((printed.status, self.role.done), (0, ["privileged", "started", "stopped"]))
        self.assertIn(ALTERNATE, printed.stdout)
        self.assertIn("ready: clients dial port 7000", printed.stdout)
        self.assertIn("ended: 0 users", printed.stdout)

    def test_users_on_console(self) -> None:
        """Where users are logged to the console there are lines, and no panel below them."""
        file = self.file('auth.token = "a strong one, really"\nlog.access = "console"\n')
        printed = self.at_terminal("server", "-c", file)
        self.assertEqual((printed.status, self.role.done), (0, ["privileged", "started", "stopped"]))
        self.assertNotIn(ALTERNATE, printed.stdout)

    def test_quick(self) -> None:
        """What the first client needs stays visible, in lines that can be copied, and goes at the end."""

        def look() -> None:
            self.handlers[signal.SIGWINCH](signal.SIGWINCH, None)
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        printed = self.at_terminal("server", "--quick", "--host", "relay.example", during=look)
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertRegex(printed.stdout, r"RELAYKIT_TOKEN=[0-9a-f]{40} relaykit tcp 22 \\ *\x1b")
        self.assertRegex(printed.stdout, f"--fingerprint {32 * 'ab'} *\x1b")
        self.assertNotIn("RELAYKIT_TOKEN", printed.stdout.rpartition("\x1b[?1049l")[2])

    def test_lines(self) -> None:
        """Lines are for whoever asks for them, and where nobody can press a key."""
        path = self.file('auth.token = "a strong one, really"\n')
        for words, terminal in ((("--plain",), {}), ((), {"stdin": None})):
            self.role = FakeRole()
            self.ready(self.role)
            printed = self.at_terminal("server", "-c", path, *words, **terminal)
            self.assertEqual(printed.status, 0)
            self.assertNotIn(ALTERNATE, printed.stdout)

    def test_log(self) -> None:
        """A log in a file is written all the same."""
        log = Path(self.mktemp()).absolute()

        def say() -> None:
            Logger("relaykit.server.service").warn("something is odd")
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        path = self.file(f'auth.token = "a strong one, really"\nlog.to = "{log}"\n')
        printed = self.at_terminal("server", "-c", path, during=say)
        self.assertIn("something is odd", log.read_text())
        self.assertIn("something is odd", printed.stdout)

    def test_reload_refused(self) -> None:
        """A file that cannot be used when it is read again is told in the log, and is no defect."""
        asked: list[bool | None] = []

        class Refusing(Reloading):
            def reload(self, strict: bool | None = None) -> Deferred[Any]:
                asked.append(strict)
                return fail(ConfigurationProblems([ConfigurationProblem(what="is bad")]))

        def hang_up() -> None:
            self.handlers[signal.SIGHUP](signal.SIGHUP, None)
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        self.patch(panel, "Reloading", Refusing)
        path = self.file('auth.token = "a strong one, really"\n')
        self.assertEqual(self.at_terminal("server", "-c", path, during=hang_up).status, 0)
        gc.collect()
        self.assertEqual((asked, self.flushLoggedErrors()), ([None], []))

    def test_warnings(self) -> None:
        """What is wrong with the file is a problem that the panel shows, too."""
        printed = self.at_terminal("server", "-c", self.file('auth.token = ""\n'))
        self.assertIn("auth.token: is empty", printed.stderr)
        self.assertIn("auth.token: is empty", printed.stdout)

    def test_crash(self) -> None:
        """A defect that ends the reactor leaves the terminal as it was."""
        screen = Screen()

        def crash() -> None:
            raise ZeroDivisionError("a defect of the reactor")

        path = self.file('auth.token = "a strong one, really"\n')
        context = CommandContext(
            screen, StringIO(), {"HOME": self.mktemp()}, lambda: RunningReactor(crash), stdin=self.keyboard
        )
        with self.assertRaises(ZeroDivisionError):
            run(["server", "-c", path], context)
        self.assertIn("\x1b[?1049l", screen.getvalue())

    def test_fails(self) -> None:
        """A server that cannot start says why, and what to do."""
        self.role = FakeRole(PortInUse("cannot listen on 0.0.0.0:7000: another program listens there"))
        role: Any = self.role
        role.now = ServerStatus(state=ServerState.STOPPED)
        path = self.file('auth.token = "a strong one, really"\n')
        printed = self.at_terminal("server", "-c", path, during=lambda: None)
        self.assertEqual(printed.status, 1)
        self.assertIn("another program listens there\n  The port could not be opened", printed.stderr)
        self.assertIn("not running", printed.stdout)

"""Tests for ``relaykit frps``; what the recorded command lines do not show."""

from __future__ import annotations

import signal
from typing import Any

from relaykit.assembly import ServerAssembly
from relaykit.errors import ConnectionFailed
from relaykit.values import Secret
from tests.commands.fakes import FakeRole
from tests.commands.serving import ServingTestCase


class FrpsTests(ServingTestCase):
    """Tests for the server."""

    def setUp(self) -> None:
        """Keeps what servers are made of."""
        super().setUp()
        self.made: list[ServerAssembly] = []

        def make(assembly: ServerAssembly, reactor: Any, steering: Any = None) -> FakeRole:
            self.made.append(assembly)
            return self.role

        self.patch(ServerAssembly, "make", make)

    def test_file(self) -> None:
        """With a file, the log begins with its path, and a signal ends the program as such."""
        path = self.file('auth.token = "s"\n')
        printed = self.serve("frps", "-c", path)
        self.assertEqual((printed.status, printed.stderr), (-signal.SIGTERM, ""))
        self.assertEqual(
            self.events,
            [
                f"frps uses config file: {path}",
                "frps tcp listen on 0.0.0.0:7000",
                "frps started successfully",
            ],
        )
        self.assertIn("\x1b[1;34m", printed.stdout)
        self.assertEqual(self.role.done, ["privileged", "started", "stopped"])

    def test_flags(self) -> None:
        """Without a file, the flags are the configuration."""
        printed = self.serve("frps", "-p", "7009", "-t", "s3cret", "--disable_log_color", XDG_STATE_HOME="/x")
        self.assertEqual(self.events[0], "frps uses command line arguments for config")
        (warning,) = (each for each in self.events if each.startswith("--"))
        self.assertIn("--token: whoever is on this machine can read it in the list of processes", warning)
        self.assertNotIn("s3cret", printed.stdout)
        self.assertNotIn("\x1b", printed.stdout)
        self.assertEqual((self.made[0].loaded.config.bind_port, self.made[0].token), (7009, Secret("s3cret")))
        assert self.made[0].state is not None
        self.assertEqual(str(self.made[0].state.path), "/x/relaykit")

    def test_file_beats_flags(self) -> None:
        """With a file, flags that set something do not count."""
        self.serve("frps", "-p", "7009", "-c", self.file('auth.token = "s"\n'))
        self.assertEqual(self.made[0].loaded.config.bind_port, 7000)

    def test_cannot_start(self) -> None:
        """A failure to start is told on standard output, after the log."""
        self.role = FakeRole(ConnectionFailed("the port is taken"))
        printed = self.serve("frps", "-t", "s", "--disable_log_color", during=lambda: None)
        self.assertEqual((printed.status, printed.stderr), (1, ""))
        self.assertEqual(printed.stdout.splitlines()[-1], "the port is taken")

    def test_no_token_at_all(self) -> None:
        """Without a token the server does not start, unless its file says that there is to be none."""
        printed = self.serve("frps", "-p", "7009", during=lambda: None)
        self.assertEqual((printed.status, self.made), (1, []))
        self.assertEqual(
            printed.stdout,
            "--token (auth.token): must be given; relaykit token makes one, and who wants none says so in a "
            'file (-c FILE): auth.token = ""\n',
        )
        self.assertEqual(self.serve("frps", "-t", "", "-p", "7009", during=lambda: None).status, 1)
        self.serve("frps", "-c", self.file('auth.token = ""\n'))
        self.assertEqual(self.made[0].token, Secret(""))

    def test_no_token(self) -> None:
        """A token that cannot be had is told after the first line of the log."""
        path = self.file(
            'log.disablePrintColor = true\nauth.tokenSource = {type = "file", file = {path = "nosuch"}}\n'
        )
        printed = self.serve("frps", "-c", path)
        first, second = printed.stdout.splitlines()
        self.assertTrue(first.endswith(f"] frps uses config file: {path}"))
        self.assertIn("auth.tokenSource", second)
        self.assertEqual((printed.status, self.role.done), (1, []))

    def test_signals(self) -> None:
        """The program ends by the signal that it got."""
        for number in (signal.SIGINT, signal.SIGTERM):
            printed = self.serve("frps", "-t", "s", during=lambda: self.handlers[number](number, None))  # noqa: B023
            self.assertEqual(printed.status, -number)

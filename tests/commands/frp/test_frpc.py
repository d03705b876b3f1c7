"""Tests for ``relaykit frpc``; what the recorded command lines do not show."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from relaykit.assembly import ClientAssembly
from relaykit.errors import ConnectionFailed, LoginRefusedError, RefusalCode, VirtualNetworkError
from tests.commands.fakes import FakeRole
from tests.commands.serving import ServingTestCase

LAST_WORDS = "With loginFailExit enabled, no additional retries will be attempted"


class FrpcTests(ServingTestCase):
    """Tests for the client."""

    def setUp(self) -> None:
        """Keeps what clients are made of."""
        super().setUp()
        self.made: list[ClientAssembly] = []

        def make(assembly: ClientAssembly, reactor: Any, steering: Any = None) -> FakeRole:
            self.made.append(assembly)
            return self.role

        self.patch(ClientAssembly, "make", make)

    def test_file(self) -> None:
        """The log begins and ends with the path of the file; a signal ends the program as such."""
        path = self.file('auth.token = "s"\n')
        printed = self.serve("frpc", "-c", path)
        self.assertEqual((printed.status, printed.stderr), (-signal.SIGTERM, ""))
        self.assertEqual(
            self.events,
            [
                f"start frpc service for config file [{path}] with aggregated configuration",
                f"frpc service for config file [{path}] stopped",
            ],
        )
        self.assertEqual(self.role.done, ["privileged", "started", "stopped"])

    def test_first_login(self) -> None:
        """A first login that fails ends the program, unless the file says otherwise."""
        for text, exits in (("", True), ("loginFailExit = true", True), ("loginFailExit = false", False)):
            self.serve("frpc", "-c", self.file(f'auth.token = "s"\n{text}\n'))
            self.assertIs(self.made[-1].loaded.config.login_fail_exit, exits)

    def test_login_refused(self) -> None:
        """The reason comes last, as it is, after the log said that the service stopped."""
        self.role = FakeRole(LoginRefusedError(RefusalCode.BAD_CREDENTIALS, "token mismatch"))
        path = self.file('auth.token = "s"\n')
        printed = self.serve("frpc", "-c", path, during=lambda: None)
        self.assertEqual(printed.status, 1)
        self.assertTrue(
            printed.stdout.endswith(
                f"frpc service for config file [{path}] stopped\n\x1b[0m"
                f"login to the server failed: token mismatch. {LAST_WORDS}\n"
            )
        )

    def test_no_device(self) -> None:
        """A device that cannot be made is not told as a failed login, which was not tried."""
        self.role = FakeRole(VirtualNetworkError("there is no device"))
        printed = self.serve("frpc", "-c", self.file('auth.token = "s"\n'), during=lambda: None)
        self.assertEqual((printed.status, printed.stdout.splitlines()[-1]), (1, "\x1b[0mthere is no device"))

    def test_defect(self) -> None:
        """A defect is not told as a failed login."""
        self.role = FakeRole(ValueError("oops"))
        printed = self.serve("frpc", "-c", self.file('auth.token = "s"\n'), during=lambda: None)
        self.assertEqual((printed.status, printed.stdout.splitlines()[-1]), (1, "\x1b[0moops"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_no_token(self) -> None:
        """A token that cannot be had is told after the service stopped."""
        path = self.file('auth.tokenSource = {type = "file", file = {path = "nosuch"}}\n')
        printed = self.serve("frpc", "-c", path)
        self.assertIn("auth.tokenSource", printed.stdout.splitlines()[-1])
        self.assertEqual((printed.status, self.made, len(self.events)), (1, [], 2))

    def test_proxy(self) -> None:
        """One proxy needs no file, and tells nothing of one."""
        self.serve("frpc", "tcp", "-n", "a", "-l", "22", "-r", "6000", "-s", "h", "-c", "nosuch.toml")
        loaded = self.made[0].loaded
        self.assertEqual((loaded.config.server_addr, loaded.config.login_fail_exit), ("h", True))
        self.assertEqual([proxy.common.name for proxy in loaded.proxies], ["a"])
        self.assertEqual(self.events, [])

    def test_visitor(self) -> None:
        """One visitor likewise."""
        self.serve(
            "frpc", "stcp", "visitor", "-n", "v", "--server_name", "a", "--bind_port", "9", "--sk", "k"
        )
        loaded = self.made[0].loaded
        self.assertEqual([visitor.common.server_name for visitor in loaded.visitors], ["a"])
        self.assertEqual([visitor.type_name for visitor in loaded.visitors], ["stcp"])


class FolderTests(ServingTestCase):
    """Tests for a folder of files, each with a client of its own."""

    def setUp(self) -> None:
        """Makes a folder of three files, one of them no configuration."""
        super().setUp()
        self.folder = Path(self.mktemp())
        (self.folder / "b").mkdir(parents=True)
        (self.folder / "a.toml").write_text('auth.token = "s"\nserverAddr = "a"\n')
        (self.folder / "b" / ".c.toml").write_text('auth.token = "s"\nserverAddr = "c"\n')
        (self.folder / "readme").write_text("Hello, this is no configuration: {")
        os.mkfifo(self.folder / "fifo")
        self.roles: dict[str, FakeRole] = {}

        def make(assembly: ClientAssembly, reactor: Any, steering: Any = None) -> FakeRole:
            return self.roles.setdefault(assembly.loaded.config.server_addr, FakeRole())

        self.patch(ClientAssembly, "make", make)

    def path(self, *names: str) -> str:
        """A file of the folder, as it is told."""
        return str(self.folder.joinpath(*names))

    def test_every_file(self) -> None:
        """Each file that is a configuration runs; what is none is told, and harms nobody."""
        printed = self.serve("frpc", "--config_dir", str(self.folder))
        self.assertEqual(printed.status, -signal.SIGTERM)
        self.assertEqual(set(self.roles), {"a", "c"})
        for role in self.roles.values():
            self.assertEqual(role.done, ["privileged", "started", "stopped"])
        self.assertIn(f"frpc service error for config file [{self.path('readme')}]\n", printed.stdout)

    def test_one_fails(self) -> None:
        """A client whose first login fails ends alone."""
        self.roles["a"] = FakeRole(ConnectionFailed("nobody there"))

        def during() -> None:
            self.assertEqual(self.roles["a"].done[-1], "stopped")
            self.assertEqual(self.roles["c"].done[-1], "started")
            self.handlers[signal.SIGINT](signal.SIGINT, None)

        printed = self.serve("frpc", "--config_dir", str(self.folder), during=during)
        self.assertEqual(printed.status, -signal.SIGINT)
        self.assertIn(f"frpc service error for config file [{self.path('a.toml')}]\n", printed.stdout)
        self.assertEqual(self.roles["c"].done[-1], "stopped")

    def test_no_device(self) -> None:
        """One that has no device does not start, and keeps no other one from that."""
        self.roles["a"] = FakeRole(refuses=VirtualNetworkError("there is no device"))
        printed = self.serve("frpc", "--config_dir", str(self.folder))
        self.assertEqual(self.roles["c"].done, ["privileged", "started", "stopped"])
        said = f"there is no device\nfrpc service error for config file [{self.path('a.toml')}]\n"
        self.assertIn(said, printed.stdout)

    def test_all_fail(self) -> None:
        """When all have ended the program is done: its status is that of success."""
        for name in ("a", "c"):
            self.roles[name] = FakeRole(ConnectionFailed("nobody there"))
        printed = self.serve("frpc", "--config_dir", str(self.folder), during=lambda: None)
        self.assertEqual(printed.status, 0)
        self.assertEqual(printed.stdout.count("frpc service error for config file"), 3)

    def test_stopped_before(self) -> None:
        """A client that is stopped before its first login has not failed."""
        self.roles["a"] = FakeRole(decided=False)

        def during() -> None:
            self.handlers[signal.SIGINT](signal.SIGINT, None)
            self.roles["a"].fail(ConnectionFailed("stopped before"))

        printed = self.serve("frpc", "--config_dir", str(self.folder), during=during)
        self.assertEqual(printed.status, -signal.SIGINT)
        self.assertNotIn(f"frpc service error for config file [{self.path('a.toml')}]", printed.stdout)
        self.assertEqual(self.roles["a"].done, ["privileged", "started", "stopped"])

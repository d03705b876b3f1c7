"""Tests of ``relaykit nat``: what it asks for, and its exit status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands import nat
from relaykit.commands.context import CommandContext
from relaykit.commands.main import run
from relaykit.commands.runner import ExitReason
from relaykit.commands.tunnels.logins import Login, RememberedLogins, ServerName
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.state import StateDirectory
from relaykit.values import PathProtocol, Secret

OF_RELAY = {"RELAYKIT_SERVER": "relay.example"}


class Life:
    """Runs what begins, without a reactor."""

    def __init__(self, reactor: Any, begin: Callable[[], Deferred[Any]], stop: Any) -> None:
        self._begin = begin

    def run(self) -> ExitReason:
        failed: list[BaseException] = []

        def note(failure: Failure) -> None:
            assert failure.value is not None
            failed.append(failure.value)

        self._begin().addErrback(note)
        return ExitReason(failure=failed[0] if failed else None)


class Output(StringIO):
    """Standard output, which may be a terminal."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal


class NatCommandTests(SynchronousTestCase):
    """From the command line to the examination."""

    def run_command(
        self,
        *words: str,
        found: Any = 0,
        environ: Mapping[str, str] = OF_RELAY,
        terminal: bool = False,
    ) -> tuple[int, str, list[Any]]:
        """Runs the command over an examination of the test's own."""
        asked: list[Any] = []

        async def examine(
            reactor: Any,
            network: Any,
            say: Any,
            servers: Any,
            direct: Any,
            lifetime: bool,
            as_json: bool,
            live: bool,
        ) -> int:
            asked.extend([tuple(servers), lifetime, as_json])
            self.live = live
            if isinstance(found, Exception):
                raise found
            say("what was found")
            return int(found)

        stdout, stderr = Output(), StringIO()
        stdout.is_terminal = terminal
        context = CommandContext(stdout, stderr, environ, lambda: None)
        with mock.patch.object(nat, "examine", examine), mock.patch.object(nat, "ProcessRunner", Life):
            status = run(["nat", *words], context)
        return status, stdout.getvalue() + stderr.getvalue(), asked

    def test_found(self) -> None:
        """What was found is printed; the status says whether anything answered."""
        self.assertEqual(self.run_command(), (0, "what was found\n", [("relay.example",), False, False]))
        self.assertEqual(self.run_command(found=1)[0], 1)

    def test_flags(self) -> None:
        """Servers, the lifetime and JSON are asked for by flags."""
        asked = self.run_command("--server", "a,b:9", "--lifetime", "--json")[2]
        self.assertEqual(asked, [("a", "b:9"), True, True])

    def test_terminal(self) -> None:
        """Who looks at a terminal is told what comes out meanwhile."""
        for terminal in (False, True):
            self.run_command(terminal=terminal)
            self.assertIs(self.live, terminal)

    def test_empty_server(self) -> None:
        """An empty name, as of a variable that is not set, asks nobody else in its place."""
        for empty in ("", ",", "one,"):
            status, printed, asked = self.run_command("--server", empty)
            self.assertEqual((status, asked), (2, []), printed)
            self.assertIn("names nothing", printed)

    def test_direct_types(self) -> None:
        """Installed types say whether they take direct paths; one that cannot be used takes none."""
        types = ProxyTypes.from_references(
            [
                ProxyTypeReference("direct", "tests.nat.direct"),
                ProxyTypeReference("tcp", "relaykit.proxies.tcp"),
                ProxyTypeReference("broken", "tests.nowhere"),
            ]
        )
        self.assertEqual(nat.direct_types(types), {"direct": frozenset(PathProtocol)})

    def test_remembered_server(self) -> None:
        """Without a name, the server is asked that one-line commands use."""
        folder = self.mktemp()
        login = Login(server=ServerName("relay.example", 7001), token=Secret("t"))
        RememberedLogins(StateDirectory(Path(folder))).remember(login)
        asked = self.run_command("--state-dir", folder, environ={})[2]
        self.assertEqual(asked[0], ("relay.example:7001",))

    def test_nobody_unasked(self) -> None:
        """Where no server is known nobody is asked, and it is said how to name one."""
        status, printed, asked = self.run_command("--state-dir", self.mktemp(), environ={})
        self.assertEqual((status, asked), (1, []))
        self.assertIn("--server HOST, or RELAYKIT_SERVER", printed)

    def test_wrong_server(self) -> None:
        """A server that is not written as one is told of, with status 1."""
        status, printed, _ = self.run_command(found=ValueError("not a server: x:y:z"))
        self.assertEqual((status, printed), (1, "not a server: x:y:z\n"))

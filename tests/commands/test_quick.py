"""Tests for ``relaykit server --quick``."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.assembly import ServerAssembly
from relaykit.commands.quick import TOKEN_FILE, guessed_host, kept_token
from relaykit.dataplane.listening import PortInUse
from relaykit.proxies.http.options import HttpKeys
from relaykit.proxies.https import HttpsKeys
from relaykit.state import StateDirectory, StateUnavailable
from tests.commands.fakes import FakeRole
from tests.commands.serving import ServingTestCase
from tests.commands.terminal import run_printed


class RunTests(ServingTestCase):
    """Tests for the server that it runs."""

    on_terminal = True

    def setUp(self) -> None:
        """Takes the place of the server, and notes what it is made of."""
        super().setUp()
        self.made: list[ServerAssembly] = []
        self.folder = str(Path(self.mktemp()).absolute())
        case = self

        def make(assembly: ServerAssembly, reactor: Any, steering: Any = None) -> FakeRole:
            case.made.append(assembly)
            return case.role

        self.patch(ServerAssembly, "make", make)

    def test_invitation(self) -> None:
        """The one line for the other machine has everything in it: server, token, fingerprint."""
        words = ("server", "--quick", "--host", "relay.example", "--port", "7009")
        self.role.port = 7009
        printed = self.serve(*words, "--state-dir", self.folder)
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        (assembly,) = self.made
        token = assembly.token.reveal()
        self.assertIn(
            f"    RELAYKIT_TOKEN={token} relaykit tcp 22 --server relay.example:7009 "
            f"--fingerprint {self.role.fingerprint} --remote-port 6000\n",
            printed.stdout,
        )
        self.assertEqual(assembly.loaded.config.bind_port, 7009)
        self.assertTrue(assembly.loaded.config.transport.tls.force)
        self.assertNotIn("--host NAME", printed.stdout)

    def test_sites(self) -> None:
        """With a port of sites there is a line that publishes one, by a subdomain where there are any."""
        words = ("server", "--quick", "--host", "r.example", "--state-dir", self.folder)
        self.assertNotIn("relaykit http", self.serve(*words, "--https-port", "8443").stdout)
        for more, name in (((), "--domain NAME"), (("--subdomain-host", "r.example"), "--subdomain NAME")):
            printed = self.serve(*words, "--http-port", "8080", *more)
            self.assertEqual(printed.stderr, "")
            self.assertRegex(
                printed.stdout,
                f"    RELAYKIT_TOKEN=[0-9a-f]{{40}} relaykit http 8080 --server r.example:7000 "
                f"--fingerprint {self.role.fingerprint} {name}\n",
            )
        secure, _, both = (each.loaded.ingress_options for each in self.made)
        self.assertEqual(secure["https"], HttpsKeys(vhost_https_port=8443))
        self.assertEqual(both["http"], HttpKeys(vhost_http_port=8080, sub_domain_host="r.example"))

    def test_no_sites(self) -> None:
        """Without a port of sites their types are not even loaded."""
        self.serve("server", "--quick", "--state-dir", self.folder)
        self.assertEqual(self.made[0].loaded.ingress_options, {})

    def test_again(self) -> None:
        """At the next start, the line is the same."""
        words = ("server", "--quick", "--state-dir", self.folder)
        self.assertEqual(self.serve(*words).stdout, self.serve(*words).stdout)

    def test_guessed(self) -> None:
        """A host that was not named is guessed, and that is told."""
        self.assertIn("--host NAME", self.serve("server", "--quick", "--state-dir", self.folder).stdout)

    def test_fails(self) -> None:
        """A server that cannot start says why, and what to do."""
        self.role = FakeRole(PortInUse("cannot listen on 0.0.0.0:7000: another program listens there"))
        printed = self.serve("server", "--quick", "--state-dir", self.folder, during=lambda: None)
        self.assertEqual(printed.status, 1)
        self.assertIn("another program listens there\n  The port could not be opened", printed.stderr)
        self.assertNotIn("RELAYKIT_TOKEN", printed.stdout)

    def test_token_file(self) -> None:
        """A token that is given in a file is the server's; one that cannot be read ends it."""
        path = Path(self.mktemp())
        words = ("server", "--quick", "--state-dir", self.folder, "--token-file", str(path))
        printed = run_printed(list(words))
        self.assertEqual(printed.status, 1)
        self.assertIn(f"cannot read the token file {path}", printed.stderr)
        path.write_text("given\n")
        self.assertIn("RELAYKIT_TOKEN=given ", self.serve(*words).stdout)
        self.assertFalse(Path(self.folder, TOKEN_FILE).exists())

    def test_no_terminal(self) -> None:
        """What goes to a log or a pipe says where the token is, and not what it is."""
        self.on_terminal = False
        words = ("server", "--quick", "--host", "relay.example")
        printed = self.serve(*words, "--state-dir", self.folder).stdout
        kept = Path(self.folder, TOKEN_FILE)
        self.assertIn("    RELAYKIT_TOKEN=TOKEN relaykit tcp 22 --server relay.example:7000 ", printed)
        self.assertIn(f"TOKEN is in {kept}; it is shown on a terminal only.", printed)
        self.assertNotIn(kept.read_text().strip(), printed)
        own = self.file("given\n")
        printed = self.serve(*words, "--state-dir", self.folder, "--token-file", own).stdout
        self.assertIn(f"TOKEN is in {own};", printed)
        self.assertNotIn("given", printed)

    def test_nobody_to_tell(self) -> None:
        """A token that is neither shown nor kept would be nobody's."""
        self.on_terminal = False
        printed = self.serve("server", "--quick")
        self.assertEqual((printed.status, self.made), (1, []))
        self.assertIn("nobody could be told the token", printed.stderr)

    def test_misuse(self) -> None:
        """A file and ``--quick`` exclude each other; ports are ports."""
        self.assertIn("--quick runs without a file", run_printed(["server", "--quick", "-c", "x"]).stderr)
        self.assertIn("--quick runs without a file", run_printed(["server", "--quick", "x"]).stderr)
        self.assertIn("70000 is not in the range", run_printed(["server", "--quick", "-p", "70000"]).stderr)
        for flag in (
            *(["--port", "8000"], ["--host", "relay.example"], ["--http-port", "80"]),
            *(["--https-port", "443"], ["--subdomain-host", "relay.example"]),
        ):
            printed = run_printed(["server", "-c", "x", *flag])
            self.assertEqual(printed.status, 2)
            self.assertIn("go with --quick", printed.stderr)


class TokenTests(SynchronousTestCase):
    """Tests for :func:`kept_token`."""

    def test_kept(self) -> None:
        """A token is made once, strong, for its owner's eyes only."""
        folder = Path(self.mktemp())
        token = kept_token(StateDirectory(folder))
        self.assertEqual(len(token.reveal()), 40)
        self.assertEqual(kept_token(StateDirectory(folder)), token)
        self.assertEqual((folder / TOKEN_FILE).stat().st_mode & 0o777, 0o600)

    def test_own(self) -> None:
        """A token that somebody put there is used."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / TOKEN_FILE).write_text("mine\n")
        self.assertEqual(kept_token(StateDirectory(folder)).reveal(), "mine")

    def test_not_kept(self) -> None:
        """Without a state directory there is a new one each time; one that does not work is told."""
        self.assertNotEqual(kept_token(None), kept_token(None))
        path = Path(self.mktemp())
        path.write_text("no folder")
        with self.assertRaises(StateUnavailable):
            kept_token(StateDirectory(path))


class HostTests(SynchronousTestCase):
    """Tests for :func:`guessed_host`."""

    def test_no_way_out(self) -> None:
        """A machine without a network is called by its name."""

        class Unreachable(socket.socket):
            """Reaches nobody."""

            def connect(self, address: Any) -> None:
                raise OSError("no route")

        self.patch(socket, "socket", Unreachable)
        self.assertEqual(guessed_host(), os.uname().nodename)

    def test_way_out(self) -> None:
        """Otherwise it is the address that packets to the world come from."""

        class Reachable(socket.socket):
            """Has a way out."""

            def connect(self, address: Any) -> None:
                """Sends nothing."""

            def getsockname(self) -> tuple[str, int]:
                return "203.0.113.5", 40000

        self.patch(socket, "socket", Reachable)
        self.assertEqual(guessed_host(), "203.0.113.5")

"""Tests for ``relaykit verify``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.known_problems import with_hint
from tests.commands.terminal import Printed, run_printed

SERVER = 'auth.token = "s"\nbindPort = 7001\n'
CLIENT = (
    'auth.token = "s"\nserverAddr = "h"\n'
    '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 22\nremotePort = 1\n'
)


class VerifyTests(SynchronousTestCase):
    """Tests for files of both roles."""

    def verify(self, text: str, *words: str) -> Printed:
        """Verifies a file with this text."""
        self.path = Path(self.mktemp())
        self.path.write_text(text)
        return run_printed(["verify", "-c", str(self.path), *words])

    def test_good(self) -> None:
        """A good file is told to be so, for the role that it is for."""
        for text, role in ((SERVER, "server"), (CLIENT, "client")):
            for words in ([], ["--role", role]):
                printed = self.verify(text, *words)
                self.assertEqual(printed, Printed(0, f"{self.path} is good for a {role}\n"))

    def test_file(self) -> None:
        """The flag before the file may be left out; two files are one too many, for all commands with one."""
        path = Path(self.mktemp())
        path.write_text(SERVER)
        self.assertEqual(run_printed(["verify", str(path)]).stdout, f"{path} is good for a server\n")
        for command in ("verify", "server", "client"):
            printed = run_printed([command, "-c", "a", "b"])
            self.assertEqual(printed.status, 2)
            self.assertIn("two configuration files are named, a and b", printed.stderr)

    def test_every_problem(self) -> None:
        """Every problem is told at once, on standard error, with its line."""
        printed = self.verify('transport.protocol = "pigeon"\n' + CLIENT + "localPortt = 22\n")
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        first, second = printed.stderr.splitlines()
        self.assertTrue(first.startswith(f"{self.path}:1: transport.protocol: "), first)
        self.assertTrue(second.startswith(f'{self.path}:9: proxies[0].localPortt (proxy "a"): '), second)

    def test_nearest_role(self) -> None:
        """A file with mistakes is checked as what it fits better."""
        self.assertIn("bindPort", self.verify(SERVER + 'bindPort_ = 1\nallowPorts = "x"\n').stderr)
        self.assertNotIn("bindPort", self.verify(CLIENT + "remotePortt = 1\n").stderr)

    def test_role_by_keys(self) -> None:
        """A file with proxies is a client's, however many mistakes are in them, and each is told."""
        printed = self.verify(
            'serverAddr = "127.0.0.1"\n[[proxies]]\nname = "a"\ntype = "tcp"\n'
            'local_ip = "127.0.0.1"\nlocal_port = 22\nremote_port = 6000\n'
        )
        for key in ("localIP", "localPort", "remotePort"):
            self.assertIn(f"did you mean {key}?", printed.stderr)
        self.assertNotIn("key of the client", printed.stderr)

    def test_wrong_token(self) -> None:
        """A token that is a number is an error, and not warned about as an empty one."""
        self.assertNotIn("is empty", self.verify("auth.token = 5\nbindPort = 7000\n").stderr)

    def test_wrong_role(self) -> None:
        """A file that is not for the role that was named is refused."""
        self.assertEqual(self.verify(SERVER, "--role", "client").status, 1)
        printed = self.verify(SERVER, "--role", "clown")
        self.assertEqual((printed.status, printed.stdout), (2, ""))
        self.assertIn("'clown' is not one of 'server', 'client'", printed.stderr)

    def test_warnings(self) -> None:
        """A warning is told, and does not make a file bad."""
        printed = self.verify("bindPort = 7001\n")
        self.assertEqual(printed.status, 0)
        self.assertTrue(printed.stderr.startswith("WARNING: "))

    def test_not_there(self) -> None:
        """A file that is not there, or was not named, is told."""
        self.assertIn("no such file", run_printed(["verify", "-c", "nosuch.toml"]).stderr)
        self.assertEqual(
            run_printed(["verify"]),
            Printed(1, "", with_hint("a configuration file is needed: -c FILE", "no-file-given") + "\n"),
        )

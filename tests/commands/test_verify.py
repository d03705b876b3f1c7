"""Tests for ``relaykit verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import DuplicateProxyType
from relaykit.known_problems.table import with_hint
from relaykit.plugins import ProxyTypes
from tests.certificates.made import DAY, Made, made
from tests.commands.terminal import Printed, run_printed

SERVER = 'auth.token = "s"\nbindPort = 7001\n'
CLIENT = (
    'auth.token = "s"\nserverAddr = "h"\n'
    '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 22\nremotePort = 1\n'
)

SITES = 'auth.token = "s"\nvhostHTTPPort = 8080\nvhostHTTPSPort = 8443\n[[vhostHTTPSCertificates]]\n'

_NOW = datetime.now(UTC)
TODAY: dict[str, Any] = {"begins": _NOW - 30 * DAY, "ends": _NOW + 60 * DAY}
PAST: dict[str, Any] = {"begins": _NOW - 60 * DAY, "ends": _NOW - DAY}
LATER: dict[str, Any] = {"begins": _NOW + DAY, "ends": _NOW + 60 * DAY}


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

    def test_ways(self) -> None:
        """For a client that takes whichever carrier gets there, the ways are listed."""
        printed = self.verify('transport.protocol = "auto"\n' + CLIENT)
        self.assertEqual(printed.status, 0)
        for way in ("tcp at port 7000, then ", "wss at port 443"):
            self.assertIn(way, printed.stdout)
        proxy = 'transport.proxyURL = "http://proxy.example:3128"\n'
        printed = self.verify(proxy + 'transport.protocol = "auto"\n' + CLIENT)
        self.assertIn("through the forward proxy: tcp", printed.stdout)
        self.assertNotIn("quic", printed.stdout)

    def test_store(self) -> None:
        """What is kept beside a client's file is looked at, too."""
        printed = self.verify('store.path = "verified.json"\n' + CLIENT)
        self.assertEqual(printed.status, 0)
        store = self.path.absolute().with_name("verified.json")
        store.write_text('{"proxies": [{"name": "b", "type": "tcp", "localPort": 99999}]}')
        self.addCleanup(store.unlink)
        printed = run_printed(["verify", "-c", str(self.path)])
        self.assertEqual(printed.status, 1)
        self.assertIn(f"{store}: proxies[0].localPort", printed.stderr)

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

    def test_token_elsewhere(self) -> None:
        """A file without a token is good with one from elsewhere, if that is there and not empty."""
        token = Path(self.mktemp())
        text = "bindPort = 7001\n"
        self.assertIn("auth.token: must be given", self.verify(text).stderr)
        self.assertIn("cannot read the token file", self.verify(text, "--token-file", str(token)).stderr)
        token.write_text(" \n")
        self.assertIn("it is empty", self.verify(text, "--token-file", str(token)).stderr)
        token.write_text("s")
        self.assertEqual(self.verify(text, "--token-file", str(token)).status, 0)

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
        printed = self.verify('auth.token = ""\nbindPort = 7001\n')
        self.assertEqual(printed.status, 0)
        self.assertTrue(printed.stderr.startswith("WARNING: "))

    def files(self, site: Made, key: Made | None = None) -> str:
        """The table of TLS with files of this certificate and this key."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "a.crt").write_bytes(site.pem)
        key_file = self.folder / "a.key"
        key_file.write_bytes((key or site).key_pem)
        key_file.chmod(0o600)
        return f'certFile = "{self.folder}/a.crt"\nkeyFile = "{self.folder}/a.key"\n'

    def test_tls_files(self) -> None:
        """The files of TLS are opened and judged as at the start, those of both roles and of types."""
        good = made("a.example", **TODAY)
        server = SERVER + "[transport.tls]\n"
        for text, said in (
            (server + self.files(good), ""),
            (server + self.files(good, made("b.example")), "transport.tls.keyFile: "),
            (server + self.files(made("a.example", **PAST)), "a.crt has expired"),
            (server + self.files(made("a.example", **LATER)), "a.crt is not valid yet"),
            (server + 'trustedCaFile = "/nonexistent"\n', "transport.tls.trustedCaFile: /nonexistent cannot"),
            (server + f'trustedCaFile = "{self.folder}/a.key"\n', "holds a private key and no certificate"),
            ("[transport.tls]\n" + self.files(good, made("b")) + "[auth]\ntoken='s'\n", "keyFile: "),
            (SITES + self.files(good), ""),
            (SITES + self.files(good, made("b")), "vhostHTTPSCertificates[0].keyFile: "),
            (SITES + self.files(made(**TODAY)), "no host in its subjectAltName"),
        ):
            printed = self.verify(text, "--role", "server")
            self.assertEqual(printed.status, 1 if said else 0, printed)
            self.assertIn(said, printed.stderr)
            self.assertEqual(printed.stderr.count("\n"), 1 if said else 0, printed.stderr)
        client = 'auth.token = "s"\nserverAddr = "h"\n[transport.tls]\n' + self.files(good, made("b"))
        self.assertIn("transport.tls.keyFile: ", self.verify(client).stderr)
        self.assertEqual(self.verify(client + "enable = false\n").status, 0)

    def test_warnings_of_tls_files(self) -> None:
        """What the start would warn of is a warning here."""
        for text, said in (
            (SERVER + "[transport.tls]\n" + self.files(made(**TODAY)), "has no subjectAltName"),
            (SITES + self.files(made("a.example", **PAST)), "has expired"),
        ):
            printed = self.verify(text)
            self.assertEqual(printed.status, 0)
            self.assertTrue(printed.stderr.startswith(f"WARNING: {self.path}: "), printed.stderr)
            self.assertIn(said, printed.stderr)

    def test_token(self) -> None:
        """A token may come from a file, which is opened; a command for one is not run."""
        token = Path(self.mktemp())
        token.write_text("secret\n")
        printed = self.verify("bindPort = 7001\n", "--token-file", str(token))
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        for text, words in (
            ("bindPort = 7001\n", ("--token-file", "/nonexistent")),
            ('bindPort = 7001\nauth.tokenSource = {type = "file", file = {path = "/nonexistent"}}\n', ()),
        ):
            printed = self.verify(text, *words)
            self.assertEqual(printed.status, 1)
            self.assertIn("/nonexistent", printed.stderr)
        command = 'bindPort = 7001\nauth.tokenSource = {type = "exec", exec = {command = "/nonexistent"}}\n'
        self.assertEqual(self.verify(command, "--allow-unsafe", "TokenSourceExec").status, 0)

    def test_file_as_a_word(self) -> None:
        """The file may be given without -c, here and to the two roles; not twice."""
        self.verify(SERVER)
        for command in ("verify", "server", "client"):
            printed = run_printed([command, str(self.path), "-c", "other.toml"])
            self.assertEqual(printed.status, 2)
            self.assertIn("two configuration files are named", printed.stderr)
            self.assertIn("/nonexistent", run_printed([command, "/nonexistent"]).stderr)
        self.assertEqual(run_printed(["verify", str(self.path)]).status, 0)

    def test_type_twice(self) -> None:
        """Two packages with one type are told in a sentence."""

        def installed() -> ProxyTypes:
            raise DuplicateProxyType("tcp is provided twice")

        self.patch(ProxyTypes, "installed", staticmethod(installed))
        printed = self.verify(SERVER)
        self.assertEqual((printed.status, printed.stderr), (1, "tcp is provided twice\n"))

    def test_not_there(self) -> None:
        """A file that is not there, or was not named, is told."""
        self.assertIn("no such file", run_printed(["verify", "-c", "nosuch.toml"]).stderr)
        self.assertEqual(
            run_printed(["verify"]),
            Printed(1, "", with_hint("a configuration file is needed: -c FILE", "no-file-given") + "\n"),
        )

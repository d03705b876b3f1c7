"""Tests for how roles are made of what was configured."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from attrs import evolve
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.assembly import LARGEST_SECRET_FILE, RoleFiles, read_client, read_secret_file, read_server
from relaykit.config.load import load_server
from relaykit.config.problems import ConfigurationProblems
from relaykit.errors import RelaykitError, TransportSecurityError
from relaykit.plugins import ProxyTypes
from relaykit.ssh_gateway import library
from relaykit.values import Secret
from relaykit.verifying import file_findings
from tests.certificates.made import DAY, ca, made


class ReadTests(SynchronousTestCase):
    """Tests for :func:`read_server` and :func:`read_client`."""

    def setUp(self) -> None:
        """Makes a folder for the files."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def file(self, name: str, text: str) -> str:
        """The path of a file with this text."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def test_server(self) -> None:
        """A server has its configuration, its token, the installed types and a state directory."""
        path = self.file("s.toml", 'auth.token = "s3cret"\nstateDir = "/configured"\nbindPort = 7009\n')
        assembly = read_server(RoleFiles(config=path, environ={}))
        self.assertEqual(assembly.token, Secret("s3cret"))
        self.assertEqual(assembly.loaded.config.bind_port, 7009)
        self.assertIn("tcp", assembly.types)
        assert assembly.state is not None
        self.assertEqual(assembly.state.path, Path("/configured"))

    def test_client(self) -> None:
        """A client has its proxies, too."""
        path = self.file(
            "c.toml",
            'auth.token = "s3cret"\n[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 22\nremotePort = 1\n',
        )
        assembly = read_client(RoleFiles(config=path, environ={"HOME": "/h"}))
        self.assertEqual(assembly.token, Secret("s3cret"))
        self.assertEqual([proxy.common.name for proxy in assembly.loaded.proxies], ["a"])
        assert assembly.state is not None
        self.assertEqual(assembly.state.path, Path("/h/.local/state/relaykit"))

    def test_credentials(self) -> None:
        """What systemd hands over under the name of a key is read in place of the file that the key names."""
        folder = self.folder.absolute() / "credentials"
        folder.mkdir()
        now = datetime.now(UTC)
        site = made("a.example", begins=now - DAY, ends=now + DAY)
        certificate = folder.parent / "a.crt"
        certificate.write_bytes(site.pem)
        key = "vhostHTTPSCertificates[0].keyFile"
        for name in ("transport.tls.keyFile", key):
            (folder / name).write_bytes(site.key_pem)
        (folder / "auth.tokenSource.file.path").write_text("handed over\n")
        path = self.file(
            "s.toml",
            'auth.tokenSource = {type = "file", file = {path = "/nonexistent"}}\n'
            f'transport.tls.certFile = "{certificate}"\ntransport.tls.keyFile = "/nonexistent"\n'
            "vhostHTTPPort = 8080\nvhostHTTPSPort = 8443\n"
            f'vhostHTTPSCertificates = [{{certFile = "{certificate}", keyFile = "/nonexistent"}}]\n',
        )
        assembly = read_server(RoleFiles(config=path, environ={"CREDENTIALS_DIRECTORY": str(folder)}))
        self.assertEqual(assembly.token, Secret("handed over"))
        tls = assembly.loaded.config.transport.tls
        self.assertEqual((tls.cert_file, tls.key_file), (str(certificate), f"{folder}/transport.tls.keyFile"))
        options: Any = assembly.loaded.ingress_options["http"]
        (pair,) = options.vhost_https_certificates
        self.assertEqual((pair.cert_file, pair.key_file), (str(certificate), f"{folder}/{key}"))

    def test_tls_files(self) -> None:
        """Files of TLS that cannot be used are found while a role is read; a client waits for its clock."""
        text = 'auth.token = "t"\ntransport.tls.trustedCaFile = "{}"\n'
        now = datetime.now(UTC)
        file = self.folder.absolute() / "ca.crt"
        for content, of_server, of_client in (
            (b"junk", True, True),
            (ca(begins=now - 2 * DAY, ends=now - DAY).pem, True, True),
            (ca(begins=now + DAY, ends=now + 2 * DAY).pem, True, False),
            (ca(begins=now - DAY, ends=now + DAY).pem, False, False),
        ):
            file.write_bytes(content)
            files = RoleFiles(config=self.file("r.toml", text.format(file)), environ={})
            reads: tuple[Callable[[RoleFiles], object], ...] = (read_server, read_client)
            for read, refused in zip(reads, (of_server, of_client), strict=True):
                if refused:
                    error = self.assertRaises(TransportSecurityError, read, files)
                    self.assertIn(f"transport.tls.trustedCaFile: {file} ", str(error))
                else:
                    read(files)

    def test_ssh_gateway(self) -> None:
        """A server whose gateway lacks its library, or its key, is refused, and so says verifying."""
        key = self.file("key", "junk")
        text = 'auth.token = "s"\nsshTunnelGateway.bindPort = 2200\n'
        named = self.file("named.toml", f'{text}sshTunnelGateway.privateKeyFile = "{key}"\n')
        plain = self.file("plain.toml", text)
        read_server(RoleFiles(config=plain, environ={}))
        self.assert_refused(named, f"sshTunnelGateway.privateKeyFile: {key} holds no private key")
        self.patch(library, "_NEEDED", ("no_such_library",))
        self.assert_refused(plain, "sshTunnelGateway.bindPort: needs no_such_library")
        self.file("plain.toml", 'auth.token = "s"\n')
        read_server(RoleFiles(config=plain, environ={}))

    def assert_refused(self, path: str, text: str) -> None:
        """No server is made of this file, and verifying says why."""
        self.assertIn(
            text, str(self.assertRaises(RelaykitError, read_server, RoleFiles(config=path, environ={})))
        )
        loaded = load_server(path, types=ProxyTypes.installed(), environ={})
        (problem,) = file_findings(loaded, path, "", {}).problems
        self.assertIn(text, problem.what)

    def test_open_state(self) -> None:
        """A state directory that others can use is warned about when a role begins."""
        state = self.folder.absolute() / "state"
        state.mkdir(mode=0o700)
        state.chmod(0o777)
        path = self.file("c.toml", f'auth.token = "{token_hex(32)}"\nstateDir = "{state}"\n')
        for read in (read_client, read_server):
            with capturedLogs() as logged:
                read(RoleFiles(config=path, environ={})).make(MemoryReactorClock())
            self.assertIn("open-state", [event.get("problem") for event in logged])

    def test_said_beside_the_file(self) -> None:
        """A state directory and a token that were named beside the file come first."""
        config = self.file("r.toml", 'auth.token = "s3cret"\nstateDir = "/configured"\n')
        files = RoleFiles(
            config=config, environ={}, state_dir="/named", token_file=self.file("token", "other\n")
        )
        for assembly in (read_server(files), read_client(files)):
            assert assembly.state is not None
            self.assertEqual((assembly.token, assembly.state.path), (Secret("other"), Path("/named")))

    def test_no_false_warning(self) -> None:
        """An empty token in a file is not warned about when the token comes from elsewhere."""
        config = self.file("s.toml", 'auth.token = ""\n')
        self.assertTrue(read_server(RoleFiles(config=config, environ={})).warnings)
        files = RoleFiles(config=config, environ={}, token_file=self.file("token", "other\n"))
        self.assertEqual(read_server(files).warnings, ())

    def test_strictness(self) -> None:
        """An unknown key is a problem, unless it was said not to be."""
        config = self.file("s.toml", 'auth.token = "s"\nnosuch = 1\n')
        self.assertRaises(ConfigurationProblems, read_server, RoleFiles(config=config, environ={}))
        read_server(RoleFiles(config=config, environ={}, strict=False))

    def test_commands_need_permission(self) -> None:
        """A token that a command prints is asked for only where that is allowed."""
        config = self.file(
            "s.toml", 'auth.tokenSource = {type = "exec", exec = {command = "echo", args = ["t0p"]}}\n'
        )
        self.assertRaises(ConfigurationProblems, read_server, RoleFiles(config=config, environ={}))
        files = RoleFiles(config=config, environ={"PATH": "/bin:/usr/bin"}, allow_unsafe=["TokenSourceExec"])
        self.assertEqual(read_server(files).token, Secret("t0p"))

    def test_no_token_file(self) -> None:
        """A token file that is not there is an error."""
        files = RoleFiles(config=self.file("r.toml", ""), environ={}, token_file="nosuch")
        self.assertRaises(RelaykitError, read_server, files)
        self.assertRaises(RelaykitError, read_client, files)


class MakeTests(SynchronousTestCase):
    """Tests for the roles that are made."""

    def config(self, text: str) -> RoleFiles:
        """Files with one configuration."""
        path = Path(self.mktemp())
        path.write_text(text)
        return RoleFiles(config=str(path), environ={})

    def test_nothing_is_opened(self) -> None:
        """Making a role opens no port, makes no connection and sets no timer."""
        reactor = MemoryReactorClock()
        read_server(self.config('auth.token = "s"')).make(reactor)
        read_client(self.config('auth.token = "s"')).make(reactor)
        self.assertEqual((reactor.tcpServers, reactor.tcpClients, reactor.getDelayedCalls()), ([], [], []))
        self.assertEqual((reactor.getReaders(), reactor.getWriters()), ([], []))

    def test_passed_sockets(self) -> None:
        """A server has the sockets that its process was started with; its children are told of none."""
        self.patch(os, "environ", {"LISTEN_PID": "0", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"})
        read_server(self.config('auth.token = "s"')).make(MemoryReactorClock())
        self.assertEqual(os.environ, {})

    def test_open_server(self) -> None:
        """A server without a token is warned about, loudly; one with a token is not."""
        reactor = MemoryReactorClock()
        for text, warned in (('auth.token = ""', True), ('auth.token = "s"', False)):
            with capturedLogs() as events:
                read_server(self.config(text)).make(reactor)
            self.assertEqual(any("NO TOKEN IS SET" in event["log_format"] for event in events), warned)

    def test_weak_token(self) -> None:
        """A token that can be guessed is warned about, at either end; one of ``relaykit token`` is not."""
        reactor = MemoryReactorClock()
        for token, warned in (("sesame", True), ("12345678901234567890", True), (token_hex(20), False)):
            config = self.config(f'auth.token = "{token}"')
            for read in (read_server, read_client):
                with capturedLogs() as events:
                    read(config).make(reactor)
                self.assertEqual(any("TOKEN IS WEAK" in event["log_format"] for event in events), warned)

    def test_bound_without_token(self) -> None:
        """Where every login must be bound there must be a token; it may come from elsewhere."""
        config = self.config('auth.bound = "require"')
        for read in (read_server, read_client):
            error = self.assertRaises(ConfigurationProblems, read, config)
            self.assertIn("auth.bound", str(error))
            path = Path(self.mktemp())
            path.write_text("sesame")
            assembly = read(evolve(config, token_file=str(path)))
            self.assertEqual(assembly.token, Secret("sesame"))


class ReadSecretFileTests(SynchronousTestCase):
    """Tests for :func:`read_secret_file`."""

    def file(self, content: bytes) -> str:
        """The path of a file with this content."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)

    def test_token(self) -> None:
        """White space around a token does not count; bytes that are no text are kept."""
        self.assertEqual(read_secret_file(self.file(b" s3cret\xff \r\n")).to_bytes(), b"s3cret\xff")

    def test_refused(self) -> None:
        """A file that is not there, is empty or far too large is told with its path."""
        for path, reason in (
            ("nosuch", "cannot read the token file nosuch: No such file or directory"),
            (self.file(b" \n"), "it is empty"),
            (self.file(b"x" * (LARGEST_SECRET_FILE + 1)), "it is larger"),
        ):
            with self.assertRaises(RelaykitError) as caught:
                read_secret_file(path)
            self.assertIn(reason, str(caught.exception))

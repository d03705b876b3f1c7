"""Tests for :mod:`relaykit.server.tls_identity`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.files import LOOK_S
from relaykit.certificates.own import fingerprint
from relaykit.config.schema import ServerTls
from relaykit.errors import TransportSecurityError
from relaykit.server.tls_identity import TlsIdentity
from relaykit.state import StateDirectory
from tests.certificates.made import NOW, Made, ca, made


class TlsIdentityTests(SynchronousTestCase):
    """Tests for what a server shows and demands."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.written = 0
        self.clock = Clock()

    def path(self, name: str, content: bytes) -> str:
        """A file with this content, later than all before, however coarse the times of files are."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        self.written += 1
        os.utime(path, (self.written, self.written))
        return str(path)

    def write(self, site: Made) -> ServerTls:
        """The table with files of this certificate."""
        return ServerTls(cert_file=self.path("a.crt", site.pem), key_file=self.path("a.key", site.key_pem))

    def identity(self, tls: ServerTls) -> TlsIdentity:
        """What a server has with this table."""
        made = TlsIdentity(tls, StateDirectory(self.folder / "state"), self.clock, lambda: NOW)
        made.start()
        self.addCleanup(made.stop)
        return made

    def test_files(self) -> None:
        """The certificate of the file is shown, and the renewed one to whoever comes later."""
        first, second = made("a.example"), made("a.example")
        identity = self.identity(self.write(first))
        context = identity.context
        self.assertEqual(identity.fingerprint, fingerprint(first.der))
        self.write(second)
        with capturedLogs() as logged:
            self.clock.advance(LOOK_S)
        self.assertEqual(identity.fingerprint, fingerprint(second.der))
        self.assertIsNot(identity.context, context)
        (text,) = map(formatEvent, logged)
        self.assertIn(f"certificate fingerprint {identity.fingerprint}", str(text))

    def test_own(self) -> None:
        """Without files it has a certificate of its own, which stays when those of authorities change."""
        authorities = self.path("ca.crt", ca().pem)
        identity = self.identity(ServerTls(trusted_ca_file=authorities))
        before = identity.context, identity.fingerprint
        self.path("ca.crt", ca().pem + ca().pem)
        self.clock.advance(LOOK_S)
        self.assertIsNot(identity.context, before[0])
        self.assertEqual(identity.fingerprint, before[1])

    def test_refused(self) -> None:
        """Files that cannot be used at the start are told by key and path."""
        tls = self.write(made("a.example", ends=NOW))
        error = self.assertRaises(TransportSecurityError, self.identity, tls)
        self.assertIn(f"transport.tls.certFile: {self.folder}/a.crt has expired", str(error))

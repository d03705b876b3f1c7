"""Tests for :mod:`relaykit.local_services.certificates`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.files import LOOK_S
from relaykit.certificates.own import self_signed
from relaykit.errors import ConnectionFailed
from relaykit.local_services.certificates import ServiceCertificate, ServiceTrust
from tests.certificates.made import ca
from tests.local_services.hosts import LocalScene

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ServiceCertificateTests(SynchronousTestCase):
    """What users are shown."""

    def setUp(self) -> None:
        self.scene = LocalScene()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.chain, self.key = self.folder / "c.pem", self.folder / "k.pem"

    def write(self) -> bytes:
        """Writes a new certificate with its key; the certificate in DER."""
        pair = self_signed(NOW)
        for path, content in ((self.chain, pair.certificate), (self.key, pair.key)):
            path.write_bytes(content)
            os.chmod(path, 0o600)
        return pair.der

    def test_made(self) -> None:
        """Without files one is made, once."""
        certificate = ServiceCertificate()
        first = certificate.context(self.scene)
        self.scene.network.clock.advance(LOOK_S)
        self.assertIs(certificate.context(self.scene), first)
        self.assertIsNotNone(first.shown)

    def test_renewed(self) -> None:
        """Files are read for the first user, and again when they have changed, not for every user."""
        certificate = ServiceCertificate(str(self.chain), str(self.key), now=lambda: NOW)
        first = self.write()
        self.assertEqual(certificate.context(self.scene).shown.der, first)
        second = self.write()
        self.assertEqual(certificate.context(self.scene).shown.der, first)
        self.scene.network.clock.advance(LOOK_S)
        self.assertEqual(certificate.context(self.scene).shown.der, second)
        self.chain.unlink()
        self.scene.network.clock.advance(LOOK_S)
        self.assertEqual(certificate.context(self.scene).shown.der, second)

    def test_unusable(self) -> None:
        """Files that cannot be used serve nobody, with the key in words; once they can, they do."""
        certificate = ServiceCertificate(str(self.chain), str(self.key), now=lambda: NOW)
        error = self.assertRaises(ConnectionFailed, certificate.context, self.scene)
        self.assertIn(f"plugin.crtPath: {self.chain} cannot be read", str(error))
        der = self.write()
        self.assertEqual(certificate.context(self.scene).shown.der, der)

    def test_half(self) -> None:
        """One file alone is nothing to go by."""
        self.assertRaises(ValueError, ServiceCertificate, "c.pem")
        self.assertRaises(ValueError, ServiceCertificate, key="k.pem")


class ServiceTrustTests(SynchronousTestCase):
    """What a service must prove."""

    def test_trust(self) -> None:
        """Without authorities nothing, and with them whom it is asked for; they are read again."""
        scene = LocalScene()
        self.assertFalse(ServiceTrust("a.example").context(scene).verifies)
        self.assertEqual(ServiceTrust("192.0.2.1").context(scene).asked_name, b"")
        path = Path(self.mktemp())
        path.write_bytes(ca(begins=NOW).pem)
        trust = ServiceTrust("a.example", str(path), lambda: NOW)
        first = trust.context(scene)
        self.assertEqual((first.server_name, first.asked_name), ("a.example", b"a.example"))
        path.write_bytes(ca(begins=NOW).pem + ca(begins=NOW).pem)
        scene.network.clock.advance(LOOK_S)
        self.assertIsNot(trust.context(scene), first)

    def test_unusable(self) -> None:
        """A file that cannot be read is told with its key."""
        error = self.assertRaises(ConnectionFailed, ServiceTrust("a", "/nowhere/a").context, LocalScene())
        self.assertIn("plugin.trustedCaFile: /nowhere/a", str(error))

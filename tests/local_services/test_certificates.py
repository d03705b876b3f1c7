"""Tests for :mod:`relaykit.local_services.certificates`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.files import LOOK_S
from relaykit.certificates.own import self_signed
from relaykit.errors import ConnectionFailed
from relaykit.local_services.certificates import ServiceCertificate
from tests.local_services.hosts import LocalScene

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ServiceCertificateTests(SynchronousTestCase):
    """What users are shown."""

    def setUp(self) -> None:
        nobody: Any = None
        self.scene = LocalScene(nobody)
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

"""Certificates with their keys, in files, for tests without a wall clock."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relaykit.proxies.http.options import CertificateFiles

__all__ = ["NOW", "Files", "certificate_of", "key_of"]

NOW = datetime(2026, 5, 1, tzinfo=UTC)

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])


def certificate_of(key: ec.EllipticCurvePrivateKey, *names: str, begins: datetime, life: timedelta) -> bytes:
    """A certificate in PEM that is signed by itself."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + life)
    )
    if names:
        said = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(said, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_of(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """A key in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption(),
    )


class Files:
    """The two files of one entry, in a folder of a test; they are there once they are written."""

    def __init__(self, folder: Path, name: str = "site") -> None:
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        self._writes = 0

    @property
    def entry(self) -> CertificateFiles:
        """The entry of the configuration."""
        return CertificateFiles(cert_file=str(self.certificate), key_file=str(self.key))

    def write(
        self, *names: str, begins: datetime = NOW - timedelta(days=30), life: timedelta = timedelta(days=90)
    ) -> bytes:
        """Writes a new certificate and its key; answers the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = certificate_of(key, *names, begins=begins, life=life)
        self.put(self.certificate, certificate)
        self.put(self.key, key_of(key))
        return certificate

    def write_lasting(self, *names: str) -> bytes:
        """The same for who goes by the clock of the machine, as OpenSSL does."""
        return self.write(*names, begins=datetime(2020, 1, 1, tzinfo=UTC), life=timedelta(days=36_500))

    def put(self, file: Path, content: bytes) -> None:
        """Writes one of them, later than all before."""
        file.write_bytes(content)
        file.chmod(0o600)
        self._writes += 1
        os.utime(file, (self._writes, self._writes))

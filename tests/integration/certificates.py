"""Certificates for tests: an authority and whoever it signs for, as files."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Authority", "Certified"]


@frozen
class Certified:
    """A certificate and its key, in PEM."""

    certificate: Path
    key: Path
    fingerprint: str
    """As ``transport.tls.serverFingerprint`` takes it."""


class Authority:
    """Signs certificates, for one day if nothing else is said.  ``file`` is its own, in PEM.

    :param folder: where all files are put.
    :param days: from when until when all of them are valid, counted from today.
    :param above: who signed its own, which is then shown with all that it signs; itself if there is nobody.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "authority",
        above: Authority | None = None,
        days: tuple[int, int] = (0, 1),
    ) -> None:
        self._folder = folder
        self._days = days
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        signer = above or self
        own = (
            _unsigned(self._name, signer._name, self._key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        self._chain = self.file.read_bytes() if above else b""

    def certify(self, name: str, addresses: Sequence[str] = (), names: Sequence[str] = ()) -> Certified:
        """A key and a certificate for a host of this name, with these addresses, and these names besides."""
        key = ec.generate_private_key(ec.SECP256R1())
        said: list[x509.GeneralName] = [x509.DNSName(each) for each in (name, *names)]
        said += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        certificate = (
            _unsigned(_named(name), self._name, key.public_key(), self._days)
            .add_extension(x509.SubjectAlternativeName(said), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        made = Certified(
            self._folder / f"{name}.crt",
            self._folder / f"{name}.key",
            f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}",
        )
        made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + self._chain)
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0], hours=-1))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )

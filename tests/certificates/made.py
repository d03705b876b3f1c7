"""Certificates and keys of every kind, in PEM, for tests that judge them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

__all__ = ["DAY", "NOW", "SHA1_PEM", "Made", "ca", "key_pem", "made", "weak_key"]

SHA1_PEM = b"""\
-----BEGIN CERTIFICATE-----
MIIBfTCCASWgAwIBAgIBBTAJBgcqhkjOPQQBMBcxFTATBgNVBAMMDGFuIGF1dGhv
cml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowDzENMAsGA1UE
AwwEc2hhMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJ2/xtQhgTXfXrk2njlV
p0GbR+OfejIJctscTOO14ZnFPRllNobrhUQtFLOc7tW9vQYohEyM69PbjYMu6no0
KDCjaTBnMBQGA1UdEQQNMAuCCWEuZXhhbXBsZTAPBgNVHRMBAf8EBTADAQH/MB0G
A1UdDgQWBBRIa+SA8ijkb/YGySZKNiLqOaJzAjAfBgNVHSMEGDAWgBSeDzbJPrTP
zKfjR25Ru9DzscsvEjAJBgcqhkjOPQQBA0cAMEQCIEhJDv1CQ9UvxDelgz9xkppp
PKsCi/OZtY+MFs3G7P/+AiAtC8PJn6ss3x2VpzVjjNPgVM7OrUVDXg7812n7z5dE
Ig==
-----END CERTIFICATE-----
"""
"""A certificate that is signed with SHA-1, which no library does any more; valid for a hundred years."""

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@frozen
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The same in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        """The key, without a password."""
        return key_pem(self.key)


def key_pem(key: Any, password: bytes = b"") -> bytes:
    """A key."""
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption(),
        )
    )


@functools.cache
def weak_key() -> rsa.RSAPrivateKey:
    """A key that every OpenSSL of today takes for too short."""
    return rsa.generate_private_key(65537, 1024)


def made(
    *names: str,
    issuer: Made | None = None,
    key: Any = None,
    begins: datetime = NOW - 30 * DAY,
    ends: datetime = NOW + 60 * DAY,
    is_ca: bool = False,
    subject: str = "a test",
    more: Sequence[x509.ExtensionType] = (),
) -> Made:
    """A certificate with these names, signed by its issuer, or by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if names:
        said = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(said, critical=False)
    for each in more:
        builder = builder.add_extension(each, critical=False)
    signer = issuer.key if issuer else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, digest), key)


def ca(subject: str = "an authority", **how: Any) -> Made:
    """An authority."""
    return made(is_ca=True, subject=subject, **how)

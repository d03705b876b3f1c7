"""Certificates for programs that need them as files."""

from __future__ import annotations

import datetime
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

__all__ = ["CertificateFiles", "write_certificates"]


@frozen
class CertificateFiles:
    """A server's key and certificate, in PKCS 12 and in PEM, and its authority in PEM."""

    pkcs12: Path
    password: str
    key: Path
    certificate: Path
    authority: Path


def write_certificates(directory: Path) -> CertificateFiles:
    """Makes an authority and a certificate of it for ``localhost``, both for one day."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, name = _name("benchmark authority"), _name("localhost")
    authority = (
        _unsigned(issuer, issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _unsigned(name, issuer, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    files = CertificateFiles(
        directory / "server.p12",
        "benchmark",
        directory / "server-key.pem",
        directory / "server.pem",
        directory / "authority.pem",
    )
    files.pkcs12.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"server",
            key,
            certificate,
            [authority],
            # Not a good cipher, but the only one that each way of building the peer can read.
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())
            .build(files.password.encode()),
        )
    )
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return files


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )

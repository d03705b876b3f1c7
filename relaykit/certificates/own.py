"""A server's own certificate, made once, and the fingerprints that clients pin.

A certificate that nobody signed proves only that the same key answers as before.  That is what a
fingerprint, shown when the server starts and given to its clients, is good for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.logger import Logger

from relaykit.state import StateDirectory, StateUnavailable

__all__ = ["KeyPair", "fingerprint", "key_pair", "load_or_create", "self_signed"]

log = Logger()

FILE_NAME = "server-certificate.pem"
"""File of the state directory that holds key and certificate."""

VALID_FOR = timedelta(days=365 * 20)
"""Long: clients pin this very certificate, and one that runs out would cut all of them off at once."""

CLOCK_TOLERANCE = timedelta(days=1)
"""How far the clock of a client may be behind that of the server."""

_COMMON_NAME = "relaykit"
_PREFIX = "sha256:"
_PEM_MARK = b"-----BEGIN CERTIFICATE-----"


@frozen
class KeyPair:
    """A certificate, maybe with its chain, and its private key, in PEM; ``der`` is the certificate in DER."""

    certificate: bytes
    key: bytes
    der: bytes

    @property
    def fingerprint(self) -> str:
        """See :func:`fingerprint`."""
        return fingerprint(self.der)

    def __repr__(self) -> str:
        return f"<KeyPair {self.fingerprint}>"


def self_signed(now: datetime) -> KeyPair:
    """A new key (ECDSA on P-256) and a certificate signed by itself, valid from a day before ``now``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_COMMON_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key_pair([certificate], key)


def load_or_create(state: StateDirectory | None, now: datetime) -> KeyPair:
    """The pair in the state directory; made and put there when there is none that is whole and valid.

    Where nothing can be kept, that is logged, and the pair is good until the program ends.
    """
    try:
        content = state.read(FILE_NAME) if state is not None else None
        pair = _read_pair(content, now) if content is not None else None
        if pair is not None:
            return pair
        pair = self_signed(now)
        if state is not None:
            state.write(FILE_NAME, pair.key + pair.certificate)
            return pair
        reason = "there is no state directory"
    except StateUnavailable as error:
        reason = str(error)
        pair = self_signed(now)
    log.warn(
        "this server has a new certificate at every start: {reason}; name a folder with --state-dir",
        reason=reason,
        problem="state-directory",
    )
    return pair


def _read_pair(content: bytes, now: datetime) -> KeyPair | None:
    """The pair in the text of a PEM file, or None if it is damaged or has run out."""
    try:
        key = serialization.load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except ValueError:
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    if now >= certificate.not_valid_after_utc:
        return None
    return key_pair([certificate], key)


def key_pair(chain: Sequence[x509.Certificate], key: CertificateIssuerPrivateKeyTypes) -> KeyPair:
    """A certificate, with those that lead from it to its authority, and its key."""
    return KeyPair(
        certificate=b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        der=chain[0].public_bytes(serialization.Encoding.DER),
    )


def fingerprint(certificate: bytes) -> str:
    """``sha256:`` and 64 hexadecimal digits: the digest of a certificate, the first one of a PEM file.

    :raises ValueError: there is no certificate in it.
    """
    read = x509.load_pem_x509_certificate if _PEM_MARK in certificate else x509.load_der_x509_certificate
    return _PREFIX + read(certificate).fingerprint(hashes.SHA256()).hex()

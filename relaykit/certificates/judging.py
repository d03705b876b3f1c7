"""What TLS is made of, read from PEM and judged: what cannot be used is told with why, and what to do.

Everything here is what OpenSSL or the other end would refuse later, without the name of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from relaykit.errors import TransportSecurityError

__all__ = [
    "NOT_YET",
    "OUTDATED",
    "Pem",
    "is_named",
    "read_authorities",
    "read_chain",
    "read_key",
    "shown_time",
    "time_id",
    "time_problem",
]


OUTDATED, NOT_YET = "certificate-time", "certificate-not-yet"
"""Ids of known problems: a certificate after its time, or soon after it, and one before."""


@frozen
class Pem:
    """A text in PEM.

    :ivar name: what errors call it, such as ``transport.tls.certFile: /etc/relaykit/a.crt``.
    """

    content: bytes = field(repr=False)
    name: str


UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)
"""What a certificate that is none makes its reader raise."""

_BROKEN_DIGESTS = ("md5", "sha1")
"""Signatures by these can be forged, and whoever verifies refuses them.  Source: RFC 9155."""

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
"""Source: RFC 7468 section 3."""

_CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE")

_DER = b"\x30\x82"
"""How certificates and keys in DER begin: a sequence of 256 bytes or more.  Source: X.690."""


def read_chain(pem: Pem) -> list[x509.Certificate]:
    """A certificate and those that lead from it to its authority, each strong enough to be shown.

    :raises TransportSecurityError: they cannot be used.
    """
    chain = _certificates(pem)
    for position, each in enumerate(chain):
        if weakness := _weakness(each):
            raise _weak(pem, chain, position, weakness)
    return chain


def read_authorities(pem: Pem, now: datetime | None = None) -> list[x509.Certificate]:
    """Certificates that others' are verified by.

    A bundle may hold some that are of no use any more; with ``now`` one at least must be valid.

    :raises TransportSecurityError: there is none that could be of use.
    """
    found = _certificates(pem)
    # Nobody verifies how what is trusted was signed itself.
    weak = [_weakness(each, signature=False) for each in found]
    if all(weak):
        raise _weak(pem, found, 0, weak[0])
    outdated = ["" if now is None else time_problem(each, now) for each in found]
    if all(map(any, zip(weak, outdated, strict=True))):
        position = weak.index("")
        raise TransportSecurityError(
            f"{pem.name}{_which(found, position)} {outdated[position]}",
            problem=OUTDATED if now is None else time_id(found[position], now),
        )
    return found


def read_key(pem: Pem, chain: Sequence[x509.Certificate], certificate_name: str) -> Any:
    """The private key of the first certificate of a chain, which ``certificate_name`` calls by name.

    :raises TransportSecurityError: it cannot be used, or is that of another certificate.
    """
    labels = _labels(pem)
    if not any(label.endswith(b"PRIVATE KEY") for label in labels):
        what = "certificates and no private key: are the two files exchanged?" if labels else ""
        raise _unusable(pem, f"holds {what}" if what else _no_pem(pem, "a private key", "pkey"))
    try:
        key: Any = load_pem_private_key(pem.content, password=None)
    except TypeError as error:
        raise _unusable(
            pem, "has a password, and nobody to give it: write it without (openssl pkey -in OLD -out NEW)"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable(pem, f"cannot be read as PEM: {_first_line(error)}") from error
    public = key.public_key()
    for position, each in enumerate(chain):
        try:
            is_its = each.public_key() == public
        except UNREADABLE:
            is_its = False
        if is_its and position == 0:
            return key
        if is_its:
            raise _unusable(
                pem,
                f"is that of certificate {position + 1} in {certificate_name}: the own one must come first",
            )
    raise _unusable(
        pem, f"is not that of the certificate in {certificate_name}: give the two that were made together"
    )


def time_problem(certificate: x509.Certificate, now: datetime) -> str:
    """Why a certificate cannot be used at this time, and what to do; empty if it can."""
    if now >= certificate.not_valid_after_utc:
        return f"has expired ({shown_time(certificate.not_valid_after_utc)}): renew it"
    if now < certificate.not_valid_before_utc:
        begin = shown_time(certificate.not_valid_before_utc)
        return f"is not valid yet (from {begin} on): look at the clock of this machine"
    return ""


def time_id(certificate: x509.Certificate, now: datetime) -> str:
    """The id of the known problem that :func:`time_problem` tells of."""
    return NOT_YET if now < certificate.not_valid_before_utc else OUTDATED


def is_named(certificate: x509.Certificate, *, hosts_only: bool = False) -> bool:
    """Whether a certificate is for any host, or address, as those see it who verify it.

    The name in its subject counts no more.  Source: RFC 9525 section 2.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    hosts = bool(names.get_values_for_type(x509.DNSName))
    return hosts or (not hosts_only and bool(names.get_values_for_type(x509.IPAddress)))


def shown_time(moment: datetime) -> str:
    """A time as people read it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _certificates(pem: Pem) -> list[x509.Certificate]:
    labels = _labels(pem)
    if labels.isdisjoint(_CERTIFICATE_LABELS):
        if any(label.endswith(b"PRIVATE KEY") for label in labels):
            raise _unusable(pem, "holds a private key and no certificate: give the file with the certificate")
        others = " and ".join(sorted(label.decode("ascii").lower() for label in labels))
        raise _unusable(
            pem, f"holds no certificate, but a {others}" if others else _no_pem(pem, "certificates", "x509")
        )
    try:
        return x509.load_pem_x509_certificates(pem.content)
    except UNREADABLE as error:
        raise _unusable(pem, f"cannot be read as PEM: {_first_line(error)}") from error


def _labels(pem: Pem) -> frozenset[bytes]:
    return frozenset(_LABEL.findall(pem.content))


def _no_pem(pem: Pem, wanted: str, kind: str) -> str:
    if pem.content.startswith(_DER):
        return (
            f"cannot be read as PEM: it is in DER (openssl {kind} -inform der -in OLD -out NEW makes it PEM)"
        )
    return f"cannot be read as PEM: give a file with {wanted}, which begins with -----BEGIN"


def _weakness(certificate: x509.Certificate, *, signature: bool = True) -> str:
    """Why a certificate is too weak for OpenSSL on this system, and what to do; empty if it is not.

    Which keys are too short depends on its version, and on who built and configured it.
    """
    digest = _digest_of(certificate)
    if signature and digest in _BROKEN_DIGESTS and certificate.issuer != certificate.subject:
        return (
            f"is signed with {digest.upper()}, which this system's OpenSSL takes for broken: have it made "
            "again, with SHA-256"
        )
    try:
        SSL.Context(SSL.TLS_METHOD).use_certificate(certificate)
    except SSL.Error as error:
        reasons = [entry[-1] for entry in error.args[0] if entry[-1]] if error.args else []
        if any("key too small" in each for each in reasons):
            bits = getattr(certificate.public_key(), "key_size", 0)
            return (
                f"has a key of {bits} bits, which is too short for this system's OpenSSL: make one of "
                "2048 bits or more, or ECDSA, and a certificate for it"
            )
        if signature or not any("md too weak" in each for each in reasons):
            said = ", ".join(reasons) or "no reason was given"
            return f"cannot be used by this system's OpenSSL ({said}): have another one made"
    return ""


def _digest_of(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return "" if algorithm is None else algorithm.name


def _weak(pem: Pem, chain: Sequence[x509.Certificate], position: int, reason: str) -> TransportSecurityError:
    return TransportSecurityError(f"{pem.name}{_which(chain, position)} {reason}", problem="weak-certificate")


def _which(chain: Sequence[x509.Certificate], position: int) -> str:
    """Says which certificate of a file is meant, where it has several."""
    if len(chain) == 1:
        return ""
    return f": certificate {position + 1} ({chain[position].subject.rfc4514_string()})"


def _unusable(pem: Pem, reason: str) -> TransportSecurityError:
    return TransportSecurityError(f"{pem.name} {reason}", problem="tls-files")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason was given"])[0]

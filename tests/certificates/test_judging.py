"""Tests for :mod:`relaykit.certificates.judging`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.judging import (
    Pem,
    is_named,
    read_authorities,
    read_chain,
    read_key,
    time_problem,
)
from relaykit.errors import TransportSecurityError
from tests.certificates.made import DAY, NOW, SHA1_PEM, ca, key_pem, made, weak_key

FILE = "transport.tls.certFile: /a.crt"


class JudgingTestCase(SynchronousTestCase):
    """Asks why something is refused."""

    def refusal(self, read: Callable[..., object], content: bytes, *more: object, problem: str) -> str:
        """Why, without the name of the file, which it begins with; no private key is in it."""
        error = self.assertRaises(TransportSecurityError, read, Pem(content, FILE), *more)
        self.assertEqual(error.problem, problem)
        text = str(error)
        self.assertTrue(text.startswith(FILE), text)
        self.assertNotIn("\n", text)
        return text.removeprefix(FILE).strip()


class ChainTests(JudgingTestCase):
    """Tests for certificates that are shown."""

    def test_good(self) -> None:
        """A chain is read in its order; blank lines, a byte-order mark and a key beside it do no harm."""
        authority = ca()
        site = made("a.example", issuer=authority)
        content = b"\xef\xbb\xbf" + site.pem.replace(b"\n", b"\r\n") + b"\n" + site.key_pem + authority.pem
        self.assertEqual(read_chain(Pem(content, FILE)), [site.certificate, authority.certificate])

    def test_kinds(self) -> None:
        """What is no certificate is told for what it is, and what to give in its place."""
        site = made("a.example")
        for content, said in (
            (b"", "cannot be read as PEM: give a file with certificates"),
            (b"junk", "cannot be read as PEM"),
            (site.key_pem, "holds a private key and no certificate"),
            (site.der, "it is in DER"),
            (site.pem[:200] + b"\n-----END CERTIFICATE-----\n", "cannot be read as PEM"),
            (site.pem.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"), "but a certificate request"),
        ):
            self.assertIn(said, self.refusal(read_chain, content, problem="tls-files"))

    def test_weak(self) -> None:
        """A short key and a broken digest are told with their size and name, wherever they are in a chain."""
        short = made("a.example", key=weak_key())
        text = self.refusal(read_chain, short.pem, problem="weak-certificate")
        self.assertIn("has a key of 1024 bits", text)
        self.assertIn("2048 bits or more, or ECDSA", text)
        authority = ca()
        text = self.refusal(read_chain, SHA1_PEM, problem="weak-certificate")
        self.assertIn("is signed with SHA1", text)
        self.assertIn("SHA-256", text)
        middle = ca("the middle", issuer=authority, key=weak_key())
        site = made("a.example", issuer=middle)
        text = self.refusal(read_chain, site.pem + middle.pem, problem="weak-certificate")
        self.assertIn(": certificate 2 (CN=the middle) has a key of 1024 bits", text)

    @given(st.binary(max_size=300), st.integers(0, 600))
    def test_junk(self, junk: bytes, cut: int) -> None:
        """Whatever is in a file, it is read, or refused by its name."""
        for content in (junk, made("a.example", key=_KEY).pem[:cut] + junk):
            try:
                read_chain(Pem(content, FILE))
            except TransportSecurityError as error:
                self.assertIn(FILE, str(error))


class KeyTests(JudgingTestCase):
    """Tests for private keys."""

    def test_good(self) -> None:
        """A key of every kind that certificates have fits its certificate."""
        for key in (
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65537, 2048),
        ):
            site = made("a.example", key=key)
            read_key(Pem(key_pem(key), FILE), [site.certificate], "/a.crt")

    def test_refused(self) -> None:
        """What is no key, has a password, or is that of another certificate, is told for what it is."""
        authority = ca()
        site, other = made("a.example", issuer=authority), made("b.example")
        chain = [site.certificate, authority.certificate]
        for content, said in (
            (b"junk", "cannot be read as PEM"),
            (site.pem, "holds certificates and no private key: are the two files exchanged?"),
            (key_pem(site.key, b"hush"), "has a password"),
            (site.key_pem[:100] + b"\n-----END PRIVATE KEY-----\n", "cannot be read as PEM"),
            (other.key_pem, "is not that of the certificate in /a.crt"),
            (key_pem(x25519.X25519PrivateKey.generate()), "is not that of the certificate in /a.crt"),
            (authority.key_pem, "is that of certificate 2 in /a.crt: the own one must come first"),
        ):
            text = self.refusal(read_key, content, chain, "/a.crt", problem="tls-files")
            self.assertIn(said, text)
            self.assertNotIn("hush", text)


class AuthorityTests(JudgingTestCase):
    """Tests for what others are verified by."""

    def test_good(self) -> None:
        """One that is of use is enough; how it was signed itself does not count."""
        read_authorities(Pem(ca(ends=NOW - DAY).pem + ca().pem, FILE), NOW)
        read_authorities(Pem(SHA1_PEM, FILE), NOW)

    def test_refused(self) -> None:
        """A key, a file without certificates, and authorities that are all outside their time or too weak."""
        one = ca()
        text = self.refusal(read_authorities, one.key_pem, NOW, problem="tls-files")
        self.assertIn("holds a private key and no certificate", text)
        old = ca(ends=NOW)
        text = self.refusal(read_authorities, old.pem, NOW, problem="certificate-time")
        self.assertEqual(text, "has expired (2026-05-01 00:00 UTC): renew it")
        read_authorities(Pem(old.pem, FILE))
        short = ca("short", key=weak_key())
        text = self.refusal(read_authorities, short.pem, NOW, problem="weak-certificate")
        self.assertIn("1024 bits", text)
        text = self.refusal(read_authorities, short.pem + old.pem, NOW, problem="certificate-time")
        self.assertIn("certificate 2 (CN=an authority) has expired", text)


class CertificateTests(SynchronousTestCase):
    """Tests for what is asked of one certificate."""

    def test_time(self) -> None:
        """A certificate is valid from its beginning until just before its end."""
        certificate = made("a", begins=NOW, ends=NOW + DAY).certificate
        self.assertEqual(time_problem(certificate, NOW), "")
        self.assertEqual(
            time_problem(certificate, NOW - DAY),
            "is not valid yet (from 2026-05-01 00:00 UTC on): look at the clock of this machine",
        )
        self.assertEqual(time_problem(certificate, NOW + DAY), "has expired (2026-05-02 00:00 UTC): renew it")

    def test_names(self) -> None:
        """Names and addresses are those of its subjectAltName alone."""
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        by_address = made(more=[address]).certificate
        for certificate, named, for_hosts in (
            (made("a.example").certificate, True, True),
            (made(subject="a.example").certificate, False, False),
            (by_address, True, False),
        ):
            self.assertEqual(is_named(certificate), named)
            self.assertEqual(is_named(certificate, hosts_only=True), for_hosts)


_KEY = ec.generate_private_key(ec.SECP256R1())

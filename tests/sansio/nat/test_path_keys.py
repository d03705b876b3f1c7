"""Tests of the keys that are made of a secret for direct paths."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.path_keys import path_key, rendezvous_key
from relaykit.values import Secret

SECRET = Secret("a secret")


def hkdf(secret: bytes, info: bytes) -> bytes:
    """One block of HKDF with an empty salt.  Source: RFC 5869 section 2."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


class PathKeysTests(SynchronousTestCase):
    """What comes of a secret."""

    def test_golden(self) -> None:
        """Each key is HKDF's, by its label and the proxy's name."""
        made = rendezvous_key(SECRET, "eve.ssh"), path_key(SECRET, "eve.ssh")
        labels = b"relaykit rendezvous key\0eve.ssh", b"relaykit path key\0eve.ssh"
        self.assertEqual([each.reveal() for each in made], [hkdf(b"a secret", each).hex() for each in labels])

    def test_distinct(self) -> None:
        """They differ from each other, from those of other secrets, and from those of other proxies."""
        keys: tuple[Callable[[Secret, str], Secret], ...] = (rendezvous_key, path_key)
        secrets = SECRET, Secret("another")
        made = {key(secret, name).reveal() for key in keys for secret in secrets for name in ("a", "b")}
        self.assertEqual(len(made), 8)

    def test_any_text(self) -> None:
        """A secret or a name of bytes that are no text has keys like any other."""
        self.assertNotEqual(path_key(Secret("\udcff"), "\udcfe"), path_key(Secret("\udcff"), "a"))

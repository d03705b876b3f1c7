"""Tests of the identity of a client: made once, kept, used by one client at a time."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client import identity
from relaykit.client.identity import Identity
from relaykit.state import StateDirectory


class IdentityTests(SynchronousTestCase):
    """Who gets which."""

    def setUp(self) -> None:
        self.state = StateDirectory(Path(self.mktemp()))

    def test_made_once(self) -> None:
        """It is made at the first start and the same at every later one; only its owner can read it."""
        first = Identity.taken(self.state)
        first.release()
        self.assertEqual(Identity.taken(self.state).public_key, first.public_key)
        mode = (self.state.path / "identity.pem").stat().st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_signs(self) -> None:
        """What it signs is signed by its public key."""
        taken = Identity.taken(self.state)
        Ed25519PublicKey.from_public_bytes(taken.public_key).verify(taken.sign(b"x"), b"x")

    def test_beside_each_other(self) -> None:
        """Clients that run at once have an identity each, and each of them is there again for the next."""
        first, second = Identity.taken(self.state), Identity.taken(self.state)
        self.assertNotEqual(first.public_key, second.public_key)
        first.release()
        again = Identity.taken(self.state)
        self.assertEqual(again.public_key, first.public_key)
        self.assertTrue((self.state.path / "identity-2.pem").exists())

    def test_too_many(self) -> None:
        """When all are in use, a client has one of its own that is not kept, and that is said."""
        self.patch(identity, "MOST_IDENTITIES", 1)
        Identity.taken(self.state)
        with capturedLogs() as logged:
            Identity.taken(self.state)
        self.assertIn("in use", str(logged[0]["reason"]))
        self.assertFalse((self.state.path / "identity-2.pem").exists())

    def test_nowhere_to_keep_it(self) -> None:
        """Without a state directory, or with one that cannot be written, it is another one each time."""
        blocked = Path(self.mktemp())
        blocked.write_bytes(b"")
        for state in (None, StateDirectory(blocked)):
            with capturedLogs() as logged:
                taken = {Identity.taken(state).public_key for _ in range(2)}
            self.assertEqual((len(taken), len(logged)), (2, 2))

    def test_unreadable(self) -> None:
        """One that cannot be read is not kept from others, who may come when it can be."""
        unreadable = self.state.path / "identity.pem"
        unreadable.mkdir(parents=True)
        with capturedLogs() as logged:
            taken = Identity.taken(self.state)
        self.assertEqual(len(logged), 1)
        unreadable.rmdir()
        self.assertIsNotNone(self.state.hold("identity.lock"))
        taken.release()

    def test_damaged(self) -> None:
        """A file that holds no key of this kind is replaced, and that is said."""
        self.state.write("identity.pem", b"junk")
        with capturedLogs() as logged:
            first = Identity.taken(self.state)
        self.assertIn("made anew", logged[0]["log_format"])
        first.release()
        self.assertEqual(Identity.taken(self.state).public_key, first.public_key)

    def test_hidden(self) -> None:
        """The key is not shown."""
        taken = Identity.taken(None)
        self.assertNotIn("key", repr(taken).lower().replace("_key", ""))

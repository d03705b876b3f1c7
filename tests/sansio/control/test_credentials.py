"""Tests for :mod:`relaykit.sansio.control.credentials`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.credentials import Proof, digest, proves
from relaykit.sansio.wire.messages import Login, Ping


class DigestTests(SynchronousTestCase):
    """Knowing a secret."""

    def test_golden(self) -> None:
        """Proofs are those of frp, for an empty secret too."""
        self.assertEqual(digest(b"12345678", 1700000000), "3d8aac6cc09d79da303be74c311e5808")
        self.assertEqual(digest(b"", 1700000000), "24920decf83f6960b80f737a28eeafc1")
        self.assertEqual(digest(b"token", 1), "78b1e6d775cec5260001af137a79dbd5")

    def test_proves(self) -> None:
        """A proof holds for its secret and its time, and for nothing else."""
        proof = digest(b"token", -5)
        self.assertTrue(proves(b"token", -5, proof))
        self.assertFalse(proves(b"token", 5, proof))
        self.assertFalse(proves(b"other", -5, proof))
        for wrong in ("", proof.upper(), proof[:-1], proof + "0", "é", "\udcff"):
            self.assertFalse(proves(b"token", -5, wrong))


class ProofTests(SynchronousTestCase):
    """What came with a message."""

    def test_of_a_message(self) -> None:
        """It is taken from the message, with the metas of a login, and does not show in logs."""
        proof = Proof.of(Ping(privilege_key="abc", timestamp=5))
        self.assertEqual(proof, Proof("abc", 5))
        login = Proof.of(Login(privilege_key="abc", metas={"key": "hidden"}), bound=True)
        self.assertEqual((login.metas, login.bound), ({"key": "hidden"}, True))
        for each in (proof, login):
            self.assertNotIn("abc", repr(each))
            self.assertNotIn("hidden", repr(each))

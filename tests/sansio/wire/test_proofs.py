"""Tests for :mod:`relaykit.sansio.wire.proofs`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire.proofs import digest, proves


class ProofTests(SynchronousTestCase):
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

"""Tests of the proofs of the two ends of a direct path."""

from __future__ import annotations

import contextlib
import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import PeerUnprovenError, RemoteProtocolError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import HELLO_BYTES, NONCE_BYTES, PROOF_BYTES, Exactly, PathProof

NONCES = {PeerRole.INITIATOR: bytes(range(32)), PeerRole.RESPONDER: bytes(range(32, 64))}


CHANNEL = b"this session"


def end(role: PeerRole, secret: bytes = b"a secret", channel: bytes = CHANNEL) -> PathProof:
    """One end."""
    return PathProof(secret, role, NONCES[role], channel)


class PathProofTests(SynchronousTestCase):
    """Both ends of a path."""

    def test_golden(self) -> None:
        """A hello and a proof are these bytes."""
        initiator, responder = (end(role) for role in PeerRole)
        self.assertEqual(initiator.hello, b"rkp1" + NONCES[PeerRole.INITIATOR])
        key = hmac.new(b"a secret", b"relaykit direct path\0", hashlib.sha256).digest()
        said = b"initiator\0" + bytes(range(64)) + CHANNEL
        proof = initiator.answer(responder.hello)
        self.assertEqual(proof, hmac.new(key, said, hashlib.sha256).digest())
        self.assertEqual((len(initiator.hello), len(proof)), (HELLO_BYTES, PROOF_BYTES))

    def test_same_secret(self) -> None:
        """Who knows the secret is believed."""
        ends = [end(role) for role in PeerRole]
        for own, other in (ends, reversed(ends)):
            own.check(other.hello, other.answer(own.hello))

    def test_another_secret(self) -> None:
        """Who does not know it is not."""
        own, other = end(PeerRole.INITIATOR), end(PeerRole.RESPONDER, b"another")
        self.assertRaises(PeerUnprovenError, own.check, other.hello, other.answer(own.hello))

    def test_reflected(self) -> None:
        """An end is not convinced by what it said itself."""
        own = end(PeerRole.INITIATOR)
        self.assertRaises(PeerUnprovenError, own.check, own.hello, own.answer(own.hello))

    def test_replayed(self) -> None:
        """A proof is good for one pair of nonces."""
        own, other = end(PeerRole.INITIATOR), end(PeerRole.RESPONDER)
        proof = other.answer(own.hello)
        later = PathProof(b"a secret", PeerRole.INITIATOR, bytes(NONCE_BYTES), CHANNEL)
        self.assertRaises(PeerUnprovenError, later.check, other.hello, proof)

    def test_another_channel(self) -> None:
        """Who passes the proofs on between two sessions of their own convinces neither end, and is named."""
        one, two = end(PeerRole.INITIATOR, channel=b"one"), end(PeerRole.RESPONDER, channel=b"another")
        for own, other in ((one, two), (two, one)):
            found = self.assertRaises(PeerUnprovenError, own.check, other.hello, other.answer(own.hello))
            self.assertIn("somebody stands in between", str(found))

    def test_needed(self) -> None:
        """Without a secret, a channel or a whole nonce there is nothing to prove."""
        nonce = bytes(NONCE_BYTES)
        for secret, short, channel in ((b"", nonce, CHANNEL), (b"s", nonce, b""), (b"s", nonce[1:], CHANNEL)):
            self.assertRaises(ValueError, PathProof, secret, PeerRole.INITIATOR, short, channel)

    @given(st.binary(max_size=HELLO_BYTES + 1), st.binary(max_size=PROOF_BYTES + 1))
    def test_junk(self, hello: bytes, proof: bytes) -> None:
        """Whatever a peer says, it is not believed."""
        own = end(PeerRole.INITIATOR)
        with contextlib.suppress(RemoteProtocolError):
            own.answer(hello)
        self.assertRaises((RemoteProtocolError, PeerUnprovenError), own.check, hello, proof)


class ExactlyTests(SynchronousTestCase):
    """So many bytes."""

    def test_feed(self) -> None:
        """They are answered once they are there, without what follows."""
        parser = Exactly(3)
        self.assertEqual([parser.feed(b"abcd"[:count]) for count in range(3)], [None] * 3)
        self.assertEqual([parser.feed(b"abc"), parser.feed(b"abcd")], [(b"abc", 3)] * 2)

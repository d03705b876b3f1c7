"""Tests of the dialog by which two ends prove that they know a secret."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.proving import prove
from relaykit.errors import ConnectionFailed, PeerUnprovenError, RemoteProtocolError
from relaykit.interfaces import IStreamLeg
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import HELLO_BYTES, NONCE_BYTES, PROOF_BYTES, PathProof
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver, Weather

SECRET = b"a secret that both have"
NONCES = {PeerRole.INITIATOR: bytes(NONCE_BYTES), PeerRole.RESPONDER: bytes([1]) * NONCE_BYTES}


def proof(role: PeerRole, secret: bytes = SECRET) -> PathProof:
    """What one end proves."""
    return PathProof(secret, role, NONCES[role], b"a channel")


class ProveTests(SynchronousTestCase):
    """Both ends of a leg in memory; the first is the initiator's."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.legs = self.network.pair()

    def prove(self, role: PeerRole, secret: bytes = SECRET) -> Deferred[None]:
        """One end proves itself."""
        leg = self.legs[list(PeerRole).index(role)]
        return Deferred.fromCoroutine(prove(leg, proof(role, secret)))

    def test_both_know(self) -> None:
        """Both ends are believed, however the bytes are cut; what follows a proof stays unread."""
        for most_bytes in (0, 1, 7):
            self.setUp()
            self.network.weather = Weather(seed=2, most_bytes=most_bytes)
            proving = [self.prove(role) for role in PeerRole]
            proving[1].addCallback(lambda _: self.legs[1].write(b"behind it"))
            self.network.flush()
            for each in proving:
                self.successResultOf(each)
            self.assertEqual(self._rest(self.legs[0]), b"behind it")

    def _rest(self, leg: IStreamLeg) -> bytes:
        received = RecordingReceiver(leg)
        self.network.flush()
        return received.data

    def test_another_secret(self) -> None:
        """Both ends learn that the other one is not believed."""
        proving = [self.prove(PeerRole.INITIATOR), self.prove(PeerRole.RESPONDER, b"another secret")]
        self.network.flush()
        for each in proving:
            self.failureResultOf(each, PeerUnprovenError)

    def test_stranger_learns_nothing(self) -> None:
        """Who calls without knowing the secret gets no proof that could be tried against guesses."""
        proving = self.prove(PeerRole.RESPONDER)
        stranger = RecordingReceiver(self.legs[0])
        self.legs[0].write(proof(PeerRole.INITIATOR).hello)
        self.network.flush()
        self.assertEqual(len(stranger.data), HELLO_BYTES)
        self.legs[0].write(bytes([7]) * PROOF_BYTES)
        self.network.flush()
        self.failureResultOf(proving, PeerUnprovenError)
        self.assertEqual(stranger.data[HELLO_BYTES:], bytes(PROOF_BYTES))

    def test_something_else(self) -> None:
        """A peer that does not say hello broke the rules."""
        proving = self.prove(PeerRole.INITIATOR)
        self.legs[1].write(bytes(100))
        self.network.flush()
        self.failureResultOf(proving, RemoteProtocolError)

    def test_lost(self) -> None:
        """A peer that goes away is a connection that failed."""
        proving = self.prove(PeerRole.RESPONDER)
        self.legs[0].abort()
        self.network.flush()
        self.failureResultOf(proving, ConnectionFailed)

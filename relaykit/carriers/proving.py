"""The dialog by which the two ends of a direct path prove that they know a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.errors import PeerUnprovenError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import HELLO_BYTES, PROOF_BYTES, Exactly

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.nat.path_proof import PathProof

__all__ = ["PROOF_S", "prove"]

PROOF_S = 20.0
"""Seconds for the peer to prove itself: it may open its streams later than this end does."""

_NO_PROOF = bytes(PROOF_BYTES)


async def prove(leg: IStreamLeg, proof: PathProof) -> None:
    """Proves this end to the peer, and has the peer prove itself; see :mod:`relaykit.sansio.nat.path_proof`.

    The leg is the caller's, before and after; what the peer sends behind its proof stays unread.

    :raises PeerUnprovenError: the peer does not know the secret.  It has been told.
    :raises ConnectionFailed: the leg ended before.
    :raises RemoteProtocolError: the peer speaks something else.
    """
    leg.write(proof.hello)
    hello = await leg.take(Exactly(HELLO_BYTES))
    if proof.role is PeerRole.INITIATOR:
        leg.write(proof.answer(hello))
        proof.check(hello, await leg.take(Exactly(PROOF_BYTES)))
        return
    try:
        proof.check(hello, await leg.take(Exactly(PROOF_BYTES)))
    except PeerUnprovenError:
        # The initiator learns that it is not believed, and nothing that a guess could be tried against.
        leg.write(_NO_PROOF)
        raise
    leg.write(proof.answer(hello))

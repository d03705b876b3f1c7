"""Streams over a direct path of TCP: yamux, once both ends have shown that they know a secret."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, TimeoutError, fail

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.sockets import SocketLeg, address_of, reason_of, tune
from relaykit.errors import ConnectionFailed, PeerUnprovenError, RemoteProtocolError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import HELLO_BYTES, NONCE_BYTES, PROOF_BYTES, Exactly, PathProof

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import ILegAcceptor, IStreamLeg, IStreamPath
    from relaykit.values import Secret

__all__ = ["PROOF_S", "open_streams", "streams_over_socket"]

PROOF_S = 20.0
"""Seconds for the peer to prove itself: it may open its streams later than this end does."""

_ROLES = {PeerRole.INITIATOR: MuxRole.CLIENT, PeerRole.RESPONDER: MuxRole.SERVER}


def streams_over_socket(
    poller: Poller,
    plain: socket.socket,
    leftover: bytes,
    role: PeerRole,
    secret: Secret,
    acceptor: ILegAcceptor,
) -> Deferred[IStreamPath]:
    """Streams over a socket, from which ``leftover`` was read already; see :func:`open_streams`."""
    try:
        ends = address_of(plain.getpeername()), address_of(plain.getsockname())
    except OSError as error:
        plain.close()
        return fail(ConnectionFailed(f"the other end of a direct path is gone: {reason_of(error)}"))
    tune(plain)
    leg = SocketLeg(poller, plain, *ends)
    leg.unread(leftover)
    return open_streams(leg, role, secret, acceptor, poller, poller.reactor)


def open_streams(
    leg: IStreamLeg,
    role: PeerRole,
    secret: Secret,
    acceptor: ILegAcceptor,
    poller: Poller,
    clock: IReactorTime,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Deferred[IStreamPath]:
    """Streams over a leg to the peer, which is owned from now on.

    Fails with :class:`relaykit.errors.PeerUnprovenError` or
    :class:`relaykit.errors.ConnectionFailed`.  Cancelling aborts the leg.
    """
    proof = PathProof(secret.to_bytes(), role, entropy(NONCE_BYTES))
    proving = Deferred.fromCoroutine(_prove(leg, proof)).addTimeout(PROOF_S, clock)

    def proven(_: None) -> IStreamPath:
        link = MuxLink(leg, _ROLES[role], poller, clock)
        link.accept_legs(acceptor)
        link.start()
        return link

    def failed(failure: Failure) -> Failure:
        if failure.check(PeerUnprovenError):
            # What this end has shown still arrives: the peer learns the same.
            leg.close()
            return failure
        leg.abort()
        if failure.check(TimeoutError):
            raise ConnectionFailed(f"the other end of a direct path was silent for {PROOF_S:g} seconds")
        if failure.check(RemoteProtocolError):
            raise ConnectionFailed(str(failure.value)) from failure.value
        return failure

    return proving.addCallbacks(proven, failed)


async def _prove(leg: IStreamLeg, proof: PathProof) -> None:
    leg.write(proof.hello)
    hello = await leg.take(Exactly(HELLO_BYTES))
    leg.write(proof.answer(hello))
    proof.check(hello, await leg.take(Exactly(PROOF_BYTES)))

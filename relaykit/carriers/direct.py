"""Streams over a direct path of TCP: TLS 1.3, in which both ends show that they know a secret, then yamux.

The responder shows a certificate that is made for this path and that nobody verifies: what the two ends
trust are the proofs, which hold for this TLS session alone.  So nobody reads on the way, and nobody stands
in between without being found out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, TimeoutError, fail

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.carriers.proving import PROOF_S, prove
from relaykit.certificates.own import self_signed
from relaykit.dataplane.sockets import SocketLeg, address_of, reason_of, tune
from relaykit.dataplane.tls import channel_binding, client_context, server_context, start_tls
from relaykit.errors import (
    ConnectionFailed,
    PeerUnprovenError,
    RemoteProtocolError,
    TransportSecurityError,
)
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import NONCE_BYTES, PathProof

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.tls import TlsContext
    from relaykit.interfaces import ILegAcceptor, ISecureLeg, IStreamLeg, IStreamPath
    from relaykit.values import Secret

__all__ = ["open_streams", "streams_over_socket"]

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
    """Streams over a leg to the peer, which is owned from now on; ``secret`` must not be empty.

    Fails with :class:`relaykit.errors.PeerUnprovenError` or
    :class:`relaykit.errors.ConnectionFailed`.  Cancelling aborts the leg.
    """
    opening = _open(leg, role, secret, acceptor, poller, clock, entropy(NONCE_BYTES))
    opened = Deferred.fromCoroutine(opening).addTimeout(PROOF_S, clock)
    return opened.addErrback(_in_words)


async def _open(
    leg: IStreamLeg,
    role: PeerRole,
    secret: Secret,
    acceptor: ILegAcceptor,
    poller: Poller,
    clock: IReactorTime,
    nonce: bytes,
) -> IStreamPath:
    context, is_server = _context(role), role is PeerRole.RESPONDER
    secured = await start_tls(poller, leg, context, server_side=is_server, timeout_s=PROOF_S)
    try:
        await _prove(secured, secret, role, nonce)
    except PeerUnprovenError:
        # What this end has said still arrives: the peer learns the same.
        secured.close()
        raise
    except Exception:
        secured.abort()
        raise
    link = MuxLink(secured, _ROLES[role], poller, clock)
    link.accept_legs(acceptor)
    link.start()
    return link


def _context(role: PeerRole) -> TlsContext:
    """What this end shows; neither verifies a certificate."""
    if role is PeerRole.INITIATOR:
        return client_context()
    pair = self_signed(datetime.now(UTC))
    return server_context(pair.certificate, pair.key)


async def _prove(leg: ISecureLeg, secret: Secret, role: PeerRole, nonce: bytes) -> None:
    channel = channel_binding(leg)
    if not channel:
        raise ConnectionFailed(
            f"the other end of a direct path speaks {leg.tls_version}, and TLS 1.3 is needed: somebody may "
            "stand in between"
        )
    await prove(leg, PathProof(secret.to_bytes(), role, nonce, channel))


def _in_words(failure: Failure) -> Failure:
    """What failed, as the errors of a path."""
    if failure.check(TimeoutError):
        raise ConnectionFailed(f"the other end of a direct path was silent for {PROOF_S:g} seconds")
    if failure.check(RemoteProtocolError, TransportSecurityError):
        raise ConnectionFailed(f"a direct path could not be used: {failure.value}") from failure.value
    return failure

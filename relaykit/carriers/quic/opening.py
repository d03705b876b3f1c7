"""Streams over datagrams by QUIC: between two ends of relaykit, or with frp's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, TimeoutError
from zope.interface import implementer

from relaykit.carriers.proving import PROOF_S, prove
from relaykit.carriers.quic.adapter import (
    Settings,
    load,
    load_ahead,
    required,
)
from relaykit.carriers.quic.path import QuicPath
from relaykit.certificates.own import self_signed
from relaykit.errors import ConnectionFailed, PeerUnprovenError, RemoteProtocolError
from relaykit.interfaces import IDatagramStreams
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import NONCE_BYTES, PathProof

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.carriers.quic.adapter import Library
    from relaykit.interfaces import IDatagramLeg, ILegAcceptor, IStreamPath, ITurns
    from relaykit.values import Secret

__all__ = [
    "FRP_PROTOCOL",
    "HANDSHAKE_S",
    "IDLE_S",
    "KEEPALIVE_S",
    "PROTOCOL",
    "RELAY_PROTOCOL",
    "FrpQuicStreams",
    "QuicStreams",
]

PROTOCOL: Final = "relaykit"
"""Name by ALPN of streams between two ends of relaykit."""

RELAY_PROTOCOL: Final = "relaykit-relay"
"""Name by ALPN of streams with credit between a client and a server of relaykit, who offer frp's, too."""

FRP_PROTOCOL: Final = "frp"
"""Name by ALPN of frp's streams.  Source: frp."""

IDLE_S: Final = 30.0
"""Seconds of silence after which a connection is lost, as frp's."""

KEEPALIVE_S: Final = 10.0
"""Seconds without a word of the peer after which it is asked for one, as frp does."""

HANDSHAKE_S: Final = 10.0
"""Seconds for the peer to speak QUIC."""


class _Streams:
    """What both kinds have: the responder is QUIC's server, with a certificate that is made for it."""

    def __init__(self, turns: ITurns, clock: IReactorTime, library: Library | None = None) -> None:
        """``library`` is the best that is installed, unless it is given.

        :raises QuicUnavailableError: there is none.
        """
        self._turns = turns
        self._clock = clock
        self._given = library
        if library is None:
            required()

    def prepare(self, role: PeerRole) -> None:
        load_ahead()

    def _path(self, leg: IDatagramLeg, role: PeerRole, acceptor: ILegAcceptor, protocol: str) -> QuicPath:
        """A path that has begun."""
        library = self._given or load()
        ours = protocol == PROTOCOL
        settings = Settings(
            protocols=(protocol,),
            idle_s=IDLE_S,
            key_pair=self_signed(datetime.now(UTC)) if role is PeerRole.RESPONDER else None,
            is_client=role is PeerRole.INITIATOR,
            takes_datagrams=ours,
        )
        connection = library.connection(settings)
        path = QuicPath(
            connection,
            library,
            leg,
            self._turns,
            self._clock,
            KEEPALIVE_S,
            credited_by=PROTOCOL if ours else None,
            proving=ours,
        )
        path.accept_legs(acceptor)
        path.start()
        return path


@implementer(IDatagramStreams)
class FrpQuicStreams(_Streams):
    """The streams of frp's xtcp: no end proves anything, and the visitor alone opens streams.

    A stream is seen by the peer with its first payload.  Source: frp.
    """

    def open_path(
        self, datagrams: IDatagramLeg, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        path = self._path(datagrams, role, acceptor, FRP_PROTOCOL)
        return _or_abort(path, Deferred.fromCoroutine(self._greet(path)))

    async def _greet(self, path: QuicPath) -> IStreamPath:
        await path.handshaken.addTimeout(HANDSHAKE_S, self._clock)
        return path


@implementer(IDatagramStreams)
class QuicStreams(_Streams):
    """Streams between two ends of relaykit, each of which proves that it knows the secret.

    The proof holds for the certificate of this very connection, as each end has it; so nobody stands in
    between without being found out: see :mod:`relaykit.sansio.nat.path_proof`.
    """

    def __init__(
        self,
        turns: ITurns,
        clock: IReactorTime,
        library: Library | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(turns, clock, library)
        self._entropy = entropy

    def open_path(
        self, datagrams: IDatagramLeg, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        """As declared; ``secret`` must not be empty."""
        path = self._path(datagrams, role, acceptor, PROTOCOL)
        proving = Deferred.fromCoroutine(self._prove(path, role, secret))
        return _or_abort(path, proving.addTimeout(PROOF_S, self._clock))

    async def _prove(self, path: QuicPath, role: PeerRole, secret: Secret) -> IStreamPath:
        await path.handshaken.addTimeout(HANDSHAKE_S, self._clock)
        if role is PeerRole.INITIATOR:
            path.open_control()
        leg = await path.control
        channel = hashlib.sha256(path.connection.channel).digest()
        await prove(leg, PathProof(secret.to_bytes(), role, self._entropy(NONCE_BYTES), channel))
        path.proven()
        return path


def _or_abort(path: QuicPath, opening: Deferred[IStreamPath]) -> Deferred[IStreamPath]:
    """The path, or what is wrong with it, in the errors of a path; then it is closed."""

    def failed(failure: Failure) -> Failure:
        if failure.check(PeerUnprovenError):
            # What this end has said still arrives: the peer learns the same.
            path.close()
            return failure
        path.abort()
        if failure.check(TimeoutError):
            raise ConnectionFailed(f"{path.peer} did not answer by QUIC in time")
        if failure.check(RemoteProtocolError):
            raise ConnectionFailed(f"a direct path could not be used: {failure.value}") from failure.value
        return failure

    return opening.addErrback(failed)

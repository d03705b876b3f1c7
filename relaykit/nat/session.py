"""Makes a path to one peer, by one attempt or more.

How candidates reach the peer is the owner's affair: it hands in a function that sends them and tells
what arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from relaykit.errors import RendezvousFailedError
from relaykit.nat.attempt import Attempt, Seen, Terms
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.punching import FailureReason, PunchingFailed
from relaykit.timer import Timer

if TYPE_CHECKING:
    from relaykit.interfaces import IDirectPath
    from relaykit.nat.network import NatReactor
    from relaykit.nat.network_info import NetworkInfo

__all__ = ["ATTEMPTS", "RENDEZVOUS_TIMEOUT_S", "HolePunchingFailedError", "HolePunchingSession"]

ATTEMPTS = 2
"""How often a session tries, each time with other ports: a port that went wrong stays wrong as long
as the peer checks it."""

RENDEZVOUS_TIMEOUT_S = 20.0
"""How long an end waits for the peer's next candidates: lost segments of a control connection cost it
seconds."""


class HolePunchingFailedError(RendezvousFailedError):
    """There is no direct path to the peer; ``reason`` is None if they did not even meet."""

    problem = "hole-punching"

    reason: FailureReason | None

    @classmethod
    def because(cls, reason: FailureReason) -> HolePunchingFailedError:
        """With the reason in words."""
        return cls(_EXPLANATIONS[reason], reason)


class HolePunchingSession:
    """One end of one session that shall become a path.

    Both find out how they are seen.  The initiator sends its candidates first; the responder answers
    when they arrive.  ``send_candidates`` takes them to the peer's :meth:`candidates_received`; both ends
    have the same ``key``, which nobody else has.

    Candidates of a later generation make the responder begin anew, so that the initiator alone decides on
    further attempts.
    """

    log = Logger()

    def __init__(
        self,
        reactor: NatReactor,
        network_info: NetworkInfo,
        role: PeerRole,
        key: bytes,
        send_candidates: Callable[[dict[str, object]], None],
    ) -> None:
        self._terms = Terms(reactor, network_info, role, key)
        self._role = role
        self._send_candidates = send_candidates
        self._attempt: Attempt | None = None
        self._generation = -1
        self._timer = Timer(reactor, self._unanswered)
        self._reactor = reactor
        self._otherwise = ""
        self._result: Deferred[IDirectPath] | None = None

    def start(self) -> Deferred[IDirectPath]:
        """Begins.  Fires with the path; fails with :class:`HolePunchingFailedError`.  Cancelling gives up.

        The path is made of TCP where UDP is blocked and both ends can punch TCP.

        A responder that never hears of the initiator waits for ever: cancel it.
        """
        result: Deferred[IDirectPath] = Deferred(lambda _: self._clean_up())
        self._result = result
        self._begin(0, None)
        return result

    def candidates_received(self, wire: object, seen_at: str = "") -> None:
        """The rendezvous brought the peer's candidates.

        ``seen_at`` is the host that the relay server sees the peer's control connection come from,
        if it tells: of all hosts that a peer may name, this one counts first.

        :raises RemoteProtocolError: it is none.
        """
        if self._result is None:
            return
        candidates = Candidates.from_wire(wire)
        if self._role is PeerRole.RESPONDER and candidates.generation > self._generation:
            self._timer.set(None)
            self._begin(candidates.generation, Seen(candidates, seen_at))
        elif candidates.generation == self._generation and self._attempt:
            self._timer.set(None)
            self._attempt.meet(Seen(candidates, seen_at))

    def _begin(self, generation: int, peer: Seen | None) -> None:
        self._generation = generation
        if self._attempt is not None:
            self._attempt.abandon()
        try:
            self._attempt = Attempt(self._terms, generation, self._on_candidates, self._on_end)
        except CannotListenError as error:
            self._fail(HolePunchingFailedError(f"no UDP socket could be opened: {error}"))
            return
        if peer is not None:
            self._attempt.meet(peer)

    def _on_candidates(self, candidates: Candidates) -> None:
        self._send_candidates(candidates.to_wire())
        if self._role is PeerRole.INITIATOR:
            self._wait("the peer did not answer with its candidates")

    def _wait(self, otherwise: str) -> None:
        """Gives the peer's next candidates their time."""
        self._otherwise = otherwise
        self._timer.set(self._reactor.seconds() + RENDEZVOUS_TIMEOUT_S)

    def _unanswered(self) -> None:
        self._fail(HolePunchingFailedError(self._otherwise))

    def _on_end(self, end: IDirectPath | PunchingFailed) -> None:
        if isinstance(end, PunchingFailed):
            self._failed(end)
            return
        result, self._result = self._result, None
        self._timer.set(None)
        self._attempt = None
        if result is not None:
            result.callback(end)

    def _failed(self, end: PunchingFailed) -> None:
        if end.reason in _FINAL or self._generation + 1 >= ATTEMPTS:
            self._fail(HolePunchingFailedError.because(end.reason))
        elif self._role is PeerRole.INITIATOR:
            self._begin(self._generation + 1, None)
        else:
            self._wait("the peer made no second attempt")

    def _fail(self, error: HolePunchingFailedError) -> None:
        result, self._result = self._result, None
        self._clean_up()
        if result is not None:
            result.errback(error)

    def _clean_up(self) -> None:
        self._result = None
        self._timer.set(None)
        if self._attempt is not None:
            self._attempt.abandon()
            self._attempt = None


_EXPLANATIONS = {
    FailureReason.IMPOSSIBLE: "these two NATs cannot be punched",
    FailureReason.SILENCE: "nothing was heard of the peer",
    FailureReason.ONE_WAY: "datagrams passed in one direction only",
    FailureReason.USELESS: "one end has no QUIC, which makes streams of UDP, and TCP found no way: "
    "install relaykit[quic] on both machines",
}

_FINAL = (FailureReason.IMPOSSIBLE, FailureReason.USELESS)
"""What other ports would not change."""

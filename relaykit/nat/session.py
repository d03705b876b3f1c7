"""Makes a path to one peer, by one attempt or more, and by TCP beside them.

UDP may be let out to STUN servers and nowhere else, so TCP is tried whenever UDP has not worked for a
moment.  Whatever the responder accepts first is the path: it accepts once.

How candidates reach the peer is the owner's affair: it hands in a function that sends them and tells
what arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from relaykit.errors import RendezvousFailedError
from relaykit.nat.attempt import Attempt, Seen, Terms
from relaykit.nat.tcp_attempt import TcpAttempt
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.punching import FailureReason, PunchingFailed
from relaykit.sansio.nat.tcp_punching import TcpPunching
from relaykit.timer import Timer
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import IDirectPath
    from relaykit.nat.network import NatReactor
    from relaykit.nat.network_info import NetworkInfo
    from relaykit.nat.paths import TcpPath, UdpPath

__all__ = [
    "ATTEMPTS",
    "RENDEZVOUS_TIMEOUT_S",
    "TCP_AFTER_S",
    "HolePunchingFailedError",
    "HolePunchingSession",
]

ATTEMPTS = 2
"""How often a session tries, each time with other ports: a port that went wrong stays wrong as long
as the peer checks it."""

TCP_AFTER_S = 1.0
"""When TCP is tried beside UDP that has not worked yet; at once where UDP is blocked or of no use."""

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
        self._tcp_due = Timer(reactor, self._begin_tcp)
        self._tcp_targets: Sequence[Address] | None = None
        self._tcp: Deferred[TcpPath] | None = None
        self._udp_failure: PunchingFailed | None = None
        self._result: Deferred[IDirectPath] | None = None

    def start(self) -> Deferred[IDirectPath]:
        """Begins.  Fires with the path; fails with :class:`HolePunchingFailedError`.  Cancelling gives up.

        The path is made of TCP where UDP does not work and both ends can punch TCP.

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
            self._attempt = Attempt(
                self._terms, generation, self._on_candidates, self._on_punching, self._on_end
            )
        except (CannotListenError, OSError) as error:
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

    # --- UDP

    def _on_punching(self) -> None:
        """The first attempt knows the peer: TCP has its turn soon, or at once."""
        assert self._attempt is not None
        if self._tcp_targets is None:
            self._tcp_targets = self._attempt.tcp_targets
            if self._tcp_targets:
                delay_s = 0.0 if self._attempt.needs_tcp else TCP_AFTER_S
                self._tcp_due.set(self._reactor.seconds() + delay_s)

    def _on_end(self, end: UdpPath | PunchingFailed) -> None:
        if isinstance(end, PunchingFailed):
            self._udp_failed(end)
        else:
            self._attempt = None
            self._succeed(end)

    def _udp_failed(self, end: PunchingFailed) -> None:
        assert self._attempt is not None
        is_final = end.reason in _FINAL
        if not is_final and self._generation + 1 < ATTEMPTS:
            if self._role is PeerRole.INITIATOR:
                self._begin(self._generation + 1, None)
            else:
                self._wait("the peer made no second attempt")
        elif self._is_tcp_ahead and (self._attempt.needs_tcp or not is_final):
            self._udp_failure = end
        else:
            self._fail(HolePunchingFailedError.because(end.reason))

    # --- TCP

    @property
    def _is_tcp_ahead(self) -> bool:
        """Whether TCP is under way, or will be."""
        return self._tcp is not None or self._tcp_due.is_set

    def _begin_tcp(self) -> None:
        terms = self._terms
        targets = self._tcp_targets or ()
        core = TcpPunching(terms.role, targets, terms.key, terms.network_info.entropy)
        tcp = self._tcp = TcpAttempt(terms.reactor, terms.network_info, core, terms.role).start()
        tcp.addCallbacks(self._on_tcp_punched, self._on_tcp_failed)
        tcp.addErrback(lambda failure: self.log.failure("a defect where TCP was punched", failure))

    def _on_tcp_punched(self, path: TcpPath) -> None:
        self._tcp = None
        self._succeed(path)

    def _on_tcp_failed(self, _: Failure) -> None:
        self._tcp = None
        if self._udp_failure is not None:
            self._fail(HolePunchingFailedError.because(self._udp_failure.reason))

    # --- the end

    def _succeed(self, path: IDirectPath) -> None:
        result, self._result = self._result, None
        self._clean_up()
        if result is not None:
            result.callback(path)

    def _fail(self, error: HolePunchingFailedError) -> None:
        result, self._result = self._result, None
        self._clean_up()
        if result is not None:
            result.errback(error)

    def _clean_up(self) -> None:
        self._result = None
        self._timer.set(None)
        self._tcp_due.set(None)
        tcp, self._tcp = self._tcp, None
        if tcp is not None:
            tcp.cancel()
        if self._attempt is not None:
            self._attempt.abandon()
            self._attempt = None


_FINAL = (FailureReason.IMPOSSIBLE, FailureReason.USELESS, FailureReason.NO_SOCKETS)
"""What another attempt would not change, and TCP only where UDP is not to be had: NATs treat both alike."""

_EXPLANATIONS = {
    FailureReason.IMPOSSIBLE: "these two NATs cannot be punched",
    FailureReason.SILENCE: "nothing was heard of the peer",
    FailureReason.ONE_WAY: "datagrams passed in one direction only",
    FailureReason.USELESS: "one end has no QUIC, which makes streams of UDP, and TCP found no way: "
    "install relaykit[quic] on both machines",
    FailureReason.NO_SOCKETS: "one end could not open the sockets that this takes: raise its limit of open "
    "files, which ulimit -n shows",
}

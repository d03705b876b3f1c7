"""Makes a path to one peer: finds out how this end is seen, meets the peer, punches.

The cores decide everything; this opens sockets, and carries offers between the rendezvous and the
cores.  How an offer reaches the peer is the owner's affair: it hands in a function that sends one
and tells what arrives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from relaykit.errors import MeetingFailed
from relaykit.nat.driving import DatagramDriver
from relaykit.nat.paths import PunchedPath, UdpPair
from relaykit.nat.stream_punch import PunchedStream, StreamTraversal
from relaykit.sansio.nat.behavior import MappingDiscovery, NatBehavior
from relaykit.sansio.nat.candidates import (
    CANDIDATES_MAX,
    UNINTERESTING_INTERFACES,
    Candidate,
    CandidateKind,
    admitted,
    host_candidates,
    is_internet,
)
from relaykit.sansio.nat.knocks import Role
from relaykit.sansio.nat.offers import Offer
from relaykit.sansio.nat.pairing import NatView, Shape, shape_of
from relaykit.sansio.nat.punching import (
    OPENING_TTL,
    FailureReason,
    Punch,
    Punched,
    PunchEvent,
    PunchFailed,
    SocketsWanted,
)
from relaykit.sansio.nat.stream_punching import StreamPunch
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from relaykit.nat.network import HostNetwork, NatReactor
    from relaykit.nat.sockets import UdpSocket

__all__ = [
    "ATTEMPTS",
    "MAPPING_WAIT_S",
    "RENDEZVOUS_TIMEOUT_S",
    "SIX_WAIT_S",
    "PortMapping",
    "Surroundings",
    "Traversal",
    "TraversalFailed",
]

ATTEMPTS = 2
"""How often a session tries, each time with other ports: a port that went wrong stays wrong as long
as the peer knocks at it."""

RENDEZVOUS_TIMEOUT_S = 20.0
"""How long an end waits for the peer's next offer: lost segments of a control connection cost it
seconds."""

SIX_WAIT_S = 0.2
"""How long the offer waits for STUN over IPv6 once that over IPv4 is done: where it works, it is as quick."""

MAPPING_WAIT_S = 0.2
"""How long the offer waits for a router that maps ports: those that are known answer at once."""


class TraversalFailed(MeetingFailed):
    """There is no direct path to the peer; ``reason`` is None if they did not even meet."""

    problem = "traversal"

    reason: FailureReason | None

    @classmethod
    def because(cls, reason: FailureReason) -> TraversalFailed:
        """With the reason in words."""
        return cls(_EXPLANATIONS[reason], reason)


class PortMapping(Protocol):
    """Maps ports of this machine, where the router does such things."""

    def map(self, port: int) -> Deferred[Sequence[Address]]:
        """Fires with the external addresses of a UDP port, maybe none."""

    def release(self, port: int) -> None:
        """Gives a port back."""


@frozen(kw_only=True)
class Surroundings:
    """What a client knows of the network that it is in, and what it may do there.

    ``stun_servers`` are numeric addresses; of IPv4 two hosts tell most, two ports of one host less.
    """

    network: HostNetwork
    stun_servers: Sequence[Address] = ()
    behavior: NatBehavior | None = None
    """What a thorough discovery found earlier."""
    ignored_interfaces: Sequence[str] = UNINTERESTING_INTERFACES
    opening_ttl: int = OPENING_TTL
    internet: Callable[[str], bool] = is_internet
    """Tells public addresses; a laboratory has others."""
    mapper: PortMapping | None = None
    """What asks the router to map ports; usually a :class:`relaykit.nat.mapping.PortMapper`."""
    stream_port: int = 0
    """The local TCP port of the control connection, if it is shared by
    :func:`relaykit.nat.stream_punch.share_port`."""
    stream_seen_as: Address | None = None
    """Where the relay server sees the control connection come from."""
    entropy: Callable[[int], bytes] = os.urandom
    seconds: Callable[[], float] = time.monotonic


@frozen
class _Session:
    """What stays the same over all attempts."""

    reactor: NatReactor
    surroundings: Surroundings
    role: Role
    key: bytes = field(repr=False)


class Traversal:
    """One end of one session that shall become a path.

    Both find out how they are seen.  The caller sends the first offer; the callee answers when that
    arrives.  ``send_offer`` takes an offer to the peer's :meth:`offer_received`; both ends have the
    same ``key``, which nobody else has.

    Offers of a later generation make the callee begin anew, so that the caller alone decides on
    further attempts.
    """

    log = Logger()

    def __init__(
        self,
        reactor: NatReactor,
        surroundings: Surroundings,
        role: Role,
        key: bytes,
        send_offer: Callable[[dict[str, object]], None],
    ) -> None:
        self._session = _Session(reactor, surroundings, role, key)
        self._role = role
        self._send_offer = send_offer
        self._attempt: _Attempt | None = None
        self._generation = -1
        self._timer: IDelayedCall | None = None
        self._result: Deferred[PunchedPath | PunchedStream] | None = None

    def start(self) -> Deferred[PunchedPath | PunchedStream]:
        """Begins.  Fires with the path; fails with :class:`TraversalFailed`.  Cancelling gives up.

        The path is a stream where UDP is blocked and both ends can punch TCP.

        A callee that never hears of the caller waits for ever: cancel it.
        """
        result = self._result = Deferred[PunchedPath | PunchedStream](lambda _: self._clean_up())
        self._begin(0, None)
        return result

    def offer_received(self, wire: object, seen_at: str = "") -> None:
        """The rendezvous brought the peer's offer.

        ``seen_at`` is the host that the relay server sees the peer's control connection come from,
        if it tells: of all hosts that a peer may name, this one counts first.

        :raises RemoteProtocolError: it is none.
        """
        if self._result is None:
            return
        offer = Offer.from_wire(wire)
        if self._role is Role.CALLEE and offer.generation > self._generation:
            self._stop_timer()
            self._begin(offer.generation, _Seen(offer, seen_at))
        elif offer.generation == self._generation and self._attempt:
            self._stop_timer()
            self._attempt.meet(_Seen(offer, seen_at))

    def _begin(self, generation: int, peer: _Seen | None) -> None:
        self._generation = generation
        if self._attempt is not None:
            self._attempt.abandon()
        try:
            self._attempt = _Attempt(self._session, generation, self._offered, self._ended)
        except CannotListenError as error:
            self._fail(TraversalFailed(f"no UDP socket could be opened: {error}"))
            return
        if peer is not None:
            self._attempt.meet(peer)

    def _offered(self, offer: Offer) -> None:
        self._send_offer(offer.to_wire())
        if self._role is Role.CALLER:
            self._wait("the peer did not answer the offer")

    def _wait(self, otherwise: str) -> None:
        """Gives the peer's next offer its time."""
        self._stop_timer()
        self._timer = self._session.reactor.callLater(RENDEZVOUS_TIMEOUT_S, self._unanswered, otherwise)

    def _unanswered(self, text: str) -> None:
        self._timer = None
        self._fail(TraversalFailed(text))

    def _ended(self, end: PunchedPath | PunchedStream | PunchFailed) -> None:
        if isinstance(end, PunchFailed):
            self._failed(end)
            return
        result, self._result = self._result, None
        self._stop_timer()
        self._attempt = None
        if result is not None:
            result.callback(end)

    def _failed(self, end: PunchFailed) -> None:
        if end.reason is FailureReason.IMPOSSIBLE or self._generation + 1 >= ATTEMPTS:
            self._fail(TraversalFailed.because(end.reason))
        elif self._role is Role.CALLER:
            self._begin(self._generation + 1, None)
        else:
            self._wait("the peer made no second attempt")

    def _fail(self, error: TraversalFailed) -> None:
        result, self._result = self._result, None
        self._clean_up()
        if result is not None:
            result.errback(error)

    def _clean_up(self) -> None:
        self._result = None
        self._stop_timer()
        if self._attempt is not None:
            self._attempt.abandon()
            self._attempt = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_EXPLANATIONS = {
    FailureReason.IMPOSSIBLE: "these two NATs cannot be punched",
    FailureReason.SILENCE: "nothing was heard of the peer",
    FailureReason.ONE_WAY: "datagrams passed in one direction only",
}


@frozen
class _Seen:
    """A peer's offer, and where the relay server sees the peer."""

    offer: Offer
    seen_at: str


class _Attempt:
    """One set of sockets: asks the STUN servers, offers, punches."""

    log = Logger()

    def __init__(
        self,
        session: _Session,
        generation: int,
        on_offer: Callable[[Offer], None],
        on_end: Callable[[PunchedPath | PunchedStream | PunchFailed], None],
    ) -> None:
        self._session = session
        self._surroundings = session.surroundings
        self._network = session.surroundings.network
        self._generation = generation
        self._on_offer = on_offer
        self._on_end = on_end
        self._interfaces = self._network.interfaces()
        self._pairs = [UdpPair(self._network, any(":" in each.host for each in self._interfaces))]
        self._own: Offer | None = None
        self._peer: _Seen | None = None
        self._asking: dict[bool, DatagramDriver[NatBehavior]] = {}
        self._seen: dict[bool, NatBehavior] = {}
        self._overdue: IDelayedCall | None = None
        self._driver: DatagramDriver[PunchEvent] | None = None
        self._mapped: Deferred[Sequence[Address]] | None = None
        self._streaming: Deferred[PunchedStream] | None = None
        self._path: PunchedPath | None = None
        self._abandoned = False
        self._ask()

    def meet(self, peer: _Seen) -> None:
        """The peer's offer is there; punches as soon as the own one is, too."""
        if self._peer is None:
            self._peer = peer
            if self._own is not None:
                if self._session.role is Role.CALLEE:
                    self._on_offer(self._own)
                self._punch(self._own, peer.offer)

    def abandon(self) -> None:
        """Stops everything and closes all sockets."""
        if self._abandoned:
            return
        self._abandoned = True
        self._stop_asking()
        if self._driver is not None:
            self._driver.stop()
        if self._mapped is not None:
            self._mapped.cancel()
        if self._streaming is not None:
            self._streaming.cancel()
        self._release()
        for pair in self._pairs:
            pair.close()

    def _release(self) -> None:
        """Gives the mapped port back."""
        if self._surroundings.mapper is not None:
            self._surroundings.mapper.release(self._pairs[0].four.address.port)

    # --- how this end is seen

    def _ask(self) -> None:
        if self._surroundings.mapper is not None:
            self._mapped = self._surroundings.mapper.map(self._pairs[0].four.address.port)
            self._mapped.addTimeout(MAPPING_WAIT_S, self._session.reactor)
        for each in self._pairs[0]:
            self._ask_through(each)
        if not self._asking:
            self._asked()
        for driver in list(self._asking.values()):
            driver.start()

    def _ask_through(self, own: UdpSocket) -> None:
        """Asks the servers of a socket's family."""
        is_six = ":" in own.address.host
        servers = [each for each in self._surroundings.stun_servers if (":" in each.host) == is_six]
        host = self._network.local_host_towards(servers[0]) if servers else ""
        if not host:
            return
        core = MappingDiscovery(servers, [Address(host, own.address.port)], self._surroundings.entropy)
        seconds = self._surroundings.seconds
        self._asking[is_six] = DatagramDriver(
            core, [own], self._session.reactor, partial(self._answered, is_six), seconds
        )
        core.start(seconds())

    def _answered(self, is_six: bool, behavior: NatBehavior) -> None:
        """What a family's servers saw; IPv6 is not waited for as long as IPv4, which says what is blocked."""
        self._seen[is_six] = behavior
        if len(self._seen) == len(self._asking):
            self._asked()
        elif not is_six:
            self._overdue = self._session.reactor.callLater(SIX_WAIT_S, self._asked)

    def _asked(self) -> None:
        self._stop_asking()
        found = [self._seen[is_six] for is_six in (False, True) if is_six in self._seen]
        reflexive = [each.mapped for each in found if each.mapped is not None]
        view = NatView.of(found[0] if found else NatBehavior(udp_works=False), self._surroundings.behavior)
        if self._mapped is None:
            self._offer(view, reflexive, ())
        else:
            self._mapped.addErrback(lambda _: ())
            self._mapped.addCallback(partial(self._offer, view, reflexive))

    def _stop_asking(self) -> None:
        if self._overdue is not None and self._overdue.active():
            self._overdue.cancel()
        self._overdue = None
        for driver in self._asking.values():
            driver.stop()

    def _offer(self, view: NatView, reflexive: Sequence[Address], mapped: Sequence[Address]) -> None:
        if self._abandoned:
            return
        self._mapped = None
        candidates = [Candidate(CandidateKind.REFLEXIVE, each) for each in reflexive]
        candidates += [Candidate(CandidateKind.MAPPED, each) for each in mapped]
        for each in self._pairs[0]:
            is_six = ":" in each.address.host
            candidates += host_candidates(
                [one for one in self._interfaces if (":" in one.host) == is_six],
                each.address.port,
                self._surroundings.ignored_interfaces,
            )
        self._own = Offer(view, tuple(candidates[:CANDIDATES_MAX]), self._generation, tuple(self._streams()))
        if self._session.role is Role.CALLER or self._peer is not None:
            self._on_offer(self._own)
        if self._peer is not None:
            self._punch(self._own, self._peer.offer)

    def _streams(self) -> Iterator[Candidate]:
        """Where this end can be reached by TCP."""
        port, seen_as = self._surroundings.stream_port, self._surroundings.stream_seen_as
        if port and seen_as is not None:
            yield Candidate(CandidateKind.REFLEXIVE, seen_as)
            four = [one for one in self._interfaces if ":" not in one.host]
            yield from host_candidates(four, port, self._surroundings.ignored_interfaces)

    # --- punching

    def _punch(self, own: Offer, peer: Offer) -> None:
        if self._abandoned:
            return
        self._compare(peer)
        targets = self._admitted(peer.candidates)
        core = Punch(
            self._session.role,
            own,
            peer,
            targets,
            self._session.key,
            self._surroundings.entropy,
            self._surroundings.opening_ttl,
        )
        self._driver = driver = DatagramDriver[PunchEvent](
            core,
            self._pairs,
            self._session.reactor,
            lambda event: self._punched(core, driver, event),
            self._surroundings.seconds,
        )
        core.start(driver.now)
        driver.start()

    def _compare(self, peer: Offer) -> None:
        """Notes where a peer is elsewhere for its datagrams than for its control connection."""
        seen_at = "" if self._peer is None else self._peer.seen_at
        said = {
            each.address.host
            for each in peer.candidates
            if each.kind is CandidateKind.REFLEXIVE and (":" in each.address.host) == (":" in seen_at)
        }
        if seen_at and said and seen_at not in said:
            self.log.debug(
                "a peer that the relay server sees at {seen_at} says that its datagrams come from {said}",
                seen_at=seen_at,
                said=", ".join(sorted(said)),
            )

    def _punched(self, core: Punch, driver: DatagramDriver[PunchEvent], event: PunchEvent) -> None:
        if isinstance(event, SocketsWanted):
            self._open_more(event.count)
            driver.add(self._pairs[1:])
            core.opened(len(self._pairs))
        elif isinstance(event, Punched):
            winner = self._pairs[event.via]
            for pair in self._pairs:
                if pair is not winner:
                    pair.close()
            kept = winner.keep(event.peer)
            is_mapped = kept is self._pairs[0].four
            if not is_mapped:
                self._release()
            release = self._release if is_mapped else None
            self._path = PunchedPath(kept, event, self._session.role, driver, release)
            self._on_end(self._path)
        elif isinstance(event, PunchFailed):
            driver.stop()
            self._failed(event)
        else:
            assert self._path is not None
            self._path.went_silent()

    def _failed(self, failure: PunchFailed) -> None:
        """UDP does not work; where it is blocked, TCP may."""
        assert self._own is not None and self._peer is not None
        shapes = (shape_of(self._own.nat), shape_of(self._peer.offer.nat))
        targets = self._admitted(self._peer.offer.streams)
        if Shape.BLOCKED not in shapes or not self._own.streams or not targets:
            self.abandon()
            self._on_end(failure)
            return
        session = self._session
        core = StreamPunch(
            session.role, [each.address for each in targets], session.key, self._surroundings.entropy
        )
        traversal = StreamTraversal(
            session.reactor,
            self._network,
            self._surroundings.stream_port,
            core,
            session.role,
            self._surroundings.seconds,
        )
        self._streaming = traversal.start()
        self._streaming.addCallbacks(self._streamed, lambda why: self._not_streamed(failure, why))

    def _streamed(self, stream: PunchedStream) -> None:
        self._streaming = None
        self.abandon()
        self._on_end(stream)

    def _not_streamed(self, failure: PunchFailed, why: Failure) -> None:
        self._streaming = None
        if not self._abandoned:
            self.abandon()
            self._on_end(failure)

    def _admitted(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Those of the peer's candidates that may be sent to."""
        assert self._own is not None and self._peer is not None
        same_site = _share_a_site(self._own, self._peer.offer)
        internet, seen_at = self._surroundings.internet, self._peer.seen_at
        return admitted(candidates, self._interfaces, same_site, internet, seen_at)

    def _open_more(self, count: int) -> None:
        try:
            while len(self._pairs) < count:
                self._pairs.append(UdpPair(self._network, with_six=False))
        except CannotListenError:
            return


def _share_a_site(own: Offer, peer: Offer) -> bool:
    """Whether both are seen from one public address, and so may reach each other inside."""
    hosts = [
        {
            each.address.host
            for each in (*offer.candidates, *offer.streams)
            if each.kind is CandidateKind.REFLEXIVE
        }
        for offer in (own, peer)
    ]
    return bool(hosts[0] & hosts[1])

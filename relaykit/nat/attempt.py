"""One attempt at a path of UDP to a peer: asks how this end is seen, exchanges candidates, punches.

The cores decide everything; this opens sockets, and runs the cores over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from relaykit.nat.driving import DatagramDriver
from relaykit.nat.paths import UdpPath
from relaykit.nat.udp_pair import UdpPair
from relaykit.sansio.nat.behavior import OTHERS_S, Mapping, MappingDiscovery, NatBehavior
from relaykit.sansio.nat.candidates import (
    CANDIDATES_MAX,
    Candidate,
    CandidateKind,
    admitted,
    host_candidates,
)
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.keeping import PathMoved
from relaykit.sansio.nat.pairing import NatType, NatView, nat_type_of
from relaykit.sansio.nat.punching import (
    FailureReason,
    HolePunching,
    Punched,
    PunchingEvent,
    PunchingFailed,
    SocketsWanted,
)
from relaykit.timer import Timer
from relaykit.values import Address, PathProtocol

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.nat.network import NatReactor
    from relaykit.nat.network_info import NetworkInfo
    from relaykit.nat.sockets import UdpSocket

__all__ = ["MAPPING_WAIT_S", "SIX_WAIT_S", "Attempt", "Seen", "Terms"]

SIX_WAIT_S = 0.2
"""How long the candidates wait for STUN over IPv6 once that over IPv4 is done: usually it is as quick."""

MAPPING_WAIT_S = 0.2
"""How long the candidates wait for a router that maps ports: those that are known answer at once."""


@frozen
class Terms:
    """What stays the same over all attempts."""

    reactor: NatReactor
    network_info: NetworkInfo
    role: PeerRole
    key: bytes = field(repr=False)


@frozen
class Seen:
    """A peer's candidates, and where the relay server sees the peer."""

    candidates: Candidates
    seen_at: str


class Attempt:
    """One set of sockets: asks the STUN servers, sends candidates, punches."""

    log = Logger()

    def __init__(
        self,
        terms: Terms,
        generation: int,
        on_candidates: Callable[[Candidates], None],
        on_punching: Callable[[], None],
        on_end: Callable[[UdpPath | PunchingFailed], None],
    ) -> None:
        """``on_punching`` is called when both ends' candidates are there."""
        self._terms = terms
        self._network_info = terms.network_info
        self._network = terms.network_info.network
        self._generation = generation
        self._on_candidates = on_candidates
        self._on_punching = on_punching
        self._on_end = on_end
        self._interfaces = self._network.interfaces()
        self._pairs = [UdpPair(self._network, any(":" in each.host for each in self._interfaces))]
        self._own: Candidates | None = None
        self._peer: Seen | None = None
        self._asking: dict[bool, DatagramDriver[NatBehavior]] = {}
        self._seen: dict[bool, NatBehavior] = {}
        self._overdue = Timer(terms.reactor, self._asked)
        self._driver: DatagramDriver[PunchingEvent] | None = None
        self._mapped: Deferred[Sequence[Address]] | None = None
        self._path: UdpPath | None = None
        self._abandoned = False
        self._granted = 0
        self._ask()

    def meet(self, peer: Seen) -> None:
        """The peer's candidates are there; punches as soon as the own ones are, too."""
        if self._peer is None:
            self._peer = peer
            if self._own is not None:
                if self._terms.role is PeerRole.RESPONDER:
                    self._on_candidates(self._own)
                self._punch(self._own, peer.candidates)

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
        self._release()
        for pair in self._pairs:
            pair.close()
        self._give_back()

    @property
    def needs_tcp(self) -> bool:
        """Whether one of the two networks lets no UDP out, or UDP is of no use to one end."""
        assert self._own is not None and self._peer is not None
        own, peer = self._own, self._peer.candidates
        is_blocked = NatType.BLOCKED in (nat_type_of(own.nat), nat_type_of(peer.nat))
        return is_blocked or not own.agrees(peer, PathProtocol.UDP)

    @property
    def tcp_targets(self) -> Sequence[Address]:
        """Where the peer may be reached by TCP, if this end can be, too."""
        assert self._own is not None and self._peer is not None
        is_of_use = self._own.tcp and self._own.agrees(self._peer.candidates, PathProtocol.TCP)
        targets = self._admitted(self._peer.candidates.tcp) if is_of_use else ()
        return [each.address for each in targets]

    def _release(self) -> None:
        """Gives the mapped port back."""
        if self._network_info.mapper is not None:
            self._network_info.mapper.release(self._pairs[0].four.address.port)

    # --- how this end is seen

    def _ask(self) -> None:
        if self._network_info.mapper is not None:
            self._mapped = self._network_info.mapper.map(self._pairs[0].four.address.port)
            self._mapped.addTimeout(MAPPING_WAIT_S, self._terms.reactor)
            self._mapped.addErrback(lambda _: ())
        for each in self._pairs[0]:
            self._ask_through(each)
        if not self._asking:
            self._asked()
        for driver in list(self._asking.values()):
            driver.start()

    def _ask_through(self, own: UdpSocket) -> None:
        """Asks the servers of a socket's family."""
        is_six = ":" in own.address.host
        servers = [each for each in self._network_info.stun_servers if (":" in each.host) == is_six]
        host = self._network.local_host_towards(servers[0]) if servers else ""
        if not host:
            return
        seconds, entropy = self._network_info.seconds, self._network_info.entropy
        core = MappingDiscovery(servers, [Address(host, own.address.port)], entropy, self._others_s())
        self._asking[is_six] = DatagramDriver(
            core, [own], self._terms.reactor, partial(self._on_behavior, is_six), seconds
        )
        core.start(seconds())

    def _others_s(self) -> float:
        """How long further servers are waited for.  Where they would only say what is known already, which is
        believed once, one that does not answer costs next to nothing.
        """
        known = self._network_info.behavior
        is_known = known is not None and known.mapping is Mapping.ENDPOINT_INDEPENDENT
        return 0.0 if is_known and self._generation == 0 else OTHERS_S

    def _on_behavior(self, is_six: bool, behavior: NatBehavior) -> None:
        """What a family's servers saw; IPv6 is not waited for as long as IPv4, which says what is blocked."""
        self._seen[is_six] = behavior
        if len(self._seen) == len(self._asking):
            self._asked()
        elif not is_six:
            self._overdue.set(self._terms.reactor.seconds() + SIX_WAIT_S)

    def _asked(self) -> None:
        self._stop_asking()
        found = [self._seen[is_six] for is_six in (False, True) if is_six in self._seen]
        reflexive = [each.mapped for each in found if each.mapped is not None]
        view = NatView.of(found[0] if found else NatBehavior(udp_works=False), self._network_info.behavior)
        if self._mapped is None:
            self._announce(view, reflexive, ())
        else:
            self._mapped.addCallback(partial(self._announce, view, reflexive)).addErrback(self._defect)

    def _stop_asking(self) -> None:
        self._overdue.stop()
        for driver in self._asking.values():
            driver.stop()

    def _announce(self, view: NatView, reflexive: Sequence[Address], mapped: Sequence[Address]) -> None:
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
                self._network_info.ignored_interfaces,
            )
        self._own = Candidates(
            view,
            tuple(candidates[:CANDIDATES_MAX]),
            self._generation,
            tuple(self._tcp_candidates()),
            self._network_info.protocols,
        )
        if self._terms.role is PeerRole.INITIATOR or self._peer is not None:
            self._on_candidates(self._own)
        if self._peer is not None:
            self._punch(self._own, self._peer.candidates)

    def _tcp_candidates(self) -> Iterator[Candidate]:
        """Where this end can be reached by TCP."""
        port, seen_as = self._network_info.stream_port, self._network_info.stream_seen_as
        if port and seen_as is not None:
            yield Candidate(CandidateKind.REFLEXIVE, seen_as)
            four = [one for one in self._interfaces if ":" not in one.host]
            yield from host_candidates(four, port, self._network_info.ignored_interfaces)

    # --- punching

    def _punch(self, own: Candidates, peer: Candidates) -> None:
        if self._abandoned:
            return
        self._compare(peer)
        self._on_punching()
        if not own.agrees(peer, PathProtocol.UDP):
            self.abandon()
            self._on_end(PunchingFailed(FailureReason.USELESS, 0.0))
            return
        targets = self._admitted(peer.udp)
        core = HolePunching(
            self._terms.role,
            own,
            peer,
            targets,
            self._terms.key,
            self._network_info.entropy,
            self._network_info.opening_ttl,
            self._mapping_life_s(),
        )
        self._driver = driver = DatagramDriver[PunchingEvent](
            core,
            self._pairs,
            self._terms.reactor,
            lambda event: self._on_event(core, driver, event),
            self._network_info.seconds,
        )
        core.start(driver.now)
        driver.start()

    def _mapping_life_s(self) -> float | None:
        """How long an idle mapping of the own NAT was seen to live."""
        behavior = self._network_info.behavior
        return None if behavior is None or behavior.lifetime is None else behavior.lifetime.at_least_s

    def _compare(self, peer: Candidates) -> None:
        """Notes where a peer is elsewhere for its datagrams than for its control connection."""
        seen_at = "" if self._peer is None else self._peer.seen_at
        said = {
            each.address.host
            for each in peer.udp
            if each.kind is CandidateKind.REFLEXIVE and (":" in each.address.host) == (":" in seen_at)
        }
        if seen_at and said and seen_at not in said:
            self.log.debug(
                "a peer that the relay server sees at {seen_at} says that its datagrams come from {said}",
                seen_at=seen_at,
                said=", ".join(sorted(said)),
            )

    def _on_event(
        self, core: HolePunching, driver: DatagramDriver[PunchingEvent], event: PunchingEvent
    ) -> None:
        if isinstance(event, SocketsWanted):
            self._open_more(event.count)
            driver.add(self._pairs[1:])
            core.opened(len(self._pairs))
        elif isinstance(event, Punched):
            self._path = self._path_of(core, driver, event)
            self._on_end(self._path)
        elif isinstance(event, PunchingFailed):
            driver.stop()
            self.abandon()
            self._on_end(event)
        elif isinstance(event, PathMoved):
            assert self._path is not None
            self._path.move(event.peer)
        else:
            assert self._path is not None
            self._path.lose()

    def _path_of(self, core: HolePunching, driver: DatagramDriver[PunchingEvent], event: Punched) -> UdpPath:
        """The path over the socket that has won; the others are closed."""
        winner = self._pairs[event.via]
        for pair in self._pairs:
            if pair is not winner:
                pair.close()
        self._give_back()
        kept = winner.keep(event.peer)
        is_mapped = kept is self._pairs[0].four
        if not is_mapped:
            self._release()

        def suspect(source: Address) -> None:
            core.suspect(source, event.via, driver.now)
            driver.step()

        release = self._release if is_mapped else None
        over = self._network_info.datagram_streams
        return UdpPath(kept, event, self._terms.role, driver, release, over, suspect)

    def _defect(self, failure: Failure) -> None:
        self.log.failure("a defect in an attempt at a path", failure)

    def _admitted(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Those of the peer's candidates that may be sent to."""
        assert self._own is not None and self._peer is not None
        same_site = _share_a_site(self._own, self._peer.candidates)
        internet, seen_at = self._network_info.internet, self._peer.seen_at
        return admitted(candidates, self._interfaces, same_site, internet, seen_at)

    def _open_more(self, count: int) -> None:
        """Opens further sockets, as many as there may be."""
        granted = self._network_info.allowance.take(count - len(self._pairs))
        self._granted += granted
        try:
            for _ in range(granted):
                self._pairs.append(UdpPair(self._network, with_six=False))
        except CannotListenError:
            return

    def _give_back(self) -> None:
        granted, self._granted = self._granted, 0
        self._network_info.allowance.give_back(granted)


def _share_a_site(own: Candidates, peer: Candidates) -> bool:
    """Whether both are seen from one public address, and so may reach each other inside."""
    hosts = [
        {each.address.host for each in (*each_end.udp, *each_end.tcp) if each.kind is CandidateKind.REFLEXIVE}
        for each_end in (own, peer)
    ]
    return bool(hosts[0] & hosts[1])

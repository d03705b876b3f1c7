"""Two machines behind NATs in memory that ask, meet and punch, for tests of all of it at once."""

from __future__ import annotations

from attrs import define, evolve, frozen

from relaykit.sansio.nat.behavior import (
    Filtering,
    Mapping,
    MappingDiscovery,
    NatBehavior,
    PortAllocation,
    Ports,
)
from relaykit.sansio.nat.candidates import Candidate, CandidateKind, Interface, admitted
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.pairing import NatView
from relaykit.sansio.nat.punching import HolePunching, Punched, PunchingEvent, PunchingFailed, SocketsWanted
from relaykit.testing.natlab import Lab, LabMachine, LabNat, LabNode
from relaykit.values import Address

__all__ = ["GRID", "KINDS", "Kind", "Outcome", "Side", "make_side", "punch"]

GRID = [
    Address("203.0.113.2", 3478),
    Address("203.0.113.2", 3479),
    Address("203.0.113.3", 3478),
    Address("203.0.113.3", 3479),
]
KEY = bytes(range(32))


@frozen
class Kind:
    """A NAT by its behaviors."""

    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT
    allocation: PortAllocation = PortAllocation.PRESERVED
    public: bool = False
    keeps_unsolicited: bool = False
    blocks_udp: bool = False
    hairpin: bool = False
    block: tuple[int, int] = (20480, 21503)


_E, _A, _P = Filtering.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT
_EVERY = Mapping.ADDRESS_AND_PORT_DEPENDENT

KINDS = {
    "none": Kind(public=True),
    "full": Kind(filtering=_E),
    "addr": Kind(filtering=_A),
    "port": Kind(),
    "portshift": Kind(allocation=PortAllocation.RANDOM),
    "symaddr": Kind(Mapping.ADDRESS_DEPENDENT, _P, PortAllocation.RANDOM),
    "symseq": Kind(_EVERY, _P, PortAllocation.STEPPED),
    "symblk": Kind(_EVERY, _P, PortAllocation.BLOCK),
    "symrnd": Kind(_EVERY, _P, PortAllocation.RANDOM),
    "udpblock": Kind(blocks_udp=True),
}


@define
class Side:
    """One machine, its NAT and its candidates."""

    machine: LabMachine
    nat: LabNat | None
    port: int
    kind: Kind
    candidates: Candidates
    interfaces: list[Interface]


@frozen
class Outcome:
    """How a punch ended at both ends, the time it took since the first end began, and what it cost."""

    initiator: PunchingEvent | None
    responder: PunchingEvent | None
    seconds: float
    sent: int

    @property
    def worked(self) -> bool:
        """Whether both ends have a path."""
        return isinstance(self.initiator, Punched) and isinstance(self.responder, Punched)


def make_side(
    lab: Lab,
    kind: Kind,
    number: int,
    servers: list[Address],
    behind: LabNat | None = None,
    nat: LabNat | None = None,
    host: str = "",
    mapped: list[Address] | None = None,
) -> Side:
    """Attaches a machine with its NAT, asks the STUN servers and writes the candidates."""
    if nat is None and not kind.public:
        wan = f"100.64.0.{number + 1}" if behind is not None else f"198.51.100.{number + 1}"
        nat = lab.nat(
            wan,
            kind.mapping,
            kind.filtering,
            kind.allocation,
            behind=behind,
            keeps_unsolicited=kind.keeps_unsolicited,
            blocks_udp=kind.blocks_udp,
            hairpin=kind.hairpin,
            block=kind.block,
        )
    host = host or ("192.0.2.9" if nat is None else f"192.168.{number}.100")
    machine = lab.machine(host, behind=nat)
    port = machine.bind(0, lambda data, source: None).port
    machine.close(Address(host, port))
    discovery = MappingDiscovery(servers, [Address(host, port)], lab.chance.randbytes)
    node = machine.run(discovery, [port])
    discovery.start(lab.now)
    lab.run(10.0, until=lambda: bool(node.events))
    ((_, found),) = node.events
    node.close()
    assert isinstance(found, NatBehavior)
    thorough = NatBehavior(
        udp_works=found.udp_works,
        filtering=Filtering.ENDPOINT_INDEPENDENT if kind.public else kind.filtering,
        ports=Ports(kind.allocation, low=kind.block[0], high=kind.block[1])
        if kind.allocation is PortAllocation.BLOCK
        else Ports(kind.allocation, step=int(kind.allocation is PortAllocation.STEPPED)),
    )
    candidates = [Candidate(CandidateKind.HOST, Address(host, port))]
    if found.mapped is not None:
        candidates.append(Candidate(CandidateKind.REFLEXIVE, found.mapped))
    candidates += [Candidate(CandidateKind.MAPPED, address) for address in mapped or ()]
    sent = Candidates(NatView.of(found, thorough), tuple(candidates))
    return Side(machine, nat, port, kind, sent, [Interface("eth0", host, 24)])


def _start(lab: Lab, role: PeerRole, own: Side, peer: Side, key: bytes) -> LabNode:
    hosts = {each.address.host for each in own.candidates.udp if each.kind is CandidateKind.REFLEXIVE}
    same_site = any(each.address.host in hosts for each in peer.candidates.udp)
    targets = admitted(peer.candidates.udp, own.interfaces, same_site, lambda host: host[:4] != "192.")
    if peer.kind.public:
        targets = peer.candidates.udp[-1:]
    core = HolePunching(
        role, own.candidates, peer.candidates, targets, key, lab.chance.randbytes, opening_ttl=2
    )
    node = own.machine.run(core, [own.port])
    core.start(lab.now)
    node.flush()
    return node


def punch(
    lab: Lab,
    initiator: Side,
    responder: Side,
    skew_s: float | None = None,
    keys: tuple[bytes, bytes] = (KEY, KEY),
    generation: int = 0,
) -> Outcome:
    """Lets both punch; the responder begins first by one delay of the lab, or by ``skew_s``."""
    began = lab.now
    for side in (initiator, responder):
        side.candidates = evolve(side.candidates, generation=generation)
    nodes = [_start(lab, PeerRole.RESPONDER, responder, initiator, keys[0])]
    lab.run(skew_s if skew_s is not None else lab.delay_s)
    nodes.insert(0, _start(lab, PeerRole.INITIATOR, initiator, responder, keys[1]))
    ends: list[PunchingEvent | None] = [None, None]

    def look() -> bool:
        for place, node in enumerate(nodes):
            while node.events:
                _, event = node.events.pop(0)
                if isinstance(event, SocketsWanted):
                    node.open(event.count)
                    assert isinstance(node.core, HolePunching)
                    node.core.opened(event.count)
                elif isinstance(event, Punched | PunchingFailed):
                    ends[place] = ends[place] or event
        return None not in ends

    lab.run(30.0, until=look)
    seconds, sent = lab.now - began, sum(node.sent for node in nodes)
    for node in nodes:
        node.close()
    return Outcome(ends[0], ends[1], seconds, sent)

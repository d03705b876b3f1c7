"""Holes as frp's clients punch them, in memory: the messages are real, punching is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.errors import HolePunchingError
from relaykit.interfaces import IDatagramStreams, IHoles, IHoleSocket
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.ports import datagram_pair

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramLeg, ILegAcceptor, IStreamPath
    from relaykit.sansio.nathole.messages import NatHoleResp
    from relaykit.testing.memory import MemoryLeg, MemoryNetwork
    from relaykit.values import Secret

__all__ = ["MemoryHoles"]

_ROLES = {PeerRole.INITIATOR: MuxRole.CLIENT, PeerRole.RESPONDER: MuxRole.SERVER}


@implementer(IHoles, IDatagramStreams)
class MemoryHoles:
    """Those of all clients of a relay in memory: two that punch for one attempt with one secret have a hole.

    What makes streams of holes is here, too: yamux, whatever the protocol.
    """

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.seen = True
        """Whether the STUN server answers; else nobody gets a socket until the test fails those that wait."""
        self.punched = True
        """Whether what is punched leads to the other end."""
        self.asking: list[Deferred[IHoleSocket]] = []
        """Who waits for the STUN server."""
        self.open = 0
        """Sockets that are open and lead nowhere yet."""
        self.links: list[MemoryLeg] = []
        """What carries the streams of each hole, at both ends, to be cut or stalled."""
        self.protocols: list[str] = []
        """What was asked to make streams."""
        self.prepared: list[tuple[Any, ...]] = []
        """What was asked to be loaded."""
        self._punching: dict[tuple[str, Secret], Deferred[IDatagramLeg]] = {}
        self._carriers: dict[IDatagramLeg, MemoryLeg] = {}

    def open_socket(self, offers_interfaces: bool) -> Deferred[IHoleSocket]:
        if not self.seen:
            asking: Deferred[IHoleSocket] = Deferred()
            self.asking.append(asking)
            return asking
        return succeed(_Socket(self, offers_interfaces))

    def prepare(self, *what: Any) -> None:
        """For holes, a protocol and a role; for streams, a role."""
        self.prepared.append(what)

    def streams(self, protocol: str) -> IDatagramStreams:
        """What a client takes for the streams of a protocol."""
        self.protocols.append(protocol)
        return self

    def open_path(
        self, datagrams: IDatagramLeg, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        link = MuxLink(self._carriers.pop(datagrams), _ROLES[role], self.network, self.network.clock)
        link.accept_legs(acceptor)
        link.start()
        link.when_lost().addCallback(lambda _: datagrams.close())
        return succeed(link)

    def meet(self, sid: str, secret: Secret) -> Deferred[IDatagramLeg]:
        """A hole once the other end is there, too."""
        other = self._punching.pop((sid, secret), None) if self.punched else None
        if other is None:
            waiting: Deferred[IDatagramLeg] = Deferred(lambda _: self._leave(sid, secret))
            self._punching[sid, secret] = waiting
            return waiting
        near, far = datagram_pair(self.network)
        self._carriers[near], self._carriers[far] = self.network.pair()
        self.links += [self._carriers[near], self._carriers[far]]
        other.callback(far)
        return succeed(near)

    def _leave(self, sid: str, secret: Secret) -> None:
        self._punching.pop((sid, secret), None)


@implementer(IHoleSocket)
class _Socket:
    """One end's socket."""

    def __init__(self, holes: MemoryHoles, offers_interfaces: bool) -> None:
        seen, own = holes.network.addresses(None)
        self.mapped = (seen, seen)
        self.interfaces = (own,) if offers_interfaces else ()
        self._holes = holes
        self._is_open = True
        holes.open += 1

    def punch(self, told: NatHoleResp, secret: Secret) -> Deferred[IDatagramLeg]:
        self.close()
        if told.error or not told.candidate_addrs:
            return fail(HolePunchingError(f"the server says: {told.error}"))
        return self._holes.meet(told.sid, secret)

    def close(self) -> None:
        self._holes.open -= self._is_open
        self._is_open = False

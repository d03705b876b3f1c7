"""UDP ports behind load balancers: their datagrams begin with a PROXY header, and come from where it says.

Each of them does, as dnsdist sends them, and as name servers want them: what a user says could begin with a
header, too.  Behind a load balancer that announces users by their first datagrams only, as frp's client does,
everybody could be anybody.  Source: haproxy.org, proxy-protocol.txt, sections 2 (since the revision of
2026/04/27) and 2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import define, evolve, field
from zope.interface import implementer

from relaykit.dataplane.sources import SourceTable
from relaykit.interfaces import IDatagramAcceptor, IDatagramReceiver, IListeningPort
from relaykit.sansio.parsers.proxy_protocol import MalformedProxyHeader, take_from_datagram
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.dataplane.load_balancers import LoadBalancers
    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.sources import SourceLeg
    from relaykit.interfaces import IDatagramLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address, Origin

__all__ = ["BalancedDatagramPort"]


@implementer(IDatagramAcceptor, IListeningPort)
class BalancedDatagramPort:
    """A port that is open, and who gets its users once it is known where they come from.

    The users of load balancers are in a table of its own, as large as that of the port.  One who comes over
    two sockets of a load balancer counts as two: each socket waits for the answers to what it sent.
    """

    def __init__(self, balancers: LoadBalancers, poller: Poller, acceptor: IDatagramAcceptor) -> None:
        self.port: IListeningPort
        self.balancers = balancers
        self.users = SourceTable(poller, _send, "a UDP port behind load balancers", _forget)
        self.acceptor = acceptor

    @property
    def address(self) -> Address:
        address: Address = self.port.address
        return address

    def close(self) -> None:
        self.port.close()
        self.users.close(Ended.STOPPED)

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        if self.balancers.include(origin):
            leg.attach(_Balancer(self, leg, origin))
        else:
            self.acceptor.leg_accepted(leg, origin)


@implementer(IDatagramReceiver)
@define(eq=False)
class _Balancer:
    """One socket of a load balancer."""

    _port: BalancedDatagramPort
    leg: IDatagramLeg
    _origin: Origin
    sources: set[Address | None] = field(factory=set)
    """The users whose datagrams come from there."""

    def datagram_received(self, data: Buffer) -> None:
        try:
            announced, length = take_from_datagram(bytes(data))
        except MalformedProxyHeader as error:
            self._port.balancers.on_dropped(self.leg, str(error))
            return
        if announced.source is None:
            announced = evolve(self._origin, tlvs=announced.tlvs)
        users, key = self._port.users, (self, announced.source)
        user = users.legs.get(key)
        if user is None:
            self.sources.add(announced.source)
            users.admit(self._port.acceptor, key, announced, data[length:])
            return
        if user.sweep != users.sweep:
            users.heard_of(user)
        user._arrived(data[length:])

    def leg_lost(self, reason: Ended) -> None:
        users = self._port.users
        for source in tuple(self.sources):
            user = users.legs[self, source]
            users.forget(user)
            user.end(reason)


def _send(user: SourceLeg, data: Buffer) -> bool:
    balancer, _ = _key(user)
    taken: bool = balancer.leg.send(data)
    return taken


def _forget(user: SourceLeg) -> None:
    balancer, source = _key(user)
    balancer.sources.discard(source)


def _key(user: SourceLeg) -> tuple[_Balancer, Address | None]:
    return cast("tuple[_Balancer, Address | None]", user.key)

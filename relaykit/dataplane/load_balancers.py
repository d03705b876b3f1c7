"""Ports behind load balancers: their connections begin with a PROXY header, and come from where it says.

A header is looked for on each connection from the addresses of load balancers, and on no other: anybody could
write one.  Datagrams are in :mod:`relaykit.dataplane.balanced_datagrams`.  Source: haproxy.org,
proxy-protocol.txt, section 2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.balanced_datagrams import BalancedDatagramPort
from relaykit.descriptors import for_strangers
from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ILegAcceptor, IListeningPort
from relaykit.sansio.parsers.proxy_protocol import PROXY_HEADER
from relaykit.sansio.sources import source_of
from relaykit.timer import Waits
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg, IStreamLeg
    from relaykit.values import Address, Origin

__all__ = ["IpNetwork", "LoadBalancers"]

HEADER_TIMEOUT_S: Final = 5.0
"""Seconds until a connection must have its header.  A load balancer sends it at once, and the specification
wants at least 3 s, for a segment that is lost."""

MOST_AWAITED: Final = 1024
"""Connections without a header yet, of all ports together; where there are more, the load balancer that has
most of them loses the one that has waited for longest."""

TOLD_AGAIN_S: Final = 60.0
"""Seconds after a refusal was told of in which others are only counted: a load balancer that is configured
in another way has one for each user and each of its checks."""

ResultT = TypeVar("ResultT")

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class LoadBalancers:
    """The load balancers that are believed.

    :param trusted: where their connections come from.
    """

    log = Logger()

    def __init__(self, trusted: Sequence[IpNetwork], clock: IReactorTime) -> None:
        self.refused = 0
        """Connections that had none, up to now."""
        self.dropped = 0
        """Datagrams that had none, up to now."""
        self.clock = clock
        self.headers = Waits(clock, HEADER_TIMEOUT_S, for_strangers(MOST_AWAITED))
        """The headers that are waited for."""
        self._trusted = tuple(trusted)
        self._told_at = self._told_of_datagrams_at = float("-inf")

    def listen(
        self,
        listen: Callable[..., IListeningPort],
        host: str,
        port: int,
        acceptor: ILegAcceptor,
        **how: Any,
    ) -> IListeningPort:
        """Opens a port by ``listen(host, port, acceptor, **how)``, behind the load balancers.

        :raises Exception: what that raises.
        """
        opened = _Port(self, acceptor)
        opened.port = listen(host, port, opened, **how)
        return opened

    def listen_datagrams(
        self,
        poller: Poller,
        listen: Callable[[str, int, IDatagramAcceptor], IListeningPort],
        host: str,
        port: int,
        acceptor: IDatagramAcceptor,
    ) -> IListeningPort:
        """The same for a UDP port."""
        opened = BalancedDatagramPort(self, poller, acceptor)
        opened.port = listen(host, port, opened)
        return opened

    def include(self, origin: Origin) -> bool:
        """Whether a connection comes from one of them."""
        if origin.source is None:
            return False
        address = ipaddress.ip_address(origin.source.host)
        return any(address in network for network in self._trusted)

    def on_refused(self, leg: IStreamLeg, why: str, ended: Ended) -> None:
        """One of them has sent no header."""
        self.refused += 1
        now = self.clock.seconds()
        level = self.log.debug
        if now - self._told_at >= TOLD_AGAIN_S:
            level, self._told_at = self.log.warn, now
        level(
            "a connection from the load balancer {peer} to {host} is refused: {reason} ({count} so far)",
            peer=leg.peer,
            host=leg.host,
            reason=why,
            count=self.refused,
            ended=ended.value,
            problem="proxy-header",
        )

    def on_dropped(self, leg: IDatagramLeg, why: str) -> None:
        """A datagram of one of them has no header."""
        self.dropped += 1
        now = self.clock.seconds()
        if now - self._told_of_datagrams_at >= TOLD_AGAIN_S:
            self._told_of_datagrams_at = now
            self.log.warn(
                "a datagram from the load balancer {peer} is dropped: {reason} ({count} so far)",
                peer=leg.peer,
                reason=why,
                count=self.dropped,
                problem="proxy-header",
            )


@implementer(ILegAcceptor, IListeningPort)
@define(eq=False)
class _Port:
    """A port that is open, and who gets its connections once it is known where they come from."""

    _balancers: LoadBalancers
    _acceptor: ILegAcceptor
    port: IListeningPort = field(init=False)
    _taking: set[Deferred[Origin]] = field(factory=set, init=False)
    _is_closed: bool = field(default=False, init=False)

    @property
    def address(self) -> Address:
        address: Address = self.port.address
        return address

    def close(self) -> None:
        self._is_closed = True
        self.port.close()
        for each in tuple(self._taking):
            each.cancel()

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        if not self._balancers.include(origin):
            self._acceptor.leg_accepted(leg, origin)
            return
        taking: Deferred[Origin] = leg.take(PROXY_HEADER)
        self._taking.add(taking)
        taken = self._balancers.headers.add(taking, source_of(origin))
        taken.addBoth(self._answered, taking)
        taken.addCallbacks(self._announced, self._not_taken, (leg, origin), {}, (leg,))
        taken.addErrback(self._defect, leg)

    def _answered(self, result: ResultT, taking: Deferred[Origin]) -> ResultT:
        self._taking.discard(taking)
        return result

    def _announced(self, announced: Origin, leg: IStreamLeg, origin: Origin) -> None:
        if announced.source is None:
            announced = evolve(origin, tlvs=announced.tlvs)
        else:
            # Whatever is made of this leg, and its log, is about the user.
            leg.peer, leg.host = announced.source, announced.destination
        self._acceptor.leg_accepted(leg, announced)

    def _not_taken(self, failure: Failure, leg: IStreamLeg) -> None:
        leg.abort()
        if failure.check(CancelledError) and not self._is_closed:
            why = f"it sent no PROXY header within {HEADER_TIMEOUT_S:g} seconds, or others had to have room"
            self._balancers.on_refused(leg, why, Ended.TIMEOUT)
        elif failure.check(RemoteProtocolError):
            self._balancers.on_refused(leg, failure.getErrorMessage(), Ended.PROTOCOL_ERROR)
        else:
            # The load balancer only looked whether the port is open, or the port was closed.
            failure.trap(ConnectionFailed, CancelledError)

    def _defect(self, failure: Failure, leg: IStreamLeg) -> None:
        self._balancers.log.failure("a defect while taking {peer}; it is dropped", failure, peer=leg.peer)
        leg.abort()

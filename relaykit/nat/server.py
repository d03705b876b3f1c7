"""The STUN server as a service: its sockets, and nothing else; what it answers is in the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from twisted.application.service import MultiService, Service
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from relaykit.nat.sockets import BATCH_OF_STRANGERS, UdpSocket, drop
from relaykit.sansio.nat.stun_server import StunServer
from relaykit.sansio.rates import RateLimit
from relaykit.values import HIGHEST_PORT, Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFDSet

__all__ = ["ANY_HOSTS", "SECOND_PORTS", "RelayStun", "StunService"]

ANY_HOSTS = ("", "0.0.0.0", "::")
"""Hosts that stand for every address of this machine."""

SECOND_PORTS = 16
"""How many ports above the first are tried for the second one, when none is named."""


class StunService(Service):
    """Answers STUN on UDP.

    ``hosts`` are the addresses to bind: one of :data:`ANY_HOSTS`, or up to two addresses of one
    family, with which all of RFC 5780 works.  ``port`` is usually the relay server's bind port;
    ``second_port`` is what OTHER-ADDRESS names: None takes a port near the first one.

    ``public_hosts`` are what clients know ``hosts`` by, in the same order, where a one-to-one NAT is in front
    of the server.

    A second port that cannot be had is no failure: the server then answers from one port only.  If the
    first one cannot be had, ``startService`` raises :class:`twisted.internet.error.CannotListenError`;
    with ``is_optional`` it logs that there is no STUN.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorFDSet,
        hosts: Sequence[str],
        port: int,
        second_port: int | None = None,
        public_hosts: Sequence[str] = (),
        limit: RateLimit | None = None,
        seconds: Callable[[], float] = time.monotonic,
        is_optional: bool = False,
    ) -> None:
        self._is_optional = is_optional
        self._reactor = reactor
        self._hosts = tuple(hosts)
        self._port = port
        self._second_port = second_port
        self._public_hosts = tuple(public_hosts)
        self._limit = limit
        self._seconds = seconds
        self._sockets: list[UdpSocket] = []
        self._core = StunServer([])
        self._told_of_nat = False

    @property
    def addresses(self) -> Sequence[Address]:
        """What is bound, first ports before second ones; empty while it is not running."""
        return [each.address for each in self._sockets]

    def startService(self) -> None:
        opened: list[UdpSocket] = []
        try:
            for host in self._hosts:
                opened.append(self._open(host, opened[0].address.port if opened else self._port))
        except CannotListenError as error:
            for each in opened:
                each.close()
            if not self._is_optional:
                raise
            self.log.warn(
                "there is no stun server: cannot listen on udp {address}: {reason}",
                address=Address(error.interface, error.port),
                reason=(getattr(error.socketError, "strerror", None) or str(error.socketError)).lower(),
                problem="stun-server",
            )
            super().startService()
            return
        opened += self._open_second(opened[0].address.port)
        names = dict(zip(self._hosts, self._public_hosts, strict=False))
        shown = [
            Address(names.get(each.host, "" if each.host in ANY_HOSTS else each.host), each.port)
            for each in (one.address for one in opened)
        ]
        self._sockets = opened
        self._core = StunServer(shown, self._limit)
        for via, one in enumerate(opened):
            one.receiver = partial(self._arrived, via)
        super().startService()
        self.log.info(
            "stun listens on {addresses}", addresses=", ".join(f"udp {each}" for each in self.addresses)
        )

    def stopService(self) -> None:
        super().stopService()
        for each in self._sockets:
            each.close()
        self._sockets = []

    def _open_second(self, first: int) -> list[UdpSocket]:
        """The second port on every host, or nothing where it cannot be had on all of them."""
        choices = (
            [self._second_port]
            if self._second_port
            else range(first + 1, min(first + SECOND_PORTS, HIGHEST_PORT) + 1)
        )
        for port in choices:
            opened: list[UdpSocket] = []
            try:
                for host in self._hosts:
                    opened.append(self._open(host, port))
                return opened
            except CannotListenError:
                for each in opened:
                    each.close()
        self.log.warn(
            "stun has no second port beside {first}: frpc cannot punch by this server",
            first=first,
            problem="stun-second-port",
        )
        return []

    def _open(self, host: str, port: int) -> UdpSocket:
        return UdpSocket(
            self._reactor,
            host or "0.0.0.0",
            port,
            drop,
            tells_arrival=host in ANY_HOSTS,
            batch=BATCH_OF_STRANGERS,
        )

    def _arrived(self, via: int, data: bytes, source: Address, arrived_at: str) -> None:
        reply = self._core.answer(data, source, via, self._seconds(), arrived_at)
        if reply is not None:
            self._sockets[reply.via].send(reply.payload, reply.destination, source_host=arrived_at)
        if self._core.hidden_host and not self._told_of_nat:
            self._told_of_nat = True
            self.log.warn(
                "a nat is in front of this server, which was asked from outside at {host}: the second place "
                "to ask that stun names is of no use, and frpc cannot punch by this server",
                host=self._core.hidden_host,
                problem="stun-behind-nat",
            )


class RelayStun(MultiService):
    """The STUN server of a relay server: on each family that it has addresses of, on the same port.

    ``hosts`` are one or two addresses of each family; without any it is where ``bind_addr`` is.
    ``public_hosts`` are as :class:`StunService` has them, for each family in the order of its hosts.

    Where UDP ports are taken, the relay server starts all the same.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        bind_addr: str,
        port: int,
        hosts: Sequence[str] = (),
        public_hosts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._families: list[StunService] = []
        everywhere = ("0.0.0.0", "::") if bind_addr in ("", "::") else (bind_addr,)
        for is_six in (False, True):
            here = _of_family(hosts or everywhere, is_six)
            if here:
                public = _of_family(public_hosts, is_six)
                service = StunService(reactor, here, port, public_hosts=public, is_optional=True)
                service.setServiceParent(self)
                self._families.append(service)

    @property
    def ports(self) -> Sequence[int]:
        """The ports that are open, the first one first; none where they could not be had."""
        return tuple(dict.fromkeys(each.port for family in self._families for each in family.addresses))


def _of_family(hosts: Sequence[str], is_six: bool) -> list[str]:
    return [each for each in hosts if (":" in each) is is_six]

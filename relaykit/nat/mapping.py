"""Keeps ports mapped by the local router, by whichever protocol it has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from relaykit.errors import LocalProtocolError
from relaykit.nat.driving import DatagramDriver
from relaykit.nat.sockets import drop
from relaykit.nat.upnp import LEASE_S, UpnpFailed, UpnpRouter
from relaykit.sansio.nat.portmap import (
    PortMap,
    PortMapEvent,
    PortMapped,
    PortNotMapped,
    RouterFound,
    RouterSilent,
)
from relaykit.timer import Timer
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.network import HostNetwork
    from relaykit.nat.sockets import UdpSocket

__all__ = ["FOUND_S", "PortMapper"]

FOUND_S = 0.2
"""How long whoever wants a port mapped waits for a router that was not found yet, from when it was looked for
on: one that speaks PCP or NAT-PMP answers at once.  What comes later serves who asks then."""


class PortMapper(Service):
    """Finds the router's protocol when it starts, maps ports on request, gives all back when it stops.

    UPnP is tried only if the router speaks neither PCP nor NAT-PMP, and if ``upnp`` is there.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        network: HostNetwork,
        upnp: UpnpRouter | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._network = network
        self._upnp = upnp
        self._entropy = entropy
        self._seconds = seconds
        self._core: PortMap | None = None
        self._driver: DatagramDriver[PortMapEvent] | None = None
        self._socket: UdpSocket | None = None
        self._asked: Deferred[None] = Deferred()
        self._waiting: dict[int, list[Deferred[Sequence[Address]]]] = {}
        self._mapped: dict[int, Address] = {}
        self._renewing: LoopingCall | None = None
        self._patience = Timer(reactor, self._lose_patience, seconds)
        self._is_late = False
        self.protocol = ""
        """What the router speaks: PCP, NAT-PMP, UPnP; empty as long as nothing was found."""
        self.external_host = ""
        """The router's external address, as far as it told."""

    def startService(self) -> None:
        super().startService()
        self._is_late = False
        self._patience.set(self._seconds() + FOUND_S)
        router = self._network.default_gateway()
        host = self._network.local_host_towards(Address(router, 1)) if router else ""
        try:
            if host:
                self._socket = self._network.open_udp("0.0.0.0", 0, drop)
        except CannotListenError:
            self.log.warn(
                "no socket could be opened to ask the router {router}", router=router, problem="hole-punching"
            )
        if self._socket is None:
            self._try_upnp()
            return
        self._core = PortMap(host, router, self._entropy)
        self._driver = DatagramDriver(
            self._core, [self._socket], self._reactor, self._on_event, self._seconds
        )
        self._core.start(self._seconds())
        self._driver.start()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        returning: list[Deferred[None]] = []
        for port in list(self._mapped):
            returning.append(self._give_back(port))
        if self._renewing is not None and self._renewing.running:
            self._renewing.stop()
        self._patience.set(None)
        if self._driver is not None:
            self._driver.step()
            self._driver.stop()
        if self._socket is not None:
            self._socket.close()
        self._core = self._driver = self._socket = None
        self._answer_all()
        return DeferredList(returning, consumeErrors=True)

    def when_asked(self) -> Deferred[None]:
        """Fires once it is known what the router speaks, or that it speaks nothing."""
        asked: Deferred[None] = Deferred()
        if self._asked.called:
            asked.callback(None)
        else:
            self._asked.addCallback(lambda _: asked.callback(None))
        return asked

    def map(self, port: int) -> Deferred[Sequence[Address]]:
        """Maps a UDP port; fires with its external addresses, none if the router does not do it.

        The mapping is kept alive until :meth:`release`.  A router that was not found within :data:`FOUND_S`
        maps nothing until it is.
        """
        if port in self._mapped:
            return succeed([self._mapped[port]])
        if not self.running or (not self.protocol and (self._is_late or self._asked.called)):
            return succeed([])
        waiting: Deferred[Sequence[Address]] = Deferred()
        others = self._waiting.setdefault(port, [])
        others.append(waiting)
        if len(others) > 1:
            return waiting
        if self._core is not None:
            try:
                self._core.map(port, self._seconds())
            except LocalProtocolError:
                self._answer(port)
            else:
                assert self._driver is not None
                self._driver.step()
        elif self.protocol:
            self._map_by_upnp(port)
        return waiting

    def release(self, port: int) -> None:
        """Gives a port back to the router."""
        self._give_back(port).addErrback(lambda _: None)

    # --- PCP and NAT-PMP

    def _on_event(self, event: PortMapEvent) -> None:
        if isinstance(event, RouterFound):
            self._found(event.dialect.value, event.external_host)
        elif isinstance(event, RouterSilent):
            self._leave_core()
            self._try_upnp()
        elif isinstance(event, PortMapped):
            self.external_host = event.external.host
            self._mapped[event.port] = event.external
            self.log.debug(
                "the router maps {external} to port {port}", external=event.external, port=event.port
            )
            self._answer(event.port)
        elif isinstance(event, PortNotMapped):
            self._mapped.pop(event.port, None)
            self._answer(event.port)

    def _leave_core(self) -> None:
        if self._driver is not None:
            self._driver.stop()
        if self._socket is not None:
            self._socket.close()
        self._core = self._driver = self._socket = None

    def _lose_patience(self) -> None:
        self._is_late = True
        if not self.protocol:
            self._answer_all()

    def _found(self, protocol: str, external_host: str) -> None:
        self.protocol = protocol
        self.external_host = external_host
        self.log.info("the router maps ports by {protocol}", protocol=protocol)
        if not self._asked.called:
            self._asked.callback(None)

    # --- UPnP

    def _try_upnp(self) -> None:
        if self._upnp is None:
            self._nothing_found(None)
            return
        self._upnp.find().addCallbacks(self._upnp_found, self._nothing_found)

    def _upnp_found(self, external_host: str) -> None:
        if not self.running:
            return
        self._found("UPnP", external_host)
        self._renewing = LoopingCall(self._renew)
        self._renewing.clock = self._reactor
        self._renewing.start(LEASE_S / 2, now=False).addErrback(
            lambda failure: self.log.failure("a defect while mapped ports were renewed", failure)
        )
        for port in list(self._waiting):
            self._map_by_upnp(port)

    def _nothing_found(self, why: Failure | None) -> None:
        if not self._asked.called:
            self._asked.callback(None)
        self._answer_all()

    def _map_by_upnp(self, port: int) -> None:
        assert self._upnp is not None

        def mapped(external: Address) -> None:
            self._mapped[port] = external
            self._answer(port)

        def failed(why: Failure) -> None:
            why.trap(UpnpFailed)
            self._mapped.pop(port, None)
            self._answer(port)

        self._upnp.map(port).addCallbacks(mapped, failed)

    def _renew(self) -> None:
        for port in self._mapped:
            self._map_by_upnp(port)

    # --- both

    def _give_back(self, port: int) -> Deferred[None]:
        external = self._mapped.pop(port, None)
        if self._core is not None:
            self._core.unmap(port, self._seconds())
            if self._driver is not None:
                self._driver.step()
        elif external is not None and self._upnp is not None:
            return self._upnp.unmap(external.port)
        return succeed(None)

    def _answer(self, port: int) -> None:
        found = [self._mapped[port]] if port in self._mapped else []
        for waiting in self._waiting.pop(port, ()):
            waiting.callback(found)

    def _answer_all(self) -> None:
        for port in list(self._waiting):
            self._answer(port)

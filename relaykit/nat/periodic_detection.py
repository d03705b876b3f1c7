"""Knows the network that this machine is in, so that candidates needs no discovery of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from relaykit.nat.detection import NatDetector
from relaykit.nat.mapping import PortMapper
from relaykit.nat.upnp import UpnpRouter, is_available
from relaykit.sansio.nat.pairing import NAT_WORDS, NatView, nat_type_of
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.nat.network import HostNetwork, NatReactor
    from relaykit.nat.network_info import NetworkInfo
    from relaykit.sansio.nat.behavior import NatBehavior
    from relaykit.values import Address

__all__ = ["BEHAVIOR_S", "PeriodicDetection", "upnp_router"]

BEHAVIOR_S = 3600.0
"""How long a discovery is good for: a NAT changes when the network does, which is noticed, or when its
owner wants."""


def upnp_router(network: HostNetwork) -> UpnpRouter | None:
    """What asks UPnP routers, where the library for it is installed."""
    return UpnpRouter(network) if is_available() else None


class PeriodicDetection(MultiService):
    """Keeps the router's port mappings and the last thorough discovery of the NAT.

    Nobody is asked anything before :meth:`begin`.  When it stops, mapped ports are given back.

    :param info: what is known from the start; a behavior or a mapper that is there is not replaced.
    """

    log = Logger()

    def __init__(
        self,
        reactor: NatReactor,
        info: NetworkInfo,
        make_upnp: Callable[[HostNetwork], UpnpRouter | None] = upnp_router,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._info = info
        self._make_upnp = make_upnp
        self._entropy = entropy
        self._begun = False
        self._mapper: PortMapper | None = None
        self._servers: Sequence[Address] = ()
        self._behavior: NatBehavior | None = None
        self._again = Timer(reactor, self._discover)
        self._discovering: Deferred[NatBehavior | None] | None = None

    @property
    def behavior(self) -> NatBehavior | None:
        """What is known of the NAT, as far as anything is."""
        return self._behavior or self._info.behavior

    def begin(self, servers: Sequence[Address]) -> None:
        """From now on the router is asked to map ports, and these STUN servers what the NAT does.

        The NAT is looked at now and every :data:`BEHAVIOR_S`; done again with other servers, if those
        before did not answer.
        """
        if not self.running:
            return
        if not self._begun:
            self._begun = True
            self._start_mapper()
        others = tuple(servers) != self._servers
        self._servers = tuple(servers)
        if self._behavior is None and others:
            self._discover()

    def network_changed(self) -> None:
        """Forgets everything, and finds it out anew if it was wanted."""
        self._forget()
        if self._begun:
            self._stop_mapper()
            self._start_mapper()
            self._discover()

    def network_info(self) -> NetworkInfo:
        """All that is known at this moment."""
        return evolve(self._info, behavior=self.behavior, mapper=self._mapper or self._info.mapper)

    def stopService(self) -> Deferred[None]:
        self._forget()
        self._begun = False
        stopped: Deferred[None] = super().stopService()
        self._stop_mapper()
        return stopped

    def _stop_mapper(self) -> None:
        mapper, self._mapper = self._mapper, None
        if mapper is not None:
            mapper.disownServiceParent()

    def _start_mapper(self) -> None:
        if self._info.mapper is not None:
            return
        network = self._info.network
        seconds = self._reactor.seconds
        self._mapper = PortMapper(self._reactor, network, self._make_upnp(network), self._entropy, seconds)
        self._mapper.setServiceParent(self)

    def _discover(self) -> None:
        if self._discovering is not None or self._info.behavior is not None or not self._servers:
            return
        detector = NatDetector(self._reactor, self._info.network, self._entropy, self._reactor.seconds)
        servers = [each for each in self._servers if ":" not in each.host]
        self._discovering = Deferred.fromCoroutine(detector.behavior(servers))
        self._discovering.addCallbacks(self._discovered, self._not_discovered)

    def _discovered(self, found: NatBehavior | None) -> None:
        self._discovering = None
        self._again.set(self._reactor.seconds() + BEHAVIOR_S)
        if found is not None and found.udp_works:
            self._behavior = found
            nat_type = nat_type_of(NatView.of(found))
            self.log.info(
                "seen as {mapped} over UDP; this network {words}",
                mapped=found.mapped,
                words=NAT_WORDS[nat_type],
                nat_type=nat_type.value,
            )

    def _not_discovered(self, failure: Failure) -> None:
        self._discovering = None
        if not failure.check(CancelledError):
            self.log.failure("a defect while the NAT was looked at", failure)

    def _forget(self) -> None:
        self._behavior = None
        self._again.set(None)
        if self._discovering is not None:
            self._discovering.cancel()
            self._discovering = None

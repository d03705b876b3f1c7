"""Hole punching as frp's clients do it, on real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from zope.interface import implementer

from relaykit.errors import HolePunchingError, RelaykitError
from relaykit.interfaces import IDatagramLeg, IHoles, IHoleSocket
from relaykit.nat.driving import DatagramDriver
from relaykit.nat.frp_discovery import DiscoveryFailed, ask
from relaykit.nat.paths import PeerLeg
from relaykit.nat.sockets import drop
from relaykit.sansio.nat.frp_discovery import local_hosts
from relaykit.sansio.nathole.hole import Hole, HolePunched
from relaykit.sansio.nathole.instructions import instructions_of
from relaykit.sansio.nathole.probes import ProbeCodec
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IDatagramStreams
    from relaykit.nat.network_info import NetworkInfo
    from relaykit.nat.sockets import UdpSocket
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.sansio.nathole.hole import HoleEvent
    from relaykit.sansio.nathole.instructions import Instructions
    from relaykit.sansio.nathole.messages import NatHoleResp
    from relaykit.values import Secret

__all__ = ["DISCOVERY_S", "HoleLeg", "Holes"]

DISCOVERY_S = 8.0
"""Seconds to see the own NAT: the two answers have three each, and the server's name must be looked up."""

_ANY_HOST = "0.0.0.0"
_TRANSACTION_BYTES = 13


@implementer(IHoles)
class Holes:
    """The holes of one client.

    :param stun_server: ``host:port``, to be looked up for each attempt.
    :param streams: what makes streams over them by a protocol; raises what a host's do.
    """

    def __init__(
        self,
        clock: IReactorTime,
        network_info: NetworkInfo,
        stun_server: str,
        streams: Callable[[str], IDatagramStreams],
    ) -> None:
        self._clock = clock
        self._network_info = network_info
        self._stun_server = stun_server
        self._streams = streams

    def prepare(self, protocol: str, role: PeerRole) -> None:
        with contextlib.suppress(RelaykitError):
            self._streams(protocol).prepare(role)

    def open_socket(self, offers_interfaces: bool) -> Deferred[IHoleSocket]:
        opening: Deferred[IHoleSocket] = Deferred.fromCoroutine(self._open(offers_interfaces))
        return opening.addTimeout(DISCOVERY_S, self._clock, self._timed_out)

    async def _open(self, offers_interfaces: bool) -> IHoleSocket:
        network, entropy = self._network_info.network, self._network_info.entropy
        try:
            bound = network.open_udp(_ANY_HOST, 0, drop)
        except CannotListenError as error:
            raise HolePunchingError(f"no UDP socket can be had: {error.socketError}") from error
        try:
            mapped = await ask(self._clock, network, bound, self._stun_server, entropy)
        except DiscoveryFailed as error:
            bound.close()
            raise HolePunchingError(f"STUN server {self._stun_server}: {error}") from error
        except BaseException:
            bound.close()
            raise
        if len(mapped) == 1:
            # A server with one address cannot tell what kind of NAT this is.  frp gives up; to take it for
            # the usual kind costs nothing, and is mostly right.
            mapped *= 2
        hosts = local_hosts(network.interfaces()) if offers_interfaces else ()
        port = bound.address.port
        own = tuple(Address(host, port) for host in hosts)
        return _HoleSocket(self._clock, self._network_info, bound, mapped, own)

    def _timed_out(self, _: object, seconds: float) -> IHoleSocket:
        raise HolePunchingError(f"STUN server {self._stun_server}: no answer within {seconds:g} s")


@implementer(IHoleSocket)
class _HoleSocket:
    """One attempt, from the discovery until its end."""

    def __init__(
        self,
        clock: IReactorTime,
        network_info: NetworkInfo,
        bound: UdpSocket,
        mapped: Sequence[Address],
        interfaces: Sequence[Address],
    ) -> None:
        self.mapped = mapped
        self.interfaces = interfaces
        self._clock = clock
        self._network_info = network_info
        self._sockets: list[UdpSocket] = [bound]
        self._driver: DatagramDriver[HoleEvent] | None = None
        self._granted = 0

    def punch(self, told: NatHoleResp, secret: Secret) -> Deferred[IDatagramLeg]:
        info = self._network_info
        try:
            instructions = instructions_of(told, self.mapped, info.network.interfaces())
        except HolePunchingError as error:
            self.close()
            return fail(error)
        self._open_more(instructions.listen_ports)
        punched: Deferred[IDatagramLeg] = Deferred(lambda _: self.close())
        codec = ProbeCodec(secret, info.entropy)
        transaction = info.entropy(_TRANSACTION_BYTES).hex()
        core = Hole(instructions, codec, transaction, len(self._sockets), info.entropy)

        def on_event(event: HoleEvent) -> None:
            if isinstance(event, HolePunched):
                punched.callback(self._leg(event, driver, codec))
            else:
                self.close()
                punched.errback(_not_heard(instructions))

        self._driver = driver = DatagramDriver(
            core, self._sockets, self._clock, on_event, self._clock.seconds
        )
        core.start(driver.now)
        driver.start()
        return punched

    def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.stop()
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            each.close()
        self._give_back()

    def _open_more(self, count: int) -> None:
        """Opens further sockets, as many of them as there may be."""
        granted = self._network_info.allowance.take(count)
        self._granted += granted
        try:
            for _ in range(granted):
                self._sockets.append(self._network_info.network.open_udp(_ANY_HOST, 0, drop))
        except CannotListenError:
            return

    def _give_back(self) -> None:
        granted, self._granted = self._granted, 0
        self._network_info.allowance.give_back(granted)

    def _leg(self, event: HolePunched, driver: DatagramDriver[HoleEvent], codec: ProbeCodec) -> HoleLeg:
        """The leg over the socket that has won; the others are closed."""
        winner = self._sockets[event.via]
        sockets, self._sockets, self._driver = self._sockets, [], None
        for each in sockets:
            if each is not winner:
                each.close()
        self._give_back()
        return HoleLeg(winner, event, driver, codec)


def _not_heard(instructions: Instructions) -> HolePunchingError:
    return HolePunchingError(f"the other end was not heard within {instructions.quiet_s:g} s")


class HoleLeg(PeerLeg):
    """Datagrams to and from the peer through a hole.

    Datagrams of others are not shown, nor probes: those are answered until the peer speaks of something else.
    """

    def __init__(
        self, socket: UdpSocket, hole: HolePunched, driver: DatagramDriver[HoleEvent], codec: ProbeCodec
    ) -> None:
        super().__init__(socket)
        self.peer = hole.peer
        self.host = socket.address
        self._via = hole.via
        self._driver: DatagramDriver[HoleEvent] | None = driver
        self._codec = codec
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._settle()
            self._shut()
            self._tell_lost(Ended.FINISHED)

    def _settle(self) -> None:
        """The peer knows that there is a hole: its probes are over."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.stop()

    def _all_for_receiver(self, datagrams: Sequence[bytes]) -> bool:
        return self._driver is None

    def _arrived(self, data: bytes, source: Address, arrived_at: str) -> None:
        if source != self.peer or self._closed:
            return
        if self._driver is not None:
            if self._codec.decode(data) is not None:
                self._driver.arrived(self._via, data, source, arrived_at)
                return
            self._settle()
        self._deliver(data)

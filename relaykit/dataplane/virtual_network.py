"""The virtual network of a client: its device, and the legs that packets come and go by."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ConnectionFailed, RemoteProtocolError, VirtualNetworkError
from relaykit.interfaces import ILegReceiver, IVirtualNetwork
from relaykit.sansio.packets.framing import PacketReader, framed
from relaykit.sansio.packets.switch import PacketSwitch
from relaykit.values import host_of

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.tun import TunDevice
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.packets.headers import Interface, IpAddress
    from relaykit.sansio.packets.switch import Branch
    from relaykit.values import Ended

    Network = IPv4Network | IPv6Network
    OpenDevice = Callable[[Poller, Interface], TunDevice]

__all__ = ["MOST_ROUTES", "MOST_STREAMS", "PACKETS_AT_ONCE", "VirtualNetwork", "open_device"]

MOST_STREAMS: Final = 1024
"""Streams of one network: each may have a few hundred kilobytes that wait."""

MOST_ROUTES: Final = 1024
"""Addresses outside of the network that the system sends by the device; each is one of a visitor's file."""

PACKETS_AT_ONCE: Final = 256
"""Packets taken from one stream before others have their turn; each costs a system call."""


def open_device(poller: Poller, own: Interface, platform: str = sys.platform) -> TunDevice:
    """The device of this system.

    :raises VirtualNetworkError: there can be none; the text says why, and what to do.
    """
    if not platform.startswith("linux"):
        raise VirtualNetworkError(
            f"the virtual network (virtualNet.address) is not supported on this platform ({platform}): "
            "there it takes Linux"
        )
    from relaykit.dataplane.tun_opening import open_tun

    return open_tun(poller, own)


@implementer(IVirtualNetwork)
class VirtualNetwork:
    """Exchanges packets between a device and legs; without a device before :meth:`open`."""

    log = Logger()

    def __init__(self, poller: Poller, open_device: OpenDevice = open_device) -> None:
        self._poller = poller
        self._open_device = open_device
        self._device: TunDevice | None = None
        self._switch: PacketSwitch | None = None
        self._streams: dict[Branch, _Stream] = {}
        self._network: Network | None = None
        self._led: set[IpAddress] = set()
        """What outside of it is sent by the device: as long as that is there, since what is sent to such an
        address must go nowhere else while there is no stream to it."""

    def open(self, own: Interface, *, is_gateway: bool = False) -> None:
        """Makes the device.

        :param own: its address, with its network.
        :param is_gateway: whether packets for others than this machine are taken, for the system to forward.
        :raises VirtualNetworkError: it cannot be made.
        """
        device = self._device = self._open_device(self._poller, own)
        self._switch = PacketSwitch(own, is_gateway)
        self._network = own.network
        self._led.clear()
        device.start(self._packets_read, self._device_lost)
        self.log.info(
            "the virtual network has the device {device}, with the address {address}",
            device=device.name,
            address=str(own),
        )

    def close(self) -> None:
        """Takes the device from the system, and ends all legs."""
        device, self._device = self._device, None
        if device is not None:
            device.close()
        for stream in list(self._streams.values()):
            stream.close()

    def join(self, leg: IStreamLeg, destination: IpAddress | None = None) -> None:
        if self._device is None or self._switch is None:
            raise ConnectionFailed("this client has no virtual network: virtualNet.address gives it one")
        if len(self._streams) >= MOST_STREAMS:
            raise ConnectionFailed(f"the virtual network has {MOST_STREAMS} streams: there is no room")
        if destination is not None:
            self._lead(self._device, destination)
        branch = self._switch.join(destination)
        stream = self._streams[branch] = _Stream(self, branch, leg)
        stream.start()

    def _lead(self, device: TunDevice, destination: IpAddress) -> None:
        """Has the system send what goes to an address by the device, unless it does."""
        if destination in self._led or (self._network and destination in self._network):
            return
        try:
            if len(self._led) >= MOST_ROUTES:
                raise OSError(errno.ENOSPC, f"there are {MOST_ROUTES} of them")
            device.lead(destination)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.EEXIST:
                reason = "the system has another one, which has to go first (ip route)"
            raise ConnectionFailed(
                f"there can be no route to {destination} by the virtual network: {reason}"
            ) from error
        self._led.add(destination)

    # --- for streams ----------------------------------------------------------------------------

    def brought(self, branch: Branch, packets: list[bytearray]) -> None:
        """Takes what a stream has brought."""
        switch, device = self._switch, self._device
        if switch is None or device is None:
            return
        device.send(switch.brought(branch, packets))
        for former, address in switch.taken_over():
            self.log.warn(
                "the virtual network: another client has the address {address} now; that of {peer} ends",
                address=str(address),
                peer=self._streams[former].peer,
                stranger=host_of(self._streams[former].peer),
                problem="address-taken-over",
            )
            self._streams[former].close()

    def left(self, branch: Branch) -> None:
        """A stream is gone."""
        del self._streams[branch]
        if self._switch is not None:
            self._switch.leave(branch)

    # --- for the device -------------------------------------------------------------------------

    def _packets_read(self, packets: list[bytes]) -> None:
        if self._switch is not None:
            for branch in self._switch.sent(packets):
                self._streams[branch].send()

    def _device_lost(self, why: str) -> None:
        self.log.error(
            "the virtual network has lost its device: {reason}; start the program again to have it back",
            reason=why,
            problem="virtual-network",
        )
        self.close()


@implementer(ILegReceiver, IPushProducer)
class _Stream:
    """One leg of a network.  It is always read; what goes out waits while the leg takes nothing."""

    log = Logger()

    def __init__(self, network: VirtualNetwork, branch: Branch, leg: IStreamLeg) -> None:
        self.peer = leg.peer
        self._network = network
        self._branch = branch
        self._leg = leg
        self._reader = PacketReader()
        self._is_full = self._is_over = False

    def start(self) -> None:
        """Begins to read."""
        self._leg.registerProducer(self, True)
        self._leg.attach(self)

    def send(self) -> None:
        """Sends what waits, once the leg takes it."""
        if not self._is_full:
            packets = self._branch.take()
            if packets:
                self._leg.write(framed(packets))

    def close(self) -> None:
        """Ends the leg."""
        self._is_over = True
        self._leg.close()

    # --- the leg's producer ---------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self._is_full = False
        self.send()

    def stopProducing(self) -> None:
        """Nothing to do: the loss of the leg is told as such."""

    # --- the leg's receiver ---------------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        self._reader.receive(data)
        self._take()

    def end_received(self) -> None:
        self.close()

    def leg_lost(self, reason: Ended) -> None:
        self._is_over = True
        self._network.left(self._branch)
        self.log.debug(
            "a stream of the virtual network ended: {ended}; {dropped} packets were dropped",
            ended=reason.value,
            dropped=self._branch.dropped + self._reader.skipped,
        )

    def _take(self) -> None:
        """Takes a portion of what has come, and reads on once nothing is left of it."""
        reader = self._reader
        if self._is_over:
            return
        try:
            packets = reader.take(PACKETS_AT_ONCE)
        except RemoteProtocolError as error:
            self.log.warn(
                "{peer} broke the rules: {reason}",
                peer=self.peer,
                reason=str(error),
                stranger=host_of(self.peer),
                problem="broke-the-rules",
            )
            self.close()
            return
        if packets:
            self._network.brought(self._branch, packets)
        if reader.has_input:
            self._leg.pauseProducing()
            self._leg.turns.in_next_turn(self._take)
        else:
            self._leg.resumeProducing()

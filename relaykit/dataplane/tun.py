"""A device of the system that hands packets of IP to this process, and takes them from it (TUN)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from relaykit.dataplane.poller import PIECE_BYTES, READ

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.packets.headers import IpAddress

__all__ = ["MTU", "READS_AT_ONCE", "TunDevice"]

MTU: Final = 1420
"""Bytes of the longest packet; frp's figure, and the most that its ends pass on whole."""

READS_AT_ONCE: Final = PIECE_BYTES // MTU
"""Packets taken before others have their turn; what is read together is sent together."""


class TunDevice:
    """A device on a non-blocking descriptor, which it owns; the system has it as long as that is open.

    :param name: as the system calls it.
    """

    def __init__(
        self,
        poller: Poller,
        number: int,
        name: str,
        read: Callable[[int, int], bytes] = os.read,
        write: Callable[[int, Buffer], int] = os.write,
        close: Callable[[int], None] = os.close,
        add_route: Callable[[IpAddress], None] = lambda destination: None,
    ) -> None:
        self.interest = self.watched = 0
        self.name = name
        self.dropped = 0
        """Packets that the system did not take."""
        self._poller = poller
        self._number = number
        self._read = read
        self._write = write
        self._close = close
        self._add_route = add_route
        self._packets_read: Callable[[list[bytes]], None] = lambda packets: None
        self._lost: Callable[[str], None] = lambda why: None

    def __repr__(self) -> str:
        return f"<TunDevice {self.name}>"

    def start(self, packets_read: Callable[[list[bytes]], None], lost: Callable[[str], None]) -> None:
        """Tells of packets from now on, and once, with why, that the system has the device no more."""
        self._packets_read, self._lost = packets_read, lost
        self._poller.watch(self, READ)

    def send(self, packets: Iterable[Buffer]) -> None:
        """Hands packets to the system; what it does not take is dropped."""
        number, write = self._number, self._write
        if number < 0:
            return
        for packet in packets:
            try:
                write(number, packet)
            except OSError:
                # It makes no sense of the packet, the device is down, or there is no memory.
                self.dropped += 1

    def lead(self, destination: IpAddress) -> None:
        """Has the system send what goes to an address by this device, as long as that is there.

        :raises OSError: it does not: with ``EEXIST``, because it sends that elsewhere.
        """
        self._add_route(destination)

    def close(self) -> None:
        """Takes the device from the system."""
        if self._number >= 0:
            number = self._number
            self._poller.forget(self)
            self._number = -1
            self._close(number)

    # --- for the poller -------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._number

    def ready(self, events: int) -> None:
        number, read = self._number, self._read
        packets: list[bytes] = []
        why = ""
        try:
            for _ in range(READS_AT_ONCE):
                packets.append(read(number, MTU))
        except BlockingIOError:
            pass
        except OSError as error:
            why = error.strerror or str(error)
        self._poller.taken_bytes += sum(map(len, packets))
        if packets:
            self._packets_read(packets)
        if why:
            self._end(why)

    def failed(self) -> None:
        """It cannot be watched, or there was a defect, which has been logged."""
        self._end("it cannot be read any more")

    def _end(self, why: str) -> None:
        if self._number >= 0:
            self.close()
            self._lost(why)

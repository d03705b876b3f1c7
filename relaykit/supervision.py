"""What systemd, or whatever else started the program and speaks as it does, wants to be told of it.

Source: sd_notify(3), systemd.service(5), ``Type=notify-reload`` and ``WatchdogSec=``.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["AGAIN_S", "MOST_UNSENT", "STATUS_EVERY_S", "Supervisor"]

STATUS_EVERY_S = 10.0
"""Seconds between two looks at whether there is something new; people see it with systemctl status."""

AGAIN_S = 0.1
"""Seconds until what it had no room for is sent again."""

MOST_UNSENT = 16
"""Texts that wait for room, the oldest go first: a program tells a few of each reload."""

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG_USEC = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"
_MICROSECONDS = 1_000_000
_NANOSECONDS_A_MICROSECOND = 1000


def _send(address: str, text: str) -> None:
    where = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    ) as plain:
        plain.sendto(text.encode(), where)


class Supervisor:
    """Told by datagrams how the program is; where nobody wants to know, nothing is sent.

    From :meth:`ready` on it hears again and again that the program is alive, if it asked for that, and what
    ``status`` answers, whenever that is new.

    :param environ: says where it listens, and how often it wants to hear.
    :param status: how the program is, in one line.
    :param send: sends a text to an address.
    """

    log = Logger()

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: IReactorTime,
        status: Callable[[], str] = lambda: "",
        send: Callable[[str, str], None] = _send,
    ) -> None:
        self._address = environ.get(_SOCKET, "")
        self._watchdog_s = _watchdog_s(environ)
        self._status = status
        self._told = ""
        self._unsent: deque[str] = deque(maxlen=MOST_UNSENT)
        self._again: IDelayedCall | None = None
        self._is_over = False
        self._send = send
        self._calls = [(self._tell_status, STATUS_EVERY_S)]
        if self._watchdog_s:
            # Half of it is what the manual advises, for one that comes late.
            self._calls.append((self._tell_alive, self._watchdog_s / 2))
        self._looping: list[LoopingCall] = []
        self._clock = clock

    def ready(self) -> None:
        """The program serves, or does so again after a reload."""
        self._tell("READY=1")
        self._tell_status()
        if self._wants_to_know and not self._looping:
            for call, seconds in self._calls:
                looping = LoopingCall(call)
                looping.clock = self._clock
                looping.start(seconds, now=False).addErrback(
                    lambda failure: self.log.failure("a defect while the supervisor was told", failure)
                )
                self._looping.append(looping)

    def reloading(self) -> None:
        """It begins to read its configuration again; :meth:`ready` says that it has done so."""
        microseconds = time.monotonic_ns() // _NANOSECONDS_A_MICROSECOND
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """It ends, in order; nothing is told after that, for a reload may be over later."""
        self._tell("STOPPING=1")
        self._is_over = True
        looping, self._looping = self._looping, []
        for each in looping:
            each.stop()

    @property
    def _wants_to_know(self) -> bool:
        return bool(self._address) and not self._is_over

    def _tell_alive(self) -> None:
        # The next one comes soon; where there is no room even for that, it must not take it from what counts.
        if not self._unsent:
            self._sent("WATCHDOG=1")

    def _tell_status(self) -> None:
        status = self._status() if self._wants_to_know else ""
        if status != self._told:
            self._told = status
            self._tell(f"STATUS={status}")

    def _tell(self, text: str) -> None:
        if self._wants_to_know:
            self._unsent.append(text)
            if self._again is None:
                self._send_all()

    def _send_all(self) -> None:
        self._again = None
        while self._unsent:
            if not self._sent(self._unsent[0]):
                self._again = self._clock.callLater(AGAIN_S, self._send_all)
                return
            self._unsent.popleft()

    def _sent(self, text: str) -> bool:
        """Sends a text; False where there is no room for it at the moment."""
        try:
            self._send(self._address, text)
        except BlockingIOError:
            return False
        except OSError as error:
            # It may be gone; the program does not depend on it.
            self.log.debug("the supervisor cannot be told: {reason}", reason=error.strerror)
        return True


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Seconds within which it wants a sign of life; 0 if it wants none of this process."""
    if environ.get(_WATCHDOG_PID, str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(environ.get(_WATCHDOG_USEC, "0"))) / _MICROSECONDS
    except ValueError:
        return 0.0

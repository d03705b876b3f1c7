"""What is shown of a tunnel on the terminal of whoever runs ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaykit.ssh_gateway import texts
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.ssh_gateway.asking import TunnelRequest
    from relaykit.ssh_gateway.terminal import TerminalChannel
    from relaykit.ssh_gateway.tunnel import Tunnel

__all__ = ["SHOW_S", "Screen"]

SHOW_S = 1.0
"""Seconds between two lines about users."""


class Screen:
    """Shows one tunnel: frp's words, and where there is a terminal a code of its URL, and its users."""

    def __init__(self, terminal: TerminalChannel, tunnel: Tunnel, clock: IReactorTime) -> None:
        self._terminal = terminal
        self._tunnel = tunnel
        self._clock = clock
        self._has_line = False
        """Whether the line about users has been shown, which is not ended."""
        self._timer = Timer(clock, self._show_users)

    def open(self, request: TunnelRequest, address: str) -> None:
        """Users can come."""
        terminal = self._terminal
        terminal.say(texts.announcement(request, address))
        if terminal.size is not None:
            url = texts.url_of(request.type, address)
            terminal.say(texts.qr_code(url, terminal.size.columns, terminal.size.rows) + url)
            self._show_users()

    def close(self) -> None:
        """Shows nothing more, and ends its last line."""
        self._timer.stop()
        if self._has_line:
            self._has_line = False
            self._terminal.say("")

    def _show_users(self) -> None:
        size = self._terminal.size
        if size is not None and size.columns > 0:
            self._has_line = True
            users, moved = self._tunnel.users, self._tunnel.moved()
            self._terminal.show_line(texts.users_line(users.present, users.total, *moved, size.columns - 1))
        self._timer.set(self._clock.seconds() + SHOW_S)

"""One SSH client: lets it in, hears what it wants, and shows what becomes of that."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from twisted.conch.ssh.transport import DISCONNECT_BY_APPLICATION
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.ssh_gateway import texts
from relaykit.ssh_gateway.asking import CommandRefused, TunnelRequest, UsageAsked, read_command
from relaykit.ssh_gateway.authentication import Admitted, UserAuthentication
from relaykit.ssh_gateway.connection import Forward, GatewayConnection
from relaykit.ssh_gateway.keep_alive import KeepAlive
from relaykit.ssh_gateway.screen import Screen
from relaykit.ssh_gateway.transport import GatewayTransport
from relaykit.ssh_gateway.tunnel import Tunnel
from relaykit.timer import Timer
from relaykit.values import host_of

if TYPE_CHECKING:
    from relaykit.interfaces import IEntranceHost, IStreamLeg
    from relaykit.plugins import ProxyTypes
    from relaykit.ssh_gateway.authorized_keys import AuthorizedKeys
    from relaykit.ssh_gateway.transport import HostKeys
    from relaykit.values import Origin

__all__ = ["ASK_S", "LEAVE_S", "LOGIN_S", "GatewayClient", "GatewaySettings"]

LOGIN_S = 20.0
"""Seconds from the connection until the client is let in: a key exchange, and a passphrase that is typed."""

ASK_S = 3.0
"""Seconds for ``-R`` and the command after that; frp's figure."""

OPEN_S = 20.0
"""Seconds for the server to answer login and registration, which it does within as many at the worst."""

LEAVE_S = 2.0
"""Seconds for what was said last to be read, and for the client to close."""

NAME_BYTES = 4
"""Random ones in the name of a proxy that was given none; frp's figure."""

_FAILED = 1
"""Exit status of ssh where there is no tunnel, or there is none any more."""


@frozen(kw_only=True)
class GatewaySettings:
    """What the clients of a gateway have in common.

    :ivar keys: those that may log in; None for everybody.
    :ivar admits: whether one more client may have a tunnel, from there.
    """

    host: IEntranceHost
    host_keys: HostKeys
    keys: AuthorizedKeys | None
    types: ProxyTypes
    unix_time: Callable[[], float]
    admits: Callable[[GatewayClient], bool]


class GatewayClient:
    """A client of the gateway: all that there is of it, for as long as its connection lasts.

    ``on_served()`` is called once it has a tunnel, ``on_gone()`` once its connection is lost.  In between it
    is let in, asks for a port and a command, has a tunnel, and leaves: each has its part here.
    """

    log = Logger()

    def __init__(
        self,
        settings: GatewaySettings,
        origin: Origin,
        on_served: Callable[[], object],
        on_gone: Callable[[], object],
    ) -> None:
        self.origin = origin
        self._settings = settings
        self._host = settings.host
        clock = self._host.reactor
        self._clock = clock
        self._on_served = on_served
        self._on_gone = on_gone
        self._connection: GatewayConnection | None = None
        self._admitted = Admitted()
        self._forward: Forward | None = None
        self._command: bytes | None = None
        self._request: TunnelRequest | None = None
        self._tunnel: Tunnel | None = None
        self._screen: Screen | None = None
        self._is_leaving = False
        self._deadline = Timer(clock, self._late)
        self._keep_alive = KeepAlive(self._ping, clock, self._silent)
        self._transport = GatewayTransport(
            settings.host_keys,
            origin.source,
            clock,
            self._host.turns,
            lambda: UserAuthentication(settings.keys, self._on_admitted),
            self._writable_changed,
            self._lost,
        )

    def start(self, leg: IStreamLeg) -> None:
        """Speaks SSH over a leg, which it owns."""
        self._deadline.set(self._clock.seconds() + LOGIN_S)
        self._host.connect(leg, self._transport)

    def close(self, text: str = texts.STOPPED) -> None:
        """Tells the client this, and lets it go."""
        self._leave(text, _FAILED)

    def abort(self) -> None:
        """Drops the client."""
        self._transport.abort()

    # --- what the client asks for -----------------------------------------------------------------

    def _on_admitted(self, admitted: Admitted) -> None:
        self._admitted = admitted
        connection = GatewayConnection(self._transport, self, self._clock, self._host.turns)
        self._connection = connection
        self._transport.setService(connection)
        self._deadline.set(self._clock.seconds() + ASK_S)
        self._keep_alive.start()

    def forward_requested(self, forward: Forward) -> None:
        """It forwards a port."""
        if self._forward is None:
            self._forward = forward
            self._host.turns.at_turn_end(self._begin)
        elif self._connection is not None and self._connection.terminal is not None:
            self._connection.terminal.say_aside(texts.ONE_FORWARD)

    def command_given(self, command: bytes) -> None:
        """It says what to publish."""
        if self._command is None:
            self._command = command
            # The request is answered first.
            self._host.turns.at_turn_end(self._begin)

    def stop_asked(self) -> None:
        """It wants to end."""
        self._host.turns.at_turn_end(self._stop)

    def _begin(self) -> None:
        command, forward = self._command, self._forward
        if command is None or self._request is not None or self._is_leaving:
            return
        if not command.strip():
            self._leave(texts.NO_COMMAND, _FAILED)
            return
        try:
            request = read_command(command, self._settings.types, os.urandom(NAME_BYTES))
        except UsageAsked as usage:
            self._leave(str(usage), 0)
            return
        except CommandRefused as refusal:
            self._leave(str(refusal), _FAILED)
            return
        if forward is None:
            # It may still come.
            return
        if not self._settings.admits(self):
            self._leave(texts.TOO_MANY, _FAILED)
            return
        if self._admitted.comment:
            request = evolve(request, user=self._admitted.comment)
        self._open(request, forward)

    def _late(self) -> None:
        """What was waited for has not come."""
        if self._connection is None or self._is_leaving:
            self.abort()
        elif self._request is not None:
            self._leave("wait proxy status ready timeout", _FAILED)
        else:
            self._leave(texts.NO_COMMAND if self._command is None else texts.NO_FORWARD, _FAILED)

    # --- the tunnel -------------------------------------------------------------------------------

    def _open(self, request: TunnelRequest, forward: Forward) -> None:
        connection = self._connection
        assert connection is not None, "a request of nobody"
        self._request = request
        self._deadline.set(self._clock.seconds() + OPEN_S)
        path = self._host.path(self.origin, self.abort, self._ping, is_vouched=self._admitted.by_key)

        def open_leg(user: Origin) -> Deferred[IStreamLeg]:
            return connection.open_leg(forward, user)

        self._tunnel = Tunnel(
            request,
            path,
            self._clock,
            self._settings.unix_time,
            open_leg,
            on_registered=self._registered,
            on_refused=lambda text: self._leave(text, _FAILED),
            on_login_refused=lambda text: self._leave(texts.LOGIN_FAILED.format(reason=text), _FAILED),
            on_ended=self.close,
        )
        self._tunnel.start()

    def _registered(self, address: str) -> None:
        connection, request, tunnel = self._connection, self._request, self._tunnel
        if connection is None or request is None or tunnel is None:
            return
        self._deadline.set(None)
        self._on_served()
        if connection.terminal is not None:
            self._screen = Screen(connection.terminal, tunnel, self._clock)
            self._screen.open(request, address)

    # --- its life ---------------------------------------------------------------------------------

    def _ping(self) -> Deferred[None]:
        connection = self._connection
        return Deferred() if connection is None else connection.ping()

    def _silent(self) -> None:
        self.log.info(
            "{origin} gives no sign of life at the SSH gateway, and is dropped",
            origin=self.origin,
            stranger=host_of(self.origin.source),
        )
        self.abort()

    def _writable_changed(self, is_writable: bool) -> None:
        if self._connection is not None:
            self._connection.writable_changed(is_writable)

    # --- its end ----------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._leave("", 0)

    def _leave(self, text: str, status: int) -> None:
        """Says why, ends the tunnel, and soon the connection."""
        if self._is_leaving:
            return
        self._is_leaving = True
        self._end_tunnel()
        terminal = None if self._connection is None else self._connection.terminal
        if terminal is None:
            self._transport.sendDisconnect(DISCONNECT_BY_APPLICATION, text.encode("utf-8", "replace"))
        else:
            if text:
                terminal.say(text)
            terminal.leave(status)
        self._deadline.set(self._clock.seconds() + LEAVE_S)

    def _end_tunnel(self) -> None:
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.close()

    def _lost(self) -> None:
        self._is_leaving = True
        self._deadline.stop()
        self._keep_alive.stop()
        self._end_tunnel()
        self._on_gone()

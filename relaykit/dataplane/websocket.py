"""A leg over WebSocket: what its data frames carry, above the leg that carries the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.upper_legs import UpperLeg
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ISecureLeg
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.websocket.frames import WebSocket

__all__ = ["END_TIMEOUT_S", "SecureWebSocketLeg", "WebSocketLeg"]

END_TIMEOUT_S = 10.0
"""Seconds that a peer has to end the connection below once both ends have closed, after which nothing can
come.  Source: RFC 6455 section 7.1.1."""


class WebSocketLeg(UpperLeg):
    """The stream in an open WebSocket connection; ``lower``, which it owns, begins with the first frame.

    Each direction ends with a Close frame, and the connection when both have, within
    :data:`END_TIMEOUT_S`.  frp's programs, and proxies
    that look into WebSocket, end both directions at the first.

    Where ``ping_s`` seconds pass without a byte from the peer, it is asked for one, so that who cuts idle
    connections in between has no reason to; None for never.
    """

    __slots__ = ("_clock", "_core", "_is_quiet", "_ping_s", "_timer")

    log = Logger()

    def __init__(
        self, lower: IStreamLeg, core: WebSocket, clock: IReactorTime, ping_s: float | None = None
    ) -> None:
        super().__init__(lower)
        self._core = core
        self._clock = clock
        self._ping_s = ping_s
        self._is_quiet = True
        self._timer: IDelayedCall | None = None
        """When to ping, or, once both ends have closed, to wait no longer."""
        if ping_s is not None:
            self._timer = clock.callLater(ping_s, self._ping)
        self._watch_lower()
        if not self._reading:
            lower.pauseProducing()

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if len(data) and not self._finishing:
            self._lower.write_sequence(self._core.frame((data,)))

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        if any(map(len, pieces)) and not self._finishing:
            self._lower.write_sequence(self._core.frame(pieces))

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finish()
            if self._core.close_received:
                self._await_end()

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        self._is_quiet = False
        if not self._silent:
            self._take(data)

    def end_received(self) -> None:
        self._take_all()
        if not self._core.close_received:
            self._cut_off()

    def leg_lost(self, reason: Ended) -> None:
        self._finishing = True
        self._stop_timer()
        self._take_all()
        self._lower_lost(reason, in_order=self._core.close_received)

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, data: Buffer) -> None:
        """Deals with what the peer sent, as far as this turn is for it."""
        try:
            pieces = self._core.receive(data, self._clock.seconds())
        except RemoteProtocolError as error:
            self._broken(str(error))
            return
        for piece in pieces:
            self._arrived(piece)
        if not self._full:
            self._answer()
        if self._core.has_input:
            self._lower.pauseProducing()
            self.turns.in_next_turn(self._take_rest)
        elif self._core.close_received and not self._ended_by_peer:
            if self._finishing:
                self._await_end()
            self._ended()

    def _take_rest(self) -> None:
        if self._core.has_input and not self._silent:
            self._take(b"")
            self._read_on()

    def _take_all(self) -> None:
        while self._core.has_input and not self._silent:
            self._take(b"")

    def _read_on(self) -> None:
        """Has more come, once what came was dealt with."""
        if not self._core.has_input and (self._reading or self._core.close_received):
            self._lower.resumeProducing()

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted:
            self._read_on()
        elif not self._core.close_received:
            # After the last frame the lower leg goes on, to find its own end.
            self._lower.pauseProducing()

    def _lower_drained(self) -> None:
        self._answer()
        super()._lower_drained()

    def _answer(self) -> None:
        """Sends what the peer is owed; while output is full that waits, and is no more than one frame."""
        answer = self._core.to_send()
        if answer:
            self._lower.write(answer)

    def _end_output(self) -> None:
        self._lower.write(self._core.close())

    def _await_end(self) -> None:
        """Has the connection end, which both ends have closed."""
        self._lower.finish_writing()
        self._stop_timer()
        self._timer = self._clock.callLater(END_TIMEOUT_S, self._end_late)

    def _end_late(self) -> None:
        self._timer = None
        self._lower.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ping(self) -> None:
        """Asks a peer that said nothing for long."""
        self._timer = None
        if self._finishing or self._ping_s is None:
            return
        if self._is_quiet and not self._full:
            self._lower.write(self._core.ping())
        self._is_quiet = True
        self._timer = self._clock.callLater(self._ping_s, self._ping)

    def _broken(self, reason: str) -> None:
        self._finishing = True
        self._answer()
        self.log.info(
            "the connection with {peer} broke: {reason}",
            peer=self.peer,
            reason=reason,
            stranger=host_of(self.peer),
        )
        self._end_broken()


@implementer(ISecureLeg)
class SecureWebSocketLeg(WebSocketLeg):
    """The stream in a WebSocket connection over TLS.

    ``bound`` says that both ends are known to be in the same session of TLS: where a proxy ends it, what one
    end exports tells the other nothing.
    """

    __slots__ = ("_bound", "_secured")

    def __init__(
        self,
        lower: IStreamLeg,
        core: WebSocket,
        clock: IReactorTime,
        ping_s: float | None = None,
        *,
        secured: ISecureLeg,
        bound: bool,
    ) -> None:
        self._secured = secured
        self._bound = bound
        super().__init__(lower, core, clock, ping_s)

    @property
    def peer_certificate(self) -> bytes | None:
        """That of whoever ends TLS."""
        certificate: bytes | None = self._secured.peer_certificate
        return certificate

    @property
    def tls_version(self) -> str:
        """That of the session in which WebSocket is."""
        version: str = self._secured.tls_version
        return version

    @property
    def is_verified(self) -> bool:
        """Whether whoever ends TLS proved who it is."""
        verified: bool = self._secured.is_verified
        return verified

    @property
    def broken_by(self) -> str:
        """Why that session ended in disorder."""
        why: str = self._secured.broken_by
        return why

    def export_keying_material(self, label: bytes, length: int) -> bytes:
        exported: bytes = self._secured.export_keying_material(label, length) if self._bound else b""
        return exported

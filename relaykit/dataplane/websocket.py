"""A leg over WebSocket: what its data frames carry, above the leg that carries the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.legs import OutputGate, StreamLeg
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ILossReceiver, ISecureLeg
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IConnection, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.websocket.frames import WebSocket

__all__ = ["SecureWebSocketLeg", "WebSocketLeg"]


@implementer(ILossReceiver)
class WebSocketLeg(StreamLeg):
    """The stream in an open WebSocket connection; ``lower``, which it owns, begins with the first frame.

    Each direction ends with a Close frame, and the connection when both have.  frp's programs, and proxies
    that look into WebSocket, end both directions at the first.

    Where ``ping_s`` seconds pass without a byte from the peer, it is asked for one, so that who cuts idle
    connections in between has no reason to; None for never.
    """

    __slots__ = ("_clock", "_core", "_finishing", "_is_quiet", "_lower", "_ping_s", "_pinging")

    log = Logger()

    def __init__(
        self, lower: IStreamLeg, core: WebSocket, clock: IReactorTime, ping_s: float | None = None
    ) -> None:
        super().__init__(lower.peer, lower.host)
        self._lower = lower
        self._core = core
        self._clock = clock
        self._ping_s = ping_s
        self._finishing = False
        self._is_quiet = True
        self._pinging: IDelayedCall | None = None
        if ping_s is not None:
            self._pinging = clock.callLater(ping_s, self._ping)
        lower.registerProducer(OutputGate(self), True)
        lower.attach(self)
        if not self._reading:
            lower.pauseProducing()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._lower!r}>"

    @property
    def turns(self) -> ITurns:
        below: ITurns = self._lower.turns
        return below

    @property
    def connection(self) -> IConnection | None:
        below: IConnection | None = self._lower.connection
        return below

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if len(data) and not self._finishing:
            self._lower.write_sequence(self._core.frame((data,)))

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        if any(map(len, pieces)) and not self._finishing:
            self._lower.write_sequence(self._core.frame(pieces))

    def finish_writing(self) -> None:
        if not self._finishing:
            self._end_output()
            if self._core.close_received:
                self._lower.finish_writing()

    def close(self) -> None:
        self._silence()
        self._end_output()
        self._lower.close()

    def break_off(self) -> None:
        self._silence()
        self._end_output()
        self._lower.break_off()

    def abort(self) -> None:
        self._finishing = True
        self._silence()
        self._lower.abort()

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        self._is_quiet = False
        if not self._silent:
            self._take(data)

    def end_received(self) -> None:
        self._take_all()
        if not self._core.close_received:
            # Anybody could have cut the connection here.
            self._finishing = True
            self._lower.abort()
            self._lost(Ended.RESET)

    def loss_noted(self, reason: Ended) -> None:
        self._lower.resumeProducing()

    def leg_lost(self, reason: Ended) -> None:
        self._finishing = True
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None
        self._take_all()
        in_order = self._silent or self._core.close_received
        self._lost(Ended.RESET if reason is Ended.FINISHED and not in_order else reason)

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
                self._lower.finish_writing()
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
        if not self._finishing:
            self._finishing = True
            self._lower.write(self._core.close())

    def _ping(self) -> None:
        """Asks a peer that said nothing for long."""
        self._pinging = None
        if self._finishing or self._ping_s is None:
            return
        if self._is_quiet and not self._full:
            self._lower.write(self._core.ping())
        self._is_quiet = True
        self._pinging = self._clock.callLater(self._ping_s, self._ping)

    def _broken(self, reason: str) -> None:
        self._finishing = True
        self._answer()
        self.log.info(
            "the connection with {peer} broke: {reason}",
            peer=self.peer,
            reason=reason,
            stranger=host_of(self.peer),
        )
        self._lower.close()
        self.turns.at_turn_end(self._tell_broken)

    def _tell_broken(self) -> None:
        self._lost(Ended.PROTOCOL_ERROR)


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

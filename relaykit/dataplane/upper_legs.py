"""Legs on other legs: TLS, WebSocket, transforms and pacing pass on what they make of a leg's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from relaykit.dataplane.legs import OutputGate, StreamLeg
from relaykit.interfaces import ILossReceiver
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.interfaces import IConnection, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["UpperLeg"]


@implementer(ILossReceiver)
class UpperLeg(StreamLeg):
    """A leg on another one, which it owns.

    A subclass brings ``write``, ``write_sequence``, ``data_received`` and, where an end is said to the peer
    in the bytes themselves, ``end_received``, ``leg_lost`` and :meth:`_end_output`.  It begins to receive by
    :meth:`_watch_lower`.  What it needs to be told of a full output it sets before this constructor.
    """

    __slots__ = ("_finishing", "_lower", "_watching")

    def __init__(self, lower: IStreamLeg) -> None:
        super().__init__(lower.peer, lower.host)
        self._lower = lower
        self._watching = False
        self._finishing = False
        """Whether nothing more may be written."""
        lower.registerProducer(OutputGate(self), True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._lower!r}>"

    @property
    def turns(self) -> ITurns:
        turns: ITurns = self._lower.turns
        return turns

    @property
    def connection(self) -> IConnection | None:
        below: IConnection | None = self._lower.connection
        return below

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finish()
            self._lower.finish_writing()

    def close(self) -> None:
        self._stop()
        self._lower.close()

    def break_off(self) -> None:
        self._stop()
        self._lower.break_off()

    def abort(self) -> None:
        self._finishing = True
        self._stop()
        self._lower.abort()

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        raise NotImplementedError

    def end_received(self) -> None:
        self._ended()

    def loss_noted(self, reason: Ended) -> None:
        self._lower.resumeProducing()

    def leg_lost(self, reason: Ended) -> None:
        self._lost(reason)

    # --- for subclasses -------------------------------------------------------------------------

    def _end_output(self) -> None:
        """Says, as the last of the output, that it ends; called once."""

    def _finish(self) -> None:
        """Writes nothing more, once the end is said."""
        if not self._finishing:
            self._finishing = True
            self._end_output()

    def _watch_lower(self) -> None:
        """Receives what the lower leg delivers, from now on."""
        if not self._watching:
            self._watching = True
            self._lower.attach(self)

    def _cut_off(self) -> None:
        """The lower leg ended before the peer said so: anybody could have cut the connection here."""
        self._finishing = True
        self._lower.abort()
        self._lost(Ended.RESET)

    def _end_broken(self) -> None:
        """Ends what the peer has broken, once it was told so; the loss is told when this turn ends."""
        self._lower.close()
        self.turns.at_turn_end(self._tell_broken)

    def _lower_lost(self, reason: Ended, *, in_order: bool) -> None:
        """Notes that the lower leg is gone, which is a cut unless the peer had said that it ends."""
        in_order = in_order or self._silent
        self._lost(Ended.RESET if reason is Ended.FINISHED and not in_order else reason)

    # --- inside ---------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Takes and delivers nothing more; learns how the lower leg ends."""
        self._silence()
        self._finish()
        self._watch_lower()

    def _tell_broken(self) -> None:
        self._lost(Ended.PROTOCOL_ERROR)

"""Legs that are held to budgets: bytes of streams wait for their turn, datagrams beyond it are dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.datagrams import UpperDatagramLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.dataplane.upper_legs import UpperLeg
from relaykit.driver import CoreDriver
from relaykit.interfaces import IDatagramReceiver, ILossReceiver
from relaykit.sansio.pacing import Pacing, Share
from relaykit.values import LOST_LINGER_S, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IDatagramLeg, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.pacing import Budget, Granted

__all__ = ["PacedFlow", "PacedLeg", "Pacer", "PolicedLeg"]


class Pacer:
    """Lets what passes the legs of a data plane have its turns; one timer for all of them."""

    log = Logger()

    def __init__(self, clock: IReactorTime, turns: ITurns) -> None:
        self.clock = clock
        self.turns = turns
        self._core = Pacing()
        self._driver = CoreDriver(self._core, clock, self._on_granted)

    def ask(self, flow: PacedFlow, size: int) -> int:
        """How many of so many bytes may pass now; if not all, the flow is told when the next may."""
        granted = 0
        while granted < size:
            more = self._core.ask(flow, size - granted, self._driver.now)
            if not more:
                self._driver.step()
                break
            granted += more
        return granted

    def cancel(self, flow: PacedFlow) -> None:
        """Nothing waits there any more."""
        if flow.is_waiting:
            self._core.cancel(flow)
            self._driver.step()

    def admit(self, budgets: Sequence[Budget], size: int) -> bool:
        """Whether a datagram may pass now."""
        return self._core.admit(budgets, size, self._driver.now)

    def _on_granted(self, event: Granted) -> None:
        assert isinstance(event.share, PacedFlow), event
        leg = event.share.leg
        if leg is None:
            return
        try:
            leg.on_turn(event.share, event.size)
        except Exception:
            self.log.failure("a defect while serving {leg!r}; it is dropped", leg=leg)
            leg.abort()


class PacedFlow(Share):
    """One direction of a paced leg, until the leg is lost, and what of it waits for its turn."""

    __slots__ = ("_held", "held_bytes", "leg")

    def __init__(self, leg: PacedLeg, budgets: Sequence[Budget]) -> None:
        super().__init__(budgets)
        self.leg: PacedLeg | None = leg
        self.held_bytes = 0
        self._held: deque[memoryview] = deque()

    def hold(self, data: Buffer) -> None:
        """Keeps bytes behind those that wait."""
        if len(data):
            self._held.append(memoryview(bytes(data)))
            self.held_bytes += len(data)

    def take(self, size: int) -> list[Buffer]:
        """The first bytes, at most so many."""
        taken: list[Buffer] = []
        while size and self._held:
            piece = self._held.popleft()
            if len(piece) > size:
                self._held.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
            self.held_bytes -= len(piece)
        return taken

    def drop(self) -> None:
        """Keeps nothing any more."""
        self._held.clear()
        self.held_bytes = 0


class PacedLeg(UpperLeg):
    """Holds output and input of a leg, which it owns, to budgets.

    Of its input it keeps what the leg delivers at once, of its output what is written until the producer
    pauses, and takes nothing more while it keeps any.  What was written before an end still goes out in its
    turns, unless the peer takes nothing for :data:`~relaykit.dataplane.sockets.FLUSH_LINGER_S`.
    """

    __slots__ = (
        "_after_output",
        "_ended_below",
        "_gives_up",
        "_in",
        "_leaving",
        "_lost_below",
        "_lower_full",
        "_out",
        "_pacer",
        "_patience_s",
        "_takes_all",
    )

    def __init__(self, lower: IStreamLeg, budgets: Sequence[Budget], pacer: Pacer) -> None:
        self._pacer = pacer
        self._in = PacedFlow(self, budgets)
        self._out = PacedFlow(self, budgets)
        self._lower_full = False
        self._takes_all = False
        """Whether it keeps all that the leg delivers: what came before a loss, at most its peer's window."""
        self._ended_below = False
        self._lost_below: Ended | None = None
        self._after_output: Callable[[], None] | None = None
        """How the output ends once it is sent; None while more may be written."""
        self._leaving = False
        self._patience_s = FLUSH_LINGER_S
        self._gives_up: IDelayedCall | None = None
        super().__init__(lower)
        lower.pauseProducing()

    def on_turn(self, flow: PacedFlow, size: int) -> None:
        """So many bytes of one direction may pass."""
        pieces = flow.take(size)
        if flow is self._in:
            for piece in pieces:
                self._arrived(piece)
            self._receive()
        else:
            if pieces:
                self._lower.write_sequence(pieces)
            self._send()

    # --- output ---------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if self._after_output is not None:
            return
        if not self._out.held_bytes and not self._lower_full:
            granted = self._pacer.ask(self._out, len(data))
            if granted == len(data):
                self._lower.write(data)
                return
            if granted:
                view = memoryview(data)
                self._lower.write(view[:granted])
                data = view[granted:]
        self._out.hold(data)
        self._send()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        if self._after_output is None:
            self._after_output = self._lower.finish_writing
            self._send()

    def close(self) -> None:
        if not self._leaving:
            self._leave(self._lower.close)

    def break_off(self) -> None:
        self._patience_s = LOST_LINGER_S
        self._leave(self._lower.break_off)

    def abort(self) -> None:
        self._drop_output()
        self._leave(self._lower.abort)

    def _send(self) -> None:
        """Sends what may go out, and then what is to follow it."""
        out = self._out
        if out.held_bytes and not self._lower_full and not out.is_waiting:
            granted = self._pacer.ask(out, out.held_bytes)
            if granted:
                self._lower.write_sequence(out.take(granted))
        if out.held_bytes or self._lower_full:
            self._output_full()
        if not out.held_bytes:
            if self._after_output is not None:
                after, self._after_output = self._after_output, _nothing
                after()
            elif not self._lower_full:
                self._output_drained()

    def _drop_output(self) -> None:
        self._pacer.cancel(self._out)
        self._out.drop()

    def _lower_filled(self) -> None:
        self._lower_full = True
        self._output_full()
        self._mind_stall()

    def _lower_drained(self) -> None:
        self._lower_full = False
        self._mind_stall()
        self._send()

    def _mind_stall(self) -> None:
        """Gives a peer that takes nothing so much time to take the rest, no more."""
        if self._gives_up is not None:
            self._gives_up.cancel()
            self._gives_up = None
        if self._leaving and self._lower_full and self._out.held_bytes:
            self._gives_up = self._pacer.clock.callLater(self._patience_s, self._give_up)

    def _give_up(self) -> None:
        self._gives_up = None
        self.abort()
        self._lost(Ended.TIMEOUT)

    def _leave(self, how: Callable[[], None]) -> None:
        """Delivers nothing any more, and ends the lower leg so once the output is sent."""
        self._leaving = True
        self._after_output = how
        self._pacer.cancel(self._in)
        self._in.drop()
        self._silence()
        self._watch_lower()
        self._mind_stall()
        self._send()
        if self._lost_below is not None:
            self._pacer.turns.at_turn_end(self._tell_loss)

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        inflow = self._in
        if self._silent:
            return
        if inflow.held_bytes or not self._reading:
            inflow.hold(data)
        else:
            granted = self._pacer.ask(inflow, len(data))
            if granted == len(data):
                self._arrived(data)
                return
            view = memoryview(data)
            inflow.hold(view[granted:])
            if granted:
                self._arrived(view[:granted])
        self._receive()

    def end_received(self) -> None:
        self._ended_below = True
        self._receive()

    def loss_noted(self, reason: Ended) -> None:
        self._takes_all = True
        self._lower.resumeProducing()
        self._note_loss(reason)

    def leg_lost(self, reason: Ended) -> None:
        self._lost_below = reason
        self._after_output = _nothing
        self._drop_output()
        self._mind_stall()
        self._receive()
        if reason is not Ended.FINISHED:
            self._note_loss(reason)

    # --- input ----------------------------------------------------------------------------------

    def _note_loss(self, reason: Ended) -> None:
        """Tells a receiver that has paused this leg of a loss that comes after what is kept."""
        if self._paused and self._loss is None and ILossReceiver.providedBy(self._receiver):
            self._receiver.loss_noted(reason)

    def _receive(self) -> None:
        """Delivers what may be, and then what is to follow it."""
        inflow = self._in
        if inflow.held_bytes and self._reading and not inflow.is_waiting:
            for piece in inflow.take(self._pacer.ask(inflow, inflow.held_bytes)):
                self._arrived(piece)
        if inflow.held_bytes:
            if not self._takes_all:
                self._lower.pauseProducing()
            return
        if self._ended_below and not self._ended_by_peer:
            self._ended()
        if self._lost_below is not None:
            self._tell_loss()
        elif self._reading:
            self._lower.resumeProducing()

    def _tell_loss(self) -> None:
        # Without this reference cycle the leg's memory is free at once.
        self._in.leg = self._out.leg = None
        if self._lost_below is not None:
            self._lost(self._lost_below)

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted:
            self._watch_lower()
            self._receive()
        elif not self._takes_all:
            self._lower.pauseProducing()


@implementer(IDatagramReceiver)
class PolicedLeg(UpperDatagramLeg):
    """Holds a datagram leg, which it owns, to budgets: what is beyond them, both ways, is dropped."""

    __slots__ = ("_budgets", "_pacer", "_receiver", "_refused")

    def __init__(self, lower: IDatagramLeg, budgets: Sequence[Budget], pacer: Pacer) -> None:
        super().__init__(lower)
        self._budgets = budgets
        self._pacer = pacer
        self._receiver: IDatagramReceiver | None = None
        self._refused = 0

    def __repr__(self) -> str:
        return f"<PolicedLeg on {self._lower!r}>"

    @property
    def dropped(self) -> int:
        return super().dropped + self._refused

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._receiver = receiver
        self._lower.attach(self)

    def send(self, data: Buffer) -> bool:
        return self._admits(data) and super().send(data)

    # --- the lower leg's receiver ---------------------------------------------------------------

    def datagram_received(self, data: Buffer) -> None:
        if self._admits(data) and self._receiver is not None:
            self._receiver.datagram_received(data)

    def leg_lost(self, reason: Ended) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.leg_lost(reason)

    def _admits(self, data: Buffer) -> bool:
        admitted = self._pacer.admit(self._budgets, len(data))
        self._refused += not admitted
        return admitted


def _nothing() -> None:
    """What follows an output that has ended."""

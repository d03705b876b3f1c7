"""What all legs share: who receives, what is held back until then, and whom to pause.

:class:`StreamLeg` is subclassed by every kind of leg; each brings its own way to get bytes in and
out.  :class:`TransportLeg` adapts a Twisted transport that somebody else's endpoint made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from relaykit.interfaces import ILossReceiver, IStreamLeg
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProducer

    from relaykit.interfaces import IConnection, ILegReceiver, ITurns
    from relaykit.sansio.contract import Buffer, PrefixParser
    from relaykit.values import Address

__all__ = ["OutputGate", "StreamLeg"]

_MOST_PARTS_HELD: Final = 256
"""Parts that a leg which is not read holds before they are joined: many small ones would cost many times the
memory of what is in them."""


class _Parse:
    """A question about the first bytes, until it is answered."""

    __slots__ = ("answer", "consume", "parser")

    def __init__(self, parser: PrefixParser, consume: bool, answer: Deferred[Any]) -> None:
        self.parser = parser
        self.consume = consume
        self.answer = answer


@implementer(IStreamLeg)
class StreamLeg:
    """The half of a leg that does not depend on what carries it.

    A subclass provides ``turns``, ``write``, ``write_sequence``, ``finish_writing``, ``close``,
    ``break_off``, ``abort`` and

    - reports input by :meth:`_arrived`, :meth:`_ended` and :meth:`_lost`, in this order and never
      within a call of its own public methods, so that no receiver is called from inside its call;
    - is told by :meth:`_reading_wanted` when to read on and when to stop, and may still report
      what it already has;
    - calls :meth:`_silence` in ``close``, ``break_off`` and ``abort``, which drops input from then on;
    - calls :meth:`_output_full` and :meth:`_output_drained` as its output queue grows and shrinks.

    Where input costs credit that must be given back (a mux stream), :meth:`_released` tells how
    much of what had been held was taken; :meth:`_arrived` answers what was taken at once.
    """

    __slots__ = (
        "_advancing",
        "_end_told",
        "_ended_by_peer",
        "_flowing",
        "_full",
        "_held",
        "_loss",
        "_loss_told",
        "_on_gone",
        "_parse",
        "_paused",
        "_producer",
        "_put_back",
        "_reading",
        "_receiver",
        "_silent",
        "host",
        "peer",
    )

    def __init__(self, peer: Address | None = None, host: Address | None = None) -> None:
        self.peer = peer
        self.host = host
        self._receiver: ILegReceiver | None = None
        self._paused = True
        self._held: list[bytes] = []
        self._put_back = 0
        self._parse: _Parse | None = None
        self._ended_by_peer = False
        self._end_told = False
        self._loss: Ended | None = None
        self._loss_told = False
        self._on_gone: tuple[Callable[[], None], ...] = ()
        self._silent = False
        self._advancing = False
        # True exactly while bytes may go straight to the receiver.
        self._flowing = False
        self._reading = False
        self._producer: IPushProducer | None = None
        self._full = False

    # --- receiving: for everybody ---------------------------------------------------------------

    def attach(self, receiver: ILegReceiver) -> None:
        if self._parse is not None:
            raise LocalProtocolError("a leg was attached while its first bytes are being looked at")
        if self._flowing:
            # Nothing is held, and nothing was told that the next receiver must be told, too.
            self._receiver = receiver
            return
        if receiver is not self._receiver:
            # Whoever the leg is handed on to learns of its end and its loss, too.
            self._end_told = self._loss_told = False
        self._receiver = receiver
        self._paused = False
        self._advance()

    def pauseProducing(self) -> None:
        if not self._paused:
            self._paused = True
            self._flowing = False
            if not self._advancing:
                self._want_reading()

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self._advance()

    def stopProducing(self) -> None:
        self.close()

    def peek(self, parser: PrefixParser) -> Deferred[Any]:
        return self._ask(parser, consume=False)

    def take(self, parser: PrefixParser) -> Deferred[Any]:
        return self._ask(parser, consume=True)

    def unread(self, data: bytes) -> None:
        if data:
            self._held.insert(0, bytes(data))
            self._put_back += len(data)
            self.pauseProducing()

    # --- sending: for everybody -----------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        raise NotImplementedError

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        raise NotImplementedError

    def finish_writing(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def break_off(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def when_gone(self, call: Callable[[], None]) -> None:
        if self._loss is not None:
            call()
        else:
            self._on_gone += (call,)

    @property
    def connection(self) -> IConnection | None:
        return None

    @property
    def turns(self) -> ITurns:
        raise NotImplementedError

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Names who is paused while the output is full.

        :raises LocalProtocolError: there is one already, or it is not a push producer.
        """
        if self._producer is not None:
            raise LocalProtocolError("a leg was given a second producer")
        if not streaming:
            raise LocalProtocolError("a leg takes push producers only")
        self._producer = producer  # type: ignore[assignment]  # streaming says that it is one
        if self._full and self._producer is not None:
            self._producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    # --- for subclasses -------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        """Begins or stops to read; told only when it changes."""
        raise NotImplementedError

    def _released(self, count: int) -> None:
        """So many bytes that had been held were taken by the receiver (or dropped by closing)."""

    def _arrived(self, data: Buffer) -> bool:
        """Takes what the peer sent; whether it is dealt with (else it is held: see _released)."""
        if self._flowing:
            self._receiver.data_received(data)  # type: ignore[union-attr]  # flowing implies one
            return True
        if self._silent:
            return True
        self._held.append(bytes(data))
        if len(self._held) > _MOST_PARTS_HELD:
            self._gather()
        self._advance()
        return False

    def _ended(self) -> None:
        """Notes that the peer will send no more."""
        self._ended_by_peer = True
        self._advance()

    def _lost(self, reason: Ended) -> None:
        """Notes that the leg is gone; only the first reason counts."""
        if self._loss is None:
            self._loss = reason
            calls, self._on_gone = self._on_gone, ()
            for call in calls:
                call()
            self._advance()
            receiver = self._receiver
            waits = self._paused and not self._loss_told and reason is not Ended.FINISHED
            if waits and ILossReceiver.providedBy(receiver):
                receiver.loss_noted(reason)

    def _silence(self) -> None:
        """Drops what is held and what will arrive: this side has closed the leg."""
        if self._silent:
            return
        self._silent = True
        self._flowing = False
        dropped = sum(map(len, self._held)) - self._put_back
        self._held.clear()
        self._put_back = 0
        self._parse_failed("it was closed by this side")
        if dropped > 0:
            self._released(dropped)
        if not self._advancing:
            self._want_reading()
        if self._loss is not None and not self._loss_told:
            # It waited for what is dropped, or for the receiver to go on.
            self.turns.at_turn_end(self._advance)

    def _output_full(self) -> None:
        """Pauses the producer."""
        if not self._full:
            self._full = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def _output_drained(self) -> None:
        """Lets the producer go on."""
        if self._full:
            self._full = False
            if self._producer is not None:
                self._producer.resumeProducing()

    def _lower_filled(self) -> None:
        """The output of the leg below is full."""
        self._output_full()

    def _lower_drained(self) -> None:
        """The leg below takes output again."""
        self._output_drained()

    # --- inside ---------------------------------------------------------------------------------

    def _ask(self, parser: PrefixParser, consume: bool) -> Deferred[Any]:
        if self._receiver is not None or self._parse is not None:
            raise LocalProtocolError("the first bytes of a leg were asked for twice, or after attach")
        answer: Deferred[Any] = Deferred(self._asking_cancelled)
        self._parse = _Parse(parser, consume, answer)
        if self._silent:
            self._parse_failed("it was closed by this side")
        self._advance()
        return answer

    def _asking_cancelled(self, _answer: Deferred[Any]) -> None:
        self._parse = None
        self._want_reading()

    def _parse_failed(self, reason: str) -> None:
        parse, self._parse = self._parse, None
        if parse is not None:
            where = "the connection" if self.peer is None else f"the connection with {self.peer}"
            parse.answer.errback(
                ConnectionFailed(
                    f"{where} ended before it was understood: {reason}", problem="connection-cut"
                )
            )

    def _try_parse(self, parse: _Parse) -> None:
        """Answers the question about the first bytes if they suffice."""
        data = self._gather()
        try:
            found = parse.parser.feed(data)
            if found is None and len(data) >= parse.parser.limit:
                raise RemoteProtocolError(f"nothing known was recognized in {len(data)} bytes")
        except Exception:
            # The parser is somebody else's: whatever it raises is the answer.
            self._parse = None
            parse.answer.errback(Failure())
            return
        if found is None:
            return
        value, length = found
        self._parse = None
        if parse.consume and length:
            self._held = [data[length:]] if length < len(data) else []
            self._account(length)
        parse.answer.callback(value)

    def _gather(self) -> bytes:
        held = self._held
        if len(held) > 1:
            held[:] = [b"".join(held)]
        return held[0]

    def _account(self, count: int) -> None:
        """Tells of held bytes that were taken; those put back by unread were told before."""
        again = min(count, self._put_back)
        self._put_back -= again
        if count > again:
            self._released(count - again)

    def _advance(self) -> None:
        """Answers, delivers and tells what can be, then reads on or stops."""
        if self._advancing:
            return
        self._advancing = True
        self._flowing = False
        try:
            self._deliver()
        finally:
            self._advancing = False
            self._want_reading()

    def _deliver(self) -> None:
        while self._parse is not None and self._held:
            parse = self._parse
            self._try_parse(parse)
            if self._parse is parse:
                break
        if self._parse is not None and (self._ended_by_peer or self._loss is not None):
            self._parse_failed("the peer closed it" if self._loss is None else self._loss.value)
        while self._held and self._receiver is not None and not self._paused and not self._silent:
            data = self._gather()
            self._held.clear()
            self._receiver.data_received(data)
            self._account(len(data))
        if self._receiver is None or (self._held and not self._silent):
            return
        if self._ended_by_peer and not self._end_told and not self._silent and not self._paused:
            self._end_told = True
            self._receiver.end_received()
            if self._held:
                return
        if (
            self._loss is not None
            and not self._loss_told
            and (self._silent or self._end_told or not self._ended_by_peer)
        ):
            self._loss_told = True
            receiver, self._receiver, self._producer = self._receiver, None, None
            receiver.leg_lost(self._loss)

    def _want_reading(self) -> None:
        open_for_input = not (self._silent or self._ended_by_peer or self._loss is not None)
        flowing = open_for_input and self._receiver is not None and not self._paused and not self._held
        self._flowing = flowing
        wanted = flowing or (open_for_input and self._parse is not None)
        if wanted != self._reading:
            self._reading = wanted
            self._reading_wanted(wanted)


@implementer(IPushProducer)
class OutputGate:
    """The producer of a leg on behalf of the leg on top of it: passes on when to pause.

    For whoever puts one leg on another: ``lower.registerProducer(OutputGate(upper), True)``.
    """

    __slots__ = ("_upper",)

    def __init__(self, upper: StreamLeg) -> None:
        self._upper = upper

    def pauseProducing(self) -> None:
        self._upper._lower_filled()

    def resumeProducing(self) -> None:
        self._upper._lower_drained()

    def stopProducing(self) -> None:
        """Nothing: the loss of the lower leg is told as such."""

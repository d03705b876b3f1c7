"""Runs a QUIC connection over a datagram leg: what arrives, what goes out, and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.carriers.quic.adapter import timed_out
from relaykit.dataplane.datagrams import sender_of_many
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IBatchedDatagramReceiver, IProbedDatagramLeg
from relaykit.timer import Timer
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.carriers.quic.adapter import Connection
    from relaykit.interfaces import IDatagramLeg, ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["ConnectionOwner", "QuicDriver"]

_ROUNDS: Final = 4
"""How often output is handed down and sent in one turn, as far as the network is thought to carry it."""

_PROTOCOL_VIOLATION: Final = 0x0A
"""Source: RFC 9000 20.1."""


class ConnectionOwner(Protocol):
    """What is told of a connection."""

    def on_event(self, event: Any) -> None:
        """Something happened, in the library's words.

        :raises RemoteProtocolError: the peer broke the rules.
        """

    def fill(self) -> Iterator[None]:
        """Hands output to the connection, in parts: each goes into packets of its own before the next."""

    def settle(self) -> None:
        """Looks at what is left of it, after it was sent."""

    def connection_lost(self, reason: Ended) -> None:
        """The connection is over; called once, last."""


@implementer(IBatchedDatagramReceiver)
class QuicDriver:
    """Feeds a connection from a leg, and the leg from the connection; owns both.

    Datagrams of one turn go in together, and what the connection wants sent goes down once for all of them,
    by few system calls where the leg can do that.

    :param keepalive_s: seconds without a word of the peer after which it is asked for one.
    :ivar allowance: bytes that the peer may still send, whatever is in them; None for any number.  The
        libraries keep what some frames ask for, many times their size, and no credit bounds it.
    """

    log = Logger()

    def __init__(
        self,
        connection: Connection,
        lower: IDatagramLeg,
        turns: ITurns,
        clock: IReactorTime,
        keepalive_s: float,
        owner: ConnectionOwner,
    ) -> None:
        self.connection = connection
        self.lower = lower
        self.turns = turns
        self.allowance: int | None = None
        self.lost: Ended | None = None
        """Why the connection is over; None as long as it is not."""
        self._clock = clock
        self._owner = owner
        self._keepalive_s = keepalive_s
        self._arrived: list[bytes] = []
        self._timer = Timer(clock, self._wake)
        self._keepalive = Timer(clock, self._keep_alive)
        self._heard_at = 0.0
        self._asked = 0
        self._answers: dict[int, Deferred[None]] = {}
        self._on_heard: list[Deferred[None]] = []
        self._flush_asked = self._telling = False
        self._send = sender_of_many(lower)

    @property
    def now(self) -> float:
        """The time that the connection is told."""
        return self._clock.seconds()

    def start(self) -> None:
        """Begins to send and to receive."""
        self._heard_at = self.now
        self._keepalive.set(self._heard_at + self._keepalive_s)
        self.connection.start(self._heard_at)
        if IProbedDatagramLeg.providedBy(self.lower):
            # What is too large for the way must be lost, not cut: the connection tries how much it carries.
            self.lower.forbid_fragments()
        self.flush_soon()
        self.lower.attach(self)

    def flush_soon(self) -> None:
        """Sends what there is to send once this turn's input has been dealt with."""
        if not self._flush_asked:
            self._flush_asked = True
            self.turns.at_turn_end(self._flush_if_asked)

    def go_on_soon(self) -> None:
        """Tells in the next turn what the connection has kept while credit was withheld."""
        self.turns.in_next_turn(self._flush)

    def ask(self) -> Deferred[None]:
        """Asks the peer for an answer; fires when it is there, and never if the connection is lost before."""
        self._asked += 1
        answer: Deferred[None] = Deferred()
        if self.lost is None:
            self._answers[self._asked] = answer
            self.connection.ping(self._asked)
            self.flush_soon()
        return answer

    def when_heard(self) -> Deferred[None]:
        """Fires with the next datagram that arrives."""
        heard: Deferred[None] = Deferred()
        self._on_heard.append(heard)
        return heard

    def answered(self, number: int) -> None:
        """The peer has answered."""
        answer = self._answers.pop(number, None)
        if answer is not None:
            answer.callback(None)

    def end(self, reason: Ended, code: int = 0, text: str = "") -> None:
        """Ends the connection at once; the peer is told by one datagram."""
        if self.lost is None:
            try:
                self.connection.close(code, text)
                self._send(self.connection.to_send(self.now))
            except Exception:
                self.log.failure("a defect while a QUIC connection was closed")
            self._lose(reason)

    # --- the leg's receiver ---------------------------------------------------------------------

    def datagram_received(self, data: Buffer) -> None:
        if not self._arrived:
            self.turns.at_turn_end(self._take_arrived)
        self._arrived.append(bytes(data))

    def datagrams_received(self, datagrams: Sequence[bytes]) -> None:
        if self.lost is not None:
            return
        self._heard_at = self.now
        if self._on_heard:
            heard, self._on_heard = self._on_heard, []
            for each in heard:
                each.callback(None)
        if self.allowance is not None:
            self.allowance -= sum(map(len, datagrams))
            if self.allowance < 0:
                self._peer_erred(RemoteProtocolError("more was sent than may be"))
                return
        self._try(self.connection.receive, datagrams, self._heard_at)
        self._flush()

    def leg_lost(self, reason: Ended) -> None:
        self._lose(reason)

    # --- inside ---------------------------------------------------------------------------------

    def _take_arrived(self) -> None:
        datagrams, self._arrived = self._arrived, []
        self.datagrams_received(datagrams)

    def _flush_if_asked(self) -> None:
        if self._flush_asked:
            self._flush()

    def _flush(self) -> None:
        """Tells what has happened, then sends what there is to send."""
        self._flush_asked = False
        if self.lost is None:
            self._tell()
            self._try(self._send_all)
            ending = self.connection.ending
            if ending is not None:
                self._lose(_reason(ending))
            else:
                self._timer.set(self.connection.next_wakeup())

    def _send_all(self) -> None:
        owner, connection, now = self._owner, self.connection, self.now
        for _ in range(_ROUNDS):
            datagrams = []
            # What is over takes nothing, but may have to say so.
            if connection.ending is None:
                for _ in owner.fill():
                    datagrams += connection.to_send(now)
            datagrams += connection.to_send(now)
            if not datagrams:
                break
            self._send(datagrams)
        owner.settle()

    def _tell(self) -> None:
        """Tells the connection's events, also those that this causes."""
        if self._telling:
            return
        self._telling = True
        try:
            for event in self.connection.events():
                self._owner.on_event(event)
        except RemoteProtocolError as error:
            self._peer_erred(error)
        except Exception:
            self._failed()
        finally:
            self._telling = False

    def _try(self, call: Callable[..., object], *arguments: object) -> None:
        """Calls what may have a defect, of the library too: that costs this connection, and no more."""
        if self.lost is None:
            try:
                call(*arguments)
            except Exception:
                self._failed()

    def _failed(self) -> None:
        # The libraries fail at some of what a peer may send, too, so that its host counts.
        self.log.failure(
            "a defect in {driver!r}; the connection is dropped",
            driver=self,
            stranger=host_of(self.lower.peer),
        )
        self.end(Ended.INTERNAL_ERROR)

    def _peer_erred(self, error: RemoteProtocolError) -> None:
        self.log.warn(
            "{peer} broke the rules: {reason}",
            peer=self.lower.peer,
            reason=str(error),
            stranger=host_of(self.lower.peer),
            problem="broke-the-rules",
        )
        self.end(Ended.PROTOCOL_ERROR, _PROTOCOL_VIOLATION)

    def _wake(self) -> None:
        self._try(self.connection.wake, self.now)
        self._flush()

    def _keep_alive(self) -> None:
        now = self.now
        if now >= self._heard_at + self._keepalive_s:
            self._try(self.connection.ping, 0)
            self.flush_soon()
            self._heard_at = now
        self._keepalive.set(self._heard_at + self._keepalive_s)

    def _lose(self, reason: Ended) -> None:
        if self.lost is None:
            self.lost = reason
            self._timer.stop()
            self._keepalive.stop()
            self._answers.clear()
            self._arrived.clear()
            self._on_heard.clear()
            self.lower.close()
            self._owner.connection_lost(reason)


def _reason(ending: Any) -> Ended:
    """Why a connection ended that this end has not closed."""
    if timed_out(ending):
        return Ended.TIMEOUT
    # Without the type of a frame it is an application that closed.
    return Ended.FINISHED if ending.frame_type is None and not ending.error_code else Ended.RESET

"""Binding requests over a lossy network: sends each until it is answered or given up.

Source: RFC 8489 6.2.1 (retransmission), 6.3.3 (answers).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define, frozen

from relaykit.errors import LocalProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat import stun
from relaykit.sansio.nat.candidates import PORT_MIN, is_internet
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.stun import Change, StunClass, StunMessage
from relaykit.values import Address

__all__ = [
    "BRISK",
    "PATIENT",
    "QUESTIONS_MAX",
    "QUICK",
    "RFC_8489",
    "SOFTWARE",
    "Answered",
    "Inquiry",
    "ProbeEvent",
    "Prober",
    "Question",
    "Schedule",
    "Unanswered",
]

SOFTWARE = "relaykit"
"""What requests call their sender."""

QUESTIONS_MAX = 128
"""Most questions under way at once: a whole behavior discovery with lifetimes asks about forty."""


@frozen
class Schedule:
    """When a request is repeated and when it is given up."""

    first_s: float
    """Wait before the first repetition, doubled with each one."""
    requests: int
    """How often it is sent in all."""
    last: float
    """The wait after the last one, in multiples of ``first_s``."""

    def wait_after(self, sent: int) -> float:
        """Seconds to wait after the request was sent this often."""
        return self.first_s * (self.last if sent >= self.requests else 2 ** (sent - 1))


RFC_8489 = Schedule(0.5, 7, 16)
"""The RFC's own figures: given up after 39.5 s."""

BRISK = Schedule(0.1, 6, 8)
"""While somebody waits: given up after 3.9 s, having survived the loss of any five datagrams."""

QUICK = Schedule(0.1, 4, 6)
"""Before each punch, where the peer waits and other servers answer too: given up after 1.3 s."""

PATIENT = Schedule(0.25, 4, 4)
"""For questions that often have no answer, such as those about filters: given up after 2.75 s."""


@frozen(kw_only=True)
class Question:
    """One Binding request to ask."""

    server: Address
    via: int = 0
    change: Change = Change.NOTHING
    response_port: int | None = None
    answer_via: int | None = None
    """The socket where the answer is expected; None for the one that asks."""
    delay_s: float = 0.0
    """How long to wait before asking."""
    schedule: Schedule = BRISK


@frozen
class Answered:
    """A question was answered, maybe with an error, maybe (through a hairpin) by ourselves."""

    question: Question
    message: StunMessage
    source: Address
    sent: int
    """How often the question had been sent."""
    round_trip_s: float | None
    """Known only where it was sent once."""

    @property
    def mapped(self) -> Address | None:
        """The mapped address, if this is a success, and one that the server can have seen."""
        mapped = self.message.mapped if self.message.kind is StunClass.SUCCESS else None
        return mapped if mapped is not None and self._can_be_near(mapped) else None

    @property
    def other(self) -> Address | None:
        """The server's second place to ask, where it can have one: nobody is sent to others by it."""
        other, server = self.message.other, self.question.server
        if other is None or not self._can_be_near(other):
            return None
        host = ipaddress.ip_address(other.host)
        if host.is_multicast or host.is_unspecified or (is_internet(server.host) and not host.is_global):
            return None
        return other if other.port >= PORT_MIN or other.port == server.port else None

    def _can_be_near(self, address: Address) -> bool:
        """Whether it can be known there: one of the own machine only where that machine was asked."""
        server, host = (ipaddress.ip_address(each.host) for each in (self.question.server, address))
        return server.is_loopback or not host.is_loopback


@frozen
class Unanswered:
    """A question was given up."""

    question: Question


ProbeEvent: TypeAlias = Answered | Unanswered


@define
class _Pending:
    question: Question
    payload: bytes
    due: float
    sent: int = 0
    sent_at: float = 0.0


class Prober:
    """Asks Binding questions; a core by :class:`relaykit.sansio.nat.datagrams.DatagramCore`.

    An answer counts if its transaction is that of a question, it came in through the expected
    socket and, where nothing else was asked for, from the address that was asked.

    ``entropy`` gives that many unpredictable bytes.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._pending: dict[bytes, _Pending] = {}
        self._outbox: list[Datagram] = []
        self._events: list[ProbeEvent] = []

    def ask(self, question: Question, now: float) -> None:
        """Asks; exactly one event will tell the outcome.

        :raises LocalProtocolError: more than :data:`QUESTIONS_MAX` questions at once.
        """
        if len(self._pending) >= QUESTIONS_MAX:
            raise LocalProtocolError(f"more than {QUESTIONS_MAX} STUN questions at once")
        transaction = self._entropy(12)
        payload = stun.binding_request(transaction, question.change, question.response_port, SOFTWARE)
        self._pending[transaction] = _Pending(question, payload, now + question.delay_s)
        self.wake(now)

    def give_up(self) -> None:
        """Forgets all questions, without events."""
        self._pending.clear()
        self._outbox.clear()

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram; whatever answers no question is ignored."""
        if not stun.is_stun(data):
            return
        pending = self._pending.get(bytes(data[8:20]))
        if pending is None:
            return
        question = pending.question
        if via != (question.via if question.answer_via is None else question.answer_via):
            return
        try:
            message = stun.decode(data)
        except stun.StunError:
            return
        if message.kind is StunClass.REQUEST:
            if question.answer_via is None or bytes(data) != pending.payload:
                return
        elif message.kind is StunClass.INDICATION or (not question.change and source != question.server):
            return
        del self._pending[message.transaction]
        trip = now - pending.sent_at if pending.sent == 1 else None
        self._events.append(Answered(question, message, source, pending.sent, trip))

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """When the next request is due or given up."""
        return min((pending.due for pending in self._pending.values()), default=None)

    def wake(self, now: float) -> None:
        """Sends, repeats and gives up what is due."""
        for transaction, pending in list(self._pending.items()):
            if now < pending.due:
                continue
            question = pending.question
            if pending.sent >= question.schedule.requests:
                del self._pending[transaction]
                self._events.append(Unanswered(question))
                continue
            pending.sent += 1
            pending.sent_at = now
            pending.due = now + question.schedule.wait_after(pending.sent)
            self._outbox.append(Datagram(pending.payload, question.server, question.via))

    def events(self) -> Sequence[ProbeEvent]:
        """Takes the outcomes since the last call."""
        taken, self._events = self._events, []
        return taken


class Inquiry:
    """A core that asks by one prober and makes something of the answers; subclasses say what."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._prober = Prober(entropy)

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram."""
        self._prober.receive(data, source, via, now)
        self._advance(now)

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        return self._prober.to_send(now)

    def next_wakeup(self) -> float | None:
        """When the next request is due."""
        return self._prober.next_wakeup()

    def wake(self, now: float) -> None:
        """Repeats requests and gives them up."""
        self._prober.wake(now)
        self._advance(now)

    def _advance(self, now: float) -> None:
        """Acts on what the prober has found out."""
        raise NotImplementedError

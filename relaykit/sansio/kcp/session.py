"""A KCP session: one end of a stream over datagrams.

KCP has no handshake, no close and no reset.  A session begins with the first push, and ends where one end
falls silent; the other one learns of that by :data:`UNANSWERED_S`, or from what runs above.

Source: https://github.com/skywind3000/kcp, ikcp.c; https://github.com/xtaci/kcp-go, kcp.go, for what frp
does otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final

from attrs import frozen

from relaykit.sansio.kcp.fec import FecReceiver, FecSender
from relaykit.sansio.kcp.receiving import Receiving
from relaykit.sansio.kcp.segments import (
    ACK,
    ASK,
    MOST_DATAGRAM_BYTES,
    NUMBERS,
    PUSH,
    TELL,
    pack_header,
    read_segments,
)
from relaykit.sansio.kcp.sending import Sending
from relaykit.sansio.late_wakeup import grace_until

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.kcp.options import KcpOptions
    from relaykit.sansio.kcp.receiving import Room
    from relaykit.sansio.kcp.sending import SentSegment

__all__ = ["KcpSession", "SessionLost"]

UNANSWERED_S: Final = 30.0
"""Seconds without any progress after which a peer is taken for dead, where something was sent that it must
acknowledge: the longest outage of a network that users sit out.  yamux above notices earlier."""

BURST_SEGMENTS: Final = 64
"""Segments that go out at once.  More would overflow the receiver's socket, which by default has room for
some ninety datagrams: KCP itself sends its whole window."""

BURST_PAUSE_S: Final = 0.002
"""Pause until the next so many go out, where no acknowledgement lets them go earlier."""

ASK_AFTER_S: Final = 7.0
"""Seconds for which a peer has no room until it is asked whether it still has none: its word may be lost.
Each further time takes half as long again.  Source: ikcp.c (IKCP_PROBE_INIT)."""

MOST_ASK_AFTER_S: Final = 120.0
"""The longest one.  Source: ikcp.c (IKCP_PROBE_LIMIT)."""


SILENCE_ASK_AGAIN_S: Final = 5.0
"""Seconds until a silent peer is asked for a word again: six times within :data:`UNANSWERED_S`, as questions
and answers may be lost."""


@frozen
class SessionLost:
    """The peer does not answer any more."""


class KcpSession:
    """One end.  A core as :mod:`relaykit.sansio.contract` has it.

    Feed datagrams by :meth:`receive`, then take what is in order by :meth:`read` where somebody wants it,
    what happened by :meth:`events` and the datagrams to send by :meth:`to_send`; once for as many inputs as
    come together.  What is not read takes the peer its room to send.  ``now`` is in seconds of a monotonic
    clock.
    """

    __slots__ = (
        "_answer_by_s",
        "_ask_after_s",
        "_ask_at",
        "_began",
        "_burst_at",
        "_burst_left",
        "_events",
        "_fec_in",
        "_fec_out",
        "_forgiven_until",
        "_is_asked",
        "_lost",
        "_now",
        "_options",
        "_receiving",
        "_sending",
        "_silence_asked_at",
        "_takes_always",
        "_waits_since",
        "_word_expected",
        "_word_window",
        "conversation",
        "heard_at",
    )

    def __init__(self, conversation: int, options: KcpOptions, now: float, room: Room | None = None) -> None:
        """``room`` is what it shares with others for what is out of order; None for room of its own."""
        self.conversation = conversation
        self.heard_at = now
        """When the last segment came."""
        self._options = options
        self._began = self._now = self._forgiven_until = now
        self._receiving = Receiving(options, room)
        self._sending = Sending(options)
        self._fec_in = FecReceiver()
        self._fec_out = FecSender() if options.has_prefix else None
        self._burst_at = -inf
        self._burst_left = 0
        self._ask_at: float | None = None
        self._ask_after_s = ASK_AFTER_S
        self._is_asked = False
        self._silence_asked_at: float | None = None
        """When the peer was asked last because it is silent; None where it is not."""
        self._answer_by_s = UNANSWERED_S
        self._takes_always = False
        self._waits_since: float | None = None
        self._word_expected = self._word_window = -1
        """What the peer's last segment said of its end, as nearly all do in a row."""
        self._lost = False
        self._events: list[SessionLost] = []

    def __repr__(self) -> str:
        return f"<KcpSession {self.conversation:#x}>"

    @property
    def queued_bytes(self) -> int:
        """Bytes that were written, and never sent."""
        return self._sending.queued_bytes

    @property
    def unconfirmed_bytes(self) -> int:
        """Bytes that were written, and that the peer has not acknowledged."""
        return self._sending.queued_bytes + self._sending.flying_bytes

    @property
    def has_unread(self) -> bool:
        """Whether there is something to read."""
        return self._receiving.has_unread

    @property
    def is_settled(self) -> bool:
        """Whether the peer has all that was written."""
        return not (self._sending.queued_bytes or self._sending.is_flying)

    # --- commands

    def write(self, data: Buffer) -> None:
        """Sends bytes behind those written before; they are kept as they are."""
        if not self._lost:
            self._sending.write(data)

    def read(self) -> Buffer:
        """Takes all that has come in order."""
        return self._receiving.read()

    def give_up_after(self, seconds: float) -> None:
        """Takes the peer for dead after so long without progress, also where it says that it has no room."""
        self._answer_by_s = seconds
        self._takes_always = True

    def end(self) -> None:
        """Sends and takes nothing any more, and gives back the room that it has."""
        self._lost = True
        self._receiving.release()

    # --- the contract

    def receive(self, datagram: Buffer, now: float) -> None:
        """Takes a datagram.  Whatever makes no sense in it is ignored: anybody may send it."""
        self.receive_many((datagram,), now)

    def receive_many(self, datagrams: Sequence[Buffer], now: float) -> None:
        """Takes datagrams that have come together."""
        self._pass_time(now)
        if self._lost:
            return
        without_prefix = self._fec_in.receive
        for datagram in datagrams:
            if len(datagram) <= MOST_DATAGRAM_BYTES:
                segments, recovered = without_prefix(datagram)
                if segments:
                    self._take(segments, True)
                for each in recovered:
                    self._take(each, False)

    def to_send(self, now: float) -> Sequence[bytes]:
        """Takes the datagrams that must go out; the caller owns them."""
        self._pass_time(now)
        if self._lost:
            return ()
        segments = self._acknowledgements()
        window, stamp, expected = self._receiving.window, self._stamp, self._receiving.expected
        conversation = self.conversation
        if not segments and self._receiving.must_tell():
            segments.append(pack_header(conversation, TELL, 0, window, stamp, 0, expected, 0))
        if self._is_asked:
            self._is_asked = False
            segments.append(pack_header(conversation, TELL, 0, window, stamp, 0, expected, 0))
        if self._must_ask() or self._must_ask_for_a_word():
            segments.append(pack_header(conversation, ASK, 0, window, stamp, 0, expected, 0))
            self._await_answer()
        for sent in self._take_pushes(stamp):
            data = sent.data
            header = pack_header(conversation, PUSH, 0, window, stamp, sent.number, expected, len(data))
            segments.append(header + data)
        if not segments:
            return ()
        if self._sending.is_flying:
            self._await_answer()
        self._receiving.told()
        return self._pack(segments)

    def last_words(self) -> Sequence[bytes]:
        """Takes the datagrams of an end that drops the session: they acknowledge what has arrived.

        The peer repeats what is not acknowledged, and its first segment would begin a session anew.
        """
        segments = () if self._lost else self._acknowledgements()
        return self._pack(segments) if segments else ()

    def next_wakeup(self) -> float | None:
        if self._lost:
            return None
        due = max(self._sending.due_at, self._burst_at)
        if self._sending.can_send:
            due = min(due, self._burst_at)
        if self._ask_at is not None:
            due = min(due, self._ask_at)
        due = min(due, self._silence_ask_at)
        if self._waits_since is not None:
            due = min(due, self._gives_up_at(self._waits_since))
        return None if due == inf else max(due, self._now)

    def wake(self, now: float) -> None:
        self._forgiven_until = max(self._forgiven_until, grace_until(self.next_wakeup(), now))
        self._pass_time(now)
        if self._waits_since is not None and self._now >= self._gives_up_at(self._waits_since):
            self.end()
            self._events.append(SessionLost())

    def events(self) -> Sequence[SessionLost]:
        """Takes what has happened since the last call."""
        taken, self._events = self._events, []
        return taken

    # --- inside

    @property
    def _stamp(self) -> int:
        return int((self._now - self._began) * 1000) % NUMBERS

    def _pass_time(self, now: float) -> None:
        self._now = max(self._now, now)

    def _take(self, data: Buffer, is_fresh: bool) -> None:
        """Takes the segments of a datagram; one that was recovered is old, and tells nothing of now."""
        acknowledged: list[int] = []
        latest = 0
        segments = read_segments(data, self.conversation)
        for command, window, stamp, number, expected, payload in segments:
            if expected != self._word_expected or window != self._word_window:
                self._take_word(expected, window, is_fresh)
            if command == PUSH:
                self._receiving.push(number, stamp, payload)
            elif command == ACK:
                acknowledged.append(number)
                latest = stamp
            elif command == ASK:
                self._is_asked = True
        if acknowledged and is_fresh and self._sending.arrived(acknowledged, latest, self._stamp):
            self._progressed()
        if segments:
            self.heard_at = self._now
            if self._silence_asked_at is not None:
                self._silence_asked_at = None
                self._progressed()
            if self._ask_at is not None and not self._takes_always:
                # It lives, and has no room.
                self._progressed()

    def _take_word(self, expected: int, window: int, is_fresh: bool) -> None:
        """Takes what each segment says, where it is something new."""
        if is_fresh:
            self._word_expected, self._word_window = expected, window
            self._sending.window_told(window, expected)
        if self._sending.arrived_before(expected):
            self._progressed()

    def _take_pushes(self, stamp: int) -> Sequence[SentSegment]:
        if self._now >= self._burst_at:
            self._burst_left = BURST_SEGMENTS
        taken = self._sending.take(stamp, self._now, self._burst_left)
        if taken:
            self._burst_left -= len(taken)
            self._burst_at = self._now + BURST_PAUSE_S
        return taken

    def _progressed(self) -> None:
        self._burst_left = BURST_SEGMENTS
        self._waits_since = None
        if self._sending.is_flying:
            self._await_answer()

    def _await_answer(self) -> None:
        if self._waits_since is None:
            self._waits_since = self._now

    def _gives_up_at(self, waits_since: float) -> float:
        return max(waits_since + self._answer_by_s, self._forgiven_until)

    def _must_ask(self) -> bool:
        """Whether the peer, which has no room, must be asked now."""
        if not self._sending.is_shut:
            if self._ask_at is not None:
                self._ask_at = None
                self._ask_after_s = ASK_AFTER_S
                self._progressed()
            return False
        if self._takes_always:
            self._await_answer()
        if self._ask_at is None:
            self._ask_at = self._now + self._ask_after_s
            return False
        if self._now < self._ask_at:
            return False
        self._ask_after_s = min(1.5 * self._ask_after_s, MOST_ASK_AFTER_S)
        self._ask_at = self._now + self._ask_after_s
        return True

    @property
    def _silence_ask_at(self) -> float:
        """When the peer must be asked for a word, if none comes before."""
        if self._silence_asked_at is None:
            return self.heard_at + self._options.ask_after_silence_s
        return self._silence_asked_at + SILENCE_ASK_AGAIN_S

    def _must_ask_for_a_word(self) -> bool:
        """Whether the peer, which is silent, must be asked now whether it is there."""
        if self._now < self._silence_ask_at:
            return False
        self._silence_asked_at = self._now
        return True

    def _acknowledgements(self) -> list[bytes]:
        window, expected = self._receiving.window, self._receiving.expected
        return [
            pack_header(self.conversation, ACK, 0, window, echoed, number, expected, 0)
            for number, echoed in self._receiving.acknowledgements()
        ]

    def _pack(self, segments: Sequence[bytes]) -> Sequence[bytes]:
        """Puts segments into as few datagrams as they fit in, in order."""
        most = self._options.segment_bytes
        bodies: list[bytes] = []
        body = b""
        for segment in segments:
            if body and len(body) + len(segment) > most:
                bodies.append(body)
                body = segment
            else:
                body += segment
        bodies.append(body)
        if self._fec_out is None:
            return bodies
        is_lossy = self._now - self._sending.lost_at <= self._options.parity_for_s
        return self._fec_out.wrap(bodies, is_lossy, self._now)

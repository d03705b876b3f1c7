"""One client's half of its meetings: those that a visitor calls for, those that a proxy is invited to.

It carries offers and tells how a meeting begins and ends; what is done with the offers is the
business of :mod:`relaykit.sansio.nat.punching`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen

from relaykit.errors import RefusalCode, RemoteProtocolError
from relaykit.sansio.nat.knocks import Role
from relaykit.sansio.nat.meeting_messages import (
    Call,
    Declined,
    EndOfMeeting,
    EndReason,
    Granted,
    Invitation,
    MeetingMessage,
    OfferPassed,
)
from relaykit.sansio.nat.punching import FailureReason
from relaykit.values import Address

__all__ = [
    "CALL_S",
    "LIFE_S",
    "MEETINGS_MAX",
    "CallDeclined",
    "Ended",
    "MeetingEvent",
    "Meetings",
    "Met",
    "OfferReceived",
]

CALL_S = 10.0
"""How long a server may take to answer a call: where nobody knows the proxy, nobody answers."""

LIFE_S = 180.0
"""Longest life of a meeting at a client: more than the server's, which usually ends it."""

MEETINGS_MAX = 16
"""Meetings that one proxy or one visitor takes part in at once: each has its sockets."""


@frozen
class Met:
    """The server brings both ends together: punch.

    ``stun_ports`` are those of the relay server, ``seen_as`` is where it sees the control
    connection of this client come from.
    """

    call: str
    role: Role
    key: bytes = field(repr=False)
    seen_as: Address | None = None
    stun_ports: Sequence[int] = ()


@frozen
class OfferReceived:
    """The peer's offer is there, from a client that the server sees at ``seen_at``."""

    call: str
    offer: Mapping[str, Any]
    seen_at: str = ""


@frozen
class CallDeclined:
    """The server does not let the caller in."""

    call: str
    code: RefusalCode
    text: str


@frozen
class Ended:
    """The meeting is over, and not because this end said so.

    ``failure`` is why punching failed, where the other end found that out.
    """

    call: str
    why: EndReason
    failure: FailureReason | None = None


MeetingEvent: TypeAlias = Met | OfferReceived | CallDeclined | Ended


class _State(enum.Enum):
    CALLING = "calling"
    MEETING = "meeting"


@define
class _Meeting:
    state: _State
    deadline: float


class Meetings:
    """The meetings of one proxy's client, or of one visitor.

    After each input take :meth:`to_send` and :meth:`events`; call :meth:`wake` when
    :meth:`next_wakeup` says.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._meetings: dict[str, _Meeting] = {}
        self._out: list[MeetingMessage] = []
        self._events: list[MeetingEvent] = []

    def __len__(self) -> int:
        """Meetings under way."""
        return len(self._meetings)

    # --- commands; about a meeting that is over they do nothing

    def call(self, prove: Callable[[str], bytes], now: float) -> str | None:
        """Calls for a meeting, and answers its name; None where there are too many.

        ``prove(call)`` makes the proof that belongs to the name.
        """
        if len(self._meetings) >= MEETINGS_MAX:
            return None
        call = self._entropy(16).hex()
        self._meetings[call] = _Meeting(_State.CALLING, now + CALL_S)
        self._out.append(Call(call, prove(call)))
        return call

    def offer(self, call: str, offer: dict[str, Any]) -> None:
        """Sends an offer to the other end."""
        if call in self._meetings:
            self._out.append(OfferPassed(call, offer))

    def end(self, call: str, why: EndReason, failure: FailureReason | None = None) -> None:
        """This end is done with a meeting."""
        if self._meetings.pop(call, None) is not None:
            self._out.append(EndOfMeeting(call, why, "" if failure is None else failure.value))

    # --- inputs

    def received(self, message: MeetingMessage, now: float) -> None:
        """The server says something.  What belongs to no meeting is ignored: it may have ended meanwhile.

        :raises RemoteProtocolError: it makes no sense.
        """
        if isinstance(message, Invitation):
            self._invited(message, now)
            return
        meeting = self._meetings.get(message.call)
        if meeting is None:
            return
        match message:
            case Granted() if meeting.state is _State.CALLING:
                meeting.state, meeting.deadline = _State.MEETING, now + LIFE_S
                self._met(message, Role.CALLER)
            case Declined() if meeting.state is _State.CALLING:
                del self._meetings[message.call]
                self._events.append(CallDeclined(message.call, _code(message.code), message.text))
            case OfferPassed() if meeting.state is _State.MEETING:
                self._events.append(OfferReceived(message.call, message.offer, message.seen_at))
            case EndOfMeeting():
                del self._meetings[message.call]
                self._events.append(Ended(message.call, message.why, _failure(message.failure)))
            case _:
                raise RemoteProtocolError(
                    f"{type(message).__name__} in a meeting that is {meeting.state.value}"
                )

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return min((each.deadline for each in self._meetings.values()), default=None)

    def wake(self, now: float) -> None:
        """Ends what has passed its deadline."""
        for call, meeting in list(self._meetings.items()):
            if meeting.deadline <= now:
                self.end(call, EndReason.TIMEOUT)
                self._events.append(Ended(call, EndReason.TIMEOUT))

    # --- outputs

    def to_send(self) -> Sequence[MeetingMessage]:
        """Takes what must go to the server, in order."""
        out, self._out = self._out, []
        return out

    def events(self) -> Sequence[MeetingEvent]:
        """Takes what has happened since the last call."""
        events, self._events = self._events, []
        return events

    # --- inside

    def _invited(self, message: Invitation, now: float) -> None:
        if message.call in self._meetings:
            raise RemoteProtocolError("an invitation to a meeting that is under way")
        if len(self._meetings) >= MEETINGS_MAX:
            self._out.append(EndOfMeeting(message.call, EndReason.BUSY))
            return
        self._meetings[message.call] = _Meeting(_State.MEETING, now + LIFE_S)
        self._met(message, Role.CALLEE)

    def _met(self, message: Granted | Invitation, role: Role) -> None:
        self._events.append(Met(message.call, role, message.key, message.seen_as, message.stun_ports))


def _code(text: str) -> RefusalCode:
    """A code of another version is still a refusal."""
    try:
        return RefusalCode(text)
    except ValueError:
        return RefusalCode.OTHER


def _failure(text: str) -> FailureReason | None:
    """A reason of another version tells nothing."""
    try:
        return FailureReason(text)
    except ValueError:
        return None

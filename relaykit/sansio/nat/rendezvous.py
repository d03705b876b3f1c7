"""Where two clients meet: the relay server's half of a meeting.

A caller's call is admitted by the rules of the proxy that it is for.  Then both ends get a key that
is made for this meeting, and their offers go from one to the other.  Nothing of an offer is
understood here; but each is passed on with the host that its sender is really seen at.

Every step has a deadline, every table a bound, and each client and each address its rate.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from attrs import define, field, frozen

from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.sansio.nat.knocks import GENERATION_MAX, KEY_BYTES, Role
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
from relaykit.sansio.nat.rates import RateLimit, subscriber
from relaykit.values import Address

__all__ = [
    "ACTORS",
    "ADDRESS_CALLS_AT_ONCE",
    "ADDRESS_CALLS_PER_S",
    "CALLED_S",
    "CLIENT_CALLS_AT_ONCE",
    "CLIENT_CALLS_PER_S",
    "DEADLINES_S",
    "MEETINGS_MAX",
    "MEETINGS_PER_CLIENT",
    "MEETINGS_PER_PROXY",
    "MEETING_S",
    "OFFERED_S",
    "OFFER_BYTES_MAX",
    "PUNCHING_S",
    "SETTLING_S",
    "SOURCES_MAX",
    "TRANSITIONS",
    "Delivery",
    "MeetingOver",
    "Party",
    "Rendezvous",
    "State",
    "Step",
]

CLIENT_CALLS_AT_ONCE = 10
"""Calls that one client may make at once: as many visitors may start together."""

CLIENT_CALLS_PER_S = 0.5
"""Calls that one client may make for ever: a punch that fails takes seconds, and one that works is kept."""

ADDRESS_CALLS_AT_ONCE = 40
"""Calls that all clients at one address may make at once: several are behind one NAT."""

ADDRESS_CALLS_PER_S = 2.0
"""Calls that all clients at one address may make for ever."""

SOURCES_MAX = 20_000
"""Clients and addresses whose rate is remembered."""

MEETINGS_MAX = 1024
"""Meetings under way on a server."""

MEETINGS_PER_CLIENT = 16
"""Meetings under way that one client has called for."""

MEETINGS_PER_PROXY = 64
"""Meetings under way that one proxy was called to."""

OFFER_BYTES_MAX = 8192
"""Largest offer in JSON; one with all candidates has less than half of it."""

CALLED_S = 20.0
"""Seconds for the caller's offer: where UDP is blocked it takes some to find that out."""

OFFERED_S = 20.0
"""Seconds for the callee's: a lost segment of a control connection costs some."""

PUNCHING_S = 60.0
"""Seconds for a path or another attempt: UDP and then TCP may take forty to give up."""

SETTLING_S = 15.0
"""Seconds for the other end, once one has its path."""

MEETING_S = 150.0
"""Longest life of a meeting, all attempts together."""


class State(enum.Enum):
    """How far a meeting is."""

    CALLED = "called"
    """Both ends have the key; the caller's offer is due."""
    OFFERED = "offered"
    """The callee's offer is due."""
    PUNCHING = "punching"
    """Each end has the other's offer."""
    SETTLING = "settling"
    """One end has its path."""
    OVER = "over"


class Step(enum.Enum):
    """What takes a meeting from one state to the next."""

    OFFER = "offers"
    ANSWER = "answers"
    SETTLE = "has its path"
    END = "ends it"


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.CALLED, Step.OFFER): State.OFFERED,
    (State.CALLED, Step.END): State.OVER,
    (State.OFFERED, Step.ANSWER): State.PUNCHING,
    (State.OFFERED, Step.END): State.OVER,
    (State.PUNCHING, Step.OFFER): State.OFFERED,
    (State.PUNCHING, Step.SETTLE): State.SETTLING,
    (State.PUNCHING, Step.END): State.OVER,
    (State.SETTLING, Step.SETTLE): State.OVER,
    (State.SETTLING, Step.OFFER): State.OVER,
    (State.SETTLING, Step.END): State.OVER,
}
"""Every step that is possible; another one breaks the rules and ends the meeting."""

ACTORS: Mapping[Step, Role | None] = {
    Step.OFFER: Role.CALLER,
    Step.ANSWER: Role.CALLEE,
    Step.SETTLE: None,
    Step.END: None,
}
"""Whose step it is; None: either's."""

DEADLINES_S: Mapping[State, float] = {
    State.CALLED: CALLED_S,
    State.OFFERED: OFFERED_S,
    State.PUNCHING: PUNCHING_S,
    State.SETTLING: SETTLING_S,
}
"""How long a meeting may stay in a state."""


@frozen(eq=False)
class Party:
    """One end, as the server knows it.

    ``of`` is the client's run id for a caller, the proxy's name for a callee; ``peer`` is what the
    owner of the core sends to.
    """

    role: Role
    of: str
    client: str
    seen_as: Address | None
    peer: Any = field(repr=False)


@frozen
class Delivery:
    """Send this message to this peer."""

    peer: Any
    message: MeetingMessage


@frozen
class MeetingOver:
    """A meeting is over; for the log."""

    proxy: str
    caller: str
    """The calling client's run id."""
    why: EndReason
    seconds: float


_Key: TypeAlias = tuple[Role, str, str]


@define(eq=False)
class _Side:
    party: Party
    call: str
    settled: bool = False

    @property
    def key(self) -> _Key:
        return self.party.role, self.party.of, self.call


@define(eq=False)
class _Meeting:
    caller: _Side
    callee: _Side
    began: float
    deadline: float
    state: State = State.CALLED
    attempts: int = 0

    def side(self, role: Role) -> _Side:
        return self.caller if role is Role.CALLER else self.callee

    def other(self, role: Role) -> _Side:
        return self.callee if role is Role.CALLER else self.caller


class Rendezvous:
    """All meetings of a server.

    ``entropy`` answers this many random bytes, ``stun_ports`` where the server answers STUN.  After
    each input take :meth:`to_send` and :meth:`events`; call :meth:`wake` when :meth:`next_wakeup` says.
    """

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        stun_ports: Callable[[], Sequence[int]] = tuple,
        clients: RateLimit | None = None,
        addresses: RateLimit | None = None,
    ) -> None:
        self._entropy = entropy
        self._stun_ports = stun_ports
        if clients is None:
            clients = RateLimit(CLIENT_CALLS_AT_ONCE, CLIENT_CALLS_PER_S, SOURCES_MAX)
        if addresses is None:
            addresses = RateLimit(ADDRESS_CALLS_AT_ONCE, ADDRESS_CALLS_PER_S, SOURCES_MAX)
        self._clients = clients
        self._addresses = addresses
        self._meetings: dict[_Key, _Meeting] = {}
        self._of: Counter[tuple[Role, str]] = Counter()
        self._out: list[Delivery] = []
        self._events: list[MeetingOver] = []

    def __len__(self) -> int:
        """Meetings under way."""
        return len(self._meetings) // 2

    # --- inputs

    def called(
        self, caller: Party, call: Call, callee: Party, admit: Callable[[], None], now: float
    ) -> RefusedError | None:
        """A caller asks for a meeting; answers why it is refused, None if it is not.

        ``admit()`` applies the proxy's own rules and raises :class:`relaykit.errors.RefusedError`; it is
        not asked for those that are too many anyway.
        """
        try:
            self._check(caller, call, callee, now)
            admit()
        except RefusedError as refusal:
            self._send(caller, Declined(call.call, refusal.code.value, refusal.text))
            return refusal
        key = self._entropy(KEY_BYTES)
        sides = _Side(caller, call.call), _Side(callee, self._entropy(16).hex())
        meeting = _Meeting(*sides, now, now + DEADLINES_S[State.CALLED])
        for side in sides:
            self._meetings[side.key] = meeting
            self._of[side.party.role, side.party.of] += 1
        ports = tuple(self._stun_ports())
        self._send(callee, Invitation(sides[1].call, key, callee.seen_as, ports))
        self._send(caller, Granted(call.call, key, caller.seen_as, ports))
        return None

    def received(self, sender: Party, message: MeetingMessage, now: float) -> None:
        """An end goes on.  What belongs to no meeting is ignored: it may have ended meanwhile.

        :raises RemoteProtocolError: this was not its step; the meeting is over.
        """
        meeting = self._meetings.get((sender.role, sender.of, message.call))
        if meeting is None:
            return
        try:
            if isinstance(message, OfferPassed):
                self._offered(meeting, sender, message, now)
            elif isinstance(message, EndOfMeeting):
                self._ended(meeting, sender.role, message, now)
            else:
                raise RemoteProtocolError(f"{type(message).__name__} is not for a server")
        except RemoteProtocolError:
            self._finish(meeting, EndReason.BROKEN, now, tell=tuple(Role))
            raise

    def withdrawn(self, proxy: str, now: float) -> None:
        """A proxy is not there any more: nor are those who were to meet its client."""
        meetings = [each for key, each in self._meetings.items() if key[:2] == (Role.CALLEE, proxy)]
        for meeting in meetings:
            self._finish(meeting, EndReason.GONE, now, tell=tuple(Role))

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return min((each.deadline for each in self._meetings.values()), default=None)

    def wake(self, now: float) -> None:
        """Ends what has passed its deadline."""
        for meeting in {id(each): each for each in self._meetings.values()}.values():
            if meeting.deadline <= now:
                self._finish(meeting, EndReason.TIMEOUT, now, tell=tuple(Role))

    # --- outputs

    def to_send(self) -> Sequence[Delivery]:
        """Takes what must go out, in order."""
        out, self._out = self._out, []
        return out

    def events(self) -> Sequence[MeetingOver]:
        """Takes what has happened since the last call."""
        events, self._events = self._events, []
        return events

    # --- inside

    def _check(self, caller: Party, call: Call, callee: Party, now: float) -> None:
        host = "" if caller.seen_as is None else subscriber(caller.seen_as.host)
        if not self._clients.admits(caller.of, now) or not self._addresses.admits(host, now):
            raise RefusedError(RefusalCode.TOO_MANY, "too many calls, try again in a moment")
        if (caller.role, caller.of, call.call) in self._meetings:
            raise RefusedError(RefusalCode.OTHER, "this call was made already")
        if (
            len(self) >= MEETINGS_MAX
            or self._of[Role.CALLER, caller.of] >= MEETINGS_PER_CLIENT
            or self._of[Role.CALLEE, callee.of] >= MEETINGS_PER_PROXY
        ):
            raise RefusedError(RefusalCode.TOO_MANY, "too many meetings are under way, try again in a moment")

    def _offered(self, meeting: _Meeting, sender: Party, message: OfferPassed, now: float) -> None:
        self._step(meeting, Step.OFFER if sender.role is Role.CALLER else Step.ANSWER, now)
        if meeting.state is State.OVER:
            # The callee holds for a path what did not reach the caller; it will notice.
            self._send(sender, EndOfMeeting(message.call, EndReason.GONE))
            self._forget(meeting, EndReason.GONE, now)
            return
        if sender.role is Role.CALLER:
            meeting.attempts += 1
        if meeting.attempts > GENERATION_MAX + 1:
            raise RemoteProtocolError("too many attempts in one meeting")
        if len(msgspec.json.encode(message.offer)) > OFFER_BYTES_MAX:
            raise RemoteProtocolError(f"an offer of more than {OFFER_BYTES_MAX} bytes")
        receiver = meeting.other(sender.role)
        seen_at = "" if sender.seen_as is None else sender.seen_as.host
        self._send(receiver.party, OfferPassed(receiver.call, message.offer, seen_at))

    def _ended(self, meeting: _Meeting, role: Role, said: EndOfMeeting, now: float) -> None:
        side = meeting.side(role)
        if said.why is not EndReason.SETTLED:
            other = meeting.other(role).party.role
            self._finish(meeting, said.why, now, tell=(other,), failure=said.failure)
        elif not side.settled:
            side.settled = True
            self._step(meeting, Step.SETTLE, now)
            if meeting.state is State.OVER:
                self._forget(meeting, EndReason.SETTLED, now)

    def _step(self, meeting: _Meeting, step: Step, now: float) -> None:
        following = TRANSITIONS.get((meeting.state, step))
        if following is None:
            raise RemoteProtocolError(f"nobody {step.value} in a meeting that is {meeting.state.value}")
        meeting.state = following
        meeting.deadline = min(now + DEADLINES_S.get(following, 0.0), meeting.began + MEETING_S)

    def _finish(
        self, meeting: _Meeting, why: EndReason, now: float, tell: Sequence[Role], failure: str = ""
    ) -> None:
        self._step(meeting, Step.END, now)
        for role in tell:
            side = meeting.side(role)
            if not side.settled:
                self._send(side.party, EndOfMeeting(side.call, why, failure))
        self._forget(meeting, why, now)

    def _forget(self, meeting: _Meeting, why: EndReason, now: float) -> None:
        for side in (meeting.caller, meeting.callee):
            del self._meetings[side.key]
            self._of[side.party.role, side.party.of] -= 1
            if not self._of[side.party.role, side.party.of]:
                del self._of[side.party.role, side.party.of]
        seconds = now - meeting.began
        self._events.append(MeetingOver(meeting.callee.party.of, meeting.caller.party.client, why, seconds))

    def _send(self, party: Party, message: MeetingMessage) -> None:
        self._out.append(Delivery(party.peer, message))

"""Where two clients meet: the relay server's half of a rendezvous.

An initiator is admitted by the rules of the proxy that it is for.  Then both ends get a key that
is made for this rendezvous, and their candidates go from one to the other.  Nothing of them is
understood here; but they are passed on with the host that its sender is really seen at.

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
from relaykit.sansio.nat.checks import GENERATION_MAX, KEY_BYTES, PeerRole
from relaykit.sansio.nat.rendezvous_messages import (
    CandidatesPassed,
    EndReason,
    RendezvousEnd,
    RendezvousGrant,
    RendezvousInvitation,
    RendezvousMessage,
    RendezvousRefusal,
    RendezvousRequest,
)
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of_host
from relaykit.values import Address

__all__ = [
    "ACTORS",
    "ADDRESS_REQUESTS_AT_ONCE",
    "ADDRESS_REQUESTS_PER_S",
    "CANDIDATES_BYTES_MAX",
    "CLIENT_REQUESTS_AT_ONCE",
    "CLIENT_REQUESTS_PER_S",
    "DEADLINES_S",
    "EXCHANGING_S",
    "PUNCHING_S",
    "RENDEZVOUS_MAX",
    "RENDEZVOUS_PER_CLIENT",
    "RENDEZVOUS_PER_PROXY",
    "RENDEZVOUS_S",
    "REQUESTED_S",
    "SETTLING_S",
    "SOURCES_MAX",
    "TRANSITIONS",
    "Delivery",
    "Party",
    "RendezvousRecord",
    "RendezvousState",
    "RendezvousStep",
]

CLIENT_REQUESTS_AT_ONCE = 10
"""Rendezvous that one client may ask for at once: as many visitors may start together."""

CLIENT_REQUESTS_PER_S = 0.5
"""Rendezvous that one client may ask for each second, for ever: a path that is made is kept."""

ADDRESS_REQUESTS_AT_ONCE = 40
"""Rendezvous that all clients at one address may ask for at once: several are behind one NAT."""

ADDRESS_REQUESTS_PER_S = 2.0
"""Rendezvous that all clients at one address may ask for each second, for ever."""

SOURCES_MAX = 20_000
"""Clients and addresses whose rate is remembered."""

RENDEZVOUS_MAX = 1024
"""Rendezvous under way on a server."""

RENDEZVOUS_PER_CLIENT = 16
"""Rendezvous under way that one client has asked for."""

RENDEZVOUS_PER_PROXY = 64
"""Rendezvous under way that one proxy was invited to."""

CANDIDATES_BYTES_MAX = 8192
"""Largest candidates in JSON; one with all candidates has less than half of it."""

REQUESTED_S = 20.0
"""Seconds for the initiator's candidates: where UDP is blocked it takes some to find that out."""

EXCHANGING_S = 20.0
"""Seconds for the responder's: a lost segment of a control connection costs some."""

PUNCHING_S = 60.0
"""Seconds for a path or another attempt: UDP and then TCP may take forty to give up."""

SETTLING_S = 15.0
"""Seconds for the other end, once one has its path."""

RENDEZVOUS_S = 150.0
"""Longest life of a rendezvous, all attempts together."""


class RendezvousState(enum.Enum):
    """How far a rendezvous is."""

    REQUESTED = "requested"
    """Both ends have the key; the initiator's candidates are due."""
    EXCHANGING = "exchanging"
    """The responder's candidates are due."""
    PUNCHING = "punching"
    """Each end has the other's candidates."""
    SETTLING = "settling"
    """One end has its path."""
    ENDED = "ended"


class RendezvousStep(enum.Enum):
    """What takes a rendezvous from one state to the next."""

    SEND = "sends its candidates"
    ANSWER = "answers with its candidates"
    SETTLE = "has its path"
    END = "ends it"


TRANSITIONS: Mapping[tuple[RendezvousState, RendezvousStep], RendezvousState] = {
    (RendezvousState.REQUESTED, RendezvousStep.SEND): RendezvousState.EXCHANGING,
    (RendezvousState.REQUESTED, RendezvousStep.END): RendezvousState.ENDED,
    (RendezvousState.EXCHANGING, RendezvousStep.ANSWER): RendezvousState.PUNCHING,
    (RendezvousState.EXCHANGING, RendezvousStep.END): RendezvousState.ENDED,
    (RendezvousState.PUNCHING, RendezvousStep.SEND): RendezvousState.EXCHANGING,
    (RendezvousState.PUNCHING, RendezvousStep.SETTLE): RendezvousState.SETTLING,
    (RendezvousState.PUNCHING, RendezvousStep.END): RendezvousState.ENDED,
    (RendezvousState.SETTLING, RendezvousStep.SETTLE): RendezvousState.ENDED,
    (RendezvousState.SETTLING, RendezvousStep.SEND): RendezvousState.ENDED,
    (RendezvousState.SETTLING, RendezvousStep.END): RendezvousState.ENDED,
}
"""Every step that is possible; another one breaks the rules and ends the rendezvous."""

ACTORS: Mapping[RendezvousStep, PeerRole | None] = {
    RendezvousStep.SEND: PeerRole.INITIATOR,
    RendezvousStep.ANSWER: PeerRole.RESPONDER,
    RendezvousStep.SETTLE: None,
    RendezvousStep.END: None,
}
"""Whose step it is; None: either's."""

DEADLINES_S: Mapping[RendezvousState, float] = {
    RendezvousState.REQUESTED: REQUESTED_S,
    RendezvousState.EXCHANGING: EXCHANGING_S,
    RendezvousState.PUNCHING: PUNCHING_S,
    RendezvousState.SETTLING: SETTLING_S,
}
"""How long a rendezvous may stay in a state."""


@frozen(eq=False)
class Party:
    """One end, as the server knows it.

    ``of`` is the client's run id for an initiator, the proxy's name for a responder; ``peer`` is what the
    owner of the core sends to.
    """

    role: PeerRole
    of: str
    client: str
    seen_as: Address | None
    peer: Any = field(repr=False)


@frozen
class Delivery:
    """Send this message to this peer."""

    peer: Any
    message: RendezvousMessage


@frozen
class RendezvousRecord:
    """A rendezvous is over; for the log."""

    proxy: str
    initiator: str
    """The initiating client's run id."""
    why: EndReason
    seconds: float


_Key: TypeAlias = tuple[PeerRole, str, str]


@define(eq=False)
class _Side:
    party: Party
    id: str
    settled: bool = False

    @property
    def key(self) -> _Key:
        return self.party.role, self.party.of, self.id


@define(eq=False)
class _Rendezvous:
    initiator: _Side
    responder: _Side
    began: float
    deadline: float
    state: RendezvousState = RendezvousState.REQUESTED
    attempts: int = 0

    def side(self, role: PeerRole) -> _Side:
        return self.initiator if role is PeerRole.INITIATOR else self.responder

    def other(self, role: PeerRole) -> _Side:
        return self.responder if role is PeerRole.INITIATOR else self.initiator


class ServerRendezvous:
    """All rendezvous of a server.

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
            clients = RateLimit(CLIENT_REQUESTS_AT_ONCE, CLIENT_REQUESTS_PER_S, SOURCES_MAX)
        if addresses is None:
            addresses = RateLimit(ADDRESS_REQUESTS_AT_ONCE, ADDRESS_REQUESTS_PER_S, SOURCES_MAX)
        self._clients = clients
        self._addresses = addresses
        self._under_way: dict[_Key, _Rendezvous] = {}
        self._of: Counter[tuple[PeerRole, str]] = Counter()
        self._out: list[Delivery] = []
        self._events: list[RendezvousRecord] = []

    def __len__(self) -> int:
        """Rendezvous under way."""
        return len(self._under_way) // 2

    # --- inputs

    def requested(
        self,
        initiator: Party,
        request: RendezvousRequest,
        responder: Party,
        admit: Callable[[], None],
        now: float,
    ) -> RefusedError | None:
        """An initiator asks for a rendezvous; answers why it is refused, None if it is not.

        ``admit()`` applies the proxy's own rules and raises :class:`relaykit.errors.RefusedError`; it is
        not asked for those that are too many anyway.
        """
        try:
            self._check(initiator, request, responder, now)
            admit()
        except RefusedError as refusal:
            self.refuse(initiator, request, refusal)
            return refusal
        key = self._entropy(KEY_BYTES)
        sides = _Side(initiator, request.id), _Side(responder, self._entropy(16).hex())
        rendezvous = _Rendezvous(*sides, now, now + DEADLINES_S[RendezvousState.REQUESTED])
        for side in sides:
            self._under_way[side.key] = rendezvous
            self._of[side.party.role, side.party.of] += 1
        ports = tuple(self._stun_ports())
        self._send(responder, RendezvousInvitation(sides[1].id, key, responder.seen_as, ports))
        self._send(initiator, RendezvousGrant(request.id, key, initiator.seen_as, ports))
        return None

    def refuse(self, initiator: Party, request: RendezvousRequest, refusal: RefusedError) -> None:
        """There is nobody whom the initiator could meet, or it may not."""
        self._send(initiator, RendezvousRefusal(request.id, refusal.code.value, refusal.text))

    def received(self, sender: Party, message: RendezvousMessage, now: float) -> None:
        """An end goes on.  What belongs to no rendezvous is ignored: it may have ended meanwhile.

        :raises RemoteProtocolError: this was not its step; the rendezvous is over.
        """
        rendezvous = self._under_way.get((sender.role, sender.of, message.id))
        if rendezvous is None:
            return
        try:
            if isinstance(message, CandidatesPassed):
                self._candidates_received(rendezvous, sender, message, now)
            elif isinstance(message, RendezvousEnd):
                self._ended(rendezvous, sender.role, message, now)
            else:
                raise RemoteProtocolError(f"{type(message).__name__} is not for a server")
        except RemoteProtocolError:
            self._finish(rendezvous, EndReason.BROKEN, now, tell=tuple(PeerRole))
            raise

    def withdrawn(self, proxy: str, now: float) -> None:
        """A proxy is not there any more: nor are those who were to meet its client."""
        ended = [each for key, each in self._under_way.items() if key[:2] == (PeerRole.RESPONDER, proxy)]
        for rendezvous in ended:
            self._finish(rendezvous, EndReason.GONE, now, tell=tuple(PeerRole))

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return min((each.deadline for each in self._under_way.values()), default=None)

    def wake(self, now: float) -> None:
        """Ends what has passed its deadline."""
        for rendezvous in {id(each): each for each in self._under_way.values()}.values():
            if rendezvous.deadline <= now:
                self._finish(rendezvous, EndReason.TIMEOUT, now, tell=tuple(PeerRole))

    # --- outputs

    def to_send(self) -> Sequence[Delivery]:
        """Takes what must go out, in order."""
        out, self._out = self._out, []
        return out

    def events(self) -> Sequence[RendezvousRecord]:
        """Takes what has happened since the last call."""
        events, self._events = self._events, []
        return events

    # --- inside

    def _check(self, initiator: Party, request: RendezvousRequest, responder: Party, now: float) -> None:
        source = source_of_host("" if initiator.seen_as is None else initiator.seen_as.host)
        if not self._clients.admits((initiator.of,), now) or not self._addresses.admits(source, now):
            raise RefusedError(
                RefusalCode.TOO_MANY, "rendezvous are asked for too often, try again in a moment"
            )
        if (initiator.role, initiator.of, request.id) in self._under_way:
            raise RefusedError(RefusalCode.OTHER, "this rendezvous was asked for already")
        if (
            len(self) >= RENDEZVOUS_MAX
            or self._of[PeerRole.INITIATOR, initiator.of] >= RENDEZVOUS_PER_CLIENT
            or self._of[PeerRole.RESPONDER, responder.of] >= RENDEZVOUS_PER_PROXY
        ):
            raise RefusedError(
                RefusalCode.TOO_MANY, "too many rendezvous are under way, try again in a moment"
            )

    def _candidates_received(
        self, rendezvous: _Rendezvous, sender: Party, message: CandidatesPassed, now: float
    ) -> None:
        self._step(
            rendezvous,
            RendezvousStep.SEND if sender.role is PeerRole.INITIATOR else RendezvousStep.ANSWER,
            now,
        )
        if rendezvous.state is RendezvousState.ENDED:
            # The responder holds for a path what did not reach the initiator; it will notice.
            self._send(sender, RendezvousEnd(message.id, EndReason.GONE))
            self._forget(rendezvous, EndReason.GONE, now)
            return
        if sender.role is PeerRole.INITIATOR:
            rendezvous.attempts += 1
        if rendezvous.attempts > GENERATION_MAX + 1:
            raise RemoteProtocolError("too many attempts in one rendezvous")
        if len(msgspec.json.encode(message.candidates)) > CANDIDATES_BYTES_MAX:
            raise RemoteProtocolError(f"candidates of more than {CANDIDATES_BYTES_MAX} bytes")
        receiver = rendezvous.other(sender.role)
        seen_at = "" if sender.seen_as is None else sender.seen_as.host
        self._send(receiver.party, CandidatesPassed(receiver.id, message.candidates, seen_at))

    def _ended(self, rendezvous: _Rendezvous, role: PeerRole, said: RendezvousEnd, now: float) -> None:
        side = rendezvous.side(role)
        if said.why is not EndReason.SETTLED:
            other = rendezvous.other(role).party.role
            self._finish(rendezvous, said.why, now, tell=(other,), failure=said.failure)
        elif not side.settled:
            side.settled = True
            self._step(rendezvous, RendezvousStep.SETTLE, now)
            if rendezvous.state is RendezvousState.ENDED:
                self._forget(rendezvous, EndReason.SETTLED, now)

    def _step(self, rendezvous: _Rendezvous, step: RendezvousStep, now: float) -> None:
        following = TRANSITIONS.get((rendezvous.state, step))
        if following is None:
            raise RemoteProtocolError(f"nobody {step.value} in a rendezvous that is {rendezvous.state.value}")
        rendezvous.state = following
        rendezvous.deadline = min(now + DEADLINES_S.get(following, 0.0), rendezvous.began + RENDEZVOUS_S)

    def _finish(
        self, rendezvous: _Rendezvous, why: EndReason, now: float, tell: Sequence[PeerRole], failure: str = ""
    ) -> None:
        self._step(rendezvous, RendezvousStep.END, now)
        for role in tell:
            side = rendezvous.side(role)
            if not side.settled:
                self._send(side.party, RendezvousEnd(side.id, why, failure))
        self._forget(rendezvous, why, now)

    def _forget(self, rendezvous: _Rendezvous, why: EndReason, now: float) -> None:
        for side in (rendezvous.initiator, rendezvous.responder):
            del self._under_way[side.key]
            self._of[side.party.role, side.party.of] -= 1
            if not self._of[side.party.role, side.party.of]:
                del self._of[side.party.role, side.party.of]
        seconds = now - rendezvous.began
        self._events.append(
            RendezvousRecord(rendezvous.responder.party.of, rendezvous.initiator.party.client, why, seconds)
        )

    def _send(self, party: Party, message: RendezvousMessage) -> None:
        self._out.append(Delivery(party.peer, message))

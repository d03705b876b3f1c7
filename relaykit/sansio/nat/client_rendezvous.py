"""One client's half of its rendezvous: those that a visitor asks for, those that a proxy is invited to.

It carries candidates and tells how a rendezvous begins and ends; what is done with them is the
business of :mod:`relaykit.sansio.nat.punching`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen

from relaykit.errors import RefusalCode, RemoteProtocolError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.punching import FailureReason
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
from relaykit.values import Address

__all__ = [
    "LIFE_S",
    "RENDEZVOUS_MAX",
    "REQUEST_S",
    "CandidatesReceived",
    "ClientRendezvous",
    "RendezvousBegun",
    "RendezvousEnded",
    "RendezvousEvent",
    "RendezvousRefused",
]

REQUEST_S = 10.0
"""How long a server may take to answer a request: where nobody knows the proxy, nobody answers."""

LIFE_S = 180.0
"""Longest life of a rendezvous at a client: more than the server's, which usually ends it."""

RENDEZVOUS_MAX = 16
"""Rendezvous that one proxy or one visitor takes part in at once: each has its sockets."""


@frozen
class RendezvousBegun:
    """The server brings both ends together: punch.

    ``stun_ports`` are those of the relay server, ``seen_as`` is where it sees the control
    connection of this client come from.
    """

    id: str
    role: PeerRole
    key: bytes = field(repr=False)
    seen_as: Address | None = None
    stun_ports: Sequence[int] = ()


@frozen
class CandidatesReceived:
    """The peer's candidates are there, from a client that the server sees at ``seen_at``."""

    id: str
    candidates: Mapping[str, Any]
    seen_at: str = ""


@frozen
class RendezvousRefused:
    """The server does not let the initiator in."""

    id: str
    code: RefusalCode
    text: str


@frozen
class RendezvousEnded:
    """The rendezvous is over, and not because this end said so.

    ``failure`` is why punching failed, where the other end found that out.
    """

    id: str
    why: EndReason
    failure: FailureReason | None = None


RendezvousEvent: TypeAlias = RendezvousBegun | CandidatesReceived | RendezvousRefused | RendezvousEnded


class _State(enum.Enum):
    REQUESTED = "requested"
    BEGUN = "under way"


@define
class _Rendezvous:
    state: _State
    deadline: float


class ClientRendezvous:
    """The rendezvous of one proxy's client, or of one visitor.

    After each input take :meth:`to_send` and :meth:`events`; call :meth:`wake` when
    :meth:`next_wakeup` says.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._under_way: dict[str, _Rendezvous] = {}
        self._out: list[RendezvousMessage] = []
        self._events: list[RendezvousEvent] = []

    def __len__(self) -> int:
        """Rendezvous under way."""
        return len(self._under_way)

    # --- commands; about a rendezvous that is over they do nothing

    def request(self, prove: Callable[[str], bytes], now: float) -> str | None:
        """Asks for a rendezvous, and answers its id; None where there are too many.

        ``prove(id_)`` makes the proof that belongs to the id.
        """
        if len(self._under_way) >= RENDEZVOUS_MAX:
            return None
        id_ = self._entropy(16).hex()
        self._under_way[id_] = _Rendezvous(_State.REQUESTED, now + REQUEST_S)
        self._out.append(RendezvousRequest(id_, prove(id_)))
        return id_

    def send_candidates(self, id_: str, candidates: dict[str, Any]) -> None:
        """Sends candidates to the other end."""
        if id_ in self._under_way:
            self._out.append(CandidatesPassed(id_, candidates))

    def end(self, id_: str, why: EndReason, failure: FailureReason | None = None) -> None:
        """This end is done with a rendezvous."""
        if self._under_way.pop(id_, None) is not None:
            self._out.append(RendezvousEnd(id_, why, "" if failure is None else failure.value))

    # --- inputs

    def received(self, message: RendezvousMessage, now: float) -> None:
        """The server says something.  What belongs to no rendezvous is ignored: it may have ended meanwhile.

        :raises RemoteProtocolError: it makes no sense.
        """
        if isinstance(message, RendezvousInvitation):
            self._invited(message, now)
            return
        rendezvous = self._under_way.get(message.id)
        if rendezvous is None:
            return
        match message:
            case RendezvousGrant() if rendezvous.state is _State.REQUESTED:
                rendezvous.state, rendezvous.deadline = _State.BEGUN, now + LIFE_S
                self._begin(message, PeerRole.INITIATOR)
            case RendezvousRefusal() if rendezvous.state is _State.REQUESTED:
                del self._under_way[message.id]
                self._events.append(RendezvousRefused(message.id, _code(message.code), message.text))
            case CandidatesPassed() if rendezvous.state is _State.BEGUN:
                self._events.append(CandidatesReceived(message.id, message.candidates, message.seen_at))
            case RendezvousEnd():
                del self._under_way[message.id]
                self._events.append(RendezvousEnded(message.id, message.why, _failure(message.failure)))
            case _:
                raise RemoteProtocolError(
                    f"{type(message).__name__} in a rendezvous that is {rendezvous.state.value}"
                )

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return min((each.deadline for each in self._under_way.values()), default=None)

    def wake(self, now: float) -> None:
        """Ends what has passed its deadline."""
        for id_, rendezvous in list(self._under_way.items()):
            if rendezvous.deadline <= now:
                self.end(id_, EndReason.TIMEOUT)
                self._events.append(RendezvousEnded(id_, EndReason.TIMEOUT))

    # --- outputs

    def to_send(self) -> Sequence[RendezvousMessage]:
        """Takes what must go to the server, in order."""
        out, self._out = self._out, []
        return out

    def events(self) -> Sequence[RendezvousEvent]:
        """Takes what has happened since the last call."""
        events, self._events = self._events, []
        return events

    # --- inside

    def _invited(self, message: RendezvousInvitation, now: float) -> None:
        if message.id in self._under_way:
            raise RemoteProtocolError("an invitation to a rendezvous that is under way")
        if len(self._under_way) >= RENDEZVOUS_MAX:
            self._out.append(RendezvousEnd(message.id, EndReason.BUSY))
            return
        self._under_way[message.id] = _Rendezvous(_State.BEGUN, now + LIFE_S)
        self._begin(message, PeerRole.RESPONDER)

    def _begin(self, message: RendezvousGrant | RendezvousInvitation, role: PeerRole) -> None:
        self._events.append(
            RendezvousBegun(message.id, role, message.key, message.seen_as, message.stun_ports)
        )


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

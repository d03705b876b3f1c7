"""The relay server's half of frp's hole punching: brings two ends together, and tells each what to do.

A visitor that knows the proxy's secret asks for a hole.  The proxy's client is handed the id of this hole on
a work connection, and answers with the addresses that it is seen at.  Then both are told the other's
addresses and what to do, and the proxy's client reports what came of it.

Every wait has a deadline, every table a bound, and each client and each address its rate.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen

from relaykit.errors import RefusalCode, RefusedError
from relaykit.escaping import shown
from relaykit.sansio.control.credentials import proves
from relaykit.sansio.nathole.classification import NatFeature, classify
from relaykit.sansio.nathole.endpoints import Endpoint, told_assisted, told_mapped
from relaykit.sansio.nathole.instructions import HoleRole
from relaykit.sansio.nathole.messages import (
    DetectBehavior,
    NatHoleClient,
    NatHoleReport,
    NatHoleResp,
    NatHoleSid,
    NatHoleVisitor,
)
from relaykit.sansio.nathole.modes import Row, behaviors
from relaykit.sansio.nathole.scores import PairKey, Scores
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of_host
from relaykit.values import ClientIdentity, Secret, host_of

__all__ = [
    "ADDRESS_HOLES_AT_ONCE",
    "ADDRESS_HOLES_PER_S",
    "ANY_USER",
    "CLIENT_HOLES_AT_ONCE",
    "CLIENT_HOLES_PER_S",
    "HEAD_START_S",
    "HOLES_MAX",
    "HOLES_PER_CLIENT",
    "HOLES_PER_PROXY",
    "PROVIDER_S",
    "REPORT_S",
    "SOURCES_MAX",
    "Answered",
    "HoleController",
    "HoleEnd",
    "HoleEnded",
    "HoleEvent",
    "HoleInvited",
    "HoleTarget",
    "Party",
]

PROVIDER_S = 10.0
"""Seconds for the proxy's client to say where it is seen; frp's figure."""

HEAD_START_S = 1.0
"""Seconds that the receiver is told before the sender, so that its first datagrams have opened its NAT; frp's
figure."""

REPORT_S = 30.0
"""Seconds for the report, besides those that the ends were told to wait for each other; frp's figure."""

CLIENT_HOLES_AT_ONCE = 40
"""Holes that one client may ask for at once: as many visitors may start together."""

CLIENT_HOLES_PER_S = 1.0
"""Holes that one client may ask for each second, for ever: each costs a work connection; frp's visitors ask
once in ten seconds while they have users."""

ADDRESS_HOLES_AT_ONCE = 160
"""Holes that all clients at one address may ask for at once: several are behind one NAT."""

ADDRESS_HOLES_PER_S = 4.0
"""Holes that all clients at one address may ask for each second, for ever."""

SOURCES_MAX = 20_000
"""Clients and addresses whose rate is remembered."""

HOLES_MAX = 1024
"""Holes under way on a server."""

HOLES_PER_CLIENT = 64
"""Holes under way that one client has asked for: of as many visitors."""

HOLES_PER_PROXY = 64
"""Holes under way to one proxy: its client has a socket for each, or hundreds."""

ANY_USER = "*"
"""The entry of ``allowUsers`` that admits visitors of every user."""

_SID_BYTES = 13


@frozen(eq=False)
class Party:
    """A client, as the server knows it; ``peer`` is what the owner of the core sends to."""

    identity: ClientIdentity
    peer: Any = field(repr=False)


@frozen(eq=False)
class HoleTarget:
    """A proxy that is open: its client, and what it asks of visitors."""

    name: str
    secret: Secret
    allowed: Sequence[str]
    """Users whose visitors are let in."""
    provider: Party


# --- events --------------------------------------------------------------------------------------


@frozen(eq=False)
class Answered:
    """Send this to this peer."""

    peer: Any
    message: NatHoleResp


@frozen(eq=False)
class HoleInvited:
    """Hand this to the client of this proxy; tell :meth:`HoleController.not_invited` where that fails."""

    proxy: Any
    message: NatHoleSid


class HoleEnd(enum.Enum):
    """What became of a hole."""

    PUNCHED = "both ends have it"
    FAILED = "the proxy's client says that there is none"
    REFUSED = "it was refused"
    NOT_ANSWERED = "the proxy's client did not answer"
    NOT_REPORTED = "the proxy's client did not say what came of it"
    GONE = "the proxy was closed"


@frozen
class HoleEnded:
    """A hole is over, or was refused for this reason and has no id."""

    sid: str
    proxy: str
    visitor: ClientIdentity
    why: HoleEnd
    reason: str = ""
    row: Row | None = None


HoleEvent: TypeAlias = Answered | HoleInvited | HoleEnded


# --- the core ------------------------------------------------------------------------------------


class _State(enum.Enum):
    INVITED = "invited"
    TOLD = "the receiver is told"
    PUNCHING = "both are told"


@define(eq=False)
class _Hole:
    target: HoleTarget
    visitor: Party
    request: NatHoleVisitor
    deadline: float
    state: _State = _State.INVITED
    later: Answered | None = None
    """What the sender is told next."""
    report_by: float = 0.0
    row: Row | None = None
    key: PairKey | None = None


class HoleController:
    """All holes of a server, until they are punched or not.

    ``entropy`` answers this many random bytes.  After each input take :meth:`events`; call :meth:`wake` when
    :meth:`next_wakeup` says.
    """

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        scores: Scores,
        clients: RateLimit | None = None,
        addresses: RateLimit | None = None,
    ) -> None:
        self._entropy = entropy
        self._scores = scores
        if clients is None:
            clients = RateLimit(CLIENT_HOLES_AT_ONCE, CLIENT_HOLES_PER_S, SOURCES_MAX)
        if addresses is None:
            addresses = RateLimit(ADDRESS_HOLES_AT_ONCE, ADDRESS_HOLES_PER_S, SOURCES_MAX)
        self._clients = clients
        self._addresses = addresses
        self._holes: dict[str, _Hole] = {}
        self._of_client: Counter[str] = Counter()
        self._of_proxy: Counter[str] = Counter()
        self._events: list[HoleEvent] = []

    def __len__(self) -> int:
        """Holes under way."""
        return len(self._holes)

    # --- inputs

    def requested(
        self, visitor: Party, request: NatHoleVisitor, target: HoleTarget | None, now: float
    ) -> None:
        """A visitor asks for a hole to this proxy, None if there is none of that name; or whether it may."""
        try:
            if target is None:
                raise _refused(f"xtcp server for [{shown(request.proxy_name)}] doesn't exist")
            _admit(visitor, request, target)
            if request.pre_check:
                self._answer(visitor, NatHoleResp(transaction_id=request.transaction_id))
                return
            self._check(visitor, target, now)
            # What it says is kept until the proxy's client has answered: nothing that is too much of it.
            _end_of("visitor", visitor, request)
        except RefusedError as refusal:
            self._refuse(visitor, request, refusal.text)
            return
        sid = self._entropy(_SID_BYTES).hex()
        self._holes[sid] = _Hole(target, visitor, request, now + PROVIDER_S)
        self._of_client[visitor.identity.run_id] += 1
        self._of_proxy[target.name] += 1
        self._events.append(HoleInvited(target.provider.peer, NatHoleSid(sid=sid)))

    def not_invited(self, sid: str, now: float) -> None:
        """The proxy's client could not be handed the id of a hole."""
        self._not_answered(sid)

    def answered(self, sender: Party, answer: NatHoleClient, now: float) -> None:
        """The proxy's client says where it is seen.  Nobody else may, and only once."""
        hole = self._hole_of(sender, answer.sid)
        if hole is None or hole.state is not _State.INVITED:
            return
        try:
            self._bring_together(hole, answer, now)
        except RefusedError as refusal:
            text = refusal.text
            for party, transaction in (
                (hole.target.provider, answer.transaction_id),
                (hole.visitor, hole.request.transaction_id),
            ):
                self._answer(party, NatHoleResp(transaction_id=transaction, sid=answer.sid, error=text))
            self._end(answer.sid, HoleEnd.REFUSED, text)

    def reported(self, sender: Party, report: NatHoleReport, now: float) -> None:
        """The proxy's client says what came of a hole."""
        hole = self._hole_of(sender, report.sid)
        if hole is None or hole.row is None or hole.key is None:
            return
        if report.success:
            self._scores.succeeded(hole.key, hole.row, now)
        self._end(report.sid, HoleEnd.PUNCHED if report.success else HoleEnd.FAILED)

    def withdrawn(self, proxy: str, now: float) -> None:
        """A proxy is not there any more; two ends that were told of each other go on."""
        for sid, hole in list(self._holes.items()):
            if hole.target.name != proxy or hole.state is not _State.INVITED:
                continue
            self._tell_visitor(sid, f"xtcp server for [{shown(proxy)}] doesn't exist")
            self._end(sid, HoleEnd.GONE)

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return min((hole.deadline for hole in self._holes.values()), default=None)

    def wake(self, now: float) -> None:
        """Tells senders, and ends what has passed its deadline."""
        for sid, hole in list(self._holes.items()):
            if hole.deadline > now:
                continue
            if hole.later is not None:
                self._events.append(hole.later)
                hole.state, hole.later, hole.deadline = _State.PUNCHING, None, hole.report_by
            elif hole.state is _State.INVITED:
                self._not_answered(sid)
            else:
                self._end(sid, HoleEnd.NOT_REPORTED)

    def events(self) -> Sequence[HoleEvent]:
        """Takes what has happened since the last call."""
        events, self._events = self._events, []
        return events

    # --- inside

    def _check(self, visitor: Party, target: HoleTarget, now: float) -> None:
        """Has nobody ask for too much.

        :raises RefusedError: somebody does.
        """
        run_id = visitor.identity.run_id
        source = source_of_host(host_of(visitor.identity.address))
        if not self._clients.admits((run_id,), now) or not self._addresses.admits(source, now):
            raise _too_many("holes are asked for too often, try again in a moment")
        if (
            len(self._holes) >= HOLES_MAX
            or self._of_client[run_id] >= HOLES_PER_CLIENT
            or self._of_proxy[target.name] >= HOLES_PER_PROXY
        ):
            raise _too_many("too many holes are under way, try again in a moment")

    def _bring_together(self, hole: _Hole, answer: NatHoleClient, now: float) -> None:
        """Tells both ends, the sender a little later.

        :raises RefusedError: they cannot be told.
        """
        provider, provider_nat = _end_of("client", hole.target.provider, answer)
        visitor, visitor_nat = _end_of("visitor", hole.visitor, hole.request)
        key = PairKey.of(visitor.mapped[0].host, visitor_nat, provider.mapped[0].host, provider_nat)
        hole.key = key
        hole.row = row = self._scores.choose(key, provider_nat, visitor_nat, now)
        ports = provider.mapped[-1].port, visitor.mapped[-1].port
        to_provider, to_visitor = behaviors(row, provider_nat, visitor_nat, *ports)
        protocol = hole.request.protocol
        provider_told = Answered(
            hole.target.provider.peer,
            _told(answer.transaction_id, answer.sid, protocol, visitor, provider, to_provider),
        )
        visitor_told = Answered(
            hole.visitor.peer,
            _told(hole.request.transaction_id, answer.sid, protocol, provider, visitor, to_visitor),
        )
        sends = to_provider.role == HoleRole.SENDER.value
        first, hole.later = (visitor_told, provider_told) if sends else (provider_told, visitor_told)
        self._events.append(first)
        hole.state, hole.deadline = _State.TOLD, now + HEAD_START_S
        wait_ms = max(each.read_timeout_ms + each.send_delay_ms for each in (to_provider, to_visitor))
        hole.report_by = now + HEAD_START_S + wait_ms / 1000 + REPORT_S

    def _hole_of(self, sender: Party, sid: str) -> _Hole | None:
        """The hole of this id, if it is to a proxy of this client."""
        hole = self._holes.get(sid)
        if hole is None or hole.target.provider.identity.run_id != sender.identity.run_id:
            return None
        return hole

    def _not_answered(self, sid: str) -> None:
        self._tell_visitor(sid, "the proxy's client did not answer")
        self._end(sid, HoleEnd.NOT_ANSWERED)

    def _tell_visitor(self, sid: str, error: str) -> None:
        """Tells the visitor of a hole that there will be none, if it waits for that."""
        hole = self._holes.get(sid)
        if hole is not None and hole.state is _State.INVITED:
            transaction = hole.request.transaction_id
            self._answer(hole.visitor, NatHoleResp(transaction_id=transaction, error=error))

    def _refuse(self, visitor: Party, request: NatHoleVisitor, text: str) -> None:
        self._answer(visitor, NatHoleResp(transaction_id=request.transaction_id, error=text))
        self._events.append(HoleEnded("", request.proxy_name, visitor.identity, HoleEnd.REFUSED, text))

    def _answer(self, party: Party, message: NatHoleResp) -> None:
        self._events.append(Answered(party.peer, message))

    def _end(self, sid: str, why: HoleEnd, reason: str = "") -> None:
        hole = self._holes.pop(sid, None)
        if hole is None:
            return
        for counter, name in (
            (self._of_client, hole.visitor.identity.run_id),
            (self._of_proxy, hole.target.name),
        ):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        self._events.append(HoleEnded(sid, hole.target.name, hole.visitor.identity, why, reason, hole.row))


def _refused(text: str) -> RefusedError:
    return RefusedError(RefusalCode.OTHER, text)


def _too_many(text: str) -> RefusedError:
    return RefusedError(RefusalCode.TOO_MANY, text)


def _admit(visitor: Party, request: NatHoleVisitor, target: HoleTarget) -> None:
    """Lets in the proxy's users, who know its secret; where they only ask, they need not show it.

    :raises RefusedError: this one is not, or does not; in frp's words.
    """
    user, name = visitor.identity.user, target.name
    if not request.pre_check and not proves(target.secret.to_bytes(), request.timestamp, request.sign_key):
        raise _refused(f"xtcp connection of [{name}] auth failed")
    if user not in target.allowed and ANY_USER not in target.allowed:
        raise _refused(f"xtcp visitor user [{shown(user)}] not allowed for [{name}]")


def _end_of(what: str, party: Party, said: NatHoleClient | NatHoleVisitor) -> tuple[Endpoint, NatFeature]:
    """One end, and its NAT.

    :raises RefusedError: what it says cannot be used; in frp's words.
    """
    try:
        end = Endpoint.of(said.mapped_addrs, said.assisted_addrs, host_of(party.identity.address))
        return end, classify(end.mapped, end.hosts)
    except RefusedError as refusal:
        raise _refused(f"classify {what} nat feature error: {refusal.text}") from refusal


def _told(
    transaction_id: str, sid: str, protocol: str, peer: Endpoint, own: Endpoint, behavior: DetectBehavior
) -> NatHoleResp:
    """What one end is told of the other.

    :raises RefusedError: there is nothing that it may send to.
    """
    mapped = told_mapped(peer, own)
    if not mapped:
        raise _refused("the other end has no address that may be sent to")
    return NatHoleResp(
        transaction_id=transaction_id,
        sid=sid,
        protocol=protocol,
        candidate_addrs=mapped,
        assisted_addrs=told_assisted(peer, own),
        detect_behavior=behavior,
    )

"""The relay server's half of meetings, between the signals of clients and the core."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.interfaces import ICaller, IMeetingPoint, IRendezvous
from relaykit.sansio.nat.knocks import Role
from relaykit.sansio.nat.meeting_messages import Call, from_body, proof_of, to_body
from relaykit.sansio.nat.rendezvous import Party, Rendezvous
from relaykit.timer import Timer
from relaykit.values import ClientIdentity, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IRegisteredProxy, ISignalPeer
    from relaykit.values import Secret

__all__ = ["MeetingPlace"]


@implementer(ICaller)
@define(eq=False)
class _Caller:
    """A visitor that calls, as the rules of a proxy look at it."""

    _peer: ISignalPeer
    _call: Call

    @property
    def identity(self) -> ClientIdentity:
        identity: ClientIdentity = self._peer.identity
        return identity

    @property
    def takes_signals(self) -> bool:
        return bool(self._peer.takes_signals)

    def signal(self, body: Mapping[str, Any]) -> None:
        self._peer.signal(body)

    def proves(self, secret: Secret) -> bool:
        expected = proof_of(secret.to_bytes(), self.identity.run_id, self._call.call)
        return hmac.compare_digest(expected, self._call.proof)


@implementer(IRendezvous)
class MeetingPlace:
    """Where all clients of one server meet; a thin driver of the core.

    It needs no start and no end: once all proxies are withdrawn, nothing of it is left.
    """

    log = Logger()

    def __init__(self, core: Rendezvous, clock: IReactorTime) -> None:
        self._core = core
        self._clock = clock
        self._timer = Timer(clock, self._wake)

    def open(self, proxy: IRegisteredProxy, admit: Callable[[ICaller], None]) -> IMeetingPoint:
        return _MeetingPoint(self, proxy, admit)

    # --- for meeting points

    def received(self, point: _MeetingPoint, sender: ISignalPeer, body: Mapping[str, Any]) -> bool:
        """A signal arrived at a proxy."""
        message = from_body(body)
        if message is None:
            return False
        proxy, now = point.proxy, self._clock.seconds()
        is_callee = sender is proxy
        party = _party(Role.CALLEE, proxy.name, sender) if is_callee else _caller(sender)
        try:
            if not isinstance(message, Call):
                self._core.received(party, message, now)
            elif is_callee:
                raise RemoteProtocolError("the proxy's own client calls it")
            else:
                self._called(point, party, message, now)
        finally:
            self._settle()
        return True

    def withdrawn(self, proxy: IRegisteredProxy) -> None:
        """A proxy is gone."""
        self._core.withdrawn(proxy.name, self._clock.seconds())
        self._settle()

    # --- inside

    def _called(self, point: _MeetingPoint, caller: Party, call: Call, now: float) -> None:
        proxy = point.proxy

        def admit() -> None:
            if not proxy.takes_signals:
                raise RefusedError(
                    RefusalCode.NOT_AVAILABLE, f"the client of [{proxy.name}] knows of no meetings"
                )
            point.admit(_Caller(caller.peer, call))

        refusal = self._core.called(caller, call, _party(Role.CALLEE, proxy.name, proxy), admit, now)
        if refusal is not None:
            self.log.warn(
                "[{run}] [{proxy}] a call from {origin} is refused: {reason}",
                run=caller.client,
                proxy=proxy.name,
                origin=caller.seen_as,
                reason=refusal.text,
                code=refusal.code.value,
                ended=Ended.REFUSED.value,
                problem="call-refused",
            )

    def _wake(self) -> None:
        self._core.wake(self._clock.seconds())
        self._settle()

    def _settle(self) -> None:
        for delivery in self._core.to_send():
            # Whoever takes no signals any more is not there any more.
            with contextlib.suppress(RefusedError):
                delivery.peer.signal(to_body(delivery.message))
        for over in self._core.events():
            self.log.debug(
                "[{run}] [{proxy}] a meeting is over: {why}",
                run=over.caller,
                proxy=over.proxy,
                why=over.why.value,
                seconds=over.seconds,
            )
        self._timer.set(self._core.next_wakeup())


@implementer(IMeetingPoint)
@define(eq=False)
class _MeetingPoint:
    _place: MeetingPlace
    proxy: IRegisteredProxy
    admit: Callable[[ICaller], None]
    _closed: bool = field(default=False, init=False)

    def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> bool:
        return not self._closed and self._place.received(self, sender, body)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._place.withdrawn(self.proxy)


def _caller(sender: ISignalPeer) -> Party:
    return _party(Role.CALLER, sender.identity.run_id, sender)


def _party(role: Role, of: str, peer: ISignalPeer) -> Party:
    return Party(role, of, peer.identity.run_id, peer.identity.address, peer)

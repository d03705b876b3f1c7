"""The relay server's half of rendezvous, between the signals of clients and the core."""

from __future__ import annotations

import contextlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field
from zope.interface import implementer

from relaykit.driver import CoreDriver
from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.escaping import shown
from relaykit.interfaces import IInitiator, IRendezvous, IRendezvousPoint
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.rendezvous_messages import RendezvousRequest, from_body, proof_of, to_body
from relaykit.sansio.nat.server_rendezvous import Party, RendezvousRecord, ServerRendezvous
from relaykit.values import ClientIdentity, Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IRegisteredProxy, ISignalPeer
    from relaykit.values import Secret

__all__ = ["RendezvousPoints"]


@implementer(IInitiator)
@define(eq=False)
class _Initiator:
    """A visitor that asks for a rendezvous, as the rules of a proxy look at it."""

    _peer: ISignalPeer
    _request: RendezvousRequest

    @property
    def identity(self) -> ClientIdentity:
        identity: ClientIdentity = self._peer.identity
        return identity

    def proves(self, secret: Secret) -> bool:
        expected = proof_of(secret.to_bytes(), self.identity.run_id, self._request.id)
        return hmac.compare_digest(expected, self._request.proof)


@implementer(IRendezvous)
class RendezvousPoints(CoreDriver[RendezvousRecord]):
    """Where all clients of one server meet; a thin driver of the core.

    It needs no start and no end: once all proxies are withdrawn, nothing of it is left.
    """

    _core: ServerRendezvous

    def __init__(self, core: ServerRendezvous, clock: IReactorTime) -> None:
        super().__init__(core, clock, self._on_record)
        self.outcomes: Counter[str] = Counter()
        """How they have ended, by the reason."""

    def open(self, proxy: IRegisteredProxy, admit: Callable[[IInitiator], None]) -> IRendezvousPoint:
        return _RendezvousPoint(self, proxy, admit)

    def astray(self, name: str, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        """Nobody takes this signal for the proxy of a name: whoever asks for a rendezvous is told so.

        :raises RemoteProtocolError: it makes no sense.
        """
        message = from_body(body)
        if isinstance(message, RendezvousRequest):
            initiator = _initiator(sender)
            refusal = RefusedError(
                RefusalCode.UNKNOWN_PROXY, f"custom listener for [{shown(name)}] doesn't exist"
            )
            self._core.refuse(initiator, message, refusal)
            self._tell_refused(name, initiator, refusal)
            self.step()

    # --- for rendezvous points

    def received(self, point: _RendezvousPoint, sender: ISignalPeer, body: Mapping[str, Any]) -> bool:
        """A signal arrived at a proxy."""
        message = from_body(body)
        if message is None:
            return False
        proxy, now = point.proxy, self.now
        is_responder = sender is proxy
        party = _party(PeerRole.RESPONDER, proxy.name, sender) if is_responder else _initiator(sender)
        try:
            if not isinstance(message, RendezvousRequest):
                self._core.received(party, message, now)
            elif is_responder:
                raise RemoteProtocolError("the proxy's own client asks for it")
            else:
                self._requested(point, party, message, now)
        finally:
            self.step()
        return True

    def withdrawn(self, proxy: IRegisteredProxy) -> None:
        """A proxy is gone."""
        self._core.withdrawn(proxy.name, self.now)
        self.step()

    # --- inside

    def _requested(
        self, point: _RendezvousPoint, initiator: Party, request: RendezvousRequest, now: float
    ) -> None:
        proxy = point.proxy

        def admit() -> None:
            if not proxy.takes_signals:
                raise RefusedError(
                    RefusalCode.NOT_AVAILABLE, f"the client of [{proxy.name}] knows of no rendezvous"
                )
            point.admit(_Initiator(initiator.peer, request))

        refusal = self._core.requested(
            initiator, request, _party(PeerRole.RESPONDER, proxy.name, proxy), admit, now
        )
        if refusal is not None:
            self._tell_refused(proxy.name, initiator, refusal)

    def _tell_refused(self, name: str, initiator: Party, refusal: RefusedError) -> None:
        self.log.warn(
            "[{run}] [{proxy}] a rendezvous asked for by {origin} is refused: {reason}",
            run=initiator.client,
            proxy=name,
            origin=initiator.seen_as,
            reason=refusal.text,
            stranger=host_of(initiator.seen_as),
            code=refusal.code.value,
            ended=Ended.REFUSED.value,
            problem="rendezvous-refused",
        )

    def _send(self) -> bool:
        deliveries = self._core.to_send()
        for delivery in deliveries:
            # Whoever takes no signals any more is not there any more.
            with contextlib.suppress(RefusedError):
                delivery.peer.signal(to_body(delivery.message))
        return bool(deliveries)

    def _on_record(self, record: RendezvousRecord) -> None:
        self.outcomes[record.why.value] += 1
        self.log.debug(
            "[{run}] [{proxy}] a rendezvous is over: {why}",
            run=record.initiator,
            proxy=record.proxy,
            why=record.why.value,
            seconds=record.seconds,
        )


@implementer(IRendezvousPoint)
@define(eq=False)
class _RendezvousPoint:
    _points: RendezvousPoints
    proxy: IRegisteredProxy
    admit: Callable[[IInitiator], None]
    _closed: bool = field(default=False, init=False)

    def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> bool:
        return not self._closed and self._points.received(self, sender, body)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._points.withdrawn(self.proxy)


def _initiator(sender: ISignalPeer) -> Party:
    return _party(PeerRole.INITIATOR, sender.identity.run_id, sender)


def _party(role: PeerRole, of: str, peer: ISignalPeer) -> Party:
    return Party(role, of, peer.identity.run_id, peer.identity.address, peer)

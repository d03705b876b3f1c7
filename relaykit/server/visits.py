"""Visits: flows that a client's visitor asks for, handed to the exposure of the secret proxy."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.transcoding import transcoded
from relaykit.dataplane.transforms import transformed
from relaykit.dataplane.uniting import united
from relaykit.errors import VisitRefusedError
from relaykit.escaping import shown
from relaykit.interfaces import IVisit
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.credentials import proves
from relaykit.sansio.control.server_opening import accept_visit, refuse_visit, visitor_user_of
from relaykit.sansio.control.texts import NOT_OF_THIS_SESSION, UNKNOWN_SESSION, PeerTexts
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.server.events import VisitRefused
from relaykit.values import ClientIdentity

if TYPE_CHECKING:
    from relaykit.interfaces import IRegisteredProxy, IStreamLeg
    from relaykit.sansio.wire.framing import Framing
    from relaykit.sansio.wire.messages import NewVisitorConn
    from relaykit.server.acceptor import Link
    from relaykit.server.observers import Observers
    from relaykit.server.registry import Registry
    from relaykit.server.sessions import Sessions
    from relaykit.values import Origin, Secret

__all__ = ["Visit", "Visits"]

NOBODY = ClientIdentity("")
"""Whose visits are those that name no session; they are refused."""


@implementer(IVisit)
@define(eq=False, kw_only=True)
class Visit:
    """One visit that waits for its yes or no.

    Nothing in frp's request for it names the visitor, so it is nobody to be signaled.
    """

    identity: ClientIdentity
    _asked: NewVisitorConn
    _framing: Framing
    _leg: IStreamLeg
    _entropy: Callable[[int], bytes]
    origin: Origin
    _on_accepted: Callable[[], None]
    _extensions: Collection[str] = ()
    """What was agreed on with the visiting client."""
    answered: bool = field(default=False, init=False)

    def proves(self, secret: Secret) -> bool:
        return proves(secret.to_bytes(), self._asked.timestamp, self._asked.sign_key)

    def accept(self, secret: Secret) -> IStreamLeg:
        self.answered = True
        self._on_accepted()
        self._leg.write(accept_visit(self._framing, self._asked.proxy_name))
        return transformed(self._leg, self._asked, secret, self._entropy)

    def accept_lane(self, secret: Secret, proxy: IRegisteredProxy) -> IStreamLeg:
        near = agreed_codec(self._framing, self._extensions)
        return transcoded(united(self.accept(secret), near), near, proxy.lane_codec())

    def abort(self) -> None:
        """Drops the visit."""
        self._leg.abort()

    def refuse(self, text: str) -> None:
        """Tells the visitor no, and closes."""
        self.answered = True
        self._leg.write(refuse_visit(self._framing, self._asked.proxy_name, text))
        self._leg.close()


class Visits:
    """Takes what visitors ask for."""

    log = Logger()

    def __init__(
        self,
        sessions: Sessions,
        registry: Registry,
        texts: PeerTexts,
        entropy: Callable[[int], bytes],
        observers: Observers,
    ) -> None:
        self._observers = observers
        self._sessions = sessions
        self._registry = registry
        self.texts = texts
        self._entropy = entropy

    def asked(
        self, message: NewVisitorConn, framing: Framing, leg: IStreamLeg, origin: Origin, link: Link
    ) -> None:
        """A visitor asks for one flow to a proxy."""
        session = self._sessions.get(message.run_id)
        visit = Visit(
            identity=NOBODY if session is None else session.identity,
            asked=message,
            framing=framing,
            leg=leg,
            on_accepted=link.admit,
            entropy=self._entropy,
            # What a load balancer says of the client's connection says nothing of those whom it visits for.
            origin=evolve(origin, visitor_user=visitor_user_of(message), tlvs=()),
            extensions=() if session is None else session.extensions,
        )
        if session is None:
            self._refused(visit, message.proxy_name, UNKNOWN_SESSION.format(run_id=shown(message.run_id)))
            return
        if not session.owns(link, Purpose.VISIT, message.binding):
            self._refused(visit, message.proxy_name, NOT_OF_THIS_SESSION.format(run_id=shown(message.run_id)))
            return
        Deferred.fromCoroutine(self._registry.visit(message.proxy_name, visit)).addErrback(
            self._failed, visit, message.proxy_name
        )

    def _failed(self, failure: Any, visit: Visit, name: str) -> None:
        if failure.check(VisitRefusedError) and not visit.answered:
            self._refused(visit, name, failure.value.text)
            return
        self.log.failure("a defect while proxy {proxy} was visited", failure, proxy=name)
        visit.abort()

    def _refused(self, visit: Visit, name: str, text: str) -> None:
        self._observers.tell(VisitRefused(proxy=shown(name), origin=visit.origin, reason=text))
        visit.refuse(self.texts.visit(text))

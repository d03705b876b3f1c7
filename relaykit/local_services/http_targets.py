"""What requests of one user of HTTP are sent to: connections of the client, some of which are kept."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from relaykit.dataplane.kept_legs import KeptLeg
from relaykit.errors import ConnectionFailed, NoWorkConnection, NoWorkConnectionInTime
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.dataplane.kept_legs import KeptLegs
    from relaykit.interfaces import IFlow, ILocalHost, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http.rewriting import Rules
    from relaykit.values import Origin

__all__ = ["HttpTarget", "HttpTargets", "TargetLeg", "TunnelLeg"]


class HttpTargets:
    """The sites of one user, as :class:`relaykit.proxies.http.users.HttpUser` has them.

    A subclass says by :meth:`find` where a request goes, and by ``rules`` what is changed on the way.
    """

    timeouts = DEFAULT_TIMEOUTS
    version = 0
    rules: Rules

    def __init__(self, host: ILocalHost) -> None:
        self.host = host

    @property
    def reactor(self) -> IReactorTime:
        """What tells and keeps time."""
        reactor: IReactorTime = self.host.reactor
        return reactor

    def date(self) -> bytes:
        """The present date, as HTTP writes it."""
        return formatdate(self.reactor.seconds(), usegmt=True).encode()

    def find(self, head: RequestHead) -> Any:
        """The :class:`HttpTarget` of a request, or the answer to it."""
        raise NotImplementedError

    def rules_of(self, target: Any) -> Rules:
        """What is changed in messages."""
        return self.rules


class HttpTarget:
    """One server, as what serves one user has it.

    :param dial: makes a connection to it; fails with :class:`relaykit.errors.ConnectionFailed`.
    :param kept: its connections that wait for their next requests.
    """

    def __init__(
        self,
        host: ILocalHost,
        dial: Callable[[], Deferred[IStreamLeg]],
        kept: KeptLegs[TargetLeg],
        make_leg: Callable[[IStreamLeg, HttpTarget], TargetLeg] | None = None,
    ) -> None:
        self.host = host
        self.kept = kept
        self._dial = dial
        self._make_leg = make_leg or TargetLeg

    def work_leg_for(self, origin: Origin) -> TargetLeg | Deferred[TargetLeg]:
        """A connection that has waited, which delivers already, or what :meth:`open_work_leg` answers."""
        leg = self.kept.take()
        if leg is None:
            return self.open_work_leg(origin)
        leg.proxy = self
        return leg

    def open_work_leg(self, origin: Origin) -> Deferred[TargetLeg]:
        """A fresh one; fails with :class:`relaykit.errors.NoWorkConnection`.  Cancelling gives up."""
        dialing: Deferred[Any] = self._dial()
        return dialing.addCallbacks(lambda leg: self._make_leg(leg, self), _not_reached)


def _not_reached(failure: Failure) -> Any:
    failure.trap(ConnectionFailed)
    late = getattr(failure.value, "problem", "") == "no-answer"
    raise (NoWorkConnectionInTime if late else NoWorkConnection)(failure.getErrorMessage())


class TargetLeg(KeptLeg):
    """A connection to a server, as :class:`relaykit.interfaces.IWorkLeg` has those to a client."""

    __slots__ = ("proxy",)

    def __init__(self, lower: IStreamLeg, target: HttpTarget) -> None:
        super().__init__(lower)
        self.proxy = target

    @property
    def kept(self) -> Any:
        return self.proxy.kept

    def failed(self, why: str) -> bool:
        """Nobody else serves in its place."""
        return False

    def join(self, user: IStreamLeg) -> IFlow:
        """Forwards the user over it from now on."""
        flow: IFlow = self.proxy.host.forward(user, self)
        return flow


class TunnelLeg(TargetLeg):
    """A connection that a user has asked for by CONNECT: that it is there is the answer to the request."""

    __slots__ = ("_is_agreed", "_is_asked")

    def __init__(self, lower: IStreamLeg, target: HttpTarget) -> None:
        super().__init__(lower, target)
        self._is_asked = self._is_agreed = False

    def write(self, data: Buffer) -> None:
        if self._is_asked:
            self._lower.write(data)
        else:
            # It is the request itself, which the server does not get to see.
            self._is_asked = True
            self.turns.at_turn_end(self._agree)

    def _agree(self) -> None:
        self._is_agreed = True
        self._arrived(b"HTTP/1.1 200 OK\r\n\r\n")
        if self._reading:
            super()._reading_wanted(True)

    def _reading_wanted(self, wanted: bool) -> None:
        # A server that speaks first must not be heard before the answer.
        if self._is_agreed:
            super()._reading_wanted(wanted)

"""What requests of one user of HTTP are sent to: connections of the client, of which the last is kept."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from relaykit.dataplane.transforms import TransformLeg
from relaykit.errors import ConnectionFailed, NoWorkConnection, NoWorkConnectionInTime
from relaykit.proxies.http.users import HttpUser
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.sansio.http.rewriting import Rules
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import IFlow, ILegReceiver, ILocalHost, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.values import Origin

__all__ = ["HttpTarget", "HttpTargets", "TunnelLeg"]

TO_ORIGIN = Rules(to_origin=True)
"""Changes nothing but what a proxy must."""


class HttpTargets:
    """The sites of one user, as :class:`relaykit.proxies.http.users.HttpUser` has them.

    A subclass says by :meth:`find` where a request goes.
    """

    timeouts = DEFAULT_TIMEOUTS
    version = 0

    def __init__(self, leg: IStreamLeg, host: ILocalHost) -> None:
        self.host = host
        self._leg = leg
        self._kept: TargetLeg | None = None

    @property
    def reactor(self) -> IReactorTime:
        """What tells and keeps time."""
        reactor: IReactorTime = self.host.reactor
        return reactor

    def serve(self, origin: Origin, scheme: bytes = b"http") -> None:
        """Begins to serve the user."""
        self._leg.when_gone(self.close)
        HttpUser(self._leg, origin, self, scheme).start()

    def date(self) -> bytes:
        """The present date, as HTTP writes it."""
        return formatdate(self.reactor.seconds(), usegmt=True).encode()

    def find(self, head: RequestHead) -> Any:
        """The :class:`HttpTarget` of a request, or the answer to it."""
        raise NotImplementedError

    def rules_of(self, target: Any) -> Rules:
        """What is changed in messages."""
        return TO_ORIGIN

    def keep(self, leg: TargetLeg) -> None:
        """Keeps one connection for the user's next request, in place of the one before."""
        if self._kept is not leg:
            self.close()
        self._kept = leg

    def take(self, target: HttpTarget) -> None:
        """A request goes elsewhere, or over a fresh connection: nothing is kept any more."""
        self.close()

    def close(self) -> None:
        """Ends what is kept."""
        kept, self._kept = self._kept, None
        if kept is not None and kept.is_kept:
            kept.close()


class HttpTarget:
    """One server, by its address; see :class:`HttpTargets`."""

    def __init__(self, targets: HttpTargets, address: Address, make_leg: Callable[..., TargetLeg]) -> None:
        self.targets = targets
        self._address = address
        self._make_leg = make_leg

    def work_leg_for(self, origin: Origin) -> Deferred[TargetLeg]:
        """A fresh connection: only the user that it served gets a kept one."""
        return self.open_work_leg(origin)

    def open_work_leg(self, origin: Origin) -> Deferred[TargetLeg]:
        """A connection; fails with :class:`relaykit.errors.NoWorkConnection`.  Cancelling gives up."""
        self.targets.take(self)
        dialing: Deferred[Any] = self.targets.host.dial(self._address.host, self._address.port)
        return dialing.addCallbacks(lambda leg: self._make_leg(leg, self), _not_reached)


def _not_reached(failure: Failure) -> Any:
    failure.trap(ConnectionFailed)
    late = getattr(failure.value, "problem", "") == "no-answer"
    raise (NoWorkConnectionInTime if late else NoWorkConnection)(failure.getErrorMessage())


class TargetLeg(TransformLeg):
    """A connection to a server, as :class:`relaykit.interfaces.IWorkLeg` has those to a client."""

    __slots__ = ("is_kept", "is_reused", "proxy")

    def __init__(self, lower: IStreamLeg, target: HttpTarget) -> None:
        super().__init__(lower, (), ())
        self.proxy = target
        self.is_kept = self.is_reused = False

    def keep(self) -> None:
        """Keeps it for the next request of the same user."""
        if self._full or self._lower_is_over:
            self.close()
            return
        self.is_kept = self.is_reused = True
        self.proxy.targets.keep(self)
        self.resumeProducing()

    def take_back(self, receiver: ILegReceiver) -> bool:
        """Takes it again for the next request; false if it is gone."""
        was_kept, self.is_kept = self.is_kept, False
        return was_kept and self._receiver is receiver

    def failed(self, why: str) -> bool:
        """Nobody else serves in its place."""
        return False

    def join(self, user: IStreamLeg) -> IFlow:
        """Forwards the user over it from now on."""
        flow: IFlow = self.proxy.targets.host.forward(user, self)
        return flow

    def write(self, data: Buffer) -> None:
        self._lower.write(data)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        self._lower.write_sequence(pieces)

    def data_received(self, data: Buffer) -> None:
        if self.is_kept:
            # Nothing was asked for: whoever asks next would take it for an answer.
            self._drop_kept()
            return
        self._arrived(data)

    def end_received(self) -> None:
        if self.is_kept:
            self._drop_kept()
        super().end_received()

    def leg_lost(self, reason: Ended) -> None:
        self.is_kept = False
        super().leg_lost(reason)

    @property
    def _lower_is_over(self) -> bool:
        return self._ended_by_peer or self._loss is not None

    def _drop_kept(self) -> None:
        self.is_kept = False
        self.close()


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

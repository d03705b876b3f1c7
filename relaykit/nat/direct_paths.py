"""Direct paths of one backend or visitor: between its signals, the rendezvous core and hole punching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, fail
from zope.interface import implementer

from relaykit.driver import CoreDriver
from relaykit.errors import (
    RefusalCode,
    RefusedError,
    RemoteProtocolError,
    RendezvousFailedError,
    RendezvousRefusedError,
)
from relaykit.interfaces import IDirectPaths
from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat import client_rendezvous as core
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.client_rendezvous import CandidatesReceived, RendezvousBegun, RendezvousRefused
from relaykit.sansio.nat.punching import FailureReason
from relaykit.sansio.nat.rendezvous_messages import EndReason, from_body, proof_of, to_body
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import IDirectPath, ISignalPeer
    from relaykit.values import Secret

__all__ = ["OVERDUE_S", "DirectPaths", "MakeSession", "PathSession"]

OVERDUE_S = 3.0
"""How long whoever wants a path waits before he is told to do without for now.  Two attempts by checks, and
what TCP does beside them, are over by then; a search for a port may go on."""


class PathSession(Protocol):
    """What a rendezvous needs of a :class:`relaykit.nat.session.HolePunchingSession`."""

    def start(self) -> Deferred[IDirectPath]:
        """Begins; fires with the path."""

    def candidates_received(self, wire: object, seen_at: str = "") -> None:
        """The peer's candidates are there."""


MakeSession: TypeAlias = Callable[[RendezvousBegun, Callable[[dict[str, object]], None], bool], PathSession]
"""Makes what punches, given what the server said, what sends candidates, and whether datagrams will do."""


@define
class _Rendezvous:
    """One that is under way.  ``result`` and ``overdue`` are the initiator's."""

    for_datagrams: bool
    result: Deferred[IDirectPath] | None = None
    overdue: Timer | None = None
    session: PathSession | None = None
    path: Deferred[IDirectPath] | None = None


@implementer(IDirectPaths)
class DirectPaths(CoreDriver[core.RendezvousEvent]):
    """A thin driver of :class:`relaykit.sansio.nat.client_rendezvous.ClientRendezvous`.

    It owns the hole punching sessions.

    :param peer: the server's half of the proxy type.
    :param prepare: begins to load what streams of a path need.
    """

    _core: core.ClientRendezvous

    def __init__(
        self,
        peer: ISignalPeer,
        clock: IReactorTime,
        make_session: MakeSession,
        entropy: Callable[[int], bytes],
        prepare: Callable[[PeerRole], None],
    ) -> None:
        super().__init__(core.ClientRendezvous(entropy), clock, self._on_rendezvous)
        self._peer = peer
        self._clock = clock
        self._make_session = make_session
        self._prepare = prepare
        self._under_way: dict[str, _Rendezvous] = {}
        self._on_path: Callable[[IDirectPath], None] | None = None
        self._answers_for_datagrams = False

    def prepare(self, role: PeerRole) -> None:
        self._prepare(role)

    def call(
        self, secret: Secret, for_datagrams: bool = False, on_overdue: Callable[[], None] | None = None
    ) -> Deferred[IDirectPath]:
        if not self._peer.takes_signals:
            return fail(RefusedError(RefusalCode.NOT_AVAILABLE, "the server knows of no rendezvous"))
        client = self._peer.identity.run_id
        id_ = self._core.request(partial(proof_of, secret.to_bytes(), client), self.now)
        if id_ is None:
            return fail(
                RendezvousRefusedError(RefusalCode.TOO_MANY, "this visitor has too many rendezvous already")
            )
        result: Deferred[IDirectPath] = Deferred(lambda _: self._cancel(id_))
        overdue = Timer(self._clock, on_overdue or _wait_on)
        overdue.set(self._clock.seconds() + OVERDUE_S)
        self._under_way[id_] = _Rendezvous(for_datagrams, result, overdue)
        self.step()
        return result

    def answer(self, on_path: Callable[[IDirectPath], None], for_datagrams: bool = False) -> None:
        self._on_path = on_path
        self._answers_for_datagrams = for_datagrams

    def signal_received(self, body: Mapping[str, Any]) -> bool:
        message = from_body(body)
        if message is None:
            return False
        self._core.received(message, self.now)
        self.step()
        return True

    def close(self) -> None:
        self._on_path = None
        for id_, rendezvous in list(self._under_way.items()):
            if rendezvous.result is not None:
                rendezvous.result.cancel()
            else:
                self._cancel(id_)

    # --- the core

    def _send(self) -> bool:
        messages = self._core.to_send()
        for message in messages:
            try:
                self._peer.signal(to_body(message))
            except RefusedError as refusal:
                self.log.debug("a rendezvous goes on without the server: {reason}", reason=refusal.text)
        return bool(messages)

    def _on_rendezvous(self, event: core.RendezvousEvent) -> None:
        if isinstance(event, RendezvousBegun):
            self._begin(event)
            return
        rendezvous = self._under_way.get(event.id)
        if rendezvous is None:
            return
        if isinstance(event, CandidatesReceived):
            self._on_candidates(rendezvous, event)
        elif isinstance(event, RendezvousRefused):
            self._fail(event.id, RendezvousRefusedError(event.code, event.text))
        elif event.why is EndReason.FAILED and event.failure is not None:
            self._fail(event.id, HolePunchingFailedError.because(event.failure))
        else:
            self._fail(event.id, RendezvousFailedError(_WORDS[event.why], event.why))

    def _begin(self, event: RendezvousBegun) -> None:
        if event.role is PeerRole.RESPONDER:
            if self._on_path is None:
                self._core.end(event.id, EndReason.GONE)
                return
            self._under_way[event.id] = _Rendezvous(self._answers_for_datagrams)
        rendezvous = self._under_way[event.id]
        session = rendezvous.session = self._make_session(
            event, partial(self._send_candidates, event.id), rendezvous.for_datagrams
        )
        path = rendezvous.path = session.start()
        path.addCallbacks(
            self._on_punched, self._on_failed, callbackArgs=(event.id,), errbackArgs=(event.id,)
        )
        path.addErrback(lambda failure: self.log.failure("a defect where a path was handed on", failure))

    def _on_candidates(self, rendezvous: _Rendezvous, event: CandidatesReceived) -> None:
        assert rendezvous.session is not None
        try:
            rendezvous.session.candidates_received(event.candidates, event.seen_at)
        except RemoteProtocolError as error:
            self._core.end(event.id, EndReason.BROKEN)
            self._fail(event.id, RendezvousFailedError(str(error), EndReason.BROKEN))

    # --- punching

    def _send_candidates(self, id_: str, candidates: dict[str, object]) -> None:
        self._core.send_candidates(id_, candidates)
        self.step()

    def _on_punched(self, path: IDirectPath, id_: str) -> None:
        rendezvous = self._take(id_)
        assert rendezvous is not None
        self._core.end(id_, EndReason.SETTLED)
        self.step()
        if rendezvous.result is not None:
            rendezvous.result.callback(path)
        else:
            assert self._on_path is not None, "closed, and yet there is a path"
            try:
                self._on_path(path)
            except Exception:
                path.close()
                raise

    def _on_failed(self, failure: Failure, id_: str) -> None:
        if failure.check(CancelledError):
            return
        error = failure.value
        if not isinstance(error, RendezvousFailedError):
            self.log.failure("a defect while punching", failure)
            error = RendezvousFailedError("this end failed; its log says why")
        reason = error.reason if isinstance(error.reason, FailureReason) else None
        self._core.end(id_, EndReason.FAILED, reason)
        self.step()
        self._fail(id_, error)

    # --- the end

    def _cancel(self, id_: str) -> None:
        self._core.end(id_, EndReason.CANCELLED)
        self._drop(self._take(id_))
        self.step()

    def _fail(self, id_: str, why: Exception) -> None:
        rendezvous = self._take(id_)
        self._drop(rendezvous)
        if rendezvous is not None and rendezvous.result is not None:
            rendezvous.result.errback(why)
        elif rendezvous is not None:
            self.log.debug("a rendezvous failed: {reason}", reason=str(why))

    def _take(self, id_: str) -> _Rendezvous | None:
        """A rendezvous is over."""
        rendezvous = self._under_way.pop(id_, None)
        if rendezvous is not None and rendezvous.overdue is not None:
            rendezvous.overdue.stop()
        return rendezvous

    def _drop(self, rendezvous: _Rendezvous | None) -> None:
        """Stops what punches; its own end is no news."""
        if rendezvous is not None and rendezvous.path is not None:
            rendezvous.path.cancel()


def _wait_on() -> None:
    """For who has no other way."""


_WORDS = {
    EndReason.SETTLED: "the other end believes that there is a path",
    EndReason.FAILED: "the other end found no path",
    EndReason.CANCELLED: "the other end gave the rendezvous up",
    EndReason.GONE: "the proxy takes part in no rendezvous, or is gone",
    EndReason.TIMEOUT: "the server or the other end took too long",
    EndReason.BUSY: "the proxy's client has too many rendezvous",
    EndReason.BROKEN: "one end broke the rules of the rendezvous",
}

"""Work connections: opened when the server asks, kept until a user comes, handed to the backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.client.probing import answer_probe
from relaykit.dataplane.transforms import transformed
from relaykit.errors import RelaykitError, RemoteProtocolError, ended_by, problem_of
from relaykit.interfaces import IMessagingProxyType
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.client_opening import Refusal, handed_message, open_work, work_answer
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.texts import POOL_FULL
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.client.registrar import LocalProxy
    from relaykit.client.session import Session
    from relaykit.interfaces import IMessagePeer, IStreamLeg
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import Secret

__all__ = ["WorkConnections"]

HANDED_S = 10.0
"""Seconds for a message that a work connection was assigned for: it is sent with the assignment."""

MAX_WAITING = 4096
"""Work connections that wait for a user at once: as many as users of one client may wait at the server."""


class WorkConnections:
    """The work connections of one session.

    :param exposed: answers the proxy that has this name on the server, if it is exposed.
    :param token: what encrypted proxies use.
    :param give: has a backend take a message of its type; whether it did.
    """

    log = Logger()

    def __init__(
        self,
        session: Session,
        exposed: Callable[[str], LocalProxy | None],
        token: Secret,
        entropy: Callable[[int], bytes],
        give: Callable[[object, IMessagePeer, Message], bool],
    ) -> None:
        self._session = session
        self._exposed = exposed
        self._token = token
        self._entropy = entropy
        self._give = give
        self._waiting: set[Deferred[None]] = set()
        self._idle: set[IStreamLeg] = set()
        self._closed = False

    def open(self, count: int) -> None:
        """The server asks for this many."""
        for _ in range(min(count, MAX_WAITING - len(self._waiting))):
            opening = Deferred.fromCoroutine(self._open())
            self._waiting.add(opening)
            opening.addBoth(self._served, opening)

    def close(self) -> None:
        """Closes those that serve nobody yet."""
        self._closed = True
        # Cancelling them would do, but leave reference cycles of frames, and with them the session.
        for leg in list(self._idle):
            leg.close()
        for opening in list(self._waiting):
            opening.cancel()

    async def _open(self) -> None:
        session = self._session
        try:
            proof = session.prove(Scope.WORK_CONNECTIONS)
            if isinstance(proof, Deferred):
                proof = await proof
            leg, binding = await session.open_leg(Purpose.WORK)
        except RelaykitError as error:
            self.log.warn(
                "[{run}] a work connection cannot be opened: {reason}",
                run=self._session.run_id,
                reason=str(error),
                stranger=host_of(session.peer),
                ended=ended_by(error).value,
                problem=problem_of(error, "work-connections"),
            )
            return
        self._idle.add(leg)
        try:
            leg.write(open_work(session.framing, session.run_id, proof, binding))
            answer = await leg.take(work_answer(session.framing))
        except Exception:
            leg.close()
            raise
        finally:
            self._idle.discard(leg)
        if isinstance(answer, Refusal):
            leg.close()
            # One too many is nobody's fault; any other reason keeps users from being served.
            level = self.log.debug if answer.text == POOL_FULL else self.log.warn
            level(
                "[{run}] the server refused a work connection: {reason}",
                run=self._session.run_id,
                reason=answer.text,
                stranger=host_of(session.peer),
                ended=Ended.REFUSED.value,
                problem="work-connections",
            )
            return
        proxy = self._exposed(answer.proxy_name)
        if proxy is None:
            self.log.warn(
                "[{run}] the server sent a user for [{proxy}], which does not run",
                run=self._session.run_id,
                proxy=answer.proxy_name,
                origin=answer.origin,
                stranger=host_of(session.peer),
                ended=Ended.REFUSED.value,
                problem="user-for-nothing",
            )
            leg.close()
            return
        if answer.is_probe:
            work = transformed(leg, proxy.configured.common.transport, self._token, self._entropy)
            answered = Deferred.fromCoroutine(answer_probe(work, proxy.backend, session.clock))
            answered.addErrback(self._defect, work, answer.proxy_name)
            return
        if IMessagingProxyType.providedBy(proxy.type) and proxy.type.handed and answer.origin.source is None:
            await self._take_message(leg, proxy, tuple(proxy.type.handed))
            return
        work = transformed(leg, proxy.configured.common.transport, self._token, self._entropy)
        served = Deferred.fromCoroutine(proxy.backend.work_assigned(work, answer.origin))
        served.addErrback(self._defect, work, answer.proxy_name)

    async def _take_message(
        self, leg: IStreamLeg, proxy: LocalProxy, classes: tuple[type[Message], ...]
    ) -> None:
        """Takes what the server hands a backend on a work connection, which ends with it."""
        try:
            parser = handed_message(self._session.framing, classes)
            message = await leg.take(parser).addTimeout(HANDED_S, self._session.clock)
        except DeadlinePassed:
            raise RemoteProtocolError(f"no message came with it within {HANDED_S:g} s") from None
        finally:
            leg.close()
        self._give(proxy.backend, proxy.host, message)

    def _served(self, result: Failure | None, opening: Deferred[None]) -> None:
        self._waiting.discard(opening)
        if result is None:
            return
        if not result.check(RelaykitError, CancelledError):
            self.log.failure("a defect while a work connection was opened", result)
            return
        if not self._closed:
            level = self.log.warn if result.check(RemoteProtocolError) else self.log.debug
            level(
                "[{run}] a work connection ended: {reason}",
                run=self._session.run_id,
                reason=result.getErrorMessage(),
                stranger=host_of(self._session.peer),
                ended=Ended.RESET.value,
                problem="work-connections",
            )
        result.cleanFailure()

    def _defect(self, failure: Failure, leg: IStreamLeg, name: str) -> None:
        self.log.failure("[{proxy}] a defect while a user was served", failure, proxy=name)
        leg.abort()

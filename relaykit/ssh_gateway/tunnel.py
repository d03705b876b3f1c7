"""The client that the server sees: it publishes one proxy, whose users are served over SSH channels."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit import __version__
from relaykit.authentication import TokenProver
from relaykit.dataplane.copying import CopyForwarder
from relaykit.driver import LegDriver
from relaykit.errors import (
    ConnectionFailed,
    LocalProtocolError,
    RelaykitError,
    RemoteProtocolError,
    ended_by,
)
from relaykit.sansio.control import events
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.client_opening import Refusal, open_work, work_answer
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.extensions import GOODBYE, HALF_CLOSE
from relaykit.sansio.wire.framing import V2
from relaykit.sansio.wire.messages import ClientSpec, Login
from relaykit.values import Ended, Traffic, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import IFlow, IInsidePath, IStreamLeg
    from relaykit.ssh_gateway.asking import TunnelRequest
    from relaykit.values import Origin

__all__ = ["OPEN_CHANNEL_S", "Tunnel", "TunnelUsers"]

OPEN_CHANNEL_S = 10.0
"""Seconds for the SSH client to connect to its local service."""

CLIENT_TYPE = "ssh-tunnel"
"""What such a client calls itself; frp's word."""

AHEAD = 1
"""Work connections that are kept ahead; frp's figure.  They are pipes, and cost no channel."""

_EXTENSIONS = frozenset({GOODBYE, HALF_CLOSE})
"""What such a client can do: ssh itself knows nothing of the others."""


@define
class TunnelUsers:
    """The users of a tunnel: how many there are and were, and the bytes that those moved who are gone."""

    present: int = 0
    total: int = 0
    to_users: int = 0
    from_users: int = 0


@frozen
class _Told:
    """Who is told what becomes of the tunnel; each at most once."""

    registered: Callable[[str], object]
    refused: Callable[[str], object]
    login_refused: Callable[[str], object]
    ended: Callable[[], object]


class Tunnel:
    """One session with the server.

    :param open_leg: opens a leg to the local service, for a user.
    :param on_registered: is called with the address that users dial.
    :param on_refused: is called with why there is no proxy.
    :param on_login_refused: is called with why there is no session.
    :param on_ended: is called when it is over, for another reason.
    """

    log = Logger()

    def __init__(
        self,
        request: TunnelRequest,
        path: IInsidePath,
        clock: IReactorTime,
        unix_time: Callable[[], float],
        open_leg: Callable[[Origin], Deferred[IStreamLeg]],
        *,
        on_registered: Callable[[str], object],
        on_refused: Callable[[str], object],
        on_login_refused: Callable[[str], object],
        on_ended: Callable[[], object],
    ) -> None:
        self.users = TunnelUsers()
        self._request = request
        self._path = path
        self._clock = clock
        self._open_leg = open_leg
        self._told = _Told(on_registered, on_refused, on_login_refused, on_ended)
        self._prover = TokenProver(request.token, unix_time, Scope)
        self._forwarder = CopyForwarder(clock.seconds)
        self._flows: set[IFlow] = set()
        self._waiting: set[Deferred[None]] = set()
        self._idle: set[IStreamLeg] = set()
        self._run_id = ""
        self._is_over = False
        self._core = ClientControl(
            Login(
                version=__version__,
                hostname=socket.gethostname(),
                os=platform.system().lower(),
                arch=platform.machine(),
                user=request.user,
                client_id=request.client_id,
                metas=dict(request.metadatas),
                client_spec=ClientSpec(type=CLIENT_TYPE),
                pool_count=AHEAD,
            ),
            V2,
            path.settings,
            clock.seconds(),
            extensions=_EXTENSIONS,
        )
        self._driver: LegDriver[events.SessionEvent] = LegDriver(
            self._core, path.open_leg(), clock, self._on_event, reads_on=True
        )

    def start(self) -> None:
        """Logs in."""
        self._driver.when_lost().addCallback(lambda _: self._end())
        self._driver.start()

    def close(self) -> None:
        """Ends the session: its name and its port are free at once."""
        self._is_over = True
        self._core.close(Ended.STOPPED)
        self._driver.close(Ended.STOPPED)
        for leg in tuple(self._idle):
            leg.close()
        for waiting in tuple(self._waiting):
            waiting.cancel()
        for flow in tuple(self._flows):
            flow.end(Ended.SESSION_ENDED)

    def moved(self) -> tuple[int, int]:
        """Bytes to users and from them, those of present users included."""
        moved = [flow.moved() for flow in self._flows]
        from_users = self.users.from_users + sum(near_to_far for near_to_far, _ in moved)
        to_users = self.users.to_users + sum(far_to_near for _, far_to_near in moved)
        return to_users, from_users

    # --- the session ------------------------------------------------------------------------------

    def _on_event(self, event: events.SessionEvent) -> None:
        if isinstance(event, events.ProofNeeded):
            self._core.proof_made(event, self._prover.prove(event.scope, event.bound))
        elif isinstance(event, events.LoggedIn):
            self._run_id = event.run_id
            self._register()
        elif isinstance(event, events.LoginRefused):
            self._is_over = True
            self._told.login_refused(event.text)
        elif isinstance(event, events.ProxyRegistered):
            self._told.registered(event.address)
        elif isinstance(event, events.ProxyRefused):
            self._told.refused(event.text)
        elif isinstance(event, events.WorkRequested):
            self._work_requested()
        elif isinstance(event, events.SessionEnded):
            self._driver.close(event.why)

    def _register(self) -> None:
        request = self._request
        try:
            self._core.register(request.full_name, request.type, request.fields)
        except LocalProtocolError as error:
            self._told.refused(str(error))

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._told.ended()

    # --- users ------------------------------------------------------------------------------------

    def _work_requested(self) -> None:
        if self._is_over:
            return
        serving = Deferred.fromCoroutine(self._serve())
        self._waiting.add(serving)
        serving.addBoth(self._served, serving)

    async def _serve(self) -> None:
        """Opens a work connection, and serves the user whom it is assigned to."""
        work = self._path.open_leg()
        self._idle.add(work)
        try:
            proof = self._prover.prove(Scope.WORK_CONNECTIONS, False)
            work.write(open_work(V2, self._run_id, proof))
            answer = await work.take(work_answer(V2))
        except Exception:
            work.close()
            raise
        finally:
            self._idle.discard(work)
        if isinstance(answer, Refusal):
            work.close()
            return
        try:
            local = await self._open_leg(answer.origin).addTimeout(OPEN_CHANNEL_S, self._clock)
        except (ConnectionFailed, DeadlinePassed) as error:
            work.close()
            self._unserved(error, answer.origin)
            return
        except Exception:
            work.close()
            raise
        flow = self._forwarder.forward(work, local, half_close=True)
        self._flows.add(flow)
        self.users.present += 1
        self.users.total += 1
        flow.when_ended().addCallback(self._left, flow)

    def _left(self, traffic: Traffic, flow: IFlow) -> None:
        self._flows.discard(flow)
        self.users.present -= 1
        self.users.from_users += traffic.near_to_far
        self.users.to_users += traffic.far_to_near

    def _unserved(self, error: Exception, origin: Origin) -> None:
        why = f"no channel within {OPEN_CHANNEL_S:g} s" if isinstance(error, DeadlinePassed) else str(error)
        self.log.warn(
            "[{run}] [{proxy}] a user from {origin} is not served: {reason}",
            run=self._run_id,
            proxy=self._request.full_name,
            origin=origin,
            reason=why,
            stranger=host_of(origin.source),
            ended=ended_by(error).value,
            problem="local-service",
        )

    def _served(self, result: Failure | None, serving: Deferred[None]) -> None:
        self._waiting.discard(serving)
        if result is None:
            return
        if result.check(CancelledError, RelaykitError):
            level = self.log.warn if result.check(RemoteProtocolError) else self.log.debug
            level("[{run}] a work connection ended: {reason}", run=self._run_id, reason=str(result.value))
        else:
            self.log.failure("a defect while a user was served", result)

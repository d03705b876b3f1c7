"""Sessions: the time that a client is logged in, with its proxies and its work connections."""

from __future__ import annotations

import hmac
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError, problem_of
from relaykit.escaping import shown
from relaykit.policy_requests import ProxyClosed, ProxyRequest
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.events import (
    MessageReceived,
    PeerPinged,
    ProofReceived,
    ProxyWithdrawn,
    RegistrationRequested,
    SessionEnded,
    SignalReceived,
)
from relaykit.sansio.control.extensions import HALF_CLOSE, SIGNAL
from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.sansio.control.pool import MOST_ASKED, WorkPool
from relaykit.sansio.control.server_opening import refuse_work
from relaykit.sansio.control.texts import (
    FAILED,
    NOT_OF_THIS_SESSION,
    POOL_FULL,
    STOPPED,
    UNKNOWN_SESSION,
    PeerTexts,
)
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.sources import source_of
from relaykit.server.events import ProxyRefused
from relaykit.server.liveness import LivenessProbe
from relaykit.server.peers import MessagePeer, VisitorPeer
from relaykit.server.policies import NO_POLICIES, ServerPolicies
from relaykit.server.verification import (
    SessionVerifier,
    Verification,
    refusal_text,
    verify_connection,
)
from relaykit.server.work import WorkConnections
from relaykit.timer import Portion
from relaykit.values import MOST_DATAGRAM_BYTES, ClientIdentity, Ended, Origin, Secret, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.driver import LegDriver
    from relaykit.interfaces import IStreamLeg, IVerifier
    from relaykit.sansio.control.events import SessionEvent
    from relaykit.sansio.control.server_control import ServerControl
    from relaykit.sansio.control.session import SessionSettings
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.framing import Framing
    from relaykit.sansio.wire.messages import Login, Message, NewWorkConn
    from relaykit.server.acceptor import Link
    from relaykit.server.accounting import Accounting
    from relaykit.server.binding import ServerBinding
    from relaykit.server.flows import WorkSeeker
    from relaykit.server.registry import RegisteredProxy, Registry

__all__ = ["Session", "SessionRules", "Sessions"]

T = TypeVar("T")

MAX_UNVERIFIED = MOST_ASKED
"""Work connections of one client that wait for the answer of a slow verifier, or a policy: as many as it is
asked for at once."""

STEP_END_S = 10.0
"""Seconds that a proxy type gets to give up what it opens when the client is gone: as long as to close it."""

MAX_UNTAKEN_MESSAGES = 64
"""Messages of one client that wait for the server half of their proxy type to start; others are dropped.  As
many visitors of a client may ask at once."""

MAX_UNANSWERED_PROXIES = 4096
"""Registrations of one client that wait for their turn, at which nothing more of it is read: they are done
one at a time, in order.  As many as a client may have by default, so that its pings, which come behind them,
are answered meanwhile."""

MAX_UNANSWERED_BYTES = 8 * 1024 * 1024
"""The same for what they hold: each may have 64 KiB, and thousands of ordinary ones have room."""


@frozen(kw_only=True)
class SessionRules:
    """What all sessions of a server have in common."""

    clock: IReactorTime
    entropy: Callable[[int], bytes]
    verifier: IVerifier
    version: str
    texts: PeerTexts
    max_pool_count: int
    user_timeout_s: float
    settings: Callable[[Link], SessionSettings]
    """The settings of a session by the kind of link that its login came on."""
    binding: ServerBinding
    accounting: Accounting
    is_deaf_since: Callable[[float], bool] = lambda time: False
    """Whether connections of clients may have been dropped unheard since a time."""
    certified: bool = False
    """Whether clients have to show a certificate."""
    most_asked: int = MOST_ASKED
    """Work connections that a client without mux is asked for at a time."""
    policies: ServerPolicies = NO_POLICIES


class Session:
    """One logged-in client.

    ``ended(session)`` is called once, after its proxies were withdrawn.
    """

    log = Logger()

    def __init__(
        self,
        core: ServerControl,
        driver: LegDriver[SessionEvent],
        link: Link,
        identity: ClientIdentity,
        registry: Registry,
        rules: SessionRules,
        token: Secret,
        ended: Callable[[Session], None],
    ) -> None:
        self.identity = identity
        self._core = core
        self._link = link
        self._registry = registry
        self._rules = rules
        self._ended = ended
        self._clock = rules.clock
        self._driver = driver
        self.verifier = SessionVerifier(rules.verifier, rules.policies, core.login.metas)
        """What decides about its heartbeats and work connections, and which of them."""
        self._verification = Verification(self.verifier, core, driver)
        self.unverified = 0
        """Work connections of which nobody has decided yet whether they are this client's."""
        self._proxies: dict[str, RegisteredProxy] = {}
        self._steps: deque[tuple[RegistrationRequested | ProxyWithdrawn, int]] = deque()
        """What waits for its turn, with the bytes that it holds."""
        self._steps_bytes = 0
        self._stepping: Deferred[None] | None = None
        """What fires when the steps that the client asked for are taken, while they are."""
        self._registering: Deferred[RegisteredProxy] | None = None
        self._ending = False
        self._finished = False
        self._untaken = 0
        """Messages whose proxy type has no server half that runs yet."""
        self._waiting: list[Deferred[None]] = []
        self._probe = LivenessProbe(self._ask, rules.clock, self._is_deaf_since)
        self._work = WorkConnections(
            WorkPool(
                min(core.login.pool_count, rules.max_pool_count),
                self.now,
                rules.user_timeout_s,
                MOST_ASKED if link.muxed else rules.most_asked,
            ),
            self._request_work,
            rules.clock,
            token,
            rules.entropy,
            rules.texts,
            link.round_trip,
        )

    @property
    def now(self) -> float:
        """The session's time, in seconds."""
        return self._clock.seconds()

    @property
    def half_close(self) -> bool:
        """Whether this client passes half-close through."""
        return HALF_CLOSE in self._core.extensions

    @property
    def takes_signals(self) -> bool:
        """Whether this client takes signals."""
        return SIGNAL in self._core.extensions

    @property
    def metas(self) -> Mapping[str, str]:
        """The ``metadatas`` of this client's file, as its login was allowed."""
        return self._core.login.metas

    @property
    def policies(self) -> ServerPolicies:
        """What decides about its proxies and their users."""
        return self._rules.policies

    @property
    def extensions(self) -> frozenset[str]:
        """What was agreed on with this client."""
        return self._core.extensions

    @property
    def carrier(self) -> str:
        """The name of what it came by."""
        return self._link.carrier

    @property
    def idle_work(self) -> int:
        """How many work connections wait for a user."""
        return self._work.idle

    @property
    def waiting_steps(self) -> int:
        """How many registrations and withdrawals wait for their turn."""
        return len(self._steps)

    @property
    def round_trip_s(self) -> float | None:
        """To the client and back, as measured last, in seconds; None where that is not measured."""
        return self._link.measured()

    def lane_codec(self, most_bytes: int = MOST_DATAGRAM_BYTES) -> LaneCodec:
        """The format of a new lane of this client."""
        return agreed_codec(self._core.framing, self._core.extensions, most_bytes)

    def start(self) -> None:
        """Serves the client, whose login was accepted."""
        self._driver.tell(self._happened)
        self._driver.step()
        self._driver.when_lost().addCallback(self._connection_lost)
        self._work.start(self._core.extensions)

    def end(self, why: Ended, text: str = "") -> Deferred[None]:
        """Ends the session; fires when its names and ports are free."""
        if not self._ending:
            self._ending = True
            self._probe.lost()
            self._verification.cancel()
            self._core.close(why, text)
            self._driver.step()
            self._driver.close(why)
            self._work.close()
            Deferred.fromCoroutine(self._give_all_back()).addErrback(
                lambda failure: self.log.failure("withdrawing proxies failed", failure)
            ).addCallback(self._finish, why, text)
        if self._finished:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    async def release_if_dead(self) -> bool:
        """Probes whether the client is alive, and ends the session if it is dead.

        Answers whether it has ended; its names and ports are free then.
        """
        if not self._ending and await self._probe.probe():
            return False
        await self.end(Ended.TIMEOUT, "no sign of life, and another client asks for what it holds")
        return True

    def is_alive(self) -> Deferred[bool]:
        """Whether the client gives a sign of life within some seconds; one that does not is left as it is."""
        return self._probe.probe()

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to this client."""
        self._core.signal(proxy_name, visitor_name, body)
        self._driver.step()

    def send_message(self, message: Message) -> None:
        """Sends a message of a proxy type to this client."""
        self._core.send(message)
        self._driver.step()

    # --- work connections -------------------------------------------------------------------------

    def want_work(self, seeker: WorkSeeker) -> None:
        """Somebody needs a work connection."""
        self._work.want(seeker)

    def cancel_work(self, seeker: WorkSeeker) -> None:
        """It needs none any more."""
        self._work.cancel(seeker)

    def work_opened(self, leg: IStreamLeg, framing: Framing) -> None:
        """The client opened a work connection."""
        self._probe.heard()
        self._work.opened(leg, framing)

    def owns(self, link: Link, purpose: Purpose, proof: bytes) -> bool:
        """Whether a connection may belong to this session, for all that is known of its client.

        A session on a mux link takes streams of that link.  Without mux, a bound session takes connections
        that prove to be made by the same client, and any other one takes connections that name it.
        """
        if self._link.muxed or link.muxed:
            return link is self._link
        bound = self._core.bound
        if bound is None:
            return True
        if not link.exporter:
            return False
        expected = bound.connection_proof(purpose, link.exporter, self.identity.run_id)
        return hmac.compare_digest(expected, proof)

    @property
    def is_bound(self) -> bool:
        """Whether the login was bound to its TLS session."""
        return self._core.bound is not None

    @property
    def proof(self) -> PeerProof:
        """How the client has proved itself in its TLS session."""
        if self.is_bound:
            return PeerProof.TOKEN
        if self._link.is_inside:
            return PeerProof.INSIDE
        return PeerProof.CERTIFICATE if self._rules.certified else PeerProof.NONE

    @property
    def is_named_only(self) -> bool:
        """Whether each work connection that names this client is its own: nothing else tells them apart."""
        proves_more = Scope.WORK_CONNECTIONS in self._rules.verifier.scopes
        return not (self._link.muxed or self.is_bound or proves_more)

    def _ask(self) -> None:
        """Does what a live client answers, whichever kind it is.

        A mux link is pinged.  Without mux the server of frp's protocol has no ping; but whoever is asked
        for a work connection opens one.
        """
        if self._link.ping is not None:
            self._link.ping().addCallback(lambda _: self._probe.heard())
        else:
            self._request_work(1)

    def _is_deaf_since(self, time: float) -> bool:
        """Whether what a live client answers may not have come through: without mux it is a connection."""
        return self._link.ping is None and self._rules.is_deaf_since(time)

    def _request_work(self, count: int) -> None:
        self._core.request_work(count)
        self._driver.step()

    # --- what the client does ---------------------------------------------------------------------

    def _happened(self, event: SessionEvent) -> None:
        if not isinstance(event, SessionEnded):
            self._probe.heard()
        if isinstance(event, RegistrationRequested | ProxyWithdrawn):
            self._queue_step(event)
        elif isinstance(event, SignalReceived):
            self._signaled(event)
        elif isinstance(event, MessageReceived):
            self._message_received(event.message)
        elif isinstance(event, ProofReceived):
            self._verification.ask(event, self.identity)
        elif isinstance(event, SessionEnded):
            self.end(event.why, event.text)
        else:
            assert isinstance(event, PeerPinged), event

    def _queue_step(self, event: RegistrationRequested | ProxyWithdrawn) -> None:
        size = _size_of(event)
        self._steps.append((event, size))
        self._steps_bytes += size
        self._hold_if_many()
        if self._stepping is None:
            stepping: Deferred[None] = Deferred()
            self._stepping = stepping
            Deferred.fromCoroutine(self._take_steps()).addErrback(
                lambda failure: self.log.failure("a defect while proxies were registered", failure)
            ).chainDeferred(stepping)

    async def _take_steps(self) -> None:
        """Registers and withdraws one proxy after the other, as the client asked."""
        try:
            while self._steps and not self._ending:
                step, size = self._steps.popleft()
                self._steps_bytes -= size
                self._hold_if_many()
                if isinstance(step, RegistrationRequested):
                    await self._register(step)
                else:
                    await self._withdraw(step.name)
                self._driver.step()
        finally:
            self._stepping = None

    def _hold_if_many(self) -> None:
        """Reads nothing more of the client while as much waits as may."""
        many = len(self._steps) >= MAX_UNANSWERED_PROXIES or self._steps_bytes >= MAX_UNANSWERED_BYTES
        self._driver.hold(many)

    async def _register(self, offered: RegistrationRequested) -> None:
        name = offered.name
        self._registering = Deferred.fromCoroutine(self._allow_and_register(offered))
        try:
            proxy = await self._registering
        except CancelledError:
            # The session has ended, and nobody waits for an answer.
            return
        except RefusedError as refusal:
            refused = ProxyRefused(
                client=self.identity,
                name=name,
                type=offered.type,
                reason=refusal.text,
                code=refusal.code.value,
            )
            self._rules.accounting.observers.tell(refused)
            self._core.refuse_proxy(name, refusal.text)
            return
        except Exception:
            self.log.failure(
                "[{run}] [{proxy}] a defect while it was exposed", run=self.identity.run_id, proxy=name
            )
            self._core.refuse_proxy(name, FAILED)
            return
        if self._ending:
            await self._close(proxy, Ended.SESSION_ENDED)
            return
        self._proxies[name] = proxy
        self._core.registered(name, proxy.exposure.address if proxy.exposure is not None else "")

    async def _allow_and_register(self, offered: RegistrationRequested) -> RegisteredProxy:
        request = ProxyRequest(
            client=self.identity,
            metas=self.metas,
            name=offered.name,
            type=offered.type,
            fields=offered.fields,
        )
        allowed = await self.policies.ask(request)
        try:
            return await self._registry.register(self, offered.name, offered.type, allowed.fields)
        except Exception:
            self.policies.tell(request.closed(was_open=False))
            raise

    async def _withdraw(self, name: str) -> None:
        proxy = self._proxies.pop(name, None)
        if proxy is not None:
            await self._close(proxy, Ended.WITHDRAWN)
            proxy.end_flows(Ended.WITHDRAWN, waiting_only=True)

    def _signaled(self, event: SignalReceived) -> None:
        sender = VisitorPeer(self, event.proxy_name, event.visitor_name)
        proxy = self._proxies.get(event.proxy_name)
        peer = sender if event.visitor_name or proxy is None else proxy
        Deferred.fromCoroutine(self._registry.signal(event.proxy_name, peer, event.body)).addErrback(
            self._signal_failed, event.proxy_name
        )

    def _signal_failed(self, failure: Failure, name: str) -> None:
        run_id = self.identity.run_id
        if failure.check(RemoteProtocolError):
            self.log.warn(
                "[{run}] [{proxy}] a signal makes no sense: {reason}",
                run=run_id,
                proxy=name,
                reason=failure.getErrorMessage(),
                problem="broke-the-rules",
            )
        else:
            self.log.failure(
                "[{run}] [{proxy}] a defect while a signal was taken", failure, run=run_id, proxy=name
            )

    def _message_received(self, message: Message) -> None:
        if self._untaken >= MAX_UNTAKEN_MESSAGES:
            return
        self._untaken += 1
        taken = Deferred.fromCoroutine(self._registry.messages.take(MessagePeer(self), message))
        taken.addBoth(self._message_taken)

    def _message_taken(self, _: object) -> None:
        self._untaken -= 1

    # --- the end ----------------------------------------------------------------------------------

    def _connection_lost(self, reason: Ended) -> None:
        self.end(reason)

    async def _give_all_back(self) -> None:
        """Gives up what is being registered, and withdraws what is."""
        if self._stepping is not None:
            # Not at once: what is being registered may be what ends the session.
            giving_up = self._clock.callLater(0, self._give_up)
            with suppress(DeadlinePassed):
                await self._stepping.addTimeout(STEP_END_S, self._clock)
            if giving_up.active():
                giving_up.cancel()
        proxies, self._proxies = self._proxies, {}
        portion = Portion(self._clock)
        for proxy in proxies.values():
            if portion.is_over:
                await portion.next()
            await self._close(proxy, Ended.SESSION_ENDED)

    def _give_up(self) -> None:
        if self._registering is not None:
            self._registering.cancel()

    async def _close(self, proxy: RegisteredProxy, why: Ended) -> None:
        """Withdraws a proxy; a defect of its type costs none of the others."""
        try:
            await self._registry.withdraw(proxy, why)
        except Exception:
            self.log.failure("[{proxy}] a defect while it was withdrawn", proxy=proxy.name)
        closed = ProxyClosed(
            client=self.identity, metas=self.metas, name=proxy.name, type=proxy.type, was_open=True
        )
        self.policies.tell(closed)

    def _finish(self, _: None, why: Ended, text: str) -> None:
        self._rules.accounting.client_disconnected(self.identity, why, text)
        self._finished = True
        self._ended(self)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


def _size_of(step: RegistrationRequested | ProxyWithdrawn) -> int:
    """About how many bytes it holds."""
    return len(step.name) + (len(repr(step.fields)) if isinstance(step, RegistrationRequested) else 0)


class Sessions:
    """All sessions of a server, by run id."""

    log = Logger()

    def __init__(self, rules: SessionRules) -> None:
        self.rules = rules
        """Those of the next session; each that there is keeps its own."""
        self._sessions: dict[str, Session] = {}
        self._by_key: dict[bytes, Session] = {}
        self._by_client_id: dict[tuple[str, str], Session] = {}
        self._sources: Counter[str] = Counter()
        self.draining = False
        """Whether nobody is let in any more."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def get(self, run_id: str) -> Session | None:
        """The session of this run id, if it is logged in."""
        return self._sessions.get(run_id)

    def drain(self) -> None:
        """Lets nobody in any more; who is in stays."""
        self.draining = True

    def end_all(self) -> Deferred[None]:
        """Ends every session and lets nobody in any more; fires when all have ended."""
        self.drain()

        async def ended() -> None:
            for session in list(self._sessions.values()):
                await session.end(Ended.STOPPED)

        return Deferred.fromCoroutine(ended())

    def release_if_dead(self, run_id: str) -> Deferred[bool]:
        """Ends the session of this run id if its client is dead; whether it ended."""
        session = self._sessions.get(run_id)
        return succeed(True) if session is None else Deferred.fromCoroutine(session.release_if_dead())

    def work_opened(self, message: NewWorkConn, framing: Framing, leg: IStreamLeg, link: Link) -> None:
        """A client opened a work connection."""
        session = self._sessions.get(message.run_id)
        if session is None:
            text = STOPPED if self.draining else UNKNOWN_SESSION.format(run_id=shown(message.run_id))
            self._refuse_work(text, framing, leg)
            return
        try:
            if not session.owns(link, Purpose.WORK, message.binding):
                text = NOT_OF_THIS_SESSION.format(run_id=shown(message.run_id))
                raise RefusedError(RefusalCode.BAD_CREDENTIALS, text)
            if self._answer_later(session, message, framing, leg, link):
                return
        except RefusedError as refusal:
            self._refuse_work(refusal.text, framing, leg)
            return
        link.admit()
        session.work_opened(leg, framing)

    def _answer_later(
        self, session: Session, message: NewWorkConn, framing: Framing, leg: IStreamLeg, link: Link
    ) -> bool:
        """Has what came with a work connection verified, where that is proven; False: it is well.

        :raises RefusedError: it does not hold, or too many wait for an answer.
        """
        verifier = session.verifier
        if Scope.WORK_CONNECTIONS not in verifier.scopes:
            return False
        if session.unverified >= MAX_UNVERIFIED:
            raise RefusedError(RefusalCode.TOO_MANY, POOL_FULL)
        proof = Proof.of(message, bound=session.is_bound)
        answer = verifier.verify(Scope.WORK_CONNECTIONS, proof, session.identity)
        if answer is None:
            return False

        def refused(failure: Failure) -> None:
            if failure.check(CancelledError):
                # It is gone; or the verifier has given up by itself.
                leg.abort()
            else:
                self._refuse_work(refusal_text(failure), framing, leg)

        def answered(result: T) -> T:
            session.unverified -= 1
            return result

        def accepted(_: T) -> None:
            link.admit()
            session.work_opened(leg, framing)

        session.unverified += 1
        verified = verify_connection(leg, answer, self.rules.clock).addBoth(answered)
        verified.addCallback(accepted).addErrback(refused)
        return True

    def add(self, session: Session) -> None:
        """A client was let in: nobody else has its run id, its identity or its client id."""
        identity = session.identity
        self._sessions[identity.run_id] = session
        if identity.key:
            self._by_key[identity.key] = session
        if identity.client_id:
            self._by_client_id[identity.user, identity.client_id] = session
        self._sources[source_of(Origin(identity.address))[-1]] += 1

    def is_known(self, source: str) -> bool:
        """Whether a client is logged in from there."""
        return source in self._sources

    def holder(self, login: Login, run_id: str, key: bytes) -> Session | None:
        """A session that has the run id, the identity or the client id of a client that logs in."""
        return (
            self._sessions.get(run_id)
            or self._by_key.get(key)
            or self._by_client_id.get((login.user, login.client_id))
        )

    def of_identity(self, key: bytes) -> Session | None:
        """The session whose client proved to have this key; none has an empty one."""
        return self._by_key.get(key)

    def _refuse_work(self, text: str, framing: Framing, leg: IStreamLeg) -> None:
        self.log.warn(
            "a work connection from {peer} is refused: {reason}",
            peer=leg.peer,
            reason=text,
            stranger=host_of(leg.peer),
            ended=Ended.REFUSED.value,
            problem=problem_of(text, "work-connections"),
        )
        leg.write(refuse_work(framing, self.rules.texts.work(text)))
        leg.close()

    def forget(self, session: Session) -> None:
        """A session has ended."""
        identity = session.identity
        if self._sessions.get(identity.run_id) is not session:
            return
        del self._sessions[identity.run_id]
        self._by_key.pop(identity.key, None)
        self._by_client_id.pop((identity.user, identity.client_id), None)
        source = source_of(Origin(identity.address))[-1]
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]

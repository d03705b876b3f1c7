"""Logins: who is let in, and whom that preempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.authentication import NothingToProve
from relaykit.driver import LegDriver
from relaykit.errors import LoginRefusedError, RefusalCode, RefusedByPolicy
from relaykit.escaping import shown
from relaykit.policy_requests import LoginRequest
from relaykit.sansio.control.events import LoginReceived, ProofReceived, SessionEnded
from relaykit.sansio.control.extensions import BOUND
from relaykit.sansio.control.identity import identity_name
from relaykit.sansio.control.login_proofs import ServerProofs
from relaykit.sansio.control.server_control import ServerControl
from relaykit.sansio.control.session import ControlState
from relaykit.sansio.control.texts import (
    ALREADY_ONLINE,
    HELD_TOO_LONG,
    IDENTITY_IN_USE,
    REPLACED_DURING_LOGIN,
    RUN_ID_IN_USE,
    STOPPED,
    TOO_MANY_LOGINS,
)
from relaykit.sansio.fair_room import FairRoom
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of
from relaykit.server.admission import LOGINS_AT_ONCE, LOGINS_PER_S, MAX_SOURCES
from relaykit.server.events import ClientConnected, LoginRefused
from relaykit.server.sessions import Session
from relaykit.server.verification import SessionVerifier, Verification
from relaykit.values import ClientIdentity, Ended, host_of

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.control.events import SessionEvent
    from relaykit.sansio.control.server_opening import FirstMessage
    from relaykit.server.acceptor import Link
    from relaykit.server.registry import Registry
    from relaykit.server.sessions import SessionRules, Sessions
    from relaykit.values import Origin

__all__ = ["Logins"]

PREEMPTION_S = 8.0
"""Seconds for those who hold what a client asks for to show that they are alive, or to let go of it: the
client waits ten for its answer."""

MOST_UNVERIFIED = 256
"""Logins that wait for the answer of a slow verifier, of all together; for one more, whoever has most of them
is refused the one that has waited for longest."""

MOST_UNVERIFIED_OF_SOURCE = 32
"""The same, of one source or wider network."""

RUN_ID_BYTES = 8
"""Bytes of chance in a run id; frp's figure."""


class Logins:
    """Lets clients in.

    What a client asks for may belong to another session: the run id, the identity, the client id.  Who
    proves the same identity takes it over at once.  Anybody else gets it only where the one that has it
    is dead.
    """

    log = Logger()

    def __init__(self, sessions: Sessions, registry: Registry, rules: SessionRules) -> None:
        self._sessions = sessions
        self._registry = registry
        self.rules = rules
        """What holds for the next one."""
        self._under_way: dict[str, ServerControl] = {}
        self._failures = RateLimit(LOGINS_AT_ONCE, LOGINS_PER_S, MAX_SOURCES)
        self._unverified: FairRoom[_Login] = FairRoom(
            MOST_UNVERIFIED, MOST_UNVERIFIED_OF_SOURCE, MOST_UNVERIFIED_OF_SOURCE
        )

    def asked(self, first: FirstMessage, leg: IStreamLeg, origin: Origin, link: Link) -> None:
        """A client asks to be let in."""
        Deferred.fromCoroutine(self._decide(first, leg, origin, link)).addErrback(self._failed, leg)

    async def _decide(self, first: FirstMessage, leg: IStreamLeg, origin: Origin, link: Link) -> None:
        rules = evolve(self.rules, verifier=NothingToProve()) if link.is_vouched else self.rules
        settings = rules.settings(link)
        core = ServerControl(
            first,
            settings,
            rules.version,
            rules.clock.seconds(),
            texts=rules.texts,
            proofs=await self._proofs(first, link),
            scopes=SessionVerifier(rules.verifier, rules.policies).scopes,
        )
        login = _Login(core, leg, origin, rules)
        try:
            await self._verified(login, origin)
        except LoginRefusedError as refusal:
            self._not_proven(login, origin, refusal.text)
            return
        if core.identity_failed:
            self.log.warn(
                "the signature of the client from {origin} does not hold, so it has no identity here: "
                "somebody ends TLS in between",
                origin=origin,
                stranger=host_of(origin.source),
                problem="bound-login",
            )
        try:
            await self._allowed(core, login, origin)
        except RefusedByPolicy as refusal:
            core.refuse(refusal.text)
            self._refused(login, origin, refusal.text)
            return
        preempting = Deferred.fromCoroutine(self._run_id(core, origin))
        try:
            run_id = await preempting.addTimeout(PREEMPTION_S, rules.clock)
        except DeadlinePassed:
            core.refuse(HELD_TOO_LONG)
            self._refused(login, origin, HELD_TOO_LONG)
            return
        except LoginRefusedError as refusal:
            core.refuse(refusal.text)
            self._refused(login, origin, refusal.text)
            return
        if core.state is ControlState.ENDED:
            # It has gone while others were preempted for it.
            return
        core.understand(self._registry.messages.classes())
        # First of all: should its answer not fit into a message, nothing is left of it.
        core.accept(run_id, rules.clock.seconds())
        session = Session(
            core,
            login.driver,
            link,
            login.identity(run_id),
            self._registry,
            rules,
            settings.token,
            self._sessions.forget,
        )
        self._sessions.add(session)
        link.admit()
        rules.accounting.client_connected(
            ClientConnected(
                client=session.identity,
                origin=origin,
                version=core.login.version,
                hostname=core.login.hostname,
                os=core.login.os,
                arch=core.login.arch,
                wire=core.framing.version,
                proof=session.proof,
                is_named_only=session.is_named_only,
            )
        )
        session.start()

    async def _verified(self, login: _Login, origin: Origin) -> None:
        """Done once what a client proves holds; few may wait for that at a time.

        :raises LoginRefusedError: it does not hold, or others had to have room.
        """
        verified = login.verified()
        if not verified.called:
            crowded_out = self._unverified.enter(login, source_of(origin))
            if crowded_out is not None:
                crowded_out.refuse(TOO_MANY_LOGINS)
        try:
            await verified
        finally:
            self._unverified.leave(login)

    async def _allowed(self, core: ServerControl, login: _Login, origin: Origin) -> None:
        """Has the policies decide about a client that has proven what it must.

        :raises RefusedByPolicy: it is not let in.
        """
        asked = core.login
        request = LoginRequest(
            client=login.identity(asked.run_id),
            origin=origin,
            user=asked.user,
            metas=asked.metas,
            pool_count=asked.pool_count,
            version=asked.version,
            hostname=asked.hostname,
            os=asked.os,
            arch=asked.arch,
        )
        allowed = await self.rules.policies.ask(request)
        if allowed is not request:
            core.login = msgspec.structs.replace(
                asked, user=allowed.user, metas=dict(allowed.metas), pool_count=allowed.pool_count
            )

    async def _proofs(self, first: FirstMessage, link: Link) -> ServerProofs:
        """What this server has for the proofs that were agreed on."""
        binding = self.rules.binding
        bound = first.hello is not None and BOUND in first.hello.extensions
        token_key = await binding.key() if bound else b""
        required = binding.required and not link.is_inside
        return ServerProofs(exporter=link.exporter, token_key=token_key, required=required)

    async def _run_id(self, core: ServerControl, origin: Origin) -> str:
        """The run id of a session that can begin now.

        :raises LoginRefusedError: somebody who is alive has what the client asks for.
        """
        own = self._sessions.of_identity(core.identity)
        run_id = core.login.run_id or (own.identity.run_id if own else self._new_run_id())
        while True:
            try:
                await self._preempt(core, run_id, origin)
            except LoginRefusedError as refusal:
                if refusal.code is not RefusalCode.RUN_ID_IN_USE or not core.identity:
                    raise
                # Who has an identity needs no run id to be known again.
                run_id = self._new_run_id()
            else:
                return run_id

    async def _preempt(self, core: ServerControl, run_id: str, origin: Origin) -> None:
        """Ends the sessions that hold what a client asks for, as far as it may have that.

        :raises LoginRefusedError: it may not.
        """
        self._under_way[run_id] = core
        try:
            while (holder := self._sessions.holder(core.login, run_id, core.identity)) is not None:
                if _is_same(core, holder) and not core.stands_by:
                    await holder.end(Ended.REPLACED, f"the same identity logged in again, from {origin}")
                elif not await holder.release_if_dead():
                    raise self._in_use(core, holder, run_id, origin)
                if self._under_way.get(run_id) is not core:
                    raise LoginRefusedError(RefusalCode.IDENTITY_IN_USE, REPLACED_DURING_LOGIN)
            if self._sessions.draining:
                raise LoginRefusedError(RefusalCode.NOT_AVAILABLE, STOPPED)
        finally:
            if self._under_way.get(run_id) is core:
                del self._under_way[run_id]

    def _in_use(self, core: ServerControl, holder: Session, run_id: str, origin: Origin) -> LoginRefusedError:
        """Why a client may not have what a live one holds."""
        if _is_same(core, holder):
            self.log.warn(
                "[{run}] two clients have the same identity, {identity}: one from {holder} is online, "
                "one from {origin} waits; was a state directory copied?",
                run=holder.identity.run_id,
                identity=identity_name(core.identity),
                holder=holder.identity.address,
                origin=origin,
                stranger=host_of(origin.source),
                problem="same-identity",
            )
            text = IDENTITY_IN_USE.format(origin=holder.identity.address)
            return LoginRefusedError(RefusalCode.IDENTITY_IN_USE, text)
        if holder.identity.run_id == run_id:
            return LoginRefusedError(RefusalCode.RUN_ID_IN_USE, RUN_ID_IN_USE.format(run_id=shown(run_id)))
        login = core.login
        text = ALREADY_ONLINE.format(client_id=shown(login.client_id), user=shown(login.user))
        return LoginRefusedError(RefusalCode.IDENTITY_IN_USE, text)

    def _new_run_id(self) -> str:
        return self.rules.entropy(RUN_ID_BYTES).hex()

    def _not_proven(self, login: _Login, origin: Origin, text: str) -> None:
        """Refuses a login that proves nothing; of a source that had too many it is reset."""
        if self._failures.admits(source_of(origin), self.rules.clock.seconds()):
            self._refused(login, origin, text)
            return
        self.rules.accounting.observers.tell(LoginRefused(origin=origin, reason=TOO_MANY_LOGINS))
        login.driver.abort(Ended.REFUSED)

    def _refused(self, login: _Login, origin: Origin, text: str) -> None:
        self.rules.accounting.observers.tell(LoginRefused(origin=origin, reason=text))
        login.driver.step()
        login.driver.close(Ended.REFUSED)

    def _failed(self, failure: Any, leg: IStreamLeg) -> None:
        self.log.failure("a defect during a login", failure)
        leg.abort()


class _Login:
    """A login from its first message until it is decided; then its driver is the session's."""

    __slots__ = ("_core", "_origin", "_verification", "_verified", "driver")

    def __init__(self, core: ServerControl, leg: IStreamLeg, origin: Origin, rules: SessionRules) -> None:
        self.driver: LegDriver[SessionEvent] = LegDriver(core, leg, rules.clock, self._on_event)
        self._core = core
        self._origin = origin
        self._verification = Verification(rules.verifier, core, self.driver)
        self._verified: Deferred[None] | None = Deferred()

    def verified(self) -> Deferred[None]:
        """Starts, and fires once what the client proves holds.  Fails with LoginRefusedError."""
        verified = self._verified
        assert verified is not None, "started twice"
        self.driver.when_lost().addCallback(self._connection_lost)
        self.driver.start()
        return verified

    def refuse(self, text: str) -> None:
        """Waits for no answer of the verifier any more."""
        self._core.refuse(text)
        self.driver.step()

    def identity(self, run_id: str) -> ClientIdentity:
        """Who logs in, with this run id."""
        login = self._core.login
        return ClientIdentity(run_id, login.user, login.client_id, self._origin.source, self._core.identity)

    def _on_event(self, event: SessionEvent) -> None:
        if isinstance(event, ProofReceived):
            self._verification.ask(event, self.identity(self._core.login.run_id))
        elif isinstance(event, LoginReceived):
            verified, self._verified = self._verified, None
            if verified is not None:
                verified.callback(None)
        elif isinstance(event, SessionEnded):
            self._over(event.text)

    def _connection_lost(self, why: Ended) -> None:
        self._core.close(why)
        self._over(f"the connection ended during the login: {why.value}")

    def _over(self, text: str) -> None:
        self._verification.cancel()
        verified, self._verified = self._verified, None
        if verified is not None:
            verified.errback(LoginRefusedError(RefusalCode.BAD_CREDENTIALS, text))


def _is_same(core: ServerControl, holder: Session) -> bool:
    """Whether a client that logs in proved the identity of one that is logged in."""
    return bool(core.identity) and core.identity == holder.identity.key

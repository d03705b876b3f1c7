"""The proxy type ``knock``: a port on the server that opens to whoever knocks.

A visitor proves with a signal that it knows the proxy's secret.  For a while the server then opens the
port to the address that the visitor's client has: from there it is like a port of type ``tcp``, while
connections from anywhere else are reset.  The visitor's own port leads to the proxy, too, and whoever
uses it has the visitor knock first.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from attrs import define, field, frozen
from relaykit.errors import RefusalCode, RelaykitError, RemoteProtocolError, SessionLost, VisitRefusedError
from relaykit.interfaces import (
    IBackend,
    IIngress,
    ILegAcceptor,
    IOneLineProxyType,
    ISignalReceiver,
    IVisitable,
    IVisitableProxyType,
    IVisitor,
)
from relaykit.options import OneLine, Options, Port, Problem, doc, extension, file_key, wire
from relaykit.proxies.stcp import StcpVisitor
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.values import Secret
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaykit.interfaces import (
        IClientHost,
        IListeningPort,
        IRegisteredProxy,
        IServerHost,
        ISignalPeer,
        IStreamLeg,
        IVisit,
        IVisitorHost,
    )
    from relaykit.values import ClientIdentity, Origin
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

__all__ = ["KnockBackend", "KnockIngress", "KnockOptions", "KnockVisitor", "proxy_type"]

MOST_ADDRESSES = 1024
"""Addresses that one proxy is open to at once: each costs a timer on the server."""

MOST_WAITING = 256
"""Users of one visitor that wait for an answer at once: each costs a socket on the client."""

ANSWER_S = 10.0
"""Seconds that the server has to answer a knock; nobody answers where there is no such proxy."""

RETRY_S = 5.0
"""Seconds until a visitor that keeps the port open knocks again after it was not let in."""

SHORTEST_PAUSE_S = 0.5
"""The least time between two such knocks, whatever the server says: half of the shortest opening."""


# --- options -----------------------------------------------------------------------------------


class KnockOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``knock`` proxy."""

    remote_port: Annotated[Port, wire("remote_port"), doc("Port on the server; 0 picks one.")] = 0
    secret_key: Annotated[Secret, wire("sk"), doc("What a visitor must know.")] = Secret("")
    open_seconds: Annotated[
        int,
        msgspec.Meta(ge=1, le=86_400),
        extension("open_seconds"),
        doc("Seconds that a knock opens the port for."),
    ] = 60
    greeting: Annotated[str, doc("A line that each user gets first; empty for none.")] = ""

    def problems(self) -> Iterable[Problem]:
        if not self.greeting.isprintable():
            yield Problem("greeting", "must be one line of printable characters")


class KnockIngressOptions(Options, frozen=True, kw_only=True):
    """What the server's file has for the type, at the top of it."""

    most_seconds: Annotated[
        int,
        msgspec.Meta(ge=1, le=86_400),
        file_key("knockMostSeconds"),
        doc("The longest that a knock opens a port, in seconds."),
    ] = 3600


class KnockVisitorOptions(Options, frozen=True, kw_only=True):
    """The own keys of a visitor of a ``knock`` proxy."""

    secret_key: Annotated[Secret, doc("The secret key of the proxy.")] = Secret("")
    keep_open: Annotated[
        bool, doc("Knock at the start and again and again, so that users can dial the server's port.")
    ] = False


# --- signals -----------------------------------------------------------------------------------


class _Signal(msgspec.Struct, frozen=True, tag_field="signal", tag=str.lower):
    """What the halves tell each other; its key ``signal`` says which one it is."""

    def body(self) -> dict[str, Any]:
        """As it travels: JSON values only."""
        body: dict[str, Any] = msgspec.to_builtins(self)
        return body


class Knock(_Signal, frozen=True):
    """From a visitor to the server: open to my address.  Answered by one of the next two."""

    proof: str


class Opened(_Signal, frozen=True):
    """From the server to the visitor: the port is open to you for so many seconds."""

    seconds: int


class Denied(_Signal, frozen=True):
    """From the server to the visitor: the port stays closed to you."""

    reason: str


class Admitted(_Signal, frozen=True):
    """From the server to the backend: somebody knocked, and the port opened to them."""

    host: str
    user: str
    seconds: int


def _understood(body: Mapping[str, Any], kind: Any) -> Any:
    """The signal that a body is, if it is one of this kind."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"not a signal that is expected here: {error}") from error


def _proof(secret: Secret, client: ClientIdentity) -> Secret:
    """What only who knows the secret can say, and what nobody but this client can say again."""
    return Secret(hmac.digest(secret.to_bytes(), b"knock " + client.run_id.encode(), "sha256").hex())


# --- the server half ---------------------------------------------------------------------------


@implementer(IVisitable, ISignalReceiver, ILegAcceptor)
@define(eq=False)
class _Gate:
    """One proxy: its port, and the addresses that it is open to."""

    log = Logger()

    _proxy: IRegisteredProxy
    _clock: IReactorTime
    _seconds: int
    _closing: dict[str, IDelayedCall] = field(factory=dict, init=False)
    _port: IListeningPort | None = field(default=None, init=False)
    address: str = field(default="", init=False)

    def opened(self, port: IListeningPort) -> None:
        self._port = port
        self.address = f":{port.address.port}"

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        if origin.source is not None and origin.source.host in self._closing:
            self._proxy.serve(leg, origin)
        else:
            leg.abort()

    async def visited(self, visit: IVisit) -> None:
        secret = self._proxy.options.secret_key
        if not visit.proves(secret):
            raise VisitRefusedError(RefusalCode.BAD_CREDENTIALS, f"proxy [{self._proxy.name}]: wrong secret")
        if _host(visit.identity) not in self._closing:
            raise VisitRefusedError(RefusalCode.NOT_AVAILABLE, f"proxy [{self._proxy.name}] is closed: knock")
        self._proxy.serve(visit.accept(secret), visit.origin)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        knock = _understood(body, Knock)
        reason = self._why_not(sender, knock)
        if reason:
            self.log.warn(
                "[{proxy}] {run} knocked in vain: {reason}",
                proxy=self._proxy.name,
                run=sender.identity.run_id,
                reason=reason,
            )
            sender.signal(Denied(reason).body())
            return
        self._open(sender)
        sender.signal(Opened(self._seconds).body())

    async def withdraw(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
        closing, self._closing = self._closing, {}
        for call in closing.values():
            call.cancel()

    def _why_not(self, sender: ISignalPeer, knock: Knock) -> str:
        """Why the port stays closed; empty if it opens."""
        if Secret(knock.proof) != _proof(self._proxy.options.secret_key, sender.identity):
            return "wrong secret"
        host = _host(sender.identity)
        if not host:
            return "the client's address is not known"
        if host not in self._closing and len(self._closing) >= MOST_ADDRESSES:
            return "open to too many addresses"
        return ""

    def _open(self, visitor: ISignalPeer) -> None:
        host = _host(visitor.identity)
        if host in self._closing:
            self._closing[host].reset(self._seconds)
            return
        self._closing[host] = self._clock.callLater(self._seconds, self._close, host)
        self.log.info(
            "[{proxy}] open to {host} for {seconds} s",
            proxy=self._proxy.name,
            host=host,
            seconds=self._seconds,
        )
        if self._proxy.takes_signals:
            self._proxy.signal(Admitted(host, visitor.identity.user, self._seconds).body())

    def _close(self, host: str) -> None:
        del self._closing[host]
        self.log.info("[{proxy}] closed to {host}", proxy=self._proxy.name, host=host)


def _host(client: ClientIdentity) -> str:
    """The address that a client dialed the server from, without the port; empty if it is gone."""
    address = client.address
    return "" if address is None else str(address.host)


@implementer(IIngress)
class KnockIngress(Service):
    """Opens a port of the server for each proxy, behind a gate."""

    def __init__(self, options: KnockIngressOptions, host: IServerHost) -> None:
        self._options = options
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> _Gate:
        seconds = min(proxy.options.open_seconds, self._options.most_seconds)
        gate = _Gate(proxy, self._host.reactor, seconds)
        gate.opened(await self._host.ports.listen_stream(proxy.options.remote_port, gate, proxy))
        return gate


# --- the client half ---------------------------------------------------------------------------


@implementer(IBackend, ISignalReceiver)
class KnockBackend(LocalServiceBackend):
    """Greets each user, then forwards to the local service; logs who was let in."""

    log = Logger()

    def __init__(self, options: KnockOptions, host: IClientHost) -> None:
        super().__init__(host)
        self._greeting = f"{options.greeting}\r\n".encode() if options.greeting else b""

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.write(self._greeting)
        await super().work_assigned(leg, origin)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        admitted = _understood(body, Admitted)
        self.log.info(
            "[{run}] [{proxy}] open to {host} for {seconds} s: user [{user}] knocked",
            run=self.host.identity.run_id,
            proxy=self.host.name,
            host=admitted.host,
            seconds=admitted.seconds,
            user=admitted.user,
        )


# --- the visitor -------------------------------------------------------------------------------


@implementer(IVisitor, ISignalReceiver)
class KnockVisitor(StcpVisitor):
    """Knocks before each visit; with ``keepOpen`` also on its own, as long as it runs."""

    log = Logger()

    def __init__(self, options: KnockVisitorOptions, host: IVisitorHost) -> None:
        super().__init__(options.secret_key, host)
        self._keep_open = options.keep_open
        self._keeping: Deferred[None] | None = None
        self._waiting: set[Deferred[int]] = set()

    def startService(self) -> None:
        super().startService()
        if self._keep_open:
            self._keeping = Deferred.fromCoroutine(self._keep_knocking())
            self._keeping.addErrback(self._kept)

    def stopService(self) -> None:
        super().stopService()
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        for answer in list(self._waiting):
            answer.errback(SessionLost("the visitor was stopped"))

    async def open_visit(self, origin: Origin) -> IStreamLeg:
        await self.knock()
        return await super().open_visit(origin)

    async def knock(self) -> int:
        """Asks the server to open; answers for how many seconds it does.

        :raises RefusedError: it does not, or there is no server that takes signals.
        :raises SessionLost: the visitor was stopped.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise VisitRefusedError(RefusalCode.TOO_MANY, "too many users wait for the answer to a knock")
        answer: Deferred[int] = Deferred()
        self._waiting.add(answer)
        try:
            proof = _proof(self.secret, self.host.identity)
            self.host.signal(Knock(proof.reveal()).body())
            return await answer.addTimeout(ANSWER_S, self.host.reactor, _unanswered)
        finally:
            self._waiting.discard(answer)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        answer = _understood(body, Opened | Denied)
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if isinstance(answer, Opened):
                each.callback(answer.seconds)
            else:
                each.errback(VisitRefusedError(RefusalCode.OTHER, answer.reason))

    async def _keep_knocking(self) -> None:
        while True:
            try:
                pause_s = max(SHORTEST_PAUSE_S, await self.knock() / 2)
            except RelaykitError as error:
                self.log.warn(
                    "[{run}] [{visitor}] not let in: {reason}",
                    run=self.host.identity.run_id,
                    visitor=self.host.name,
                    reason=str(error),
                )
                pause_s = RETRY_S
            await deferLater(self.host.reactor, pause_s)

    def _kept(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("[{visitor}] does not knock any more", failure, visitor=self.host.name)


def _unanswered(_result: object, seconds: float) -> int:
    raise VisitRefusedError(RefusalCode.NOT_AVAILABLE, f"nobody answered the knock within {seconds:g} s")


# --- the type ----------------------------------------------------------------------------------


@implementer(IVisitableProxyType, IOneLineProxyType)
@frozen
class _KnockType:
    name = "knock"
    summary = "a port on the server that opens to whoever knocks"
    proxy_options = KnockOptions
    visitor_options = KnockVisitorOptions
    ingress_options = KnockIngressOptions
    one_lines = (
        OneLine(
            command="gate",
            summary="Publish a local service at a port that opens to whoever knocks",
            from_token=("secretKey",),
        ),
        OneLine(
            command="knock",
            summary="Knock at a gate, and have a port of this machine that leads through it",
            visits=True,
            from_token=("secretKey",),
        ),
    )

    def make_ingress(self, options: KnockIngressOptions, host: IServerHost) -> KnockIngress:
        return KnockIngress(options, host)

    def make_backend(self, options: KnockOptions, host: IClientHost) -> KnockBackend:
        return KnockBackend(options, host)

    def make_visitor(self, options: KnockVisitorOptions, host: IVisitorHost) -> KnockVisitor:
        return KnockVisitor(options, host)


proxy_type = _KnockType()

"""Telling observers what happens on a server, and the one that writes the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ended_by, problem_of
from relaykit.escaping import told
from relaykit.interfaces import IServerObserver
from relaykit.sansio.control.identity import identity_name
from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.server import events
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from relaykit.server.events import ServerEvent

__all__ = ["LogObserver", "Observers"]

_PROOFS = {
    PeerProof.TOKEN: "[{run}] the client proved itself: its login is bound to its TLS session",
    PeerProof.CERTIFICATE: "[{run}] the client proved itself: it has a certificate of the authority",
    PeerProof.INSIDE: "[{run}] the client was let in by another entrance of this server",
}

_NOT_BOUND = (
    "[{run}] the client did not prove itself: its login is not bound to its TLS session, so whoever was in "
    "between can use it again, and read and change everything; clients of relaykit bind theirs over TLS, and "
    'with auth.bound = "require" no others get in; clients of frp can verify the server '
    "(transport.tls.trustedCaFile)"
)

_NAMED_ONLY = (
    "[{run}] this client has no mux and its login is not bound: whoever learns its run id can take its "
    'users; set auth.additionalScopes = ["NewWorkConns"] at both ends, or transport.tcpMux = true'
)


class Observers:
    """Tells any number of observers; one that fails is logged and told the next event all the same.

    :ivar follow_users: whether any wants to know of each user: only then is an event of it worth making.
    """

    log = Logger()

    def __init__(self) -> None:
        self._observers: tuple[IServerObserver, ...] = ()
        self.follow_users = False

    def add(self, observer: IServerObserver) -> None:
        """Tells this one from now on, after those that were added before."""
        self._set((*self._observers, observer))

    def remove(self, observer: IServerObserver) -> None:
        """Tells this one no more; one that is not told is ignored."""
        self._set(tuple(each for each in self._observers if each is not observer))

    def tell(self, event: ServerEvent, of_user: bool = False) -> None:
        """Tells what happened to all, or to those that follow users."""
        for observer in self._observers:
            if of_user and not observer.follows_users:
                continue
            try:
                observer.on_event(event)
            except Exception:
                self.log.failure("{observer!r} failed to take {event!r}", observer=observer, event=event)

    def look_again(self) -> None:
        """One of them wants to hear of users now, or does so no more."""
        self._set(self._observers)

    def _set(self, observers: tuple[IServerObserver, ...]) -> None:
        self._observers = observers
        self.follow_users = any(each.follows_users for each in observers)


@implementer(IServerObserver)
@define(eq=False)
class LogObserver:
    """Writes the log, in frp's words where frp has some: scripts look for them."""

    follows_users: bool
    _warned: set[str] = field(factory=set, init=False)
    """The problems of logins that it warned of: each of them once."""

    log = Logger()

    def on_event(self, event: ServerEvent) -> None:
        _LINES[type(event)](self, event)

    def _client_connected(self, event: events.ClientConnected) -> None:
        client = event.client
        self.log.info(
            "[{run}] client login info: ip [{origin}] version [{version}] hostname [{hostname}] "
            "os [{os}] arch [{arch}]",
            run=client.run_id,
            origin=event.origin,
            version=event.version,
            hostname=event.hostname,
            os=event.os,
            arch=event.arch,
            user=client.user,
            wire=event.wire,
            bound=event.bound,
            by_client=host_of(event.origin.source),
            identity=identity_name(client.key),
        )
        if event.proof is PeerProof.NONE:
            self._warn_once(_NOT_BOUND, client.run_id, "client-not-bound", proof=event.proof.value)
        else:
            self.log.info(_PROOFS[event.proof], run=client.run_id, proof=event.proof.value)
        if event.is_named_only:
            self._warn_once(_NAMED_ONLY, client.run_id, "named-only")

    def _warn_once(self, text: str, run_id: str, problem: str, **fields: Any) -> None:
        """Warns of a problem that many logins have; from the second time on it is only told."""
        level = self.log.info if problem in self._warned else self.log.warn
        self._warned.add(problem)
        level(text, run=run_id, problem=problem, **fields)

    def _client_disconnected(self, event: events.ClientDisconnected) -> None:
        self.log.info(
            "[{run}] client exit success",
            run=event.client.run_id,
            by_client=host_of(event.client.address),
            ended=event.why.value,
            reason=event.reason,
        )

    def _login_refused(self, event: events.LoginRefused) -> None:
        self.log.warn(
            "register control error: {reason} (from {origin})",
            reason=told(event.reason),
            origin=event.origin,
            stranger=host_of(event.origin.source),
            ended=Ended.REFUSED.value,
            problem=problem_of(event.reason, "no-session"),
        )

    def _proxy_exposed(self, event: events.ProxyExposed) -> None:
        self.log.info(
            "[{run}] new proxy [{proxy}] type [{type}] success",
            run=event.client.run_id,
            proxy=event.name,
            type=event.type,
            address=event.address,
            by_client=host_of(event.client.address),
        )

    def _proxy_probed(self, event: events.ProxyProbed) -> None:
        fields = {
            "run": event.client.run_id,
            "proxy": event.proxy,
            "reached": event.reached.value,
            "seconds": event.seconds,
            "by_client": host_of(event.client.address),
        }
        if not event.is_news:
            self.log.debug("[{run}] [{proxy}] a probe got to the {reached}", **fields)
        elif event.error:
            self.log.warn(
                "[{run}] [{proxy}] users would not be served: {reason}",
                reason=told(event.error),
                problem="probe-failed",
                **fields,
            )
        else:
            self.log.info(
                "[{run}] [{proxy}] users would be served: a probe got to the {reached} in {seconds:.3f} s",
                **fields,
            )

    def _proxy_refused(self, event: events.ProxyRefused) -> None:
        self.log.warn(
            "[{run}] new proxy [{proxy}] type [{type}] error: {reason}",
            run=event.client.run_id,
            proxy=event.name,
            type=event.type,
            reason=told(event.reason),
            code=event.code,
            # A client may ask for what another one has without end.
            stranger=host_of(event.client.address),
            ended=Ended.REFUSED.value,
            problem=problem_of(event.reason, "start-error"),
        )

    def _proxy_closed(self, event: events.ProxyClosed) -> None:
        run_id, host = event.client.run_id, host_of(event.client.address)
        self.log.info(
            "[{run}] [{proxy}] proxy closing",
            run=run_id,
            proxy=event.name,
            by_client=host,
            ended=event.why.value,
        )
        if event.why is Ended.WITHDRAWN:
            self.log.info(
                "[{run}] close proxy [{proxy}] success", run=run_id, proxy=event.name, by_client=host
            )

    def _visit_refused(self, event: events.VisitRefused) -> None:
        self.log.warn(
            "visit of [{proxy}] from {origin} is refused: {reason}",
            proxy=event.proxy,
            origin=event.origin,
            reason=told(event.reason),
            stranger=host_of(event.origin.source),
            ended=Ended.REFUSED.value,
            problem=problem_of(event.reason, "visit-refused"),
        )

    def _user_arrived(self, event: events.UserArrived) -> None:
        self.log.debug(
            "[{run}] [{proxy}] get a user connection [{origin}]",
            run=event.client.run_id,
            proxy=event.proxy,
            origin=event.origin,
        )

    def _user_served(self, event: events.UserServed) -> None:
        self.log.debug(
            "[{run}] [{proxy}] {origin} has a work connection after {waited_s:.3f} s",
            run=event.client.run_id,
            proxy=event.proxy,
            origin=event.origin,
            waited_s=event.waited_s,
        )

    def _user_unserved(self, event: events.UserUnserved) -> None:
        self.log.warn(
            "[{run}] [{proxy}] no work connection for {origin}: {reason}",
            run=event.client.run_id,
            proxy=event.proxy,
            origin=event.origin,
            reason=str(event.error),
            stranger=host_of(event.origin.source),
            ended=ended_by(event.error).value,
            problem=problem_of(event.error, "no-work-connection"),
        )

    def _user_left(self, event: events.UserLeft) -> None:
        traffic = event.traffic
        self.log.debug(
            "[{run}] [{proxy}] flow from {origin} ended: {ended}",
            run=event.client.run_id,
            proxy=event.proxy,
            origin=event.origin,
            ended=traffic.ended.value,
            sent=traffic.near_to_far,
            received=traffic.far_to_near,
            seconds=traffic.seconds,
        )


_LINES: Mapping[type[Any], Callable[[LogObserver, Any], None]] = {
    events.ClientConnected: LogObserver._client_connected,
    events.ClientDisconnected: LogObserver._client_disconnected,
    events.LoginRefused: LogObserver._login_refused,
    events.ProxyExposed: LogObserver._proxy_exposed,
    events.ProxyProbed: LogObserver._proxy_probed,
    events.ProxyRefused: LogObserver._proxy_refused,
    events.ProxyClosed: LogObserver._proxy_closed,
    events.VisitRefused: LogObserver._visit_refused,
    events.UserArrived: LogObserver._user_arrived,
    events.UserServed: LogObserver._user_served,
    events.UserUnserved: LogObserver._user_unserved,
    events.UserLeft: LogObserver._user_left,
}

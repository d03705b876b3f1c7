"""What types share whose users take direct paths between two clients of relaykit.

The relay server brings both ends together.  What it has for that is the *rendezvous key* in place of the
secret: see :mod:`relaykit.sansio.nat.path_keys`.  Inside the path both ends prove the *path key* to each
other, so that a server that is not honest can neither be one of them nor stand between them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import PeerUnprovenError, RelaykitError, ended_by, problem_of
from relaykit.interfaces import IInitiator, ILegAcceptor
from relaykit.proxies.stcp import StcpOptions, admit
from relaykit.sansio.nat.path_keys import path_key, rendezvous_key
from relaykit.values import Origin, Secret, host_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IClientHost,
        IDirectPath,
        IForwardingHost,
        IRegisteredProxy,
        IStreamLeg,
        IStreamPath,
        IVisitorHost,
    )
    from relaykit.values import ClientIdentity, Ended

__all__ = ["MOST_PATHS", "AnsweredPaths", "admit_initiator", "call", "told_options"]

MOST_PATHS = 256
"""Direct paths of one backend, unproven ones included: each has a socket, and a visitor needs one."""

OptionsT = TypeVar("OptionsT", bound=StcpOptions)

Serve = Callable[["IStreamLeg", Origin, "IStreamPath"], Coroutine[Any, Any, None]]
"""What serves a leg that a visitor has opened on a path; it owns the leg, and returns when that is over."""


# --- the server half


def admit_initiator(proxy: IRegisteredProxy, initiator: IInitiator) -> None:
    """As :func:`relaykit.proxies.stcp.admit`, for who calls the client of a proxy.

    What was registered is the rendezvous key, or the secret that it can be made of.

    :raises VisitRefusedError: the initiator does not know it, or is not one of the proxy's users.
    """
    admit(proxy, _Initiator(proxy.name, initiator))


@implementer(IInitiator)
@define(eq=False)
class _Initiator:
    """Who calls, and proves the rendezvous key."""

    _proxy_name: str
    _initiator: IInitiator

    @property
    def identity(self) -> ClientIdentity:
        identity: ClientIdentity = self._initiator.identity
        return identity

    def proves(self, secret: Secret) -> bool:
        keys = secret, rendezvous_key(secret, self._proxy_name)
        return any([self._initiator.proves(each) for each in keys])


# --- the visitor


async def call(host: IVisitorHost, secret: Secret, without: str = "no direct path") -> IStreamPath:
    """A path of streams to the client of a visitor's proxy, proven by both ends; the visitor owns it.

    :param without: how users go once it is lost, for people.
    :raises RelaykitError: there is none.
    """
    path = await host.direct_paths.call(rendezvous_key(secret, host.proxy_name))
    streams: IStreamPath = await path.open_streams(path_key(secret, host.proxy_name), _Nobody())
    host.way = f"a direct path with {path.peer}, over {path.protocol.value}"
    way = host.way

    def lost(why: Ended) -> None:
        if host.way == way:
            host.way = f"{without}: {why.value}"

    streams.when_lost().addCallback(lost)
    _tell(host, path, streams)
    return streams


@implementer(ILegAcceptor)
class _Nobody:
    """Who takes no streams: a proxy opens none to its visitors."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.abort()


# --- the backend


def told_options(host: IClientHost, options: OptionsT) -> OptionsT:
    """The options of a backend with the rendezvous key in place of the secret, for the server."""
    return msgspec.structs.replace(options, secret_key=rendezvous_key(options.secret_key, host.proxy_name))


@define(eq=False)
class AnsweredPaths:
    """The direct paths to one backend: whoever comes by them is served as who comes through the relay.

    :param serve: what serves each leg.
    """

    log = Logger()

    _host: IClientHost
    _secret: Secret
    serve: Serve
    _opening: set[Deferred[None]] = field(factory=set, init=False)
    _paths: set[_AnsweredPath] = field(factory=set, init=False)

    def start(self) -> None:
        """Takes part in rendezvous from now on."""
        self._host.direct_paths.answer(self._on_path)

    def stop(self) -> Deferred[Any]:
        """Takes no new users; a path is closed once its last user is gone.  Fires once no path is left."""
        self._host.direct_paths.close()
        for opening in tuple(self._opening):
            opening.cancel()
        lost = DeferredList([path.streams.when_lost() for path in self._paths if path.streams is not None])
        for path in tuple(self._paths):
            path.retire()
        return lost

    def __len__(self) -> int:
        return len(self._opening) + len(self._paths)

    def _on_path(self, path: IDirectPath) -> None:
        if len(self) >= MOST_PATHS:
            self.log.warn(
                "[{proxy}] a direct path from {peer} is closed: there are {most} of them already",
                proxy=self._host.name,
                peer=path.peer,
                most=MOST_PATHS,
                stranger=host_of(path.peer),
                problem="too-many-rendezvous",
            )
            path.close()
            return
        opening = Deferred.fromCoroutine(self._open(path))
        self._opening.add(opening)
        opening.addBoth(self._opened, opening)

    async def _open(self, path: IDirectPath) -> None:
        """Proves a path and has it until it is lost."""
        answered = _AnsweredPath(self, Origin(path.peer, path.host))
        try:
            streams = await path.open_streams(path_key(self._secret, self._host.proxy_name), answered)
        except RelaykitError as error:
            self._refused(path, error)
            return
        answered.streams = streams
        self._paths.add(answered)
        self._count()
        streams.when_lost().addCallback(lambda _: self._gone(answered))
        _tell(self._host, path, streams)

    def _gone(self, answered: _AnsweredPath) -> None:
        self._paths.discard(answered)
        self._count()

    def _count(self) -> None:
        count = len(self._paths)
        self._host.way = "1 direct path" if count == 1 else f"{count} direct paths"

    def _opened(self, result: Failure | None, opening: Deferred[None]) -> None:
        self._opening.discard(opening)
        if result is not None and not result.check(CancelledError):
            self.log.failure("[{proxy}] a defect in a direct path", result, proxy=self._host.name)

    def _refused(self, path: IDirectPath, error: RelaykitError) -> None:
        tell = self.log.warn if isinstance(error, PeerUnprovenError) else self.log.info
        tell(
            "[{proxy}] a direct path from {peer} came to nothing: {reason}",
            proxy=self._host.name,
            peer=path.peer,
            reason=str(error),
            stranger=host_of(path.peer),
            ended=ended_by(error).value,
            problem=problem_of(error, "rendezvous-failed"),
        )


@implementer(ILegAcceptor)
@define(eq=False)
class _AnsweredPath:
    """One path of a backend, and how many users there are on it."""

    _all: AnsweredPaths
    _origin: Origin
    streams: IStreamPath | None = field(default=None, init=False)
    _users: int = field(default=0, init=False)
    _is_retired: bool = field(default=False, init=False)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        if self._is_retired or self.streams is None:
            leg.abort()
            return
        self._users += 1
        serving = Deferred.fromCoroutine(self._all.serve(leg, self._origin, self.streams))
        serving.addErrback(self._defect, leg).addBoth(self._user_gone)

    def retire(self) -> None:
        """Takes nobody any more, and closes the path once nobody is left."""
        self._is_retired = True
        if not self._users and self.streams is not None:
            self.streams.close()

    def _user_gone(self, _: object) -> None:
        self._users -= 1
        if self._is_retired:
            self.retire()

    def _defect(self, failure: Failure, leg: IStreamLeg) -> None:
        self._all.log.failure("a defect while a user of a direct path was served", failure)
        leg.abort()


def _tell(host: IForwardingHost, path: IDirectPath, streams: IStreamPath) -> None:
    """Says that there is a path, and when there is none any more."""
    log, protocol = AnsweredPaths.log, path.protocol.value
    said = {"name": host.name, "peer": path.peer, "protocol": protocol, "stranger": host_of(path.peer)}
    log.info("[{name}] a direct path with {peer} stands, over {protocol}", **said)

    def lost(why: Any) -> None:
        log.info("[{name}] the direct path with {peer} is gone: {ended}", ended=why.value, **said)

    streams.when_lost().addCallback(lost)

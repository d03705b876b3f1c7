"""Connecting: to a host and port, to a unix socket, to whatever a Twisted endpoint string names."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from zope.interface import implementer

from relaykit.dataplane.datagram_sockets import DatagramSocketLeg, ask_for_buffer
from relaykit.dataplane.exhaustion import EXHAUSTED
from relaykit.dataplane.listening import KEPT, highest_for_users
from relaykit.dataplane.poller import WRITE
from relaykit.dataplane.sockets import SocketLeg, address_of, meets_itself, reason_of, reset_on_close, tune
from relaykit.dataplane.transports import connect_foreign
from relaykit.errors import ConnectionFailed, OutOfDescriptors
from relaykit.sansio.hostnames import encode_host_name
from relaykit.values import HIGHEST_PORT, Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall, IHostResolution
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramLeg, IStreamLeg

__all__ = [
    "DIAL_TIMEOUT_S",
    "ChooseHosts",
    "dial",
    "dial_datagram_endpoint",
    "dial_datagrams",
    "dial_endpoint",
    "dial_unix",
]

DIAL_TIMEOUT_S = 10.0
"""How long connecting may take, name resolution included, unless the caller says otherwise; as frp."""

NEXT_ADDRESS_S = 0.25
"""Head start of one address of a host before the next is tried, too.  Source: RFC 8305 section 5."""

QUEUE_FULL_PAUSE_S = 0.02
"""Pause before a unix socket is dialed again whose queue of connections is full: nobody is told when there is
room.  Source: connect(2), EAGAIN."""

MOST_ADDRESSES = 8
"""Addresses of one host that are tried, the versions of IP mixed."""

MOST_RESOLVED = 64
"""Addresses of one host that are looked at: those of one version of IP may come before all of the other."""

ChooseHosts: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
"""Makes of the IP addresses that a name stands for those that are tried, in their order."""

_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})
_CONNECTED = frozenset({0, errno.EISCONN})
_PROBLEMS = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ETIMEDOUT: "no-answer",
    errno.ENETUNREACH: "network-unreachable",
}


def dial(
    poller: Poller,
    host: str,
    port: int,
    timeout_s: float = DIAL_TIMEOUT_S,
    source: str = "",
    prepare: Callable[[socket.socket], None] | None = None,
    choose: ChooseHosts | None = None,
) -> Deferred[IStreamLeg]:
    """A leg to a TCP port of a host, by name or IP address; from the address ``source``, if given.

    ``prepare`` is called with each socket before it is bound or connected.  ``choose`` may leave out some of
    the IP addresses that a name stands for, or know further ones.

    The addresses of a name are tried in turn, each with a head start, the versions of IP mixed.
    Fails with :class:`relaykit.errors.ConnectionFailed`.  Cancelling gives up.
    """
    return _dial(poller, host, port, timeout_s, _Kind(socket.SOCK_STREAM, SocketLeg, source, prepare, choose))


def dial_datagrams(
    poller: Poller,
    host: str,
    port: int,
    timeout_s: float = DIAL_TIMEOUT_S,
    source: str = "",
    choose: ChooseHosts | None = None,
) -> Deferred[IDatagramLeg]:
    """A leg to a UDP port of a host; otherwise as :func:`dial`.

    Nothing is sent, so the first address of a name that there is a way to is taken, whoever listens there.
    None of the last descriptors is taken: whoever has sources from everywhere cannot have all.
    """
    kind = _Kind(socket.SOCK_DGRAM, DatagramSocketLeg, source, ask_for_buffer, choose)
    return _dial(poller, host, port, timeout_s, kind)


def dial_unix(poller: Poller, path: str, timeout_s: float = DIAL_TIMEOUT_S) -> Deferred[IStreamLeg]:
    """A leg to a unix socket; otherwise as :func:`dial`."""
    return _Dial(poller, path, timeout_s, _STREAM).start([(socket.AF_UNIX, path)])


def dial_endpoint(
    poller: Poller,
    endpoint: str,
    timeout_s: float = DIAL_TIMEOUT_S,
    connect_other: Callable[[], Deferred[IStreamLeg]] | None = None,
) -> Deferred[IStreamLeg]:
    """A leg to what a Twisted client endpoint string names.

    ``tcp:`` and ``unix:`` are dialled here; anything else is connected by ``connect_other``, or else by
    whoever parses it, and its transport adapted.  Fails with
    :class:`relaykit.errors.ConnectionFailed`, also when nobody parses it.  Cancelling gives up.
    """
    try:
        target = _parse(endpoint)
    except ValueError as error:
        return fail(ConnectionFailed(f'"{endpoint}" is not an endpoint: {error}', problem="not-an-endpoint"))
    if target is None:
        return connect_other() if connect_other else connect_foreign(poller, endpoint, timeout_s)
    if target.path:
        return dial_unix(poller, target.path, target.timeout_s or timeout_s)
    if target.datagrams:
        return fail(ConnectionFailed(f'"{endpoint}" takes datagrams, and this is a stream'))
    return dial(poller, target.host, target.port, target.timeout_s or timeout_s, target.source)


def dial_datagram_endpoint(
    poller: Poller, endpoint: str, timeout_s: float = DIAL_TIMEOUT_S
) -> Deferred[IDatagramLeg]:
    """A leg to what a ``udp:`` endpoint string names: ``udp:127.0.0.1:53``, with the arguments of ``tcp:``.

    Fails with :class:`relaykit.errors.ConnectionFailed`.  Cancelling gives up.
    """
    try:
        target = _parse(endpoint)
    except ValueError as error:
        return fail(ConnectionFailed(f'"{endpoint}" is not an endpoint: {error}'))
    if target is None or not target.datagrams:
        return fail(
            ConnectionFailed(f'"{endpoint}" is not an endpoint for datagrams, as udp:127.0.0.1:53 is')
        )
    return dial_datagrams(poller, target.host, target.port, target.timeout_s or timeout_s, target.source)


@frozen
class _Kind:
    """What sort of socket is connected, and what is made of it."""

    kind: socket.SocketKind
    make_leg: Callable[[Poller, socket.socket, Address | None, Address | None], Any]
    source: str = ""
    prepare: Callable[[socket.socket], None] | None = None
    choose: ChooseHosts | None = None


_STREAM = _Kind(socket.SOCK_STREAM, SocketLeg)


def _dial(poller: Poller, host: str, port: int, timeout_s: float, kind: _Kind) -> Deferred[Any]:
    if not 0 < port <= HIGHEST_PORT:
        return fail(ConnectionFailed(f"cannot connect to {Address(host, port)}: invalid port"))
    numeric = _numeric(host)
    if numeric is not None:
        return _Dial(poller, f"{Address(host, port)}", timeout_s, kind).start([(numeric, (host, port))])
    try:
        _check_name(host)
    except ValueError as error:
        return fail(ConnectionFailed(f"cannot connect to {host}:{port}: {error}"))
    return _Dial(poller, f"{host}:{port}", timeout_s, kind).resolve(host, port)


@frozen
class _Target:
    """What a ``tcp:``, ``udp:`` or ``unix:`` endpoint string says."""

    datagrams: bool = False
    host: str = ""
    port: int = 0
    path: str = ""
    source: str = ""
    timeout_s: float = 0.0


@functools.lru_cache(maxsize=1024)
def _parse(endpoint: str) -> _Target | None:
    """Reads a ``tcp:``, ``udp:`` or ``unix:`` string; None for any other kind.

    Twisted's parser is private and knows no ``udp:``; what it makes of the other two, an endpoint, does not
    tell host and port.

    :raises ValueError: an argument is missing or makes no sense.
    """
    kind, *arguments = _split(endpoint)
    if kind not in ("tcp", "udp", "unix"):
        return None
    names = ["path"] if kind == "unix" else ["host", "port"]
    known = {*names, "timeout"} | (set() if kind == "unix" else {"bindAddress"})
    values: dict[str, str] = {}
    for argument in arguments:
        key, separator, value = argument.partition("\0=")
        if not separator:
            if not names:
                return None
            key, value = names[0], argument
        if key not in known:
            return None
        if key in names:
            names.remove(key)
        values[key] = value
    if names:
        raise ValueError(f"{kind}: needs {' and '.join(names)}")
    return _Target(
        datagrams=kind == "udp",
        host=values.get("host", ""),
        port=int(values.get("port", "0")),
        path=values.get("path", ""),
        source=values.get("bindAddress", ""),
        timeout_s=float(values.get("timeout", "0")),
    )


def _split(endpoint: str) -> list[str]:
    """The arguments of an endpoint string; an equals sign that is not quoted becomes ``NUL =``."""
    arguments, quoted = [""], False
    for character in endpoint:
        if quoted or character not in "\\:=":
            arguments[-1] += character
            quoted = False
        elif character == "\\":
            quoted = True
        elif character == ":":
            arguments.append("")
        else:
            arguments[-1] += "\0="
    return arguments


@functools.lru_cache(maxsize=1024)
def _check_name(host: str) -> None:
    """Refuses what a resolver would choke on.

    :raises ValueError: no host can have this name.
    """
    encode_host_name(host)


@functools.lru_cache(maxsize=1024)
def _numeric(host: str) -> socket.AddressFamily | None:
    """The family of an IP address; None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host.partition("%")[0])
            return family
    return None


class _Dial:
    """One connection in the making: which addresses are left, which are being tried, until when."""

    def __init__(self, poller: Poller, where: str, timeout_s: float, kind: _Kind) -> None:
        self.poller = poller
        self.where = where
        self.kind = kind
        self._answer: Deferred[Any] = Deferred(self._cancelled)
        self._left: deque[tuple[int, Any]] = deque()
        self._attempts: list[_Attempt] = []
        self._timeout_s = timeout_s
        self._deadline: IDelayedCall | None = None
        self._next: IDelayedCall | None = None
        self._resolution: _Resolution | Deferred[Any] | None = None
        self._why = "it has no address"
        self._problem = "unknown-host"
        self._short = False
        self._done = False

    def start(self, addresses: list[tuple[socket.AddressFamily, Any]]) -> Deferred[Any]:
        """Tries these addresses."""
        self._left.extend(addresses)
        self._try_next()
        self._set_deadline()
        return self._answer

    def resolve(self, host: str, port: int) -> Deferred[Any]:
        """Finds out the addresses of a name and tries them."""
        self._set_deadline()
        server = self.poller.name_server
        if server is None:
            resolution = self._resolution = _Resolution(self, host, port)
            resolution.start()
        else:
            asking = self._resolution = server.addresses(host)
            asking.addCallbacks(
                self._looked_up, self._not_looked_up, callbackArgs=(port,), errbackArgs=(port,)
            ).addErrback(lambda failure: failure.trap(CancelledError))
        return self._answer

    def _looked_up(self, hosts: Sequence[str], port: int) -> None:
        self.resolved(_mixed(_targets(hosts, port)), port)

    def _not_looked_up(self, failure: Failure, port: int) -> None:
        failure.trap(ConnectionFailed)
        self._why = failure.getErrorMessage()
        self.resolved([], port)

    def resolved(self, addresses: list[tuple[socket.AddressFamily, Any]], port: int) -> None:
        """Goes on with what a name stands for."""
        if not self._done:
            self._resolution = None
            if self.kind.choose is not None:
                known = {target[0]: (family, target) for family, target in addresses}
                chosen = _targets(self.kind.choose(tuple(known)), port)
                addresses = [known.get(target[0], (family, target)) for family, target in chosen]
            source = _numeric(self.kind.source) if self.kind.source else None
            fitting = [each for each in addresses if source in (None, each[0])]
            if addresses and not fitting:
                self._why = f"it has no address of the version of IP that {self.kind.source} has"
            self._left.extend(fitting[:MOST_ADDRESSES])
            self._try_next()

    def connected(self, attempt: _Attempt, plain: socket.socket, target: Any) -> None:
        """An attempt succeeded, unless it met itself: the others are given up."""
        try:
            own = plain.getsockname()
            if meets_itself(plain, own):
                # Without the reset the port would stay taken for a minute, and the service could not start.
                reset_on_close(plain)
                raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        except OSError as error:
            plain.close()
            self.attempt_failed(attempt, error)
            return
        self._attempts.remove(attempt)
        self._finish()
        host = address_of(own)
        peer = None if host is None else address_of(target)
        self._answer.callback(self.kind.make_leg(self.poller, plain, peer, host))

    def attempt_failed(self, attempt: _Attempt | None, error: OSError | ValueError) -> None:
        """An attempt failed: the next one starts at once."""
        if attempt is not None:
            self._attempts.remove(attempt)
        self._why = reason_of(error)
        self._problem = _PROBLEMS.get(getattr(error, "errno", None) or 0, "cannot-connect")
        self._try_next()

    def _try_next(self) -> None:
        if self._next is not None:
            if self._next.active():
                self._next.cancel()
            self._next = None
        if self._done:
            return
        if not self._left:
            if not self._attempts:
                self._finish()
                self._answer.errback(self._failed(self._why, self._problem))
            return
        family, target = self._left.popleft()
        try:
            attempt = _Attempt(self, family, target)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTED:
                self._short = True
                self.poller.exhaustion.met("made", error.strerror or "")
            self.attempt_failed(None, error)
            return
        self.poller.exhaustion.passed()
        self._attempts.append(attempt)
        if self._left:
            self._next = self.poller.reactor.callLater(NEXT_ADDRESS_S, self._try_next)
        attempt.start()

    def _set_deadline(self) -> None:
        if not self._done:
            self._deadline = self.poller.reactor.callLater(self._timeout_s, self._too_late)

    def _too_late(self) -> None:
        self._finish()
        self._answer.errback(self._failed(f"no answer within {self._timeout_s:g} seconds", "no-answer"))

    def _failed(self, why: str, problem: str) -> ConnectionFailed:
        text = f"cannot connect to {self.where}: {why}"
        return OutOfDescriptors(text) if self._short else ConnectionFailed(text, problem=problem)

    def _cancelled(self, _answer: Deferred[Any]) -> None:
        self._finish()

    def _finish(self) -> None:
        self._done = True
        self._left.clear()
        attempts, self._attempts = self._attempts, []
        for attempt in attempts:
            attempt.give_up()
        for call in (self._deadline, self._next):
            if call is not None and call.active():
                call.cancel()
        self._deadline = self._next = None
        if self._resolution is not None:
            self._resolution.cancel()
            self._resolution = None


class _Attempt:
    """A socket that is connecting."""

    def __init__(self, dial: _Dial, family: int, target: Any) -> None:
        self.interest = self.watched = 0
        self._dial = dial
        self._target = target
        self._waiting: IDelayedCall | None = None
        kind = dial.kind
        self._socket = socket.socket(family, kind.kind)
        try:
            self._socket.setblocking(False)
            if kind.kind == socket.SOCK_STREAM:
                tune(self._socket)
            elif (highest := highest_for_users()) is not None and self._socket.fileno() > highest:
                raise OSError(errno.EMFILE, KEPT)
            if kind.prepare is not None:
                kind.prepare(self._socket)
            if kind.source:
                self._bind(kind.source)
        except BaseException:
            self._socket.close()
            raise

    def start(self) -> None:
        """Connects; a local peer may answer at once, which asking again finds out."""
        try:
            state = self._socket.connect_ex(self._target)
            if state in _IN_PROGRESS:
                state = self._socket.connect_ex(self._target)
        except (OSError, ValueError) as error:
            # It is not what the system says of the peer: the target itself makes no sense.
            self._socket.close()
            self._dial.attempt_failed(self, error)
            return
        if state in _CONNECTED:
            self._dial.connected(self, self._socket, self._target)
        elif state == errno.EAGAIN and self._socket.family == socket.AF_UNIX:
            self._waiting = self._dial.poller.reactor.callLater(QUEUE_FULL_PAUSE_S, self.start)
        elif state in _IN_PROGRESS:
            self._dial.poller.watch(self, WRITE)
        else:
            self._refused(state)

    def give_up(self) -> None:
        """Ends the attempt."""
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        self._dial.poller.forget(self)
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def ready(self, events: int) -> None:
        state = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._dial.poller.forget(self, closing=bool(state))
        if state:
            self._refused(state)
        else:
            self._dial.connected(self, self._socket, self._target)

    def failed(self) -> None:
        """Nothing more: the dial has been answered, or its deadline will be."""

    def _refused(self, state: int) -> None:
        self._socket.close()
        self._dial.attempt_failed(self, OSError(state, os.strerror(state)))

    def _bind(self, source: str) -> None:
        no_port = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", None)
        if no_port is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_IP, no_port, 1)
        self._socket.bind((source, 0))


@implementer(IResolutionReceiver)
class _Resolution:
    """Asks the reactor's resolver, which may answer piece by piece."""

    def __init__(self, dial: _Dial, host: str, port: int) -> None:
        self._dial = dial
        self._host = host
        self._port = port
        self._addresses: list[tuple[socket.AddressFamily, Any]] = []
        self._running: IHostResolution | None = None
        self._over = False

    def start(self) -> None:
        """Begins; the dial is told by ``resolved``."""
        resolver: IHostnameResolver = self._dial.poller.reactor.nameResolver  # type: ignore[attr-defined]  # IReactorPluggableNameResolver
        self._running = resolver.resolveHostName(self, self._host, self._port)

    def cancel(self) -> None:
        """Asks for no answer any more."""
        if not self._over:
            self._over = True
            if self._running is not None:
                with contextlib.suppress(NotImplementedError):
                    self._running.cancel()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._running = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        if len(self._addresses) >= MOST_RESOLVED:
            return
        if isinstance(address, IPv4Address):
            self._addresses.append((socket.AF_INET, (address.host, address.port)))
        elif isinstance(address, IPv6Address):
            self._addresses.append(
                (socket.AF_INET6, (address.host, address.port, address.flowInfo, address.scopeID))
            )

    def resolutionComplete(self) -> None:
        if not self._over:
            self._over = True
            self._dial.resolved(_mixed(self._addresses), self._port)


def _targets(hosts: Sequence[str], port: int) -> list[tuple[socket.AddressFamily, Any]]:
    return [(family, (host, port)) for host in hosts if (family := _numeric(host)) is not None]


def _mixed(
    addresses: list[tuple[socket.AddressFamily, Any]],
) -> list[tuple[socket.AddressFamily, Any]]:
    """The addresses with the versions of IP taking turns, the resolver's first choice first."""
    if not addresses:
        return []
    first = [each for each in addresses if each[0] == addresses[0][0]]
    second = [each for each in addresses if each[0] != addresses[0][0]]
    mixed = []
    while first or second:
        if first:
            mixed.append(first.pop(0))
        if second:
            mixed.append(second.pop(0))
    return mixed
